"""A state as a sum of one vector per input token, and what becomes of the sum in each part of a layer.

Every function takes vectors ``[batch, queries, tokens, width]`` that add up to a state ``[batch, queries, width]`` over
the tokens, and returns vectors that add up to what the part makes of the state.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from whybench.methods._blocks import BUDGET, Affine, Norm, PostNormBlock

# A state as small as this is taken for it in the slope through the origin
SMALLEST = 1e-12


def shared(vectors: Tensor, bias: Tensor) -> Tensor:
    """The vectors with a bias ``[width]`` shared out: a token's share is as large as ``|bias · its vector|``.

    Where it is 0 for all tokens, they have equal shares.
    """
    shares = (vectors @ bias).abs()
    total = shares.sum(dim=-1, keepdim=True)
    shares = torch.where(total > 0, shares / total.where(total > 0, 1), 1 / vectors.shape[2])
    return vectors + shares[..., None] * bias


def through_affine(part: Affine, vectors: Tensor) -> Tensor:
    """Vectors of ``x W + b``."""
    return shared(vectors @ part.weight, part.bias)


def through_norm(part: Norm, vectors: Tensor, states: Tensor) -> Tensor:
    """Vectors of the normalised states, whose standard deviation is the true one."""
    return shared(part.centred(vectors) * part.scale(states)[:, :, None], part.bias)


def through_activation(activation: Callable[[Tensor], Tensor], vectors: Tensor, states: Tensor) -> Tensor:
    """Vectors of f(states), f being the line through the origin, ``f(x) / x``, at each number."""
    at = torch.where(states.abs() < SMALLEST, SMALLEST, states)
    return vectors * (activation(at) / at)[:, :, None]


def through_layer(block: PostNormBlock, vectors: Tensor, queries: int, *, first: bool) -> Tensor:
    """Vectors of a layer's output.

    Args:
        block: The layer.
        vectors: Of its input, ``[batch, tokens, tokens, hidden]``.
        queries: How many of the output's tokens are wanted, from the first one.
        first: Whether it is the first layer, where each token's value vector is its own, bias included. In later ones
            the values' bias is shared out with that of W_O.
    """
    examples, tokens = vectors.shape[:2]
    values = vectors @ block.value.weight
    bias = block.output.bias
    if first:
        values.diagonal(dim1=1, dim2=2).add_(block.value.bias[:, None])
    else:
        bias = bias + block.value.bias @ block.output.weight
    # [batch, heads, inputs, tokens · d_v]
    values = values.reshape(*values.shape[:3], *block.values.shape[1::2]).permute(0, 3, 1, 2, 4).flatten(3)
    states = block.attended()
    step = max(1, BUDGET // (examples * tokens * block.width))
    done = []
    for start in range(0, queries, step):
        wanted = slice(start, min(start + step, queries))
        mixed = block.weights[:, :, wanted] @ values
        mixed = mixed.reshape(*mixed.shape[:3], tokens, -1).permute(0, 2, 3, 1, 4).flatten(3)
        attended = shared(mixed @ block.output.weight + vectors[:, wanted], bias)
        normed = block.norm(states[:, wanted])
        behind = through_norm(block.norm, attended, states[:, wanted])
        hidden = through_affine(block.first, behind)
        hidden = through_activation(block.activation, hidden, block.first(normed))
        fed = behind + through_affine(block.second, hidden)
        done.append(through_norm(block.last_norm, fed, block.fed_forward(normed)))
    return torch.cat(done, dim=1)
