"""AttAttr: integrated gradients of attention weights, from no attention to the model's own, layer by layer."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from whybench.bench.attention import attention_pass
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Attribution, ReportingMethod
from whybench.methods._coalitions import check_at_least_one
from whybench.methods._points import add_up, passes


class AttAttr(ReportingMethod):
    """Integrated gradients of the attention weights, from no attention to the model's own, layer by layer.

    ``Attr^l = A^l ⊙ ∫_0^1 ∂z(α A^l)/∂A^l dα``, z the target's logit; token j gets ``mean_l Σ_h Σ_i Attr_hij^l``.

    As in the paper, the attention of one layer is scaled at a time, all of its heads together, while the other layers
    run as they do. Here every layer is taken, and a token's score is what all attention to it adds: the sum over
    queries and heads, in the mean over layers. (The paper reads its matrices as a tree; scores of tokens are ours.)

    Source: Hao et al. 2021, "Self-Attention Attribution: Interpreting Information Interactions Inside Transformer"
    (AAAI), arXiv:2004.11207. The integral is Gauss-Legendre's sum, which needs fewer steps than the paper's Riemann sum
    for the same error. Signed: positive supports the target. Complete: the scores of all tokens, special ones included,
    add up to the mean over layers of what the logit loses without that layer's attention; what is missing is reported
    as ``completeness_delta`` (in logits) and as ``completeness_delta_relative`` (a share of the mean size of these
    losses). Runs only where it is asked for by name: it takes ``steps`` forward and backward passes for every layer.

    Attributes:
        steps: Points of each layer's integral; the paper takes 20, which misses more than 5 % on some trained models.
        internal_batch_size: Most points in one forward pass.
    """

    name, family, signed = "attattr", "attention", True
    default = False
    note = (
        "Token scores are the sum over queries and heads, in the mean over layers; the paper draws trees of matrices."
    )

    steps: int = 40
    internal_batch_size: int = 128

    def __post_init__(self) -> None:
        check_at_least_one(self.name, steps=self.steps, internal_batch_size=self.internal_batch_size)

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Scores in logits, ``[batch, tokens]``, and the completeness deltas, ``[batch]``.

        Raises:
            UnsupportedArchitectureError: The model's attention cannot be read.
        """
        with torch.no_grad(), attention_pass(classifier.model) as running:
            logits = classifier.logits(batch)
        target = classifier.target(batch, logits)
        batch = batch.with_target(target)
        whole = logits.double().gather(1, target[:, None])[:, 0]
        layers = len(running.weights)
        del running

        nodes, weights = np.polynomial.legendre.leggauss(self.steps)
        # the last point is no attention at all, for the delta; it counts nothing
        places = [*((nodes + 1) / 2).tolist(), 0.0]
        shares = torch.tensor([*(weights / 2), 0.0], dtype=torch.float64, device=batch.device)
        scores = torch.zeros(batch.input_ids.shape, dtype=torch.float64, device=batch.device)
        missing, losses = torch.zeros_like(whole), torch.zeros_like(whole)
        for layer in range(layers):
            own, empty = torch.zeros_like(scores), torch.zeros_like(whole)
            for examples, numbers in passes(batch, [len(places)] * len(batch), self.internal_batch_size):
                some = batch.select(examples)
                values, products = _scaled(classifier, some, layer, [places[number] for number in numbers])
                add_up(own, examples, shares[numbers][:, None] * products)
                for example, number, value in zip(examples, numbers, values, strict=True):
                    if number == self.steps:
                        empty[example] = value
            change = whole - empty
            missing += own.sum(dim=1) - change
            losses += change.abs()
            scores += own / layers
        delta = missing.abs() / layers
        relative = delta * layers / losses.clamp_min(1e-12)
        return Attribution(scores, {"completeness_delta": delta, "completeness_delta_relative": relative})


def _scaled(classifier: Classifier, batch: Batch, layer: int, places: list[float]) -> tuple[Tensor, Tensor]:
    """The target's logit ``[batch]`` with one layer's attention times ``places``, and weights × gradient by key.

    The latter, ``[batch, tokens]``, is the sum over real queries and all heads.
    """
    leaf: list[Tensor] = []
    own: list[Tensor] = []

    def scale(index: int, weights: Tensor, values: Tensor) -> Tensor:
        if index != layer:
            return weights
        factor = torch.tensor(places, dtype=weights.dtype, device=weights.device)[:, None, None, None]
        own.append(weights.detach())
        leaf.append((weights.detach() * factor).requires_grad_())
        return leaf[0]

    with classifier.gradients_for_inputs_only(), attention_pass(classifier.model, scale):
        logits = classifier.logits(batch)
        explained = logits.gather(1, classifier.target(batch)[:, None])[:, 0]
        (gradient,) = torch.autograd.grad(explained.sum(), leaf)
    products = (own[0].double() * gradient.double()).sum(dim=1)
    real = batch.attention_mask.double()
    return explained.detach().double(), torch.einsum("bqk,bq->bk", products, real) * real
