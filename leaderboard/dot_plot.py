"""Figures with their intervals, a line for each method: the geometry of a small drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from whybench.leaderboard.axis import Axis, linear, logarithmic
from whybench.leaderboard.formatting import measured

WIDTH, LEFT, RIGHT, TOP, ROW, BOTTOM = 400, 124, 12, 8, 28, 24
# distance between the marks of one line, so that none hides another
_APART = 7.0


class Estimate(Protocol):
    """What is drawn: a mean, and the ends of its interval, which need not hold it."""

    @property
    def mean(self) -> float:
        """Where the mark is."""

    @property
    def low(self) -> float:
        """Where the line begins."""

    @property
    def high(self) -> float:
        """Where the line ends."""


@dataclass(frozen=True)
class Mark:
    """A figure of a series.

    Attributes:
        series: Which series, from 0: the shape and the colour.
        low, x, high: Places of the interval's ends and of the mean.
        y: Its height in the drawing.
        text: What it is, in words.
    """

    series: int
    low: float
    x: float
    high: float
    y: float
    text: str


@dataclass(frozen=True)
class DotRow:
    """A line: its name, the place of the name, and its marks."""

    name: str
    y: float
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class DotPlot:
    """A drawing.

    Attributes:
        series: Names of the series.
        rows: From top to bottom.
        axis: The values' axis.
        height: Height of the drawing; its width is `WIDTH`.
        left: Where the names end and the axis begins.
    """

    series: tuple[str, ...]
    rows: tuple[DotRow, ...]
    axis: Axis
    height: float
    left: int = LEFT

    @property
    def bottom(self) -> float:
        """Where the axis lies."""
        return self.height - BOTTOM

    @property
    def description(self) -> str:
        """The drawing in words."""
        return "; ".join(f"{row.name}: {', '.join(mark.text for mark in row.marks)}" for row in self.rows)


def dot_plot(
    rows: Sequence[tuple[str, Sequence[Estimate | None]]],
    series: Sequence[str],
    ends: tuple[float, float] | None = None,
    scale: Literal["linear", "log"] = "linear",
    left: int = LEFT,
) -> DotPlot | None:
    """Draw figures, one line per row and one mark per series; None where there is nothing to draw.

    Args:
        rows: Name and figures of each line; a figure that is None is left out.
        series: Names of the figures of a line.
        ends: Values that a linear axis reaches at least.
        scale: Of the axis.
        left: Room for the names.
    """
    rows = [(name, figures) for name, figures in rows if any(figures)]
    found = [figure for _, figures in rows for figure in figures if figure is not None]
    if not found:
        return None
    if scale == "log":
        # not the lower ends: an interval may reach down to 0 or to a rounding error, and is cut at the axis' start
        axis = logarithmic((end for figure in found for end in (figure.mean, figure.high)), left, WIDTH - RIGHT)
    else:
        reached = (*(end for figure in found for end in (figure.low, figure.high)), *(ends or ()))
        axis = linear(min(reached), max(reached), left, WIDTH - RIGHT)
    drawn = []
    for index, (name, figures) in enumerate(rows):
        y = TOP + (index + 0.5) * ROW
        marks = [
            Mark(
                i,
                axis.place(figure.low),
                axis.place(figure.mean),
                axis.place(figure.high),
                y + _APART * (i - (len(series) - 1) / 2),
                f"{series[i]} {measured(figure.mean)} ({measured(figure.low)} to {measured(figure.high)})",
            )
            for i, figure in enumerate(figures)
            if figure is not None
        ]
        drawn.append(DotRow(name, y, tuple(marks)))
    return DotPlot(tuple(series), tuple(drawn), axis, TOP + ROW * len(rows) + BOTTOM, left)
