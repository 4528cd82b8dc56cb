"""How much of the attention the heads' outputs cannot see (Brunner et al. 2020, arXiv:1908.04211)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from whybench.bench.attention import AttentionRecord
from whybench.bench.causal.span import spans


@dataclass(frozen=True, eq=False)
class Identifiability:
    """The null space of [V, 1] under one example's attention; it follows from A and V, whatever the method.

    Attributes:
        dimension: Attendable keys minus rank [V, 1], ``[layers, heads, queries]``, float64.
        share: Share of ‖a‖² in that null space, the same shape; exactly 0 where the null space is trivial.
    """

    dimension: Tensor
    share: Tensor

    def widest_head(self) -> tuple[int, int]:
        """Layer and head with the largest mean share, the first of several."""
        by_head = self.share.mean(dim=-1)
        place = int(by_head.flatten().argmax())
        return place // by_head.shape[1], place % by_head.shape[1]


@torch.no_grad()
def identify(record: AttentionRecord) -> Identifiability:
    """The null space of every head's [V, 1], and how much of the rows lies in it.

    Args:
        record: The attention of a batch of one example without padding, float64.
    """
    dimensions, shares = [], []
    for weights, values, allowed in zip(record.weights, record.values, record.allowed, strict=True):
        heads = weights.shape[1]
        dimension, share = [], []
        for span in spans(values[0], allowed[0]):
            rows = span.split(weights[0])
            unseen = rows - (rows @ span.basis) @ span.basis.mT
            empty = (span.attendable - span.rank).double()
            part = (unseen.square().sum(dim=-1) / rows.square().sum(dim=-1)).clamp(max=1.0)
            dimension.append(span.join(empty[:, None].expand(part.shape), heads))
            share.append(span.join(torch.where(empty[:, None] > 0, part, 0.0), heads))
        dimensions.append(torch.cat(dimension, dim=1))
        shares.append(torch.cat(share, dim=1))
    return Identifiability(torch.stack(dimensions), torch.stack(shares))
