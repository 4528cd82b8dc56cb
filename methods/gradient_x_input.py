"""Gradient × input: a first-order guess at what each word embedding adds to the target's logit."""

from __future__ import annotations

from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Method


class GradientTimesInput(Method):
    """Each word embedding's dot product with the gradient of the target's logit.

    Source: Shrikumar et al. 2016, arXiv:1605.01713. Signed: positive supports the target.
    """

    name, family, signed = "gradient_x_input", "gradient", True

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Products in logits, ``[batch, tokens]``."""
        embeddings, gradient = classifier.embedding_gradient(batch)
        return (embeddings * gradient).sum(dim=-1) * batch.attention_mask
