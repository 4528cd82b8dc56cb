"""Head to head: paired differences of all ranked methods of a board, and two of them example by example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whybench.bench.comparison import Comparison
from whybench.bench.figures import FIGURES
from whybench.bench.store import StoredResult
from whybench.leaderboard.charts import Chart
from whybench.leaderboard.columns import numbers
from whybench.leaderboard.formatting import interval, number, printable, visible
from whybench.leaderboard.ranks import compared
from whybench.leaderboard.tables import Column, Row, Table

TITLE = "Head to head"
MOST_DIFFERENT = 10
# figures of single examples that a page holds for its reader's choice of two methods
MOST_FIGURES = 120_000
TEXT_CHARACTERS = 80


@dataclass(frozen=True)
class Pair:
    """The row's method minus the column's.

    Attributes:
        difference: Mean over the examples.
        text, interval, p: It as text, with its interval and its corrected p-value.
        winner: ``first``, ``second``, or empty where the difference is not significant.
    """

    difference: float
    text: str
    interval: str
    p: str
    winner: str


@dataclass(frozen=True)
class Differing:
    """An example on which two methods differ.

    Attributes:
        id: Its name within the task's data.
        text: Its beginning.
        href: Its page from the site's root; None where it has none.
        first, second, difference: Figures, as text.
    """

    id: str
    text: str
    href: str | None
    first: str
    second: str
    difference: str


@dataclass(frozen=True)
class Versus:
    """A board's page.

    Attributes:
        anchor: The board's name within pages.
        column: The figure that is compared.
        rows: The ranked methods, the best first.
        pairs: Per two of them, the row's first; None on the diagonal.
        examples: How many were compared.
        left_out: Methods that are not ranked.
        chart: Every example under the best two.
        differing: Examples on which the best two differ most.
        data: What a reader's choice of two others is drawn from, as JSON.
        shown: How many examples are in it.
    """

    anchor: str
    column: Column
    rows: tuple[Row, ...]
    pairs: tuple[tuple[Pair | None, ...], ...]
    examples: int
    left_out: tuple[str, ...]
    chart: Chart
    differing: tuple[Differing, ...]
    data: dict[str, Any]
    shown: int


def versus(anchor: str, table: Table, hrefs: Mapping[str, str]) -> Versus | None:
    """The page of a board; None where fewer than two methods are ranked.

    Args:
        anchor: The board's name within pages.
        table: Its view.
        hrefs: Per example id its page from the site's root, where it has one.
    """
    rows = tuple(row for row in table.methods if row.standing is not None)
    column = table.ranked_by
    if column is None:
        return None
    names = [row.name for row in rows]
    columns = [numbers(row.stored, column.key) for row in rows]
    found = compared([row.stored for row in rows], names, FIGURES[column.key])
    ids = [one for one in columns[0] if all(one in figures for figures in columns)]
    # four decimals are more than is drawn or written; rounded here, so that a reader's choice gives the same
    values = np.array([[round(figures[one], 4) for one in ids] for figures in columns])
    texts = _texts(rows[0].stored)
    # spread over the data, where it is too much for a page
    kept = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), max(1, MOST_FIGURES // len(rows)))).round().astype(int))
    return Versus(
        anchor=anchor,
        column=column,
        rows=rows,
        pairs=_pairs(found, column),
        examples=found.examples,
        left_out=tuple(row.name for row in table.methods if row.standing is None),
        chart=Chart("versus", f"{column.title} of each example under {names[0]} and under {names[1]}.", {}),
        differing=_differing(values[0], values[1], ids, texts, hrefs),
        data=_data(found, column, values[:, kept], [ids[i] for i in kept], texts, hrefs),
        shown=len(kept),
    )


def _pairs(found: Comparison, column: Column) -> tuple[tuple[Pair | None, ...], ...]:
    count = len(found.names)
    sign = 1 if column.better == "higher" else -1
    lines = []
    for i in range(count):
        line: list[Pair | None] = []
        for j in range(count):
            if i == j:
                line.append(None)
                continue
            difference = float(found.differences[i, j])
            low, high = (float(end) for end in found.difference_intervals[:, i, j])
            better = "first" if sign * difference > 0 else "second"
            winner = better if found.significant[i, j] else ""
            p = p_value(float(found.corrected[i, j]))
            line.append(Pair(difference, signed(difference), interval(low, high), p, winner))
        lines.append(tuple(line))
    return tuple(lines)


def signed(value: float) -> str:
    """A difference, with its sign where it is above 0."""
    text = number(value)
    return f"+{text}" if value > 0 and text.strip("0.") else text


def p_value(value: float) -> str:
    """A p-value, the smallest as a bound."""
    return "p\u00a0<\u00a0.001" if value < 0.001 else f"p\u00a0=\u00a0{value:.3f}".replace("0.", ".", 1)


def _differing(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    ids: Sequence[str],
    texts: Mapping[str, str],
    hrefs: Mapping[str, str],
) -> tuple[Differing, ...]:
    order = np.argsort(-np.abs(first - second), kind="stable")[:MOST_DIFFERENT]
    return tuple(
        Differing(
            ids[i],
            texts.get(ids[i], ""),
            hrefs.get(ids[i]),
            number(float(first[i])),
            number(float(second[i])),
            signed(float(first[i] - second[i])),
        )
        for i in order
    )


def _texts(stored: StoredResult) -> dict[str, str]:
    """Per example id the beginning of its text."""
    table = stored.columns(("example_id", "text"))
    ids, texts = table.column("example_id").to_pylist(), table.column("text").to_pylist()
    return {one: _beginning(text or "") for one, text in zip(ids, texts, strict=True)}


def _beginning(text: str) -> str:
    said = " ".join(printable(text).split())
    return said if len(said) <= TEXT_CHARACTERS else f"{said[:TEXT_CHARACTERS]}…"


def _data(
    found: Comparison,
    column: Column,
    values: NDArray[np.float64],
    ids: Sequence[str],
    texts: Mapping[str, str],
    hrefs: Mapping[str, str],
) -> dict[str, Any]:
    return {
        "figure": column.title,
        "better": column.better,
        "most": MOST_DIFFERENT,
        "methods": [visible(name) for name in found.names],
        # of the axes, the same for any two
        "ends": [float(values.min()), float(values.max())],
        "examples": [[visible(one), texts.get(one, ""), hrefs.get(one, "")] for one in ids],
        "values": values.tolist(),
    }
