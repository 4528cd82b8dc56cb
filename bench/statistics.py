"""Intervals for means over examples, by the bootstrap of protocol version 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95
# draws at once: bounds the memory whatever the number of examples
_DRAWS = 500_000


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
    generator = np.random.default_rng(seed)
    means = np.empty((resamples, values.shape[1]))
    rows = max(1, _DRAWS // n)
    for start in range(0, resamples, rows):
        stop = min(start + rows, resamples)
        # how often each example is drawn; a product with the values is then the sum of the resample
        drawn = generator.integers(n, size=(stop - start, n)) + n * np.arange(stop - start)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=(stop - start) * n).reshape(-1, n)
        means[start:stop] = counts.astype(np.float64) @ values / n
    return means


def percentile_intervals(resampled: NDArray[np.float64]) -> NDArray[np.float64]:
    """95 % percentile intervals.

    Args:
        resampled: ``[columns, resamples]``.

    Returns:
        ``[2, columns]``.
    """
    tail = 100 * (1 - LEVEL) / 2
    return np.asarray(np.percentile(resampled, [tail, 100 - tail], axis=-1))
