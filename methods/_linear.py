"""Metrics that are a weighted sum of probabilities at growing sets of units, as a search needs them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whybench.bench.curves import Curves, Field, Floats
from whybench.bench.errors import ParameterError
from whybench.bench.metric import FaithfulnessMetric

_TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class Linear:
    """A metric of texts of one length, as a sum over what is left when ever more units are removed.

    Attributes:
        units: Number of units n.
        best_first: Whether the best units are removed first, or the worst.
        weights: What a probability of 1 counts with so many units removed, ``[n + 1]``; turned so that more is better.
    """

    units: int
    best_first: bool
    weights: Floats

    @property
    def last(self) -> int:
        """The largest number of removed units, below n, that counts: with all removed there is nothing to choose."""
        counting = np.flatnonzero(self.weights[1 : self.units])
        return int(counting[-1]) + 1 if len(counting) else 0


def linear(metric: FaithfulnessMetric, units: int) -> Linear:
    """The weights of a metric, found by asking it.

    Raises:
        ParameterError: The metric is not a weighted sum of the probabilities on one curve, or has no better end.
    """
    needs = metric.needs(units)
    part: Field = "removed" if "removed" in needs else "kept"
    if metric.higher_is_better is None or set(needs) != {part} or part not in ("removed", "kept"):
        raise _no_search(metric)
    sizes = np.array(sorted({*needs[part], 0}))

    def value(probabilities: Floats) -> float | None:
        # p(x) is 0: it is the same for all orders, and does not count
        whole = np.array([0]), np.zeros(1)
        removed, kept = ((sizes, probabilities), whole) if part == "removed" else (whole, (sizes, probabilities))
        return metric.value(Curves(units, *removed, np.zeros(len(removed[0]), dtype=bool), *kept))

    points = np.eye(len(sizes))
    chance = np.random.default_rng(0).random(len(sizes))
    if part == "removed":
        points[0, 0] = chance[0] = 0.0
    found = [value(row) for row in (np.zeros(len(sizes)), chance, *points)]
    numbers = np.array([np.nan if one is None else one for one in found])
    zero, drawn, shares = numbers[0], numbers[1], numbers[2:] - numbers[0]
    # one that is no such sum, or undefined somewhere, or of decisions, does not give on chance what its parts add up to
    if not abs(drawn - zero - shares @ chance) <= _TOLERANCE or not shares.any():
        raise _no_search(metric)
    weights = np.zeros(units + 1)
    weights[sizes if part == "removed" else units - sizes] = shares if metric.higher_is_better else -shares
    return Linear(units, part == "removed", weights)


def _no_search(metric: FaithfulnessMetric) -> ParameterError:
    return ParameterError(
        f"{metric.name} is not a weighted sum of the probabilities on one curve, and there is no search for its best "
        "order; use comprehensiveness, sufficiency, deletion_auc or insertion_auc."
    )
