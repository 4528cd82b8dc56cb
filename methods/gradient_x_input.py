"""Gradient × input: a first-order guess at what each word embedding adds to the target's logit."""

from __future__ import annotations

import torch

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Attribution, ReportingMethod

# Below this share of |embedding|·|gradient| a product is what rounding, and the norm's own epsilon, leave of 0 ...
ROUNDING = 1e-5
# ... and below so many epsilons of the model's precision, which are more than that in half precision.
ROUNDING_EPSILONS = 0.5


class GradientTimesInput(ReportingMethod):
    """Each word embedding's dot product with the gradient of the target's logit.

    Source: Shrikumar et al. 2016, arXiv:1605.01713. Signed: positive supports the target.

    Where a model's first step takes out the length of the word embeddings (ModernBERT's norm), the gradient is
    orthogonal to them and every product is 0 but for rounding. Such an example fails: an order of rounding errors is no
    explanation.
    """

    name, family, signed = "gradient_x_input", "gradient", True

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Products in logits, ``[batch, tokens]``."""
        embeddings, gradient = classifier.embedding_gradient(batch)
        share = max(ROUNDING, ROUNDING_EPSILONS * torch.finfo(embeddings.dtype).eps)
        at_least = torch.promote_types(embeddings.dtype, torch.float32)
        embeddings, gradient = embeddings.to(at_least), gradient.to(at_least)
        scores = (embeddings * gradient).sum(dim=-1) * batch.attention_mask
        largest = (embeddings.norm(dim=-1) * gradient.norm(dim=-1)).amax(dim=1)
        nothing = (largest > 0) & (scores.abs().amax(dim=1) < share * largest)
        reason = (
            "every product is 0 but for rounding: the model takes the length out of its embeddings before it uses them"
        )
        return Attribution(scores, failed=dict.fromkeys(nothing.nonzero()[:, 0].tolist(), f"{reason}."))
