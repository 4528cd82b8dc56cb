"""What the engine records per example, and all that a metric may look at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whybench.bench.errors import ParameterError

PERCENTS = (1, 5, 10, 20, 50)
"""The protocol's thresholds Q, in percent of the units."""
GRID = tuple(range(0, 101, 10))
"""The protocol's grid of the two areas, in percent of the units."""

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def k_of(percent: int, n: int) -> int:
    """``k(q) = min(n, max(1, ceil(q·n)))`` in integers, where floating point would round .1·70 up to 8."""
    return min(n, max(1, -(-n * percent // 100)))


def grid_of(n: int) -> list[int]:
    """``ceil(t·n)`` for t = 0, .1, …, 1: the abscissae of the two areas."""
    return [-(-n * percent // 100) for percent in GRID]


@dataclass(frozen=True, eq=False)
class Curves:
    """Probabilities of the frozen target on the perturbed inputs of one example.

    Attributes:
        units: Number of units n.
        removed_k: Sizes k, ascending, with 0 first: nothing removed.
        removed_p: ``p(R(x, top(k)))`` at each of them.
        removed_flipped: Whether the argmax there is not the target any more.
        kept_k: Sizes k, ascending.
        kept_p: ``p(R(x, all - top(k)))`` at each of them: only the k best units are left.
    """

    units: int
    removed_k: Ints
    removed_p: Floats
    removed_flipped: Bools
    kept_k: Ints
    kept_p: Floats

    @property
    def original(self) -> float:
        """``p(x)``."""
        return float(self.removed(np.array([0]))[0])

    def removed(self, k: Ints) -> Floats:
        """``p(R(x, top(k)))`` at the sizes ``k``; ParameterError where one was not recorded."""
        return self.removed_p[_find(self.removed_k, k, "removed")]

    def kept(self, k: Ints) -> Floats:
        """``p(R(x, all - top(k)))`` at the sizes ``k``; ParameterError where one was not recorded."""
        return self.kept_p[_find(self.kept_k, k, "kept")]

    def flipped(self, k: Ints) -> Bools:
        """Whether the decision is another at the sizes ``k``; ParameterError where one was not recorded."""
        return self.removed_flipped[_find(self.removed_k, k, "removed")]


def _find(recorded: Ints, wanted: Ints, name: str) -> Ints:
    at = np.searchsorted(recorded, wanted)
    if len(recorded) == 0 or (at == len(recorded)).any() or (recorded[at] != wanted).any():
        raise ParameterError(
            f"the curve {name!r} has no point at k = {sorted(set(wanted.tolist()) - set(recorded.tolist()))}; "
            f"recorded are k = {recorded.tolist()}. Record the sizes that the metric asks for."
        )
    return at.astype(np.int64)
