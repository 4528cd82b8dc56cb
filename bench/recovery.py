"""Agreement with evidence: does the ranking find the units that are known to decide the label?

Two figures of the protocol's section 4. Both read the ranking, ties broken as everywhere, and the evidence units.
Examples without evidence are left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from whybench.bench.curves import Bools, Ints
from whybench.bench.metric import ERASER, Metric


@dataclass(frozen=True)
class RecoveryMetric(Metric):
    """A metric of one example's ranking and evidence.

    Attributes:
        value: The number, from the rank of every unit (0 for the best) and whether each is evidence, ``[units]`` both.
    """

    value: Callable[[Ints, Bools], float]


def average_precision(rank: Ints, evidence: Bools) -> float:
    """Mean, over the evidence units, of the precision at their rank: the exact sum, not a trapezoid.

    Args:
        rank: Rank of every unit, ``[units]``, 0 for the best.
        evidence: Whether each unit is evidence, ``[units]``; at least one is.
    """
    places = np.sort(rank[evidence])
    return float(np.mean(np.arange(1, len(places) + 1) / (places + 1)))


def evidence_f1(rank: Ints, evidence: Bools) -> float:
    """F1 of the k best units against the evidence, k the example's own number of evidence units.

    Both sets have k units, so precision, recall and F1 are the same share.
    """
    k = int(evidence.sum())
    return float(np.mean(rank[evidence] < k))


def evidence_units(unit_spans: tuple[tuple[int, int, int], ...], evidence: tuple[tuple[int, int, int], ...]) -> Bools:
    """Which units share a character with a span of evidence, ``[units]``; both as (segment, start, end)."""
    return np.array(
        [
            any(segment == s and start < stop and begin < end for s, begin, stop in evidence)
            for segment, start, end in unit_spans
        ],
        dtype=bool,
    )


RECOVERY: dict[str, RecoveryMetric] = {
    metric.name: metric
    for metric in (
        RecoveryMetric(
            "average_precision",
            "Average precision",
            "mean over evidence units of the precision at their rank",
            ERASER,
            True,
            (0.0, 1.0),
            average_precision,
        ),
        RecoveryMetric(
            "evidence_f1",
            "Evidence F1",
            "F1 of the k best units, k = number of evidence units",
            ERASER,
            True,
            (0.0, 1.0),
            evidence_f1,
        ),
    )
}
