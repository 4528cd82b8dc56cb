"""The page of versions: figures and cost of a method whose source changed, with the steps that are no chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from whybench.bench.comparison import compare
from whybench.bench.schema import Environment, Result
from whybench.leaderboard.axis import Axis, linear, logarithmic
from whybench.leaderboard.columns import numbers
from whybench.leaderboard.formatting import interval, number, significant
from whybench.leaderboard.tables import Column, Row, Table

TITLE = "What changed?"
WIDTH, HEIGHT = 400, 150
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 14, 32
# a smaller change of a mean is no step, however sure it is
LEAST_CHANGE = 0.01
# one run says nothing of how times stray: a smaller factor is no step
LEAST_FACTOR = 1.5

Verdict = Literal["better", "worse"]
COST = Column("forward_equivalents", "Forward equivalents", "Cost", "lower", "time over that of a plain forward pass")


@dataclass(frozen=True)
class Step:
    """What happened from one version to the next.

    Attributes:
        verdict: Better or worse.
        text: The change in words.
        x: Place between the two.
    """

    verdict: Verdict
    text: str
    x: float


@dataclass(frozen=True)
class Mark:
    """A version's figure.

    Attributes:
        text: It with its interval.
        x, y: Its place.
        low, high: Places of the interval's ends.
    """

    text: str
    x: float
    y: float
    low: float
    high: float


@dataclass(frozen=True)
class Track:
    """A figure over the versions.

    Attributes:
        column: Which figure.
        marks: One per version; None where it has none.
        steps: Per version the step that leads to it; None for the first and where there is none.
        y: The axis of figures.
        points: SVG points of the line.
    """

    column: Column
    marks: tuple[Mark | None, ...]
    steps: tuple[Step | None, ...]
    y: Axis
    points: str

    @property
    def description(self) -> str:
        """The drawing in words."""
        said = "; ".join("–" if mark is None else mark.text for mark in self.marks)
        steps = "; ".join(step.text for step in self.steps if step is not None)
        return f"{self.column.title} over {len(self.marks)} versions: {said}. Steps: {steps or 'none'}"


@dataclass(frozen=True)
class History:
    """A method on a board, in several versions.

    Attributes:
        label: The method.
        table: The board.
        anchor: The board's name within pages.
        versions: Rows of the board, the oldest first.
        tracks: Its leading figures and its cost.
    """

    label: str
    table: Table
    anchor: str
    versions: tuple[Row, ...]
    tracks: tuple[Track, ...]


def histories(tables: Sequence[tuple[str, Table]]) -> list[History]:
    """Methods with several versions on a board: cells that differ in nothing but the digest of the method's source.

    Args:
        tables: Boards of faithfulness with their names within pages.
    """
    found = []
    for anchor, table in tables:
        groups: dict[str, list[Row]] = {}
        for row in table.rows:
            groups.setdefault(_key(row.result), []).append(row)
        for rows in groups.values():
            if len(rows) > 1:
                rows.sort(key=lambda row: (row.result.created, row.result.cell))
                found.append(_history(anchor, table, rows))
    return found


def _key(result: Result) -> str:
    spec = result.spec
    method = spec.method.model_copy(update={"source": "0" * 64})
    return spec.model_copy(update={"method": method}).model_dump_json()


def _history(anchor: str, table: Table, rows: Sequence[Row]) -> History:
    # the first figure of every group that has a better end
    leading = {column.group: column for column in reversed(table.figures) if column.better}
    tracks = [*(_figures(column, rows) for column in reversed(leading.values())), _costs(rows)]
    return History(rows[0].result.label, table, anchor, tuple(rows), tuple(t for t in tracks if t is not None))


def _figures(column: Column, rows: Sequence[Row]) -> Track | None:
    figures = [row.result.figures.get(column.key) for row in rows]
    known = [figure for figure in figures if figure is not None]
    if not known:
        return None
    y = linear(min(f.low for f in known), max(f.high for f in known), HEIGHT - BOTTOM, TOP, ticks=3)
    marks: list[Mark | None] = []
    for i, figure in enumerate(figures):
        if figure is None:
            marks.append(None)
            continue
        text = f"{number(figure.mean)} ({interval(figure.low, figure.high)})"
        place = _place(i, len(rows))
        marks.append(Mark(text, place, y.place(figure.mean), y.place(figure.low), y.place(figure.high)))
    steps: list[Step | None] = [None]
    steps += [_step(column, rows[i], rows[i + 1], _place(i + 0.5, len(rows))) for i in range(len(rows) - 1)]
    return Track(column, tuple(marks), tuple(steps), y, _line(marks))


def _step(column: Column, before: Row, after: Row, x: float) -> Step | None:
    """The step by the paired interval over the examples that both versions have a figure of."""
    old, new = (numbers(row.stored, column.key) if column.key in row.result.figures else {} for row in (before, after))
    pair = np.array([[new[one], old[one]] for one in new if one in old])
    if not len(pair):
        return None
    found = compare(pair, ("new", "old"), higher_is_better=column.better == "higher")
    change = float(found.differences[0, 1])
    low, high = (float(end) for end in found.difference_intervals[:, 0, 1])
    if abs(change) < LEAST_CHANGE or low <= 0 <= high:
        return None
    verdict: Verdict = "better" if (change > 0) == (column.better == "higher") else "worse"
    sign = "+" if change > 0 else ""
    return Step(verdict, f"{sign}{number(change)} ({interval(low, high)}), {verdict}", x)


def _costs(rows: Sequence[Row]) -> Track | None:
    costs = [None if row.result.cost is None else row.result.cost.forward_equivalents for row in rows]
    known = [cost for cost in costs if cost is not None]
    if not known:
        return None
    y = logarithmic(known, HEIGHT - BOTTOM, TOP, ticks=3)
    marks: list[Mark | None] = []
    for i, cost in enumerate(costs):
        if cost is None:
            marks.append(None)
        else:
            place = y.place(cost)
            marks.append(Mark(f"{significant(cost)}×", _place(i, len(rows)), place, place, place))
    steps: list[Step | None] = [None]
    for i in range(len(rows) - 1):
        old, new = costs[i], costs[i + 1]
        same = _machine(rows[i].result.environment) == _machine(rows[i + 1].result.environment)
        steps.append(_factor(old, new, _place(i + 0.5, len(rows))) if old and new and same else None)
    return Track(COST, tuple(marks), tuple(steps), y, _line(marks))


def _machine(environment: Environment) -> tuple[str | int | None, ...]:
    return (environment.device, environment.driver, environment.torch, environment.transformers, environment.threads)


def _factor(old: float, new: float, x: float) -> Step | None:
    factor = new / old
    if 1 / LEAST_FACTOR < factor < LEAST_FACTOR:
        return None
    verdict: Verdict = "better" if factor < 1 else "worse"
    return Step(verdict, f"{significant(factor)} times the cost, {verdict}", x)


def _place(index: float, of: int) -> float:
    # versions at even distances: several are often made on one day
    return LEFT + (index + 0.5) / of * (WIDTH - LEFT - RIGHT)


def _line(marks: Sequence[Mark | None]) -> str:
    return " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in marks if mark is not None)
