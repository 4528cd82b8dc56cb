"""RISE: how probable the target is, in the mean, when a unit is left by random masks."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.choices import OperatorName
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Bools, Floats
from whybench.bench.errors import ParameterError
from whybench.bench.method import Method
from whybench.methods._coalitions import check_at_least_one, generator_for, target_probabilities, token_scores


class Rise(Method):
    """``1 / (keep · N) Σ_m p(x, m) m_i``: an estimate of the target's mean probability over masks that leave unit i.

    Each of the N masks leaves every unit with probability ``keep``, independently. Images need masks that are drawn
    coarsely and enlarged; words are coarse already. A unit's score is shared equally among its tokens.

    Source: Petsiuk et al. 2018, arXiv:1806.07421 (equation 6). Unsigned: it is a probability, and a unit that speaks
    against the target has a small one. Runs only where it is asked for by name, as its estimate has more noise than
    lime's of the same cost.

    Attributes:
        samples: Masks of an example.
        keep: Probability that a mask leaves a unit, between 0 and 1.
        operator: How units are removed; None takes the protocol's default for the tokenizer.
        seed: Of the masks; each example has a stream of its own.
    """

    name, family, signed = "rise", "perturbation", False
    default = False

    samples: int = 256
    keep: float = 0.5
    operator: OperatorName | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least_one(self.name, samples=self.samples)
        if not 0 < self.keep < 1:
            raise ParameterError(f"rise: keep is {self.keep}; it must be between 0 and 1.")

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Mean probabilities, ``[batch, tokens]``."""
        coalitions = []
        for n, example in zip(batch.unit_counts().tolist(), batch.ids, strict=True):
            masks = generator_for(self.name, self.seed, example).random((self.samples, n)) < self.keep
            # the whole text first: it says what the target is, and is no mask
            coalitions.append(np.vstack((np.ones((1, n), dtype=bool), masks)))
        values = target_probabilities(classifier, batch, self.operator, coalitions)
        scores = [mask_values(own[1:], answers[1:], self.keep) for own, answers in zip(coalitions, values, strict=True)]
        return token_scores(batch, scores)


def mask_values(masks: Bools, answers: Floats, keep: float) -> Floats:
    """The weighted mean of the masks, ``[units]``.

    Args:
        masks: ``[masks, units]``.
        answers: The target's probability under each, ``[masks]``.
        keep: The probability that a mask leaves a unit.
    """
    scores: Floats = answers @ masks / (keep * len(masks))
    return scores
