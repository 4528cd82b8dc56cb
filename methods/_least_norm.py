"""The least-norm point of many polytopes at once: ``argmin ‖x‖²`` subject to ``Qᵀx = t`` and ``x ≥ 0``.

Q has orthonormal columns, so the dual has one unknown per column of Q: ``x = max(0, Qλ)`` with ``Qᵀmax(0, Qλ) = t``.
Three algorithms share the work, the first two batched over all rows:

1. *Dual Newton*. The dual objective is concave and piecewise quadratic. Newton's step with an exact line search over
   the breakpoints ends on the exact active set, in two to five steps for most rows of a trained model. Without the
   line search it cycles on sharply peaked rows.
2. *Interior point* (Mehrotra's predictor-corrector), for the rows that Newton leaves. Peaked rows are nearly a linear
   program, where Newton visits many active sets one after another; the central path does not. Its multipliers then go
   back to Newton, which turns tiny entries into exact zeros.
3. *Primal active set*, row by row, for what is left: keys whose values are all but equal make multipliers so large that
   the Hessians of the first two, squares of Q, lose them. It starts from the model's own row, which is feasible, never
   leaves the constraints, and works with Q itself.

Problems come in groups: the rows of a group (the queries of a head) share Q, so that all their Hessians
``Qᵀ diag(w) Q`` are one matrix product.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

# The Newton steps that a row gets before and after the interior point; the easy rows need fewer than the first.
FIRST_NEWTON_STEPS = 14
LAST_NEWTON_STEPS = 30
INTERIOR_STEPS = 60
# How much of the way to the boundary a step of the interior point goes.
BOUNDARY_SHARE = 0.995

# The active set changes by one entry per step: this many steps per entry are generous.
ACTIVE_SET_STEPS_PER_ENTRY = 5

# The perturbation against ties: above rounding errors of a row that sums to 1, and irregular without being random.
PERTURBATION = 1e-14
GOLDEN_RATIO = 0.6180339887498949

# The solver aims far below the certificate's tolerances, so that nothing hangs on how the two measure.
RESIDUAL_GOAL = 1e-12
GAP_GOAL = 1e-10
LAST_RESORT_GAP = 1e-9

# Keeps the Cholesky factor of a singular Hessian (fewer entries than columns of Q) finite; Q is orthonormal, so the
# Hessian's scale is 1.
RIDGE = 1e-14

# Up to this many rows in a group, one product per row is cheaper than tabulating all products of Q's columns.
FEW_ROWS = 4


@dataclass(frozen=True)
class LeastNorm:
    """The answer for every row.

    Attributes:
        point: The least-norm points, ``[groups, rows, entries]``; no entry is negative.
        multipliers: λ of the equality constraints, ``[groups, rows, columns]``.
        iterations: Linear systems solved for the row, ``[groups, rows]``; 0 where the projection was non-negative.
    """

    point: Tensor
    multipliers: Tensor
    iterations: Tensor


def least_norm(basis: Tensor, feasible: Tensor, allowed: Tensor) -> LeastNorm:
    """Solve ``argmin ‖x‖²`` subject to ``Qᵀx = Qᵀa``, ``x ≥ 0`` and ``x = 0`` where not allowed.

    A row that no algorithm brings to its goal comes back with the best point found: the caller certifies.

    Args:
        basis: Q, ``[groups, entries, columns]``, float64: orthonormal columns, after them zero columns where a group
            has fewer than others; zero rows where an entry is not allowed.
        feasible: a, ``[groups, rows, entries]``, float64: non-negative, 0 where not allowed.
        allowed: The entries that may be positive, ``[groups, entries]``, boolean.

    Returns:
        The points, their multipliers, and the work that they took.
    """
    target = feasible @ basis
    hessian = _Hessian(basis, rows=target.shape[1])
    multipliers = target.clone()  # max(0, QQᵀa): the projection, which is the answer where it is non-negative
    iterations = torch.zeros(target.shape[:2], dtype=torch.int64, device=target.device)
    live = _dual_newton(
        hessian, target, multipliers, iterations, torch.ones_like(iterations, dtype=torch.bool), FIRST_NEWTON_STEPS
    )
    if not bool(live.any()):
        return LeastNorm((multipliers @ basis.mT).clamp_min(0), multipliers, iterations)
    inner = torch.zeros(*target.shape[:2], basis.shape[1], dtype=target.dtype, device=target.device)
    inner_multipliers = multipliers.clone()
    _interior_point(hessian, target, allowed, inner, inner_multipliers, iterations, live)
    multipliers[live] = inner_multipliers[live]
    stuck = _dual_newton(hessian, target, multipliers, iterations, live, LAST_NEWTON_STEPS)
    multipliers[stuck] = inner_multipliers[stuck]
    point = (multipliers @ basis.mT).clamp_min(0)
    point[stuck] = inner[stuck]
    gap = relative_gap(basis, target, point, multipliers)
    for group, row in (stuck & ~(gap <= LAST_RESORT_GAP)).nonzero().tolist():
        found, prices, steps = _active_set(basis[group], feasible[group, row], allowed[group])
        iterations[group, row] += steps
        if not float(relative_gap(basis[group], target[group, row], found, prices)) > float(gap[group, row]):
            point[group, row], multipliers[group, row] = found, prices
    return LeastNorm(point, multipliers, iterations)


def relative_gap(basis: Tensor, target: Tensor, point: Tensor, multipliers: Tensor) -> Tensor:
    """How far ½‖x‖² may be from the least possible, relative to it, ``[...]`` for a point ``[..., entries]``.

    The dual value of λ is a lower bound. The difference is written as a sum of small terms: subtracting one value from
    the other would lose them when λ is large. The last term can have either sign, for a point off ``Qᵀx = t`` by a
    rounding error can be below the least possible.
    """
    inner = multipliers @ basis.mT
    positive = inner.clamp_min(0)
    gap = (point - positive).square().sum(-1) / 2 + (point * (positive - inner)).sum(-1)
    gap = gap + ((target - point @ basis) * multipliers).sum(-1).abs()
    return gap / (point.square().sum(-1) / 2).clamp_min(torch.finfo(point.dtype).tiny)


class _Hessian:
    """The Cholesky factors of ``Qᵀ diag(w) Q`` for many weight rows w, one matrix product per group."""

    def __init__(self, basis: Tensor, rows: int) -> None:
        self.basis = basis
        columns = basis.shape[2]
        self.row, self.column = torch.tril_indices(columns, columns, device=basis.device)
        # A zero column has no constraint to meet; a 1 on its diagonal makes its multiplier stay 0.
        empty = (basis == 0).all(dim=1)
        self.diagonal = torch.where(empty, 1.0, RIDGE).to(basis.dtype)
        self.products = basis[..., self.row] * basis[..., self.column] if rows > FEW_ROWS else None

    def factor(self, groups: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Lower factors ``[groups, rows, columns, columns]`` for weights ``[groups, rows, entries]``; which failed."""
        count, rows, _ = weights.shape
        columns = self.basis.shape[2]
        if self.products is None:
            basis = self.basis[groups].unsqueeze(1)
            matrix = (basis * weights.unsqueeze(-1)).mT @ basis
        else:
            products = self.products if count == len(self.products) else self.products[groups]
            # Only the lower triangle is filled: the factorisation reads nothing else.
            matrix = weights.new_zeros(count, rows, columns, columns)
            matrix[..., self.row, self.column] = weights @ products
        matrix.diagonal(dim1=-2, dim2=-1).add_(self.diagonal[groups].unsqueeze(1))
        factor, info = torch.linalg.cholesky_ex(matrix)
        return factor, info != 0


