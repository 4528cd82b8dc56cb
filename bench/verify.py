"""Verifying a submission: the static checks, then some of its examples once more, the method in a process of its own.

Of each cell a random few examples are explained again. The maps are compared with those that were submitted; the
figures are recorded anew for the submitted maps, by this process, in which nothing of the submission runs.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from whybench.bench.batch import Batch
from whybench.bench.cell import evidence_by_example
from whybench.bench.classifier import Classifier
from whybench.bench.confine import Limits
from whybench.bench.conformance import Finding, Found, Report
from whybench.bench.curves import Floats
from whybench.bench.errors import MethodError, ParameterError, UnknownNameError, WhybenchError, reason_of
from whybench.bench.examples_table import evidence_columns
from whybench.bench.gates import SMALL_SHARE, difference
from whybench.bench.labels import in_model_order
from whybench.bench.listing import names
from whybench.bench.operators import operator_for
from whybench.bench.recovery import Evidence
from whybench.bench.registry import load_task
from whybench.bench.runner import MODELS, model_spec, task_spec
from whybench.bench.sample import sample
from whybench.bench.sandbox import Answer, run_apart
from whybench.bench.sandbox_work import SCORES
from whybench.bench.schema import Result, Spec
from whybench.bench.store import StoredResult
from whybench.bench.submission import Tolerance
from whybench.bench.submission_checks import Candidate, check_statically, promise_of, report_apart
from whybench.bench.submission_files import Submitted
from whybench.bench.task import Example, Task
from whybench.bench.verify_figures import ranked, rescored

WORKER = "whybench.bench.sandbox_work:work"


@dataclass(frozen=True)
class Setting:
    """What a verification is made with.

    Attributes:
        examples: Examples of each cell that are explained again.
        seed: Which they are.
        data: Per task a local file or folder, in place of its dataset.
        model: Folder or Hub id of the model, in place of the task's own.
        device: Where the model runs.
        limits: What the method may use, for each cell.
    """

    examples: int = 8
    seed: int = 0
    data: Mapping[str, Path] = field(default_factory=dict)
    model: str | None = None
    device: str = "cpu"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.examples < 1:
            raise ParameterError(f"examples is {self.examples}; it must be at least 1.")


@dataclass
class Verified:
    """What came of it.

    Attributes:
        report: All findings.
        submitted: The submission; None where the static checks failed.
        differences: The largest of them, ``maps`` relative and ``figures``; empty where none was made.
        protections: What was in force while the method ran.
    """

    report: Report
    submitted: Submitted | None = None
    differences: dict[str, float] = field(default_factory=dict)
    protections: dict[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether every check passed and the maps were made again."""
        return self.report.passed and "maps" in self.differences


@dataclass
class Rerun:
    """One cell's few examples, as they are made again.

    Attributes:
        stored: The submitted cell.
        places: Their rows in its table.
        examples: The examples.
        classifier: The float32 classifier.
        batch: The examples, encoded, with the submitted targets.
        source, revision: Where the model came from.
        kind: The task's kind.
        again: The maps made again, ``[units]`` each; empty before they are.
    """

    stored: StoredResult
    places: list[int]
    examples: list[Example]
    classifier: Classifier
    batch: Batch
    source: str
    revision: str | None
    kind: str
    again: list[Floats] = field(default_factory=list)


def verify(folder: Path, setting: Setting, progress: Callable[[str], None] = lambda _: None) -> Verified:
    """Check a submission.

    Args:
        folder: The submission's folder.
        setting: What to check it with.
        progress: Told what is done next.
    """
    candidate = Candidate(folder)
    progress("the files")
    static = report_apart(folder)
    if static.passed:
        static = check_statically(candidate)
    findings = list(static.findings)
    made = Verified(static)
    if not static.passed:
        skipped = Found(skips=["The files have to be right first."])
        findings += [Finding.of(name, promise_of(promise), skipped) for name, promise in _PROMISES.items()]
    else:
        made.submitted = candidate.submitted()
        for stored in made.submitted.cells:
            progress(stored.result.cell)
            findings += _cell(made, stored, setting)
        if made.protections:
            findings.append(Finding.of("process", promise_of(process), process(made.protections)))
    made.report = Report(f"{static.title}, {setting.examples} examples a cell, seed {setting.seed}", findings)
    return made


def _cell(made: Verified, stored: StoredResult, setting: Setting) -> list[Finding]:
    """The findings about one cell that is run again in part."""
    assert made.submitted is not None
    label = stored.result.spec.task.name
    notes = {name: Found() for name in _PROMISES}
    try:
        rerun = inputs(stored, setting, notes["inputs"])
        if rerun is not None and not notes["inputs"].failures:
            maps(made, rerun, setting, notes["maps"])
            worst = rescored(rerun, made.submitted.submission.tolerance.figures, notes["rescored"])
            made.differences["figures"] = max(made.differences.get("figures", 0.0), worst)
            ranked(rerun, notes["ranked"])
    except WhybenchError as error:
        notes["inputs"].fail(str(error))
    except Exception as error:  # noqa: BLE001  whatever a stranger's files make the code raise is a finding
        notes["inputs"].fail(f"It cannot be checked: {reason_of(error)}")
    if notes["inputs"].failures:
        for name in list(_PROMISES)[1:]:
            notes[name] = Found(skips=["See inputs."])
    return [Finding.of(f"{name}, {label}", promise_of(_PROMISES[name]), found) for name, found in notes.items()]


