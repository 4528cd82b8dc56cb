"""Agreement with evidence: does the ranking find the units that are known to decide the label?

The protocol's section 4. All figures read the ranking, ties broken as everywhere, and what is known of the units. On
evidence that people marked they say how plausible an explanation is; on planted evidence, which is exact, how much of
it was recovered. Examples without evidence, or without the role that a figure asks for, are left out and counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from whybench.bench.choices import Role
from whybench.bench.curves import Bools, Ints
from whybench.bench.metric import ERASER, Metric
from whybench.bench.task import Example, Roles

MATCH = 0.5
"""Least IoU at which a span that was found counts as one of the evidence's, as in ERASER."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What is known of one example's units.

    Attributes:
        segments: Which text each unit is in, ``[units]``.
        units: Whether each is evidence, ``[units]``.
        necessary: Whether each is necessary evidence, ``[units]``.
        sufficient: The smallest sufficient sets, ``[units]`` each; one that was cut off in part is not among them.
        distractor: Whether each is a distractor, ``[units]``.
        roles: Whether the data says anything about roles.
    """

    segments: Ints
    units: Bools
    necessary: Bools
    sufficient: tuple[Bools, ...]
    distractor: Bools
    roles: bool

    def has(self, role: Role | None) -> bool:
        """Whether there is evidence, and a unit of that role."""
        if role == "sufficient":
            return bool(self.sufficient)
        units = {None: self.units, "necessary": self.necessary, "distractor": self.distractor}[role]
        return bool(self.units.any() and units.any())


@dataclass(frozen=True)
class RecoveryMetric(Metric):
    """A metric of one example's ranking and evidence.

    Attributes:
        value: The number, from the rank of every unit (``[units]``, 0 for the best) and what is known of the units.
        role: The role without which an example has no such figure; None where evidence is enough.
    """

    value: Callable[[Ints, Evidence], float]
    role: Role | None = None


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


def evidence_iou(rank: Ints, evidence: Bools) -> float:
    """Size of the intersection of the k best units with the k evidence units over that of their union."""
    best = rank < evidence.sum()
    return float((best & evidence).sum() / (best | evidence).sum())


def span_f1(rank: Ints, evidence: Bools, segments: Ints) -> float:
    """F1 of the spans that the k best units form against those of the evidence, matched at an IoU of at least `MATCH`.

    Spans are the longest runs of consecutive units within one text. ERASER counts the found spans that match, and takes
    precision and recall from that one count. No two of them match the same span of the evidence, nor the other way
    round: with IoUs of .5 the two would be its halves, and adjacent runs are one. So the F1 is twice the matches over
    the number of spans on both sides. ERASER makes an F1 of the dataset's mean precision and recall; here, as in every
    figure, each example has its own.
    """
    found, wanted = _runs(rank < evidence.sum(), segments), _runs(evidence, segments)
    matches = sum(any(_overlap(one, other) >= MATCH for other in wanted) for one in found)
    return 2 * matches / (len(found) + len(wanted))


def _runs(units: Bools, segments: Ints) -> list[range]:
    """The longest runs of consecutive units within one segment, as indices of units."""
    runs: list[range] = []
    for i in np.flatnonzero(units).tolist():
        if runs and runs[-1].stop == i and segments[i - 1] == segments[i]:
            runs[-1] = range(runs[-1].start, i + 1)
        else:
            runs.append(range(i, i + 1))
    return runs


def _overlap(one: range, other: range) -> float:
    """Units that two runs share, over the units of both."""
    shared = max(0, min(one.stop, other.stop) - max(one.start, other.start))
    return shared / (len(one) + len(other) - shared)


def distractors_ahead(rank: Ints, evidence: Bools, distractor: Bools) -> float:
    """Share of the pairs of a distractor and an evidence unit in which the distractor ranks higher; 0.5 by chance."""
    return float(np.mean(rank[distractor][:, None] < rank[evidence]))


def evidence_units(unit_spans: Sequence[tuple[int, int, int]], evidence: Sequence[tuple[int, int, int]]) -> Bools:
    """Which units share a character with a span of evidence, ``[units]``; both as (segment, start, end)."""
    return np.array(
        [
            any(segment == s and start < stop and begin < end for s, begin, stop in evidence)
            for segment, start, end in unit_spans
        ],
        dtype=bool,
    )


def evidence_of(example: Example, unit_spans: Sequence[tuple[int, int, int]]) -> Evidence | None:
    """What an example says of its units, each as (segment, start, end); None where its evidence is not known."""
    if example.evidence is None:
        return None
    units, roles = evidence_units(unit_spans, example.evidence), example.roles or Roles()
    # the end of a long text is cut off, and with it what may be in a set
    whole = [spans for spans in roles.sufficient if all(evidence_units(unit_spans, [span]).any() for span in spans)]
    return Evidence(
        segments=np.array([segment for segment, _, _ in unit_spans], dtype=np.int64),
        units=units,
        necessary=evidence_units(unit_spans, roles.necessary),
        sufficient=tuple(evidence_units(unit_spans, spans) for spans in whole),
        # a unit that is evidence in part is evidence
        distractor=evidence_units(unit_spans, roles.distractor) & ~units,
        roles=example.roles is not None,
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
            lambda rank, evidence: average_precision(rank, evidence.units),
        ),
        RecoveryMetric(
            "evidence_f1",
            "Evidence F1",
            "F1 of the k best units, k = number of evidence units",
            ERASER,
            True,
            (0.0, 1.0),
            lambda rank, evidence: evidence_f1(rank, evidence.units),
        ),
        RecoveryMetric(
            "evidence_iou",
            "Evidence IoU",
            "intersection over union of the k best units with the k evidence units",
            f"mean token IoU, as in ferret (Attanasio et al. 2023, arXiv:2208.01575); {ERASER}",
            True,
            (0.0, 1.0),
            lambda rank, evidence: evidence_iou(rank, evidence.units),
        ),
        RecoveryMetric(
            "span_f1",
            "Span F1",
            "F1 of the runs of consecutive units among the k best against those of the evidence, matched at IoU ≥ .5",
            f"{ERASER} (IoU F1)",
            True,
            (0.0, 1.0),
            lambda rank, evidence: span_f1(rank, evidence.units, evidence.segments),
        ),
        RecoveryMetric(
            "necessary_average_precision",
            "AP, necessary",
            "average precision against the necessary units: without any one of them the rule gives no label",
            ERASER,
            True,
            (0.0, 1.0),
            lambda rank, evidence: average_precision(rank, evidence.necessary),
            "necessary",
        ),
        RecoveryMetric(
            "sufficient_average_precision",
            "AP, sufficient",
            "average precision against a smallest set that alone gives the label; of several, the best found",
            ERASER,
            True,
            (0.0, 1.0),
            lambda rank, evidence: max(average_precision(rank, units) for units in evidence.sufficient),
            "sufficient",
        ),
        RecoveryMetric(
            "distractors_ahead",
            "Distractors ahead",
            "share of pairs of a distractor and an evidence unit in which the distractor ranks higher; 0.5 by chance",
            "1 − the area under the ROC curve of evidence against distractors",
            False,
            (0.0, 1.0),
            lambda rank, evidence: distractors_ahead(rank, evidence.units, evidence.distractor),
            "distractor",
        ),
    )
}
