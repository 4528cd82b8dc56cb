"""Gradient: how strongly the target's logit reacts to each word embedding."""

from __future__ import annotations

import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Method


class Gradient(Method):
    """L2 norm of the gradient of the target's logit with respect to each word embedding.

    Source: Simonyan et al. 2014, arXiv:1312.6034; the L2 norm over embedding dimensions is Li et al. 2016,
    arXiv:1506.01066. Unsigned.
    """

    name, family, signed = "gradient", "gradient", False

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Norms in logits per unit of embedding, ``[batch, tokens]``."""
        _, gradient = classifier.embedding_gradient(batch)
        norm: Tensor = torch.linalg.vector_norm(gradient, dim=-1)
        return norm * batch.attention_mask
