"""The example view: one text under all methods of a board, each unit coloured by its score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import pyarrow.compute as pc
from markupsafe import Markup, escape
from numpy.typing import NDArray

from whybench.bench.examples_table import lists
from whybench.bench.segments import Stretch, stretches
from whybench.bench.store import StoredResult
from whybench.leaderboard.charts import Chart
from whybench.leaderboard.columns import numbers
from whybench.leaderboard.example_curves import example_curves
from whybench.leaderboard.formatting import MISSING, number, printable
from whybench.leaderboard.published import LeftOut, drawable, left_out
from whybench.leaderboard.tables import Column, Row, Table

FIRST_EXAMPLES = 6
DISAGREED_EXAMPLES = 6
APART_EXAMPLES = 4
# a unit is an element of the page: more of them than this and phones begin to stutter
UNITS_PER_TEXT = 400
UNITS_PER_BOARD = 40_000
LEVELS = 10

_FIRST, _DISAGREED = "it is among the first of the data", "the methods disagree most on it"
_APART = "the two best methods' figures differ most on it"
_PUBLISHED = "it is among those whose texts and maps are published"

Hue = Literal["p", "n", "u"]
"""Supports the prediction, speaks against it, matters (unsigned)."""

Part = Literal["", "evidence", "necessary", "distractor"]
"""A unit's part in the label: none that is known, evidence, the part of it that is necessary, or a distractor."""


@dataclass(frozen=True)
class Piece:
    """A stretch of text: a unit with its score, or what stands between units.

    Attributes:
        text: The characters.
        score: The score as it is shown; None between units.
        level: Class of the colour: hue and strength, "" for none.
        part: The unit's part in the label.
        index: Number of the unit, the same under all methods.
    """

    text: str
    score: str | None = None
    level: str = ""
    part: Part = ""
    index: int = -1

    @property
    def tag(self) -> str:
        """What has a part is underlined."""
        return "u" if self.part else "span"


@dataclass(frozen=True)
class Heat:
    """An example under one method.

    Attributes:
        row: The method's row.
        segments: The text, and the second text of a pair.
        hidden: Units beyond the first `UNITS_PER_TEXT`.
        figures: The example's figures, one per figure column.
        error: Why it has no scores.
        curves: Its curves; None where none is recorded.
    """

    row: Row
    segments: tuple[tuple[Piece, ...], ...]
    hidden: int
    figures: tuple[str, ...]
    error: str | None
    curves: Chart | None


@dataclass(frozen=True)
class ExampleView:
    """An example under all methods.

    Attributes:
        id: Its name within the task's data.
        reason: Why it is shown.
        agreement: Mean rank correlation between the methods; None with fewer than two.
        disagreement: 1 minus the same, as a number.
        prediction: Label that is explained.
        contrast: The continuation, which is explained then, and the foil, of a next token; None for labels.
        probability: The model's probability of it; None where no method has one.
        gold: Gold label, None where there is none.
        correct: Whether the two are the same; of a next token, whether the model prefers the continuation.
        truncated: Whether the text was longer than the model's limit.
        evidence: Whether it is known which units are evidence.
        parts: The parts that its units have.
        heats: One per row of the board.
    """

    id: str
    reason: str
    agreement: str | None
    disagreement: float | None
    prediction: str
    contrast: tuple[str, str] | None
    probability: str | None
    gold: str | None
    correct: bool
    truncated: bool
    evidence: bool
    parts: frozenset[Part]
    heats: tuple[Heat, ...]


@dataclass(frozen=True)
class ExampleViews:
    """The chosen examples of a board.

    Attributes:
        views: The first of the data, those that the methods disagree on most, and those on which the figures of the two
            best differ most.
        columns: Figure columns.
        left_out: How many of the chosen examples were left out, because the page would grow too large.
        lacking: What cannot be drawn, as the results are published copies.
    """

    views: tuple[ExampleView, ...]
    columns: tuple[Column, ...]
    left_out: int
    lacking: LeftOut | None

    @property
    def parts(self) -> frozenset[Part]:
        """The parts that units of the examples have."""
        return frozenset().union(*(view.parts for view in self.views))

    @property
    def leading(self) -> tuple[Column, ...]:
        """The first column of every group: the figures that stand beside the text."""
        return tuple({column.group: column for column in reversed(self.columns)}.values())[::-1]


