"""Faithfulness metrics of protocol version 1: each a pure function of one example's recorded probabilities.

``top(k)`` are the k best-ranked units, ``R(x, K)`` the input with K removed, ``p`` the probability of the target that
was predicted on the whole input, n the number of units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from whybench.bench.curves import PERCENTS, Curves, Ints, grid_of, k_of
from whybench.bench.errors import ParameterError, UnknownNameError
from whybench.bench.metric import ERASER, Metric
from whybench.bench.recovery import RECOVERY

PROTOCOL_VERSION = 1

SAMEK = "Samek et al. 2017, arXiv:1509.06321"
PETSIUK = "Petsiuk et al. 2018, RISE, arXiv:1806.07421"
SERRANO = "Serrano & Smith 2019, Is Attention Interpretable?, arXiv:1906.03731"

Field = Literal["removed", "kept"]


@dataclass(frozen=True)
class FaithfulnessMetric(Metric):
    """A metric of one example's recorded probabilities.

    Attributes:
        needs: Given n, the sizes k at which each curve must be recorded.
        value: The number of one example.
    """

    needs: Callable[[int], dict[Field, Iterable[int]]]
    value: Callable[[Curves], float]


def thresholds(n: int) -> Ints:
    """``k(q)`` for q in Q = {.01, .05, .10, .20, .50}; with few units several are the same, and each counts."""
    return np.array([k_of(percent, n) for percent in PERCENTS])


def comprehensiveness(curves: Curves) -> float:
    """``mean over q in Q of p(x) - p(R(x, top(k(q))))``: how much the best units are missed. Higher is better."""
    return float(np.mean(curves.original - curves.removed(thresholds(curves.units))))


def sufficiency(curves: Curves) -> float:
    """``mean over q in Q of p(x) - p(R(x, all - top(k(q))))``: what the best units alone lack. Lower is better."""
    return float(np.mean(curves.original - curves.kept(thresholds(curves.units))))


def deletion_auc(curves: Curves) -> float:
    """Area under ``p(R(x, top(ceil(t·n))))`` over t = 0, .1, …, 1, by trapezoids (MoRF). Lower is better."""
    return _area(curves.removed(np.array(grid_of(curves.units))))


def insertion_auc(curves: Curves) -> float:
    """Area under ``p(R(x, all - top(ceil(t·n))))`` over the same grid (LeRF's complement). Higher is better."""
    return _area(curves.kept(np.array(grid_of(curves.units))))


def decision_flip(curves: Curves) -> float:
    """Smallest ``k/n`` whose removal of top(k) changes the argmax; 1.0 where none does. Lower is better."""
    flipped = curves.flipped(np.arange(1, curves.units + 1))
    return float(flipped.argmax() + 1) / curves.units if flipped.any() else 1.0


def never_flips(curves: Curves) -> float:
    """1.0 where no k changes the argmax, else 0.0: the share to read beside `decision_flip`."""
    return 0.0 if curves.flipped(np.arange(1, curves.units + 1)).any() else 1.0


def _area(heights: np.ndarray) -> float:
    return float(np.sum((heights[1:] + heights[:-1]) / 2) / (len(heights) - 1))


def _all_removed(n: int) -> dict[Field, Iterable[int]]:
    return {"removed": range(1, n + 1)}


METRICS: dict[str, FaithfulnessMetric] = {
    metric.name: metric
    for metric in (
        FaithfulnessMetric(
            "comprehensiveness",
            "Comprehensiveness",
            "mean over q of p(x) − p(R(x, top(k(q))))",
            ERASER,
            True,
            (-1.0, 1.0),
            lambda n: {"removed": thresholds(n).tolist()},
            comprehensiveness,
        ),
        FaithfulnessMetric(
            "sufficiency",
            "Sufficiency",
            "mean over q of p(x) − p(R(x, all − top(k(q))))",
            ERASER,
            False,
            (-1.0, 1.0),
            lambda n: {"kept": thresholds(n).tolist()},
            sufficiency,
        ),
        FaithfulnessMetric(
            "deletion_auc",
            "Deletion AUC",
            "area under p(R(x, top(⌈t·n⌉))), t = 0, .1, …, 1",
            f"{SAMEK} (MoRF); {PETSIUK}",
            False,
            (0.0, 1.0),
            lambda n: {"removed": grid_of(n)},
            deletion_auc,
        ),
        FaithfulnessMetric(
            "insertion_auc",
            "Insertion AUC",
            "area under p(R(x, all − top(⌈t·n⌉))), t = 0, .1, …, 1",
            f"{SAMEK}; {PETSIUK}",
            True,
            (0.0, 1.0),
            lambda n: {"kept": grid_of(n)},
            insertion_auc,
        ),
        FaithfulnessMetric(
            "decision_flip",
            "Decision flip",
            "smallest k/n whose removal of top(k) changes the argmax; 1 where none does",
            SERRANO,
            False,
            (0.0, 1.0),
            _all_removed,
            decision_flip,
        ),
        FaithfulnessMetric(
            "never_flips",
            "Never flips",
            "share of examples whose argmax no removal of top(k) changes",
            SERRANO,
            False,
            (0.0, 1.0),
            _all_removed,
            never_flips,
        ),
    )
}


def metrics_named(names: Iterable[str] | None) -> list[FaithfulnessMetric]:
    """The metrics of these names, all of them for None; UnknownNameError for a name that none has."""
    chosen = list(METRICS) if names is None else list(names)
    for name in chosen:
        if name in RECOVERY:
            raise ParameterError(
                f"{name} is not chosen: every task with evidence has it. Choose from {', '.join(METRICS)}."
            )
        if name not in METRICS:
            raise UnknownNameError("metric", name, METRICS)
    return [METRICS[name] for name in chosen]
