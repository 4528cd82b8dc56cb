"""Occlusion: what the target's probability loses when one unit is removed."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.choices import OperatorName
from whybench.bench.classifier import Classifier
from whybench.bench.method import Method
from whybench.methods._coalitions import target_probabilities, token_scores


class Occlusion(Method):
    """``p(x) - p(R(x, {i}))`` for every unit i, shared equally among the unit's tokens.

    Source: Zeiler & Fergus 2014, arXiv:1311.2901; on words Li et al. 2016, arXiv:1612.08220 (leave one out).
    Signed: positive supports the target.

    Attributes:
        operator: How a unit is removed; None takes the protocol's default for the tokenizer.
    """

    name, family, signed = "occlusion", "perturbation", True

    operator: OperatorName | None = None

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Differences of probabilities, ``[batch, tokens]``."""
        # first the whole text, then all units but one
        coalitions = [
            np.vstack((np.ones((1, n), dtype=bool), ~np.eye(n, dtype=bool))) for n in batch.unit_counts().tolist()
        ]
        values = target_probabilities(classifier, batch, self.operator, coalitions)
        return token_scores(batch, [own[0] - own[1:] for own in values])
