"""Shapley values by sampled orders in which the units join."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.choices import OperatorName
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Bools, Floats, Ints
from whybench.bench.method import Method
from whybench.methods._coalitions import (
    check_at_least_one,
    ends,
    generator_for,
    target_probabilities,
    token_scores,
)


class ShapleySampling(Method):
    """What a unit adds to the target's probability when it joins those before it, in the mean over random orders.

    Nothing of the text is there at first and all of it at last, so that the scores add up to ``p(x)`` minus the
    probability when nothing is left, and each is an unbiased estimate of the Shapley value. An order of n units takes
    n - 1 forward passes. A unit's score is shared equally among its tokens.

    Source: Castro, Gómez & Tejada 2009, "Polynomial calculation of the Shapley value based on sampling"
    (doi:10.1016/j.cor.2008.04.004). Signed: positive supports the target. Runs only where it is asked for by name, as
    kernel_shap estimates the same at a cost that does not grow with the text's length.

    Attributes:
        orders: Random orders of an example's units.
        operator: How units are removed; None takes the protocol's default for the tokenizer.
        seed: Of the orders; each example has a stream of its own.
    """

    name, family, signed = "shapley_sampling", "perturbation", True
    default = False

    orders: int = 10
    operator: OperatorName | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least_one(self.name, orders=self.orders)

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Differences of probabilities, ``[batch, tokens]``."""
        orders = [
            generator_for(self.name, self.seed, example).permuted(np.tile(np.arange(n), (self.orders, 1)), axis=1)
            for n, example in zip(batch.unit_counts().tolist(), batch.ids, strict=True)
        ]
        sets = [np.vstack((ends(own.shape[1]), on_the_way(own))) for own in orders]
        values = target_probabilities(classifier, batch, self.operator, sets)
        scores = [
            order_values(own, answers[2:], answers[0], answers[1]) for own, answers in zip(orders, values, strict=True)
        ]
        return token_scores(batch, scores)


def on_the_way(orders: Ints) -> Bools:
    """The coalitions between nothing and all of the units joining, ``[orders * (units - 1), units]``."""
    count, units = orders.shape
    # place of each unit in its order
    places = orders.argsort(axis=1)
    joined: Bools = places[:, None, :] <= np.arange(units - 1)[None, :, None]
    return joined.reshape(count * max(units - 1, 0), units)


def order_values(orders: Ints, answers: Floats, whole: float, empty: float) -> Floats:
    """The mean over orders of what each unit adds, ``[units]``.

    Args:
        orders: Units as they join, ``[orders, units]``.
        answers: The worth of the coalitions `on_the_way`, ``[orders * (units - 1)]``.
        whole: The worth of all units.
        empty: The worth of none.
    """
    count, units = orders.shape
    if units == 0:
        return np.empty(0)
    between = answers.reshape(count, units - 1)
    path = np.hstack((np.full((count, 1), empty), between, np.full((count, 1), whole)))
    added = np.take_along_axis(np.diff(path, axis=1), orders.argsort(axis=1), axis=1)
    scores: Floats = added.mean(axis=0)
    return scores
