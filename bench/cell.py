"""One cell: one method on one task's examples, from token scores to figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from whybench.bench import examples_table
from whybench.bench.agreement import is_constant
from whybench.bench.batch import Batch
from whybench.bench.choices import GateName
from whybench.bench.classifier import Classifier
from whybench.bench.cost import explain_and_measure
from whybench.bench.curves import Curves, Floats, Ints
from whybench.bench.engine import ForwardEngine
from whybench.bench.errors import MethodError
from whybench.bench.gates import ModelState, gates
from whybench.bench.method import Attribution, Method
from whybench.bench.metric import FaithfulnessMetric
from whybench.bench.metrics import metrics_named
from whybench.bench.recovery import RECOVERY, Evidence, evidence_of
from whybench.bench.schema import Cost, Coverage, Failure, Figure, GateOutcome, ReportFigure, Spec
from whybench.bench.scoring import check_shape, rankings, record_curves, unrankable
from whybench.bench.summary import figures_of
from whybench.bench.task import Example

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a cell's result is made of; see `whybench.bench.schema.Result`."""

    coverage: Coverage
    figures: dict[str, Figure]
    report: dict[str, ReportFigure]
    cost: Cost | None
    examples: pa.Table
    gates: dict[GateName, GateOutcome] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Answers:
    """A method's answers, in the order of the examples.

    Attributes:
        token_scores: Scores of the real tokens; empty where the example failed.
        unit_scores: Scores of the units, the same.
        failed: Index of an example and why it has no scores.
        report: Figures about the answers, ``[examples]`` each.
        cost: What they cost; None where they were made elsewhere.
    """

    token_scores: list[Floats]
    unit_scores: list[Floats]
    failed: dict[int, str]
    report: dict[str, Floats]
    cost: Cost | None


def run_cell(
    method: Method,
    classifier: Classifier,
    engine: ForwardEngine,
    batch: Batch,
    examples: Sequence[Example],
    spec: Spec,
    batch_size: int,
    progress: Progress,
) -> Outcome:
    """Explain, score and sum up.

    An example whose scores cannot be ranked, or for which the method has no answer, fails alone and is counted.

    Args:
        method: The method.
        classifier: The classifier as the method sees it.
        engine: Scores, and knows the answers that earlier methods needed.
        batch: The encoded examples, with their frozen targets.
        examples: The examples.
        spec: The cell's spec.
        batch_size: Examples in a batch of the method.
        progress: Called with the stage, and the number of examples or inputs done and to do.

    Raises:
        MethodError: No example got a score.
    """
    state = ModelState(classifier.model)
    answers = explain_all(method, classifier, batch, batch_size, progress)
    good = [i for i in range(len(batch)) if i not in answers.failed]
    if not good:
        raise MethodError(f"no example got a score; the first: {answers.failed[0]}")
    scores = [answers.unit_scores[i] for i in good]
    ordered = rankings(batch.select(good), scores, spec.seed)
    ranks = dict(zip(good, ordered, strict=True))
    metrics = metrics_named(spec.metrics)
    recorded = record_curves(
        engine,
        batch,
        spec.operator,
        good,
        scores,
        ordered,
        metrics,
        spec.seed,
        lambda *n: progress("scoring", *n),
    )
    curves = dict(zip(good, recorded, strict=True))
    target = [] if batch.target is None else batch.target.tolist()
    constant = [float(is_constant(row)) for row in scores]
    evidence = evidence_by_example(batch, examples)
    values = values_by_example(metrics, good, ranks, curves, evidence)

    rows = [
        _row(batch, i, example, target[i], answers, curves.get(i), evidence[i], values)
        for i, example in enumerate(examples)
    ]
    coverage = Coverage(
        examples=len(batch),
        scored=len(good),
        truncated=sum(batch.truncated),
        failed=tuple(Failure(example=batch.ids[i], reason=why) for i, why in sorted(answers.failed.items())),
    )
    report = {name: figure[good] for name, figure in answers.report.items()}
    return Outcome(
        coverage=coverage,
        figures=figures_of(values),
        report={
            name: ReportFigure(mean=float(figure.mean()), largest=float(figure.max()))
            for name, figure in report.items()
        }
        | {"constant_scores": ReportFigure(mean=float(np.mean(constant)), largest=max(constant))},
        cost=answers.cost,
        examples=examples_table.table(rows, values),
        gates=gates(method, classifier, batch, coverage, report, state, spec.seed),
    )


def buckets(batch: Batch, size: int) -> list[list[int]]:
    """Indices of examples of similar length, ``size`` at a time, so that a method's time is not spent on padding."""
    order = sorted(range(len(batch)), key=lambda i: (int(batch.attention_mask[i].sum()), i))
    return [order[start : start + size] for start in range(0, len(order), size)]


