"""KernelSHAP: Shapley values as the solution of a weighted least-squares problem over some coalitions."""

from __future__ import annotations

import math

import numpy as np
import torch

from whybench.bench.batch import Batch
from whybench.bench.choices import OperatorName
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Bools, Floats
from whybench.bench.method import Attribution, ReportingMethod
from whybench.methods._coalitions import (
    all_coalitions,
    check_at_least_one,
    ends,
    generator_for,
    of_sizes,
    target_probabilities,
    token_scores,
)


class KernelShap(ReportingMethod):
    """The additive model ``v(∅) + Σ_{i in S} φ_i`` of the target's probability ``v(S)`` when only S is left.

    φ minimises ``Σ_S π(S) (v(S) - v(∅) - Σ_{i in S} φ_i)²`` with ``π(S) = (n-1) / (C(n,|S|) |S| (n-|S|))``, subject to
    ``Σ_i φ_i = p(x) - v(∅)``: the two coalitions whose weight is infinite are an equality, not a large weight. Where
    there are no more coalitions than ``samples``, all are taken and φ is the exact Shapley value. Else they are drawn
    with probabilities in proportion to π, and weigh the same. Solved in float64; a unit's score is shared equally among
    its tokens.

    Source: Lundberg & Lee 2017, arXiv:1705.07874; pairs of a coalition and its complement, which lower the variance:
    Covert & Lee 2021, arXiv:2012.01536. Signed: positive supports the target.

    Reports ``undetermined``, the number of directions among an example's scores that its coalitions say nothing about;
    where it is not 0 the scores are the ones of smallest deviation from equal shares, and ``samples`` is too small for
    the text. With pairs, n units need at least 2n samples.

    Attributes:
        samples: Most coalitions of an example, besides the whole text and nothing of it.
        paired: Whether every second one is the complement of the one before.
        operator: How units are removed; None takes the protocol's default for the tokenizer.
        seed: Of the coalitions drawn; each example has a stream of its own.
    """

    name, family, signed = "kernel_shap", "perturbation", True

    samples: int = 256
    paired: bool = True
    operator: OperatorName | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least_one(self.name, samples=self.samples)

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Scores in probability, ``[batch, tokens]``, and how many directions are undetermined, ``[batch]``."""
        counts = batch.unit_counts().tolist()
        drawn = [self._coalitions(n, example) for n, example in zip(counts, batch.ids, strict=True)]
        sets = [np.vstack((ends(n), own)) for n, (own, _) in zip(counts, drawn, strict=True)]
        values = target_probabilities(classifier, batch, self.operator, sets)
        scores = [
            kernel_values(own, answers[2:], answers[0], answers[1], weights)
            for (own, weights), answers in zip(drawn, values, strict=True)
        ]
        open_ones = [max(n - 1, 0) - _rank(own) for n, (own, _) in zip(counts, drawn, strict=True)]
        return Attribution(token_scores(batch, scores), {"undetermined": torch.tensor(open_ones, dtype=torch.float64)})

    def _coalitions(self, units: int, example_id: str) -> tuple[Bools, Floats]:
        """Coalitions, neither empty nor whole, and their weights."""
        if units < 2:
            return np.empty((0, units), dtype=bool), np.empty(0)
        if 2**units - 2 <= self.samples:
            coalitions = all_coalitions(units)[1:-1]
            return coalitions, kernel(units)[coalitions.sum(axis=1)]
        generator = generator_for(self.name, self.seed, example_id)
        by_size = kernel(units) * [math.comb(units, k) for k in range(units + 1)]
        count = -(-self.samples // 2) if self.paired else self.samples
        sizes = generator.choice(units + 1, size=count, p=by_size / by_size.sum())
        coalitions = of_sizes(sizes, units, generator)
        if self.paired:
            coalitions = np.stack((coalitions, ~coalitions), axis=1).reshape(-1, units)[: self.samples]
        return coalitions, np.ones(self.samples)


def kernel(units: int) -> Floats:
    """The Shapley kernel by size of coalition, ``[units + 1]``; 0 in place of infinity for none and for all."""
    inside = [(units - 1) / (math.comb(units, k) * k * (units - k)) for k in range(1, units)]
    return np.array([0.0, *inside, 0.0])


def kernel_values(
    coalitions: Bools, answers: Floats, whole: float, empty: float, weights: Floats | None = None
) -> Floats:
    """The least-squares solution whose scores add up to ``whole - empty``, ``[units]``.

    Args:
        coalitions: ``[sets, units]``, neither empty nor whole.
        answers: The worth of each, ``[sets]``.
        whole: The worth of all units.
        empty: The worth of none.
        weights: Of the sets, ``[sets]``; None: all the same.
    """
    units = coalitions.shape[1]
    if units == 0:
        return np.empty(0)
    # equal shares, plus what differs from them and adds up to 0: that is orthogonal to the vector of ones, as are the
    # centred rows, and so their smallest solution
    share = (whole - empty) / units
    missing = answers - empty - share * coalitions.sum(axis=1)
    root = np.ones(len(answers)) if weights is None else np.sqrt(weights)
    deviation = np.linalg.lstsq(_centred(coalitions) * root[:, None], missing * root)[0]
    scores: Floats = share + deviation
    return scores


def _centred(coalitions: Bools) -> Floats:
    rows: Floats = coalitions - coalitions.mean(axis=1, keepdims=True)
    return rows


def _rank(coalitions: Bools) -> int:
    return int(np.linalg.matrix_rank(_centred(coalitions))) if coalitions.size else 0
