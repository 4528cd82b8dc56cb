"""What every task promises, as one table of checks: ``whybench check task`` prints it, a test runs it on all tasks."""

from __future__ import annotations

from pathlib import Path

from whybench.bench import task_data_checks, task_model_checks
from whybench.bench.conformance import ANYTHING, Check, Finding, Found, Report
from whybench.bench.errors import DataError, ParameterError, reason_of
from whybench.bench.task_subject import Subject

CHECKS: tuple[Check[Subject], ...] = (*task_data_checks.CHECKS, *task_model_checks.CHECKS)

# which check reports that a part cannot be had; the others that need it are skipped
_REPORTED_BY = {
    "task": "file",
    "data": "data",
    "model": "model",
    "operator": "operator",
    "examples": "model_labels",
    "aligned": "model_labels",
    "batch": "units",
}


def check_task(
    name: str,
    *,
    data: Path | None = None,
    model: str | None = None,
    split: str | None = None,
    limit: int = 100,
    hub: bool = True,
) -> Report:
    """Run the table over a task. What its code raises is a finding.

    Args:
        name: Name of a task, or the path of a Python file that defines one.
        data: Local file or folder in place of its dataset.
        model: Folder or Hub id of a model; None takes the task's own.
        split: The split; None takes the task's own.
        limit: Most examples that the model reads, a seeded sample; the data's checks read all.
        hub: Whether the Hub may be asked for data and models; if not, what needs them is skipped.

    Raises:
        UnknownNameError: There is no such task.
        ParameterError: ``limit`` is below 1.
        DataError: There is nothing at the path of the data.
        ModelError: The model that was named cannot be loaded.
    """
    if limit < 1:
        raise ParameterError(f"limit is {limit}; it must be at least 1.")
    if data is not None and not data.expanduser().exists():
        raise DataError(f"there is no data file or folder {str(data)!r}. Give an existing one with --data.")
    subject = Subject(name, None if data is None else data.expanduser(), model, split, limit, hub)
    findings = [_finding(check, subject) for check in CHECKS]
    return Report(_title(subject), findings)


def _title(subject: Subject) -> str:
    parts = [subject.name]
    if subject.absent("data") is None:
        parts.append(f"{len(subject.data.examples)} examples of the split {subject.data.split}")
    if subject.absent("model") is None:
        read = 0 if subject.absent("examples") else len(subject.examples)
        parts.append(f"{subject.classifier.name} on {read} of them")
    return ", ".join(parts)


def _finding(check: Check[Subject], subject: Subject) -> Finding:
    found = Found()
    for part in check.needs:
        if absent := subject.absent(part):
            if _REPORTED_BY[part] != check.name:
                found.skip(f"See {_REPORTED_BY[part]}.")
            elif absent.failed:
                found.fail(absent.reason)
            else:
                found.skip(absent.reason)
            return Finding.of(check.name, check.promise, found)
    try:
        check.run(subject, found)
    except ANYTHING as error:  # whatever a contributor's code raises is the reason to show
        found.fail(reason_of(error))
    return Finding.of(check.name, check.promise, found)
