"""Running cells: every method on every task, each result written as soon as it is there."""

from __future__ import annotations

import datetime
import hashlib
import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from whybench.bench.batch import Batch
from whybench.bench.causal.cell import run_causal_cell
from whybench.bench.causal.metrics import CAUSAL
from whybench.bench.causal.shared import Shared
from whybench.bench.cell import Outcome, accuracy_of, run_cell
from whybench.bench.choices import MEASURES, Measure, OperatorName, TaskKind, UnitKind
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Floats
from whybench.bench.engine import ForwardEngine
from whybench.bench.environment import environment
from whybench.bench.errors import InputError, ParameterError, UnsupportedArchitectureError, reason_of
from whybench.bench.labels import in_model_order
from whybench.bench.matrices import MatrixMethod
from whybench.bench.method import Method
from whybench.bench.metrics import metrics_named
from whybench.bench.next_token import NextTokenModel
from whybench.bench.operators import Remover, operator_for
from whybench.bench.perturbations import Perturbations
from whybench.bench.randomised import randomised_weights
from whybench.bench.sample import sample
from whybench.bench.schema import MethodSpec, ModelSpec, Result, Spec, TaskSpec
from whybench.bench.scoring import require_float32
from whybench.bench.store import ResultStore, StoredResult, read
from whybench.bench.task import Example, Task, TaskData

MODELS: dict[TaskKind, type[Classifier]] = {"classification": Classifier, "next_token": NextTokenModel}


@dataclass(frozen=True)
class Plan:
    """What to run.

    Attributes:
        tasks: The tasks.
        methods: The methods, with their parameters.
        model: Folder or Hub id of the classifier; None takes each task's own.
        model_revision: Commit of a Hub model.
        data: Per task name a local file or folder, in place of its dataset.
        split: The split; None takes each task's own.
        limit: Most examples of each task, a seeded sample; None takes all.
        operator: Removal operator; None takes the task's, or else the tokenizer's default.
        unit: What is removed; None takes the task's.
        metrics: Names of metrics, ``all`` for all of them; None computes those that are computed by default.
        seed: Seeds the sample, ties, and torch's random numbers while a method runs.
        device: Where the model runs; None takes the GPU where there is one.
        dtype: Precision that the methods see; scoring is in float32 whatever it is.
        batch_size: Examples in a batch of a method.
        measure: ``faithfulness`` by the metrics, or ``causal``: what the output does when matrices take the place of
            the attention, by all figures of `whybench.bench.causal.metrics`.
        randomised_weights: Whether every cell of faithfulness that has not yet been gets the check of
            `whybench.bench.randomised`.
    """

    tasks: Sequence[Task]
    methods: Sequence[Method]
    model: str | None = None
    model_revision: str | None = None
    data: Mapping[str, Path] = field(default_factory=dict)
    split: str | None = None
    limit: int | None = None
    operator: str | None = None
    unit: UnitKind | None = None
    metrics: Sequence[str] | None = None
    seed: int = 0
    device: str | None = None
    dtype: torch.dtype = torch.float32
    batch_size: int = 16
    measure: Measure = "faithfulness"
    randomised_weights: bool = False

    def __post_init__(self) -> None:
        if self.measure not in MEASURES:
            raise ParameterError(f"measure is {self.measure!r}; it must be one of {', '.join(MEASURES)}.")
        if self.measure == "causal":
            self._check_causal()
        for name, value in (("limit", self.limit), ("batch_size", self.batch_size)):
            if value is not None and value < 1:
                raise ParameterError(f"{name} is {value}; it must be at least 1.")
        unknown = set(self.data) - {task.name for task in self.tasks}
        if unknown:
            raise ParameterError(
                f"--data names {', '.join(sorted(unknown))}, which is not run; "
                f"the tasks are {', '.join(task.name for task in self.tasks)}."
            )
        bare = [task.name for task in self.tasks if not task.default_model]
        if bare and self.model is None:
            raise ParameterError(f"{', '.join(bare)} has no default model; give one with --model.")

    def _check_causal(self) -> None:
        if self.randomised_weights:
            raise ParameterError(
                "the randomised-weights check is of token scores, which the causal suite has none of. "
                "Leave --randomised-weights out."
            )
        if self.metrics is not None:
            raise ParameterError(
                f"the metric {next(iter(self.metrics), '')!r} was asked for; metrics are chosen among those of "
                "faithfulness, and the causal suite measures all of its figures. Leave --metric out."
            )
        if self.dtype != torch.float32:
            raise ParameterError(
                f"the causal suite was asked for with {self.dtype}; it measures in float32 and float64, whatever a "
                "method would see otherwise. Leave --dtype out."
            )
        for method in self.methods:
            if not isinstance(method, MatrixMethod):
                raise ParameterError(
                    f"{method.label()} gives token scores only; the causal suite measures methods with a matrix for "
                    "every head (families attention and control; whybench list methods)."
                )

    def metric_names(self) -> tuple[str, ...]:
        """The names of the figures that are asked for; UnknownNameError for a metric that there is not."""
        if self.measure == "causal":
            return tuple(CAUSAL)
        return tuple(metric.name for metric in metrics_named(self.metrics))


