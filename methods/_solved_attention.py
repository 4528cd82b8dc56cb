"""What the methods share whose matrices give every head the output that it has: the solver's answer as a method's."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from whybench.bench.matrices import Matrices, MatrixMethod
from whybench.methods._output_preserving import (
    GAP_TOLERANCE,
    RESIDUAL_TOLERANCE,
    ROW_SUM_TOLERANCE,
    Kind,
    solve,
)

REMEDY = "Attention in half precision has row sums too far from 1: run the method in float32 (--dtype float32)."


class SolvedAttention(MatrixMethod):
    """The rows of one kind, with their certificate.

    Every row that is read carries a certificate (relative residual of the head's output, row-sum error, duality gap);
    an example with a row that misses its tolerance fails, and gets no score.

    Attributes:
        kind: Which of the rows with the same head output; see `whybench.methods._output_preserving`.
    """

    kind: ClassVar[Kind]

    def transform(self, weights: Tensor, values: Tensor, allowed: Tensor) -> Matrices:
        """The rows of this kind, ``[batch, heads, queries, keys]``, float64, with their certificate."""
        solution = solve(weights, values, allowed, self.kind)
        tolerances = {"residual": RESIDUAL_TOLERANCE, "duality_gap": GAP_TOLERANCE}
        if self.kind != "effective":
            tolerances["row_sum_error"] = ROW_SUM_TOLERANCE
        figures = {
            "residual": solution.residual,
            "row_sum_error": solution.row_sum_error,
            "duality_gap": solution.duality_gap,
            "iterations": solution.iterations.double(),
            "null_dimension": solution.null_dimension.double(),
        }
        if self.kind == "sparsest":
            figures["support"] = solution.support.double()
        return Matrices(
            solution.matrix,
            report=figures,
            certified=solution.certified,
            tolerances=tolerances,
            remedy=REMEDY if weights.dtype in (torch.float16, torch.bfloat16) else "",
        )
