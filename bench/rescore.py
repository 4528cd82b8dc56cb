"""Metrics computed anew from what was recorded, without a model.

Nothing that was written is changed: a cell that gets more metrics is a new cell, as its spec names them.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from whybench.bench.curves import Curves
from whybench.bench.errors import CorruptResultError, NotRecordedError
from whybench.bench.examples_table import curves_of
from whybench.bench.identities import TOLERANCE
from whybench.bench.metric import FaithfulnessMetric
from whybench.bench.metrics import ALL, METRICS, metrics_named
from whybench.bench.schema import Result
from whybench.bench.store import ResultStore, StoredResult, read
from whybench.bench.summary import figures_of

CAUSAL = "its figures, those of the causal suite, need the model"
PUBLISHED = "it is a published copy, without the curves of all examples; rescore the results that it was made from"


@dataclass(frozen=True)
class Rescored:
    """What came of one cell.

    Attributes:
        cell: The cell.
        made: The new cell, or the one that was there already; None where the curves give no metric that it lacks.
        added: The metrics that it has beyond those of the cell.
        lacking: Metrics that the curves do not suffice for, each with the reason.
    """

    cell: str
    made: StoredResult | None = None
    added: tuple[str, ...] = ()
    lacking: Mapping[str, str] = field(default_factory=dict)


def rescore(store: ResultStore, names: Sequence[str] | None = None) -> list[Rescored]:
    """Compute metrics of all finished cells from their recorded curves, and write what is new as new cells.

    The metrics that a cell has are computed as well, and compared with what stands in it. A new cell has those and the
    new ones; figures of agreement with evidence, cost and environment are taken over.

    Args:
        store: The results.
        names: The metrics; None takes all that the curves suffice for.

    Raises:
        UnknownNameError: No metric has such a name.
        StoreError: There is no such results folder, or it cannot be written.
        CorruptResultError: A cell is damaged, or a metric of an example is not what its curves give.
    """
    wanted = metrics_named([ALL] if names is None else names)
    cells = store.read_all()
    store.check_writable()
    replaced = {stored.result.rescored_from for stored in cells}
    # of a cell that was rescored before, the newer one is taken further
    return [_rescored(store, one, [] if one.result.cell in replaced else wanted) for one in cells]


def _rescored(store: ResultStore, stored: StoredResult, wanted: Sequence[FaithfulnessMetric]) -> Rescored:
    result = stored.result
    if result.spec.measure == "causal":
        return Rescored(result.cell, lacking={metric.name: CAUSAL for metric in wanted})
    if result.published is not None:
        return Rescored(result.cell, lacking={metric.name: PUBLISHED for metric in wanted})
    examples = stored.examples
    ids: list[str] = examples.column("example_id").to_pylist()
    curves = {i: one for i, one in enumerate(curves_of(examples)) if one is not None}
    values: dict[str, dict[int, float | None]] = {}
    lacking: dict[str, str] = {}
    for metric in METRICS.values():
        own = metric.name in result.spec.metrics
        if not own and metric not in wanted:
            continue
        try:
            values[metric.name] = _values(metric, curves, ids)
        except NotRecordedError as error:
            if own:
                raise CorruptResultError(f"the cell {result.cell!r} has {metric.name}, but {error}") from error
            lacking[metric.name] = str(error)
            continue
        if own:
            _compare(stored, metric.name, values[metric.name], ids)
    added = tuple(name for name in values if name not in result.spec.metrics)
    if not added:
        return Rescored(result.cell, lacking=lacking)
    spec = result.spec.model_copy(update={"metrics": tuple(values)})
    if not store.finished(spec.cell()):
        known = {name: {i: v for i, v in row.items() if v is not None} for name, row in values.items()}
        figures = figures_of({name: row for name, row in known.items() if row})
        evidence = {name: figure for name, figure in result.figures.items() if name not in METRICS}
        fields = result.model_dump(mode="json") | {
            "spec": spec.model_dump(mode="json"),
            "cell": spec.cell(),
            "figures": {name: figure.model_dump(mode="json") for name, figure in (figures | evidence).items()},
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "rescored_from": result.cell,
        }
        store.write(Result.model_validate(fields), _table(examples, {name: known[name] for name in figures}))
    return Rescored(result.cell, read(store.cells / spec.cell()), added, lacking)


def _values(metric: FaithfulnessMetric, curves: Mapping[int, Curves], ids: Sequence[str]) -> dict[int, float | None]:
    values = {}
    for i, one in curves.items():
        try:
            values[i] = metric.value(one)
        except NotRecordedError as error:
            raise NotRecordedError(f"example {ids[i]!r}: {error}") from error
    return values


def _compare(stored: StoredResult, name: str, values: Mapping[int, float | None], ids: Sequence[str]) -> None:
    if name not in stored.examples.column_names:
        # undefined on every example, so that the cell has no such figure
        column: list[float | None] = [None] * len(ids)
    else:
        column = stored.examples.column(name).to_pylist()
    for i, value in values.items():
        written = column[i]
        same = written is value if written is None or value is None else abs(written - value) <= TOLERANCE
        if not same:
            reason = f"example {ids[i]!r} has {name} = {written}, and its curves give {value}"
            raise CorruptResultError(
                f"the result folder {str(stored.folder)!r} is damaged: {reason}. Move it away and run again to make it "
                "anew; nothing was changed.",
                reason,
            )


def compare_all(stored: StoredResult) -> None:
    """Compute every metric of a cell of faithfulness from its curves, and compare with what stands in it.

    Raises:
        CorruptResultError: A metric of an example is not what its curves give, or they do not give it.
    """
    ids: list[str] = stored.examples.column("example_id").to_pylist()
    curves = {i: one for i, one in enumerate(curves_of(stored.examples)) if one is not None}
    for metric in metrics_named(stored.result.spec.metrics):
        try:
            values = _values(metric, curves, ids)
        except NotRecordedError as error:
            raise CorruptResultError(f"the cell {stored.result.cell!r} has {metric.name}, but {error}") from error
        _compare(stored, metric.name, values, ids)


def _table(examples: pa.Table, values: Mapping[str, Mapping[int, float]]) -> pa.Table:
    """The table with these metrics in place of its own."""
    table = examples.drop_columns([name for name in examples.column_names if name in METRICS])
    for name, by_example in values.items():
        column = pa.array([by_example.get(i) for i in range(table.num_rows)], type=pa.float64())
        table = table.append_column(name, column)
    return table


def said(found: Sequence[Rescored]) -> Iterator[str]:
    """What to tell the user, line by line: what was made, and what could not be had, and why."""
    for one in found:
        if one.made is not None:
            yield f"{one.cell}: {', '.join(one.added)} in the new cell {one.made.result.cell}"
        else:
            yield f"{one.cell}: nothing new"
    reasons: dict[tuple[str, str], list[str]] = {}
    for one in found:
        for name, reason in one.lacking.items():
            reasons.setdefault((one.cell, reason), []).append(name)
    for (cell, reason), names in reasons.items():
        yield f"{cell}: no {', '.join(names)}: {reason}"


def rows_of(found: Sequence[Rescored]) -> list[dict[str, Any]]:
    """The same for machines."""
    return [
        {
            "cell": one.cell,
            "made": None if one.made is None else one.made.result.cell,
            "added": list(one.added),
            "lacking": dict(one.lacking),
        }
        for one in found
    ]
