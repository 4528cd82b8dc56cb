"""Integrated gradients, as Captum computes them."""

from __future__ import annotations

from typing import Any

import torch
from captum.attr import LayerIntegratedGradients

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import ParameterError
from whybench.bench.method import Attribution, ReportingMethod
from whybench.methods._points import Baseline, baseline_ids


class IntegratedGradients(ReportingMethod):
    """Gradient of the target's logit, averaged on the straight line from a baseline's word embeddings to the text's.

    Source: Sundararajan et al. 2017, arXiv:1703.01365, by Captum's LayerIntegratedGradients (Gauss-Legendre). Special
    tokens are the same in the baseline. Signed: positive supports the target. Complete: the scores add up to the
    logit's difference between text and baseline; what is missing is reported as ``completeness_delta`` (in logits) and
    as ``completeness_delta_relative`` (a share of that difference).

    Attributes:
        n_steps: Points on the line.
        baseline: Token that stands for "nothing": ``mask``, ``pad``, or the tokenizer's mask token where it has one and
            else its pad token (``auto``).
        internal_batch_size: Most points in one forward pass.
    """

    name, family, signed = "integrated_gradients", "gradient", True

    n_steps: int = 50
    baseline: Baseline = "auto"
    internal_batch_size: int = 128

    def __post_init__(self) -> None:
        if self.n_steps < 1 or self.internal_batch_size < 1:
            raise ParameterError(
                f"n_steps is {self.n_steps}, internal_batch_size {self.internal_batch_size}; both must be at least 1."
            )

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Scores in logits, ``[batch, tokens]``, and the completeness deltas, ``[batch]``."""
        baseline = baseline_ids(classifier, batch, self.baseline)
        captum = LayerIntegratedGradients(classifier.logits_from_ids, classifier.embedding_layer)
        others: tuple[Any, ...] = (batch.attention_mask, batch.token_type_ids, batch.contrast)
        target = classifier.target(batch)
        with classifier.gradients_for_inputs_only():
            gradients = captum.attribute(
                batch.input_ids,
                baseline,
                target=target,
                additional_forward_args=others,
                n_steps=self.n_steps,
                # never fewer points than examples, which Captum would refuse
                internal_batch_size=max(self.internal_batch_size, len(batch)),
            )
        scores = gradients.detach().sum(dim=-1) * batch.attention_mask
        # Not Captum's delta: it runs the baseline's ids, where a decoder would take pad tokens for the text's end
        with torch.no_grad():
            start = classifier.logits_from_embeddings(classifier.embedding_layer(baseline), batch)
            change = (classifier.logits(batch) - start).gather(1, target[:, None])[:, 0]
        delta = (scores.sum(dim=1) - change).abs()
        return Attribution(
            scores,
            {"completeness_delta": delta, "completeness_delta_relative": delta / change.abs().clamp_min(1e-12)},
        )
