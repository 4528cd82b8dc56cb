"""Two methods on all tasks, and figures that are loaded when asked for, in a real Chromium, opened from files."""

import json
from pathlib import Path
from typing import Any

import pytest

from whybench.bench.schema import GateOutcome
from whybench.bench.store import ResultStore
from whybench.leaderboard.boards import boards
from whybench.leaderboard.head_to_head import duels, head_to_head, lines
from whybench.leaderboard.pairs import contenders, pairs
from whybench.leaderboard.site import build_site
from whybench.leaderboard.tables import table
from whybench.tests.leaderboard.factory import METHODS, Made, make
from whybench.tests.leaderboard.test_browser import page
from whybench.tests.leaderboard.test_skills import references

__all__ = ["page"]

HOSTILE = "<b>&a=1#b=</b>\u202e" + "x" * 300
FAILED = GateOutcome(status="failed", value=0.4, limit=1e-4, reason="another batch, another map")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    made = ResultStore(tmp_path_factory.mktemp("results"))
    for task, examples in (("xor_cues", 20), ("majority", 30)):
        for method in METHODS[:4]:
            make(made, Made(**{**method, "task": task, "examples": examples}))
        references(made, task=task, examples=examples)
    make(made, Made(method="barred", examples=20, gates={"batch_invariance": FAILED}))
    make(made, Made(method="odd", label=HOSTILE, examples=20, failed={1: "no"}))
    return made


