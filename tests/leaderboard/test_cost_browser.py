"""Figure against cost in a real Chromium: the choice of the cost, its state in the address, and without scripts."""

from pathlib import Path
from typing import Any

import pytest

from whybench.bench.store import ResultStore
from whybench.leaderboard.site import build_site
from whybench.tests.leaderboard.factory import METHODS, Made, make
from whybench.tests.leaderboard.test_browser import HOSTILE, page

__all__ = ["page"]


@pytest.fixture(scope="module")
def tradeoff(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page: a task whose rows compare in milliseconds, and one whose rows do not."""
    folder = tmp_path_factory.mktemp("cost")
    store = ResultStore(folder / "results")
    for task in ("xor_cues", "majority"):
        for place, method in enumerate(METHODS):
            device = "Another" if task == "majority" and place else "A processor"
            make(store, Made(**{**method, "task": task, "device": device, "examples": 8}))
    make(store, Made(method="hostile", label=HOSTILE, milliseconds=2.0, examples=8))
    return build_site(store.read_all(), [], folder / "site").parent / "tradeoff.html"


def shown(page: Any, task: str) -> str:
    drawings = page.locator(f'section[id^="{task}"] [data-price]:visible')
    assert drawings.count() == 1
    return str(drawings.get_attribute("data-price"))


def drawn(page: Any, task: str) -> str:
    """The axis of costs of the drawing that is shown."""
    chart = page.locator(f'section[id^="{task}"] figure[data-chart]:visible')
    chart.scroll_into_view_if_needed()
    chart.locator("svg").wait_for()
    return str(chart.locator(".role-axis-title").first.text_content())


def test_the_cost_is_chosen_for_all_drawings_that_offer_it(page: Any, tradeoff: Path) -> None:
    address = tradeoff.as_uri()
    page.goto(address)
    assert shown(page, "xor-cues") == shown(page, "majority") == "forward-equivalents"
    assert drawn(page, "xor-cues").startswith("Forward equivalents")
    page.get_by_role("radio", name="milliseconds per example").check()
    assert shown(page, "xor-cues") == "milliseconds"
    assert drawn(page, "xor-cues").startswith("Milliseconds per example")
    # its rows were made on two machines
    assert shown(page, "majority") == "forward-equivalents"
    assert "Not against milliseconds" in page.locator('section[id^="majority"]').inner_text()
    assert page.url == f"{address}#cost=milliseconds"

    page.goto("about:blank")
    page.goto(f"{address}#cost=milliseconds")
    assert shown(page, "xor-cues") == "milliseconds"
    assert page.get_by_role("radio", name="milliseconds per example").is_checked()
    page.get_by_role("radio", name="forward equivalents").check()
    assert page.url == address
    assert shown(page, "xor-cues") == "forward-equivalents"


def test_the_cost_is_chosen_by_keyboard_and_by_a_changed_address(page: Any, tradeoff: Path) -> None:
    page.goto(tradeoff.as_uri())
    page.get_by_role("radio", name="forward equivalents").focus()
    page.keyboard.press("ArrowRight")
    assert shown(page, "xor-cues") == "milliseconds"
    for hash_, expected in (("#cost=forward-equivalents", 0), ("#cost=milliseconds", 1), ("#cost=nonsense", 0)):
        page.evaluate("to => { location.hash = to }", hash_)
        page.wait_for_function(
            "([name, at]) => document.querySelectorAll('#prices input')[at].checked && "
            "!document.querySelectorAll('section[id^=\"' + name + '\"] [data-price]')[at].hidden",
            arg=["xor-cues", expected],
        )
    # a link to a place on the page leaves the choice alone
    page.get_by_role("radio", name="milliseconds per example").check()
    page.evaluate("() => { location.hash = '#majority' }")
    page.wait_for_timeout(50)
    assert shown(page, "xor-cues") == "milliseconds"


def test_points_say_their_numbers_and_hostile_names_are_text(page: Any, tradeoff: Path) -> None:
    page.goto(tradeoff.as_uri())
    drawn(page, "xor-cues")
    figure = page.locator('section[id^="xor-cues"] figure[data-chart]:visible')
    points = figure.locator(".mark-symbol.role-mark path")
    tips = []
    for at in range(points.count()):
        points.nth(at).hover(force=True)
        tips.append(page.locator("#vg-tooltip-element").inner_text())
    said = "\n".join(tips)
    assert {"occlusion", "gradient"} <= set(said.split())
    assert "95 % interval" in said
    assert "On the front" in said
    assert HOSTILE[:39] in said
    assert page.title() != "owned"


def test_both_costs_and_both_fronts_are_there_without_javascript(browser: Any, tradeoff: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened_page = context.new_page()
    opened_page.goto(tradeoff.as_uri())
    section = opened_page.locator('section[id^="xor-cues"]')
    assert not opened_page.locator("#prices").is_visible()
    row = section.locator("tr[data-method]").filter(has_text="occlusion").first.inner_text()
    assert "20.2×" in row
    assert "18.2 ms" in row
    assert row.count("the front") == 2
    words = section.locator(".chart > p")
    assert words.count() == 2
    assert "against milliseconds per example. On the front: " in words.nth(1).inner_text()
    context.close()


def test_a_phone_is_wide_enough(browser: Any, tradeoff: Path) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800})
    narrow = context.new_page()
    address = f"{tradeoff.as_uri()}#cost=milliseconds"
    narrow.goto(address)
    assert drawn(narrow, "xor-cues").startswith("Milliseconds")
    assert narrow.evaluate("document.documentElement.scrollWidth") <= 390
    # only the front has its names there
    texts = narrow.locator('section[id^="xor-cues"] figure:visible .mark-text.role-mark text').all_inner_texts()
    row = narrow.locator('section[id^="xor-cues"] tr[data-method]').filter(has_text="gradient_x_input").inner_text()
    assert "off the front" in row
    assert "gradient_x_input" not in texts
    context.close()