class Observer(Protocol):
    """Told what goes on, for progress bars, logs and mirrors."""

    def task_started(self, task: Task, classifier: Classifier, examples: int, left_out: int) -> None:
        """A task's examples and model are loaded; ``left_out`` rows of its data have nothing to explain."""

    def cell_started(self, task: Task, method: Method) -> None:
        """A method is about to run on a task."""

    def progressed(self, stage: str, done: int, total: int) -> None:
        """Part of a cell's work is done."""

    def cell_finished(self, stored: StoredResult, *, reused: bool) -> None:
        """A cell is on disk: new, failed, or found there."""


def run(plan: Plan, store: ResultStore, observer: Observer) -> list[StoredResult]:
    """Run all cells of a plan that are not in the store yet.

    A method that fails does not stop the others: its cell is recorded as failed, with the reason, and is tried again in
    the next run. So is one that does not serve the model's architecture, as skipped. What is wrong with the task or the
    model stops the run.

    Returns:
        All cells of the plan, finished or not, as they are on disk.

    Raises:
        WhybenchError: Something other than a method is wrong; the message says what, and what to do.
    """
    store.check_writable()
    plan.metric_names()
    return [stored for task in plan.tasks for stored in _run_task(plan, task, store, observer)]


def _run_task(plan: Plan, task: Task, store: ResultStore, observer: Observer) -> list[StoredResult]:
    data = task.load(plan.data.get(task.name), plan.split)
    scorer, explained = _classifiers(plan, task)
    require_float32(scorer)
    data = _usable(task, data, scorer)
    examples = sample(data, plan.limit, plan.seed)
    examples = in_model_order(examples, task.labels, scorer.labels, task=task.name, model=scorer.name)
    operator = operator_for(scorer, plan.operator or task.operator)
    observer.task_started(task, scorer, len(examples), data.left_out)
    batch = scorer.encode_examples(examples).with_units(plan.unit or task.unit).with_operator(operator)
    engine = ForwardEngine(scorer)
    predicted = _originals(engine, batch, operator).argmax(axis=1)
    if batch.target is None:
        batch = batch.with_target(torch.from_numpy(predicted))
    accuracy = accuracy_of(examples, predicted.tolist())

    shared = Shared(engine, batch, operator, plan.seed) if plan.measure == "causal" else None

    def outcome_of(method: Method, spec: Spec) -> Outcome:
        if shared is not None and isinstance(method, MatrixMethod):
            made = run_causal_cell(method, shared, examples, spec, plan.batch_size, observer.progressed)
        else:
            made = run_cell(method, explained, engine, batch, examples, spec, plan.batch_size, observer.progressed)
        return replace(made, coverage=made.coverage.model_copy(update={"left_out": data.left_out}))

    # once, before any method has had the tokenizer or the model in hand
    model = model_spec(scorer)
    found = []
    for method in plan.methods:
        spec = _spec(plan, task, data, examples, method, model, explained, operator)
        reused = store.finished(spec.cell())
        if reused:
            stored = read(store.cells / spec.cell())
        else:
            observer.cell_started(task, method)
            stored = _run_method(plan, task, method, explained, spec, accuracy, store, outcome_of)
        checkable = stored.result.status == "finished" and not method.elsewhere
        if plan.randomised_weights and checkable and stored.randomised is None:
            stored = _checked(method, explained, batch, stored, store, observer)
        observer.cell_finished(stored, reused=reused)
        found.append(stored)
    return found


def _run_method(
    plan: Plan,
    task: Task,
    method: Method,
    explained: Classifier,
    spec: Spec,
    accuracy: float | None,
    store: ResultStore,
    outcome_of: Callable[[Method, Spec], Outcome],
) -> StoredResult:
    began = time.perf_counter()
    summary, _, description = inspect.cleandoc(type(method).__doc__ or "").partition("\n\n")
    common: dict[str, Any] = {
        "cell": spec.cell(),
        "spec": spec,
        "label": method.label(),
        "family": method.family,
        "signed": method.signed,
        "summary": " ".join(summary.split()),
        "description": description,
        "note": method.note,
        "bound": method.bound,
        "elsewhere": method.elsewhere,
        "label_names": explained.labels,
        "evidence": task.evidence,
        "environment": environment(explained.device),
    }
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(plan.seed)
            method.require_served(explained)
            outcome = outcome_of(method, spec)
        # here, so that a figure out of its range is this cell's failure, and not the run's
        result = Result(
            status="finished",
            created=now,
            seconds=time.perf_counter() - began,
            accuracy=accuracy,
            coverage=outcome.coverage,
            figures=outcome.figures,
            report=outcome.report,
            gates=outcome.gates,
            cost=outcome.cost,
            **common,
        )
    except Exception as error:  # noqa: BLE001  a method's own code: what it raises is recorded as the cell's failure
        unserved = isinstance(error, UnsupportedArchitectureError)
        result = Result(
            status="skipped" if unserved else "failed",
            error=reason_of(error),
            created=now,
            seconds=time.perf_counter() - began,
            **common,
        )
        return read(store.write(result))
    return read(store.write(result, outcome.examples))


