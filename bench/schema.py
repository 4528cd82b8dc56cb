"""What a result file may hold: strict, versioned, finite."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator

from whybench.bench.causal.metrics import CAUSAL
from whybench.bench.choices import Bound, EvidenceKind, Family, GateName, Measure, OperatorName, UnitKind
from whybench.bench.figures import FIGURES

SCHEMA_VERSION = 1
GRID_POINTS = 21  # places of a mean curve: 0, .05, …, 1 of the units

Finite = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
# names become parts of folder and file names
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$")]


class Record(BaseModel):
    """Base of all records: frozen, and a field too many is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class MethodSpec(Record):
    """Which method: its name, all its parameters, and a digest of its source files' bytes."""

    name: Name
    parameters: dict[str, JsonValue]
    source: Digest


class TaskSpec(Record):
    """Which examples.

    Attributes:
        name: The task.
        dataset: Hub dataset, None for generated data.
        revision: Commit, or a digest of local files or of the generator.
        split: The split.
        examples: How many.
        example_ids: Digest of their ids and gold labels, in order.
        options: The task's own choices that they hang on, and where people marked the evidence a digest of it.
    """

    name: Name
    dataset: str | None
    revision: str
    split: str
    examples: Count
    example_ids: Digest
    options: dict[str, JsonValue] = {}


class ModelSpec(Record):
    """Which model: name, Hub commit, digests of its weights, its configuration and its tokenizer."""

    name: str
    revision: str | None
    weights: Digest
    config: Digest
    tokenizer: Digest


class Spec(Record):
    """Everything that determines a cell's numbers. Its hash is the cell's identity.

    Its metrics are all of one kind: faithfulness, or figures of the causal suite.
    """

    schema_version: Literal[1] = 1
    protocol_version: Literal[1] = 1
    method: MethodSpec
    task: TaskSpec
    model: ModelSpec
    operator: OperatorName
    unit: UnitKind
    metrics: tuple[str, ...]
    seed: int
    dtype: str
    attention_implementation: str

    @model_validator(mode="after")
    def _one_kind(self) -> Spec:
        causal = [name for name in self.metrics if name in CAUSAL]
        if 0 < len(causal) < len(self.metrics):
            other = next(name for name in self.metrics if name not in CAUSAL)
            raise ValueError(f"{causal[0]} is of the causal suite and {other} is not; a cell has figures of one kind")
        return self

    @property
    def measure(self) -> Measure:
        """What is measured, as its metrics say."""
        return "causal" if any(name in CAUSAL for name in self.metrics) else "faithfulness"

    def hash(self) -> str:
        """SHA-256 of the spec's canonical JSON."""
        data = self.model_dump(mode="json")
        # results from before there were any keep their hash
        if not data["task"]["options"]:
            del data["task"]["options"]
        canonical = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(canonical.encode()).hexdigest()

    def cell(self) -> str:
        """The cell's folder name: readable, and unique by the hash's first 16 digits."""
        return f"{self.task.name}--{self.method.name}--{self.hash()[:16]}"


class Figure(Record):
    """A dataset's figure: the mean over examples and its 95 % bootstrap interval."""

    mean: Finite
    low: Finite
    high: Finite
    examples: Count

    @model_validator(mode="after")
    def _ordered(self) -> Figure:
        slack = 1e-9 * max(1.0, abs(self.mean))
        if not self.low - slack <= self.mean <= self.high + slack:
            raise ValueError(f"mean {self.mean} lies outside its interval [{self.low}, {self.high}]")
        return self


class ReportFigure(Record):
    """A figure that a method reports about its own answers, over the examples."""

    mean: Finite
    largest: Finite


class Failure(Record):
    """An example without a score, and why."""

    example: str
    reason: str


class Coverage(Record):
    """How many examples there were, got a score, had a text that was cut, and which failed.

    ``left_out`` rows of the whole split have no text, and are not among the examples.
    """

    examples: Count
    scored: Count
    truncated: Count
    left_out: Count = 0
    failed: tuple[Failure, ...] = ()

    @model_validator(mode="after")
    def _adds_up(self) -> Coverage:
        if self.scored + len(self.failed) != self.examples:
            raise ValueError(f"{self.scored} scored and {len(self.failed)} failed are not {self.examples} examples")
        return self


