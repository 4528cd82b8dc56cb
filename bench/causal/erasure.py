"""Erasure: a unit cut out of all attention, after Serrano & Smith 2019 (arXiv:1906.03731).

They zero attention weights of a recurrent model's one attention layer. Here the weights on the unit's tokens are zeroed
in every row of every head and layer, and each row is divided by what is left of its sum. A row that attends to nothing
else stays as it is (the first token of a decoder attends only to itself).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from whybench.bench.causal.distances import jsd
from whybench.bench.causal.variants import Variant


def cut_out(tokens: Tensor) -> Variant:
    """The model's own attention without some keys.

    Args:
        tokens: The keys to cut out, ``[keys]``, bool.
    """

    def replace(layer: int, weights: Tensor) -> Tensor:
        left = weights.masked_fill(tokens, 0.0)
        sums = left.sum(dim=-1, keepdim=True)
        return torch.where(sums > 0, left / torch.where(sums > 0, sums, 1.0), weights)

    return replace


def erased(logits: Tensor, target: int) -> list[tuple[float, float]]:
    """Per unit cut out the divergence from the model's own output, and 1.0 where the decision is another one.

    Args:
        logits: ``[1 + units, labels]``, float64; the model's own first.
        target: The frozen prediction.
    """
    probabilities = logits.softmax(dim=-1)
    changes = jsd(probabilities[:1], probabilities[1:]).tolist()
    flips = (logits[1:].argmax(dim=-1) != target).double().tolist()
    return list(zip(changes, flips, strict=True))


def top_and_other(ranks: Sequence[int], order: Sequence[int]) -> tuple[int, int | None]:
    """The best-ranked unit, and the first of a random order that is another one; None where there is no other."""
    top = min(range(len(ranks)), key=lambda unit: ranks[unit])
    return top, next((unit for unit in order if unit != top), None)
