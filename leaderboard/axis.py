"""Axes of small drawings: where a value lies, and which values are written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from whybench.leaderboard.formatting import power

_STEPS = (1.0, 2.0, 5.0, 10.0)
# of a logarithmic axis' length, for what is exactly 0 and has no logarithm
_ZERO_SHARE = 0.09


@dataclass(frozen=True)
class Axis:
    """An axis.

    Attributes:
        low, high: Values at its ends; positive where it is logarithmic.
        start, end: Places of these values in the drawing; ``start`` may be the larger one, as on a y axis.
        scale: ``linear`` or ``log``.
        ticks: Values that are written, as text, with their places.
        zero: Place of exactly 0 on a logarithmic axis that has one.
    """

    low: float
    high: float
    start: float
    end: float
    scale: Literal["linear", "log"]
    ticks: tuple[tuple[str, float], ...] = ()
    zero: float | None = None

    def place(self, value: float) -> float:
        """Where a value lies; what lies beyond an end is put there.

        On a logarithmic axis a value of 0 is put at its own place, apart from all others.
        """
        if self.scale == "log":
            if value <= 0:
                return self.start if self.zero is None else self.zero
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)


def linear(low: float, high: float, start: float, end: float, ticks: int = 5) -> Axis:
    """An axis over at least ``[low, high]`` that ends at round numbers, with about as many ticks as are asked for."""
    width = (high - low) or 1.0
    rough = width / ticks
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in _STEPS if factor * size >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil((low + width) / step - 1e-9)
    bare = Axis(first * step, last * step, start, end, "linear")
    written = [(f"{i * step:g}".replace("-", "\u2212"), bare.place(i * step)) for i in range(first, last + 1)]
    return Axis(bare.low, bare.high, start, end, "linear", tuple(written))


def logarithmic(values: Iterable[float], start: float, end: float, ticks: int = 6) -> Axis:
    """An axis over whole powers of ten around these values; zeros among them get a place of their own at its start."""
    values = list(values)
    positive = [value for value in values if value > 0]
    least, most = (min(positive), max(positive)) if positive else (0.1, 1.0)
    low, high = math.floor(math.log10(least) + 1e-9), math.ceil(math.log10(most) - 1e-9)
    high = max(high, low + 1)
    zero = start if len(positive) < len(values) else None
    if zero is not None:
        start += _ZERO_SHARE * (end - start)
    step = max(1, math.ceil((high - low) / ticks))
    # a tick at both ends
    low -= (low - high) % step
    bare = Axis(10.0**low, 10.0**high, start, end, "log", zero=zero)
    written = [(power(e) if e else "1", bare.place(10.0**e)) for e in range(high, low - 1, -step)]
    if zero is not None:
        written.append(("0", zero))
    return Axis(bare.low, bare.high, start, end, "log", tuple(written), zero)


def thinned(places: Sequence[tuple[float, int]], room: float) -> list[int]:
    """Names of the places that can be written without touching; the earlier in the sequence has the right of way.

    Args:
        places: Place and name of each, the most important first.
        room: Least distance between two places.

    Returns:
        The names, in ascending order.
    """
    kept: list[tuple[float, int]] = []
    for place, name in places:
        if all(abs(place - other) >= room for other, _ in kept):
            kept.append((place, name))
    return sorted(name for _, name in kept)
