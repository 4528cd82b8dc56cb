"""Minimality: how small M is beside A, and how little of it has to go before the decision flips."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from whybench.bench.causal.distances import entropy, half_l1, jsd
from whybench.bench.causal.variants import Variant

MASSES = tuple(percent / 100 for percent in range(5, 100, 5))
# a sum of weights reaches a mass that it equals but for rounding
ROUNDING = 1e-6
# masses tried together; those beyond the first flip are never needed
AT_ONCE = 5


def compared(matrices: Sequence[Tensor], own: Sequence[Tensor], *, distributions: bool) -> dict[str, float]:
    """Figures of M beside A, each a mean over rows, heads and layers.

    Args:
        matrices: M per layer, ``[heads, queries, keys]``, float64.
        own: A, the same.
        distributions: Whether M's rows are distributions; the effective support and the divergence need that.
    """
    figures: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "norm_ratio": lambda m, a: m.square().sum(dim=-1) / a.square().sum(dim=-1),
        "matrix_tvd": half_l1,
    }
    if distributions:
        figures["support_ratio"] = lambda m, a: (entropy(m) - entropy(a)).exp()
        figures["matrix_jsd"] = jsd
    return {
        name: float(torch.stack([figure(m, a).mean() for m, a in zip(matrices, own, strict=True)]).mean())
        for name, figure in figures.items()
    }


def mass_before(rows: Tensor, order: Tensor) -> Tensor:
    """Mass that goes before each weight does, ``[heads, queries, keys]``, where weights go in an order.

    Infinite for the last positive weight of the row, which never goes.

    Args:
        rows: Distributions, ``[heads, queries, keys]``.
        order: Keys in the order in which their weights go, the same shape.
    """
    sorted_rows = rows.gather(-1, order)
    before = sorted_rows.cumsum(dim=-1) - sorted_rows
    places = torch.arange(rows.shape[-1], device=rows.device)
    last = torch.where(sorted_rows > 0, places, -1).amax(dim=-1, keepdim=True)
    before = before.masked_fill(places >= last, torch.inf)
    return torch.zeros_like(rows).scatter(-1, order, before)


def largest_first(rows: Tensor) -> Tensor:
    """`mass_before` with the largest weights going first."""
    return mass_before(rows, rows.argsort(dim=-1, descending=True, stable=True))


def in_random_order(rows: Tensor, random: np.random.Generator) -> Tensor:
    """`mass_before` with the weights of each row going in an order of its own."""
    numbers = torch.from_numpy(random.random(tuple(rows.shape))).to(rows.device)
    return mass_before(rows, numbers.argsort(dim=-1))


def without(matrices: Sequence[Tensor], before: Sequence[Tensor], mass: float) -> Variant:
    """M everywhere without the first weights that make up a mass, the rest of each row divided by its sum.

    Args:
        matrices: M per layer, ``[heads, queries, keys]``, float64.
        before: `mass_before` of each, the same shape.
        mass: The mass, in (0, 1).
    """

    def replace(layer: int, weights: Tensor) -> Tensor:
        # in float64: trained rows have weights of 1e-50, and where only such are left float32 would divide 0 by 0
        kept = matrices[layer] * (before[layer] >= mass - ROUNDING)
        return (kept / kept.sum(dim=-1, keepdim=True)).to(weights.dtype)

    return replace


def flip_mass(decide: Callable[[Sequence[Variant]], Tensor], variant: Callable[[float], Variant], target: int) -> float:
    """The least mass of `MASSES` without which the decision is another one than the target; 1.0 if there is none.

    Args:
        decide: Gives the decisions ``[variants]``.
        variant: Gives M without a mass.
        target: The frozen prediction.
    """
    for start in range(0, len(MASSES), AT_ONCE):
        masses = MASSES[start : start + AT_ONCE]
        flipped = decide([variant(mass) for mass in masses]) != target
        if bool(flipped.any()):
            return masses[int(flipped.int().argmax())]
    return 1.0
