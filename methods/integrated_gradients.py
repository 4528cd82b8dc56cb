"""Integrated gradients, as Captum computes them."""

from __future__ import annotations

from typing import Any

import torch
from captum.attr import LayerIntegratedGradients
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import ParameterError
from whybench.bench.method import Attribution, ReportingMethod
from whybench.methods._baselines import Baseline, baseline_ids

MISSING = 0.05
"""Share of the difference that may be missing from the sum of the scores before more points are taken."""
FOLD = 4


class IntegratedGradients(ReportingMethod):
    """Gradient of the target's logit, averaged on the straight line from a baseline's word embeddings to the text's.

    Source: Sundararajan et al. 2017, arXiv:1703.01365, by Captum's LayerIntegratedGradients (Gauss-Legendre). Special
    tokens are the same in the baseline. Signed: positive supports the target. Complete: the scores add up to the
    logit's difference between text and baseline; what is missing is reported as ``completeness_delta`` (in logits) and
    as ``completeness_delta_relative`` (a share of that difference). A text of which more than 5 % is missing is
    computed again with four times as many points, and again, up to ``max_steps``; ``steps`` says how many it took.

    Attributes:
        n_steps: Points on the line.
        max_steps: Most points on the line of a text of which too much is missing; ``n_steps`` where that is more.
        baseline: Token that stands for "nothing": ``mask``, ``pad``, or the tokenizer's mask token where it has one and
            else its pad token (``auto``).
        internal_batch_size: Most points in one forward pass.
    """

    name, family, signed = "integrated_gradients", "gradient", True

    n_steps: int = 50
    max_steps: int = 200
    baseline: Baseline = "auto"
    internal_batch_size: int = 128

    def __post_init__(self) -> None:
        for name in ("n_steps", "max_steps", "internal_batch_size"):
            if getattr(self, name) < 1:
                raise ParameterError(f"{name} is {getattr(self, name)}; it must be at least 1.")

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Scores in logits, ``[batch, tokens]``, the completeness deltas and the number of points, ``[batch]``."""
        batch = batch.with_target(classifier.target(batch))
        change = self._change(classifier, batch)
        steps = self.n_steps
        scores = self._scores(classifier, batch, steps)
        taken = torch.full_like(change, steps)
        while steps < self.max_steps:
            steps = min(FOLD * steps, self.max_steps)
            missing = (scores.sum(dim=1) - change).abs()
            # not "above": where it is not a number more points are no remedy
            coarse = (missing > MISSING * change.abs()).nonzero()[:, 0].tolist()
            if not coarse:
                break
            finer = self._scores(classifier, batch.select(coarse), steps)
            scores[coarse, : finer.shape[1]] = finer
            taken[coarse] = steps
        delta = (scores.sum(dim=1) - change).abs()
        relative = delta / change.abs().clamp_min(1e-12)
        return Attribution(
            scores, {"completeness_delta": delta, "completeness_delta_relative": relative, "steps": taken}
        )

    def _change(self, classifier: Classifier, batch: Batch) -> Tensor:
        """The target's logit of the text less that of the baseline, ``[batch]``."""
        # Not Captum's delta: it runs the baseline's ids, where a decoder would take pad tokens for the text's end
        with torch.no_grad():
            baseline = classifier.embedding_layer(baseline_ids(classifier, batch, self.baseline))
            change = classifier.logits(batch) - classifier.logits_from_embeddings(baseline, batch)
            return change.gather(1, classifier.target(batch)[:, None])[:, 0]

    def _scores(self, classifier: Classifier, batch: Batch, steps: int) -> Tensor:
        """Scores by so many points, ``[batch, tokens]``."""
        captum = LayerIntegratedGradients(classifier.logits_from_ids, classifier.embedding_layer)
        others: tuple[Any, ...] = (batch.attention_mask, batch.token_type_ids, batch.contrast)
        with classifier.gradients_for_inputs_only():
            gradients: Tensor = captum.attribute(
                batch.input_ids,
                baseline_ids(classifier, batch, self.baseline),
                target=classifier.target(batch),
                additional_forward_args=others,
                n_steps=steps,
                # never fewer points than examples, which Captum would refuse
                internal_batch_size=max(self.internal_batch_size, len(batch)),
            )
        return gradients.detach().sum(dim=-1) * batch.attention_mask
