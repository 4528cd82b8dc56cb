"""The page "Is attention explanation?" in a real Chromium, opened from a file."""

from pathlib import Path
from typing import Any

import pytest

from whybench.bench.store import ResultStore
from whybench.leaderboard.site import build_site
from whybench.tests.leaderboard.causal_factory import causal, causal_suite
from whybench.tests.leaderboard.test_browser import CONTRAST, HOSTILE, page

__all__ = ["page"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    store = ResultStore(folder / "results")
    causal_suite(store)
    causal_suite(store, task="snli", pairs=True)
    causal(store, "raw_attention", task="hostile", model=HOSTILE, label=HOSTILE, texts=[HOSTILE, f"{HOSTILE} a b"])
    causal(store, "effective_attention", task="hostile", model=HOSTILE, error=HOSTILE)
    return build_site(store.read_all(), store.read_failures(), folder / "site").parent


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_it_does_not_scroll_sideways_and_can_be_read(browser: Any, site: Path, width: int, scheme: str) -> None:
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    for name in ("attention.html", "index.html"):
        page.goto((site / name).as_uri())
        page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        sizes = page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert sizes[0] <= sizes[1], name
        faint = page.evaluate(CONTRAST)
        assert not faint, f"{name}: {faint[:5]}"
        assert page.title() != "owned"
    context.close()


def test_no_request_leaves_the_page_and_nothing_complains(page: Any, site: Path) -> None:
    page.goto((site / "index.html").as_uri())
    page.get_by_role("navigation").get_by_role("link", name="Is attention explanation?").click()
    assert page.get_by_role("heading", level=1).inner_text() == "Is attention explanation?"
    page.locator('section[data-task="sst2"] a.go').click()
    assert "index.html#" in page.url


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_what_is_below_zero_looks_different(browser: Any, site: Path, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme=scheme, java_script_enabled=True
    )
    page = context.new_page()
    page.goto((site / "attention.html").as_uri())
    maps = page.locator('section[data-task="sst2"] .maps svg')
    assert maps.count() == 4
    strokes = [maps.nth(i).locator(".strokes").count() for i in range(4)]
    assert strokes == [0, 1, 0, 0]
    colours = maps.nth(1).locator(".cells g path").evaluate_all("all => all.map(p => getComputedStyle(p).stroke)")
    assert len(set(colours)) == len(colours) > 6
    assert "none" not in colours
    context.close()


def test_the_large_drawing_repeats_the_small_one(page: Any, site: Path) -> None:
    page.goto((site / "attention.html").as_uri())
    part = page.locator('section[data-task="sst2"]')
    part.locator("summary", has_text="every token named").click()
    small = part.locator(".maps svg .cells").nth(1).bounding_box()
    large = part.locator("svg.large").nth(1).locator("use").first.bounding_box()
    assert large["width"] > small["width"] > 200
    # a selector that reaches beyond the repeated group would not hold in its copy
    names = [part.locator("svg.large").nth(i).locator("use, .names").last for i in (0, 1)]
    first, second = (name.bounding_box() for name in names)
    assert (first["width"], first["height"]) == pytest.approx((second["width"], second["height"]), abs=0.5)
    assert large["height"] == pytest.approx(large["width"], rel=0.1)
