"""Charts in a real Chromium, opened from files and from a server."""

import functools
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from whybench.tests.leaderboard.test_browser import HOSTILE, page, site

__all__ = ["page", "site"]

METHOD = "methods/occlusion.html"


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
    for chart in page.locator("figure[data-chart]").all():
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


@pytest.mark.parametrize("width", [390, 1280])
def test_charts_fit_the_page(browser: Any, site: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    opened(page, (site / METHOD).as_uri())
    drawn = page.locator("figure[data-chart] .chart svg").first.bounding_box()
    place = page.locator("figure[data-chart]").first.bounding_box()
    assert place["width"] - 30 < drawn["width"] <= place["width"] + 1
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # turned, as a phone is
    page.set_viewport_size({"width": 700, "height": 390})
    page.wait_for_function("document.querySelector('.chart svg').getBoundingClientRect().width > 380")
    assert page.evaluate("document.documentElement.scrollWidth") <= 700
    context.close()


def test_a_hostile_name_is_text_in_a_chart_and_in_its_tooltip(page: Any, site: Path) -> None:
    (path,) = (path for path in (site / "methods").iterdir() if "owned" in path.read_text() and "document" in path.name)
    opened(page, path.as_uri())
    point = page.locator("figure[data-chart=curves] .role-mark.mark-symbol path").last
    point.hover(force=True)
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert HOSTILE[:39] in tip.inner_text()
    assert tip.locator("script").count() == 0
    assert page.title() != "owned"
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280
