"""Intervals for means over examples, by the bootstrap of protocol version 1."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
LEVEL = 0.95
# resamples drawn at once: bounds the memory at about this many weights times the examples
_CHUNK = 1000


def bootstrap_intervals(values: NDArray[np.floating[Any]], *, seed: int = 0) -> NDArray[np.float64]:
    """Percentile bootstrap intervals of column means.

    The same rows are drawn for every column, and for every call with the same seed and number of rows, so that methods
    scored on the same examples are resampled in pairs.

    Args:
        values: ``[examples, columns]``, finite.
        seed: Seed of the resamples.

    Returns:
        ``[2, columns]``: lower and upper end of the 95 % intervals.
    """
    n = len(values)
    generator = np.random.default_rng(seed)
    means = np.empty((RESAMPLES, values.shape[1]))
    for start in range(0, RESAMPLES, _CHUNK):
        # how often each example is drawn; a product with the values is then the sum of the resample
        drawn = generator.integers(n, size=(_CHUNK, n)) + n * np.arange(_CHUNK)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=_CHUNK * n).reshape(_CHUNK, n)
        means[start : start + _CHUNK] = counts @ values / n
    tail = 100 * (1 - LEVEL) / 2
    return np.asarray(np.percentile(means, [tail, 100 - tail], axis=0))
