"""Mean deletion and insertion curves, as the geometry of a small drawing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from whybench.bench.examples_table import lists
from whybench.bench.statistics import bootstrap_intervals
from whybench.bench.store import StoredResult
from whybench.leaderboard.formatting import interval, number

GRID = np.linspace(0.0, 1.0, 21)
WIDTH, HEIGHT = 360, 220
LEFT, RIGHT, TOP, BOTTOM = 34, 12, 10, 34
# a band is drawn, not tested: the first of the protocol's resamples will do
BAND_RESAMPLES = 1_000


@dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        name: ``deletion`` or ``insertion``.
        reference: Whether it is a reference's, for comparison.
        label: Whose it is.
        points: Points of an SVG polyline.
        values: Shares of units t and mean probabilities there.
        band: Points of an SVG polygon, the 95 % interval of the mean at every t; empty for a reference.
    """

    name: str
    reference: bool
    label: str
    points: str
    values: tuple[tuple[float, float], ...]
    band: str = ""


@dataclass(frozen=True)
class Plot:
    """The drawing of a method's curves on a board.

    Attributes:
        lines: The references' first, so that the method's lie on top.
        ticks: Grid values on both axes, with their places on the x and the y axis.
        numbers: The method's curves in steps of .1: t, deletion and insertion, each with its interval.
    """

    lines: tuple[Line, ...]
    ticks: tuple[tuple[str, float, float], ...]
    numbers: tuple[tuple[str, str, str], ...]

    @property
    def description(self) -> str:
        """The drawing in words."""
        own = [line for line in self.lines if not line.reference and line.values]
        return "; ".join(
            f"{line.name}: mean probability of the prediction from {number(line.values[0][1], 2)} at "
            f"{line.values[0][0]:.0%} to {number(line.values[-1][1], 2)} at {line.values[-1][0]:.0%} of the units"
            for line in own
        )


@dataclass(frozen=True, eq=False)
class Curve:
    """A mean curve on `GRID`; NaN where an example has no recorded point on either side.

    Attributes:
        mean: Mean probabilities.
        low, high: Ends of their 95 % intervals, point by point.
    """

    mean: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


class MeanCurves:
    """Mean curves of cells, each computed once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Curve, Curve]] = {}

    def of(self, stored: StoredResult) -> tuple[Curve, Curve]:
        """Mean deletion and insertion curve."""
        if stored.result.cell not in self._known:
            table = stored.examples
            units = [None if scores is None else len(scores) for scores in lists(table, "unit_scores")]
            self._known[stored.result.cell] = (_mean(table, "removed", units), _mean(table, "kept", units))
        return self._known[stored.result.cell]


def plot(stored: StoredResult, references: Sequence[StoredResult], curves: MeanCurves) -> Plot:
    """Draw a method's curves with their bands, and those of the references of its board behind them."""
    lines = []
    for one in [*(r for r in references if r.result.cell != stored.result.cell), stored]:
        for name, curve in zip(("deletion", "insertion"), curves.of(one), strict=True):
            lines.append(_line(name, one is not stored, one.result.label, curve))
    deletion, insertion = curves.of(stored)
    numbers = tuple((f"{GRID[i]:.1f}", _number(deletion, i), _number(insertion, i)) for i in range(0, len(GRID), 2))
    ticks = tuple((f"{value:g}", _x(value), _y(value)) for value in (0.0, 0.25, 0.5, 0.75, 1.0))
    return Plot(tuple(lines), ticks, numbers)


def _mean(table: pa.Table, name: str, units: Sequence[int | None]) -> Curve:
    sizes, heights = lists(table, f"{name}_k"), lists(table, f"{name}_p")
    curves = [
        (n, k, p)
        for n, k, p in zip(units, sizes, heights, strict=True)
        if n and k is not None and p is not None and len(k)
    ]
    nothing = np.full(len(GRID), np.nan)
    if not curves:
        return Curve(nothing, nothing, nothing)
    values = _on_grid(*zip(*curves, strict=True))
    low, high = nothing.copy(), nothing.copy()
    known = np.isfinite(values).all(axis=0)
    if known.any():
        low[known], high[known] = bootstrap_intervals(values[:, known], resamples=BAND_RESAMPLES)
    return Curve(values.mean(axis=0), low, high)


def _on_grid(
    units: Sequence[int], sizes: Sequence[NDArray[np.float64]], heights: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Curves straight between recorded sizes, ``[curves, grid]``, all at once.

    Outside the recorded sizes nothing is known, and nothing is drawn.
    """
    n = np.array(units, dtype=np.float64)[:, None]
    counts = np.array([len(k) for k in sizes])
    first = np.cumsum(counts) - counts
    k, p = np.concatenate(sizes), np.concatenate(heights)
    places = GRID * n
    # one curve behind the other, so that one search finds the places of all
    behind = np.cumsum(n[:, 0] + 1) - n[:, 0] - 1
    found = np.searchsorted(k + np.repeat(behind, counts), (places + behind[:, None]).ravel(), side="right") - 1
    left = np.clip(found.reshape(places.shape), first[:, None], (first + np.maximum(counts - 2, 0))[:, None])
    right = np.minimum(left + 1, (first + counts - 1)[:, None])
    steps = k[right] - k[left]
    slopes = np.divide(p[right] - p[left], steps, out=np.zeros(places.shape), where=steps > 0)
    outside = (places < k[first][:, None]) | (places > k[first + counts - 1][:, None])
    return np.where(outside, np.nan, p[left] + slopes * (places - k[left]))


def _line(name: str, reference: bool, label: str, curve: Curve) -> Line:
    known = np.flatnonzero(np.isfinite(curve.mean))
    values = tuple((float(GRID[i]), float(curve.mean[i])) for i in known)
    points = " ".join(f"{_x(t):.1f},{_y(p):.1f}" for t, p in values)
    ends = [(GRID[i], curve.low[i]) for i in known] + [(GRID[i], curve.high[i]) for i in known[::-1]]
    band = "" if reference else " ".join(f"{_x(t):.1f},{_y(p):.1f}" for t, p in ends)
    return Line(name, reference, label, points, values, band)


def _number(curve: Curve, i: int) -> str:
    if not np.isfinite(curve.mean[i]):
        return "–"
    return f"{number(float(curve.mean[i]))} ({interval(float(curve.low[i]), float(curve.high[i]))})"


def _x(share: float) -> float:
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _y(probability: float) -> float:
    return TOP + (1 - probability) * (HEIGHT - TOP - BOTTOM)