def _solve(factor: Tensor, right: Tensor) -> Tensor:
    solution: Tensor = torch.cholesky_solve(right.unsqueeze(-1), factor).squeeze(-1)
    return solution


def _select(live: Tensor) -> tuple[Tensor, Tensor]:
    """Indices ``([groups, 1], [groups, rows])`` of the smallest block with every live row; the rest is padding."""
    groups = live.any(dim=1).nonzero().squeeze(1)
    widest = int(live.sum(dim=1).max())
    rows = live[groups].to(torch.int8).argsort(dim=1, descending=True, stable=True)[:, :widest]
    return groups.unsqueeze(1), rows


def _dual_newton(
    hessian: _Hessian, target: Tensor, multipliers: Tensor, iterations: Tensor, start: Tensor, steps: int
) -> Tensor:
    """Improve multipliers and iterations in place where ``start``; return the rows that miss the goal."""
    basis, live = hessian.basis, start.clone()
    for step in range(steps + 1):
        if not bool(live.any()):
            break
        block = _select(live)
        groups = block[0].squeeze(1)
        local = basis if len(groups) == len(basis) else basis[groups]
        current, goal = multipliers[block], target[block]
        inner = current @ local.mT
        point = inner.clamp_min(0)
        gradient = goal - point @ local
        live[block] &= ~_reached(gradient, goal, (gradient * current).sum(-1), point)
        if step == steps or not bool(live.any()):
            break
        # Rows that have just arrived would cost a factorisation each: shrink the block before paying.
        smaller, order = _select(live[block])
        groups, local = groups[smaller.squeeze(1)], local[smaller.squeeze(1)]
        inner, gradient, current = inner[smaller, order], gradient[smaller, order], current[smaller, order]
        block = (groups.unsqueeze(1), block[1][smaller, order])
        factor, failed = hessian.factor(groups, (inner > 0).to(inner.dtype))
        direction = torch.where(failed.unsqueeze(-1), gradient, _solve(factor, gradient))
        length = _exact_step(inner, direction @ local.mT, (target[block] * direction).sum(-1))
        active = live[block]
        multipliers[block] = current + torch.where(active, length, 0.0).unsqueeze(-1) * direction
        iterations[block] += active
    return live


