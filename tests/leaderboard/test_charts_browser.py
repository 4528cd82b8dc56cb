"""Charts in a real Chromium, opened from files and from a server."""

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from whybench.bench.store import ResultStore
from whybench.leaderboard.chart_kinds import KINDS
from whybench.leaderboard.site import build_site
from whybench.tests.leaderboard.causal_factory import causal, causal_suite
from whybench.tests.leaderboard.factory import Made, make, suite
from whybench.tests.leaderboard.test_browser import HOSTILE, page

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (extra: test)")

__all__ = ["page"]

METHOD = "methods/occlusion.html"
# a name that ends an expression or a script where it is taken for more than text
NAME = "\\\"+alert(1)+\"</script><img src=x onerror=document.title='owned'>"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Charts of every kind, also of what has hostile names."""
    folder = tmp_path_factory.mktemp("site")
    store = ResultStore(folder / "results")
    suite(store, examples=8)
    suite(store, task="majority", model=NAME, examples=8)
    causal_suite(store, examples=8)
    for name in (HOSTILE, NAME):
        make(store, Made(label=name, method="named", parameters={"a": name}, examples=8))
        causal(store, "raw_attention", label=name, parameters={"a": name}, examples=8)
    for source in ("first", "second"):
        make(store, Made(method="versions", label=f"{NAME} again", source=source, examples=8))
    return build_site(store.read_all(), store.read_failures(), folder / "site").parent


def pages_of_kinds(site: Path) -> dict[str, Path]:
    """A page for every kind of chart."""
    found: dict[str, Path] = {}
    for path in sorted(site.rglob("*.html"), key=lambda path: ("named" not in path.read_text("utf-8"), path)):
        for kind in re.findall(r'data-chart="([^"]+)"', path.read_text("utf-8")):
            found.setdefault(kind, path)
    assert set(found) == set(KINDS)
    return found


@pytest.fixture
def served(site: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def opened(page: Any, address: str) -> None:
    """Open a page, bring every chart into view, and wait until all are drawn."""
    page.goto(address)
    for chart in page.locator("figure[data-chart]:visible").all():
        chart.scroll_into_view_if_needed()
        chart.locator(".chart svg").wait_for()


def test_charts_are_drawn_from_files(page: Any, site: Path) -> None:
    opened(page, (site / METHOD).as_uri())
    figure = page.locator("figure[data-chart=curves]").first
    # the band, the line and the points of both curves
    assert figure.locator("svg .mark-area path").count() == 2
    assert figure.locator("svg .role-mark.mark-symbol path").count() >= 42
    assert figure.locator("[role=img]").get_attribute("aria-label").startswith("Mean curves. deletion: ")
    assert not figure.locator(".chart > p").is_visible()


def test_charts_are_drawn_from_a_server_and_ask_for_nothing(browser: Any, served: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith(served) else troubles.append(request.url))
    opened(page, served + METHOD)
    context.close()
    assert not troubles


def test_without_a_script_a_chart_is_there_in_words(browser: Any, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto((site / METHOD).as_uri())
    words = page.locator("figure[data-chart] .chart > p").first
    assert words.is_visible()
    assert "mean probability of the prediction from" in words.inner_text()
    context.close()


def test_without_the_library_a_chart_is_there_in_words(browser: Any, site: Path) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.route("**/vega.js", lambda route: route.abort())
    page.goto((site / METHOD).as_uri())
    page.locator("figure[data-chart]").first.scroll_into_view_if_needed()
    page.locator("figure[data-chart] .chart > p").first.wait_for()
    context.close()


def test_colours_follow_the_scheme(browser: Any, site: Path) -> None:
    context = browser.new_context(color_scheme="light")
    page = context.new_page()
    opened(page, (site / METHOD).as_uri())
    colour = "all => all.map(p => getComputedStyle(p).stroke)"
    lines = page.locator("figure[data-chart] svg .mark-line path")
    light = lines.evaluate_all(colour)
    page.emulate_media(color_scheme="dark")
    dark = lines.evaluate_all(colour)
    assert len(set(light)) == len(set(dark)) == 2
    assert not set(light) & set(dark)
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
def test_charts_of_every_kind_are_drawn_fit_the_page_and_are_accessible(
    browser: Any, site: Path, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    troubles: list[str] = []
    found: list[str] = []
    page.on("console", lambda message: troubles.append(message.text))
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: None if request.url.startswith("file:") else troubles.append(request.url))
    for path in set(pages_of_kinds(site).values()):
        opened(page, path.as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
        assert page.title() != "owned", path
        for chart in page.locator("figure[data-chart]:visible").all():
            place, drawn = chart.bounding_box(), chart.locator(".chart svg").bounding_box()
            assert drawn["width"] <= place["width"] + 1, path
            assert chart.locator("[role=img]").get_attribute("aria-label"), path
        assert not troubles, path
        for violation in axe.Axe().run(page).response["violations"]:
            if violation["impact"] in ("serious", "critical"):
                found.append(f"{path.name}: {violation['id']} {[n['html'][:160] for n in violation['nodes'][:3]]}")
        # axe itself asks for the style sheet, which a file may not
        troubles.clear()
    context.close()
    assert not found, "\n".join(found)


def test_charts_follow_the_width(browser: Any, site: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    page = context.new_page()
    opened(page, (site / METHOD).as_uri())
    # turned, as a phone is
    page.set_viewport_size({"width": 700, "height": 390})
    page.wait_for_function("document.querySelector('.chart svg').getBoundingClientRect().width > 380")
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    context.close()


def hovered(page: Any, mark: Any) -> str:
    """What the tooltip of a mark says."""
    mark.hover(force=True)
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert tip.locator("script, img").count() == 0
    return str(tip.inner_text())


def test_hostile_names_are_text_on_axes_and_in_tooltips(page: Any, site: Path) -> None:
    path = next(path for path in sorted((site / "methods").iterdir()) if path.name.startswith("alert"))
    opened(page, path.as_uri())
    assert NAME in hovered(page, page.locator("figure[data-chart=curves] .role-mark.mark-symbol path").last)

    opened(page, (site / "attention.html").as_uri())
    dots = page.locator("figure[data-chart=dots]").first
    labels = dots.locator(".role-axis-label text").all_text_contents()
    cut = [label for label in labels if label.startswith(NAME[:8])]
    assert cut
    assert hovered(page, dots.locator(".role-mark.mark-symbol path").first)
    rows = [hovered(page, mark) for mark in dots.locator(".role-mark.mark-symbol path").all()]
    assert any(NAME in row for row in rows)

    opened(page, (site / "versus" / next((site / "versus").glob("xor*")).name).as_uri())
    choice = page.locator("#second option", has_text="alert(1)").first.get_attribute("value")
    page.locator("#second").select_option(choice)
    chart = page.locator("figure[data-chart=versus]")
    chart.locator('[role=img][aria-label*="alert(1)"] svg').wait_for()
    assert NAME[:39] in "".join(chart.locator(".role-axis-title text").all_text_contents())
    assert NAME in hovered(page, chart.locator(".role-mark.mark-symbol path").last)
    assert page.title() != "owned"
