"""A task under check: its data, its model and what follows from both, each made once and when it is first asked for."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from whybench.bench.choices import OperatorName
from whybench.bench.conformance import ANYTHING, Check, Found
from whybench.bench.errors import DataError, MissingColumnError, TaskError, UnknownNameError, reason_of
from whybench.bench.registry import load_task
from whybench.bench.sample import sample
from whybench.bench.task import Example, Task, TaskData
from whybench.bench.task_digest import SEED

if TYPE_CHECKING:
    from whybench.bench.batch import Batch
    from whybench.bench.classifier import Classifier


class Absent(NamedTuple):
    """Why a part is not there.

    Attributes:
        reason: With what to do about it.
        failed: Whether something is wrong; else it is only not to be had here.
    """

    reason: str
    failed: bool


@dataclass
class Subject:
    """A task under check.

    Attributes:
        name: Name or file of the task.
        path: Local file or folder in place of its dataset.
        model_source: Folder or Hub id of the model; None takes the task's own.
        split_wanted: The split; None takes the task's own.
        limit: Most examples that the model reads, a seeded sample.
        hub: Whether the Hub may be asked for data and models.
    """

    name: str
    path: Path | None = None
    model_source: str | None = None
    split_wanted: str | None = None
    limit: int = 100
    hub: bool = True
    _made: dict[str, Any] = field(default_factory=dict)

    def absent(self, part: str) -> Absent | None:
        """Make a part, if it is not there yet; returns why it cannot be had."""
        if part not in self._made:
            try:
                self._made[part] = _MAKERS[part](self)
            except ANYTHING as error:  # whatever a contributor's code raises is the reason to show
                # a name that there is not, or a model of the user's own: no part of the task, but wrong use
                if isinstance(error, UnknownNameError) and part == "task":
                    raise
                if part == "model" and self.model_source is not None:
                    raise
                self._made[part] = Absent(reason_of(error), failed=True)
        made = self._made[part]
        return made if isinstance(made, Absent) else None

    def _part(self, part: str) -> Any:
        if absent := self.absent(part):
            raise TaskError(absent.reason)
        return self._made[part]

    @property
    def task(self) -> Task:
        """The task."""
        return self._part("task")  # type: ignore[no-any-return]

    @property
    def data(self) -> TaskData:
        """All examples of the split."""
        return self._part("data")  # type: ignore[no-any-return]

    @property
    def examples(self) -> Sequence[Example]:
        """The examples that the model reads, with their labels as the task counts them."""
        return self._part("examples")  # type: ignore[no-any-return]

    @property
    def classifier(self) -> Classifier:
        """The model."""
        return self._part("model")  # type: ignore[no-any-return]

    @property
    def operator(self) -> OperatorName:
        """The primary removal operator."""
        return self._part("operator")  # type: ignore[no-any-return]

    @property
    def aligned(self) -> Sequence[Example]:
        """The examples that the model reads, with their labels as the model counts them."""
        return self._part("aligned")  # type: ignore[no-any-return]

    @property
    def batch(self) -> Batch:
        """The examples that the model reads, tokenised."""
        return self._part("batch")  # type: ignore[no-any-return]


def _task(subject: Subject) -> Task:
    return load_task(subject.name)


def _data(subject: Subject) -> TaskData | Absent:
    task = subject.task
    if subject.path is None and task.dataset is not None and not subject.hub:
        return Absent("The Hub is not asked; give local files of the same columns with --data.", failed=False)
    try:
        data: Any = task.load(subject.path, subject.split_wanted)
    except DataError as error:
        # what the data itself lacks is a fault; that it is not here, and no --data was given, is none
        unasked = subject.path is None and not isinstance(error, MissingColumnError)
        needed = unasked and (_unreachable(error) or (task.dataset is None and "--data" in str(error)))
        return Absent(str(error), failed=not needed)
    if not isinstance(data, TaskData):
        raise TaskError(f"load returned {data!r:.60}; it must be a TaskData.")
    strange = [example for example in data.examples if not isinstance(example, Example)]
    if strange or len(data.examples) == 0:
        got = f"{strange[0]!r:.60} among its examples" if strange else "no examples"
        raise TaskError(f"load returned {got}; it must return at least one Example, and nothing else.")
    return data


def _model(subject: Subject) -> Classifier | Absent:
    from whybench.bench.errors import ModelError
    from whybench.bench.runner import MODELS

    task = subject.task
    if subject.model_source is not None:
        return MODELS[task.kind].from_pretrained(subject.model_source)
    if not task.default_model:
        return Absent(f"{task.name} has no default model; give one with --model.", failed=False)
    if not subject.hub and not (Path(task.default_model).is_absolute() or Path(task.default_model).is_dir()):
        return Absent("The Hub is not asked; give a folder with --model.", failed=False)
    try:
        return MODELS[task.kind].from_pretrained(task.default_model, revision=task.default_model_revision)
    except ModelError as error:
        return Absent(str(error), failed=not _unreachable(error))


def _examples(subject: Subject) -> Sequence[Example]:
    """As a run has them: a sample of those that the model can be asked about."""
    unusable = subject.classifier.unusable(subject.data.examples)
    if len(unusable) == len(subject.data.examples):
        raise TaskError(f"the model can be asked about no example; the first: {next(iter(unusable.values()))}")
    kept = [example for example in subject.data.examples if example.id not in unusable]
    return sample(replace(subject.data, examples=kept), subject.limit, SEED)


def _operator(subject: Subject) -> OperatorName:
    from whybench.bench.operators import operator_for

    return operator_for(subject.classifier, subject.task.operator)


def _aligned(subject: Subject) -> Sequence[Example]:
    from whybench.bench.labels import in_model_order

    task, model = subject.task, subject.classifier
    return in_model_order(subject.examples, task.labels, model.labels, task=task.name, model=model.name)


def _batch(subject: Subject) -> Batch:
    return subject.classifier.encode_examples(subject.examples)


_MAKERS: dict[str, Callable[[Subject], Any]] = {
    "task": _task,
    "data": _data,
    "model": _model,
    "examples": _examples,
    "operator": _operator,
    "aligned": _aligned,
    "batch": _batch,
}


def _unreachable(error: BaseException | None) -> bool:
    """Whether the reason behind an error is that there is no way to the Hub, and nothing in the cache."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    while error is not None:
        if isinstance(error, (ConnectionError, TimeoutError, LocalEntryNotFoundError)):
            return True
        error = error.__cause__
    return False


def promised(*needs: str) -> Callable[[Callable[[Subject, Found], None]], Check[Subject]]:
    """Make a check of a function; its name and its docstring are the check's."""

    def made(run: Callable[[Subject, Found], None]) -> Check[Subject]:
        return Check(run.__name__, run, ("task", *needs))

    return made


def check_cover(declared: str | None, cover: dict[str, float], what: str, found: Found) -> None:
    """Evidence that is everything says nothing: every ranking finds it."""
    whole = [name for name, share in cover.items() if share >= 1]
    if whole and (declared == "planted" or len(whole) == len(cover)):
        found.fail_each(f"All {what} are evidence, so that any ranking finds it, in", whole)
    elif whole:
        found.warn(f"All {what} are evidence in {len(whole)} examples, in which any ranking finds it.")
    found.facts[f"median share of {what}"] = statistics.median(cover.values())
