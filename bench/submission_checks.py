"""What a submission promises that can be seen without running anything, as a table of checks; each needs those before.

The docstring of a check is what the report says of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whybench.bench.choices import CONTRAST
from whybench.bench.confine import Limits
from whybench.bench.conformance import Finding, Found, Report
from whybench.bench.errors import CorruptResultError, MethodError, SubmissionError, WhybenchError, reason_of
from whybench.bench.identities import TOLERANCE
from whybench.bench.recovery import RECOVERY, Evidence
from whybench.bench.rescore import compare_all
from whybench.bench.sandbox import run_apart
from whybench.bench.schema import Result
from whybench.bench.scoring import tie_breaker
from whybench.bench.store import StoredResult, digest_of
from whybench.bench.submission import SUBMISSION, Submission
from whybench.bench.submission_files import (
    Submitted,
    check_digests,
    check_table,
    layout,
    read_cell,
    read_head,
)
from whybench.bench.summary import figures_of


@dataclass
class Candidate:
    """A submission under check, as far as it has been read.

    Attributes:
        folder: Where it is.
        files: Its files by their path within it.
        head: What ``submission.json`` says.
        cells: Its cells.
    """

    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    head: Submission | None = None
    cells: list[StoredResult] = field(default_factory=list)

    @property
    def submission(self) -> Submission:
        """What ``submission.json`` says; SubmissionError before it was read."""
        if self.head is None:
            raise SubmissionError(f"{SUBMISSION} has not been read.")
        return self.head

    def submitted(self) -> Submitted:
        """All of it, once the static checks have passed."""
        return Submitted(self.folder, self.submission, tuple(self.cells), digest_of(self.files[SUBMISSION]))


def _layout(candidate: Candidate, found: Found) -> None:
    """Only plain files that a submission has are in the folder, none of them too large."""
    candidate.files = layout(candidate.folder)
    found.facts |= {
        "files": len(candidate.files),
        "bytes": sum(path.stat().st_size for path in candidate.files.values()),
    }


def _schema(candidate: Candidate, found: Found) -> None:
    """submission.json says who, what and with what, in the form that it must have."""
    candidate.head = read_head(candidate.files)
    about = candidate.head.about
    found.facts |= {"method": candidate.head.method, "authors": about.authors, "licence": about.licence}
    found.facts["paper"] = about.paper or "none"
    found.facts["code"] = about.code


def _digests(candidate: Candidate, found: Found) -> None:
    """Every file is listed, and is the one that was submitted."""
    check_digests(candidate.files, candidate.submission)


def _results(candidate: Candidate, found: Found) -> None:
    """Every cell is a valid, finished result of the method, and no yardstick."""
    candidate.cells = [read_cell(candidate.files, candidate.submission, one) for one in candidate.submission.cells]
    sources = {stored.result.spec.method.source for stored in candidate.cells}
    if len(sources) > 1 and len({str(s.result.spec.method.parameters) for s in candidate.cells}) == 1:
        found.fail(f"The cells were made by {len(sources)} versions of the method; submit those of one.")
    for stored in candidate.cells:
        if failed := [name for name, outcome in stored.gates.items() if outcome.status == "failed"]:
            found.warn(f"{stored.result.cell} fails {', '.join(failed)}: shown, and not ranked.")
    found.facts["tasks"] = sorted({stored.result.spec.task.name for stored in candidate.cells})


def _tables(candidate: Candidate, found: Found) -> None:
    """Every cell's table has the columns of such a table, and its rows are of the cell's examples."""
    for stored in candidate.cells:
        check_table(stored)
        if (wrong := next(_wrong_rows(stored), None)) is not None:
            found.fail(f"{stored.result.cell}: {wrong}.")
    found.facts["rows"] = sum(stored.columns(["example_id"]).num_rows for stored in candidate.cells)


def _figures(candidate: Candidate, found: Found) -> None:
    """All identities hold, and every figure is what the recorded curves and rankings give."""
    for stored in candidate.cells:
        try:
            # to read it is to check the identities
            _ = stored.examples
            compare_all(stored)
        except CorruptResultError as error:
            found.fail(f"{stored.result.cell}: {error.reason}.")
            continue
        for wrong in _wrong_figures(stored):
            found.fail(f"{stored.result.cell}: {wrong}.")
            break


def _wrong_rows(stored: StoredResult) -> Iterator[str]:
    """What is wrong with a table's rows, first things first."""
    result = stored.result
    names = ["example_id", "text", "label", "target", "truncated", "error", "tokens", "token_scores", "unit_scores"]
    names += ["unit_segments", "unit_starts", "unit_ends", "probability", "removed_k", "removed_p", "removed_flipped"]
    names += ["kept_k", "kept_p", "text_pair"]
    rows = stored.columns(names).to_pylist()
    optional = {"label", "error", "text_pair"}
    for row in rows:
        name = row["example_id"]
        scored = row["error"] is None
        needed = [*names[:4], *names[4:5], "tokens"] if not scored else names
        if lacking := [one for one in needed if one not in optional and row[one] is None]:
            yield f"example {name!r:.80} has no {lacking[0]}"
        elif any(None in value for value in row.values() if isinstance(value, list)):
            yield f"example {name!r:.80} has a list with a gap"
        elif scored:
            yield from _wrong_row(row)
    ids = [row["example_id"] for row in rows]
    if len(set(ids)) < len(ids):
        yield "an example stands twice"
    if result.coverage is not None:
        failed = {failure.example for failure in result.coverage.failed}
        if failed != {row["example_id"] for row in rows if row["error"] is not None}:
            yield "the examples without scores are not those that the result names"
        if result.coverage.truncated != sum(row["truncated"] for row in rows):
            yield "the number of texts that were cut is not the result's"
    digest = hashlib.sha256("\n".join(f"{row['example_id']}\t{row['label']}" for row in rows).encode()).hexdigest()
    if digest != result.spec.task.example_ids or len(rows) != result.spec.task.examples:
        yield "its examples and labels are not those of the spec"
    gold = [row["label"] == row["target"] for row in rows if row["label"] is not None]
    if result.label_names != CONTRAST and gold:
        accuracy = float(np.mean(gold))
        if result.accuracy is None or abs(accuracy - result.accuracy) > TOLERANCE:
            yield f"the accuracy over its examples is {accuracy}, the result's {result.accuracy}"