class GateOutcome(Record):
    """Whether a row passed a gate.

    Attributes:
        status: ``passed``; ``failed``, which keeps the row out of the ranking; ``not_applicable`` where the method does
            not claim what is tried; ``not_run`` where it could not be tried.
        value: What was measured, None where nothing was.
        limit: What it is held against.
        reason: Why, where it did not simply pass.
    """

    status: Literal["passed", "failed", "not_applicable", "not_run"]
    value: NotNegative | None = None
    limit: NotNegative | None = None
    reason: str = ""


class RandomisedStage(Record):
    """The maps with the weights drawn anew from the output down to one part of the model.

    Attributes:
        name: The part that was drawn last.
        correlation: Mean Spearman correlation with the maps of the trained model.
        examples: Examples that it is the mean of.
    """

    name: str
    correlation: Annotated[float, Field(ge=-1, le=1)]
    examples: Count


class Randomised(Record):
    """The randomised-weights check of one cell, which is made where it is asked for."""

    schema_version: Literal[1] = 1
    cell: str
    stages: tuple[RandomisedStage, ...] = ()
    outcome: GateOutcome


class Cost(Record):
    """What the explanations cost; times and memory hold for the environment beside them, counts everywhere.

    Attributes:
        timer: ``cuda_event`` or ``perf_counter``.
        examples: Examples that were timed.
        batch_examples: Most examples in a batch.
        batch_tokens: Most tokens in a batch, padding included.
        p50_ms: Median milliseconds per example.
        p95_ms: 95th percentile of the same.
        examples_per_second: Throughput.
        forward_equivalents: The method's time over that of a plain forward pass on the same batches.
        peak_memory_bytes: Most bytes of tensors held at once, beyond the model.
        counted_examples: Examples that the counts below were taken on.
        forward_passes: Inputs through the model, per example.
        backward_passes: Inputs with a gradient, per example.
        flops: Floating-point operations per example.
    """

    timer: Literal["cuda_event", "perf_counter"]
    examples: Count
    batch_examples: Count
    batch_tokens: Count
    p50_ms: NotNegative
    p95_ms: NotNegative
    examples_per_second: NotNegative
    forward_equivalents: NotNegative
    peak_memory_bytes: Count
    counted_examples: Count
    forward_passes: NotNegative
    backward_passes: NotNegative
    flops: NotNegative


class MeanCurve(Record):
    """A mean curve over all examples with its 95 % interval, at the places of `whybench.bench.mean_curves.GRID`.

    Attributes:
        mean: Mean probabilities; None where an example has none.
        low, high: Ends of their intervals.
    """

    mean: tuple[Finite | None, ...]
    low: tuple[Finite | None, ...]
    high: tuple[Finite | None, ...]

    @model_validator(mode="after")
    def _on_grid(self) -> MeanCurve:
        if {len(self.mean), len(self.low), len(self.high)} != {GRID_POINTS}:
            raise ValueError(f"a mean curve has {GRID_POINTS} places")
        if not all(-1e-9 <= p <= 1 + 1e-9 for p in (*self.mean, *self.low, *self.high) if p is not None):
            raise ValueError("a mean curve has a probability that is not between 0 and 1")
        return self


class Published(Record):
    """What a published copy of a cell holds (`whybench.bench.publication`), beside all of its figures.

    Attributes:
        source: Digest of the manifest of the cell that it is a copy of.
        maps: The first so many examples have text, tokens, evidence, scores and curves; the others do not.
        texts: Whether the data's texts may be published; where not, ``maps`` is 0.
        pairs: Whether the examples have a second text.
        deletion, insertion: The mean curves over all examples; None in the causal suite, which has none.
    """

    source: Digest
    maps: Count
    texts: bool
    pairs: bool
    deletion: MeanCurve | None = None
    insertion: MeanCurve | None = None

    @model_validator(mode="after")
    def _no_map_without_text(self) -> Published:
        if self.maps and not self.texts:
            raise ValueError(f"{self.maps} examples have maps, and texts may not be published")
        return self


