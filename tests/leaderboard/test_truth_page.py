"""The page "Which metric can I trust?"."""

from pathlib import Path

import pytest
from scipy.stats import kendalltau

from whybench.bench.metrics import METRICS
from whybench.bench.store import ResultStore
from whybench.leaderboard.boards import boards
from whybench.leaderboard.formatting import number
from whybench.leaderboard.site import build_site
from whybench.leaderboard.tables import table as view_of
from whybench.leaderboard.truth_page import TITLE, truth_page
from whybench.tests.leaderboard.factory import DEFAULT, METHODS, Made, make, suite
from whybench.tests.leaderboard.page import parse


def test_tau_of_ranked_methods_on_tasks_with_planted_evidence(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    suite(store)
    suite(store, task="majority", quality=1.0)
    # no truth: marked by people, or no evidence at all; fewer methods than an order needs; not ranked
    suite(store, task="people", kind="human")
    suite(store, task="sst2", evidence=False)
    for method in METHODS[:2]:
        make(store, Made(**{**method, "task": "few"}))
    make(store, Made(method="lime", failed={1: "no"}))
    # of the same task and model under another operator the first one counts
    suite(store, operator="delete")
    found = truth_page([view_of(board) for board in boards(store.read_all(), [])])
    assert found is not None
    assert [(one.board.spec.task.name, one.board.spec.operator) for one in found.tasks] == [
        ("majority", "mask"),
        ("xor_cues", "mask"),
    ]
    assert found.bare == (("few with xor_cues", "2 ranked methods with recovery; an order needs at least 3"),)
    assert {row.metric.name for row in found.rows} == {n for n in DEFAULT if METRICS[n].higher_is_better is not None}
    for place, task in enumerate(found.tasks):
        results = {
            stored.result.label: stored.result
            for stored in task.board.results
            if stored.result.family != "reference" and stored.result.label != "lime"
        }
        assert {name for name, _ in task.methods} == set(results)
        assert task.left_out == (("lime",) if task.board.spec.task.name == "xor_cues" else ())
        for row in found.rows:
            sign = 1 if row.metric.higher_is_better else -1
            means = [sign * round(one.figures[row.metric.name].mean, 10) for one in results.values()]
            recovery = [round(one.figures["average_precision"].mean, 10) for one in results.values()]
            expected = kendalltau(means, recovery).statistic if len(set(means)) > 1 else 0.0
            assert row.cells[place].value == pytest.approx(expected, abs=1e-9)
    for row in found.rows:
        assert row.overall.value == pytest.approx(sum(cell.value or 0 for cell in row.cells) / 2)
    order = [row.overall.value or 0.0 for row in found.rows]
    assert order == sorted(order, reverse=True)

    site = build_site(store.read_all(), [], tmp_path / "site").parent
    page = parse(site / "truth.html")
    table = page.one("table", id="trust")
    for row, line in zip(found.rows, table.one("tbody").all("tr"), strict=True):
        assert line.attributes["data-metric"] == row.metric.name
        assert [cell.children[0] for cell in line.all("td")] == [
            number(cell.value or 0.0, 2) for cell in (row.overall, *row.cells)
        ]
    assert table.one("caption").text.startswith("Kendall")
    ids = {one.attributes["id"] for one in parse(site / "index.html").all("section", id=None)}
    for link in page.one("main").all("a"):
        assert link.attributes["href"].partition("#")[2] in {"", *ids}
    for name, root in (("index.html", ""), ("tasks/majority.html", "../")):
        (link,) = parse(site / name).one("nav").all("a", href=f"{root}truth.html")
        assert link.text == TITLE
    assert parse(site / "index.html").one("section", id="reading").all("a", href="truth.html")


def test_there_is_no_page_without_planted_evidence(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    suite(store, kind="human")
    site = build_site(store.read_all(), [], tmp_path / "site").parent
    assert not (site / "truth.html").exists()
    assert "truth.html" not in (site / "index.html").read_text()
    assert truth_page([]) is None


def test_a_task_alone_has_no_mean_column(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    suite(store)
    found = truth_page([view_of(board) for board in boards(store.read_all(), [])])
    assert found is not None
    assert not found.several
    page = parse(build_site(store.read_all(), [], tmp_path / "site").parent / "truth.html")
    assert [head.text.split("\u00a0")[0] for head in page.one("thead").all("th")] == ["Metric", "xor_cues"]
