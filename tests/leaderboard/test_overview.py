"""The overview: its controls, and what it leaves out where there are many results."""

from pathlib import Path

import pytest

from whybench.bench.store import ResultStore
from whybench.leaderboard.boards import boards
from whybench.leaderboard.overview import MOST_CELLS, choices, is_too_large
from whybench.leaderboard.site import build_site
from whybench.leaderboard.skills import skills
from whybench.leaderboard.tables import table
from whybench.tests.leaderboard.factory import Made, make
from whybench.tests.leaderboard.page import parse, rows
from whybench.tests.leaderboard.test_skills import two_tasks


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    made = two_tasks(tmp_path_factory.mktemp("results"), examples=6)
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


def test_many_results_have_a_line_and_a_page_for_each_table(store: ResultStore, tmp_path: Path, monkeypatch) -> None:
    results = store.read_all()
    found = boards(results, [])
    tables = [table(board) for board in found]
    assert not is_too_large(tables, skills(tables))
    monkeypatch.setattr("whybench.leaderboard.overview.MOST_CELLS", 10)
    assert is_too_large(tables, skills(tables))
    index = build_site(results, [], tmp_path / "site")
    page = parse(index)
    assert [section.attributes["id"] for section in page.all("section", class_="task")] == ["boards"]
    assert page.one("section", id="skill")
    lines = page.all("tr", data_line=None)
    for view, line in zip(tables, lines, strict=True):
        assert line.attributes["data-task"] == view.board.spec.task.name
        assert [cell.text for cell in line.all("td")][3:5] == ["mask, by word", str(len(view.methods))]
        first = next(row for row in view.methods if row.standing)
        assert first.name in line.text
        whole = parse(index.parent / line.one("a").attributes["href"])
        keys = [head.attributes["data-key"] for head in whole.all("th", data_key=None)]
        assert keys == ["method", "rank", *(column.key for column in view.columns)]
        assert set(rows(whole)) == {row.name for row in view.rows}
        assert "Provenance of these rows" in whole.text
        # where other pages lead to the table
        tasks = [parse(path) for path in (index.parent / "tasks").glob("*.html")]
        leads = {link.attributes["href"] for task in tasks for link in task.all("a", href=None)}
        assert f"../{line.one('a').attributes['href']}" in leads


def weight(index: Path) -> int:
    """Bytes of a page and of all that it loads."""
    page = parse(index)
    loaded = {script.attributes["src"] for script in page.all("script")}
    loaded |= {link.attributes["href"] for link in page.all("link")} | {i.attributes["src"] for i in page.all("img")}
    return sum((index.parent / path).stat().st_size for path in loaded) + index.stat().st_size


def sizes(parts: list[str]) -> list[int]:
    return [len(part.encode()) for text in parts for part in text.split("<tr data-row")[1:-1]]


def test_fifty_methods_on_thirty_tasks_fit_into_an_overview(store: ResultStore, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("whybench.leaderboard.overview.MOST_CELLS", 10)
    make(store, Made(method="a_method_with_a_name_of_usual_length", examples=6))
    index = build_site(store.read_all(), [], tmp_path / "site")
    text = index.read_text(encoding="utf-8")
    skill = text[text.index('id="skill"') : text.index('id="boards"')]
    rows_of_skill = sizes([skill])
    lines = [len(part.encode()) for part in text.split("<tr id=")[1:]]
    # the names stand before two figures over all tasks and one for each of two tasks
    of_task = sum(rows_of_skill) / len(rows_of_skill) / 4
    assert weight(index) + 50 * 30 * of_task + 30 * max(lines) < 1_500_000


def test_the_most_cells_of_an_overview_are_no_more_than_it_may_weigh(store: ResultStore, tmp_path: Path) -> None:
    index = build_site(store.read_all(), [], tmp_path / "site")
    text = index.read_text(encoding="utf-8")
    parts = [part for part in text.split("<section ") if 'class="board"' in part and 'id="skill"' not in part]
    found = boards(store.read_all(), [])
    cells = sum(len(view.rows) * len(view.columns) for view in map(table, found))
    # rows with what is said of each beneath its table
    of_boards = sum(len(part.encode()) for part in parts)
    assert weight(index) - of_boards + MOST_CELLS * of_boards / cells < 1_500_000
