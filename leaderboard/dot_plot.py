"""Figures with their intervals, a line for each method."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from whybench.leaderboard.axis import logarithmic
from whybench.leaderboard.charts import Chart, rounded
from whybench.leaderboard.formatting import measured, visible

# height of a line in pixels
ROW = 28


class Estimate(Protocol):
    """What is drawn: a mean, and the ends of its interval, which need not hold it."""

    @property
    def mean(self) -> float:
        """Where the mark is."""

    @property
    def low(self) -> float:
        """Where the line begins."""

    @property
    def high(self) -> float:
        """Where the line ends."""


@dataclass(frozen=True)
class DotPlot:
    """The figures.

    Attributes:
        title: What they are.
        chart: Their drawing.
    """

    title: str
    chart: Chart


def dot_plot(
    title: str,
    of: Literal["Method", "Metric", "Task"],
    rows: Sequence[tuple[str, Sequence[Estimate | None]]],
    series: Sequence[str],
    ends: tuple[float, float] | None = None,
    scale: Literal["linear", "log"] = "linear",
) -> DotPlot | None:
    """Draw figures, one line per row and one mark per series; None where there is nothing to draw.

    Args:
        title: What they are.
        of: What a row is.
        rows: Name and figures of each line; a figure that is None is left out.
        series: Names of the figures of a line.
        ends: Values that a linear axis reaches at least.
        scale: Of the axis.
    """
    rows = [(visible(name), figures) for name, figures in rows if any(figures)]
    found = [
        (at, series[place], figure)
        for at, (_, figures) in enumerate(rows)
        for place, figure in enumerate(figures)
        if figure is not None
    ]
    if not found:
        return None
    given: dict[str, Any] = {"of": of, "names": [name for name, _ in rows], "series": list(series)}
    given["height"] = ROW * len(rows)
    means, lows, highs = ([getattr(figure, end) for *_, figure in found] for end in ("mean", "low", "high"))
    if scale == "log":
        # not the lower ends: an interval may reach down to 0 or to a rounding error, and is cut at the axis' start
        axis = logarithmic([*means, *highs])
        means, lows, highs = (list(map(axis.place, values)) for values in (means, lows, highs))
        given |= {"ticks": [place for _, place in axis.ticks], "labels": [text for text, _ in axis.ticks]}
    else:
        reached = (*lows, *highs, *(ends or ()))
        given["ends"] = rounded([min(reached), max(reached)])
    said = [f"{measured(figure.mean)} ({measured(figure.low)} to {measured(figure.high)})" for *_, figure in found]
    marks = {
        "at": [at for at, *_ in found],
        "series": [name for _, name, _ in found],
        "mean": rounded(means),
        "low": rounded(lows),
        "high": rounded(highs),
        "said": said,
    }
    words: list[list[str]] = [[] for _ in rows]
    for (at, name, _), text in zip(found, said, strict=True):
        words[at].append(f"{name} {text}")
    lines = "; ".join(f"{name}: {', '.join(texts)}" for (name, _), texts in zip(rows, words, strict=True))
    kind = "log-dots" if scale == "log" else "dots"
    return DotPlot(title, Chart(kind, f"{title}. {lines}", {"marks": [marks]}, given))
