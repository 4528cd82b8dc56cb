"""Reading columns of the per-example table."""

from __future__ import annotations

from whybench.bench.store import StoredResult


def numbers(stored: StoredResult, name: str) -> dict[str, float]:
    """A figure per example id, without the examples that have none; only these two columns are read."""
    table = stored.columns(("example_id", name))
    ids, values = table.column("example_id").to_pylist(), table.column(name).to_pylist()
    return {example: value for example, value in zip(ids, values, strict=True) if value is not None}
