"""Figure against cost: the front against brute force, numbers that cover nothing, and the page."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whybench.bench.schema import GateOutcome
from whybench.bench.store import ResultStore
from whybench.leaderboard.boards import boards
from whybench.leaderboard.pareto import beside, front, stairs
from whybench.leaderboard.site import build_site
from whybench.leaderboard.skills import skills
from whybench.leaderboard.tables import table
from whybench.leaderboard.tradeoff_page import BOTTOM, DOT, HEIGHT, LEFT, RIGHT, TOP, WIDTH, trade_offs
from whybench.tests.leaderboard.factory import Made, make, suite
from whybench.tests.leaderboard.page import Element, parse


def dominated(i: int, costs: list[float], merits: list[float]) -> bool:
    return any(
        costs[j] <= costs[i] and merits[j] >= merits[i] and (costs[j] < costs[i] or merits[j] > merits[i])
        for j in range(len(costs))
    )


@pytest.mark.parametrize("seed", range(40))
def test_the_front_is_what_nothing_dominates(seed: int) -> None:
    # few values, so that ties in cost, in merit and in both occur
    drawn = np.random.default_rng(seed).integers(0, 6, size=(2, 1 + seed % 14)).astype(float).tolist()
    costs, merits = drawn
    assert front(costs, merits) == [not dominated(i, costs, merits) for i in range(len(costs))]


def test_the_front_of_nothing_is_empty() -> None:
    assert front([], []) == []
    assert stairs([]) == ""


def test_stairs_keep_the_merit_until_the_next_point() -> None:
    assert stairs([(30.0, 10.0), (10.0, 50.0), (10.0, 50.0)]) == "M10.0 50.0H30.0V10.0"


@pytest.mark.parametrize("seed", range(6))
def test_fifty_numbers_cover_no_point_and_no_other_number(seed: int) -> None:
    generator = np.random.default_rng(seed)
    # two crowds, and two points in the same place
    around = generator.normal((160, 120), 45, size=(30, 2)), generator.normal((320, 220), 30, size=(19, 2))
    points = [(float(x), float(y)) for x, y in np.clip(np.concatenate(around), (60, 20), (420, 290))]
    points.append(points[0])
    widths = [6.4 * len(str(i + 1)) + 2 for i in range(50)]
    placed = beside(points, widths, 10.0, (LEFT, TOP - 6, WIDTH - 2, HEIGHT - BOTTOM), DOT)
    for i, (x, y) in enumerate(placed):
        assert x - widths[i] / 2 >= LEFT
        assert x + widths[i] / 2 <= WIDTH - 2
        for a, b in points:
            assert abs(x - a) >= widths[i] / 2 + DOT - 1e-9 or abs(y - b) >= 5 + DOT - 1e-9
        for j, (a, b) in enumerate(placed[:i]):
            assert abs(x - a) >= (widths[i] + widths[j]) / 2 - 1e-9 or abs(y - b) >= 10 - 1e-9


def yardsticks(store: ResultStore, **changes: object) -> None:
    make(store, Made(method="chance", family="reference", bound="floor", quality=0.0, milliseconds=0.02, **changes))
    for metric in ("comprehensiveness", "sufficiency"):
        best = {"label": f"beam({metric})", "parameters": {"metric": metric}, "bound": "ceiling"}
        make(store, Made(method="beam", family="reference", quality=9.0, milliseconds=300.0, **best, **changes))


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def page_of(store: ResultStore, tmp_path: Path) -> Element:
    build_site(store.read_all(), store.read_failures(), tmp_path / "site")
    return parse(tmp_path / "site/tradeoff.html")


def test_every_method_is_in_the_drawing_and_in_the_table_with_its_numbers(store: ResultStore, tmp_path: Path) -> None:
    suite(store)
    section = page_of(store, tmp_path).one("section", id="xor-cues-xor-cues-30")
    view = table(boards(*suite(store))[0])
    lines = {row.one("bdi").text: row for row in section.all("tr", data_number=None)}
    assert set(lines) == {row.name for row in view.methods}
    said = [title.text for title in section.one("svg", role="img").all("title")]
    for row in view.methods:
        figure, cost = row.result.figures["comprehensiveness"], row.result.cost
        assert cost is not None
        cells = lines[row.name].all("td")
        assert cells[0].attributes["data-v"] == str(figure.mean)
        assert cells[1].attributes["data-v"] == str(cost.forward_equivalents)
        assert any(text.startswith(f"{lines[row.name].attributes['data-number']}. {row.name}: ") for text in said)
    costs = [row.result.cost.forward_equivalents for row in view.methods if row.result.cost]
    merits = [row.result.figures["comprehensiveness"].mean for row in view.methods]
    for row, kept in zip(view.methods, front(costs, merits), strict=True):
        assert lines[row.name].all("td")[-1].text == ("yes" if kept else "no")


def test_skill_over_tasks_stands_against_the_geometric_mean_of_the_costs(store: ResultStore) -> None:
    for task, milliseconds in (("one", 1.8), ("two", 7.2)):
        yardsticks(store, task=task)
        make(store, Made(method="cheap", quality=1.0, milliseconds=milliseconds, task=task))
        make(store, Made(method="dear", quality=0.1, milliseconds=90.0, task=task))
    found = [table(board) for board in boards(store.read_all(), [])]
    overall, *others = trade_offs([(view.board.key, view) for view in found], skills(found))
    assert (overall.title, len(others)) == ("Skill over 2 tasks", 2)
    points = {point.name: point for point in overall.points}
    # 2 and 8 forward equivalents
    assert points["cheap"].cost == pytest.approx(4.0)
    assert [point.number for point in overall.points] == [1, 2]
    assert points["cheap"].front
    assert not points["dear"].front
    assert {level.name for level in others[0].levels} >= {"chance"}


def test_what_may_not_be_ranked_is_never_on_the_front(store: ResultStore) -> None:
    make(store, Made(method="honest", quality=1.0, milliseconds=5.0))
    barred = {"determinism": GateOutcome(status="failed", value=1.0, limit=0.0, reason="differs")}
    make(store, Made(method="barred", quality=9.0, milliseconds=0.1, gates=barred))
    make(store, Made(method="partly", quality=9.0, milliseconds=0.2, failed={1: "no"}))
    (drawn,) = trade_offs([("a", table(board)) for board in boards(store.read_all(), [])], None)
    assert {point.name: (point.ranked, point.front) for point in drawn.points} == {
        "honest": (True, True),
        "barred": (False, False),
        "partly": (False, False),
    }


def test_lower_is_better_turns_the_front_around(store: ResultStore) -> None:
    make(store, Made(method="good", quality=3.0, milliseconds=5.0))
    make(store, Made(method="bad", quality=0.0, milliseconds=9.0))
    view = table(boards(store.read_all(), [])[0])
    columns = tuple(replace(c, better="lower" if c.key == "comprehensiveness" else c.better) for c in view.columns)
    (drawn,) = trade_offs([("a", replace(view, columns=columns))], None)
    assert all(point.front for point in drawn.points)
    assert drawn.x.start == LEFT
    assert drawn.x.end == WIDTH - RIGHT


def test_a_site_without_a_cost_has_no_such_page(store: ResultStore, tmp_path: Path) -> None:
    make(store, Made(error="no"))
    build_site([], store.read_failures(), tmp_path / "site")
    assert not (tmp_path / "site/tradeoff.html").exists()
    assert "tradeoff" not in (tmp_path / "site/index.html").read_text(encoding="utf-8")
