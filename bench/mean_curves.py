"""Mean deletion and insertion curves of a cell, with their intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from whybench.bench.examples_table import lists
from whybench.bench.schema import GRID_POINTS, MeanCurve
from whybench.bench.statistics import bootstrap_intervals
from whybench.bench.store import StoredResult

GRID = np.linspace(0.0, 1.0, GRID_POINTS)
# a band is drawn, not tested: the first of the protocol's resamples will do
BAND_RESAMPLES = 1_000


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

    def record(self) -> MeanCurve:
        """The same for a result file, every digit of it."""
        mean, low, high = (
            tuple(None if np.isnan(one) else float(one) for one in row) for row in (self.mean, self.low, self.high)
        )
        return MeanCurve(mean=mean, low=low, high=high)


def mean_curves(stored: StoredResult) -> tuple[Curve, Curve]:
    """Mean deletion and insertion curve: of a published copy those of the cell that it is a copy of."""
    if (published := stored.result.published) is not None:
        return _read(published.deletion), _read(published.insertion)
    table = stored.examples
    units = [None if scores is None else len(scores) for scores in lists(table, "unit_scores")]
    return _mean(table, "removed", units), _mean(table, "kept", units)


def _read(recorded: MeanCurve | None) -> Curve:
    if recorded is None:
        return _nothing()
    mean, low, high = (np.array(row, dtype=np.float64) for row in (recorded.mean, recorded.low, recorded.high))
    return Curve(mean, low, high)


def _nothing() -> Curve:
    nothing = np.full(len(GRID), np.nan)
    return Curve(nothing, nothing, nothing)


def _mean(table: pa.Table, name: str, units: Sequence[int | None]) -> Curve:
    sizes, heights = lists(table, f"{name}_k"), lists(table, f"{name}_p")
    curves = [
        (n, k, p)
        for n, k, p in zip(units, sizes, heights, strict=True)
        if n and k is not None and p is not None and len(k)
    ]
    if not curves:
        return _nothing()
    values = _on_grid(*zip(*curves, strict=True))
    low, high = np.full((2, len(GRID)), np.nan)
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
