"""The page of versions: figures and cost of a method whose source changed, with the steps that are no chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

from whybench.bench.matching import identity
from whybench.bench.paired import score_intervals
from whybench.bench.thresholds import Thresholds, read_thresholds
from whybench.leaderboard.axis import Axis, linear, logarithmic
from whybench.leaderboard.columns import numbers
from whybench.leaderboard.formatting import interval, number, significant
from whybench.leaderboard.tables import Column, Row, Table

TITLE = "What changed?"
WIDTH, HEIGHT = 400, 150
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 14, 32
Verdict = Literal["better", "worse"]
FLOPS = Column("flops", "GFLOPs", "Cost", "lower", "10⁹ floating-point operations per example, counted")
# one run says nothing of how times stray: they are drawn, and no step is marked
TIME = Column("forward_equivalents", "Forward equivalents", "Cost", "lower", "time over that of a plain forward pass")


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
        tracks: Its leading figures and its costs.
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
    by_anchor = dict(tables)
    groups: dict[tuple[str, str], dict[str, Row]] = {}
    for anchor, table in tables:
        for row in table.rows:
            versions = groups.setdefault((anchor, identity(row.result.spec)), {})
            # of one version that was scored with several sets of metrics the fullest counts
            source = row.result.spec.method.source
            if source not in versions or len(row.result.figures) > len(versions[source].result.figures):
                versions[source] = row
    several = {key: list(versions.values()) for key, versions in groups.items() if len(versions) > 1}
    for rows in several.values():
        rows.sort(key=lambda row: (row.result.created, row.result.cell))
    # every step of every figure is tested, and the intervals hold for all of them together
    leading = {key: _leading(by_anchor[key[0]]) for key in several}
    tests = sum((len(rows) - 1) * len(leading[key]) for key, rows in several.items())
    thresholds = read_thresholds()
    found = []
    for key, rows in several.items():
        tracks = [_figures(column, rows, thresholds, tests) for column in leading[key]]
        tracks += [_costs(column, rows, thresholds) for column in (FLOPS, TIME)]
        drawn = tuple(track for track in tracks if track is not None)
        found.append(History(rows[0].result.label, by_anchor[key[0]], key[0], tuple(rows), drawn))
    return found


def _leading(table: Table) -> list[Column]:
    """The first figure of every group that has a better end."""
    found: dict[str, Column] = {}
    for column in table.figures:
        if column.better:
            found.setdefault(column.group, column)
    return list(found.values())


def _figures(column: Column, rows: Sequence[Row], thresholds: Thresholds, tests: int) -> Track | None:
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
    for i in range(len(rows) - 1):
        x = _place(i + 0.5, len(rows))
        steps.append(_step(column, rows[i], rows[i + 1], x, thresholds.scores[column.key], tests))
    return Track(column, tuple(marks), tuple(steps), y, _line(marks))


def _step(column: Column, before: Row, after: Row, x: float, least: float, tests: int) -> Step | None:
    """The step by the paired interval over the examples that both versions have a figure of."""
    if any(column.key not in row.result.figures for row in (before, after)):
        return None
    old, new = (numbers(row.stored, column.key) for row in (before, after))
    both = [one for one in old if one in new]
    if not both:
        return None
    means, halves = score_intervals(np.array([[new[one] - old[one]] for one in both]), tests)
    change, half = float(means[0]), float(halves[0])
    # a change of just the threshold must not hang on how its difference was rounded
    if abs(change) < least * (1 - 1e-9) or abs(change) <= half:
        return None
    verdict: Verdict = "better" if (change > 0) == (column.better == "higher") else "worse"
    sign = "+" if change > 0 else ""
    return Step(verdict, f"{sign}{number(change)} ({interval(change - half, change + half)}), {verdict}", x)


def _costs(column: Column, rows: Sequence[Row], thresholds: Thresholds) -> Track | None:
    unit = 1e9 if column is FLOPS else 1.0
    costs = [row.result.cost for row in rows]
    values = [None if cost is None else getattr(cost, column.key) / unit for cost in costs]
    known = [value for value in values if value is not None]
    if not known or not any(known):
        return None
    y = logarithmic(known, HEIGHT - BOTTOM, TOP, ticks=3)
    marks: list[Mark | None] = []
    for i, value in enumerate(values):
        if value is None:
            marks.append(None)
        else:
            text = f"{significant(value)}×" if column is TIME else significant(value)
            place = y.place(value)
            marks.append(Mark(text, _place(i, len(rows)), place, place, place))
    steps: list[Step | None] = [None] * len(rows)
    if column.key in thresholds.counts:
        for i, (old, new) in enumerate(pairwise(values)):
            if old and new:
                steps[i + 1] = _factor(old, new, thresholds.counts[column.key], _place(i + 0.5, len(rows)))
    return Track(column, tuple(marks), tuple(steps), y, _line(marks))


def _factor(old: float, new: float, least: float, x: float) -> Step | None:
    """The step of an exact count, which has no noise."""
    factor = new / old
    if 1 / least < factor < least:
        return None
    verdict: Verdict = "better" if factor < 1 else "worse"
    return Step(verdict, f"× {significant(factor)}, {verdict}", x)


def _place(index: float, of: int) -> float:
    # versions at even distances: several are often made on one day
    return LEFT + (index + 0.5) / of * (WIDTH - LEFT - RIGHT)


def _line(marks: Sequence[Mark | None]) -> str:
    return " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in marks if mark is not None)
