"""The page "What does faithfulness cost?": figure against cost, and the methods that no other beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from whybench.leaderboard.boards import machine
from whybench.leaderboard.charts import Chart
from whybench.leaderboard.formatting import significant
from whybench.leaderboard.pareto import front
from whybench.leaderboard.skills import Skills
from whybench.leaderboard.tables import COST, Column, Row, Table, TableCell
from whybench.leaderboard.tradeoff_chart import Dot, chart

TITLE = "What does faithfulness cost?"

SKILL = Column("skill", "Skill", "", "higher", "0 is chance, 1 the best order that a search by the metric itself found")
# the keys stand in the page's address
PRICES = (
    Column("forward-equivalents", "Forward equivalents", COST, "lower", "time over that of a plain forward pass"),
    Column("milliseconds", "Milliseconds per example", COST, "lower", "median, on the machine that the rows name"),
)


@dataclass(frozen=True)
class Point:
    """A method.

    Attributes:
        row: One of its rows, which says what it is.
        name: Its name.
        figure: Its figure.
        costs: By each of the page's prices; over several tasks their geometric mean.
        front: By each price whether no ranked method costs no more and is no worse.
        ranked: Whether it may be on a front at all: complete, and past every gate.
    """

    row: Row
    name: str
    figure: TableCell
    costs: tuple[TableCell, ...]
    front: tuple[bool, ...]
    ranked: bool


@dataclass(frozen=True)
class TradeOff:
    """A task, or all of them.

    Attributes:
        title: Task, or all of them.
        detail: Model, removal and so on; empty over several tasks.
        anchor: Its name within the page.
        column: The figure.
        prices: The kinds of cost that compare here, at least the first.
        points: The methods, the cheapest by the first price first.
        charts: The drawing by each price.
        levels: Yardsticks, with their figures.
        tasks: How many tasks it is about; over several the costs are geometric means.
        machines: In how many environments the rows were made; times compare within one.
        left_out: Methods without a known cost or without the figure.
    """

    title: str
    detail: str
    anchor: str
    column: Column
    prices: tuple[Column, ...]
    points: tuple[Point, ...]
    charts: tuple[Chart, ...]
    levels: tuple[tuple[str, TableCell], ...]
    tasks: int
    machines: int
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    rows: Sequence[Row]
    name: str
    figure: TableCell
    costs: tuple[float, ...] | None
    ranked: bool


def trade_offs(tables: Sequence[tuple[str, Table]], skills: Skills | None) -> list[TradeOff]:
    """Skill over all tasks, where there is any, and then every board by its first figure.

    Args:
        tables: Boards of faithfulness with their names within pages.
        skills: Skill by task.
    """
    made = [_overall(skills, {table.board.key: table for _, table in tables})] if skills else []
    made += [_of_board(anchor, table) for anchor, table in tables]
    return [one for one in made if one is not None]


def _overall(skills: Skills, tables: dict[str, Table]) -> TradeOff | None:
    by_board = [{row.name: row for row in tables[board.key].methods} for board in skills.boards]
    found = []
    for one in skills.rows:
        cell = one.overall if skills.several else one.cells[0]
        rows = [rows[one.name] for rows in by_board if one.name in rows]
        known = [costs for row in rows if (costs := _costs(row)) is not None and all(costs)]
        # a method's costs on two tasks differ by a factor: their mean is the geometric one
        mean = tuple(math.exp(sum(map(math.log, of_all)) / len(known)) for of_all in zip(*known, strict=True))
        found.append(_Found(rows, one.name, cell, mean if len(known) == len(by_board) else None, not one.why))
    tasks = f"over {len(skills.boards)} tasks" if skills.several else f"on {skills.boards[0].spec.task.name}"
    return _made(f"Skill {tasks}", "", "overall", SKILL, found, [], len(skills.boards))


def _of_board(anchor: str, table: Table) -> TradeOff | None:
    spec = table.board.spec
    column = next((column for column in table.figures if column.better), None)
    if column is None:
        return None
    at = table.columns.index(column)
    found = [_Found([row], row.name, row.cells[at], _costs(row), row.eligible) for row in table.methods]
    levels = [(row.name, row.cells[at]) for row in table.references if row.result.bound]
    detail = f"{spec.model.name}, {spec.task.examples:,} examples, removal by {spec.operator}"
    return _made(spec.task.name, detail, anchor, column, found, levels)


def _costs(row: Row) -> tuple[float, ...] | None:
    cost = row.result.cost
    return None if cost is None else (cost.forward_equivalents, cost.p50_ms)


def _made(
    title: str,
    detail: str,
    anchor: str,
    column: Column,
    found: Sequence[_Found],
    levels: Sequence[tuple[str, TableCell]],
    tasks: int = 1,
) -> TradeOff | None:
    known = [(one, one.costs, one.figure.value) for one in found if one.costs and one.figure.value is not None]
    if not known:
        return None
    known.sort(key=lambda each: (each[1], each[0].name))
    machines = len({machine(row.stored) for one, _, _ in known for row in one.rows})
    prices = PRICES if machines == 1 else PRICES[:1]
    sign = 1.0 if column.better == "higher" else -1.0
    ranked = [i for i, (one, _, _) in enumerate(known) if one.ranked]
    best: list[set[int]] = []
    for at in range(len(prices)):
        on_front = front([known[i][1][at] for i in ranked], [sign * known[i][2] for i in ranked])
        best.append({i for i, kept in zip(ranked, on_front, strict=True) if kept})
    points = tuple(
        Point(
            one.rows[0],
            one.name,
            one.figure,
            tuple(_priced(price, cost) for price, cost in zip(prices, costs, strict=False)),
            tuple(i in some for some in best),
            one.ranked,
        )
        for i, (one, costs, _) in enumerate(known)
    )
    shown = [(name, cell) for name, cell in levels if cell.value is not None]
    charts = tuple(
        chart(column, price, [_dot(point, at) for point in points], shown) for at, price in enumerate(prices)
    )
    left_out = tuple(one.name for one in found if not one.costs or one.figure.value is None)
    return TradeOff(title, detail, anchor, column, prices, points, charts, tuple(shown), tasks, machines, left_out)


def _dot(point: Point, at: int) -> Dot:
    family = point.row.result.family
    return Dot(point.name, family, point.figure, point.costs[at], point.front[at], point.ranked)


def _priced(price: Column, cost: float) -> TableCell:
    return TableCell(f"{significant(cost)}×" if price is PRICES[0] else f"{significant(cost)} ms", cost)
