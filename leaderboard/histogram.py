"""How many examples have which length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whybench.leaderboard.charts import Chart

_MOST_BARS = 20


@dataclass(frozen=True)
class Histogram:
    """The lengths.

    Attributes:
        chart: A bar for every class; all classes are of the same width.
        numbers: Lengths of every class, and how many examples have them.
        count: How many examples.
        said: The shortest, the longest and the median length, in words.
    """

    chart: Chart
    numbers: tuple[tuple[str, int], ...]
    count: int
    said: str


def histogram(lengths: Sequence[int], unit: str) -> Histogram | None:
    """Count examples by length; None where there is no example.

    Args:
        lengths: Of every example, in units.
        unit: What a unit is.
    """
    if not lengths:
        return None
    values = np.array(lengths)
    shortest, longest = int(values.min()), int(values.max())
    step = _step(longest - shortest + 1)
    first = shortest // step
    counts = np.bincount(values // step - first).tolist()
    lows = [(first + i) * step for i in range(len(counts))]
    said = [f"{low}" if step == 1 else f"{low}–{low + step - 1}" for low in lows]
    there = [i for i, count in enumerate(counts) if count]
    bars = {
        "low": [lows[i] for i in there],
        "high": [lows[i] + step for i in there],
        "lengths": [f"{said[i]} {unit}s" for i in there],
        "examples": [counts[i] for i in there],
    }
    words = f"{shortest} to {longest} {unit}s, median {np.median(values):g}"
    chart = Chart(
        "lengths", f"Lengths of {len(values):,} examples: {words}.", {"bars": [bars]}, {"unit": f"{unit}s per example"}
    )
    return Histogram(chart, tuple(zip(said, counts, strict=True)), len(values), words)


def _step(width: int) -> int:
    """The smallest of 1, 2, 5, 10, … whose classes cover a width with few bars."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if math.ceil(width / (factor * size)) < _MOST_BARS:
                return factor * size
        size *= 10