class Environment(Record):
    """Where a result was made: versions and hardware, no names of users or machines.

    Attributes:
        whybench: Its version.
        commit: Commit of its sources, ``+changed`` after it where they had been changed since; None where whybench was
            not run from a checkout, and in results from before this was noted.
    """

    whybench: str
    commit: str | None = None
    python: str
    platform: str
    torch: str
    transformers: str
    packages: dict[str, str]
    device: str
    driver: str | None
    threads: int

    @property
    def conditions(self) -> Environment:
        """All but whybench's own version and commit: times and memory compare where this is equal."""
        return self.model_copy(update={"whybench": "", "commit": None})


class Result(Record):
    """One cell of the board: a method on a task with a model.

    Attributes:
        status: ``finished``; ``failed``; or ``skipped``, where the method does not serve the model's architecture. What
            did not finish has its reason in ``error``.
        cell: The spec's cell name.
        label: The method's name with parameters that are not the defaults.
        family: The method's family.
        signed: Whether its scores are signed.
        summary: First paragraph of the method's docstring.
        description: The rest of it: formula, source, parameters.
        note: What must be said wherever the method's results are shown.
        bound: The end of the skill's scale that the method gives; None for all but references that do.
        label_names: The model's labels, in the order of their indices.
        evidence: Where the task's evidence comes from; None where it has none, and in results that do not say.
        accuracy: Share of examples whose prediction is the gold label; None without gold labels.
        coverage: Examples scored, truncated, failed.
        figures: Per metric.
        report: What the method reports about its own answers.
        gates: The outcome of every gate (`whybench.bench.gates`); empty in results from before there were any, and in
            the causal suite, which ranks nobody.
        elsewhere: Whether its scores were made elsewhere and read from a file.
        cost: What it cost; None where no explanation was made: a control in the causal suite, scores made elsewhere.
        created: UTC time, ISO 8601.
        seconds: Wall-clock time of the whole cell.
        rescored_from: The cell whose recorded curves its metrics were computed from; its cost and environment are that
            cell's. None where the cell was run.
        published: What is left of the per-example table in a published copy; None where nothing was left out.
    """

    schema_version: Literal[1] = 1
    status: Literal["finished", "failed", "skipped"]
    cell: str
    spec: Spec
    label: str
    family: Family
    signed: bool
    summary: str
    description: str = ""
    note: str = ""
    bound: Bound | None = None
    elsewhere: bool = False
    label_names: tuple[str, ...] = ()
    evidence: EvidenceKind | None = None
    accuracy: Annotated[float, Field(ge=0, le=1)] | None = None
    coverage: Coverage | None = None
    figures: dict[str, Figure] = {}
    report: dict[str, ReportFigure] = {}
    gates: dict[GateName, GateOutcome] = {}
    cost: Cost | None = None
    environment: Environment
    error: str | None = None
    created: str
    seconds: NotNegative
    rescored_from: str | None = None
    published: Published | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Result:
        if self.cell != self.spec.cell():
            raise ValueError(f"the cell is named {self.cell!r}, its spec says {self.spec.cell()!r}")
        complete = self.coverage is not None and bool(self.figures) and self.error is None
        if self.status == "finished" and not complete:
            raise ValueError("a finished result has coverage and figures, and no error")
        may_lack_cost = self.elsewhere or self.spec.measure == "causal"
        if self.status == "finished" and self.cost is None and not may_lack_cost:
            raise ValueError("a finished result has a cost; only the causal suite's and scores made elsewhere may not")
        if self.elsewhere and self.cost is not None:
            raise ValueError("scores made elsewhere have a cost; what it was to make them is not known here")
        for name, figure in self.figures.items():
            if name not in FIGURES:
                raise ValueError(f"there is no figure {name!r}; known are {', '.join(FIGURES)}")
            low, high = FIGURES[name].range
            if not low <= figure.low <= figure.high <= high:
                raise ValueError(f"{name} has the interval {figure.low} to {figure.high}; its range is {low} to {high}")
        if self.status != "finished" and not self.error:
            raise ValueError(f"a {self.status} result says why in 'error'")
        return self

    def to_json(self) -> str:
        """Indented JSON with a final newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> Result:
        """Read and validate; pydantic's ValidationError where it is not a result."""
        data: Any = json.loads(text)
        return cls.model_validate(data)
