"""Attention rows that leave a head's output unchanged: effective, row-sum, efficient and sparsest attention.

A head returns ``a·V`` for each attention row ``a``. Where there are more attendable keys than columns of V, many rows
give that output; each kind here picks one of them:

- ``effective``: the row of least norm. Brunner et al. 2020, arXiv:1908.04211. Need not sum to 1, can be negative.
- ``row_sum``: the row of least norm among those with the row sum 1. Can be negative.
- ``efficient``: the distribution of least norm. Naim & Asher 2024, arXiv:2410.18541; **our reconstruction** from the
  paper's abstract and introduction. It exists (the model's own row is feasible) and is unique (the norm is strictly
  convex), and it is the model's row where the null space is trivial.
- ``sparsest``: a distribution with at most as many weights as the rank of [V, 1], the keys that carry them having
  independent rows of [V, 1]: a basic feasible solution. No proper subset of these keys can give the output, and that
  is what is certified. In general no distribution with fewer weights exists; where some does by coincidence (an output
  that fewer keys happen to give), finding the fewest is NP-hard, and is not promised. Of the many such rows it is the
  one that backward elimination finds from the efficient row (`whybench.methods._sparsest`), so that it is a function of
  the head's output alone, up to ties: keys with the same value (to nine digits) share their weight in the efficient
  row, a basic row must pick one, and picks the first. Whybench's own reading of "minimal", an alternative to the norm.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from whybench.bench.errors import CertificateError, ParameterError
from whybench.bench.nullspace import column_basis
from whybench.methods._least_norm import FEW_ROWS, least_norm, relative_gap
from whybench.methods._sparsest import basic_points, independent_support

Kind = Literal["effective", "row_sum", "efficient", "sparsest"]

# What a row must meet to be certified. Entries are compared with 0 itself.
RESIDUAL_TOLERANCE = 1e-6
ROW_SUM_TOLERANCE = 1e-9
GAP_TOLERANCE = 1e-8

# Working memory of one chunk of heads: small enough for a laptop and its caches, large enough to keep a GPU busy.
CHUNK_BYTES = {"cpu": 2**24, "cuda": 2**32}


@dataclass(frozen=True)
class Solution:
    """Attention matrices with the same head output, and for every row the certificate that they have it.

    The matrix has the shape of the weights, the others ``[heads, queries]`` or ``[batch, heads, queries]``; all are on
    the weights' device. A row without a single attendable key (a padding query) is 0 throughout, and certified.

    Attributes:
        kind: Which of the rows with the same output this is.
        matrix: The rows, float64 whatever the dtype of the weights: float32 could not hold the row sums to 1e-9.
            Exactly 0 where a key is not allowed.
        residual: ‖x·V − a·V‖ / ‖a·V‖, measured against the weights as given, before they are renormalised.
        smallest: The smallest entry over the attendable keys.
        row_sum_error: |Σx − 1|.
        duality_gap: How far ½‖x‖² can be above the least possible, relative to it: a bound from the dual problem, which
            holds whatever way the row was found. 0 for the kinds that are no minimum under inequalities: the two
            projections, and ``sparsest``, which minimises nothing.
        iterations: Linear systems solved for the row beyond the projection; 0 where the projection is the answer. For
            ``sparsest``, those of the efficient row and one per entry that left it.
        null_dimension: Attendable keys minus the rank of V (of [V, 1] if the kind fixes the row sum), int64. The rank
            is that of the numbers given, in float64.
        support: Entries that are not 0, int64.
        basic: Whether the rows of V (of [V, 1] if the kind fixes the row sum) at these entries are linearly
            independent, boolean: then no other weights of the same keys, and no proper subset of them, have the same
            output. Only ``sparsest`` promises it.
    """

    kind: Kind
    matrix: Tensor
    residual: Tensor
    smallest: Tensor
    row_sum_error: Tensor
    duality_gap: Tensor
    iterations: Tensor
    null_dimension: Tensor
    support: Tensor
    basic: Tensor

    @property
    def certified(self) -> Tensor:
        """Whether each row meets every tolerance of its kind, boolean."""
        good = (self.residual <= RESIDUAL_TOLERANCE) & (self.duality_gap <= GAP_TOLERANCE)
        if self.kind != "effective":
            good = good & (self.row_sum_error <= ROW_SUM_TOLERANCE)
        if self.kind in ("efficient", "sparsest"):
            good = good & (self.smallest >= 0)
        if self.kind == "sparsest":
            good = good & self.basic
        return good

    def raise_if_uncertified(self) -> None:
        """Check every row.

        Raises:
            CertificateError: A row misses a tolerance; the message has the worst row of each measure.
        """
        missed = ~self.certified
        if not bool(missed.any()):
            return
        first = tuple(int(index) for index in missed.nonzero()[0])
        raise CertificateError(
            f"{int(missed.sum())} of {missed.numel()} rows of {self.kind} attention miss their tolerance, the first at "
            f"{first}. Over these rows: residual up to {float(self.residual[missed].max()):.1e} (allowed "
            f"{RESIDUAL_TOLERANCE:.0e}), smallest entry {float(self.smallest[missed].min()):.1e}, row sum off by up to "
            f"{float(self.row_sum_error[missed].max()):.1e} (allowed {ROW_SUM_TOLERANCE:.0e}), duality gap up to "
            f"{float(self.duality_gap[missed].max()):.1e} (allowed {GAP_TOLERANCE:.0e}){self._not_basic(missed)}. "
            "Attention in half precision misses the first by its row sums alone: run the model in float32."
        )

    def _not_basic(self, missed: Tensor) -> str:
        count = int((missed & ~self.basic).sum()) if self.kind == "sparsest" else 0
        return f", {count} not basic (a part of the keys would do)" if count else ""


@torch.no_grad()
def solve(weights: Tensor, values: Tensor, allowed: Tensor | None = None, kind: Kind = "efficient") -> Solution:
    """Find, for every attention row, the row of the given kind with the same head output.

    All rows are solved together in float64 on the device of the weights. A softmax in float32 leaves row sums within
    about 1e-7 of 1. Every kind but ``effective`` divides each row by its sum first, in float64, and preserves the
    output of that row; the certificate's residual still compares with the row as given, so that it includes this error.

    Args:
        weights: The model's attention A, ``[heads, queries, keys]`` or ``[batch, heads, queries, keys]``, after the
            softmax.
        values: The value vectors V, ``[heads, keys, d_v]`` or ``[batch, heads, keys, d_v]``.
        allowed: Boolean, broadcastable to the weights: the keys that a query may attend to (padding, causality).
            None: every key. What is in the values of keys that no query may attend to makes no difference.
        kind: Which row to return, see the module.

    Returns:
        The matrices and their certificate. Rows that miss a tolerance are in it too: read ``certified`` or call
        ``raise_if_uncertified``.

    Raises:
        ParameterError: An unknown kind; shapes, dtypes or devices that do not fit; a negative, non-finite or
            disallowed positive weight; an all-zero row; a value vector that is not finite.
    """
    weights, values, mask = _checked(weights, values, allowed, kind)
    *lead, queries, keys = weights.shape
    given = weights.reshape(-1, queries, keys)
    vectors = values.reshape(-1, keys, values.shape[-1])
    pattern = mask.reshape(-1, mask.shape[-2], keys)
    if pattern.shape[1] > 1 and bool((pattern == pattern[:, :1]).all()):
        pattern = pattern[:, :1]
    heads = torch.arange(len(given), device=given.device)
    own = pattern.shape[1] > 1
    if own:
        # Every query has keys of its own, so each is a head with one row. Neighbours in a chunk are the same query of
        # all heads: causal rows of one length, so that a chunk of short ones needs no room for long ones.
        heads = heads.repeat(queries)
        given, pattern = (part.transpose(0, 1).reshape(-1, 1, keys) for part in (given, pattern))
    chunk = _heads_per_chunk(given, vectors.shape[-1])
    parts = [
        _solve_heads(given[i : i + chunk], vectors[heads[i : i + chunk]], pattern[i : i + chunk, 0], kind)
        for i in range(0, len(given), chunk)
    ]
    fields = [torch.cat(part) for part in zip(*parts, strict=True)]
    if own:
        fields = [field.reshape(queries, -1, *field.shape[2:]).transpose(0, 1) for field in fields]
    return Solution(kind, *(field.reshape(*lead, queries, *field.shape[2:]) for field in fields))


def _checked(weights: Tensor, values: Tensor, allowed: Tensor | None, kind: Kind) -> tuple[Tensor, Tensor, Tensor]:
    """Weights and values in float64 and the mask ``[..., queries or 1, keys]``, or an error that says what is wrong."""
    if kind not in get_args(Kind):
        raise ParameterError(f"kind must be one of {', '.join(get_args(Kind))}, not {kind!r}.")
    if weights.dim() not in (3, 4) or 0 in weights.shape:
        raise ParameterError(
            f"weights must be [heads, queries, keys] or [batch, heads, queries, keys] with no empty dimension, "
            f"not {list(weights.shape)}."
        )
    wanted = (*weights.shape[:-2], weights.shape[-1])
    if values.dim() != weights.dim() or values.shape[:-1] != wanted or values.shape[-1] == 0:
        raise ParameterError(
            f"values must be {[*wanted, 'd_v']} for weights {list(weights.shape)}, not {list(values.shape)}."
        )
    if not (weights.is_floating_point() and values.is_floating_point()):
        raise ParameterError(f"weights and values must be floating point, not {weights.dtype} and {values.dtype}.")
    if weights.device.type == "mps":
        raise ParameterError("the solver needs float64, which mps devices lack: pass the tensors' .cpu().")
    if values.device != weights.device or (allowed is not None and allowed.device != weights.device):
        raise ParameterError(f"weights, values and allowed must be on one device, weights are on {weights.device}.")
    weights = weights.double()
    if allowed is None:
        mask = torch.ones((), dtype=torch.bool, device=weights.device).expand(*weights.shape[:-2], 1, weights.shape[-1])
    else:
        mask = _broadcast(allowed, weights)
    if not bool((weights.isfinite() & (weights >= 0)).all()):
        raise ParameterError("weights must be finite and not negative: pass the attention after the softmax.")
    attends = mask.any(dim=-1, keepdim=True)
    if bool(((weights > 0) & ~mask & attends).any()):
        raise ParameterError("weights has positive entries where allowed is False: the mask is not the model's.")
    if bool(((weights.sum(dim=-1, keepdim=True) == 0) & attends).any()):
        raise ParameterError("weights has an all-zero row: pass the attention after the softmax.")
    values = torch.where(mask.any(dim=-2).unsqueeze(-1), values.double(), 0.0)
    if not bool(values.isfinite().all()):
        raise ParameterError("values must be finite at every key that a query may attend to.")
    return weights, values, mask


def _broadcast(allowed: Tensor, weights: Tensor) -> Tensor:
    if allowed.dtype != torch.bool:
        raise ParameterError(f"allowed must be boolean, not {allowed.dtype}.")
    try:
        whole = allowed.expand(weights.shape)
    except RuntimeError:
        raise ParameterError(
            f"allowed {list(allowed.shape)} does not broadcast to weights {list(weights.shape)}."
        ) from None
    return whole[..., :1, :] if allowed.dim() < 2 or allowed.shape[-2] == 1 else whole


def _heads_per_chunk(given: Tensor, width: int) -> int:
    _, queries, keys = given.shape
    columns = min(width + 1, keys)
    shared = keys * columns * (columns + 1) // 2 if queries > FEW_ROWS else queries * keys * columns
    entries = shared + queries * (columns**2 + 12 * keys)
    limit = CHUNK_BYTES.get(given.device.type, CHUNK_BYTES["cpu"])
    return max(1, limit // (given.element_size() * entries))


def _solve_heads(given: Tensor, values: Tensor, allowed: Tensor, kind: Kind) -> tuple[Tensor, ...]:
    """The fields of a Solution after ``kind``, for heads whose queries share their keys.

    Args:
        given: Attention rows, ``[heads, queries, keys]``.
        values: ``[heads, keys, d_v]``.
        allowed: ``[heads, keys]``.
        kind: The kind of row.
    """
    used = allowed.any(dim=0).nonzero().squeeze(1)
    if 0 < len(used) < allowed.shape[1]:
        matrix, *certificate = _solve_heads(given[..., used], values[:, used], allowed[:, used], kind)
        return torch.zeros_like(given).index_copy(-1, used, matrix), *certificate
    values = torch.where(allowed.unsqueeze(-1), values, 0.0)
    given = torch.where(allowed.unsqueeze(1), given, 0.0)
    attends = allowed.any(dim=-1, keepdim=True)
    basis, rank = column_basis(values, allowed, with_ones=kind != "effective")
    row = given if kind == "effective" else given / torch.where(attends, given.sum(-1), 1.0).unsqueeze(-1)
    target = row @ basis
    null_dimension = (allowed.sum(-1) - rank).unsqueeze(-1).expand(given.shape[:2])
    if kind in ("efficient", "sparsest") and bool(null_dimension.any()):
        answer = least_norm(basis, row, allowed)
        matrix, multipliers, iterations = answer.point, answer.multipliers, answer.iterations
        if kind == "sparsest":
            matrix, removed = basic_points(basis, matrix, target)
            iterations = iterations + removed
        # Both reach the row sum to about 1e-12; dividing makes it exact and moves the output by as little.
        matrix = matrix / torch.where(attends, matrix.sum(-1), 1.0).unsqueeze(-1)
    else:
        matrix = target @ basis.mT
        multipliers, iterations = target, torch.zeros(given.shape[:2], dtype=torch.int64, device=given.device)
    # The row itself is the only one with its output there; return it to the last bit.
    only = null_dimension == 0
    matrix = torch.where(only.unsqueeze(-1), row, matrix)
    iterations = torch.where(only, 0, iterations)

    output = given @ values
    # Where the values cancel out in a·V, rounding in the product is all that can be seen.
    floor = torch.finfo(values.dtype).eps * (given @ values.norm(dim=-1, keepdim=True)).squeeze(-1)
    scale = torch.maximum(output.norm(dim=-1), floor).clamp_min(torch.finfo(values.dtype).tiny)
    residual = (matrix @ values - output).norm(dim=-1) / scale
    smallest = torch.where(allowed.unsqueeze(1), matrix, torch.inf).amin(-1)
    # Projections have no inequality and a basic row no objective, so no duality gap; neither has the only row there is.
    projected = kind != "efficient"
    gap = torch.zeros_like(residual) if projected else relative_gap(basis, target, matrix, multipliers)
    gap = torch.where(only, 0.0, gap)
    return (
        matrix,
        residual,
        torch.where(attends, smallest, 0.0),
        torch.where(attends, (matrix.sum(-1) - 1).abs(), 0.0),
        gap,
        iterations,
        null_dimension,
        (matrix != 0).sum(-1),
        independent_support(basis, torch.where(only.unsqueeze(-1), 0.0, matrix)),
    )
