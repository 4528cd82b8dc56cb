"""Mean deletion and insertion curves of a method, beside those of references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from whybench.bench.examples_table import lists
from whybench.bench.statistics import bootstrap_intervals
from whybench.bench.store import StoredResult
from whybench.leaderboard.charts import Chart, rounded
from whybench.leaderboard.formatting import interval, number, visible

GRID = np.linspace(0.0, 1.0, 21)
# a band is drawn, not tested: the first of the protocol's resamples will do
BAND_RESAMPLES = 1_000


@dataclass(frozen=True)
class Plot:
    """A method's curves on a board.

    Attributes:
        chart: Its curves with their bands, and those of the references.
        numbers: The method's curves in steps of .1: t, deletion and insertion, each with its interval.
        references: Labels of the references.
    """

    chart: Chart
    numbers: tuple[tuple[str, str, str], ...]
    references: tuple[str, ...]


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
    """A method's curves with their bands, and those of the references of its board behind them."""
    others = [one for one in references if one.result.cell != stored.result.cell]
    names = ("deletion", "insertion")
    groups = [
        _group(name, one, curve, own=one is stored)
        for one in [*others, stored]
        for name, curve in zip(names, curves.of(one), strict=True)
    ]
    deletion, insertion = curves.of(stored)
    numbers = tuple((f"{GRID[i]:.1f}", _number(deletion, i), _number(insertion, i)) for i in range(0, len(GRID), 2))
    said = [_said(name, curve) for name, curve in zip(names, curves.of(stored), strict=True)]
    description = f"Mean curves. {'; '.join(filter(None, said))}"
    chart = Chart("curves", description, {"curves": [group for group in groups if group["t"]]})
    return Plot(chart, numbers, tuple(one.result.label for one in others))


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


def _group(name: str, stored: StoredResult, curve: Curve, *, own: bool) -> dict[str, Any]:
    known = np.isfinite(curve.mean)
    group = {"curve": name, "of": visible(stored.result.label), "own": own, "t": rounded(GRID[known])}
    group["mean"] = rounded(curve.mean[known])
    return group | ({"low": rounded(curve.low[known]), "high": rounded(curve.high[known])} if own else {})


def _said(name: str, curve: Curve) -> str:
    known = np.flatnonzero(np.isfinite(curve.mean))
    if not len(known):
        return ""
    (start, first), (end, last) = ((GRID[i], number(float(curve.mean[i]), 2)) for i in (known[0], known[-1]))
    return f"{name}: mean probability of the prediction from {first} at {start:.0%} to {last} at {end:.0%} of the units"


def _number(curve: Curve, i: int) -> str:
    if not np.isfinite(curve.mean[i]):
        return "–"
    return f"{number(float(curve.mean[i]))} ({interval(float(curve.low[i]), float(curve.high[i]))})"