def _wrong_row(row: dict[str, Any]) -> Iterator[str]:
    """What is wrong with the row of an example that has scores."""
    what = f"example {row['example_id']!r:.80}"
    if len(row["tokens"]) != len(row["token_scores"]):
        yield f"{what} has {len(row['token_scores'])} scores for {len(row['tokens'])} tokens"
    spans = (row["unit_segments"], row["unit_starts"], row["unit_ends"], row["unit_scores"])
    if len({len(part) for part in spans}) != 1 or not row["unit_scores"]:
        yield f"{what} has {', '.join(str(len(part)) for part in spans)} segments, starts, ends and scores of units"
        return
    texts = [row["text"], *([] if row["text_pair"] is None else [row["text_pair"]])]
    for segment, start, end, score in zip(*spans, strict=True):
        if not 0 <= segment < len(texts) or not 0 <= start <= end <= len(texts[segment]):
            yield f"{what} has a unit at {(segment, start, end)}, which is not in its text"
        if not np.isfinite(score):
            yield f"{what} has the score {score}"


def _wrong_figures(stored: StoredResult) -> Iterator[str]:
    """Figures that are not what the table's numbers give."""
    result, examples = stored.result, stored.examples
    unknown = set(result.figures) - set(result.spec.metrics) - set(RECOVERY)
    if unknown:
        yield f"it has the figure {sorted(unknown)[0]}, which its spec does not name"
    values = {
        name: {i: value for i, value in enumerate(examples.column(name).to_pylist()) if value is not None}
        for name in result.figures
    }
    if empty := [name for name, by_example in values.items() if not by_example]:
        yield f"{empty[0]} has no number in any example"
        return
    for name, figure in figures_of(values).items():
        given = result.figures[name]
        for end in ("mean", "low", "high"):
            one, other = getattr(figure, end), getattr(given, end)
            if abs(one - other) > TOLERANCE * max(1.0, abs(one)):
                yield f"{name} has as its {end} {other}, its examples give {one}"
    yield from _wrong_recovery(result, examples.to_pylist(), values)


