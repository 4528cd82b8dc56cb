"""Grad-SAM: attention weights times their gradient where it is positive, over all layers."""

from __future__ import annotations

import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Method


class GradSam(Method):
    """Attention that a token receives, times its gradient where more of it would raise the target's logit.

    ``s_j = mean over layers, heads and real queries i of A_ij · max(0, ∂z/∂A_ij)``, z the target's logit.

    A key's score is the attention that it receives, where more of that would raise the logit. One forward and one
    backward pass; ∂z/∂A goes through the later layers' attention, too.

    Source: Barkan et al. 2021, "Grad-SAM: Explaining Transformers via Gradient Self-Attention Maps" (CIKM),
    arXiv:2204.11073. Unsigned: what would lower the logit counts as 0.
    """

    name, family, signed = "grad_sam", "attention", False

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Scores in logits, ``[batch, tokens]``; 0 on padding.

        Raises:
            UnsupportedArchitectureError: The model's attention cannot be read.
        """
        record, gradients = classifier.attention_gradient(batch)
        real = batch.attention_mask.double()
        share = real / real.sum(dim=1, keepdim=True)
        layers = [
            torch.einsum("bhqk,bq->bk", weights.double() * gradient.double().clamp_min(0), share) / weights.shape[1]
            for weights, gradient in zip(record.weights, gradients, strict=True)
        ]
        return torch.stack(layers).mean(dim=0) * real
