"""Head to head, the order of examples and an example's page in a real Chromium, opened from files."""

from pathlib import Path
from typing import Any

import numpy as np

from whybench.tests.leaderboard.test_browser import page, site

__all__ = ["page", "site"]

XOR = "versus/xor-cues-xor-cues-30.html"


def said(page: Any) -> str:
    return str(page.locator("#said").inner_text())


def points(page: Any, first: str, second: str) -> list[str]:
    """Places of the points of these two in the drawing, when it is there."""
    chart = page.locator("figure[data-chart=versus] .chart")
    chart.scroll_into_view_if_needed()
    chart.locator(f'[role=img][aria-label$="under {first} and under {second}."] svg').wait_for()
    assert chart.locator("svg").count() == 1
    return list(
        chart.locator(".role-mark.mark-symbol path").evaluate_all("all => all.map(p => p.getAttribute('transform'))")
    )


def test_two_methods_are_chosen_by_list_by_cell_and_by_address(page: Any, site: Path) -> None:
    page.goto((site / XOR).as_uri())
    names = page.locator(".matrix thead bdi").all_inner_texts()
    before = points(page, *names[:2])
    page.get_by_role("combobox", name="First").select_option("gradient")
    page.get_by_role("combobox", name="Second").select_option("raw_attention")
    assert said(page).startswith("gradient minus raw_attention: ")
    drawn = points(page, "gradient", "raw_attention")
    assert drawn != before
    assert len(drawn) == 30

    shared = page.url
    page.goto("about:blank")
    page.goto(shared)
    assert said(page).startswith("gradient minus raw_attention: ")
    assert points(page, "gradient", "raw_attention") == drawn
    assert page.locator(".matrix .chosen span").inner_text() in said(page)

    page.get_by_role("button", name="Swap").click()
    assert said(page).startswith("raw_attention minus gradient: ")
    page.locator(".matrix tbody tr").nth(0).locator("td").nth(2).click()
    assert said(page).startswith(f"{names[0]} minus {names[2]}: ")
    # the same two on the other task
    page.get_by_role("link", name="sst2", exact=True).click()
    page.wait_for_load_state()
    assert "sst2" in page.url
    assert said(page).startswith(f"{names[0]} minus {names[2]}: ")


def test_the_table_of_a_script_is_that_of_the_server(page: Any, site: Path) -> None:
    page.goto((site / XOR).as_uri())
    table = page.locator("#differing").inner_text()
    names = page.locator(".matrix thead bdi").all_inner_texts()
    drawn = points(page, *names[:2])
    page.get_by_role("button", name="Swap").click()
    assert points(page, names[1], names[0]) != drawn
    page.get_by_role("button", name="Swap").click()
    assert points(page, *names[:2]) == drawn
    assert page.locator("#differing").inner_text() == table


def test_points_lie_where_the_figures_are_and_say_them(page: Any, site: Path) -> None:
    page.goto((site / XOR).as_uri())
    names = page.locator(".matrix thead bdi").all_inner_texts()
    drawn = [tuple(map(float, place[10:-1].split(","))) for place in points(page, *names[:2])]
    values = page.evaluate("JSON.parse(document.getElementById('figures').textContent).values")
    for axis, sign in ((0, 1), (1, -1)):
        places = [place[axis] for place in drawn]
        (slope, _), residuals = np.polyfit(values[axis], places, 1), np.polyfit(values[axis], places, 1, full=True)[1]
        assert slope * sign > 0
        assert residuals[0] < 1e-3
    page.locator("figure[data-chart=versus] .role-mark.mark-symbol path").last.hover(force=True)
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert all(name in tip.inner_text() for name in (*names[:2], "xor_cues-00"))


def test_an_example_on_which_two_differ_leads_to_its_page(page: Any, site: Path) -> None:
    page.goto((site / XOR).as_uri())
    link = page.locator("#differing a").first
    name = link.inner_text()
    link.click()
    page.wait_for_load_state()
    assert page.locator("h1 bdi").inner_text() == name
    assert "/examples/" in page.url


def test_examples_are_ordered_by_disagreement_and_the_order_can_be_shared(page: Any, site: Path) -> None:
    page.goto((site / "tasks/xor-cues.html").as_uri())
    articles = page.locator("[data-examples] > article")

    def values() -> list[float]:
        return list(articles.evaluate_all("all => all.map(a => Number(a.dataset.disagreement))"))

    drawn = values()
    assert drawn != sorted(drawn, reverse=True)
    page.get_by_label("Order").select_option("methods disagree most")
    assert values() == sorted(drawn, reverse=True)
    shared = page.url
    page.goto("about:blank")
    page.goto(shared)
    assert values() == sorted(drawn, reverse=True)
    page.get_by_label("Order").select_option("of the data")
    assert values() == drawn


def test_pages_lead_from_example_to_example(page: Any, site: Path) -> None:
    page.goto((site / "examples/xor-cues-xor-cues-30/xor-cues-0000.html").as_uri())
    page.get_by_role("link", name="next →").click()
    page.wait_for_load_state()
    assert page.locator("h1 bdi").inner_text() == "xor_cues-0001"
    page.get_by_role("link", name="← previous").click()
    page.wait_for_load_state()
    assert page.locator("h1 bdi").inner_text() == "xor_cues-0000"
    # the same word under all seven methods
    page.locator(".heat").first.focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("[data-same]").count() == 7


def test_the_best_two_are_there_without_javascript(browser: Any, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto((site / XOR).as_uri())
    assert opened.locator("#differing tr").count() == 10
    assert not opened.locator("#choose").is_visible()
    assert opened.locator(".matrix tbody tr").count() == 6
    context.close()
