"""Sequential integrated gradients: one word's embedding moves from the baseline at a time, all others stay."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Attribution, ReportingMethod
from whybench.methods._baselines import Baseline, baseline_embeddings
from whybench.methods._coalitions import check_at_least_one
from whybench.methods._points import add_up, gradients_at


class SequentialIntegratedGradients(ReportingMethod):
    """Integrated gradients of one word at a time, which moves from the baseline while all others stay.

    ``s_j = (x_j − b) · ∫_0^1 ∂z(x with x_j at b + α (x_j − b))/∂x_j dα``, z the target's logit, b the baseline.

    Every token has a path of its own, on which all other tokens are as they are, so that the points stay near the text.

    Source: Enguehard 2023, "Sequential Integrated Gradients: a simple but effective method for explaining language
    models" (ACL Findings), arXiv:2305.15853. Not divided by the norm of all scores, as there: the order is the same.
    The integral is Gauss-Legendre's sum. Signed: positive supports the target. Scores do not add up to anything, but
    each one is what the logit loses when its token alone is the baseline's, up to the integral's error. The sum of
    these errors' sizes is reported as ``loss_delta`` (in logits), and as ``loss_delta_relative`` as a share of the sum
    of the losses' sizes. That makes the method an expensive estimate of occlusion in logits, and is why it runs only
    where it is asked for by name: ``n_steps`` forward and backward passes for every token.

    Attributes:
        n_steps: Points on each token's line.
        baseline: Token that stands for "nothing": ``mask``, ``pad``, or the tokenizer's mask token where it has one and
            else its pad token (``auto``).
        internal_batch_size: Most points in one forward pass.
    """

    name, family, signed = "sequential_integrated_gradients", "gradient", True
    default = False

    n_steps: int = 50
    baseline: Baseline = "auto"
    internal_batch_size: int = 128

    def __post_init__(self) -> None:
        check_at_least_one(self.name, n_steps=self.n_steps, internal_batch_size=self.internal_batch_size)

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Scores in logits, ``[batch, tokens]``, 0 on special tokens and padding; the losses' deltas, ``[batch]``.

        Raises:
            OperatorError: ``baseline`` is ``mask``, and the tokenizer has no mask token.
            UnsupportedArchitectureError: The gradient does not reach the word embeddings.
        """
        batch = batch.with_target(classifier.target(batch))
        text, start = classifier.embeddings(batch), baseline_embeddings(classifier, batch, self.baseline)
        # the tokens that have a path, and of each path the points from the first to the last
        moving = [row.nonzero()[:, 0].tolist() for row in batch.units.cpu() >= 0]
        nodes, weights = np.polynomial.legendre.leggauss(self.n_steps)
        places = torch.tensor((nodes + 1) / 2, dtype=text.dtype, device=text.device)
        shares = torch.tensor(weights / 2, dtype=torch.float64, device=text.device)

        def token_of(examples: list[int], numbers: list[int]) -> Tensor:
            tokens = [moving[e][number // self.n_steps] for e, number in zip(examples, numbers, strict=True)]
            return torch.tensor(tokens, device=batch.device)

        def make(examples: list[int], numbers: list[int], width: int) -> Tensor:
            points, tokens = text[examples, :width].clone(), token_of(examples, numbers)
            steps = places[[number % self.n_steps for number in numbers]][:, None]
            points[range(len(examples)), tokens] = torch.lerp(start[examples, tokens], text[examples, tokens], steps)
            return points

        scores = torch.zeros(batch.input_ids.shape, dtype=torch.float64, device=batch.device)
        counts = [len(own) * self.n_steps for own in moving]
        for examples, numbers, _, gradient in gradients_at(classifier, batch, counts, make, self.internal_batch_size):
            tokens = token_of(examples, numbers)
            difference = text[examples, tokens].double() - start[examples, tokens].double()
            slope = gradient[range(len(examples)), tokens].double()
            products = (difference * slope).sum(dim=-1) * shares[[number % self.n_steps for number in numbers]]
            rows = torch.zeros(gradient.shape[:2], dtype=torch.float64, device=batch.device)
            add_up(scores, examples, rows.scatter(1, tokens[:, None], products[:, None]))

        losses = self._losses(classifier, batch, moving, text, start)
        delta = (scores - losses).abs().sum(dim=1)
        relative = delta / losses.abs().sum(dim=1).clamp_min(1e-12)
        return Attribution(scores, {"loss_delta": delta, "loss_delta_relative": relative})

    def _losses(
        self, classifier: Classifier, batch: Batch, moving: list[list[int]], text: Tensor, start: Tensor
    ) -> Tensor:
        """What the logit loses when one token is the baseline's, ``[batch, tokens]``."""
        losses = torch.zeros(batch.input_ids.shape, dtype=torch.float64, device=batch.device)
        target = classifier.target(batch)
        pairs = [(example, token) for example, own in enumerate(moving) for token in own]
        with torch.no_grad():
            whole = classifier.logits(batch).double().gather(1, target[:, None])[:, 0]
            for begin in range(0, len(pairs), self.internal_batch_size):
                examples, tokens = map(list, zip(*pairs[begin : begin + self.internal_batch_size], strict=True))
                some = batch.select(examples)
                points = text[examples, : some.input_ids.shape[1]].clone()
                points[range(len(examples)), tokens] = start[examples, tokens]
                logits = classifier.logits_from_embeddings(points, some).double()
                losses[examples, tokens] = whole[examples] - logits.gather(1, target[examples][:, None])[:, 0]
        return losses
