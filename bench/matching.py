"""Which cells of two results folders are one cell, made by two versions of the code.

Two cells match where all is equal that is to stay equal: protocol, task and examples, model, method and its parameters,
operator, unit, seed, dtype and attention implementation. What may differ is what a version of the code changes: the
method's source, the environment, and which metrics were computed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from whybench.bench.schema import Result, Spec
from whybench.bench.store import ResultStore, StoredResult


@dataclass(frozen=True)
class Side:
    """What one folder holds of a cell.

    Attributes:
        cells: Its finished cells of one method source, the newest first: several where metrics were added later.
        failure: What failed or was skipped, where nothing finished since.
        superseded: How many more there are of an older source; they are not looked at.
    """

    cells: tuple[StoredResult, ...]
    failure: StoredResult | None = None
    superseded: int = 0

    @property
    def result(self) -> Result:
        """The newest result, failed or finished."""
        return (self.failure or self.cells[0]).result

    @property
    def finished(self) -> bool:
        """Whether the newest one finished."""
        return self.failure is None

    def holding(self, figure: str) -> StoredResult | None:
        """The newest finished cell with that figure."""
        return next((cell for cell in self.cells if figure in cell.result.figures), None)

    def figures(self) -> list[str]:
        """The names of all figures."""
        return list(dict.fromkeys(name for cell in self.cells for name in cell.result.figures))


@dataclass(frozen=True)
class Pair:
    """The same cell in both folders, newest results."""

    base: Side
    new: Side


@dataclass
class Matching:
    """All cells of two folders.

    Attributes:
        pairs: Finished in both.
        broken: Finished in the first, failed or skipped in the second.
        mended: The other way round.
        unfinished: Failed or skipped in both.
        vanished: In the first only, each with what sets it apart from the nearest one in the second.
        appeared: In the second only.
    """

    pairs: list[Pair] = field(default_factory=list)
    broken: list[Pair] = field(default_factory=list)
    mended: list[Pair] = field(default_factory=list)
    unfinished: list[Pair] = field(default_factory=list)
    vanished: list[tuple[Side, tuple[str, ...]]] = field(default_factory=list)
    appeared: list[Side] = field(default_factory=list)


def identity(spec: Spec) -> str:
    """What two matching cells have in common, as canonical JSON."""
    return json.dumps(_common(spec), sort_keys=True)


def sides_of(store: ResultStore) -> dict[str, Side]:
    """The cells of a folder by `identity`, in the order of their names.

    Raises:
        StoreError: There is no such results folder.
        CorruptResultError: A cell is damaged.
    """
    groups: dict[str, list[StoredResult]] = {}
    for stored in (*store.read_all(), *store.read_failures()):
        groups.setdefault(identity(stored.result.spec), []).append(stored)
    return {key: _side(cells) for key, cells in sorted(groups.items(), key=lambda item: item[1][0].result.cell)}


def match(base: dict[str, Side], new: dict[str, Side]) -> Matching:
    """Match the cells of two folders."""
    found = Matching()
    for key, side in base.items():
        if key not in new:
            alone = [other for name, other in new.items() if name not in base]
            found.vanished.append((side, _apart(side.result.spec, (one.result.spec for one in alone))))
            continue
        pair = Pair(side, new[key])
        if pair.base.finished:
            (found.pairs if pair.new.finished else found.broken).append(pair)
        else:
            (found.mended if pair.new.finished else found.unfinished).append(pair)
    found.appeared = [side for key, side in new.items() if key not in base]
    return found


def _common(spec: Spec) -> dict[str, Any]:
    data = spec.model_dump(mode="json") | {"measure": spec.measure}
    del data["metrics"], data["method"]["source"]
    return data


def _side(cells: Sequence[StoredResult]) -> Side:
    newest_first = sorted(cells, key=lambda stored: (stored.result.created, stored.result.cell), reverse=True)
    first = newest_first[0]
    finished = [stored for stored in newest_first if stored.result.status == "finished"]
    if first.result.status != "finished":
        return Side((), first, len(finished))
    source = first.result.spec.method.source
    same = tuple(stored for stored in finished if stored.result.spec.method.source == source)
    return Side(same, None, len(finished) - len(same))


def _apart(spec: Spec, others: Iterable[Spec]) -> tuple[str, ...]:
    """The fields in which a cell differs from the nearest one of its method and task; empty where there is none."""
    own = _flat(_common(spec))
    flat = [
        _flat(_common(one)) for one in others if (one.method.name, one.task.name) == (spec.method.name, spec.task.name)
    ]
    near = [tuple(name for name in {**own, **one} if own.get(name) != one.get(name)) for one in flat]
    return min(near, key=len, default=())


def _flat(data: dict[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in data.items():
        found |= _flat(value, f"{before}{name}.") if isinstance(value, dict) else {f"{before}{name}": value}
    return found
