"""Cells that differ in nothing but a method's seed, as one row: the mean per example."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from whybench.bench.schema import GateOutcome, MethodSpec, Result
from whybench.bench.store import StoredResult
from whybench.bench.summary import figures_of
from whybench.leaderboard.columns import numbers


@dataclass(frozen=True)
class Repeated(StoredResult):
    """Several cells as one.

    What is no figure (scores, curves, cost, provenance) is that of the first. An example's figure is the mean over the
    cells, where all of them have it.

    Attributes:
        cells: The cells, by seed.
    """

    cells: tuple[StoredResult, ...] = ()

    @cached_property
    def examples(self) -> pa.Table:
        """The first cell's table, with the mean figures in it."""
        return self._with_means(self.cells[0].examples)

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns, the figures among them as means."""
        wanted = list(dict.fromkeys(("example_id", *names)))
        return self._with_means(self.cells[0].columns(wanted)).select(list(names))

    def _with_means(self, table: pa.Table) -> pa.Table:
        ids = table.column("example_id").to_pylist()
        for name in self.result.figures:
            if name in table.column_names:
                values = self._means[name]
                column = pa.array([values.get(example) for example in ids], type=pa.float64())
                table = table.set_column(table.column_names.index(name), name, column)
        return table

    @cached_property
    def _means(self) -> dict[str, dict[str, float]]:
        return _means(self.cells, tuple(self.result.figures))


def folded(results: Sequence[StoredResult]) -> list[StoredResult]:
    """The results, with those as one that differ in nothing but the seed of a method that has one, where all their
    examples have scores and they are of one standing; the first stands in their place.
    """
    groups: dict[str, list[StoredResult]] = {}
    for stored in results:
        groups.setdefault(_key(stored), []).append(stored)
    found: list[StoredResult] = []
    for stored in results:
        group = groups.pop(_key(stored), [])
        if len(group) == 1:
            found += group
        elif group:
            found.append(_as_one(sorted(group, key=lambda one: _seed(one.result))))
    return found


def _seed(result: Result) -> int:
    seed = result.spec.method.parameters["seed"]
    return seed if isinstance(seed, int) else 0


def _key(stored: StoredResult) -> str:
    result = stored.result
    method, coverage = result.spec.method, result.coverage
    if not isinstance(method.parameters.get("seed"), int) or coverage is None or coverage.failed:
        return result.cell
    others = {name: value for name, value in method.parameters.items() if name != "seed"}
    seedless = MethodSpec(name=method.name, parameters=others, source=method.source)
    same = result.spec.model_copy(update={"method": seedless}).model_dump_json() + ",".join(result.figures)
    # nobody's word becomes part of a row that is someone else's
    return f"{stored.standing} {same}"


def _as_one(cells: Sequence[StoredResult]) -> Repeated:
    first = cells[0].result
    means = _means(cells, tuple(first.figures))
    figures = figures_of({name: dict(enumerate(by_example.values())) for name, by_example in means.items()})
    said = f"The mean of {len(cells)} seeds; curves, scores and cost are those of the first."
    gates: dict[str, GateOutcome] = {}
    for stored in cells:
        for name, outcome in stored.gates.items():
            if name not in gates or outcome.status == "failed":
                gates[name] = outcome
    result = first.model_copy(
        update={
            "label": re.sub(r"(, )?seed=\d+(?(1)|(, )?)", "", first.label).replace("()", ""),
            "note": f"{first.note} {said}".strip(),
            "figures": figures,
            "gates": gates,
        }
    )
    return Repeated(cells[0].folder, result, cells[0].standing, cells=tuple(cells))


def _means(cells: Sequence[StoredResult], names: Sequence[str]) -> dict[str, dict[str, float]]:
    found = {}
    for name in names:
        columns = [numbers(stored, name) for stored in cells]
        found[name] = {
            example: float(np.mean([column[example] for column in columns]))
            for example in columns[0]
            if all(example in column for column in columns)
        }
    return found
