"""Basic points of many polytopes ``{x >= 0, Qᵀx = t}`` at once: points whose support no proper subset could replace.

From an inner point, each step goes to the nearest facet of the face that the point is in: one entry becomes 0 and
leaves, and the face loses a dimension, until it is a vertex. With P the projection onto the moves that change nothing
(the null space of Q restricted to the support), the way to the facet ``x_i = 0`` is ``−x_i/P_ii · P e_i``, of length
``x_i/√P_ii``. Every other facet is at least as far, so no entry turns negative on the way. From the least-norm point
this is backward elimination: the entry that leaves is the one that raises ‖x‖ least, and the point stays the least-norm
one of its support. The rule reads nothing but Q's span and the point, so neither the order of the entries nor the basis
matters, save for ties (entries with the same row of Q), which no such rule can break: there the last entry leaves.

Batched over all rows, the projections come from one inverse Gram matrix ``(Q_BᵀQ_B)⁻¹`` per row. A removal changes it
by a rank-one term, and it is made anew now and then. Rows that rounding spoils in this are done again one by one, from
singular values of Q itself.
"""

from __future__ import annotations

import torch
from torch import Tensor

from whybench.bench.nullspace import RANK_ROUNDING_ERRORS
from whybench.methods._least_norm import FEW_ROWS, RIDGE

# Removals between two fresh factorisations.
REMOVALS_PER_FACTOR = 48

# An entry with less room than this, P_ii of a projection, cannot move: what it would show is rounding.
LEAST_ROOM = 1e-11

# Entries this small next to the largest are what rounding made of 0 on the way to the point that is started from.
NEXT_TO_NOTHING = 1e-12

# Lengths (squared) this close are ties.
TIE = 1e-9

# A row of the batched way must keep its target this well, or it is done again.
RESIDUAL_GOAL = 1e-10


