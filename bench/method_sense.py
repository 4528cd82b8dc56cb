"""Does a method find planted evidence better than a random order does? Tried on the tasks that ship their own model."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from whybench.bench.batch import Batch
from whybench.bench.cell import buckets, evidence_by_example
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Floats
from whybench.bench.errors import UnsupportedArchitectureError
from whybench.bench.gates import COMPLETENESS, random_state_kept, seed_everything
from whybench.bench.labels import in_model_order
from whybench.bench.listing import entries
from whybench.bench.method import Method
from whybench.bench.operators import operator_for
from whybench.bench.recovery import Evidence, average_precision
from whybench.bench.registry import load_task
from whybench.bench.runner import MODELS
from whybench.bench.sample import sample
from whybench.bench.scoring import rankings, unrankable

EXAMPLES = 24
"""Examples of each task."""
BATCH = 8
SEED = 0


@dataclass(frozen=True, eq=False)
class Ground:
    """A task whose evidence is planted, with its own model.

    Attributes:
        task: Its name.
        classifier: Its model.
        batch: A sample of its examples, with their predicted labels as targets.
        evidence: Per example what is known of its units.
    """

    task: str
    classifier: Classifier
    batch: Batch
    evidence: tuple[Evidence | None, ...]


@cache
def grounds() -> tuple[Ground, ...]:
    """All tasks with planted evidence whose model is there without the Hub."""
    planted = [load_task(entry.name) for entry in entries("task") if entry.fact("evidence") == "planted"]
    made = []
    for task in planted:
        if task.dataset is not None or not Path(task.default_model or "?").is_dir():
            continue
        classifier = MODELS[task.kind].from_pretrained(task.default_model)
        examples = sample(task.load(), EXAMPLES, SEED)
        examples = in_model_order(examples, task.labels, classifier.labels, task=task.name, model=classifier.name)
        batch = classifier.encode_examples(examples).with_units(task.unit)
        batch = batch.with_operator(operator_for(classifier, task.operator))
        if batch.target is None:
            batch = batch.with_target(classifier.probabilities(batch).argmax(dim=1))
        made.append(Ground(task.name, classifier, batch, tuple(evidence_by_example(batch, examples))))
    return tuple(made)


@dataclass(frozen=True, eq=False)
class Sensed:
    """What a method's answers on a task are worth, for the examples that it has one for.

    Attributes:
        gains: Average precision less what a random order is expected to have, ``[examples with evidence]``.
        missing: What is missing from the sum of the scores, as a share, ``[examples]``; empty where the method does not
            claim that they add up.
    """

    gains: Floats
    missing: Floats


def sensed(method: Method, ground: Ground) -> Sensed:
    """Explain a task's examples; empty where the method does not serve the model."""
    gains: list[float] = []
    missing: list[float] = []
    for chunk in buckets(ground.batch, BATCH):
        part = ground.batch.select(chunk)
        try:
            with random_state_kept():
                seed_everything(SEED)
                method.require_served(ground.classifier)
                answer = method.explain(ground.classifier, part)
        except UnsupportedArchitectureError:
            # nothing of a model that it serves in part only
            return Sensed(np.zeros(0), np.zeros(0))
        failed = {*unrankable(part, answer.scores, signed=method.signed or method.negative), *answer.failed}
        good = [i for i in range(len(part)) if i not in failed]
        if good and COMPLETENESS in answer.report:
            missing += answer.report[COMPLETENESS][good].tolist()
        scores = part.unit_scores(answer.scores)
        ranks = rankings(part.select(good), [scores[i].numpy() for i in good], SEED)
        for i, rank in zip(good, ranks, strict=True):
            evidence = ground.evidence[chunk[i]]
            if evidence is not None and evidence.has(None):
                chance = expected_average_precision(len(rank), int(evidence.units.sum()))
                gains.append(average_precision(rank, evidence.units) - chance)
    return Sensed(np.array(gains), np.array(missing))


def expected_average_precision(units: int, evidence: int) -> float:
    """Mean of the average precision over all orders of ``units`` units of which ``evidence`` are evidence.

    The unit at place k is evidence with the probability m/n; then k - 1 others stand before it, (m - 1)/(n - 1) of
    which are evidence on average: ``1/n Σ_k (1 + (k - 1)(m - 1)/(n - 1)) / k``.
    """
    places = np.arange(1, units + 1)
    share = (evidence - 1) / (units - 1) if units > 1 else 0.0
    return float(np.mean((1 + (places - 1) * share) / places))
