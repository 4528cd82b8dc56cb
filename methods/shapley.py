"""Exact Shapley values of the units, from all coalitions: the truth that sampled ones are compared with."""

from __future__ import annotations

import math

import numpy as np

from whybench.bench.batch import Batch
from whybench.bench.choices import OperatorName
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Floats
from whybench.bench.errors import ParameterError
from whybench.bench.method import Attribution, ReportingMethod
from whybench.methods._coalitions import all_coalitions, target_probabilities, token_scores

# 65,536 inputs for one text; what is beyond is minutes for a sentence and does not fit into memory as one batch
MOST_UNITS = 16


class Shapley(ReportingMethod):
    """``φ_i = Σ_S |S|! (n-|S|-1)! / n! · (v(S + i) - v(S))`` over all sets S of the other units.

    ``v(S)`` is the target's probability when only the units of S are left. The scores add up to ``p(x)`` minus the
    probability when nothing is left; a unit's score is shared equally among its tokens.

    Source: Shapley 1953, "A value for n-person games"; on features Lundberg & Lee 2017, arXiv:1705.07874.
    Signed: positive supports the target. An example takes 2^n forward passes, and fails where n is above ``most``; that
    is why the method runs only where it is asked for by name.

    Attributes:
        most: Most units that an example may have, at most 16.
        operator: How units are removed; None takes the protocol's default for the tokenizer.
    """

    name, family, signed = "shapley", "perturbation", True
    default = False

    most: int = 12
    operator: OperatorName | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.most <= MOST_UNITS:
            raise ParameterError(
                f"shapley: most is {self.most}; it must be from 1 to {MOST_UNITS}, as n units take 2^n forward passes. "
                "Use kernel_shap or shapley_sampling for longer texts."
            )

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Differences of probabilities, ``[batch, tokens]``; NaN on examples that have too many units."""
        counts = batch.unit_counts().tolist()
        failed = {
            index: f"it has {n} units, and all their sets are taken for at most {self.most} (most={self.most})."
            for index, n in enumerate(counts)
            if n > self.most
        }
        coalitions = [
            np.empty((0, n), dtype=bool) if index in failed else all_coalitions(n) for index, n in enumerate(counts)
        ]
        values = target_probabilities(classifier, batch, self.operator, coalitions)
        scores = [
            np.full(n, np.nan) if index in failed else shapley_values(own)
            for index, (n, own) in enumerate(zip(counts, values, strict=True))
        ]
        return Attribution(token_scores(batch, scores), failed=failed)


def shapley_values(values: Floats) -> Floats:
    """Shapley values ``[units]`` of a game.

    Args:
        values: The worth of every coalition, in the order of `all_coalitions`, ``[2 ** units]``.
    """
    n = len(values).bit_length() - 1
    member = all_coalitions(n)
    size = member.sum(axis=1)
    # what one order of joining in n! is worth, by the size of the coalition that a unit joins
    weights = np.array([1 / (n * math.comb(n - 1, k)) for k in range(n)] + [0.0])
    joined, left = values * weights[size - 1], values * weights[size]
    scores: Floats = np.where(member, joined[:, None], -left[:, None]).sum(axis=0)
    return scores
