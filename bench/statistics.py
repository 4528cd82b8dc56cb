"""Intervals for means over examples, by the bootstrap of protocol version 1."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95
# draws at once: bounds the memory whatever the number of examples
_DRAWS = 500_000
# draws that may be kept for the next call: two bytes each
_KEPT_DRAWS = 15_000_000


def bootstrap_intervals(
    values: NDArray[np.floating[Any]], *, seed: int = 0, resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """Percentile bootstrap intervals of column means.

    Args:
        values: ``[examples, columns]``, finite.
        seed: Seed of the resamples.
        resamples: Number of resamples.

    Returns:
        ``[2, columns]``: lower and upper end of the 95 % intervals.
    """
    return percentile_intervals(resampled_means(values, seed=seed, resamples=resamples).T)


def resampled_means(
    values: NDArray[np.floating[Any]], *, seed: int | Sequence[int] = 0, resamples: int = RESAMPLES
) -> NDArray[np.float64]:
    """Column means of bootstrap resamples of the rows.

    The same rows are drawn for every column, and for every call with the same seed and number of rows, so that methods
    scored on the same examples are resampled in pairs.

    Args:
        values: ``[examples, columns]``, finite, at least one example.
        seed: Seed of the resamples.
        resamples: Number of resamples; more of them begin with the same ones.

    Returns:
        ``[resamples, columns]``.
    """
    n = len(values)
    means = np.empty((resamples, values.shape[1]))
    start = 0
    for counts in _counts(seed if isinstance(seed, int) else tuple(seed), n, resamples):
        # a product with the values is the sum of the resample
        means[start : start + len(counts)] = counts.astype(np.float64) @ values / n
        start += len(counts)
    return means


def _counts(seed: int | tuple[int, ...], n: int, resamples: int) -> Iterable[NDArray[np.uint16]]:
    """How often each example is drawn, ``[resamples, n]`` in parts."""
    if resamples * n > _KEPT_DRAWS:
        return _drawn(seed, n, resamples)
    return _kept(seed, n, resamples)


@lru_cache(maxsize=2)
def _kept(seed: int | tuple[int, ...], n: int, resamples: int) -> tuple[NDArray[np.uint16], ...]:
    # many tasks of one size are resampled alike, and to draw takes longer than to multiply
    return tuple(_drawn(seed, n, resamples))


def _drawn(seed: int | tuple[int, ...], n: int, resamples: int) -> Iterator[NDArray[np.uint16]]:
    generator = np.random.default_rng(seed)
    rows = max(1, _DRAWS // n)
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = generator.integers(n, size=(size, n)) + n * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(-1, n).astype(np.uint16)


def percentile_intervals(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """95 % percentile intervals.

    Args:
        resampled: ``[columns, resamples]``.

    Returns:
        ``[2, columns]``.
    """
    last, tail = resampled.shape[-1] - 1, 100 * (1 - LEVEL) / 2
    places = [last * (percent / 100) for percent in (tail, 100 - tail)]
    around = [(math.floor(place), min(math.floor(place) + 1, last)) for place in places]
    # as numpy's percentiles, which take half as long again: they move the axis, and sort along the long stride
    sorted_there = np.partition(resampled, sorted({k for pair in around for k in pair}), axis=-1)
    ends = []
    for place, (below, above) in zip(places, around, strict=True):
        low, high, share = sorted_there[..., below], sorted_there[..., above], place - below
        ends.append(low + (high - low) * share if share < 0.5 else high - (high - low) * (1 - share))
    return np.asarray(ends)