def _wrong_recovery(
    result: Result, rows: Sequence[dict[str, Any]], values: dict[str, dict[int, float]]
) -> Iterator[str]:
    for i, row in enumerate(rows):
        if row["evidence"] is None or row["error"] is not None:
            for name in RECOVERY:
                if i in values.get(name, {}):
                    yield f"example {row['example_id']!r:.80} has {name} and no evidence"
            continue
        known, scores = _evidence(row), np.array(row["unit_scores"])
        if not all(part.any() for part in known.sufficient):
            yield f"example {row['example_id']!r:.80} has a sufficient set without a unit"
            return
        if any(len(part) != len(scores) for part in (known.units, known.necessary, known.distractor)):
            yield f"example {row['example_id']!r:.80} says of {len(known.units)} units whether they are evidence"
            return
        order = np.lexsort((tie_breaker(len(scores), result.spec.seed, row["example_id"]), -scores))
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        for name, recovery in RECOVERY.items():
            given = values.get(name, {}).get(i)
            right = recovery.value(rank, known) if known.has(recovery.role) else None
            if (given is None) != (right is None) or (
                given is not None and right is not None and abs(given - right) > TOLERANCE
            ):
                yield f"example {row['example_id']!r:.80} has {name} = {given}, its ranking gives {right}"


def _evidence(row: dict[str, Any]) -> Evidence:
    units = np.array(row["evidence"], dtype=bool)
    roles = row["necessary"] is not None
    nothing = np.zeros(len(units), dtype=bool)
    return Evidence(
        segments=np.array(row["unit_segments"], dtype=np.int64),
        units=units,
        necessary=np.array(row["necessary"], dtype=bool) if roles else nothing,
        sufficient=tuple(np.isin(np.arange(len(units)), places) for places in row["sufficient"] or ()),
        distractor=np.array(row["distractor"], dtype=bool) if row["distractor"] is not None else nothing,
        roles=roles,
    )


Check = Callable[[Candidate, Found], None]
CHECKS: dict[str, Check] = {
    "layout": _layout,
    "schema": _schema,
    "digests": _digests,
    "results": _results,
    "tables": _tables,
    "figures": _figures,
}


def static_report(folder: Path) -> Report:
    """Run the static checks over a submission's folder; nothing in it is run, and nothing is written."""
    return check_statically(Candidate(folder))


def check_statically(candidate: Candidate) -> Report:
    """The same, with what was read left in the candidate."""
    findings: list[Finding] = []
    stopped = ""
    for name, check in CHECKS.items():
        found = Found()
        if stopped:
            found.skip(f"See {stopped}.")
        else:
            try:
                check(candidate, found)
            except WhybenchError as error:
                found.fail(str(error))
            except Exception as error:  # noqa: BLE001  a stranger's file: whatever it makes the code raise is a finding
                found.fail(f"It cannot be checked: {reason_of(error)}")
        findings.append(Finding.of(name, promise_of(check), found))
        if found.failures:
            stopped = name
    return Report(f"submission {candidate.folder.name}", findings)


def work(job: Mapping[str, Any], folder: Path) -> Callable[[], dict[str, Any]]:
    """For a process of its own: the static checks of the folder ``submission``, so that it alone runs out of memory."""
    return lambda: static_report(Path(job["submission"])).to_json()


READING = Limits(seconds=600, memory=4 * 2**30)
"""What reading a submission may take: a file can be made to unfold to any size."""


def report_apart(folder: Path) -> Report:
    """The files can be read with limited memory and in limited time."""
    try:
        job = {"submission": str(folder.absolute()), "readable": [str(folder.absolute())]}
        found = run_apart("whybench.bench.submission_checks:work", job, {}, READING, None).value
        return Report(found["title"], [Finding(**one) for one in found["findings"]])
    except (MethodError, KeyError, TypeError) as error:
        noted = Found(failures=[f"They cannot be read: {error}"])
        return Report(f"submission {folder.name}", [Finding.of("reading", promise_of(report_apart), noted)])


def promise_of(check: Callable[..., object]) -> str:
    """What a check looks at, from its docstring."""
    return " ".join((check.__doc__ or "").split())