def basic_points(basis: Tensor, point: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Take every point to a vertex of its polytope.

    Args:
        basis: Q, ``[groups, entries, columns]``, float64: orthonormal columns, or zero columns.
        point: Points of the polytopes, ``[groups, rows, entries]``: non-negative, with ``Qᵀx = t`` up to rounding.
        target: t, ``[groups, rows, columns]``.

    Returns:
        The vertices, of the points' shape, and how many entries left each row one at a time, ``[groups, rows]``. A row
        that ends anywhere else than in a vertex is returned all the same: the caller certifies.
    """
    started = torch.where(point > NEXT_TO_NOTHING * point.amax(-1, keepdim=True), point, 0.0)
    vertex, removed = _eliminate(basis, started, target)
    vertex = _polish(basis, vertex, target)
    missed = (vertex @ basis - target).norm(dim=-1) > RESIDUAL_GOAL * target.norm(dim=-1)
    for group, row in (missed | ~independent_support(basis, vertex)).nonzero().tolist():
        found, steps = _eliminate_one(basis[group], point[group, row], target[group, row])
        vertex[group, row] = found
        removed[group, row] += steps
    return vertex, removed


def independent_support(basis: Tensor, point: Tensor) -> Tensor:
    """Whether the rows of Q where a point ``[groups, rows, entries]`` is not 0 are linearly independent.

    Then no other point with this support, and none with a part of it, has the same ``Qᵀx``. Returns booleans
    ``[groups, rows]``; independent means that the smallest singular value is surely above the rounding errors.
    """
    columns = basis.shape[2]
    support = point != 0
    answer = support.sum(-1) <= columns
    where = (answer & support.any(-1)).nonzero(as_tuple=True)
    if len(where[0]) == 0:
        return answer
    _, triangle, _ = _factor(basis, where[0], support[where])
    identity = torch.eye(triangle.shape[-1], dtype=basis.dtype, device=basis.device)
    inverse = torch.linalg.solve_triangular(triangle, identity.expand_as(triangle), upper=True)
    # The norm of the inverse bounds 1 / (the smallest singular value) from above; it is no number where R is singular.
    norm = inverse.flatten(1).norm(dim=-1)
    least = RANK_ROUNDING_ERRORS * max(basis.shape[1:]) * torch.finfo(basis.dtype).eps
    answer[where] = norm * least < 1
    return answer


def _factor(basis: Tensor, groups: Tensor, support: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """QR of the transposed rows of Q on each support ``[n, entries]``, the entries in it, first ones first.

    Where a support is smaller than the largest, R goes on with ones on its diagonal. All supports have at most as many
    entries as Q has columns.
    """
    size = support.sum(-1)
    widest = max(1, int(size.max()))
    entries = support.to(torch.int8).argsort(dim=-1, descending=True, stable=True)[:, :widest]
    inside = torch.arange(widest, device=size.device) < size.unsqueeze(-1)
    rows = basis[groups.unsqueeze(-1), entries] * inside.unsqueeze(-1)
    orthonormal, triangle = torch.linalg.qr(rows.mT)
    diagonal = triangle.diagonal(dim1=-2, dim2=-1)
    diagonal.copy_(torch.where(inside, diagonal, 1.0))
    return orthonormal, triangle, entries


def _polish(basis: Tensor, point: Tensor, target: Tensor) -> Tensor:
    """The points on their supports that meet the target best, without the entries that rounding had kept above 0."""
    point = point.clone()
    where = ((point > 0).sum(-1) <= basis.shape[2]).nonzero(as_tuple=True)
    while len(where[0]):
        support = point[where] > 0
        orthonormal, triangle, entries = _factor(basis, where[0], support)
        goal = (orthonormal.mT @ target[where].unsqueeze(-1)).squeeze(-1)
        solved = torch.linalg.solve_triangular(triangle, goal.unsqueeze(-1), upper=True).squeeze(-1)
        solved = torch.where(solved.isfinite() & support.gather(-1, entries), solved, 0.0)
        point[where] = torch.zeros_like(point[where]).scatter(-1, entries, solved.clamp_min(0))
        # An entry that has just become 0 leaves its share to the others.
        again = (solved < 0).any(-1)
        where = (where[0][again], where[1][again])
    return point


def _eliminate(basis: Tensor, point: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The batched way: the points with every entry gone that can go, and how many went."""
    point = point.clone()
    removed = torch.zeros(point.shape[:2], dtype=torch.int64, device=point.device)
    live = torch.ones_like(removed, dtype=torch.bool)
    while bool(live.any()):
        groups = live.any(dim=1).nonzero().squeeze(1)
        widest = int(live.sum(dim=1).max())
        rows = live[groups].to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :widest]
        block = (groups.unsqueeze(1), rows)
        # Only entries that a row of the group still has, in their order.
        union = (point[block] > 0).any(dim=1)
        width = int(union.sum(dim=1).max())
        entries = union.to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :width]
        q = basis[block[0], entries]
        at = entries.unsqueeze(1).expand(-1, widest, -1)
        x = point[block].gather(-1, at)
        active, before = live[block], (x > 0).sum(-1)
        dimension, steps = _remove(q, x, target[block], active)
        moved = torch.zeros_like(point[block]).scatter(-1, at, x)
        point[block] = torch.where(active.unsqueeze(-1), moved, point[block])
        removed[block] += steps
        # Entries that others took to 0 with them leave no room of their own: what is left must be counted again.
        live[block] = active & ((dimension > 0) | (before - (x > 0).sum(-1) != steps))
    return point, removed


