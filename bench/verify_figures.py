"""The part of a verification that is about figures: recorded anew, of the submitted maps and of those made again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from whybench.bench.cell import evidence_by_example, values_by_example
from whybench.bench.conformance import Found
from whybench.bench.curves import Floats, Ints
from whybench.bench.engine import ForwardEngine
from whybench.bench.examples_table import curves_of
from whybench.bench.metrics import metrics_named
from whybench.bench.scoring import rankings, record_curves

if TYPE_CHECKING:
    from whybench.bench.verify import Rerun

RERANKED = 0.02
"""Largest difference, in the mean over the examples made again, between a figure of the maps made again and of those
submitted: rounding may swap units of about the same score, and may not make the figure."""


def rescored(rerun: Rerun, tolerance: float, found: Found) -> float:
    """The submitted maps have the submitted curves and figures, recorded anew."""
    spec, table = rerun.stored.result.spec, rerun.stored.examples.take(rerun.places)
    metrics = metrics_named(spec.metrics)
    scores = _submitted(rerun)
    engine = ForwardEngine(rerun.classifier)
    everyone = range(len(rerun.batch))
    ranks = rankings(rerun.batch, scores, spec.seed)
    recorded = record_curves(engine, rerun.batch, spec.operator, everyone, scores, ranks, metrics, spec.seed)
    worst = 0.0
    for i, (again, given) in enumerate(zip(recorded, curves_of(table), strict=True)):
        example = rerun.batch.ids[i]
        pairs: dict[str, tuple[Any, Any]] = {}
        if given is not None:
            for name in ("removed_p", "kept_p", "single_p", "drawn_p", "soft_p"):
                pairs[name] = (getattr(given, name), getattr(again, name))
        for name, (one, other) in pairs.items():
            # a metric that came later needs more than was recorded
            if one.size and one.shape != other.shape:
                found.fail(f"Example {example!r:.80} has {one.size} numbers as {name}, it should have {other.size}.")
            elif one.size:
                worst = max(worst, _within(f"Example {example!r:.80}: {name}", one, other, tolerance, found))
        for metric in metrics:
            given_value = table.column(metric.name)[i].as_py() if metric.name in table.column_names else None
            value = metric.value(again)
            if (value is None) != (given_value is None):
                found.fail(f"Example {example!r:.80} has {metric.name} = {given_value}, it should be {value}.")
            elif value is not None:
                what = f"Example {example!r:.80}: {metric.name}"
                worst = max(worst, _within(what, np.array(given_value), np.array(value), tolerance, found))
    found.facts |= {"largest difference": worst, "tolerance": tolerance}
    return worst


def _within(what: str, given: Any, again: Any, tolerance: float, found: Found) -> float:
    apart = float(np.max(np.abs(given - again)))
    if not apart <= tolerance * max(1.0, float(np.max(np.abs(again)))):
        found.fail(f"{what} differs by {apart:.3g}.")
    return apart


def ranked(rerun: Rerun, found: Found) -> None:
    """The maps made again have the submitted figures on the mean: their order is no matter of the tolerance."""
    if not rerun.again:
        found.skip("See maps.")
        return
    seed = rerun.stored.result.spec.seed
    ranks = [rankings(rerun.batch, scores, seed) for scores in (_submitted(rerun), rerun.again)]
    other = [i for i, (one, two) in enumerate(zip(*ranks, strict=True)) if (one != two).any()]
    found.facts["maps of another order"] = len(other)
    if not other:
        return
    table = rerun.stored.examples.take(rerun.places)
    apart: dict[str, float] = {}
    for name, by_example in _figures(rerun, rerun.again, ranks[1], other).items():
        column = table.column(name).to_pylist() if name in table.column_names else [None] * len(rerun.places)
        pairs = [(value, column[i]) for i, value in by_example.items()]
        differences = [value - given for value, given in pairs if given is not None]
        # log-odds have no bounds
        scale = max(1.0, float(np.mean([abs(value) for value in column if value is not None] or [0.0])))
        # the others' difference is none
        apart[name] = abs(sum(differences)) / len(rerun.places) / scale
    largest = max(apart, key=lambda name: apart[name])
    found.facts |= {"largest difference": apart[largest], "tolerance": RERANKED}
    if not apart[largest] <= RERANKED:
        found.fail(
            f"The maps made again have another {largest}, by {apart[largest]:.3g} on the mean of the "
            f"{len(rerun.places)} examples: the order of the submitted ones hangs on differences within the tolerance."
        )


def _figures(
    rerun: Rerun, scores: Sequence[Floats], ranks: Sequence[Ints], places: Sequence[int]
) -> Mapping[str, Mapping[int, float]]:
    """Per figure and example, of those at these places, its value by these maps."""
    spec = rerun.stored.result.spec
    metrics = metrics_named(spec.metrics)
    engine = ForwardEngine(rerun.classifier)
    chosen = ([scores[i] for i in places], [ranks[i] for i in places])
    recorded = record_curves(engine, rerun.batch, spec.operator, places, *chosen, metrics, spec.seed)
    evidence = evidence_by_example(rerun.batch, rerun.examples)
    curves = dict(zip(places, recorded, strict=True))
    return values_by_example(metrics, places, dict(enumerate(ranks)), curves, evidence)


def _submitted(rerun: Rerun) -> list[Floats]:
    return [np.array(row) for row in rerun.stored.examples.column("unit_scores").take(rerun.places).to_pylist()]
