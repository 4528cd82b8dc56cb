"""Necessity: rows moved inside the null space of [V, 1], and as far orthogonally to it, staying distributions.

For a row m of M with s positive weights, and [V, 1] of rank r over the keys that it may attend to:

- T are its largest ``r + ⌈(s − r)/2⌉`` weights, and all that tie with the last of them. Only they move: the smallest
  weights would leave no way to go, and a weight that is 0 could only rise. Where s ≤ r the row stays as it is.
- The **inside** move lies in the null space of [V, 1] restricted to T: the head's output stays.
- The **across** move lies in the span of [V, 1] restricted to T and sums to 0: it is orthogonal to every inside move.
- Both are drawn as relative changes y of the weights, a seeded Gaussian that is projected so that ``d = D·y`` is such a
  move, D being the weights of T, cut off at `SPREAD` times the smallest. An isotropic move is stopped early by the
  smallest weight; these go farther, most so in peaked rows. Of `DRAWS` draws and their opposites each takes the one
  with the longest way to the boundary, where a weight becomes 0.
- Both go ``ν = REACH × the shorter of the two ways``: the same norm, every weight of T staying positive.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from whybench.bench.causal.span import Span, spans

DRAWS = 4
REACH = 0.9
SPREAD = 1e3
# Below this smallest diagonal entry of its Cholesky factor, relative to the largest, [V, 1] on T is too close to a
# lower rank: rounding blurs its span and the null space, and the row stays as it is.
PIVOT = 1e-5
# Each pass shrinks what is left in the span by the condition number times the rounding error
PASSES = 2
CHUNK_BYTES = {"cpu": 2**26, "cuda": 2**31}


@dataclass(frozen=True, eq=False)
class Moves:
    """One layer's rows after their moves.

    Attributes:
        inside: Moved inside the null space, ``[heads, queries, keys]``; rows that cannot be moved as they were.
        across: Moved as far, orthogonally to it.
        moved: Which rows were moved, ``[heads, queries]``, bool.
        distance: Norm of the moves over ‖m‖, ``[heads, queries]``; 0 where the row was not moved.
    """

    inside: Tensor
    across: Tensor
    moved: Tensor
    distance: Tensor


@torch.no_grad()
def moves(rows: Tensor, values: Tensor, allowed: Tensor, random: np.random.Generator) -> Moves:
    """Move all rows of one layer of one example both ways.

    Args:
        rows: M, distributions, ``[heads, queries, keys]``, float64.
        values: ``[heads, keys, d_v]``, float64.
        allowed: ``[1 or heads, queries, keys]``, bool.
        random: Gives the directions.
    """
    heads, queries, keys = rows.shape
    columns = min(values.shape[-1] + 1, keys)
    shape = (heads, queries, DRAWS)
    inside_noise = torch.from_numpy(random.standard_normal((*shape, keys))).to(rows.device)
    across_noise = torch.from_numpy(random.standard_normal((*shape, columns))).to(rows.device)
    moved = Moves(rows.clone(), rows.clone(), rows.new_zeros(heads, queries).bool(), rows.new_zeros(heads, queries))
    for span in spans(values, allowed):
        grouped = span.split(rows)
        inner, outer = span.split(inside_noise), span.split(across_noise)[..., : span.basis.shape[-1]]
        parts = [
            _moved(grouped[part], span.basis[part], span.rank[part], inner[part], outer[part])
            for part in _chunks(span, grouped)
        ]
        joined = [span.join(torch.cat(pieces), heads) for pieces in zip(*parts, strict=True)]
        for whole, piece in zip((moved.inside, moved.across, moved.moved, moved.distance), joined, strict=True):
            whole[:, span.queries] = piece
    return moved


def _chunks(span: Span, grouped: Tensor) -> list[slice]:
    """Groups whose Gram matrices of all rows fit into the working memory."""
    groups, rows, keys = grouped.shape
    size = (rows + keys) * span.basis.shape[-1] ** 2 * grouped.element_size()
    step = max(1, CHUNK_BYTES.get(grouped.device.type, CHUNK_BYTES["cpu"]) // size)
    return [slice(start, start + step) for start in range(0, groups, step)]


def _moved(rows: Tensor, basis: Tensor, rank: Tensor, inner: Tensor, outer: Tensor) -> tuple[Tensor, ...]:
    """The fields of `Moves` for groups ``[groups, rows, keys]`` that share a basis ``[groups, keys, columns]``."""
    support = (rows > 0).sum(dim=-1)
    room = (support - rank[:, None]).clamp_min(0)
    # with V constant over the keys every move is inside
    movable = (room > 0) & (rank[:, None] > 1)
    if not bool(movable.any()):
        return rows, rows, movable, rows.new_zeros(movable.shape)
    size = (rank[:, None] + (room + 1) // 2).clamp(max=rows.shape[-1])
    smallest = rows.sort(dim=-1, descending=True).values.gather(-1, (size - 1).clamp_min(0).unsqueeze(-1))
    part = ((rows >= smallest) & (rows > 0) & movable.unsqueeze(-1)).to(rows.dtype)
    # relative to the smallest one: between 1 and SPREAD
    scale = (rows / torch.where(smallest > 0, smallest, 1.0)).clamp(max=SPREAD) * part
    padding = (torch.arange(basis.shape[-1], device=rows.device) >= rank[:, None]).to(rows.dtype)

    seen, definite = _factor(basis, scale.square(), padding, movable)
    inside = _away(scale.unsqueeze(2) * inner, scale.square(), basis, seen)
    metric, also_definite = _factor(basis, part / torch.where(part > 0, scale, 1.0).square(), padding, movable)
    across = _along(outer * (1 - padding)[:, None, None], part, basis, metric)

    inner_move, inner_way = _farthest(inside, rows, part)
    outer_move, outer_way = _farthest(across, rows, part)
    step = REACH * torch.minimum(inner_way, outer_way)
    moved = movable & definite & also_definite & step.isfinite() & (step > 0)
    step = torch.where(moved, step, 0.0)
    return (
        rows + step.unsqueeze(-1) * torch.where(moved.unsqueeze(-1), inner_move, 0.0),
        rows + step.unsqueeze(-1) * torch.where(moved.unsqueeze(-1), outer_move, 0.0),
        moved,
        step / rows.norm(dim=-1),
    )


def _factor(basis: Tensor, weights: Tensor, padding: Tensor, movable: Tensor) -> tuple[Tensor, Tensor]:
    """Cholesky factors of ``Qᵀ diag(w) Q`` for every row w, ``[groups, rows, columns, columns]``, and which are sound.

    Rows that do not move, and columns beyond the rank, get the identity.
    """
    columns = basis.shape[-1]
    pairs = (basis.unsqueeze(-1) * basis.unsqueeze(-2)).flatten(-2)
    gram = (weights @ pairs).reshape(*weights.shape[:-1], columns, columns)
    identity = torch.eye(columns, dtype=basis.dtype, device=basis.device)
    gram = torch.where(movable[..., None, None], gram + torch.diag_embed(padding).unsqueeze(1), identity)
    factor, info = torch.linalg.cholesky_ex(gram)
    pivots = factor.diagonal(dim1=-2, dim2=-1)
    pivots = torch.where(padding.unsqueeze(1) > 0, pivots.amax(dim=-1, keepdim=True), pivots)
    sound = (info == 0) & (pivots.amin(dim=-1) > PIVOT * pivots.amax(dim=-1))
    return torch.where(sound[..., None, None], factor, identity), sound


def _away(moves: Tensor, metric: Tensor, basis: Tensor, factor: Tensor) -> Tensor:
    """Moves ``[groups, rows, draws, keys]`` after y in ``D·y`` is projected so that [V, 1] does not see them."""
    for _ in range(PASSES):
        seen = torch.cholesky_solve(_times(moves, basis).mT, factor).mT
        moves = moves - metric.unsqueeze(2) * _times(seen, basis.mT)
    return moves


def _along(noise: Tensor, part: Tensor, basis: Tensor, factor: Tensor) -> Tensor:
    """Moves in the span of [V, 1] on T that sum to 0; Gaussian in the metric whose factor is given."""
    columns: Tensor = torch.linalg.solve_triangular(factor.mT, noise.mT, upper=True)
    # conditioned on the sum 0: what the metric says of the sum is taken out
    sums = (part @ basis).unsqueeze(-1)
    weighted = torch.cholesky_solve(sums, factor)
    least = (sums.mT @ weighted).clamp_min(torch.finfo(basis.dtype).tiny)
    columns = columns - weighted * (sums.mT @ columns) / least
    moves = _times(columns.mT, basis.mT) * part.unsqueeze(2)
    # a constant on T is in the span, so that taking the rounding error out of the sum stays there
    size = part.sum(dim=-1).clamp_min(1)[..., None, None]
    return moves - part.unsqueeze(2) * (moves.sum(dim=-1, keepdim=True) / size)


def _times(rows: Tensor, matrix: Tensor) -> Tensor:
    """``[groups, rows, draws, n]`` times ``[groups, n, m]``, as one product for each group."""
    groups, queries, draws, _ = rows.shape
    return (rows.reshape(groups, queries * draws, -1) @ matrix).reshape(groups, queries, draws, -1)


def _farthest(moves: Tensor, rows: Tensor, part: Tensor) -> tuple[Tensor, Tensor]:
    """Of each row's moves and their opposites, at norm 1, the one with the longest way until a weight is 0."""
    norms = moves.norm(dim=-1, keepdim=True)
    moves = moves / torch.where(norms > 0, norms, 1.0)
    relative = moves / torch.where(part > 0, rows, torch.inf).unsqueeze(2)
    # the way of a move is 1 over its largest relative fall, that of its opposite 1 over its largest relative rise
    ways = 1 / torch.cat([-relative.amin(dim=-1), relative.amax(dim=-1)], dim=-1)
    longest, which = ways.max(dim=-1)
    draws = moves.shape[2]
    best = moves.gather(2, (which % draws)[..., None, None].expand(-1, -1, 1, moves.shape[-1])).squeeze(2)
    return torch.where((which < draws).unsqueeze(-1), best, -best), longest
