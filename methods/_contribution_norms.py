"""Norms of what each token contributes to each, without the vectors of all pairs of tokens."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from whybench.methods._blocks import PostNormBlock


def summed_norms(weights: Tensor, vectors: Tensor) -> Tensor:
    """``‖Σ_h α_ij^h f^h(x_j)‖``, ``[batch, queries, keys]``, float64.

    From each key's Gram matrix ``G_j = F_j F_jᵀ`` over heads, of which it is the quadratic form in ``α_ij``.

    Args:
        weights: α, ``[batch, heads, queries, keys]``.
        vectors: f, ``[batch, keys, heads, hidden]``.
    """
    # a square loses half of the digits where vectors cancel out
    wide = vectors.double()
    alpha = weights.double().permute(0, 3, 2, 1)
    squares = ((alpha @ (wide @ wide.mT)) * alpha).sum(dim=-1)
    return squares.clamp_min(0).sqrt().mT


def residual_norms(block: PostNormBlock, linear: Callable[[Tensor], Tensor], scale: Tensor) -> Tensor:
    """Norms of ``scale_i · linear(Σ_h α_ij^h f^h(x_j) + [i = j] x_i)``, ``[batch, queries, keys]``, float64.

    Args:
        block: The layer.
        linear: What the vectors go through, a linear map of ``[..., hidden]``.
        scale: One number per query, ``[batch, queries, 1]``.
    """
    projected = block.projections()
    norms = summed_norms(block.weights, linear(projected))
    own = torch.einsum("bhq,bqhd->bqd", block.weights.diagonal(dim1=2, dim2=3), projected) + block.inputs
    norms.diagonal(dim1=1, dim2=2).copy_(linear(own).double().norm(dim=-1))
    return norms * scale.double()
