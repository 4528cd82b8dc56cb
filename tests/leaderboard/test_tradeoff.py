"""Figure against cost: the fronts against brute force, names that cover nothing, and the page."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whybench.bench.schema import GateOutcome
from whybench.bench.store import ResultStore
from whybench.leaderboard.boards import boards
from whybench.leaderboard.pareto import beside, front
from whybench.leaderboard.site import build_site
from whybench.leaderboard.skills import skills
from whybench.leaderboard.tables import table
from whybench.leaderboard.tradeoff_chart import DOT, HEIGHT, LETTER, LINE, WIDTH, Plot
from whybench.leaderboard.tradeoff_page import PRICES, TradeOff, trade_offs
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


@pytest.mark.parametrize("seed", range(6))
def test_fifty_names_cover_no_point_and_no_other_name(seed: int) -> None:
    generator = np.random.default_rng(seed)
    # two crowds, and two points in the same place
    around = generator.normal((160, 120), 45, size=(30, 2)), generator.normal((380, 220), 30, size=(19, 2))
    points = [(float(x), float(y)) for x, y in np.clip(np.concatenate(around), (20, 20), (520, 300))]
    points.append(points[0])
    widths = [LETTER * int(letters) for letters in generator.integers(4, 28, size=50)]
    line = (0.0, 150.0, WIDTH, 152.0)
    placed = beside(points, widths, LINE, (0.0, 0.0, WIDTH, HEIGHT), DOT, [line])
    areas = [
        (place[0] - width / 2, place[1] - LINE / 2, place[0] + width / 2, place[1] + LINE / 2)
        for place, width in zip(placed, widths, strict=True)
        if place is not None
    ]
    assert len(areas) > 15
    taken = [line, *((x - DOT, y - DOT, x + DOT, y + DOT) for x, y in points)]
    for area in areas:
        assert 0 <= area[0] <= area[2] <= WIDTH
        assert 0 <= area[1] <= area[3] <= HEIGHT
        for other in taken:
            assert min(area[2], other[2]) <= max(area[0], other[0]) or min(area[3], other[3]) <= max(area[1], other[1])
        taken.append(area)


def test_a_place_is_a_cost_and_a_figure_and_back() -> None:
    plot = Plot((0.5, 200.0), (-0.2, 0.7))
    assert plot.at(0.5, -0.2) == pytest.approx((0.0, HEIGHT))
    assert plot.at(200.0, 0.7) == pytest.approx((WIDTH, 0.0))
    assert plot.at(*plot.of(123.0, 45.0)) == pytest.approx((123.0, 45.0))
    # what costs nothing has no logarithm
    assert plot.at(0.0, 0.7) == pytest.approx((0.0, 0.0))


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


def off(store: ResultStore) -> list[TradeOff]:
    found = [table(board) for board in boards(store.read_all(), [])]
    return trade_offs([(view.board.key, view) for view in found], skills(found))


def on_front(drawn: TradeOff, price: int) -> set[str]:
    return {point.name for point in drawn.points if point.front[price]}


def test_every_method_is_in_the_drawings_and_in_the_table_with_its_numbers(store: ResultStore, tmp_path: Path) -> None:
    suite(store)
    section = page_of(store, tmp_path).one("section", id="xor-cues-xor-cues-30")
    view = table(boards(*suite(store))[0])
    lines = {row.one("bdi").text: row for row in section.all("tr", data_method=None)}
    assert set(lines) == {row.name for row in view.methods}
    figures = [
        figure.one("script", type="application/json").text for figure in section.all("figure", data_chart="tradeoff")
    ]
    drawings = [json.loads(text) for text in figures]
    for price, drawing in enumerate(drawings):
        (points,) = drawing["data"]["points"]
        costs = []
        for row in view.methods:
            figure, cost = row.result.figures["comprehensiveness"], row.result.cost
            assert cost is not None
            costs.append((cost.forward_equivalents, cost.p50_ms)[price])
            cells = lines[row.name].all("td")
            assert cells[0].attributes["data-v"] == str(figure.mean)
            assert cells[1 + price].attributes["data-v"] == str(costs[-1])
            at = points["name"].index(row.name)
            assert points["x"][at] == pytest.approx(costs[-1], rel=1e-3)
            assert points["y"][at] == pytest.approx(figure.mean, rel=1e-3)
            assert points["family"][at] == row.result.family
        merits = [row.result.figures["comprehensiveness"].mean for row in view.methods]
        for row, kept in zip(view.methods, front(costs, merits), strict=True):
            at = points["name"].index(row.name)
            assert points["front"][at] == ("yes" if kept else "no")
            assert ("on the front" in lines[row.name].all("td")[1 + price].text) == kept
    assert len(drawings) == len(PRICES)


def with_equivalents(store: ResultStore, label: str, value: float) -> TradeOff:
    """The one board's trade-off, with other forward equivalents for one of its methods."""
    results = store.read_all()
    at = next(i for i, one in enumerate(results) if one.result.label == label)
    cost = results[at].result.cost
    assert cost is not None
    changed = results[at].result.model_copy(update={"cost": cost.model_copy(update={"forward_equivalents": value})})
    results[at] = replace(results[at], result=changed)
    (drawn,) = trade_offs([("a", table(board)) for board in boards(results, [])], None)
    return drawn


