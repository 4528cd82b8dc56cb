"""The per-example table of a result: one row an example, with its scores, attribution and curves.

===================  ==============  ==================================================================================
column               type            what
===================  ==============  ==================================================================================
example_id           string          name within the task's data
text, text_pair      string          the input; ``text_pair`` is null where there is none
label                int             gold label, null where there is none
target               int             label that is explained: the prediction on the whole input
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
(metric names)       double          the example's figure
length               int             real tokens; this and what follows in tables of the causal suite alone
head_dimension       int             d_v, the columns of a head's values
specimen_layer/head  int             the head of ``specimen_matrix``; null where the example is not one of the specimens
specimen_matrix      list<double>    the method's matrix, row by row, ``length²`` entries, rounded to float32
===================  ==============  ==================================================================================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from whybench.bench.recovery import Evidence

_FIXED: tuple[tuple[str, pa.DataType], ...] = (
    ("example_id", pa.string()),
    ("text", pa.string()),
    ("text_pair", pa.string()),
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

_SINCE_ROLES = ("necessary", "sufficient", "distractor")
"""Columns that tables of the first results do not have."""

_CAUSAL: tuple[tuple[str, pa.DataType], ...] = (
    ("length", pa.int64()),
    ("head_dimension", pa.int64()),
    ("specimen_layer", pa.int64()),
    ("specimen_head", pa.int64()),
    ("specimen_matrix", pa.list_(pa.float64())),
)


def schema(metrics: Iterable[str]) -> pa.Schema:
    """The table's columns, with one for every metric."""
    return pa.schema([*_FIXED, *((name, pa.float64()) for name in metrics)])


def required(metrics: Iterable[str]) -> list[str]:
    """The columns that a table has in any case: those of the first results have no others."""
    return [name for name in schema(metrics).names if name not in _SINCE_ROLES]


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


def completed(examples: pa.Table) -> pa.Table:
    """A table as it was read, with the columns that an older one lacks, null in all rows."""
    for field in schema(()):
        if field.name in _SINCE_ROLES and field.name not in examples.column_names:
            examples = examples.append_column(field, pa.nulls(len(examples), field.type))
    return examples


def _table(rows: Sequence[Mapping[str, Any]], columns: pa.Schema) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in columns.names} for row in rows], schema=columns)


def flat_rows(examples: pa.Table) -> tuple[list[str], list[list[Any]]]:
    """Columns and rows for viewers that know no lists: those become text; curves and matrices are left out."""
    large = {"removed_k", "removed_p", "removed_flipped", "kept_k", "kept_p", "specimen_matrix"}
    columns = [name for name in examples.column_names if name not in large]

    def flat(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        return " ".join(f"{item:.4g}" if isinstance(item, float) else str(item) for item in value)

    return columns, [[flat(row[name]) for name in columns] for row in examples.select(columns).to_pylist()]
