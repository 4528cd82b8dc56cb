"""LIME: a ridge regression of the target's probability on which units are left, close to the text."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.choices import OperatorName
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Bools, Floats
from whybench.bench.errors import ParameterError
from whybench.bench.method import Method
from whybench.methods._coalitions import (
    check_at_least_one,
    generator_for,
    of_sizes,
    target_probabilities,
    token_scores,
)


class Lime(Method):
    """Coefficients w of ``argmin Σ_z π(z) (v(z) - b - w·z)² + ridge · |w|²`` over sampled coalitions z.

    ``v(z)`` is the target's probability when only the units of z are left; ``π(z) = exp(-d² / (2 width²))`` with the
    cosine distance ``d = 1 - sqrt(|z| / n)`` between z and the whole text (1 for nothing left). Drawn as by the
    authors' package: the number of units removed is uniform from 1 to n, then each set of that size is as likely as
    another; the whole text is one sample more. Kernel, width and ridge are that package's for text, too, all units kept
    as its ``feature_selection="none"`` does, and without its words that occur twice being one. Captum's default, a
    lasso, makes most scores of a probability exactly 0, and zeros cannot be ranked. Solved in float64; a unit's score
    is shared equally among its tokens.

    Source: Ribeiro et al. 2016, arXiv:1602.04938. Signed: positive supports the target.

    Attributes:
        samples: Coalitions of an example, besides the whole text.
        width: Of the kernel, in cosine distance.
        ridge: Penalty on the squared scores; above 0, so that the solution is unique.
        operator: How units are removed; None takes the protocol's default for the tokenizer.
        seed: Of the coalitions drawn; each example has a stream of its own.
    """

    name, family, signed = "lime", "perturbation", True

    samples: int = 256
    width: float = 0.25
    ridge: float = 1.0
    operator: OperatorName | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least_one(self.name, samples=self.samples)
        for name, value in (("width", self.width), ("ridge", self.ridge)):
            if not 0 < value < np.inf:
                raise ParameterError(f"lime: {name} is {value}; it must be above 0 and finite.")

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Coefficients, in probability, ``[batch, tokens]``."""
        coalitions = [
            self._coalitions(n, example) for n, example in zip(batch.unit_counts().tolist(), batch.ids, strict=True)
        ]
        values = target_probabilities(classifier, batch, self.operator, coalitions)
        scores = [
            ridge_values(own, answers, proximity(own, self.width), self.ridge)
            for own, answers in zip(coalitions, values, strict=True)
        ]
        return token_scores(batch, scores)

    def _coalitions(self, units: int, example_id: str) -> Bools:
        """The whole text, then the samples, ``[samples + 1, units]``."""
        if units == 0:
            return np.ones((1, 0), dtype=bool)
        generator = generator_for(self.name, self.seed, example_id)
        removed = of_sizes(generator.integers(1, units, size=self.samples, endpoint=True), units, generator)
        return np.vstack((np.ones((1, units), dtype=bool), ~removed))


def proximity(coalitions: Bools, width: float) -> Floats:
    """How near each coalition is to the whole text, in (0, 1], ``[sets]``."""
    distance = 1 - np.sqrt(coalitions.sum(axis=1) / max(1, coalitions.shape[1]))
    near: Floats = np.exp(-(distance**2) / (2 * width**2))
    return near


def ridge_values(coalitions: Bools, answers: Floats, weights: Floats, ridge: float) -> Floats:
    """Coefficients of the weighted ridge regression, the intercept free of the penalty, ``[units]``.

    Args:
        coalitions: ``[sets, units]``.
        answers: The worth of each, ``[sets]``.
        weights: Of the sets, ``[sets]``.
        ridge: The penalty's factor.
    """
    share = weights / weights.sum()
    rows = coalitions - share @ coalitions
    rest = answers - share @ answers
    weighted = rows.T * weights
    scores: Floats = np.linalg.solve(weighted @ rows + ridge * np.eye(rows.shape[1]), weighted @ rest)
    return scores
