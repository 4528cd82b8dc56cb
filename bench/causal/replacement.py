"""Sufficiency: what the output does with M in place of A, in every head, in one layer, in one head."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from whybench.bench.causal.distances import jsd, tvd
from whybench.bench.causal.variants import Variant, in_head, in_layer


def errors(matrices: Sequence[Tensor], own: Sequence[Tensor], values: Sequence[Tensor]) -> dict[str, float]:
    """How far M is from distributions, and its heads' outputs from the model's: the largest over heads and layers.

    Args:
        matrices: M per layer, ``[heads, queries, keys]``, float64.
        own: A, the same.
        values: V per layer, ``[heads, keys, d_v]``.
    """
    distribution, equivalence = [], []
    for m, a, v in zip(matrices, own, values, strict=True):
        distribution += [float((m.sum(dim=-1) - 1).abs().max()), max(0.0, -float(m.min()))]
        output = a @ v
        change = (m @ v - output).flatten(1).norm(dim=-1)
        equivalence.append(float((change / output.flatten(1).norm(dim=-1)).max()))
    return {"distribution_error": max(distribution), "equivalence_error": max(equivalence)}


def all_replaced(own: Tensor, replaced: Tensor, target: int, label: int | None) -> dict[str, float]:
    """Figures of the output with M in every head of every layer.

    Args:
        own: The model's logits ``[labels]``, float64.
        replaced: Those with M, the same.
        target: The frozen prediction.
        label: The gold label; without one there is no accuracy.
    """
    p, q = own.softmax(dim=-1), replaced.softmax(dim=-1)
    decision = int(replaced.argmax())
    figures = {
        "replaced_tvd": float(tvd(p, q)),
        "replaced_jsd": float(jsd(p, q)),
        "replaced_logit_change": float((own - replaced).abs().max()),
        "replaced_agreement": float(decision == target),
    }
    return figures if label is None else figures | {"replaced_accuracy": float(decision == label)}


def partly(matrices: Sequence[Tensor], heads: Sequence[int]) -> list[Variant]:
    """One layer at a time, then one head of every layer.

    Args:
        matrices: M per layer ``[heads, queries, keys]``.
        heads: Per layer the head.
    """
    layers = range(len(matrices))
    return [in_layer(matrices, layer) for layer in layers] + [
        in_head(matrices, layer, head) for layer, head in zip(layers, heads, strict=True)
    ]


def partly_replaced(own: Tensor, replaced: Tensor) -> dict[str, float]:
    """Mean figures of `partly`'s logits ``[2 · layers, labels]`` against the model's own ``[labels]``."""
    changes = tvd(own.softmax(dim=-1), replaced.softmax(dim=-1))
    one_layer, one_head = changes.chunk(2)
    return {"layer_replaced_tvd": float(one_layer.mean()), "head_replaced_tvd": float(one_head.mean())}
