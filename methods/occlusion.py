"""Occlusion: what the target's probability loses when one unit is removed."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.choices import OperatorName
from whybench.bench.classifier import Classifier
from whybench.bench.engine import ForwardEngine
from whybench.bench.method import Method
from whybench.bench.operators import Remover, operator_for
from whybench.bench.perturbations import Perturbations


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
        frozen = None if batch.target is None else classifier.target(batch).tolist()
        remover = Remover(classifier, batch, operator_for(classifier, self.operator))
        counts = batch.unit_counts().tolist()
        rows = []
        for index, n in enumerate(counts):
            # first nothing removed, then one unit each
            rows.append(remover.perturb(index, np.vstack((np.zeros((1, n), dtype=bool), np.eye(n, dtype=bool)))))
        answers = torch.from_numpy(ForwardEngine(classifier).probabilities(Perturbations.joined(rows)))

        scores = torch.zeros(batch.input_ids.shape, dtype=torch.float64)
        units = batch.units.cpu()
        start = 0
        for index, n in enumerate(counts):
            own = answers[start : start + n + 1]
            target = int(own[0].argmax()) if frozen is None else frozen[index]
            drops = own[0, target] - own[1:, target]
            removable = units[index] >= 0
            members = units[index][removable]
            scores[index, removable] = (drops / torch.bincount(members, minlength=n))[members]
            start += n + 1
        return scores.to(batch.device)
