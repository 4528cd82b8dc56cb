"""Mean deletion and insertion curves of a method, beside those of references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from whybench.bench.mean_curves import GRID, Curve, mean_curves
from whybench.bench.store import StoredResult
from whybench.leaderboard.charts import Chart, rounded
from whybench.leaderboard.formatting import interval, number, visible


@dataclass(frozen=True)
class Plot:
    """A method's curves on a board.

    Attributes:
        chart: Its curves with their bands, and those of the references.
        numbers: The method's curves in steps of .1: t, deletion and insertion, each with its interval.
        references: Labels of the references.
    """

    chart: Chart
    numbers: tuple[tuple[str, str, str], ...]
    references: tuple[str, ...]


class MeanCurves:
    """Mean curves of cells, each computed once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Curve, Curve]] = {}

    def of(self, stored: StoredResult) -> tuple[Curve, Curve]:
        """Mean deletion and insertion curve."""
        if stored.result.cell not in self._known:
            self._known[stored.result.cell] = mean_curves(stored)
        return self._known[stored.result.cell]


def plot(stored: StoredResult, references: Sequence[StoredResult], curves: MeanCurves) -> Plot:
    """A method's curves with their bands, and those of the references of its board behind them."""
    others = [one for one in references if one.result.cell != stored.result.cell]
    names = ("deletion", "insertion")
    groups = [
        _group(name, one, curve, own=one is stored)
        for one in [*others, stored]
        for name, curve in zip(names, curves.of(one), strict=True)
    ]
    deletion, insertion = curves.of(stored)
    numbers = tuple((f"{GRID[i]:.1f}", _number(deletion, i), _number(insertion, i)) for i in range(0, len(GRID), 2))
    said = [_said(name, curve) for name, curve in zip(names, curves.of(stored), strict=True)]
    description = f"Mean curves. {'; '.join(filter(None, said))}"
    chart = Chart("curves", description, {"curves": [group for group in groups if group["t"]]})
    return Plot(chart, numbers, tuple(one.result.label for one in others))


def _group(name: str, stored: StoredResult, curve: Curve, *, own: bool) -> dict[str, Any]:
    known = np.isfinite(curve.mean)
    group = {"curve": name, "of": visible(stored.result.label), "own": own, "t": rounded(GRID[known])}
    group["mean"] = rounded(curve.mean[known])
    return group | ({"low": rounded(curve.low[known]), "high": rounded(curve.high[known])} if own else {})


def _said(name: str, curve: Curve) -> str:
    known = np.flatnonzero(np.isfinite(curve.mean))
    if not len(known):
        return ""
    (start, first), (end, last) = ((GRID[i], number(float(curve.mean[i]), 2)) for i in (known[0], known[-1]))
    return f"{name}: mean probability of the prediction from {first} at {start:.0%} to {last} at {end:.0%} of the units"


def _number(curve: Curve, i: int) -> str:
    if not np.isfinite(curve.mean[i]):
        return "–"
    return f"{number(float(curve.mean[i]))} ({interval(float(curve.low[i]), float(curve.high[i]))})"
