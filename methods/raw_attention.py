"""Raw attention: the weights as the model has them."""

from __future__ import annotations

from torch import Tensor

from whybench.bench.matrices import Matrices, MatrixMethod


class RawAttention(MatrixMethod):
    """Attention weights as they are, aggregated like every other attention matrix.

    Source: Jain & Wallace 2019, "Attention is not Explanation", arXiv:1902.10186, and Wiegreffe & Pinter 2019,
    "Attention is not not Explanation", arXiv:1908.04626, are the two sides. Unsigned: weights are never negative.
    """

    name, family, signed = "raw_attention", "attention", False

    def transform(self, weights: Tensor, values: Tensor, allowed: Tensor) -> Matrices:
        """The weights themselves, ``[batch, heads, queries, keys]``."""
        return Matrices(weights)
