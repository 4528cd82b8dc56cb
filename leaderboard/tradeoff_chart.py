"""The drawing of figure against cost: where points, names and the front lie."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from whybench.leaderboard.charts import Chart, rounded
from whybench.leaderboard.formatting import visible
from whybench.leaderboard.pareto import Area, beside
from whybench.leaderboard.tables import Column, TableCell

# of the plot where names are placed, in pixels: it is about as large on a wide page, and on a narrow one only the names
# of the front are written
WIDTH, HEIGHT, DOT = 540.0, 320.0, 6.0
LETTER, LINE = 6.2, 12.0
_LONGEST = 28
# a name that stands further away than this is tied to its point by a line
_NEAR = 16.0
# of the range of figures or costs, at both ends
_ROOM = 0.06


@dataclass(frozen=True)
class Dot:
    """A method.

    Attributes:
        name: Its name.
        family: Its family.
        figure: Its figure.
        cost: Its cost, at least 0.
        front: Whether it is on the front.
        ranked: Whether it may be.
    """

    name: str
    family: str
    figure: TableCell
    cost: TableCell
    front: bool
    ranked: bool


@dataclass(frozen=True)
class Plot:
    """The area that is drawn on.

    Attributes:
        costs, figures: The ends of the logarithmic axis of costs and of the axis of figures.
    """

    costs: tuple[float, float]
    figures: tuple[float, float]

    def at(self, cost: float, figure: float) -> tuple[float, float]:
        """The place in pixels."""
        low, high = self.costs
        x = WIDTH * math.log(max(cost, low) / low) / math.log(high / low)
        return x, HEIGHT * (self.figures[1] - figure) / (self.figures[1] - self.figures[0])

    def of(self, x: float, y: float) -> tuple[float, float]:
        """Cost and figure at a place."""
        low, high = self.costs
        return low * (high / low) ** (x / WIDTH), self.figures[1] - y / HEIGHT * (self.figures[1] - self.figures[0])


def chart(column: Column, price: Column, dots: Sequence[Dot], levels: Sequence[tuple[str, TableCell]]) -> Chart:
    """The drawing of a figure against a cost.

    Args:
        column: The figure.
        price: The cost.
        dots: The methods, whose figures and costs are known; at least one.
        levels: Yardsticks, whose figures are known: lines over the whole drawing.
    """
    reached = [end for dot in dots for end in (dot.figure.low, dot.figure.value, dot.figure.high)]
    reached += [cell.value for _, cell in levels]
    plot = Plot(_costs([_value(dot.cost) for dot in dots]), _padded([end for end in reached if end is not None]))
    # a cost of 0 has no logarithm: it is drawn at the axis' start, and said as it is
    xs, ys = [max(_value(dot.cost), plot.costs[0]) for dot in dots], [_value(dot.figure) for dot in dots]
    front = sorted({(x, y) for x, y, dot in zip(xs, ys, dots, strict=True) if dot.front})
    # what the front has is had at any higher cost
    corners = [*front, (plot.costs[1], front[-1][1])] if front else []
    intervals = [
        {end: rounded(math.nan if (at := getattr(dot.figure, end)) is None else at for dot in dots)}
        for end in ("low", "high")
    ]
    points: dict[str, Any] = {
        "x": rounded(xs),
        "y": rounded(ys),
        **intervals[0],
        **intervals[1],
        "name": [visible(dot.name, 80) for dot in dots],
        "family": [dot.family for dot in dots],
        "figure": [dot.figure.text for dot in dots],
        "interval": [dot.figure.detail for dot in dots],
        "cost": [dot.cost.text for dot in dots],
        "front": ["yes" if dot.front else "no" if dot.ranked else "not ranked" for dot in dots],
    }
    lines: dict[str, Any] = {
        "y": rounded(_value(cell) for _, cell in levels),
        "name": [visible(name, 80) for name, _ in levels],
        "figure": [cell.text for _, cell in levels],
    }
    data = {
        "points": [points],
        "front": [{"x": rounded(x for x, _ in corners), "y": rounded(y for _, y in corners)}],
        "levels": [lines],
        "labels": [_labels(plot, levels)],
        "names": [_names(plot, dots, corners, levels)],
    }
    best = "; ".join(f"{dot.name}: {dot.figure.text} at {dot.cost.text}" for dot in dots if dot.front)
    said = f"{column.title} of {len(dots)} methods against {price.title.lower()}. On the front: {best or 'none'}"
    given = {
        "figure": f"{column.title} {column.arrow}",
        "cost": f"{price.title}, logarithmic: cheaper to the left",
        "families": sorted({dot.family for dot in dots}),
        "costs": list(plot.costs),
        "figures": list(plot.figures),
    }
    return Chart("tradeoff", said, data, given)


def _value(cell: TableCell) -> float:
    return math.nan if cell.value is None else cell.value


def _costs(costs: Sequence[float]) -> tuple[float, float]:
    positive = [cost for cost in costs if cost > 0] or [1.0]
    low, high = min(positive), max(positive)
    factor = max(1.3, (high / low) ** _ROOM)
    return float(f"{low / factor:.3g}"), float(f"{high * factor:.3g}")


def _padded(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    room = _ROOM * (high - low) or 0.1
    return float(f"{low - room:.4g}"), float(f"{high + room:.4g}")


def _labels(plot: Plot, levels: Sequence[tuple[str, TableCell]]) -> dict[str, list[Any]]:
    """Names of the yardsticks; where two lines are so near that their names would touch, they share one."""
    groups: list[tuple[float, list[str]]] = []
    for name, cell in sorted(levels, key=lambda level: -_value(level[1])):
        y = _value(cell)
        if groups and plot.at(1.0, y)[1] - plot.at(1.0, groups[-1][0])[1] < LINE:
            groups[-1][1].append(name)
        else:
            groups.append((y, [name]))
    return {"y": rounded(y for y, _ in groups), "text": [visible(", ".join(names), 60) for _, names in groups]}


def _names(
    plot: Plot,
    dots: Sequence[Dot],
    corners: Sequence[tuple[float, float]],
    levels: Sequence[tuple[str, TableCell]],
) -> dict[str, list[Any]]:
    """Names beside their points where they cover nothing, in the units of both axes; those of the front first."""
    order = sorted(dots, key=lambda dot: not dot.front)
    centres = [plot.at(_value(dot.cost), _value(dot.figure)) for dot in order]
    texts = [_cut(visible(dot.name)) for dot in order]
    widths = [LETTER * len(text) + 2 for text in texts]
    labels = _labels(plot, levels)
    covered = _steps([plot.at(*corner) for corner in corners])
    for y, text in zip(labels["y"], labels["text"], strict=True):
        base = plot.at(1.0, y)[1]
        covered.append((WIDTH - LETTER * len(text), base - LINE - 3, WIDTH, base))
    placed = beside(centres, widths, LINE, (0.0, 0.0, WIDTH, HEIGHT), DOT, covered)
    names: dict[str, list[Any]] = {name: [] for name in ("x", "y", "text", "front", "to_x", "to_y")}
    for dot, centre, text, place in zip(order, centres, texts, placed, strict=True):
        if place is None:
            continue
        tied = math.dist(place, centre) > _NEAR
        ends = (*plot.of(*place), *(plot.of(*centre) if tied else (math.nan, math.nan)))
        for name, value in zip(("x", "y", "to_x", "to_y"), rounded(ends), strict=True):
            names[name].append(value)
        names["text"].append(text)
        names["front"].append(dot.front)
    return names


def _steps(corners: Sequence[tuple[float, float]]) -> list[Area]:
    """The front's lines, as thin areas."""
    found: list[Area] = []
    for (x, y), (next_x, next_y) in pairwise(corners):
        found.append((x, y - 1, next_x, y + 1))
        found.append((next_x - 1, min(y, next_y), next_x + 1, max(y, next_y)))
    return found


def _cut(name: str) -> str:
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 1]}…"