def test_each_cost_has_a_front_of_its_own(store: ResultStore) -> None:
    make(store, Made(method="good", quality=3.0, milliseconds=5.0))
    make(store, Made(method="bad", quality=0.0, milliseconds=9.0))
    # the forward pass beside it was slow as well
    drawn = with_equivalents(store, "bad", 1.0)
    assert on_front(drawn, 0) == {"good", "bad"}
    assert on_front(drawn, 1) == {"good"}


def test_milliseconds_are_offered_where_all_rows_were_made_in_one_environment(
    store: ResultStore, tmp_path: Path
) -> None:
    for task in ("one", "two"):
        yardsticks(store, task=task)
        make(store, Made(method="cheap", quality=1.0, task=task))
    make(store, Made(method="dear", quality=0.5, milliseconds=9.0, task="one", device="Another"))
    overall, *others = off(store)
    assert {one.title: (len(one.prices), len(one.charts), one.machines) for one in (overall, *others)} == {
        # the method that was made elsewhere has no skill over both
        "Skill over 2 tasks": (2, 2, 1),
        "one": (1, 1, 2),
        "two": (2, 2, 1),
    }
    page = page_of(store, tmp_path)
    said = {section.attributes["id"]: section.text for section in page.all("section", id=None)}
    assert "Not against milliseconds: these rows were made in 2 environments" in next(
        text for name, text in said.items() if name.startswith("one")
    )
    assert "Not against" not in next(text for name, text in said.items() if name.startswith("two"))


def test_skill_is_not_set_against_milliseconds_where_the_tasks_were_run_on_two_machines(store: ResultStore) -> None:
    for task in ("one", "two"):
        yardsticks(store, task=task)
        make(store, Made(method="cheap", quality=1.0, task=task, device=f"The machine of {task}"))
    overall, *others = off(store)
    assert (overall.machines, len(overall.prices)) == (2, 1)
    assert [len(one.prices) for one in others] == [2, 2]


def test_a_method_that_costs_nothing_is_drawn_at_the_start_and_said_as_it_is(store: ResultStore) -> None:
    make(store, Made(method="free", quality=1.0, milliseconds=0.5))
    make(store, Made(method="dear", quality=3.0, milliseconds=5.0))
    drawn = with_equivalents(store, "free", 0.0)
    (points,) = drawn.charts[0].data["points"]
    at = points["name"].index("free")
    assert points["cost"][at] == "0×"
    assert points["x"][at] == pytest.approx(drawn.charts[0].given["costs"][0], rel=1e-2)


def test_skill_over_tasks_stands_against_the_geometric_mean_of_the_costs(store: ResultStore) -> None:
    for task, milliseconds in (("one", 1.8), ("two", 7.2)):
        yardsticks(store, task=task)
        make(store, Made(method="cheap", quality=1.0, milliseconds=milliseconds, task=task))
        make(store, Made(method="dear", quality=0.1, milliseconds=90.0, task=task))
    overall, *others = off(store)
    assert (overall.title, len(others)) == ("Skill over 2 tasks", 2)
    points = {point.name: point for point in overall.points}
    # 2 and 8 forward equivalents
    assert [cost.value for cost in points["cheap"].costs] == pytest.approx([4.0, 3.6])
    assert list(points) == ["cheap", "dear"]
    assert [on_front(overall, price) for price in (0, 1)] == [{"cheap"}, {"cheap"}]
    assert {name for name, _ in others[0].levels} >= {"chance"}


def test_means_over_tasks_are_spoken_of_where_there_are_several(store: ResultStore, tmp_path: Path) -> None:
    yardsticks(store, task="one")
    make(store, Made(method="cheap", quality=1.0, task="one"))
    page = page_of(store, tmp_path)
    assert "Skill on one" in page.text
    assert "over the tasks" not in page.text
    yardsticks(store, task="two")
    make(store, Made(method="cheap", quality=1.0, task="two"))
    assert "geometric means over the tasks" in page_of(store, tmp_path).text


def test_what_may_not_be_ranked_is_never_on_the_front(store: ResultStore) -> None:
    make(store, Made(method="honest", quality=1.0, milliseconds=5.0))
    barred = {"determinism": GateOutcome(status="failed", value=1.0, limit=0.0, reason="differs")}
    make(store, Made(method="barred", quality=9.0, milliseconds=0.1, gates=barred))
    make(store, Made(method="partly", quality=9.0, milliseconds=0.2, failed={1: "no"}))
    (drawn,) = trade_offs([("a", table(board)) for board in boards(store.read_all(), [])], None)
    assert {point.name: (point.ranked, point.front) for point in drawn.points} == {
        "honest": (True, (True, True)),
        "barred": (False, (False, False)),
        "partly": (False, (False, False)),
    }


def test_lower_is_better_turns_the_front_around(store: ResultStore) -> None:
    make(store, Made(method="good", quality=3.0, milliseconds=5.0))
    make(store, Made(method="bad", quality=0.0, milliseconds=9.0))
    view = table(boards(store.read_all(), [])[0])
    columns = tuple(replace(c, better="lower" if c.key == "comprehensiveness" else c.better) for c in view.columns)
    (drawn,) = trade_offs([("a", replace(view, columns=columns))], None)
    assert on_front(drawn, 0) == {"good", "bad"}


def test_a_site_without_a_cost_has_no_such_page(store: ResultStore, tmp_path: Path) -> None:
    make(store, Made(error="no"))
    build_site([], store.read_failures(), tmp_path / "site")
    assert not (tmp_path / "site/tradeoff.html").exists()
    assert "tradeoff" not in (tmp_path / "site/index.html").read_text(encoding="utf-8")
