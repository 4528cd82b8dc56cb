"""Reading columns of the per-example table."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from whybench.bench.store import StoredResult

_KEPT = "_figures_by_example"


def numbers(stored: StoredResult, name: str) -> dict[str, float]:
    """A figure per example id, without the examples that have none."""
    known = _kept(stored, (name,))
    ids, values = known.column("example_id").to_pylist(), known.column(name).to_pylist()
    return {example: value for example, value in zip(ids, values, strict=True) if value is not None}


def matrix(cells: Sequence[StoredResult], name: str) -> NDArray[np.float64]:
    """A figure of several cells, ``[examples, cells]``: a NaN where one has none, no example that none has."""
    (found,) = matrices(cells, (name,))
    return found


def matrices(cells: Sequence[StoredResult], names: Sequence[str]) -> list[NDArray[np.float64]]:
    """Several figures, each as `matrix` has it, with the same examples: those of which a cell has the first figure."""
    tables = [_kept(stored, names) for stored in cells]
    ids = tables[0].column("example_id")
    if all(table.column("example_id").equals(ids) for table in tables):
        columns = [[table.column(name).to_numpy(zero_copy_only=False) for table in tables] for name in names]
        values = [np.column_stack(column).astype(np.float64) for column in columns]
        there = ~np.isnan(values[0]).all(axis=1)
        return [one[there] for one in values]
    by_id = [[numbers(stored, name) for stored in cells] for name in names]
    every = dict.fromkeys(example for column in by_id[0] for example in column)
    return [np.array([[column.get(example, np.nan) for column in one] for example in every]) for one in by_id]


def _kept(stored: StoredResult, names: Sequence[str]) -> pa.Table:
    """A cell's figures, read together without the other columns, and kept: one is rarely asked for alone."""
    known = vars(stored).get(_KEPT)
    if known is None or not set(names) <= set(known.column_names):
        known = stored.columns(tuple(dict.fromkeys(("example_id", *names, *stored.result.figures))))
        vars(stored)[_KEPT] = known
    return known


def forget(stored: StoredResult) -> None:
    """Let go of all that was read of a cell's per-example table."""
    for name in (_KEPT, "examples"):
        vars(stored).pop(name, None)
