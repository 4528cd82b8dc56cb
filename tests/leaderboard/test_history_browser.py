"""The page of versions in a real Chromium, all methods on one page and each on its own."""

from pathlib import Path
from typing import Any

import pytest

from whybench.bench.store import ResultStore
from whybench.leaderboard.chart_kinds import KINDS
from whybench.leaderboard.site import build_site
from whybench.tests.leaderboard.factory import METHODS, Made, make
from whybench.tests.leaderboard.page import charts, parse
from whybench.tests.leaderboard.test_browser import HOSTILE, page
from whybench.tests.leaderboard.test_charts import filled, rows
from whybench.tests.leaderboard.test_charts_browser import opened

__all__ = ["page"]

vl_convert = pytest.importorskip("vl_convert")


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[ResultStore]:
    """Three versions; the last one of a method is far worse, and names what it was made from as an attacker would."""
    folder = tmp_path_factory.mktemp("versions")
    stores = []
    for day, (quality, passes, commit) in enumerate(((2.0, 8.0, "a" * 40), (2.0, 8.0, "b" * 40), (0.1, 4.0, HOSTILE))):
        store = ResultStore(folder / str(day))
        made = {"commit": commit, "created": f"2026-01-0{day + 1}T09:00:00+00:00", "examples": 12}
        make(store, Made(method="mine", quality=quality, passes=(passes, 0.0), **made))
        make(store, Made(**{**METHODS[2], "note": HOSTILE, **made}))
        stores.append(store)
    return stores


def built(results: list[ResultStore], out: Path) -> Path:
    *earlier, last = (store.read_all() for store in results)
    return build_site(last, [], out, earlier=earlier).parent


@pytest.fixture(scope="module")
def site(results: list[ResultStore], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built(results, tmp_path_factory.mktemp("built") / "site")


def test_steps_are_drawn_with_their_text_and_said_in_the_table(page: Any, site: Path) -> None:
    opened(page, (site / "history.html").as_uri())
    section = page.locator("section.history").first
    assert section.locator("h2").inner_text() == "mine"
    figure = section.locator("figure", has_text="Comprehensiveness").first
    assert figure.locator(".mark-text.role-mark text").first.text_content().startswith("worse")
    figure.locator(".mark-symbol.role-mark").last.locator("path").last.hover(force=True)
    tip = page.locator("#vg-tooltip-element.visible")
    assert "Version" in tip.inner_text()
    assert "2026-01-03 09:00" in tip.inner_text()
    assert "worse" in section.locator("table.versions tbody tr").nth(2).inner_text()
    assert "Forward passes × 0.500 2 → 3" in page.locator("table.changes").inner_text()
    assert page.title() != "owned"
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280


def test_every_chart_of_the_page_is_valid(site: Path) -> None:
    found = charts(parse(site / "history.html"))
    assert {kind for kind, _ in found} == {"figures-over-versions", "costs-over-versions"}
    for kind, content in found:
        spec = filled(KINDS[kind](), content["given"])
        spec["datasets"] = {
            n: [row for group in groups for row in rows(group)] for n, groups in content["data"].items()
        }
        assert "NaN" not in vl_convert.vegalite_to_svg(spec | {"width": 300})


def test_every_version_leads_to_its_file_and_no_file_is_another_versions(
    results: list[ResultStore], site: Path
) -> None:
    (section,) = (
        one for one in parse(site / "history.html").all("section", class_="task history") if "mine" in one.text
    )
    links = [
        link.attributes["href"] for link in section.all("a", href=None) if link.attributes["href"].startswith("cells/")
    ]
    files = [next(store.cells.glob("*mine*")) / "result.json" for store in results]
    assert [(site / link).read_bytes() for link in links] == [file.read_bytes() for file in files]
    assert len(set(links)) == 3


def test_many_methods_have_pages_of_their_own(
    results: list[ResultStore], page: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whybench.leaderboard.history_page.MOST_TRACKS", 1)
    site = built(results, tmp_path / "site")
    page.goto((site / "history.html").as_uri())
    assert page.locator("section.history").count() == 0
    page.locator("table.changes th a", has_text="mine").click()
    page.wait_for_load_state()
    assert page.locator("h1").inner_text() == "mine in 3 versions"
    opened(page, page.url)
    for link in page.locator("table.versions a[href], .crumb a[href]").all():
        path = Path((page.evaluate("a => a.href", link.element_handle())).partition("#")[0].removeprefix("file://"))
        assert path.is_file(), path


@pytest.mark.parametrize("width", [390, 1280])
def test_the_pages_fit(browser: Any, site: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800})
    opened_page = context.new_page()
    opened(opened_page, (site / "history.html").as_uri())
    assert opened_page.evaluate("document.documentElement.scrollWidth") <= width
    context.close()


def test_without_javascript_every_version_and_step_is_there(browser: Any, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened_page = context.new_page()
    opened_page.goto((site / "history.html").as_uri())
    assert opened_page.locator("section.history").first.locator("table.versions tbody tr").count() == 3
    words = opened_page.locator("figure .chart > p").first
    assert words.is_visible()
    assert "over 3 versions" in words.inner_text()
    assert "worse from 2 to 3" in words.inner_text()
    context.close()
