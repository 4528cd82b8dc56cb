"""What a task is: examples, the labels' names, and the checkpoint that is explained by default."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from whybench.bench.choices import EvidenceKind, OperatorName, TaskKind, UnitKind
from whybench.bench.errors import DataError


class Span(NamedTuple):
    """Characters ``[start, end)`` of one segment of an example (0: ``text``, 1: ``text_pair``)."""

    segment: int
    start: int
    end: int


@dataclass(frozen=True)
class Roles:
    """What single pieces of an example do for its label, by the rule that gives it.

    The rule reads what is left of a text, and gives a label or none. A role that the rule does not have stays empty.

    Attributes:
        necessary: Evidence that is needed: without any one of these alone the rule gives no label.
        sufficient: The smallest sets that are enough: with all else gone, each one alone gives the label. Of the same
            size all of them, as a rule just one.
        distractor: What could be evidence and is none here: the rule gives the same without it, whatever else is gone.
    """

    necessary: tuple[Span, ...] = ()
    sufficient: tuple[tuple[Span, ...], ...] = ()
    distractor: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Example:
    """One input of a task.

    Attributes:
        id: Name of the example within the task's data, stable over runs and machines.
        text: The text, or the first of a pair.
        text_pair: The second text of a pair.
        label: Index of the gold label; None where the data has none.
        evidence: Characters that decide the label, as spans. None where the data does not say; empty where an
            annotator said "nothing".
        roles: What single pieces of it do, and what only looks like evidence. None where the data does not say.
        continuation: In a next-token task what follows the text, a leading space included, and is explained: one token
            of the model's tokenizer in that place.
        foil: The token that it is explained against, the same way.

    Raises:
        DataError: A necessary span or a sufficient set's is no evidence, or a distractor is.
    """

    id: str
    text: str
    text_pair: str | None = None
    label: int | None = None
    evidence: tuple[Span, ...] | None = None
    roles: Roles | None = None
    continuation: str | None = None
    foil: str | None = None

    def __post_init__(self) -> None:
        if self.roles is None:
            return
        evidence, roles = set(self.evidence or ()), self.roles
        for role, spans in (("necessary", roles.necessary), *(("sufficient", spans) for spans in roles.sufficient)):
            for span in spans:
                if span not in evidence:
                    raise DataError(
                        f"example {self.id!r} has the {role} span {tuple(span)}, which is not among its evidence; "
                        "list it there too, or take the role away."
                    )
        for span in roles.distractor:
            if any(span.segment == e.segment and span.start < e.end and e.start < span.end for e in evidence):
                raise DataError(
                    f"example {self.id!r} has the distractor {tuple(span)}, which overlaps its evidence; "
                    "a piece of text is one or the other."
                )


@dataclass(frozen=True)
class TaskData:
    """The examples of one split, with what names them for ever.

    Attributes:
        examples: In the order of the data.
        split: The split's name, as the source has it.
        revision: Commit of a Hub dataset, or a digest of local files or of a generator's source.
        left_out: Rows of the split that are not among the examples, as there is nothing in them to explain.
    """

    examples: Sequence[Example]
    split: str
    revision: str
    left_out: int = 0


class Task(ABC):
    """A task: where the examples come from and what is explained on them.

    A subclass in a file of its own under ``tasks/`` is found by its file's name, which is also its ``name``.

    Attributes:
        name: The file's name without ``.py``.
        summary: One line for tables.
        labels: The labels' names, in the order of the label indices.
        suite: The suite that the task belongs to.
        default_model: Folder of a checkpoint that ships with the package, or the id of a Hub model; empty where there
            is none, and the user names one.
        kind: ``"classification"``, or ``"next_token"``: a causal language model is explained for what comes next, the
            labels are ``("continuation", "foil")``, and every example has both.
        default_model_revision: Commit of the Hub model.
        unit: What is removed.
        operator: The primary removal operator; None takes the protocol's default for the tokenizer.
        evidence: ``"planted"`` (exact by construction), ``"human"`` or None.
        rationale_threshold: Where several annotators marked the evidence, the share of them that must have marked a
            word; None where that question does not arise.
        dataset: Id of the Hub dataset, None for generated data.
        dataset_revision: Its pinned commit. None where no commit is known: the branch is read as it is today, and the
            result has the commit that it stood at.
        licence: Licence of the data.
        citation: What to cite for the data.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    labels: ClassVar[tuple[str, ...]]
    suite: ClassVar[str]
    default_model: ClassVar[str]
    default_model_revision: ClassVar[str | None] = None
    kind: ClassVar[TaskKind] = "classification"
    unit: ClassVar[UnitKind] = "word"
    operator: ClassVar[OperatorName | None] = None
    evidence: ClassVar[EvidenceKind | None] = None
    rationale_threshold: ClassVar[float | None] = None
    dataset: ClassVar[str | None] = None
    dataset_revision: ClassVar[str | None] = None
    licence: ClassVar[str] = ""
    citation: ClassVar[str] = ""

    @abstractmethod
    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the examples.

        Args:
            data: A local file or folder with the columns of the task's dataset, in place of the Hub.
            split: A split's name; None takes the task's own evaluation split.

        Raises:
            DataError: The data cannot be read; the message says what to do.
            MissingColumnError: A column is not there.
        """

    def options(self) -> dict[str, Any]:
        """The task's own choices that the examples or their evidence hang on, as JSON: they are part of the spec."""
        return {} if self.rationale_threshold is None else {"rationale_threshold": self.rationale_threshold}