def examples(table: Table) -> ExampleViews:
    """Choose examples of a board and draw them under all its methods."""
    figures = table.figures
    lacking = left_out([row.stored for row in table.rows])
    ids = drawable([row.stored for row in table.rows])
    if not ids:
        return ExampleViews((), figures, 0, lacking)
    agreement = _agreement([row.stored for row in table.methods], ids)
    if lacking is not None and len(ids) <= FIRST_EXAMPLES + DISAGREED_EXAMPLES:
        chosen = dict.fromkeys(ids, _PUBLISHED)
    else:
        chosen = _choose(ids, agreement)
        chosen |= {one: _APART for one in _apart(table, ids) if one not in chosen}
    data = [_rows_of(row.stored, list(chosen)) for row in table.rows]
    views: list[ExampleView] = []
    drawn = 0
    for example_id, reason in chosen.items():
        by_row = [(row, rows[example_id]) for row, rows in zip(table.rows, data, strict=True) if example_id in rows]
        drawn += sum(min(UNITS_PER_TEXT, len(record["unit_starts"] or ())) for _, record in by_row)
        if views and drawn > UNITS_PER_BOARD:
            break
        views.append(_view(example_id, reason, agreement.get(example_id), by_row, table.board.labels, figures))
    return ExampleViews(tuple(views), figures, len(chosen) - len(views), lacking)


def drawn(segment: Sequence[Piece]) -> Markup:
    """A text as it stands on a page, each unit in an element of its own: there are too many for a template's loop."""
    parts = []
    for piece in segment:
        text = _escaped(piece.text)
        if piece.score is None:
            parts.append(text)
            continue
        level = f' class="{piece.level}"' if piece.level else ""
        part = f' data-part="{piece.part}"' if piece.part else ""
        tag = piece.tag
        parts.append(f'<{tag}{level}{part} data-i="{piece.index}" title="{_escaped(piece.score)}">{text}</{tag}>')
    return Markup("".join(parts))


# a word stands under every method
@lru_cache(maxsize=4096)
def _escaped(text: str) -> str:
    return str(escape(text))


def _choose(ids: Sequence[str], agreement: Mapping[str, float]) -> dict[str, str]:
    chosen = dict.fromkeys(ids[:FIRST_EXAMPLES], _FIRST)
    disagreed = sorted((i for i in agreement if i not in chosen), key=lambda i: agreement[i])
    chosen |= dict.fromkeys(disagreed[:DISAGREED_EXAMPLES], _DISAGREED)
    if len(chosen) < FIRST_EXAMPLES + DISAGREED_EXAMPLES:
        # too few methods to disagree: go on with the data
        more = [i for i in ids if i not in chosen][: FIRST_EXAMPLES + DISAGREED_EXAMPLES - len(chosen)]
        chosen |= dict.fromkeys(more, _FIRST)
    return chosen


def _apart(table: Table, ids: Sequence[str]) -> list[str]:
    """Ids of the examples on which the two best methods differ most by the figure that ranks them."""
    best = [row.stored for row in table.methods if row.standing is not None][:2]
    if table.ranked_by is None or len(best) < 2:
        return []
    first, second = (numbers(stored, table.ranked_by.key) for stored in best)
    apart = {one: round(abs(first[one] - second[one]), 4) for one in ids if one in first and one in second}
    return sorted((one for one in apart if apart[one] > 0), key=lambda one: -apart[one])[:APART_EXAMPLES]


def _agreement(stored: Sequence[StoredResult], ids: Sequence[str]) -> dict[str, float]:
    """Per example the mean Spearman correlation over all pairs of methods; none where fewer than two scored it."""
    scores: dict[str, list[NDArray[np.float64]]] = {example_id: [] for example_id in ids}
    for one in stored:
        names = one.examples.column("example_id").to_pylist()
        for name, values in zip(names, lists(one.examples, "unit_scores"), strict=True):
            if values is not None and name in scores:
                scores[name].append(values)
    return {name: value for name, maps in scores.items() if (value := _mean_correlation(maps)) is not None}


def _mean_correlation(maps: Sequence[NDArray[np.float64]]) -> float | None:
    if len(maps) < 2 or len({len(scores) for scores in maps}) > 1 or len(maps[0]) < 2:
        return None
    ranks = _ranks(np.array(maps))
    ranks -= ranks.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(ranks, axis=1, keepdims=True)
    # a constant map agrees with nothing: its correlation is taken as 0
    unit = np.divide(ranks, norms, out=np.zeros_like(ranks), where=norms > 0)
    pairs = len(maps) * (len(maps) - 1)
    products = unit @ unit.T
    return float((products.sum() - np.trace(products)) / pairs)


