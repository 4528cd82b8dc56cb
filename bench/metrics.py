"""Faithfulness metrics of protocol version 1: each a pure function of one example's recorded probabilities.

``top(k)`` are the k best-ranked units, ``R(x, K)`` the input with K removed, ``p`` the probability of the target that
was predicted on the whole input, n the number of units.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from whybench.bench.agreement import AGREEMENT_METRICS
from whybench.bench.curves import PERCENTS, Curves, Field, Floats, Ints, grid_of, k_of
from whybench.bench.errors import ParameterError, UnknownNameError
from whybench.bench.metric import ERASER, FaithfulnessMetric
from whybench.bench.recovery import RECOVERY
from whybench.bench.soft import SOFT_METRICS

PROTOCOL_VERSION = 1
ALL = "all"
"""Stands for every metric where names of metrics are given."""

SAMEK = "Samek et al. 2017, arXiv:1509.06321"
PETSIUK = "Petsiuk et al. 2018, RISE, arXiv:1806.07421"
SERRANO = "Serrano & Smith 2019, Is Attention Interpretable?, arXiv:1906.03731"
SHRIKUMAR = "Shrikumar et al. 2017, DeepLIFT, arXiv:1704.02685; Sanyal & Ren 2021, DIG, arXiv:2108.13654"
NOTHING_LOST = "where the removal of all units does not lower the probability"
CARTON = "Carton et al. 2020, Evaluating and Characterizing Human Rationales, arXiv:2010.04736"

LOG_ODDS_PERCENT = 20
SMALLEST_EXPONENT = -1022
"""Probabilities below 2^-1022, the smallest normal float64, count as that: their logarithm is then bounded."""
LOG_ODDS_LIMIT = -SMALLEST_EXPONENT * float(np.log(2))


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


def log_odds(curves: Curves) -> float:
    """``log p(R(x, top(k(.20)))) - log p(x)``, natural logarithms, p at least 2^-1022. Lower is better."""
    removed = curves.removed(np.array([k_of(LOG_ODDS_PERCENT, curves.units)]))[0]
    smallest = 2.0**SMALLEST_EXPONENT
    return float(np.log(max(removed, smallest)) - np.log(max(curves.original, smallest)))


def normalised_sufficiency(curves: Curves) -> float | None:
    """`sufficiency` on the scale between nothing left and all left, in [0, 1]. Higher is better.

    Mean over q in Q of ``clip((suff - suff0) / (1 - suff0), 0, 1)``, with ``suff = 1 - max(0, p(x) - p(kept))`` for the
    top(k(q)), and suff0 the same with nothing kept.

    Returns:
        None where suff0 is 1: taking everything away loses nothing.
    """
    whole = _loss_of_all(curves)
    if whole == 0:
        return None
    losses = np.maximum(0.0, curves.original - curves.kept(thresholds(curves.units)))
    return float(np.mean(np.clip((whole - losses) / whole, 0.0, 1.0)))


def normalised_comprehensiveness(curves: Curves) -> float | None:
    """`comprehensiveness` as a share of what is lost with all units, in [0, 1]. Higher is better.

    Mean over q in Q of ``clip(max(0, p(x) - p(R(x, top(k(q))))) / (1 - suff0), 0, 1)``; see `normalised_sufficiency`.

    Returns:
        None where suff0 is 1.
    """
    whole = _loss_of_all(curves)
    if whole == 0:
        return None
    losses = np.maximum(0.0, curves.original - curves.removed(thresholds(curves.units)))
    return float(np.mean(np.clip(losses / whole, 0.0, 1.0)))


def _loss_of_all(curves: Curves) -> float:
    """``1 - suff0``: what the probability loses with all units, 0 where it gains."""
    return max(0.0, curves.original - float(curves.kept(np.array([0]))[0]))


def _area(heights: Floats) -> float:
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
        FaithfulnessMetric(
            "log_odds",
            "Log-odds",
            "log p(R(x, top(k(.20)))) − log p(x)",
            SHRIKUMAR,
            False,
            (-LOG_ODDS_LIMIT, LOG_ODDS_LIMIT),
            lambda n: {"removed": [k_of(LOG_ODDS_PERCENT, n)]},
            log_odds,
        ),
        FaithfulnessMetric(
            "normalised_comprehensiveness",
            "Normalised comprehensiveness",
            "mean over q of max(0, p(x) − p(R(x, top(k(q))))) / max(0, p(x) − p(nothing left)), in [0, 1]",
            CARTON,
            True,
            (0.0, 1.0),
            lambda n: {"removed": thresholds(n).tolist(), "kept": [0]},
            normalised_comprehensiveness,
            group="Normalised",
            undefined=NOTHING_LOST,
        ),
        FaithfulnessMetric(
            "normalised_sufficiency",
            "Normalised sufficiency",
            "mean over q of 1 − max(0, p(x) − p(R(x, all − top(k(q))))) / max(0, p(x) − p(nothing left)), in [0, 1]",
            CARTON,
            True,
            (0.0, 1.0),
            lambda n: {"kept": [0, *thresholds(n).tolist()]},
            normalised_sufficiency,
            group="Normalised",
            undefined=NOTHING_LOST,
        ),
        *AGREEMENT_METRICS,
        *SOFT_METRICS,
    )
}


def metrics_named(names: Iterable[str] | None) -> list[FaithfulnessMetric]:
    """The metrics of these names, in their order.

    None stands for those that are computed by default, and the name ``all`` for all.

    Raises:
        UnknownNameError: No metric has such a name.
        ParameterError: It is the name of a figure that is not chosen.
    """
    if names is None:
        return [metric for metric in METRICS.values() if metric.default]
    chosen = [one for name in names for one in (METRICS if name == ALL else [name])]
    for name in chosen:
        if name in RECOVERY:
            raise ParameterError(
                f"{name} is not chosen: every task with evidence has it. Choose from {', '.join(METRICS)}."
            )
        if name not in METRICS:
            raise UnknownNameError("metric", name, [*METRICS, ALL])
    return [METRICS[name] for name in dict.fromkeys(chosen)]
