"""Efficient attention: of all distributions that give a head the same output, the one of least norm."""

from __future__ import annotations

import torch
from torch import Tensor

from whybench.bench.matrices import Matrices, MatrixMethod
from whybench.methods._output_preserving import (
    GAP_TOLERANCE,
    RESIDUAL_TOLERANCE,
    ROW_SUM_TOLERANCE,
    Kind,
    Solution,
    solve,
)

__all__ = ["EfficientAttention", "Kind", "Solution", "solve"]

REMEDY = "Attention in half precision has row sums too far from 1: run the method in float32 (--dtype float32)."


class EfficientAttention(MatrixMethod):
    """Efficient attention (our reconstruction): each row of A by the least-norm distribution x with x·V = a·V.

    For a row a of a head's attention, restricted to the keys that it may attend to, and the head's values V:
    ``argmin ‖x‖² subject to xᵀV = aᵀV, xᵀ1 = 1, x ≥ 0``. It exists (a itself is feasible), is unique, is a probability
    distribution, and is a where the null space of [V, 1] is trivial, which it is up to d_v + 1 keys.

    Source: Naim & Asher, "On Explaining with Attention Matrices", ECAI 2024, arXiv:2410.18541. Only the paper's
    abstract and introduction were at hand, so this definition is whybench's reconstruction. Unsigned: weights are not
    negative.

    Every row that is read carries a certificate (relative residual of the head's output, row-sum error, duality gap);
    an example with a row that misses its tolerance fails, and gets no score.
    """

    name, family, signed = "efficient_attention", "attention", False
    note = (
        "whybench's reconstruction of Naim & Asher 2024 (arXiv:2410.18541), of which only the abstract and the "
        "introduction were at hand."
    )

    def transform(self, weights: Tensor, values: Tensor, allowed: Tensor) -> Matrices:
        """The efficient rows, ``[batch, heads, queries, keys]``, float64, with their certificate."""
        solution = solve(weights, values, allowed)
        return Matrices(
            solution.matrix,
            report={
                "residual": solution.residual,
                "row_sum_error": solution.row_sum_error,
                "duality_gap": solution.duality_gap,
                "iterations": solution.iterations.double(),
                "null_dimension": solution.null_dimension.double(),
            },
            certified=solution.certified,
            tolerances={
                "residual": RESIDUAL_TOLERANCE,
                "row_sum_error": ROW_SUM_TOLERANCE,
                "duality_gap": GAP_TOLERANCE,
            },
            remedy=REMEDY if weights.dtype in (torch.float16, torch.bfloat16) else "",
        )
