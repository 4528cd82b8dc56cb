"""DeepLIFT: the difference to a baseline, carried back through every operation of the model."""

from __future__ import annotations

import torch

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Attribution, ReportingMethod
from whybench.methods._baselines import Baseline, baseline_embeddings
from whybench.methods._rescale import rescale


class DeepLift(ReportingMethod):
    """The logit's difference to a baseline text, carried back to the tokens through every operation of the model.

    ``(x_j − x'_j) · m_j``, with multipliers m in place of the gradient: the scores add up to ``z(x) − z(x')``.

    z is the target's logit. Text x and baseline x' run through the model together. An activation function's multiplier
    is Δout/Δin (the rescale rule). DeepLIFT has no rule for what else a transformer computes; here a product has the
    one of DeepSHAP (each factor's difference times the other one's mean over the pair), by which attention and norms
    are made of exact parts, and a softmax the one that follows from its logarithm. So the scores are complete, where
    Captum's DeepLift, with the plain gradient of all that is not an activation module, is not.

    Source: Shrikumar et al. 2017, arXiv:1704.02685 (rescale rule); products as in DeepSHAP (Lundberg & Lee 2017,
    arXiv:1705.07874). Special tokens are the same in the baseline. Signed: positive supports the target. What is
    missing from the sum is reported as ``completeness_delta`` (in logits) and as ``completeness_delta_relative`` (a
    share of the logit's difference): rounding, or an operation that has no rule here (BLOOM's GELU).

    Attributes:
        baseline: Token that stands for "nothing": ``mask``, ``pad``, or the tokenizer's mask token where it has one and
            else its pad token (``auto``).
    """

    name, family, signed = "deeplift", "gradient", True
    note = "Products, norms and softmax have rules that complete DeepLIFT's own, which knows activation functions only."

    baseline: Baseline = "auto"

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Scores in logits, ``[batch, tokens]``, 0 on special tokens and padding; the completeness deltas, ``[batch]``.

        Raises:
            OperatorError: ``baseline`` is ``mask``, and the tokenizer has no mask token.
            UnsupportedArchitectureError: The gradient does not reach the word embeddings.
        """
        target = classifier.target(batch)
        text, start = classifier.embeddings(batch), baseline_embeddings(classifier, batch, self.baseline)
        pairs = batch.with_target(target).select([*range(len(batch))] * 2)
        width = pairs.input_ids.shape[1]
        with classifier.gradients_for_inputs_only():
            points = torch.cat((text[:, :width], start[:, :width])).requires_grad_()
            with rescale():
                logits = classifier.logits_from_embeddings(points, pairs)
            explained = logits.gather(1, classifier.target(pairs)[:, None])[:, 0]
            # the baselines' rows have the same multipliers; the texts' alone are asked for
            (multipliers,) = torch.autograd.grad(explained[: len(batch)].sum(), points)
        scores = torch.zeros(batch.input_ids.shape, dtype=torch.float64, device=batch.device)
        difference = (text - start)[:, :width].double()
        scores[:, :width] = (difference * multipliers[: len(batch)].double()).sum(dim=-1)
        change = explained.detach().double()[: len(batch)] - explained.detach().double()[len(batch) :]
        delta = (scores.sum(dim=1) - change).abs()
        return Attribution(
            scores,
            {"completeness_delta": delta, "completeness_delta_relative": delta / change.abs().clamp_min(1e-12)},
        )
