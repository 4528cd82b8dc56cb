"""Many versions of one example's attention in one forward pass: each copy in the batch has its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier

Variant = Callable[[int, Tensor], Tensor]
"""Given a layer and the weights that the copy has there, ``[heads, queries, keys]``, the weights to use."""

# Attention weights of all copies in one pass, as the pass keeps every layer's
PASS_BYTES = {"cpu": 2**28, "cuda": 2**33}


def as_it_is(layer: int, weights: Tensor) -> Tensor:
    """The variant that replaces nothing."""
    return weights


def everywhere(matrices: Sequence[Tensor]) -> Variant:
    """``matrices[layer]`` ``[heads, queries, keys]`` in every head of every layer."""
    return lambda layer, weights: matrices[layer].to(weights.dtype)


def in_layer(matrices: Sequence[Tensor], place: int) -> Variant:
    """``matrices[place]`` in every head of one layer; the others are as they come out after that."""
    return lambda layer, weights: matrices[layer].to(weights.dtype) if layer == place else weights


def in_head(matrices: Sequence[Tensor], place: int, head: int) -> Variant:
    """``matrices[place][head]`` in one head of one layer."""

    def replace(layer: int, weights: Tensor) -> Tensor:
        if layer != place:
            return weights
        replaced = weights.clone()
        replaced[head] = matrices[layer][head].to(weights.dtype)
        return replaced

    return replace


@torch.no_grad()
def run_with(classifier: Classifier, one: Batch, matrices: Sequence[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """One example with ``matrices`` everywhere.

    Returns:
        Its logits ``[labels]``, and per layer the values ``[heads, keys, d_v]`` that come about; those of upper layers
        are the model's own only where the matrices below give every head the output that it had.
    """
    values: list[Tensor] = []
    variant = everywhere(matrices)

    def replace(layer: int, weights: Tensor, own: Tensor) -> Tensor:
        values.append(own[0])
        return variant(layer, weights[0]).unsqueeze(0)

    return classifier.replace_attention(one, replace)[0], values


@torch.no_grad()
def logits_of(classifier: Classifier, one: Batch, variants: Sequence[Variant], numbers: int) -> Tensor:
    """Logits ``[variants, labels]``, float64, of one example under every variant.

    The example is alone and not padded, so that nothing depends on what else is measured.

    Args:
        classifier: The classifier.
        one: A batch of one example.
        variants: At least one.
        numbers: Attention weights of the example, of all layers and heads; bounds the memory.
    """
    size = numbers * torch.finfo(classifier.dtype).bits // 8
    at_once = max(1, PASS_BYTES.get(classifier.device.type, PASS_BYTES["cpu"]) // size)
    answers = []
    for start in range(0, len(variants), at_once):
        chunk = variants[start : start + at_once]

        def replace(layer: int, weights: Tensor, _: Tensor, chunk: Sequence[Variant] = chunk) -> Tensor:
            return torch.stack([variant(layer, own) for variant, own in zip(chunk, weights, strict=True)])

        answers.append(classifier.replace_attention(one.select([0] * len(chunk)), replace).double())
    return torch.cat(answers)
