"""The per-example table of a result: one row an example, with its scores, attribution and curves.

===================  ==============  ==================================================================================
column               type            what
===================  ==============  ==================================================================================
example_id           string          name within the task's data
text, text_pair      string          the input; ``text_pair`` is null where there is none
continuation, foil   string          what a next token's example asks about; null where labels are classes
label                int             gold label, null where there is none
target               int             label that is explained: the prediction on the whole input, or the continuation
probability          double          p(x) of the target
truncated            bool            whether the text was longer than the model's limit
error                string          why the example has no scores; null where it has (then all below is filled)
tokens               list<string>    real tokens, special ones included
token_scores         list<double>    the method's scores of them
unit_segments        list<int>       per unit 0 for ``text``, 1 for ``text_pair``
unit_starts/ends     list<int>       per unit its characters ``[start, end)`` in that segment
unit_scores          list<double>    per unit the sum of its tokens' scores
evidence             list<bool>      per unit whether it is evidence; null where the task does not say
necessary            list<bool>      per unit whether it is necessary evidence; null where the task names no roles
sufficient           list<list<int>> the units of each smallest sufficient set; the same
distractor           list<bool>      per unit whether it is a distractor; the same
removed_k/p/flipped  list            the curve of `Curves.removed_*`
kept_k/p             list            the curve of `Curves.kept_*`
single_p             list<double>    `Curves.single_p`; this and the next three are empty where no metric needs them,
                                     and not there in tables of earlier versions
drawn_units          list<bool>      `Curves.drawn_units`, subset by subset
drawn_p              list<double>    `Curves.drawn_p`
soft_p               list<double>    `Curves.soft_p`, row by row
(metric names)       double          the example's figure
length               int             real tokens; this and what follows in tables of the causal suite alone
head_dimension       int             d_v, the columns of a head's values
specimen_layer/head  int             the head of ``specimen_matrix``; null where the example is not one of the specimens
specimen_matrix      list<double>    the method's matrix, row by row, ``length²`` entries, rounded to float32
units                int             number of units; in published copies alone
===================  ==============  ==================================================================================

A published copy has ``text`` and what belongs to single tokens and units for its first examples only, and no column
that would be null in all rows (`whybench.bench.publication`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from whybench.bench.curves import SOFT, Curves
from whybench.bench.recovery import Evidence

_FIXED: tuple[tuple[str, pa.DataType], ...] = (
    ("example_id", pa.string()),
    ("text", pa.string()),
    ("text_pair", pa.string()),
    ("continuation", pa.string()),
    ("foil", pa.string()),
    ("label", pa.int64()),
    ("target", pa.int64()),
    ("probability", pa.float64()),
    ("truncated", pa.bool_()),
    ("error", pa.string()),
    ("tokens", pa.list_(pa.string())),
    ("token_scores", pa.list_(pa.float64())),
    ("unit_segments", pa.list_(pa.int64())),
    ("unit_starts", pa.list_(pa.int64())),
    ("unit_ends", pa.list_(pa.int64())),
    ("unit_scores", pa.list_(pa.float64())),
    ("evidence", pa.list_(pa.bool_())),
    ("necessary", pa.list_(pa.bool_())),
    ("sufficient", pa.list_(pa.list_(pa.int64()))),
    ("distractor", pa.list_(pa.bool_())),
    ("removed_k", pa.list_(pa.int64())),
    ("removed_p", pa.list_(pa.float64())),
    ("removed_flipped", pa.list_(pa.bool_())),
    ("kept_k", pa.list_(pa.int64())),
    ("kept_p", pa.list_(pa.float64())),
)

_SINCE = ("continuation", "foil", "necessary", "sufficient", "distractor")
"""Columns that tables of the first results do not have."""

_LATER: tuple[tuple[str, pa.DataType], ...] = (
    ("single_p", pa.list_(pa.float64())),
    ("drawn_units", pa.list_(pa.bool_())),
    ("drawn_p", pa.list_(pa.float64())),
    ("soft_p", pa.list_(pa.float64())),
)

_CAUSAL: tuple[tuple[str, pa.DataType], ...] = (
    ("length", pa.int64()),
    ("head_dimension", pa.int64()),
    ("specimen_layer", pa.int64()),
    ("specimen_head", pa.int64()),
    ("specimen_matrix", pa.list_(pa.float64())),
)


CURVES = (
    "unit_scores",
    "removed_k",
    "removed_p",
    "removed_flipped",
    "kept_k",
    "kept_p",
    *(name for name, _ in _LATER),
)
"""Columns of one example's curves."""


UNITS = "units"
"""In published copies, the number of units of every example."""


def schema(metrics: Iterable[str]) -> pa.Schema:
    """The table's columns, with one for every metric."""
    return pa.schema([*_FIXED, *_LATER, *((name, pa.float64()) for name in metrics)])


def required(metrics: Iterable[str], *, published: bool = False) -> list[str]:
    """The columns that a table, or a published copy, has in any case: those of earlier versions have no others."""
    if published:
        return ["example_id", "truncated", UNITS, *metrics]
    return [*(name for name, _ in _FIXED if name not in _SINCE), *metrics]


