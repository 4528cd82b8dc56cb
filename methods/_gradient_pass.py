"""Gradient, gradient × input and integrated gradients with and without × input, from the same backward passes.

Each is a sum of gradients at points between the baseline's word embeddings and the text's: the text itself for the
first two, Gauss-Legendre's points for the others. Every point goes through the model once.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.methods._baselines import baseline_embeddings
from whybench.methods._points import add_up, gradients_at
from whybench.methods.gradient_x_input import ROUNDING, ROUNDING_EPSILONS
from whybench.methods.integrated_gradients import IntegratedGradients


def gradient_maps(
    classifier: Classifier,
    batch: Batch,
    n_steps: int = 50,
    baseline: Literal["auto", "mask", "pad"] = "auto",
    internal_batch_size: int = 128,
) -> dict[str, Tensor]:
    """Four maps of every text, from ``n_steps + 1`` forward and backward passes of it.

    Args:
        classifier: The classifier whose output is explained.
        batch: The texts; `Classifier.target` gives the label to explain.
        n_steps: Points on the line, of `IntegratedGradients`.
        baseline: Token that stands for "nothing", of `IntegratedGradients`.
        internal_batch_size: Most points in one forward pass; a text's own points may be divided among several.

    Returns:
        Per name ``[batch, tokens]``, 0 on padding:

        - ``gradient``: what the method of that name gives, logits per unit of embedding, unsigned.
        - ``gradient_x_input``: what the method of that name gives, in logits, signed. NaN for a text that the method
          has no answer for, which is every text of a model that takes the length out of its embeddings.
        - ``path_gradient``: L2 norm over embedding dimensions of the mean gradient on the line, which is Captum's
          integrated gradients without × input; logits per unit of embedding, unsigned.
        - ``integrated_gradients``: what the method of that name gives with ``max_steps=n_steps``,
          in logits, signed.

    Raises:
        ParameterError: ``n_steps`` or ``internal_batch_size`` is below 1.
        OperatorError: ``baseline`` is ``mask``, and the tokenizer has no mask token.
        LabelError: The batch's own target is not one label of the model per example.
        UnsupportedArchitectureError: The gradient does not reach the word embeddings.
    """
    method = IntegratedGradients(
        n_steps=n_steps, max_steps=n_steps, baseline=baseline, internal_batch_size=internal_batch_size
    )
    start = baseline_embeddings(classifier, batch, method.baseline)
    stop = classifier.embeddings(batch)
    batch = batch.with_target(classifier.target(batch))

    own, mean = _gradients(classifier, batch, start, stop, n_steps, internal_batch_size)
    text = stop.to(own.dtype)
    return {
        "gradient": own.norm(dim=-1) * batch.attention_mask,
        "gradient_x_input": _products(text, own, batch, stop.dtype),
        "path_gradient": mean.norm(dim=-1) * batch.attention_mask,
        "integrated_gradients": (mean * (text - start.to(own.dtype))).sum(dim=-1) * batch.attention_mask,
    }


def _gradients(
    classifier: Classifier, batch: Batch, start: Tensor, stop: Tensor, n_steps: int, most: int
) -> tuple[Tensor, Tensor]:
    """Gradients at the text, and their mean on the line to it, both ``[batch, tokens, hidden]``, float32 at least."""
    at_least = torch.promote_types(stop.dtype, torch.float32)
    own, mean = torch.zeros_like(stop, dtype=at_least), torch.zeros_like(stop, dtype=at_least)
    nodes, weights = np.polynomial.legendre.leggauss(n_steps)
    # the text itself comes first; the mean does not count it
    places = torch.tensor([1.0, *(nodes + 1) / 2], dtype=stop.dtype, device=stop.device)
    shares = torch.tensor([0.0, *weights / 2], dtype=at_least, device=stop.device)

    def on_the_line(examples: list[int], steps: list[int], width: int) -> Tensor:
        # exact at the text, where the place is 1
        return torch.lerp(start[examples, :width], stop[examples, :width], places[steps][:, None, None])

    counts = [len(places)] * len(batch)
    for examples, steps, _, gradient in gradients_at(classifier, batch, counts, on_the_line, most):
        add_up(mean, examples, shares[steps][:, None, None] * gradient)
        for row, (example, step) in enumerate(zip(examples, steps, strict=True)):
            if step == 0:
                own[example, : gradient.shape[1]] = gradient[row]
    return own, mean


def _products(embeddings: Tensor, gradient: Tensor, batch: Batch, dtype: torch.dtype) -> Tensor:
    """Dot products ``[batch, tokens]``; NaN where an example's are all rounding, as `GradientTimesInput` finds it."""
    share = max(ROUNDING, ROUNDING_EPSILONS * torch.finfo(dtype).eps)
    products = (embeddings * gradient).sum(dim=-1) * batch.attention_mask
    largest = (embeddings.norm(dim=-1) * gradient.norm(dim=-1)).amax(dim=1)
    nothing = (largest > 0) & (products.abs().amax(dim=1) < share * largest)
    return products.masked_fill(nothing[:, None], torch.nan)
