"""A logarithmic axis on which 0 has a place of its own."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from whybench.leaderboard.formatting import power

_TICKS = 6
# of the axis' length, for what is exactly 0 and has no logarithm
_ZERO_SHARE = 0.09


@dataclass(frozen=True)
class LogAxis:
    """An axis whose places go from 0 to 1.

    Attributes:
        low, high: Powers of ten at its ends.
        start: Place of the lower one; above 0 where 0 has its place at the beginning.
    """

    low: float
    high: float
    start: float

    def place(self, value: float) -> float:
        """Where a value lies; what lies beyond an end is put there."""
        if value <= 0:
            return 0.0
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + min(1.0, max(0.0, share)) * (1.0 - self.start)

    @property
    def ticks(self) -> list[tuple[str, float]]:
        """Values that are written, as text, with their places."""
        low, high = round(math.log10(self.low)), round(math.log10(self.high))
        powers = range(high, low - 1, -_step(low, high))
        written = [(power(e) if e else "1", round(self.place(10.0**e), 6)) for e in powers]
        return [*written, ("0", 0.0)] if self.start else written


def logarithmic(values: Iterable[float]) -> LogAxis:
    """An axis over whole powers of ten around these values, with a place for 0 where one of them is 0."""
    values = list(values)
    positive = [value for value in values if value > 0]
    least, most = (min(positive), max(positive)) if positive else (0.1, 1.0)
    low, high = math.floor(math.log10(least) + 1e-9), math.ceil(math.log10(most) - 1e-9)
    high = max(high, low + 1)
    # a tick at both ends
    low -= (low - high) % _step(low, high)
    return LogAxis(10.0**low, 10.0**high, _ZERO_SHARE if len(positive) < len(values) else 0.0)


def _step(low: int, high: int) -> int:
    return max(1, math.ceil((high - low) / _TICKS))