def inputs(stored: StoredResult, setting: Setting, found: Found) -> Rerun | None:
    """Task, data, model and examples are those that the spec names, and the table's texts and tokens are theirs."""
    result, spec = stored.result, stored.result.spec
    # never a file, which a name that ends in .py would be
    if spec.task.name not in names("task"):
        raise UnknownNameError("task", spec.task.name, names("task"))
    task = load_task(spec.task.name)
    source = setting.model or task.default_model
    revision = None if setting.model else task.default_model_revision
    if not source:
        found.fail(f"{task.name} has no default model; give one with --model.")
        return None
    data = task.load(setting.data.get(task.name), spec.task.split)
    classifier = MODELS[task.kind].from_pretrained(source, revision=revision, device=setting.device)
    operator = operator_for(classifier, spec.operator)
    _compare_models(classifier, task, spec, found)
    unusable = classifier.unusable(data.examples)
    usable = [example for example in data.examples if example.id not in unusable]
    chosen = sample(replace(data, examples=usable), spec.task.examples, spec.seed)
    chosen = in_model_order(chosen, task.labels, classifier.labels, task=task.name, model=classifier.name)
    here = json.loads(task_spec(task, data, chosen).model_dump_json())
    for name, claimed in json.loads(spec.task.model_dump_json()).items():
        if here[name] != claimed:
            found.fail(f"The task's {name} is {str(here[name])[:80]!r} here, the spec's {str(claimed)[:80]!r}.")
    if tuple(classifier.labels) != result.label_names or task.evidence != result.evidence:
        found.fail("The labels' names, or where the evidence comes from, are not the task's and the model's.")
    if found.failures:
        return None
    table = stored.examples
    scored = np.flatnonzero(table.column("error").is_null().to_numpy()).tolist()
    places = sorted(random.Random(setting.seed).sample(scored, min(setting.examples, len(scored))))
    examples = [chosen[place] for place in places]
    batch = classifier.encode_examples(examples).with_units(spec.unit).with_operator(operator)
    if batch.target is None:
        batch = batch.with_target(classifier.probabilities(batch).argmax(-1))
    assert batch.target is not None
    rows = table.take(places).to_pylist()
    _compare_texts(batch, examples, rows, found)
    if batch.target.tolist() != [row["target"] for row in rows]:
        found.fail("The labels that are explained are not the model's predictions.")
    if [_evidence(one) for one in evidence_by_example(batch, examples)] != [
        {name: row[name] for name in _EVIDENCE} for row in rows
    ]:
        found.fail("The units that are evidence are not those that the task says.")
    found.facts |= {"examples": len(places), "model": classifier.name}
    return Rerun(stored, places, examples, classifier, batch, source, revision, task.kind)


_EVIDENCE = ("evidence", "necessary", "sufficient", "distractor")


def _evidence(known: Evidence | None) -> dict[str, Any]:
    return dict.fromkeys(_EVIDENCE) | evidence_columns(known)


def _compare_models(classifier: Classifier, task: Task, spec: Spec, found: Found) -> None:
    here = model_spec(classifier)
    for part in ("weights", "config", "tokenizer"):
        if getattr(here, part) != getattr(spec.model, part):
            found.fail(
                f"The {part} of {classifier.name} have another digest than those of the spec's {spec.model.name}."
            )
    # the board shows them; weights read from another place are the task's own by their digest
    for part, own in (("name", task.default_model), ("revision", task.default_model_revision)):
        claimed = getattr(spec.model, part)
        if claimed not in (getattr(here, part), own):
            found.fail(f"The model's {part} is {str(claimed)[:80]!r} in the spec, here {getattr(here, part)!r}.")
    if spec.attention_implementation != classifier.attention_implementation:
        found.fail(
            f"The attention of {classifier.name} is {classifier.attention_implementation} here, in the spec "
            f"{spec.attention_implementation}."
        )


def _compare_texts(batch: Batch, examples: list[Example], rows: list[dict[str, Any]], found: Found) -> None:
    for i, (example, row) in enumerate(zip(examples, rows, strict=True)):
        spans = batch.unit_spans[i]
        for wrong, what in (
            ((example.text, example.text_pair) != (row["text"], row["text_pair"]), "text"),
            ((example.continuation, example.foil) != (row["continuation"], row["foil"]), "continuation and foil"),
            (list(batch.tokens[i]) != row["tokens"], "tokens"),
            (
                [tuple(span) for span in spans]
                != list(zip(row["unit_segments"], row["unit_starts"], row["unit_ends"], strict=True)),
                "units",
            ),
        ):
            if wrong:
                found.fail(f"Example {example.id!r:.80} has another {what} in the table than in the task.")
                return