def mistyped(columns: pa.Schema, metrics: Iterable[str]) -> list[str]:
    """The columns of a file that are there twice, or are of another type than the table's."""
    known = {**dict([*_FIXED, *_LATER, *_CAUSAL, (UNITS, pa.int64())]), **dict.fromkeys(metrics, pa.float64())}
    names = columns.names
    return [
        name
        for name, kind in known.items()
        if name in names and (names.count(name) > 1 or columns.field(name).type != kind)
    ]


def columns_of(curves: Curves) -> dict[str, list[Any]]:
    """The columns of one example's curves; `curves_of` reads them."""
    return {
        "unit_scores": curves.scores.tolist(),
        "removed_k": curves.removed_k.tolist(),
        "removed_p": curves.removed_p.tolist(),
        "removed_flipped": curves.removed_flipped.tolist(),
        "kept_k": curves.kept_k.tolist(),
        "kept_p": curves.kept_p.tolist(),
        "single_p": curves.single_p.tolist(),
        "drawn_units": curves.drawn_units.ravel().tolist(),
        "drawn_p": curves.drawn_p.tolist(),
        "soft_p": curves.soft_p.ravel().tolist(),
    }


def curves_of(examples: pa.Table) -> list[Curves | None]:
    """Per example its curves as they were recorded; None where it has no scores."""
    columns = {name: lists(examples, name) for name in CURVES if name in examples.column_names}
    found: list[Curves | None] = []
    for row in zip(*columns.values(), strict=True):
        there = {name: values for name, values in zip(columns, row, strict=True) if values is not None}
        found.append(curves_from(there, len(there["unit_scores"])) if "removed_k" in there else None)
    return found


def curves_from(row: Mapping[str, Any], units: int) -> Curves:
    """The curves of one example.

    Args:
        row: Columns of `CURVES`; what is not there was not recorded.
        units: Number of units.
    """

    def column(name: str, kind: type) -> NDArray[Any]:
        return np.asarray(row.get(name, ()), dtype=kind)

    return Curves(
        units=units,
        removed_k=column("removed_k", np.int64),
        removed_p=column("removed_p", np.float64),
        removed_flipped=column("removed_flipped", bool),
        kept_k=column("kept_k", np.int64),
        kept_p=column("kept_p", np.float64),
        scores=column("unit_scores", np.float64),
        single_p=column("single_p", np.float64),
        drawn_units=column("drawn_units", bool).reshape(-1, units),
        drawn_p=column("drawn_p", np.float64),
        soft_p=column("soft_p", np.float64).reshape(len(SOFT), -1),
    )


def lists(examples: pa.Table, name: str) -> list[NDArray[np.float64] | None]:
    """A list column as one array per example, None where there is none: Python's own lists would be too many."""
    column = examples.column(name).combine_chunks()
    offsets = column.offsets.to_numpy()
    values = column.values.to_numpy(zero_copy_only=False).astype(np.float64)
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    return [
        values[start:stop] if there else None
        for start, stop, there in zip(offsets[:-1], offsets[1:], valid, strict=True)
    ]


def unit_counts(examples: pa.Table) -> list[int]:
    """The number of units of every example that has some."""
    if UNITS in examples.column_names:
        return [count for count in examples.column(UNITS).to_pylist() if count is not None]
    return [len(starts) for starts in lists(examples, "unit_starts") if starts is not None]


def table(rows: Sequence[Mapping[str, Any]], metrics: Iterable[str]) -> pa.Table:
    """Rows to a table of `schema`; a column that a row does not have is null."""
    return _table(rows, schema(metrics))


def causal_table(rows: Sequence[Mapping[str, Any]], metrics: Iterable[str]) -> pa.Table:
    """The same for the causal suite: with its own columns after those of `schema`."""
    return _table(rows, pa.schema([*schema(metrics), *_CAUSAL]))


def evidence_columns(evidence: Evidence | None) -> dict[str, Any]:
    """The columns of a row that say which units are evidence, and in which role."""
    if evidence is None:
        return {}
    row: dict[str, Any] = {"evidence": evidence.units.tolist()}
    if evidence.roles:
        row["necessary"] = evidence.necessary.tolist()
        row["sufficient"] = [np.flatnonzero(units).tolist() for units in evidence.sufficient]
        row["distractor"] = evidence.distractor.tolist()
    return row


def completed(examples: pa.Table, *, published: bool = False) -> pa.Table:
    """A table as it was read, with the columns that an older one or a published copy lacks, null in all rows."""
    for field in schema(()):
        if (published or field.name in _SINCE) and field.name not in examples.column_names:
            examples = examples.append_column(field, pa.nulls(len(examples), field.type))
    return examples


def _table(rows: Sequence[Mapping[str, Any]], columns: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in columns.names} for row in rows], schema=columns)


def flat_rows(examples: pa.Table) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows for viewers that know no lists: those become text; curves and matrices are left out."""
    large = {*CURVES, "specimen_matrix"} - {"unit_scores"}
    columns = [name for name in examples.column_names if name not in large]

    def flat(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return " ".join(f"{item:.4g}" if isinstance(item, float) else str(item) for item in value)

    return columns, [[flat(row[name]) for name in columns] for row in examples.select(columns).to_pylist()]
