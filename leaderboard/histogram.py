"""How many examples have which length: the geometry of a small drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from whybench.leaderboard.axis import Axis, linear

WIDTH, HEIGHT = 400, 150
LEFT, RIGHT, TOP, BOTTOM = 40, 12, 10, 36
_MOST_BARS = 20


@dataclass(frozen=True)
class Bar:
    """A class of lengths.

    Attributes:
        text: The lengths.
        count: How many examples.
        x, y, width, height: Its rectangle.
    """

    text: str
    count: int
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True)
class Histogram:
    """The drawing.

    Attributes:
        bars: The classes, all of the same width.
        x, y: Axes.
        count: How many examples.
        median, shortest, longest: Of their lengths.
    """

    bars: tuple[Bar, ...]
    x: Axis
    y: Axis
    count: int
    median: float
    shortest: int
    longest: int


def histogram(lengths: Sequence[int]) -> Histogram | None:
    """Draw counts by length; None where there is no example.

    Args:
        lengths: Of every example, in units.
    """
    if not lengths:
        return None
    values = np.array(lengths)
    shortest, longest = int(values.min()), int(values.max())
    step = _step(longest - shortest + 1)
    first = shortest // step
    counts = np.bincount(values // step - first)
    x = linear(first * step, (first + len(counts)) * step, LEFT, WIDTH - RIGHT)
    # at least 3, so that every tick is a whole number
    y = linear(0, max(3, int(counts.max())), HEIGHT - BOTTOM, TOP, ticks=3)
    bars = []
    for i, count in enumerate(counts.tolist()):
        low = (first + i) * step
        left, top = x.place(low), y.place(count)
        said = f"{low}" if step == 1 else f"{low}–{low + step - 1}"
        # a gap between bars that can be told apart
        width = max(0.6, x.place(low + step) - left - 1)
        bars.append(Bar(said, count, left, top, width, HEIGHT - BOTTOM - top))
    return Histogram(tuple(bars), x, y, len(values), float(np.median(values)), shortest, longest)


def _step(width: int) -> int:
    """The smallest of 1, 2, 5, 10, … whose classes cover a width with few bars."""
    size = 1
    while True:
        for factor in (1, 2, 5):
            if math.ceil(width / (factor * size)) < _MOST_BARS:
                return factor * size
        size *= 10
