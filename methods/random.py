"""Random scores: the floor that every method has to clear."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Method


class Random(Method):
    """Uniform random scores, seeded with the example's id, so that they do not depend on the batch.

    A run has ten of its orders, and their mean is the floor of the skill.

    Attributes:
        seed: Another seed gives another order of each example's units.
    """

    name, family, signed = "random", "reference", False
    bound = "floor"
    variants = tuple({"seed": seed} for seed in range(10))

    seed: int = 0

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Scores in [0, 1), ``[batch, tokens]``; the model is not asked."""
        scores = torch.zeros(batch.input_ids.shape)
        for row, example_id, length in zip(scores, batch.ids, batch.lengths().tolist(), strict=True):
            digest = hashlib.sha256(f"random:{self.seed}:{example_id}".encode()).digest()
            generator = np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))
            row[:length] = torch.from_numpy(generator.random(length))
        return scores.to(batch.device)
