"""LRP for transformers: gradient × input with attention weights and the norms' denominators held fixed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import UnsupportedArchitectureError
from whybench.bench.method import Attribution, ReportingMethod
from whybench.methods._operations import Operations, Rule, attention_by, norm_rules


class Lrp(ReportingMethod):
    """Layer-wise relevance propagation: gradient × input with attention weights and norms' denominators held fixed.

    ``x_j · ∂z/∂x_j`` where attention weights, and what norms divide by, count as constants; z the target's logit.

    These two rules make gradient × input conserve relevance through attention and norms: what is left over comes from
    biases, activation functions, and embeddings that are no word's. The paper has no rule for gated layers (Llama,
    ModernBERT), a product of two terms that both depend on the text; the gradient alone counts such a product twice.

    Source: Ali et al. 2022, "XAI for Transformers: Better Explanations through Conservative Propagation" (ICML),
    arXiv:2202.07304. Signed: positive supports the target. Reports ``unexplained``, the size of what the logit has more
    or less than the scores of all tokens, special ones included, in logits; it is not claimed to be 0.
    """

    name, family, signed = "lrp", "gradient", True

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Scores in logits, ``[batch, tokens]``, 0 on padding, and what they leave unexplained, ``[batch]``.

        Raises:
            UnsupportedArchitectureError: The model calls no softmax or no norm that is known, so that there is nothing
                to hold fixed; or the gradient does not reach the word embeddings.
        """
        with classifier.gradients_for_inputs_only():
            embeddings = classifier.embeddings(batch).requires_grad_()
            with Operations(_RULES) as running:
                logits = classifier.logits_from_embeddings(embeddings, batch)
            for what, names in (("attention", _ATTENTION), ("norm", _NORMS)):
                if not any(running.used[name] for name in names):
                    raise UnsupportedArchitectureError(
                        f"{type(classifier.model).__name__} calls none of {', '.join(names)}, so lrp finds no {what} "
                        "to hold fixed. Use gradient_x_input or integrated_gradients."
                    )
            explained = logits.gather(1, classifier.target(batch, logits)[:, None])[:, 0]
            (gradient,) = torch.autograd.grad(explained.sum(), embeddings)
        scores = (embeddings.detach().double() * gradient.double()).sum(dim=-1) * batch.attention_mask
        return Attribution(scores, {"unexplained": (explained.detach().double() - scores.sum(dim=1)).abs()})


def _constant(func: Any, *args: Any, **kwargs: Any) -> Tensor:
    """The result, without a gradient."""
    with torch.no_grad():
        result: Tensor = func(*args, **kwargs)
    return result


def _attention(func: Any, *args: Any, **kwargs: Any) -> Tensor:
    """Torch's fused attention, from parts, with fixed weights."""
    return attention_by(torch.matmul, lambda scores: scores.detach().softmax(dim=-1), *args, **kwargs)


def _normed(x: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    """What norms make of x before their weights, by a fixed denominator."""
    return x / (x.detach().square().mean(dim=dims, keepdim=True) + eps).sqrt()


_ATTENTION = ("softmax", "scaled_dot_product_attention")
# norms that are written out divide by a root
_NORMS = ("layer_norm", "rms_norm", "rsqrt")
_RULES: dict[str, Rule] = {
    "softmax": _constant,
    "scaled_dot_product_attention": _attention,
    **norm_rules(_normed),
    "rsqrt": _constant,
}
