"""Adversarial attention, a control: as unlike the model's attention as can be, with the same probability."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from whybench.bench.attention import AttentionRecord
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import ParameterError
from whybench.bench.matrices import Matrices
from whybench.methods._control import Control, random_per_example, real_rows

# The share of epsilon that is used: what is kept must pass the check in a pass of its own, where rounding differs
USED_SHARE = 0.999
# Where the search starts: the logarithms of the model's weights, at this share, and this much noise to either side.
# At the weights themselves the divergence has no slope.
START_SHARE, START_NOISE, SMALLEST_WEIGHT = 0.5, 0.1, 1e-6


class AdversarialAttention(Control):
    """Adversarial attention (a control): rows Ã that maximise the mean of JSD(a, ã) subject to |Δp| ≤ epsilon.

    Where there is such an Ã far from A, other attention explains the same decision as well. All rows of all heads and
    layers are searched together: logits over the attendable keys, so that rows stay distributions, by Adam on the mean
    JSD less what |Δp| has beyond epsilon, p the target's probability. Per example the iterate of the largest JSD that
    meets the constraint is kept, at the least A itself, and is checked by a forward pass of its own. It is a lower
    bound of what there is. Rows that no output depends on, such as the last layer's that the head does not read, are
    free to differ, and count. Each example's search is its own: the batch makes no difference beyond rounding, which
    the search carries into the entries' third decimal.

    Source: Jain & Wallace 2019, "Attention is not Explanation", arXiv:1902.10186, whose one attention layer is here
    all of a transformer's. Report: ``jsd`` (nats, largest ln 2) and ``probability_change``.

    Attributes:
        epsilon: Largest change of the target's probability.
        steps: Steps of Adam, each one forward and one backward pass.
        learning_rate: Of Adam, in logits.
        seed: Seeds the start, together with the example's id.
    """

    name, family, signed = "adversarial_attention", "control", False

    epsilon: float = 0.01
    steps: int = 30
    learning_rate: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0 < self.epsilon < 1 or self.steps < 1 or not 0 < self.learning_rate < math.inf:
            raise ParameterError(
                f"epsilon is {self.epsilon}, steps {self.steps}, learning_rate {self.learning_rate}; epsilon must be "
                "between 0 and 1, steps at least 1, and learning_rate positive."
            )

    def replaced(
        self, classifier: Classifier, batch: Batch, record: AttentionRecord, index: int
    ) -> tuple[Matrices, ...]:
        """The rows found, ``[batch, heads, queries, keys]`` per layer; certified where they pass the check."""
        model = [_precise(weights) for weights in record.weights]
        real = real_rows(batch)
        open_keys = [allowed & real for allowed in record.allowed]
        logits = classifier.logits(batch)
        target = classifier.target(batch, logits)
        before = _probability(logits, target)

        numbers = random_per_example(batch, record, self.seed, self.name)
        searched = [
            (START_SHARE * weights.clamp_min(SMALLEST_WEIGHT).log() + START_NOISE * (2 * number - 1)).requires_grad_()
            for weights, number in zip(model, numbers, strict=True)
        ]
        adam = torch.optim.Adam(searched, lr=self.learning_rate)
        best, most = [weights.clone() for weights in model], torch.zeros_like(before)
        for step in range(self.steps + 1):
            with classifier.gradients_for_inputs_only():
                rows = [_softmax(scores, keys) for scores, keys in zip(searched, open_keys, strict=True)]
                reached = _mean_jsd(model, rows, real)
                change = (_probability(classifier.replace_attention(batch, rows), target) - before).abs()
                kept = (change <= USED_SHARE * self.epsilon) & (reached > most)
                for place, found in zip(best, rows, strict=True):
                    place[kept] = found.detach()[kept]
                most = torch.where(kept, reached.detach(), most)
                if step == self.steps:
                    break
                objective = reached - (change - self.epsilon).clamp_min(0)
                # by the number of rows: Adam's own epsilon is small beside slopes of sums, not beside those of means
                loss = -(objective * batch.lengths()).sum() * len(model) * model[0].shape[1]
                for scores, slope in zip(searched, torch.autograd.grad(loss, searched), strict=True):
                    scores.grad = slope
            adam.step()

        change = (_probability(classifier.replace_attention(batch, best), target) - before).abs()
        shape = best[0].shape[:3]
        figures = {"jsd": most, "probability_change": change}
        report = {name: figure[:, None, None].expand(shape) for name, figure in figures.items()}
        passed = (change <= self.epsilon)[:, None, None].expand(shape)
        return tuple(
            Matrices(
                rows * real, report, passed, {"probability_change": self.epsilon}, "Raise epsilon or the precision."
            )
            for rows in best
        )


def _probability(logits: Tensor, target: Tensor) -> Tensor:
    return _precise(logits).softmax(dim=-1).gather(1, target[:, None])[:, 0]


def _precise(numbers: Tensor) -> Tensor:
    """In float32 at the least."""
    return numbers.to(torch.promote_types(numbers.dtype, torch.float32))


def _softmax(scores: Tensor, open_keys: Tensor) -> Tensor:
    """Rows over the keys that are open; 0 throughout where none is."""
    shut = scores.masked_fill(~open_keys, torch.finfo(scores.dtype).min)
    return shut.softmax(dim=-1) * open_keys


def _mean_jsd(model: Sequence[Tensor], rows: Sequence[Tensor], real: Tensor) -> Tensor:
    """Mean JSD over the real rows of all heads and layers, ``[batch]``, in nats, with finite slopes at weights of 0."""
    total: Tensor | float = 0.0
    for weights, others in zip(model, rows, strict=True):
        middle = _log((weights + others) / 2)
        divergence = weights * (_log(weights) - middle) + others * (_log(others) - middle)
        total = total + (divergence.sum(dim=-1, keepdim=True) * real).flatten(1).sum(dim=1) / 2
    count = real.flatten(1).sum(dim=1) * len(model) * model[0].shape[1]
    return torch.as_tensor(total) / count


def _log(weights: Tensor) -> Tensor:
    return weights.clamp_min(torch.finfo(weights.dtype).tiny).log()