def _reached(gradient: Tensor, target: Tensor, slope: Tensor, point: Tensor) -> Tensor:
    """Whether the residual and the duality gap ``|λ·residual|`` (relative to ½‖x‖²) are at their goals."""
    met: Tensor = gradient.norm(dim=-1) <= RESIDUAL_GOAL * target.norm(dim=-1)
    return met.logical_and(2 * slope.abs() <= GAP_GOAL * point.square().sum(-1))


def _exact_step(inner: Tensor, direction: Tensor, gain: Tensor) -> Tensor:
    """The step t >= 0 that maximises ``t·gain − ½‖max(0, inner + t·direction)‖²``, ``[groups, rows]``.

    The derivative falls along t and is linear between the breakpoints where an entry changes sign: sort them, sum up
    the coefficients from one to the next, and solve the piece in which the derivative crosses zero.
    """
    infinity = torch.full_like(inner, torch.inf)
    crossing = torch.where(direction != 0, -inner / direction, infinity)
    crossing = torch.where(crossing > 0, crossing, infinity)
    positive = (inner > 0) | ((inner == 0) & (direction > 0))
    ordered, order = crossing.sort(dim=-1)
    # An entry that is positive leaves the sum at its crossing, any other enters it.
    change = torch.where(positive, 1.0, -1.0).to(inner.dtype) * direction
    constant = torch.cat(
        [(gain - (direction * inner * positive).sum(-1)).unsqueeze(-1), (change * inner).gather(-1, order)], dim=-1
    ).cumsum(-1)
    linear = torch.cat(
        [-(direction.square() * positive).sum(-1, keepdim=True), (change * direction).gather(-1, order)], dim=-1
    ).cumsum(-1)
    end = torch.cat([ordered, infinity[..., :1]], dim=-1)
    crossed = torch.isinf(end) | (constant + end * linear <= 0)
    piece = crossed.to(torch.int8).argmax(dim=-1, keepdim=True)
    root = (-constant.gather(-1, piece) / linear.gather(-1, piece)).squeeze(-1)
    # No curvature left: the plain Newton step is as good as any.
    return torch.where(root.isfinite() & (root > 0), root, torch.ones_like(root))


def _interior_point(
    hessian: _Hessian,
    target: Tensor,
    allowed: Tensor,
    point: Tensor,
    multipliers: Tensor,
    iterations: Tensor,
    start: Tensor,
) -> None:
    """Improve point, multipliers and iterations in place where ``start``.

    With the bound multipliers s >= 0 the conditions are ``x = Qλ + s``, ``Qᵀx = t`` and ``x·s = 0``; the last becomes
    ``x·s = μ`` on the way, with μ falling to 0. Eliminating x and s leaves one system ``Qᵀ diag(x/(x+s)) Q`` in λ.
    """
    block = _select(start)
    groups = block[0].squeeze(1)
    basis, goal, lam, live = hessian.basis[groups], target[block], multipliers[block], start[block]
    free = allowed[groups].unsqueeze(1).to(goal.dtype)
    inner = lam @ basis.mT
    margin = 0.1 * inner.abs().amax(dim=-1, keepdim=True)
    # Entries that are not allowed stay at x = 0, s = 1: `free` keeps them out of every sum.
    x = (inner.clamp_min(0) + margin) * free
    s = ((-inner).clamp_min(0) + margin) * free + (1 - free)
    for step in range(INTERIOR_STEPS + 1):
        primal = goal - x @ basis
        dual = (inner + s - x) * free
        gap = (x * s).sum(-1)
        size = x.square().sum(-1)
        met = (primal.norm(dim=-1) <= RESIDUAL_GOAL * goal.norm(dim=-1)) & (2 * gap <= GAP_GOAL * size)
        met &= dual.norm(dim=-1) <= RESIDUAL_GOAL * (inner.norm(dim=-1) + size.sqrt())
        ended = live & (met | (step == INTERIOR_STEPS))
        done = (block[0].expand_as(ended)[ended], block[1][ended])
        point[done], multipliers[done] = x[ended], lam[ended]
        live &= ~ended
        if not bool(live.any()):
            return
        smaller = _select(live)
        if smaller[1].shape != live.shape:
            kept = smaller[0].squeeze(1)
            block = (block[0][kept], block[1][smaller])
            groups, basis, free = groups[kept], basis[kept], free[kept]
            goal, lam, inner, x, s, primal, dual, gap, live = (
                part[smaller] for part in (goal, lam, inner, x, s, primal, dual, gap, live)
            )
        central = _Central(basis, free, x, s, primal, dual, *hessian.factor(groups, x / (x + s)))
        x_move, s_move, _ = central.direction(-x * s)
        length = torch.minimum(_longest(x, x_move), _longest(s, s_move)).unsqueeze(-1)
        reachable = ((x + length * x_move) * (s + length * s_move) * free).sum(-1)
        centring = (reachable / gap).clamp(0, 1) ** 3 * gap / free.sum(-1)
        x_move, s_move, lam_move = central.direction(centring.unsqueeze(-1) - x * s - x_move * s_move)
        length = BOUNDARY_SHARE * torch.minimum(_longest(x, x_move), _longest(s, s_move))
        # A row whose factorisation breaks down stays where it is; the certificate tells.
        moves = (live & ~central.failed & lam_move.isfinite().all(-1)).unsqueeze(-1)
        x, s, lam = (
            torch.where(moves, value + length.unsqueeze(-1) * move, value)
            for value, move in ((x, x_move), (s, s_move), (lam, lam_move))
        )
        inner = lam @ basis.mT
        iterations[block] += live