def _checked(
    method: Method, explained: Classifier, batch: Batch, stored: StoredResult, store: ResultStore, observer: Observer
) -> StoredResult:
    cell, seed = stored.result.cell, stored.result.spec.seed
    store.add_check(
        randomised_weights(method, explained, batch, cell, seed, lambda *n: observer.progressed("randomising", *n))
    )
    return read(stored.folder)


def _classifiers(plan: Plan, task: Task) -> tuple[Classifier, Classifier]:
    """The float32 classifier that scores, and the one that the methods see."""
    if plan.model_revision is not None and plan.model is None:
        raise ParameterError(f"a revision ({plan.model_revision!r}) was given without a model; name the model too.")
    source = plan.model or task.default_model
    revision = plan.model_revision if plan.model else task.default_model_revision
    kind = MODELS[task.kind]
    scorer = kind.from_pretrained(source, revision=revision, device=plan.device)
    if plan.dtype == torch.float32:
        return scorer, scorer
    return scorer, kind.from_pretrained(source, revision=revision, device=plan.device, dtype=plan.dtype)


def _usable(task: Task, data: TaskData, classifier: Classifier) -> TaskData:
    """The data without the examples that the model cannot be asked about; they count as left out.

    Raises:
        InputError: No example is left; with the reason of the first.
    """
    reasons = classifier.unusable(data.examples)
    if len(reasons) == len(data.examples) and reasons:
        raise InputError(
            f"{classifier.name} can be asked about none of the {len(reasons)} examples of {task.name}; "
            f"the first, {data.examples[0].id!r}: {reasons[data.examples[0].id]}"
        )
    usable = [example for example in data.examples if example.id not in reasons]
    return replace(data, examples=usable, left_out=data.left_out + len(reasons)) if reasons else data


def model_spec(classifier: Classifier) -> ModelSpec:
    """What makes the model the one that it is: its weights, its configuration and its tokenizer, by digests."""
    config = {
        key: value
        for key, value in json.loads(classifier.model.config.to_json_string(use_diff=False)).items()
        # where it was loaded from and by which version, and what the spec has as fields of its own
        if key not in ("_name_or_path", "transformers_version", "dtype", "torch_dtype", "_commit_hash")
        and "attn_implementation" not in key
    }
    tokenizer = json.loads(classifier.tokenizer.backend_tokenizer.to_str())
    # what the last call to it asked for
    del tokenizer["padding"], tokenizer["truncation"]
    roles = {name: getattr(classifier.tokenizer, f"{name}_token_id") for name in ("mask", "pad", "bos", "eos")}
    return ModelSpec(
        name=classifier.name,
        revision=classifier.revision,
        weights=classifier.weights_hash,
        config=_digest(config),
        tokenizer=_digest({"tokenizer": tokenizer, "roles": roles, "max_length": classifier.max_length}),
    )


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def _originals(engine: ForwardEngine, batch: Batch, operator: OperatorName) -> Floats:
    """Probabilities ``[batch, labels]`` of the inputs as they are, through the engine, which remembers them."""
    remover = Remover(engine.classifier, batch, operator)
    nothing = [np.zeros((1, n), dtype=bool) for n in batch.unit_counts().tolist()]
    return engine.probabilities(Perturbations.joined([remover.perturb(i, none) for i, none in enumerate(nothing)]))


def _spec(
    plan: Plan,
    task: Task,
    data: TaskData,
    examples: Sequence[Example],
    method: Method,
    model: ModelSpec,
    explained: Classifier,
    operator: OperatorName,
) -> Spec:
    return Spec(
        method=MethodSpec(
            name=method.name,
            parameters=json.loads(json.dumps(method.parameters())),
            source=method.source_digest(),
        ),
        task=task_spec(task, data, examples),
        model=model,
        operator=operator,
        unit=plan.unit or task.unit,
        metrics=plan.metric_names(),
        seed=plan.seed,
        dtype=str(explained.dtype).removeprefix("torch."),
        attention_implementation=explained.attention_implementation,
    )


def task_spec(task: Task, data: TaskData, examples: Sequence[Example]) -> TaskSpec:
    """What makes the examples those that they are; their labels are the model's."""
    # with the gold labels, whose order is the task's to state: accuracies hang on it
    ids = hashlib.sha256("\n".join(f"{example.id}\t{example.label}" for example in examples).encode()).hexdigest()
    return TaskSpec(
        name=task.name,
        dataset=task.dataset,
        revision=data.revision,
        split=data.split,
        examples=len(examples),
        example_ids=ids,
        options=_options(task, examples),
    )


def _options(task: Task, examples: Sequence[Example]) -> dict[str, Any]:
    """The task's options, and a digest of evidence that people marked: how it is read is no part of the data."""
    options = dict(task.options())
    if task.evidence == "human":
        options["evidence"] = _digest([None if e.evidence is None else sorted(e.evidence) for e in examples])
    return options