def explain_all(method: Method, classifier: Classifier, batch: Batch, batch_size: int, progress: Progress) -> Answers:
    """Explain all examples, and measure what that costs; an example whose scores cannot be ranked fails alone.

    Raises:
        ScoreShapeError: The method does not give one score per token.
    """
    # looked up all at once, so that what is wrong with them is said of the first example
    chunks = [list(range(len(batch)))] if method.elsewhere else buckets(batch, batch_size)
    batches = [batch.select(chunk) for chunk in chunks]
    attributions: list[Attribution]
    cost: Cost | None
    if method.elsewhere:
        attributions, cost = [method.explain(classifier, part) for part in batches], None
    else:
        attributions, cost = explain_and_measure(method, classifier, batches, lambda *n: progress("explaining", *n))

    token_scores: list[Floats] = [np.zeros(0)] * len(batch)
    unit_scores: list[Floats] = [np.zeros(0)] * len(batch)
    failed: dict[int, str] = {}
    report: dict[str, Floats] = {}
    for chunk, part, attribution in zip(chunks, batches, attributions, strict=True):
        check_shape(part, attribution.scores)
        unranked = unrankable(part, attribution.scores, signed=method.signed or method.negative)
        reasons = {**unranked, **attribution.failed}
        failed.update({chunk[i]: str(reason) for i, reason in reasons.items()})
        _collect(part, chunk, attribution, token_scores, unit_scores, report, len(batch))
    return Answers(token_scores, unit_scores, failed, report, cost)


def _collect(
    part: Batch,
    chunk: Sequence[int],
    attribution: Attribution,
    token_scores: list[Floats],
    unit_scores: list[Floats],
    report: dict[str, Floats],
    total: int,
) -> None:
    """Put a batch's answers where its examples stand among all."""
    scores = attribution.scores.detach().cpu().double()
    lengths = part.lengths().tolist()
    for place, row, length, units in zip(chunk, scores, lengths, part.unit_scores(scores), strict=True):
        token_scores[place] = row[:length].numpy()
        unit_scores[place] = units.numpy()
    for name, figure in attribution.report.items():
        report.setdefault(name, np.zeros(total))[list(chunk)] = figure.detach().cpu().double().numpy()


def values_by_example(
    metrics: Sequence[FaithfulnessMetric],
    good: Sequence[int],
    ranks: Mapping[int, Ints],
    curves: Mapping[int, Curves],
    evidence: Sequence[Evidence | None],
) -> dict[str, dict[int, float]]:
    """Per figure and example a number, where there is one."""
    values: dict[str, dict[int, float]] = {}
    for metric in metrics:
        by_example = {i: value for i in good if (value := metric.value(curves[i])) is not None}
        if by_example:
            values[metric.name] = by_example
    for name, recovery in RECOVERY.items():
        known = {i: found for i in good if (found := evidence[i]) is not None and found.has(recovery.role)}
        if known:
            values[name] = {i: recovery.value(ranks[i], found) for i, found in known.items()}
    return values


def input_row(
    batch: Batch, i: int, example: Example, target: int, error: str | None, evidence: Evidence | None
) -> dict[str, Any]:
    """What a row of the per-example table says about the input, whatever is measured."""
    return {
        "example_id": example.id,
        "text": example.text,
        "text_pair": example.text_pair,
        "continuation": example.continuation,
        "foil": example.foil,
        "label": example.label,
        "target": target,
        "truncated": batch.truncated[i],
        "error": error,
        "tokens": list(batch.tokens[i]),
        "unit_segments": [span.segment for span in batch.unit_spans[i]],
        "unit_starts": [span.start for span in batch.unit_spans[i]],
        "unit_ends": [span.end for span in batch.unit_spans[i]],
        **examples_table.evidence_columns(evidence),
    }


def evidence_by_example(batch: Batch, examples: Sequence[Example]) -> list[Evidence | None]:
    """What each example says of its units; None where its evidence is not known."""
    return [evidence_of(example, spans) for example, spans in zip(examples, batch.unit_spans, strict=True)]


def accuracy_of(examples: Sequence[Example], predicted: Sequence[int]) -> float | None:
    """Share of examples whose prediction is the gold label; None where none has one."""
    gold = [example.label == predicted[i] for i, example in enumerate(examples) if example.label is not None]
    return float(np.mean(gold)) if gold else None


def _row(
    batch: Batch,
    i: int,
    example: Example,
    target: int,
    answers: Answers,
    curves: Curves | None,
    evidence: Evidence | None,
    values: Mapping[str, Mapping[int, float]],
) -> dict[str, Any]:
    row = input_row(batch, i, example, target, answers.failed.get(i), evidence)
    if curves is not None:
        row |= {
            "probability": curves.original,
            "token_scores": answers.token_scores[i].tolist(),
            **examples_table.columns_of(curves),
            **{name: by_example.get(i) for name, by_example in values.items()},
        }
    return row
