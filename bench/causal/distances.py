"""Distances between distributions, and the entropy of one."""

from __future__ import annotations

import torch
from torch import Tensor

from whybench.bench.causal.metrics import LN2


def half_l1(p: Tensor, q: Tensor) -> Tensor:
    """``½Σ|p − q|`` over the last dimension; the total variation distance where both are distributions."""
    return (p - q).abs().sum(dim=-1) / 2


def tvd(p: Tensor, q: Tensor) -> Tensor:
    """Total variation distance of distributions over the last dimension, in [0, 1]."""
    # rounding alone can lead beyond 1
    return half_l1(p, q).clamp(max=1.0)


def jsd(p: Tensor, q: Tensor) -> Tensor:
    """Jensen-Shannon divergence of distributions over the last dimension, in nats, in [0, ln 2]."""
    middle = (p + q) / 2
    divergence = entropy(middle) - (entropy(p) + entropy(q)) / 2
    # a difference of entropies: rounding alone can lead beyond either end
    return divergence.clamp(0.0, LN2)


def entropy(p: Tensor) -> Tensor:
    """Entropy of distributions over the last dimension, in nats."""
    terms: Tensor = torch.special.xlogy(p, p)
    return -terms.sum(dim=-1)
