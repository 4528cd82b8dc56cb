"""The overview: its controls, and what it leaves out where there are many results."""

from pathlib import Path

import pytest

from whybench.bench.store import ResultStore
from whybench.leaderboard.boards import boards
from whybench.leaderboard.overview import brief, choices, is_too_large
from whybench.leaderboard.site import build_site
from whybench.leaderboard.tables import table
from whybench.tests.leaderboard.factory import Made, make, suite
from whybench.tests.leaderboard.page import parse, rows
from whybench.tests.leaderboard.test_skills import references


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    made = ResultStore(tmp_path_factory.mktemp("results"))
    for task in ("xor_cues", "majority"):
        suite(made, task=task, examples=6)
        references(made, task=task, examples=6)
    return made


def test_the_controls_offer_what_is_there(store: ResultStore, tmp_path: Path) -> None:
    page = parse(build_site(store.read_all(), [], tmp_path / "site"))
    form = page.one("form", id="controls")
    assert "hidden" in form.attributes
    offered = {s.attributes["id"]: [o.text for o in s.all("option")] for s in form.all("select")}
    assert offered["family"] == ["all", "attention", "gradient", "perturbation", "reference"]
    assert offered["task"] == ["all", "majority", "xor_cues"]
    # one model only, and nothing was submitted: these controls would tell nothing apart
    assert {"model", "standing"}.isdisjoint(offered)
    found = choices(boards(store.read_all(), []))
    assert (found.models, found.submitted) == (("xor_cues",), False)
    is_ = {row.attributes["data-is"] for row in page.all("tr", data_row=None)}
    assert is_ == {"signed own passed", "unsigned own passed"}


def test_references_of_skill_are_marked_and_not_ranked(store: ResultStore, tmp_path: Path) -> None:
    page = parse(build_site(store.read_all(), [], tmp_path / "site"))
    skill = page.one("section", id="skill")
    found = rows(skill.one("tbody", class_="references"))
    # the mean of three seeds is one row
    assert list(found) == ["best(metric=sufficiency)", "best(metric=comprehensiveness)", "chance"]
    assert all(row.one("td", class_="rank").text == "–" for row in found.values())
    assert [cell.text for cell in found["chance"].all("td")][1:] == ["0", "–", "0", "0"]
    ranked = rows(skill.one("tbody", data_ranked=None))
    assert all(row.one("td", class_="rank").attributes["title"].startswith("rank ") for row in ranked.values())


def test_many_results_have_brief_tables_and_a_page_for_each(store: ResultStore, tmp_path: Path, monkeypatch) -> None:
    results = store.read_all()
    tables = [table(board) for board in boards(results, [])]
    assert not is_too_large(tables)
    monkeypatch.setattr("whybench.leaderboard.overview.MOST_CELLS", 10)
    assert is_too_large(tables)
    index = build_site(results, [], tmp_path / "site")
    page = parse(index)
    for view in tables:
        short = brief(view)
        (section,) = page.all("section", data_task=view.board.spec.task.name)
        keys = [head.attributes["data-key"] for head in section.all("th", data_key=None)]
        assert keys == ["method", "rank", *(column.key for column in short.columns)]
        assert keys[2:] == [
            "comprehensiveness",
            "sufficiency",
            "average_precision",
            "forward_equivalents",
            "coverage",
        ]
        assert set(rows(section)) == {row.name for row in view.rows}
        (href,) = [a.attributes["href"] for a in section.all("a") if a.attributes["href"].startswith("boards/")]
        whole = parse(index.parent / href)
        keys = [head.attributes["data-key"] for head in whole.all("th", data_key=None)]
        assert keys == ["method", "rank", *(column.key for column in view.columns)]
        assert "Provenance of these rows" in whole.text


def test_fifty_methods_on_thirty_tasks_fit_into_an_overview(store: ResultStore, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("whybench.leaderboard.overview.MOST_CELLS", 10)
    make(store, Made(method="a_method_with_a_name_of_usual_length", examples=6))
    text = build_site(store.read_all(), [], tmp_path / "site").read_text(encoding="utf-8")
    skill, *boards_ = (part.encode() for part in text.split("<section ") if 'class="board"' in part)
    rows_of_boards = [row for part in boards_ for row in part.split(b"<tr data-row")[1:-1]]
    of_board = sum(map(len, rows_of_boards)) / len(rows_of_boards)
    rows_of_skill = skill.split(b"<tr data-row")[1:-1]
    # the names stand before two figures over all tasks and one for each of two tasks
    of_task = sum(len(row) for row in rows_of_skill) / len(rows_of_skill) / 4
    rest = len(text.encode()) - sum(map(len, rows_of_boards)) - sum(map(len, rows_of_skill))
    assert 50 * 30 * (of_board + of_task) + rest < 1_500_000