def maps(made: Verified, rerun: Rerun, setting: Setting, found: Found) -> None:
    """The method, run again in a process of its own, gives the same maps within the tolerance."""
    assert made.submitted is not None
    submission, spec = made.submitted.submission, rerun.stored.result.spec
    if submission.elsewhere:
        found.skip("The scores were made elsewhere, and cannot be made again.")
        return
    file = None if submission.source is None else submission.source.file
    try:
        answer = run_apart(
            WORKER,
            _job(rerun, spec, file, setting),
            {} if file is None else {file: made.submitted.folder / file},
            setting.limits,
            (SCORES, rerun.batch.input_ids.numel() * 8),
        )
    except MethodError as error:
        found.fail(f"The method, in a process of its own: {error}")
        return
    made.protections.update(answer.protections)
    _compare_claims(answer, rerun.stored.result, found)
    shape = tuple(rerun.batch.input_ids.shape)
    scores = torch.from_numpy(np.frombuffer(answer.numbers, dtype=np.float64).reshape(shape).copy())
    largest = _largest_difference(rerun, scores, answer, submission.tolerance, found)
    made.differences["maps"] = max(made.differences.get("maps", 0.0), largest)
    found.facts |= {"largest difference": largest, "tolerance": submission.tolerance.maps}


def _job(rerun: Rerun, spec: Spec, file: str | None, setting: Setting) -> dict[str, Any]:
    assert rerun.batch.target is not None
    names = ("id", "text", "text_pair", "continuation", "foil")
    source = _absolute(rerun.source)
    return {
        "device": setting.device,
        "loads": [source] if Path(source).is_absolute() else [],
        "hidden": [str(rerun.stored.folder.absolute())],
        "model": {
            "kind": rerun.kind,
            "source": source,
            "revision": rerun.revision,
            "device": setting.device,
            "dtype": spec.dtype,
        },
        "examples": [{name: getattr(example, name) for name in names} for example in rerun.examples],
        "target": rerun.batch.target.tolist(),
        "unit": spec.unit,
        "operator": spec.operator,
        "seed": spec.seed,
        "method": file or spec.method.name,
        "parameters": spec.method.parameters,
    }


def _absolute(source: str) -> str:
    """A folder's absolute path; the id of a Hub model stays."""
    path = Path(source).expanduser()
    return str(path.resolve()) if path.is_dir() else source


def _compare_claims(answer: Answer, result: Result, found: Found) -> None:
    """What the result says of the method is what the method says of itself."""
    claims = {
        "source": result.spec.method.source,
        "family": result.family,
        "signed": result.signed,
        "note": result.note,
        "label": result.label,
    }
    for name, claimed in claims.items():
        if answer.value.get(name) != claimed:
            said = str(answer.value.get(name))[:80]
            found.fail(f"The method's {name} is {said!r}, the result's {claimed!r}.")


def _largest_difference(
    rerun: Rerun, scores: torch.Tensor, answer: Answer, tolerance: Tolerance, found: Found
) -> float:
    submitted = rerun.stored.examples.column("unit_scores").take(rerun.places).to_pylist()
    claimed = answer.value.get("failed")
    failed: dict[str, Any] = claimed if isinstance(claimed, dict) else {}
    again = [row.numpy() for row in rerun.batch.unit_scores(scores)]
    given = [np.array(row) for row in submitted]
    # as the gates do: the map of a text that a sure model decides whatever is done to it is mere rounding
    least = SMALL_SHARE * max(float(np.abs(row).max()) for row in given)
    worst = 0.0
    for i, (one, other) in enumerate(zip(given, again, strict=True)):
        example = rerun.batch.ids[i]
        if str(i) in failed:
            found.fail(f"Example {example!r:.80} has no answer any more: {str(failed[str(i)])[:200]}")
            continue
        apart = difference(one, other, least)
        worst = max(worst, apart)
        if not apart <= tolerance.maps:
            found.fail(f"Example {example!r:.80}: the maps differ by {apart:.3g} of the largest score.")
    if not found.failures:
        rerun.again = again
    # an infinity cannot be written down
    return min(worst, float(np.finfo(np.float64).max))


def process(protections: Mapping[str, str]) -> Found:
    """The method ran in a process of its own, without network, other files, programs, or memory and time at will."""
    found = Found(facts=dict(protections))
    for name, said in protections.items():
        if "in Python" in said or "group only" in said or "not limited" in said:
            found.warn(f"Weaker than a rule of the kernel: {name}.")
    return found


_PROMISES: dict[str, Callable[..., Any]] = {"inputs": inputs, "maps": maps, "rescored": rescored, "ranked": ranked}