@dataclass(frozen=True)
class _Central:
    """One linearisation of the interior point's conditions."""

    basis: Tensor
    free: Tensor
    x: Tensor
    s: Tensor
    primal: Tensor
    dual: Tensor
    factor: Tensor
    failed: Tensor

    def direction(self, product: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Moves of x, s and λ that meet both residuals and, to first order, change x·s by ``product``."""
        total = self.x + self.s
        fixed = (product + self.x * self.dual) / total * self.free
        lam_move = _solve(self.factor, self.primal - fixed @ self.basis)
        along = lam_move @ self.basis.mT
        x_move = fixed + self.x / total * along
        return x_move, (x_move - along) * self.free - self.dual, lam_move


def _longest(value: Tensor, move: Tensor) -> Tensor:
    """The longest step along ``move`` that keeps ``value`` non-negative; a full step if it stays clear of 0."""
    ratio = torch.where(move < 0, -value / move, torch.full_like(value, torch.inf))
    return ratio.amin(-1).clamp_max(1 / BOUNDARY_SHARE)


def _active_set(basis: Tensor, feasible: Tensor, allowed: Tensor) -> tuple[Tensor, Tensor, int]:
    """Point ``[entries]``, multipliers ``[columns]`` and steps of one row; Q ``[entries, columns]``.

    Each step goes to the least-norm point over the free entries, or as far as they stay non-negative: the entry that
    blocks the way is fixed at 0. Once there, the fixed entry that the multipliers want positive most is freed. Peaked
    rows are degenerate (many entries are 0 next to rounding), and there the same entries would come and go for ever.
    So the problem is moved by a hair, a different one for each entry, and its active set then solves the true one.
    """
    rounding = torch.finfo(basis.dtype).eps
    ramp = torch.arange(1, len(feasible) + 1, device=basis.device, dtype=basis.dtype)
    point = feasible + PERTURBATION * (0.5 + ramp * GOLDEN_RATIO % 1) * allowed
    free = allowed.clone()
    steps = 0
    while steps < ACTIVE_SET_STEPS_PER_ENTRY * len(point):
        steps += 1
        left, singular, right = torch.linalg.svd(basis[free], full_matrices=False)
        kept = singular > len(point) * rounding
        left, inverse = left[:, kept], right[kept].mT / singular[kept]
        current = point[free]
        move = left @ (current @ left) - current
        move = move - left @ (move @ left)  # a second projection: what is left of the first moves the output
        size = float(current.norm())
        length = torch.where(move < 0, -current / move, torch.inf)
        nearest = length.argmin()
        if float(length[nearest]) < 1 and float(move.norm()) > 10 * rounding * size:
            current = (current + length[nearest] * move).clamp_min(0)
            current[nearest] = 0
            point[free] = current
            free[free.nonzero().squeeze(1)[nearest]] = False
            continue
        point[free] = (current + move).clamp_min(0)
        multipliers = inverse @ (current @ left)
        wanted = torch.where(allowed & ~free, basis @ multipliers, -torch.inf)
        worst = wanted.argmax()
        if float(wanted[worst]) <= 10 * rounding * float(multipliers.norm()):
            break
        free[worst] = True
    for _ in range(2):
        error = (feasible - point) @ basis
        point[free] += left @ (error @ inverse)
    point = point.clamp_min(0)
    return point, inverse @ (point[free] @ left), steps
