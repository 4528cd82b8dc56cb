"""What the engine records per example, and all that a metric may look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whybench.bench.errors import NotRecordedError

PERCENTS = (1, 5, 10, 20, 50)
"""The protocol's thresholds Q, in percent of the units."""
GRID = tuple(range(0, 101, 10))
"""The protocol's grid of the two areas, in percent of the units."""

SUBSETS = 64
"""Random subsets of an example's units that infidelity is a mean over."""
SOFT_DRAWS = 16
"""Draws of the soft removals."""
SOFT = ("removed", "kept", "removed_permuted", "kept_permuted")
"""Rows of `Curves.soft_p`: elements kept by 1 − ã, by ã, and both with ã permuted."""

Field = Literal["removed", "kept", "single", "drawn", "soft"]
"""Parts of the `Curves`; their points are sizes k, sizes k, units, subsets and draws."""

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
    """Probabilities of the frozen target on the perturbed inputs of one example, and the scores that chose them.

    What was not asked for is empty.

    Attributes:
        units: Number of units n.
        removed_k: Sizes k, ascending, with 0 first: nothing removed.
        removed_p: ``p(R(x, top(k)))`` at each of them.
        removed_flipped: Whether the argmax there is not the target any more.
        kept_k: Sizes k, ascending.
        kept_p: ``p(R(x, all - top(k)))`` at each of them: only the k best units are left.
        scores: The units' scores, ``[units]``.
        single_p: ``p(R(x, {i}))`` for each unit i, ``[units]``.
        drawn_units: Random subsets of the units (`whybench.bench.agreement.subsets`), ``[subsets, units]``.
        drawn_p: ``p(R(x, K))`` for each subset K, ``[subsets]``.
        soft_p: ``p`` on softly removed inputs (see `whybench.bench.soft`), ``[4, draws]``, rows as in `SOFT`.
    """

    units: int
    removed_k: Ints
    removed_p: Floats
    removed_flipped: Bools
    kept_k: Ints
    kept_p: Floats
    scores: Floats = field(default_factory=lambda: np.zeros(0))
    single_p: Floats = field(default_factory=lambda: np.zeros(0))
    drawn_units: Bools = field(default_factory=lambda: np.zeros((0, 0), dtype=bool))
    drawn_p: Floats = field(default_factory=lambda: np.zeros(0))
    soft_p: Floats = field(default_factory=lambda: np.zeros((len(SOFT), 0)))

    @property
    def original(self) -> float:
        """``p(x)``."""
        return float(self.removed(np.array([0]))[0])

    def removed(self, k: Ints) -> Floats:
        """``p(R(x, top(k)))`` at the sizes ``k``; NotRecordedError where one was not recorded."""
        return self.removed_p[_find(self.removed_k, k, "removed")]

    def kept(self, k: Ints) -> Floats:
        """``p(R(x, all - top(k)))`` at the sizes ``k``; NotRecordedError where one was not recorded."""
        return self.kept_p[_find(self.kept_k, k, "kept")]

    def flipped(self, k: Ints) -> Bools:
        """Whether the decision is another at the sizes ``k``; NotRecordedError where one was not recorded."""
        return self.removed_flipped[_find(self.removed_k, k, "removed")]

    def unit_scores(self) -> Floats:
        """The units' scores; NotRecordedError where they are not there."""
        return _whole("scores", self.scores, self.units)

    def single_drops(self) -> Floats:
        """``p(x) - p(R(x, {i}))`` for each unit i; NotRecordedError where it was not recorded."""
        return self.original - _whole("single", self.single_p, self.units)

    def drawn_drops(self) -> tuple[Bools, Floats]:
        """Random subsets and ``p(x) - p(R(x, K))`` for each; NotRecordedError where they were not recorded."""
        return self.drawn_units, self.original - _whole("drawn", self.drawn_p, SUBSETS)

    def soft(self, row: str) -> Floats:
        """A row of `SOFT`, ``[draws]``; NotRecordedError where it was not recorded."""
        return _whole("soft", self.soft_p[SOFT.index(row)], SOFT_DRAWS)


def _whole(name: str, recorded: Floats, wanted: int) -> Floats:
    if len(recorded) != wanted:
        raise NotRecordedError(
            f"{name!r} has {len(recorded)} of {wanted} points. Run the example again with a metric that records it."
        )
    return recorded


def _find(recorded: Ints, wanted: Ints, name: str) -> Ints:
    at = np.searchsorted(recorded, wanted)
    if len(recorded) == 0 or (at == len(recorded)).any() or (recorded[at] != wanted).any():
        raise NotRecordedError(
            f"the curve {name!r} has no point at k = {sorted(set(wanted.tolist()) - set(recorded.tolist()))}; "
            f"recorded are k = {recorded.tolist()}. Record the sizes that the metric asks for."
        )
    return at.astype(np.int64)
