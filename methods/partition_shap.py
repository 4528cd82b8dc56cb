"""Owen values of the units in a tree of halves: Shapley values where neighbours join and leave together."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch

from whybench.bench.batch import Batch
from whybench.bench.choices import OperatorName
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Bools, Floats, Ints
from whybench.bench.method import Attribution, ReportingMethod
from whybench.methods._coalitions import (
    all_coalitions,
    check_at_least_one,
    ends,
    generator_for,
    target_probabilities,
    token_scores,
)
from whybench.methods.shapley_sampling import on_the_way, order_values


class PartitionShap(ReportingMethod):
    """Owen values: Shapley values where neighbouring units join and leave together.

    ``φ_i = 2^-|G_i| Σ_{S ⊆ G_i} v(S ∪ {i}) − v(S)``, G_i the groups of a binary tree that unit i is split off from.

    The text is cut into halves, they into halves, and so on down to single units; a pair is cut between its two texts
    first. G_i are the other halves on the way from the whole to i, each there as a whole or not at all: that makes
    about n² sets of n units instead of 2^n. ``v(S)`` is the target's probability when only the units of S are left. The
    scores add up to ``p(x)`` minus the probability when nothing is left.

    Where an example has more sets than ``samples`` (those of all units, the same ones included), its values are
    estimated from random orders in which the units join: at every cut one half joins before the other, as a coin says,
    and every second order is the one before in reverse. Such an estimate is unbiased, and adds up exactly as well. A
    unit's score is shared equally among its tokens.

    Source: Owen 1977, "Values of games with a priori unions" (doi:10.1007/978-3-642-45494-3_7), carried on to a tree as
    in Lundberg's SHAP (its partition explainer, which spends its budget on the largest groups first and shares a group
    that it does not cut equally). Signed: positive supports the target. Reports ``estimated``, 1 where the values are
    an estimate and 0 where they are exact. Runs only where it is asked for by name, as it takes hundreds of passes.

    Attributes:
        samples: Most sets of an example, besides the whole text and nothing of it.
        operator: How units are removed; None takes the protocol's default for the tokenizer.
        seed: Of the orders; each example has a stream of its own.
    """

    name, family, signed = "partition_shap", "perturbation", True
    default = False

    samples: int = 512
    operator: OperatorName | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least_one(self.name, samples=self.samples)

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Scores in probability, ``[batch, tokens]``, and whether they are estimated, ``[batch]``."""
        plans: list[tuple[list[Bools], Bools, Ints | None]] = []
        for spans, example in zip(batch.unit_spans, batch.ids, strict=True):
            first = sum(span.segment == 0 for span in spans)
            groups = siblings(len(spans), first)
            if sum(2 ** (1 + len(own)) for own in groups) <= self.samples:
                plans.append((groups, owen_sets(groups), None))
            else:
                orders = grouped_orders(len(spans), first, self.samples, generator_for(self.name, self.seed, example))
                plans.append((groups, on_the_way(orders), orders))
        coalitions = [np.vstack((ends(own.shape[1]), own)) for _, own, _ in plans]
        values = target_probabilities(classifier, batch, self.operator, coalitions)
        scores = [
            owen_values(groups, answers[2:]) if orders is None else order_values(orders, answers[2:], *answers[:2])
            for (groups, _, orders), answers in zip(plans, values, strict=True)
        ]
        estimated = torch.tensor([float(orders is not None) for _, _, orders in plans], dtype=torch.float64)
        return Attribution(token_scores(batch, scores), {"estimated": estimated})


def siblings(units: int, first: int) -> list[Bools]:
    """Per unit the groups that it is split off from, ``[groups, units]``, the largest first.

    Args:
        units: Number of units.
        first: How many of them belong to the first text, where the first cut is; all of them where there is one text.
    """
    found: list[list[Bools]] = [[] for _ in range(units)]
    cuts = [(0, units, first)]
    while cuts:
        start, stop, middle = cuts.pop()
        if stop - start < 2:
            continue
        if not start < middle < stop:
            middle = (start + stop + 1) // 2
        for own, other in (((start, middle), (middle, stop)), ((middle, stop), (start, middle))):
            group = np.zeros(units, dtype=bool)
            group[slice(*other)] = True
            for unit in range(*own):
                found[unit].append(group)
            cuts.append((*own, -1))
    return [np.array(groups, dtype=bool).reshape(-1, units) for groups in found]


def owen_sets(groups: list[Bools]) -> Bools:
    """For every unit all sets of its groups, first with the unit and then without, ``[sets, units]``."""
    rows = []
    for unit, own in enumerate(groups):
        outside = _unions(len(own)) @ own
        inside = outside.copy()
        inside[:, unit] = True
        rows += [inside, outside]
    return np.vstack(rows) if rows else np.empty((0, 0), dtype=bool)


@cache
def _unions(groups: int) -> Bools:
    return all_coalitions(groups)


def owen_values(groups: list[Bools], answers: Floats) -> Floats:
    """Owen values ``[units]`` from the worth of the sets of `owen_sets`, ``[sets]``."""
    scores, start = np.empty(len(groups)), 0
    for unit, own in enumerate(groups):
        count = 2 ** len(own)
        inside, outside = answers[start : start + 2 * count].reshape(2, count)
        scores[unit] = (inside - outside).mean()
        start += 2 * count
    return scores


def grouped_orders(units: int, first: int, samples: int, generator: np.random.Generator) -> Ints:
    """Random orders that keep every group together, as many as ``samples`` sets allow, ``[orders, units]``."""
    count = max(1, samples // max(1, units - 1))
    made: list[list[int]] = []
    for number in range(count):
        made.append(made[-1][::-1] if number % 2 else _joined(0, units, first, generator))
    return np.array(made)


def _joined(start: int, stop: int, middle: int, generator: np.random.Generator) -> list[int]:
    if stop - start < 2:
        return list(range(start, stop))
    if not start < middle < stop:
        middle = (start + stop + 1) // 2
    halves = [_joined(start, middle, -1, generator), _joined(middle, stop, -1, generator)]
    return halves[1] + halves[0] if generator.random() < 0.5 else halves[0] + halves[1]
