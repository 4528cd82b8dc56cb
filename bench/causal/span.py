"""What a head's output can see of its rows: the span of [V, 1], head by head, or query by query in causal models."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from whybench.bench.nullspace import column_basis

# Working memory of the queries that are taken together where each has keys of its own
CHUNK_BYTES = {"cpu": 2**26, "cuda": 2**31}


@dataclass(frozen=True, eq=False)
class Span:
    """The span of [V, 1] for some queries of one layer, in groups of rows that attend to the same keys.

    Attributes:
        queries: Which queries.
        own: Whether each query of each head is a group of one row; else each head is a group of all rows.
        basis: Orthonormal columns ``[groups, keys, columns]``, the first one constant over the attendable keys, zero
            columns last; 0 where a key is not attendable.
        rank: Columns that are not zero, ``[groups]``.
        attendable: Keys that the group's rows may attend to, ``[groups]``.
    """

    queries: slice
    own: bool
    basis: Tensor
    rank: Tensor
    attendable: Tensor

    def split(self, rows: Tensor) -> Tensor:
        """``[heads, all queries, …]`` to this span's ``[groups, rows, …]``."""
        part = rows[:, self.queries]
        return part.reshape(-1, 1, *part.shape[2:]) if self.own else part

    def join(self, grouped: Tensor, heads: int) -> Tensor:
        """``[groups, rows, …]`` to ``[heads, this span's queries, …]``."""
        return grouped.reshape(heads, -1, *grouped.shape[2:])


def spans(values: Tensor, allowed: Tensor) -> Iterator[Span]:
    """The spans of one layer of one example, a few queries at a time where each has keys of its own.

    Args:
        values: ``[heads, keys, d_v]``, float64.
        allowed: ``[1 or heads, queries, keys]``, bool.
    """
    heads, keys, width = values.shape
    allowed = allowed.expand(heads, -1, -1)
    queries = allowed.shape[1]
    if bool((allowed == allowed[:, :1]).all()):
        yield _span(slice(None), False, values, allowed[:, 0])
        return
    room = CHUNK_BYTES.get(values.device.type, CHUNK_BYTES["cpu"])
    step = max(1, room // (heads * keys * (width + 1) * values.element_size()))
    for start in range(0, queries, step):
        part = slice(start, min(start + step, queries))
        pattern = allowed[:, part].reshape(-1, keys)
        vectors = values[:, None].expand(-1, part.stop - start, -1, -1).reshape(-1, keys, width)
        yield _span(part, True, vectors, pattern)


def _span(queries: slice, own: bool, values: Tensor, pattern: Tensor) -> Span:
    vectors = torch.where(pattern.unsqueeze(-1), values, 0.0)
    basis, rank = column_basis(vectors, pattern, with_ones=True)
    return Span(queries, own, basis, rank, pattern.sum(dim=-1))
