"""A figure of every example against its length."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whybench.leaderboard.charts import Chart, rounded
from whybench.leaderboard.formatting import measured

_BINS = 6


@dataclass(frozen=True)
class Scatter:
    """The figures, one dot per example.

    Attributes:
        title: What is drawn against the length.
        chart: The drawing.
        count: How many examples.
        marked: The marked length; None where none is.
        numbers: Per group of examples of similar length: lengths, how many examples, and smallest, median, largest.
    """

    title: str
    chart: Chart
    count: int
    marked: int | None
    numbers: tuple[tuple[str, str, str, str, str], ...]


def scatter(
    title: str, lengths: NDArray[np.float64], values: NDArray[np.float64], marked: int | None
) -> Scatter | None:
    """Draw values against lengths; None where no example has both.

    Args:
        title: What the values are.
        lengths: ``[examples]`` in tokens; NaN where an example has none.
        values: ``[examples]``; NaN where an example has none.
        marked: A length to mark: d_v + 1.
    """
    known = np.isfinite(lengths) & np.isfinite(values)
    lengths, values = lengths[known], values[known]
    if not len(values):
        return None
    numbers = _grouped(lengths, values)
    groups = "; ".join(f"{lengths} tokens: median {median}" for lengths, _, _, median, _ in numbers)
    data = {
        "examples": [{"length": lengths.astype(int).tolist(), "value": rounded(values)}],
        "marked": [] if marked is None else [{"length": [marked], "said": f"dᵥ + 1 = {marked}"}],
    }
    description = f"{title} of {len(values)} examples against their length. {groups}"
    return Scatter(title, Chart("scatter", description, data), len(values), marked, numbers)


def _grouped(lengths: NDArray[np.float64], values: NDArray[np.float64]) -> tuple[tuple[str, str, str, str, str], ...]:
    order = np.argsort(lengths, kind="stable")
    groups = np.array_split(order, min(_BINS, len(order)))
    rows = []
    for group in groups:
        some, ends = values[group], lengths[group]
        first, last = int(ends.min()), int(ends.max())
        rows.append(
            (
                f"{first}" if first == last else f"{first}–{last}",
                str(len(group)),
                measured(float(some.min())),
                measured(float(np.median(some))),
                measured(float(some.max())),
            )
        )
    return tuple(rows)
