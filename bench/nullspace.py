"""The columns that a head's output can see: an orthonormal basis of V, or of [1, V], over the attendable keys."""

from __future__ import annotations

import torch
from torch import Tensor

# Directions of V below this many rounding errors (relative to the columns' norms) are rounding errors themselves.
RANK_ROUNDING_ERRORS = 8


def column_basis(values: Tensor, allowed: Tensor, *, with_ones: bool) -> tuple[Tensor, Tensor]:
    """Orthonormal columns that span V, or [1, V], over the allowed keys.

    The column of ones is kept as the first one, exact, so that no direction of V blurs the row sum.

    Args:
        values: ``[heads, keys, d_v]``, 0 where not allowed.
        allowed: ``[heads, keys]``.
        with_ones: Whether the span includes the vector of ones.

    Returns:
        The basis ``[heads, keys, columns]``, zero columns last where a head's rank is below the largest, and the ranks.
    """
    norm = values.abs().amax(dim=1, keepdim=True)
    columns = values / torch.where(norm > 0, norm, 1.0)
    norm = columns.norm(dim=1, keepdim=True)
    # Scaled before they are centred: a constant column must stay a rounding error, not become a direction.
    columns = columns / torch.where(norm > 0, norm, 1.0)
    free = allowed.unsqueeze(-1).to(values.dtype)
    count = free.sum(dim=1, keepdim=True)
    ones = free / count.clamp_min(1).sqrt()
    if with_ones:
        columns = columns - ones * (ones * columns).sum(dim=1, keepdim=True)
        columns = torch.cat([ones, columns], dim=-1)
    tolerance = RANK_ROUNDING_ERRORS * max(columns.shape[1:]) * torch.finfo(values.dtype).eps
    orthonormal, triangle = torch.linalg.qr(columns)
    skip = 1 if with_ones else 0
    left, singular, _ = torch.linalg.svd(triangle[:, skip:, skip:], full_matrices=False)
    kept = singular > tolerance
    basis = (orthonormal[..., skip:] @ left) * kept.unsqueeze(1) * free
    rank = kept.sum(-1)
    widest = int(rank.max())
    basis = basis[..., :widest]
    if with_ones:
        basis, rank = torch.cat([ones, basis], dim=-1), rank + allowed.any(dim=-1)
    return basis, rank
