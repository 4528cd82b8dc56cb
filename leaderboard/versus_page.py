"""Head to head on one board: paired differences of all ranked methods, and any two methods example by example."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whybench.bench.comparison import ALPHA
from whybench.bench.store import StoredResult
from whybench.leaderboard.charts import Chart
from whybench.leaderboard.formatting import interval, number, printable, visible
from whybench.leaderboard.pairs import Pairs, written
from whybench.leaderboard.tables import Column, Row

TITLE = "Head to head"
MOST_DIFFERENT = 10
# figures of single examples that a page holds for its reader's choice of two methods
MOST_FIGURES = 120_000
TEXT_CHARACTERS = 80


@dataclass(frozen=True)
class Pair:
    """The row's method minus the column's.

    Attributes:
        difference: Mean over the examples that both have a figure of.
        text, interval, p: It as text, with its interval and its p-value.
        winner: ``first``, ``second``, or empty where the difference is not significant.
        counts: On how many examples the first is better, the two are the same, and the second is better.
    """

    difference: float
    text: str
    interval: str
    p: str
    winner: str
    counts: tuple[int, int, int]


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
        columns: The figures that can be compared; the page opens with the first one.
        rows: The methods, the ranked ones first, the best of them first.
        ranked: How many are ranked.
        pair: The first two; None where they share no example.
        pairs: Per two ranked ones, the row's first; None on the diagonal.
        examples: How many were compared.
        chart: Every example under the first two.
        differing: Examples on which the first two differ most.
        data: What a reader's choice of two others is drawn from, as JSON.
        figures: The same by the other figures; a script loads each when it is asked for.
        shown: How many examples are in them.
    """

    anchor: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    ranked: int
    pair: Pair | None
    pairs: tuple[tuple[Pair | None, ...], ...]
    examples: int
    chart: Chart
    differing: tuple[Differing, ...]
    data: dict[str, Any]
    figures: dict[str, dict[str, Any]]
    shown: int

    @property
    def column(self) -> Column:
        """The figure that the page opens with."""
        return self.columns[0]


def versus(anchor: str, found: Sequence[Pairs], hrefs: Mapping[str, str]) -> Versus:
    """The page of a board.

    Args:
        anchor: The board's name within pages.
        found: Its pairs by each figure, that of the ranks first.
        hrefs: Per example id its page from the site's root, where it has one.
    """
    leading = found[0]
    rows, ids = leading.rows, leading.ids
    texts: dict[str, str] = {}
    # a ranked method has them all
    for row in rows[:1] if leading.ranked else rows:
        texts |= _texts(row.stored)
    # spread over the data, where it is too much for a page
    kept = np.unique(np.linspace(0, len(ids) - 1, min(len(ids), max(1, MOST_FIGURES // len(rows)))).round().astype(int))
    shown = [ids[i] for i in kept]
    figures = {one.column.key: _figure(one, shown) for one in found}
    first, second = leading.values[:, :2].round(4).T
    both = np.flatnonzero(~np.isnan(first - second))
    return Versus(
        anchor=anchor,
        columns=tuple(one.column for one in found),
        rows=rows,
        ranked=leading.ranked,
        pair=_pair(leading, 0, 1),
        pairs=tuple(
            tuple(None if i == j else _pair(leading, i, j) for j in range(leading.ranked))
            for i in range(leading.ranked)
        ),
        examples=len(ids),
        chart=Chart("versus", _said(leading), {}),
        differing=_differing(first[both], second[both], [ids[i] for i in both], texts, hrefs),
        data={
            "folder": anchor,
            "most": MOST_DIFFERENT,
            "methods": [visible(row.name) for row in rows],
            "ranked": leading.ranked,
            "examples": [[visible(one), texts.get(one, ""), hrefs.get(one, "")] for one in shown],
            **figures.pop(leading.column.key),
        },
        figures=figures,
        shown=len(kept),
    )


def script(figure: dict[str, Any]) -> bytes:
    """A figure as a script: a page that was opened from a file can load these, and nothing else."""
    return f"whybenchFigure({json.dumps(figure, separators=(',', ':'))});\n".encode()


def _figure(found: Pairs, shown: Sequence[str]) -> dict[str, Any]:
    """What the choice of a figure changes, as JSON."""
    place = {one: i for i, one in enumerate(found.ids)}
    places = [place.get(one) for one in shown]
    # four decimals are more than is drawn or written; rounded, so that a reader's choice gives the same
    rounded = [[None if np.isnan(v) else v for v in column] for column in found.values.T.round(4).tolist()]
    p_values = np.where(np.isnan(found.corrected), found.p_values, found.corrected)
    return {
        "key": found.column.key,
        "figure": found.column.title,
        "better": found.column.better,
        # of the axes, the same for any two
        "ends": [float(np.nanmin(found.values).round(4)), float(np.nanmax(found.values).round(4))],
        "values": [[None if at is None else column[at] for at in places] for column in rounded],
        "pairs": written(found, p_values),
    }


def _said(found: Pairs) -> str:
    first, second = (row.name for row in found.rows[:2])
    return f"{found.column.title} of each example under {first} and under {second}."


def _pair(found: Pairs, i: int, j: int) -> Pair | None:
    if not found.examples[i, j]:
        return None
    difference = float(found.differences[i, j])
    low, high = (float(end) for end in found.intervals[:, i, j])
    corrected = float(found.corrected[i, j])
    p = float(found.p_values[i, j]) if np.isnan(corrected) else corrected
    better = "first" if (difference > 0) == (found.column.better == "higher") else "second"
    counts = (int(found.wins[i, j]), int(found.ties[i, j]), int(found.wins[j, i]))
    return Pair(difference, signed(difference), interval(low, high), p_value(p), better if p <= ALPHA else "", counts)


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
