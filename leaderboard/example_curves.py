"""One example's deletion and insertion curve under a method."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whybench.leaderboard.charts import Chart
from whybench.leaderboard.formatting import number

_SHARES = np.linspace(0.0, 1.0, 21)


def example_curves(record: Mapping[str, Any]) -> Chart | None:
    """The probability against the share of units, straight between recorded sizes; None where none is recorded.

    Args:
        record: A row of the per-example table.
    """
    curves = {
        name: found
        for name, column in (("deletion", "removed"), ("insertion", "kept"))
        if (found := _on_shares(record, column)) is not None
    }
    if not curves:
        return None
    rows: dict[str, Any] = {"t": _SHARES.round(2).tolist()}
    rows |= {name: [None if p != p else p for p in values.round(4).tolist()] for name, values in curves.items()}
    said = "; ".join(_said(name, values) for name, values in curves.items())
    return Chart("example", f"Probability of the prediction, {said}.", {"curves": [rows]})


def _on_shares(record: Mapping[str, Any], name: str) -> NDArray[np.float64] | None:
    """A curve at every share; NaN beyond the recorded sizes."""
    sizes, heights = record.get(f"{name}_k"), record.get(f"{name}_p")
    units = len(record["unit_scores"] or ())
    if not units or not sizes or not heights:
        return None
    values: NDArray[np.float64] = np.interp(_SHARES * units, sizes, heights, left=np.nan, right=np.nan)
    return values


def _said(name: str, values: NDArray[np.float64]) -> str:
    heights = [number(float(p), 2) if p == p else "unknown" for p in values[[0, 5, 10, 20]]]
    done = "removed" if name == "deletion" else "kept"
    return f"{name}: {', '.join(heights[:-1])} and {heights[-1]} with none, a quarter, half and all of the words {done}"
