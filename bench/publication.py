"""A copy of results that is small enough to be kept in a repository, and holds no texts that are not ours to publish.

Figures, their per-example values, costs, gates and checks are kept as they are, to the last bit: the tables, ranks,
intervals and comparisons of a board are those of the full results. The mean curves are kept as numbers of their own.
Of the per-example texts, maps and curves those of the first examples are kept, or none, and then no reason quotes them.
The result says so in its field ``published``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from whybench.bench.choices import MAPS, TEXTS, Texts
from whybench.bench.errors import ParameterError, StoreError
from whybench.bench.examples_table import UNITS, lists
from whybench.bench.mean_curves import mean_curves
from whybench.bench.schema import GateOutcome, Published, Randomised, Result, TaskSpec
from whybench.bench.store import MANIFEST, ResultStore, StoredResult, check_of, digest_of, read

# what a board asks of every example; all other columns are of single tokens and units, or text
_WHOLE = ("example_id", "label", "target", "probability", "truncated", "error", "length", "head_dimension")
# what stands in quotes in a reason may be of the text, and so may what follows a quote that is not closed
_QUOTED = re.compile(
    r"""(?<!\w)'(?:\\.|(?<=\w)'(?=\w)|[^'\\])*'(?!\w)|"(?:\\.|[^"\\])*"|“[^”]*”|(?:(?<!\w)'|["“]).*\Z""", re.DOTALL
)
# an error of others, as `whybench.bench.errors.reason_of` writes it: what it says need not be in quotes
_FOREIGN = re.compile(r"(\w+): .* (\([^()]*, line \d+, in [^()\s]+\))", re.DOTALL)


@dataclass
class Publication:
    """What was published.

    Attributes:
        written: Cells that are new, and failures that are new or were replaced by a later one.
        kept: Cells and failures that were there already, the same.
        checks: Randomised-weights checks that are new.
        replaced: Cells that were left out, as rescored ones stand in their place.
        withheld: Per task whose texts are not published the reason.
    """

    written: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    checks: int = 0
    replaced: int = 0
    withheld: dict[str, str] = field(default_factory=dict)


def is_generated(task: TaskSpec) -> bool:
    """Whether a task makes its texts itself: they are of no Hub dataset and of no local file."""
    return task.dataset is None and not task.revision.startswith("sha256:")


def publish(results: ResultStore, out: ResultStore, texts: Texts = "builtin", maps: int = MAPS) -> Publication:
    """Copy results; what is there already stays, and nothing is written where something would have to be overwritten.

    Args:
        results: The results, in full.
        out: Where the copy goes.
        texts: Whose texts are published: nobody's, those of tasks that make their texts themselves, or all.
        maps: Of how many examples the texts, maps and curves are kept, where texts are.

    Raises:
        ParameterError: ``maps`` is below 0, or there is no such choice of texts.
        StoreError: There are no results, they are a published copy themselves, ``out`` cannot be written, or it holds
            another result of the same name.
    """
    if texts not in TEXTS or maps < 0:
        raise ParameterError(f"texts is {texts!r} and maps {maps}; texts is {', '.join(TEXTS)}, and maps at least 0.")
    made = Publication()
    cells, failures = results.read_all(), results.read_failures()
    rescored = {stored.result.rescored_from for stored in cells}
    chosen = [stored for stored in cells if stored.result.cell not in rescored]
    made.replaced = len(cells) - len(chosen)
    fresh = []
    for stored in chosen:
        task = stored.result.spec.task
        if not (allowed := _allowed(task, texts)):
            made.withheld[task.name] = "as was asked" if texts == "none" else f"they are of {task.dataset or 'a file'}"
        if _is_new(stored, out, maps if allowed else 0, texts=allowed):
            fresh.append((stored, allowed))
        else:
            made.kept.append(stored.result.cell)
    if fresh or failures:
        out.check_writable()
    for stored, allowed in fresh:
        out.write(*shortened(stored, maps if allowed else 0, texts=allowed))
        made.written.append(stored.result.cell)
        # per-example tables are large
        vars(stored).pop("examples", None)
    for stored in chosen:
        check = _check(stored, texts=_allowed(stored.result.spec.task, texts))
        if check is not None and not check_of(out.cells / check.cell).exists():
            out.add_check(check)
            made.checks += 1
    for stored in failures:
        if not (out.cells / stored.result.cell).exists():
            result = stored.result if _allowed(stored.result.spec.task, texts) else _unquoted(stored.result)
            same = (folder := out.failures / result.cell).exists() and read(folder).result == result
            if not same:
                out.write(result)
            (made.kept if same else made.written).append(stored.result.cell)
    with suppress(OSError):
        (out.root / ".writing").rmdir()
    return made


def _allowed(task: TaskSpec, texts: Texts) -> bool:
    return texts == "all" or (texts == "builtin" and is_generated(task))


def _check(stored: StoredResult, *, texts: bool) -> Randomised | None:
    """The randomised-weights check as it is published."""
    check = stored.randomised
    return check if texts or check is None else check.model_copy(update={"outcome": _unquoted_outcome(check.outcome)})


def _is_new(stored: StoredResult, out: ResultStore, maps: int, *, texts: bool) -> bool:
    """Whether a cell is not there; StoreError where another one is, or the check of another one."""
    cell = stored.result.cell
    if stored.result.published is not None:
        raise StoreError(f"the cell {cell!r} is a published copy itself. Publish the results that it was made from.")
    # it may have been left where its cell was deleted
    left, check = StoredResult(out.cells / cell, stored.result).randomised, _check(stored, texts=texts)
    if not (out.cells / cell).exists():
        if left in (None, check):
            return True
        raise StoreError(
            f"{str(check_of(out.cells / cell))!r} is there, the check of randomised weights of another result. Delete "
            "it, or give another folder. Nothing was changed."
        )
    published = read(out.cells / cell).result.published
    if published is None:
        what = "it is no published copy"
    elif published.source != digest_of(stored.folder / MANIFEST):
        what = "it is a copy of another run"
    elif (published.texts, published.maps) != (texts, min(maps, stored.result.spec.task.examples)):
        what = f"it has maps of {published.maps} examples, and texts are {'' if published.texts else 'not '}published"
    elif check is not None and left not in (None, check):
        what = "its check of randomised weights is another one"
    else:
        return False
    raise StoreError(
        f"{str(out.cells / cell)!r} is there, and is not what would be written: {what}. Delete it to have it written "
        "anew, or give another folder. Nothing was changed."
    )


def shortened(stored: StoredResult, maps: int, *, texts: bool) -> tuple[Result, pa.Table]:
    """A cell for publication.

    Args:
        stored: The cell, in full.
        maps: Of how many examples the texts, maps and curves are kept.
        texts: Whether the data's texts may be published; where not, reasons have no quotes, and nothing that packages
            of others said.
    """
    examples, result = stored.examples, stored.result
    maps = min(maps, len(examples))
    columns: dict[str, Any] = {}
    for name in examples.column_names:
        column = examples.column(name)
        if name not in _WHOLE and name not in result.figures:
            first = column.slice(0, maps).combine_chunks()
            column = pa.concat_arrays([first, pa.nulls(len(examples) - maps, column.type)])
        if name == "error" and not texts:
            column = pa.array([None if why is None else _cut(why) for why in column.to_pylist()], pa.string())
        # one that says nothing would still cost some hundred bytes
        if column.null_count < len(examples):
            columns[name] = column
    units = (None if starts is None else len(starts) for starts in lists(examples, "unit_starts"))
    columns[UNITS] = pa.array(list(units), type=pa.int64())
    deletion, insertion = mean_curves(stored)
    faithful = result.spec.measure == "faithfulness"
    changes: dict[str, Any] = {
        "published": Published(
            source=digest_of(stored.folder / MANIFEST),
            maps=maps,
            texts=texts,
            pairs=bool(pc.any(examples.column("text_pair").is_valid()).as_py()),
            deletion=deletion.record() if faithful else None,
            insertion=insertion.record() if faithful else None,
        )
    }
    result = result.model_copy(update=changes)
    return result if texts else _unquoted(result), pa.table(columns)


def _unquoted(result: Result) -> Result:
    """The same without what its reasons quote."""
    changes: dict[str, Any] = {"gates": {name: _unquoted_outcome(one) for name, one in result.gates.items()}}
    if result.error is not None:
        changes["error"] = _cut(result.error)
    if result.coverage is not None:
        failed = tuple(one.model_copy(update={"reason": _cut(one.reason)}) for one in result.coverage.failed)
        changes["coverage"] = result.coverage.model_copy(update={"failed": failed})
    return result.model_copy(update=changes)


def _unquoted_outcome(outcome: GateOutcome) -> GateOutcome:
    return outcome.model_copy(update={"reason": _cut(outcome.reason)})


def _cut(reason: str) -> str:
    return _QUOTED.sub("‘…’", _FOREIGN.sub(r"\1: ‘…’ \2", reason))


def said(made: Publication, out: ResultStore) -> Iterator[str]:
    """What to tell the user, line by line."""
    total = sum(path.stat().st_size for path in out.root.rglob("*") if path.is_file())
    yield f"{len(made.written)} results published, {len(made.kept)} were there already; {total / 1e6:.1f} MB in all"
    if made.checks:
        yield f"{made.checks} checks of randomised weights"
    if made.replaced:
        yield f"{made.replaced} left out: rescored ones stand in their place"
    for task, reason in made.withheld.items():
        yield f"{task}: without texts and maps ({reason})"