@pytest.fixture(scope="module")
def site(store: ResultStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(store.read_all(), store.read_failures(), tmp_path_factory.mktemp("built") / "site").parent


def choose(page: Any, first: str, second: str, figure: str | None = None) -> None:
    page.get_by_role("combobox", name="First").select_option(first)
    page.get_by_role("combobox", name="Second").select_option(second)
    if figure:
        page.locator("#figure").select_option(figure)


def shown(page: Any) -> list[list[str]]:
    """Per visible line its texts."""
    return list(
        page.locator(".duels tbody tr:visible").evaluate_all(
            "all => all.map(r => [...r.cells].map(c => c.innerText.replaceAll('\\n', ' ').replace(/ +/g, ' ').trim()))"
        )
    )


def test_every_choice_shows_what_was_computed(page: Any, site: Path, store: ResultStore) -> None:
    made = []
    for board in boards(store.read_all(), []):
        known = contenders(table(board))
        assert known is not None
        found = [one for column in known.columns if (one := pairs(known, column))]
        made.append(duels(board, "", found))
    every = head_to_head(made, None)
    page.goto((site / "versus.html").as_uri())
    for first, second, figure in (
        ("raw_attention", "gradient", "comprehensiveness"),
        ("gradient", "chance", "sufficiency"),
        ("best(metric=comprehensiveness)", "raw_attention", "average_precision"),
        ("barred", "gradient", "decision_flip"),
    ):
        choose(page, first, second, figure)
        expected = [
            [
                f"{line.difference} {line.interval}".replace("\u2009", " "),
                line.p.replace("\u00a0", " "),
                {"first": first, "second": second, "": "undecided"}[line.winner],
                *(f"{m}{'' if r else ' not ranked'}" for m, r in zip(line.means, line.ranked, strict=True)),
                " / ".join(map(str, line.counts)),
            ]
            for line in lines(every.boards, figure, first, second)
            if line
        ]
        got = [[text.replace("\u2009", " ").replace("\u00a0", " ") for text in cells[1:]] for cells in shown(page)]
        assert got == expected
        said = page.locator("#said").inner_text()
        better, worse = (sum(cells[2] == name for cells in expected) for name in (first, second))
        undecided = len(expected) - better - worse
        assert said.startswith(f"{first} is better on {better} of {len(expected)} tasks, {second} on {worse};")
        assert f"{undecided} undecided" in said
        title = next(column.title for column in every.columns if column.key == figure)
        assert page.locator(".duels .groups").inner_text().strip().startswith(title)


def test_the_script_draws_what_the_server_drew(page: Any, site: Path) -> None:
    page.goto((site / "versus.html").as_uri())
    before, said = shown(page), page.locator("#said").inner_text()
    page.get_by_role("button", name="Swap").click()
    assert shown(page) != before
    page.get_by_role("button", name="Swap").click()
    assert shown(page) == before
    assert page.locator("#said").inner_text() == said


def test_the_address_holds_the_choice_and_leads_to_the_boards_page_with_it(page: Any, site: Path) -> None:
    page.goto((site / "versus.html").as_uri())
    choose(page, "gradient", "chance", "sufficiency")
    drawn, shared = shown(page), page.url
    page.goto("about:blank")
    page.goto(shared)
    assert shown(page) == drawn
    # nobody is put against themselves
    page.get_by_role("combobox", name="First").select_option("chance")
    assert page.locator("#second option:checked").inner_text() == "gradient"
    page.goto(shared)
    page.locator(".duels tbody a").first.click()
    page.wait_for_load_state()
    assert "/versus/majority" in page.url
    page.wait_for_function("document.querySelector('[data-figure=title]').textContent === 'Sufficiency'")
    said = page.locator("#said").inner_text()
    assert said.startswith("gradient minus chance: ")
    assert "uncorrected, as they are not both ranked" in said
    assert drawn[0][1].split(" ")[0] in said
    page.get_by_role("link", name="all tasks").click()
    page.wait_for_load_state()
    assert page.url == shared
    assert shown(page) == drawn


def test_what_a_method_lacks_is_named(page: Any, site: Path) -> None:
    page.goto((site / "versus.html").as_uri())
    assert not page.locator("#missing").is_visible()
    choose(page, "barred", "gradient")
    assert [cells[0].split(" ")[0] for cells in shown(page)] == ["xor_cues"]
    assert "majority with xor_cues" in page.locator("#missing").inner_text()


@pytest.mark.parametrize("figure", ["constructor", "no_such_figure", ""])
def test_an_address_with_a_figure_that_there_is_not_shows_the_first(page: Any, site: Path, figure: str) -> None:
    page.goto(f"{(site / 'versus.html').as_uri()}#a=gradient&b=chance&figure={figure}")
    assert page.locator("#figure option:checked").inner_text().startswith("Comprehensiveness")
    assert page.locator("#said").inner_text().startswith("gradient is better on ")


def test_a_figure_whose_file_is_not_there_is_not_said_to_be_shown(
    browser: Any, store: ResultStore, tmp_path: Path
) -> None:
    # not the fixture's page, which minds a file that is missing
    context = browser.new_context()
    page = context.new_page()
    site = build_site(store.read_all(), store.read_failures(), tmp_path / "site").parent
    path = next((site / "versus").glob("xor-cues-*.html"))
    (path.with_suffix("") / "log_odds.js").unlink()
    page.goto(path.as_uri())
    said = page.locator("#said").inner_text()
    page.locator("#figure").select_option("log_odds")
    page.wait_for_function("document.querySelector('#figure').value === 'comprehensiveness'")
    assert page.locator("#said").inner_text() == said
    assert "log_odds" not in page.url
    context.close()


def points(page: Any) -> list[str | None]:
    """Places of the points of the chart, when it has been drawn."""
    figure = page.locator("figure[data-chart=versus]")
    figure.scroll_into_view_if_needed()
    page.wait_for_timeout(300)
    marks = figure.locator("svg .role-mark.mark-symbol path")
    marks.first.wait_for()
    return [mark.get_attribute("transform") for mark in marks.all()]


def test_a_hostile_name_is_a_choice_like_any_other(page: Any, site: Path) -> None:
    page.goto((site / "versus.html").as_uri())
    name = page.locator("#first option", has_text="<b>&a=1#b=</b>").text_content()
    choose(page, name, "gradient")
    assert page.locator("#said bdi").first.inner_text() == name
    assert page.locator("#said b b, .duels b").count() == 0
    shared = page.url
    page.goto("about:blank")
    page.goto(shared)
    assert page.locator("#first option:checked").text_content() == name
    page.locator(".duels tbody tr:visible a").first.click()
    page.wait_for_load_state()
    assert page.locator("#said bdi").first.inner_text() == name
    # a method without one score: the points are the examples that both have
    assert len(points(page)) == 19


def test_another_figure_changes_all_that_is_said_of_a_pair(page: Any, site: Path) -> None:
    path = next((site / "versus").glob("xor-cues-*.html"))
    page.goto(path.as_uri())
    matrix, drawn = page.locator(".matrix tbody").inner_text(), points(page)
    assert page.locator("#differing tr").count() == 10
    differing = page.locator("#differing").inner_text()
    page.locator("#figure").select_option("log_odds")
    page.wait_for_function("document.querySelector('figcaption [data-figure=title]').textContent === 'Log-odds'")
    assert page.locator(".matrix tbody").inner_text() != matrix
    assert len(points(page)) == len(drawn)
    assert points(page) != drawn
    assert page.locator("#differing").inner_text() != differing
    assert "above it the first is better" in page.locator("figure[data-chart=versus] figcaption").inner_text()
    assert "lower is better" in page.locator("#matrix").inner_text()
    # the matrix is that of the figure's script
    script = next((site / "versus" / path.stem).glob("log_odds.js")).read_text()
    figure = json.loads(script[len("whybenchFigure(") : -3])
    cell = page.locator(".matrix tbody tr").nth(0).locator("td").nth(1)
    apart = figure["pairs"]["means"][0] - figure["pairs"]["means"][1]
    assert float(cell.locator("span").inner_text().replace("−", "-")) == pytest.approx(apart, abs=5.1e-4)
    # and back again, to what the page came with
    page.locator("#figure").select_option("comprehensiveness")
    assert page.locator(".matrix tbody").inner_text() == matrix
    assert points(page) == drawn
    assert page.locator("#differing").inner_text() == differing


def test_the_best_two_and_links_are_there_without_javascript(browser: Any, site: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto((site / "versus.html").as_uri())
    assert not opened.locator("#choose").is_visible()
    assert opened.locator(".duels tbody tr:visible").count() == 2
    assert opened.locator(".plainlist a").count() == 2
    assert " of 2 tasks" in opened.locator("#said").inner_text()
    context.close()


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_sticks_out_of_the_page(browser: Any, site: Path, width: int) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844})
    opened = context.new_page()
    for path in (site / "versus.html", next((site / "versus").glob("xor-cues-*.html"))):
        opened.goto(path.as_uri())
        name = opened.locator("#first option", has_text="<b>&a=1#b=</b>").text_content()
        opened.locator("#first").select_option(name)
        assert opened.evaluate("document.documentElement.scrollWidth") <= width
    context.close()
