"""The page "What does faithfulness cost?": figure against cost, and the methods that no other beats in both."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from whybench.leaderboard.axis import Axis, linear, logarithmic
from whybench.leaderboard.formatting import number, significant
from whybench.leaderboard.pareto import beside, front, stairs
from whybench.leaderboard.skills import Skills
from whybench.leaderboard.tables import Column, Row, Table, TableCell

TITLE = "What does faithfulness cost?"
WIDTH, HEIGHT = 440, 340
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 12, 40
DOT = 4.0
_DIGIT, _LABEL = 6.4, 10.0
# a number that stands further away than this is tied to its point by a line
_NEAR = 17.0

SKILL = Column("skill", "Skill", "", "higher", "0 is chance, 1 the best order that a search by the metric itself found")


@dataclass(frozen=True)
class Point:
    """A method.

    Attributes:
        number: Its number in the drawing and in the table.
        row: One of its rows, which says what it is.
        name: Its name.
        figure: Its figure.
        cost: Forward equivalents.
        milliseconds: Per example, as text; empty over several tasks.
        front: Whether no ranked method costs no more and is no worse.
        ranked: Whether it may be on the front at all: complete, and past every gate.
        x, low, y, high: Places of cost, and of the figure with the ends of its interval.
        label: Place of its number.
        tied: Whether a line leads to it.
    """

    number: int
    row: Row
    name: str
    figure: TableCell
    cost: float
    milliseconds: str
    front: bool
    ranked: bool
    x: float
    low: float
    y: float
    high: float
    label: tuple[float, float]
    tied: bool

    @property
    def said(self) -> str:
        """It in words."""
        return f"{self.number}. {self.name}: {self.figure.text} at {significant(self.cost)}×"


@dataclass(frozen=True)
class Level:
    """A yardstick's figure, as a line over the whole drawing.

    Attributes:
        name: Whose it is.
        text: Its figure.
        y: Its place.
    """

    name: str
    text: str
    y: float


@dataclass(frozen=True)
class TradeOff:
    """A drawing with its table.

    Attributes:
        title: Task, or all of them.
        detail: Model, removal and so on; empty over several tasks.
        anchor: Its name within the page.
        column: The figure.
        points: The methods, the cheapest first.
        levels: Yardsticks.
        stairs: SVG path of the front.
        x, y: Axes.
        left_out: Methods without a known cost or without the figure.
    """

    title: str
    detail: str
    anchor: str
    column: Column
    points: tuple[Point, ...]
    levels: tuple[Level, ...]
    stairs: str
    x: Axis
    y: Axis
    left_out: tuple[str, ...]

    @property
    def description(self) -> str:
        """The drawing in words."""
        best = "; ".join(point.said for point in self.points if point.front)
        return f"{self.column.title} of {len(self.points)} methods against cost. On the front: {best or 'none'}"


@dataclass(frozen=True)
class _Found:
    row: Row
    name: str
    figure: TableCell
    cost: float | None
    milliseconds: str
    ranked: bool


def trade_offs(tables: Sequence[tuple[str, Table]], skills: Skills | None) -> list[TradeOff]:
    """The drawings: skill over all tasks, where there is any, and then every board by its first figure.

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
        costs = [_cost(rows[one.name]) for rows in by_board if one.name in rows]
        known = [cost for cost in costs if cost is not None]
        # ratios of times: their mean is the geometric one
        mean = math.exp(sum(map(math.log, known)) / len(known)) if len(known) == len(by_board) and all(known) else None
        found.append(_Found(one.row, one.name, cell, mean, "", not one.why))
    tasks = f"over {len(skills.boards)} tasks" if skills.several else f"on {skills.boards[0].spec.task.name}"
    return _drawn(f"Skill {tasks}", "", "overall", SKILL, found, [])


def _of_board(anchor: str, table: Table) -> TradeOff | None:
    spec = table.board.spec
    column = next((column for column in table.figures if column.better), None)
    if column is None:
        return None
    at = table.columns.index(column)
    found = []
    for row in table.methods:
        cost = row.result.cost
        shown = "" if cost is None else significant(cost.p50_ms)
        found.append(_Found(row, row.name, row.cells[at], _cost(row), shown, row.eligible))
    yardsticks = [(row.name, row.cells[at]) for row in table.references if row.result.bound]
    detail = f"{spec.model.name}, {spec.task.examples:,} examples, removal by {spec.operator}"
    return _drawn(spec.task.name, detail, anchor, column, found, yardsticks)


def _cost(row: Row) -> float | None:
    return None if row.result.cost is None else row.result.cost.forward_equivalents


def _drawn(
    title: str,
    detail: str,
    anchor: str,
    column: Column,
    found: Sequence[_Found],
    yardsticks: Sequence[tuple[str, TableCell]],
) -> TradeOff | None:
    known = [
        (one, one.cost, one.figure.value) for one in found if one.cost is not None and one.figure.value is not None
    ]
    known.sort(key=lambda each: (each[1], each[0].name))
    left_out = tuple(one.name for one in found if one.cost is None or one.figure.value is None)
    if not known:
        return None
    sign = 1.0 if column.better == "higher" else -1.0
    ranked = [i for i, (one, _, _) in enumerate(known) if one.ranked]
    on_front = front([known[i][1] for i in ranked], [sign * known[i][2] for i in ranked])
    best = {i for i, kept in zip(ranked, on_front, strict=True) if kept}

    levels = [(name, cell) for name, cell in yardsticks if cell.value is not None]
    reached = [end for one, _, _ in known for end in (one.figure.low, one.figure.value, one.figure.high)]
    reached += [cell.value for _, cell in levels]
    ends = [end for end in reached if end is not None]
    x = logarithmic((cost for _, cost, _ in known), LEFT, WIDTH - RIGHT)
    y = linear(min(ends), max(ends), HEIGHT - BOTTOM, TOP)
    centres = [(x.place(cost), y.place(value)) for _, cost, value in known]
    widths = [_DIGIT * len(str(i + 1)) + 2 for i in range(len(known))]
    box = (float(LEFT), float(TOP - 6), float(WIDTH - 2), float(HEIGHT - BOTTOM))
    # the front is what is looked for: its numbers stand nearest
    order = sorted(range(len(known)), key=lambda i: (i not in best, i))
    placed = beside([centres[i] for i in order], [widths[i] for i in order], _LABEL, box, DOT)
    labels = dict(zip(order, placed, strict=True))
    points = tuple(
        Point(
            i + 1,
            one.row,
            one.name,
            one.figure,
            cost,
            one.milliseconds,
            i in best,
            one.ranked,
            centres[i][0],
            y.place(value if one.figure.low is None else one.figure.low),
            centres[i][1],
            y.place(value if one.figure.high is None else one.figure.high),
            labels[i],
            math.dist(labels[i], centres[i]) > _NEAR,
        )
        for i, (one, cost, value) in enumerate(known)
    )
    lines = tuple(
        Level(name, number(cell.value), y.place(cell.value)) for name, cell in levels if cell.value is not None
    )
    path = stairs([centres[i] for i in best])
    return TradeOff(title, detail, anchor, column, points, lines, path, x, y, left_out)
