"""Reading list columns of the per-example table as arrays: a board has too many numbers for Python lists."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from whybench.bench.store import StoredResult


def lists(table: pa.Table, name: str) -> list[NDArray[np.float64] | None]:
    """One array per example, None where there is none."""
    column = table.column(name).combine_chunks()
    offsets = column.offsets.to_numpy()
    values = column.values.to_numpy(zero_copy_only=False).astype(np.float64)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    return [
        values[start:stop] if there else None
        for start, stop, there in zip(offsets[:-1], offsets[1:], valid, strict=True)
    ]


def numbers(stored: StoredResult, name: str) -> dict[str, float]:
    """A figure per example id, without the examples that have none; only these two columns are read."""
    table = stored.columns(("example_id", name))
    ids, values = table.column("example_id").to_pylist(), table.column(name).to_pylist()
    return {example: value for example, value in zip(ids, values, strict=True) if value is not None}