def _ranks(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks within each row of ``[rows, units]``, ties sharing their mean rank."""
    order = np.argsort(scores, axis=1, kind="stable")
    ascending = np.take_along_axis(scores, order, axis=1)
    ranks = np.empty(scores.shape)
    np.put_along_axis(ranks, order, np.broadcast_to(np.arange(1.0, scores.shape[1] + 1), scores.shape), axis=1)
    for row in np.flatnonzero((ascending[:, 1:] == ascending[:, :-1]).any(axis=1)):
        _, where, counts = np.unique(scores[row], return_inverse=True, return_counts=True)
        ends = np.cumsum(counts)
        ranks[row] = (ends - (counts - 1) / 2)[where]
    return ranks


def _rows_of(stored: StoredResult, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    examples = stored.examples if stored.result.published is None else stored.examples[: stored.result.published.maps]
    found = examples.filter(pc.field("example_id").isin(list(ids)))
    return {record["example_id"]: record for record in found.to_pylist()}


def _view(
    example_id: str,
    reason: str,
    agreement: float | None,
    by_row: Sequence[tuple[Row, dict[str, Any]]],
    labels: Sequence[str],
    figures: Sequence[Column],
) -> ExampleView:
    record = next((record for _, record in by_row if record["probability"] is not None), by_row[0][1])
    gold, target = record["label"], record["target"]
    contrast = None if record["continuation"] is None else (record["continuation"], record["foil"])
    return ExampleView(
        id=example_id,
        reason=reason,
        agreement=None if agreement is None else number(agreement, 2),
        disagreement=None if agreement is None else 1 - agreement,
        prediction=_label(labels, target),
        contrast=contrast,
        probability=None if record["probability"] is None else number(record["probability"]),
        gold=None if gold is None else _label(labels, gold),
        correct=gold == target if contrast is None else (record["probability"] or 0) > 0.5,
        truncated=bool(record["truncated"]),
        evidence=record["evidence"] is not None,
        parts=frozenset(_parts(record)) - {""},
        heats=tuple(_heat(row, record, figures) for row, record in by_row),
    )


def _label(labels: Sequence[str], index: int | None) -> str:
    if index is None:
        return MISSING
    return labels[index] if 0 <= index < len(labels) else str(index)


def _heat(row: Row, record: dict[str, Any], figures: Sequence[Column]) -> Heat:
    texts = [record["text"] or ""] + ([record["text_pair"]] if record["text_pair"] is not None else [])
    values = (record.get(column.key) for column in figures)
    segments, hidden = _segments(texts, record, signed=row.result.signed)
    return Heat(
        row=row,
        segments=segments,
        hidden=hidden,
        figures=tuple(MISSING if value is None else number(value) for value in values),
        error=record["error"],
        curves=example_curves(record),
    )


def _segments(
    texts: Sequence[str], record: dict[str, Any], *, signed: bool
) -> tuple[tuple[tuple[Piece, ...], ...], int]:
    spans = list(
        zip(record["unit_segments"] or (), record["unit_starts"] or (), record["unit_ends"] or (), strict=True)
    )
    scores = record["unit_scores"] or [None] * len(spans)
    parts = _parts(record)
    # without a sign there is one end: a score below 0 ranks last, and has no colour
    sizes = (abs(score) if signed else score for score in scores if score is not None)
    largest = max(sizes, default=0.0)
    shown = spans[:UNITS_PER_TEXT]
    drawn: list[tuple[Piece, ...]] = []
    for segment, text in enumerate(texts):
        units = [(start, end, index) for index, (s, start, end) in enumerate(shown) if s == segment]
        cut = stretches(text, units)
        if sum(s == segment for s, _, _ in spans) > len(units) and cut and cut[-1].unit is None:
            # what follows the last unit that is shown holds the hidden ones
            cut.pop()
        drawn.append(tuple(_piece(stretch, scores, parts, largest, signed=signed) for stretch in cut))
    return tuple(drawn), len(spans) - len(shown)


def _piece(
    stretch: Stretch,
    scores: Sequence[float | None],
    parts: Sequence[Part],
    largest: float,
    *,
    signed: bool,
) -> Piece:
    text, unit = _printable(stretch.text), stretch.unit
    if unit is None:
        return Piece(text)
    score = scores[unit]
    if score is None:
        return Piece(text, MISSING, part=parts[unit], index=unit)
    return Piece(text, _score(score), _level(score, largest, signed=signed), parts[unit], unit)


_printable = lru_cache(maxsize=4096)(printable)


def _parts(record: Mapping[str, Any]) -> list[Part]:
    """The part of every unit of an example."""
    parts: list[Part] = [""] * len(record["unit_starts"] or ())
    columns: tuple[Part, ...] = ("evidence", "necessary", "distractor")
    for part in columns:
        for unit, has in enumerate(record[part] or ()):
            if has:
                parts[unit] = part
    return parts


def _level(score: float, largest: float, *, signed: bool) -> str:
    """Class of a colour: strength is the share of the text's largest score, in steps."""
    size = abs(score) if signed else max(score, 0.0)
    strength = round(LEVELS * size / largest) if largest > 0 else 0
    hue: Hue = "u" if not signed else "p" if score > 0 else "n"
    return f"{hue}{strength}" if strength else ""


def _score(score: float) -> str:
    if score != 0 and abs(score) < 0.0005:
        return f"{score:.0e}".replace("-", "\u2212")
    return number(score, 3 if abs(score) < 10 else 1)