def _remove(q: Tensor, x: Tensor, target: Tensor, active: Tensor) -> tuple[Tensor, Tensor]:
    """Remove up to ``REMOVALS_PER_FACTOR`` entries from x in place.

    Args:
        q: ``[groups, entries, columns]``.
        x: ``[groups, rows, entries]``.
        target: ``[groups, rows, columns]``.
        active: The rows to work on, ``[groups, rows]``.

    Returns:
        The dimensions that are left of the null spaces, and the removals, ``[groups, rows]`` each.
    """
    kept = (x > 0).to(x.dtype)
    inverse = _inverse_gram(q, kept)
    correction = ((target - x @ q).unsqueeze(-2) @ inverse).squeeze(-2)
    x.addcmul_(correction @ q.mT, kept).clamp_min_(0)
    room = (kept - _quadratic(q, inverse) * kept).clamp_min_(0)
    # The trace of a projection is its rank.
    dimension = room.sum(-1).round().to(torch.int64) * active
    removed = torch.zeros_like(dimension)
    ramp = torch.arange(x.shape[-1], device=x.device, dtype=x.dtype)
    for _ in range(min(REMOVALS_PER_FACTOR, int(dimension.max()))):
        length = (x * x).div_(room).masked_fill_(room <= LEAST_ROOM, torch.inf)
        least = length.amin(-1, keepdim=True)
        goes = (dimension > 0).unsqueeze(-1) & least.isfinite()
        # The last one of a tie; argmax would do it, at four times the price.
        leaving = ((length <= least * (1 + TIE)) * ramp).amax(-1, keepdim=True).long()
        row = q.gather(1, leaving.expand(-1, -1, q.shape[2]))
        weights = (row.unsqueeze(-2) @ inverse).squeeze(-2)
        hat = (weights @ q.mT).mul_(kept)
        share = goes / (1 - hat.gather(-1, leaving)).clamp_min(LEAST_ROOM)
        x.addcmul_(hat, x.gather(-1, leaving) * share).clamp_min_(0)
        room.addcmul_(hat * share, hat, value=-1).clamp_min_(0)
        inverse.addcmul_((weights * share).unsqueeze(-1), weights.unsqueeze(-2))
        stays = (~goes).to(x.dtype)
        for value in (x, room, kept):
            value.scatter_(-1, leaving, value.gather(-1, leaving) * stays)
        gone = goes.squeeze(-1)
        removed += gone
        # A row that has room by its trace and by no entry is left to the caller.
        dimension = torch.where(gone, dimension - 1, 0)
        if not bool(gone.any()):
            break
    return dimension, removed


def _inverse_gram(q: Tensor, kept: Tensor) -> Tensor:
    """``(QᵀDQ)⁻¹``, D the diagonal of ``kept``, ``[groups, rows, columns, columns]``.

    Where the rows that are kept do not span all columns, it is the inverse on what they span, and large elsewhere,
    where no row of Q that is kept looks.
    """
    columns = q.shape[2]
    if kept.shape[1] > FEW_ROWS:
        products = (q.unsqueeze(-1) * q.unsqueeze(-2)).flatten(2)
        gram = (kept @ products).reshape(*kept.shape[:2], columns, columns)
    else:
        gram = (q.unsqueeze(1) * kept.unsqueeze(-1)).mT @ q.unsqueeze(1)
    gram.diagonal(dim1=-2, dim2=-1).add_(RIDGE)
    factor, _ = torch.linalg.cholesky_ex(gram)
    return torch.cholesky_inverse(factor)


def _quadratic(q: Tensor, inverse: Tensor) -> Tensor:
    """``q_iᵀ M q_i`` for every entry i, ``[groups, rows, entries]``."""
    if inverse.shape[1] > FEW_ROWS:
        return inverse.flatten(2) @ (q.unsqueeze(-1) * q.unsqueeze(-2)).flatten(2).mT
    return ((q.unsqueeze(1) @ inverse) * q.unsqueeze(1)).sum(-1)


def _eliminate_one(basis: Tensor, point: Tensor, target: Tensor) -> tuple[Tensor, int]:
    """One row, with projections from singular vectors: exact where the Gram matrix has lost small singular values."""
    point = point.clone()
    rounding = torch.finfo(basis.dtype).eps
    steps = 0
    while True:
        kept = (point > 0).nonzero().squeeze(1)
        left, singular, right = torch.linalg.svd(basis[kept], full_matrices=False)
        rank = singular > RANK_ROUNDING_ERRORS * max(basis.shape) * rounding
        left, inverse = left[:, rank], right[rank].mT / singular[rank]
        x = point[kept] + left @ ((target - point[kept] @ basis[kept]) @ inverse)
        if bool((x <= 0).any()) or len(kept) == left.shape[1]:
            point[kept] = x.clamp_min(0)
            if bool((x <= 0).any()):
                continue
            return point, steps
        room = (1 - left.square().sum(-1)).clamp_min(0)
        length = torch.where(room > LEAST_ROOM, x * x / room, torch.inf)
        leaving = int((length <= length.min() * (1 + TIE)).nonzero()[-1])
        move = left @ left[leaving]
        move[leaving] -= 1
        point[kept] = (x + move * x[leaving] / room[leaving]).clamp_min(0)
        point[kept[leaving]] = 0
        steps += 1
