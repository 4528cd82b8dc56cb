"""Permuted attention, a control: the model's weights on the wrong keys."""

from __future__ import annotations

from typing import ClassVar

from whybench.bench.attention import AttentionRecord
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.matrices import Matrices
from whybench.methods._control import Control, random_per_example, real_rows


class PermutedAttention(Control):
    """Permuted attention (a control): each row's weights in a random order over the keys that it may attend to.

    Every row of every head and layer has an order of its own, seeded with the example's id, so that the batch makes no
    difference. The suite takes the median of the draws' effects, as the paper does.

    Source: Jain & Wallace 2019, "Attention is not Explanation", arXiv:1902.10186, which permutes the one attention
    layer of a recurrent model; here it is all rows of a transformer.

    Attributes:
        seed: Another seed gives other orders.
    """

    name, family, signed = "permuted_attention", "control", False

    seed: int = 0
    draws: ClassVar[int] = 100

    def replaced(
        self, classifier: Classifier, batch: Batch, record: AttentionRecord, index: int
    ) -> tuple[Matrices, ...]:
        """The permuted rows of draw ``index``, ``[batch, heads, queries, keys]`` per layer."""
        numbers = random_per_example(batch, record, self.seed, self.name, index)
        made = []
        for weights, allowed, number in zip(record.weights, record.allowed, numbers, strict=True):
            # Attendable keys first on both sides, at random where weights come from and in order where they go to.
            source = number.masked_fill(~allowed, 2.0).argsort(dim=-1)
            goal = (~allowed).to(source.dtype).argsort(dim=-1, stable=True).expand_as(source)
            permuted = weights.new_zeros(weights.shape).scatter(-1, goal, weights.gather(-1, source))
            made.append(Matrices(permuted * (allowed & real_rows(batch))))
        return tuple(made)
