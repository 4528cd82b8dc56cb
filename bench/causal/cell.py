"""One cell of the causal suite: one matrix method on one task's examples, from matrices to figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from whybench.bench import examples_table
from whybench.bench.agreement import is_constant, tau
from whybench.bench.causal.erasure import top_and_other
from whybench.bench.causal.example import DISTRIBUTION_FIGURES, Measured, measure
from whybench.bench.causal.shared import Shared
from whybench.bench.cell import (
    Answers,
    Outcome,
    Progress,
    buckets,
    evidence_by_example,
    explain_all,
    input_row,
)
from whybench.bench.choices import CONTROL
from whybench.bench.errors import MethodError
from whybench.bench.matrices import MatrixMethod
from whybench.bench.schema import Coverage, Failure, ReportFigure, Spec
from whybench.bench.scoring import rankings
from whybench.bench.summary import figures_of
from whybench.bench.task import Example


def run_causal_cell(
    method: MatrixMethod,
    shared: Shared,
    examples: Sequence[Example],
    spec: Spec,
    batch_size: int,
    progress: Progress,
) -> Outcome:
    """Measure what the model does with the method's matrices, and what its token scores are worth beside others'.

    A control has no token scores, and so neither cost nor figures of erasure, agreement and flips. An example with a
    row that misses its certificate fails alone and is counted. Whether a method's rows are distributions is seen in
    the rows: figures that need it are left out as soon as one example's are not.

    Args:
        method: The method.
        shared: The task's examples, and what all methods share.
        examples: The examples as the task gives them.
        spec: The cell's spec.
        batch_size: Examples in a batch of the method.
        progress: Called with the stage, and the number of examples done and to do.

    Raises:
        MethodError: No example could be measured, or the matrices do not fit the model's attention.
    """
    batch = shared.batch
    control = method.family == CONTROL
    answers = None if control else explain_all(method, shared.classifier, batch, batch_size, progress)
    failed = {} if answers is None else dict(answers.failed)
    texts = [shared.exact.to_device(batch.select(chunk)) for chunk in buckets(batch, batch_size)]
    fitted = method.fitted(shared.exact, texts)

    measured: dict[int, Measured] = {}
    distributions = True
    # the longest first: they need most memory, and show first whether the rows are distributions
    order = sorted(set(range(len(batch))) - set(failed), key=lambda i: (-int(batch.attention_mask[i].sum()), i))
    for done, i in enumerate(order, start=1):
        found = measure(fitted, shared, i, examples[i].label, control=control, distributions=distributions)
        if found.failed is None:
            measured[i] = found
            distributions = distributions and found.distributions
        else:
            failed[i] = found.failed
        progress("replacing", done, len(order))
    good = sorted(measured)
    if not good:
        raise MethodError(f"no example could be measured; the first: {failed[min(failed)]}")

    values: dict[str, dict[int, float]] = {name: {} for name in spec.metrics}
    _fill(values, {i: measured[i].values for i in good})
    if not distributions:
        for name in DISTRIBUTION_FIGURES & set(values):
            values[name].clear()
    report = _report([measured[i].report for i in good])
    if answers is not None:
        _fill(values, _erasure(shared, answers, good, spec.seed, progress))
        _fill(values, _agreement(shared, answers, good, progress))
        constant = [float(is_constant(answers.unit_scores[i])) for i in good]
        report["constant_scores"] = ReportFigure(mean=float(np.mean(constant)), largest=max(constant))
    values = {name: by_example for name, by_example in values.items() if by_example}

    evidence = evidence_by_example(batch, examples)
    lengths = batch.lengths().tolist()
    rows = []
    for i, example in enumerate(examples):
        row = input_row(batch, i, example, shared.targets[i], failed.get(i), evidence[i]) | {"length": lengths[i]}
        if i in measured:
            row |= _measured_row(shared, i, measured[i], answers)
            row |= {name: by_example.get(i) for name, by_example in values.items()}
        rows.append(row)
    return Outcome(
        coverage=Coverage(
            examples=len(batch),
            scored=len(good),
            truncated=sum(batch.truncated),
            failed=tuple(Failure(example=batch.ids[i], reason=why) for i, why in sorted(failed.items())),
        ),
        figures=figures_of(values),
        report=report,
        cost=None if answers is None else answers.cost,
        examples=examples_table.causal_table(rows, values),
    )


def _fill(values: Mapping[str, dict[int, float]], found: Mapping[int, Mapping[str, float]]) -> None:
    """Sort figures by example into examples by figure."""
    for i, figures in found.items():
        for name, value in figures.items():
            if name in values:
                values[name][i] = value


def _report(reports: Sequence[Mapping[str, float]]) -> dict[str, ReportFigure]:
    return {
        name: ReportFigure(
            mean=float(np.mean([report[name] for report in reports])), largest=max(report[name] for report in reports)
        )
        for name in reports[0]
    }


def _erasure(
    shared: Shared, answers: Answers, good: Sequence[int], seed: int, progress: Progress
) -> dict[int, dict[str, float]]:
    """Figures of the best-scored unit cut out, and of a random other one where there is one."""
    ranks = rankings(shared.batch.select(good), [answers.unit_scores[i] for i in good], seed)
    found: dict[int, dict[str, float]] = {}
    for done, (i, rank) in enumerate(zip(good, ranks, strict=True), start=1):
        top, other = top_and_other(rank.tolist(), shared.random_order(i))
        outcomes = shared.erased(i, [top] if other is None else [top, other])
        found[i] = {
            f"{whose}_erasure_{what}": value
            for whose, outcome in zip(("top", "random"), outcomes, strict=False)
            for what, value in zip(("jsd", "flips"), outcome, strict=True)
        }
        progress("erasing", done, len(good))
    return found


def _agreement(
    shared: Shared, answers: Answers, good: Sequence[int], progress: Progress
) -> dict[int, dict[str, float]]:
    drops = shared.drops(good, lambda *done: progress("removing", *done))
    return {
        i: {
            "tau_gradient": tau(answers.unit_scores[i], shared.gradient_scores(i)),
            "tau_leave_one_out": tau(answers.unit_scores[i], drop),
        }
        for i, drop in zip(good, drops, strict=True)
    }


def _measured_row(shared: Shared, i: int, measured: Measured, answers: Answers | None) -> dict[str, Any]:
    target = shared.targets[i]
    row: dict[str, Any] = {
        "probability": float(shared.own_logits(i).softmax(dim=-1)[target]),
        "head_dimension": measured.head_dimension,
    }
    if answers is not None:
        row |= {"token_scores": answers.token_scores[i].tolist(), "unit_scores": answers.unit_scores[i].tolist()}
    if measured.specimen is not None:
        layer, head = shared.specimens[i]
        row |= {
            "specimen_layer": layer,
            "specimen_head": head,
            "specimen_matrix": measured.specimen.float().flatten().tolist(),
        }
    return row
