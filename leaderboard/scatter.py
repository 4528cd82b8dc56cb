"""A figure of every example against its length: the geometry of a small drawing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whybench.leaderboard.axis import Axis, linear
from whybench.leaderboard.formatting import measured

WIDTH, HEIGHT = 400, 250
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 22, 40
_BINS = 6


@dataclass(frozen=True)
class Scatter:
    """A drawing, one dot per example.

    Attributes:
        title: What is drawn against the length.
        dots: An SVG path with a point at every example.
        count: How many examples.
        x, y: Axes.
        line: Place of the marked length on the x axis; None where none is marked.
        marked: That length.
        numbers: Per group of examples of similar length: lengths, how many examples, and smallest, median, largest.
    """

    title: str
    dots: str
    count: int
    x: Axis
    y: Axis
    line: float | None
    marked: int | None
    numbers: tuple[tuple[str, str, str, str, str], ...]

    @property
    def description(self) -> str:
        """The drawing in words."""
        groups = "; ".join(f"{lengths} tokens: median {median}" for lengths, _, _, median, _ in self.numbers)
        return f"{self.title} of {self.count} examples against their length. {groups}"


def scatter(
    title: str, lengths: NDArray[np.float64], values: NDArray[np.float64], marked: int | None
) -> Scatter | None:
    """Draw values against lengths; None where no example has both.

    Args:
        title: What the values are.
        lengths: ``[examples]`` in tokens; NaN where an example has none.
        values: ``[examples]``; NaN where an example has none.
        marked: A length to mark.
    """
    known = np.isfinite(lengths) & np.isfinite(values)
    lengths, values = lengths[known], values[known]
    if not len(values):
        return None
    # the marked length is what the drawing is about: it is on it even where all texts are shorter
    reach = [0.0, float(lengths.max()), *([marked] if marked is not None else [])]
    x = linear(0.0, max(reach), LEFT, WIDTH - RIGHT)
    y = linear(min(0.0, float(values.min())), float(values.max()) or 1.0, HEIGHT - BOTTOM, TOP)
    dots = "".join(f"M{x.place(a):.1f} {y.place(b):.1f}h0" for a, b in zip(lengths, values, strict=True))
    line = x.place(marked) if marked is not None else None
    return Scatter(title, dots, len(values), x, y, line, marked, _grouped(lengths, values))


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
