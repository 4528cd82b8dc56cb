"""Which metric orders methods as the truth does: rank correlation with recovery, where the evidence is known exactly.

On a task with planted evidence the average precision of a method's ranking says how well it finds what decides, without
asking the model. A metric that can be trusted puts the methods into the same order. Protocol version 1: Kendall's τ-b
between the methods' means by the metric, turned so that more is better, and their mean average precision, over the same
examples, and resampled with them.

Source: Kendall 1945, The Treatment of Ties in Ranking Problems, Biometrika 33 (τ-b); Efron & Tibshirani 1993, An
Introduction to the Bootstrap (intervals).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from whybench.bench.comparison import rounding
from whybench.bench.errors import ComparisonError
from whybench.bench.statistics import RESAMPLES, percentile_intervals, resampled_means
from whybench.bench.workers import Apply

# two methods are in one order or the other: a τ of them is a coin's toss
FEWEST_METHODS = 3

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Trial:
    """Methods by one metric on one task, and by the truth. A NaN where an example has no figure.

    Attributes:
        metric: Name of the metric.
        values: The metric's figures, ``[examples, methods]``.
        recovery: Average precision of the same methods on the same examples, ``[examples, methods]``.
        higher_is_better: Direction of the metric.
    """

    metric: str
    values: Floats
    recovery: Floats
    higher_is_better: bool


@dataclass(frozen=True, eq=False)
class Agreement:
    """How far a metric and recovery order the methods of a task alike. Nothing in it is a NaN.

    Attributes:
        tau: τ-b in [−1, 1], higher is better: 1 for the same order, −1 for the opposite one, 0 where one of the two
            does not tell the methods apart; None where it is undefined.
        interval: Ends of its 95 % interval over examples, for these methods; None where it is undefined.
        undefined: Why it is; empty where it is defined.
        methods: Methods that were compared.
        examples: Examples with all figures.
        left_out: Examples that lack one.
        resampled: τ-b in every resample, ``[resamples]``; empty where it is undefined.
    """

    tau: float | None
    interval: tuple[float, float] | None
    undefined: str
    methods: int
    examples: int
    left_out: int
    resampled: Floats = field(repr=False)


@dataclass(frozen=True, eq=False)
class Trust:
    """A metric over several tasks. Nothing in it is a NaN.

    Attributes:
        by_task: Its agreement with the truth on each task that has the metric.
        tau: Mean τ-b over the tasks where it is defined; None where it is on none.
        interval: Ends of its 95 % interval over examples; None likewise.
        tasks: Tasks on which it is defined.
    """

    by_task: dict[str, Agreement]
    tau: float | None
    interval: tuple[float, float] | None
    tasks: tuple[str, ...]


def agreement(trial: Trial, *, seed: int | Sequence[int] = 0) -> Agreement:
    """Agreement of one metric's order of the methods with that by recovery, on one task.

    Methods whose means differ by no more than rounding are tied. A resample draws the same examples for the metric and
    for recovery.

    Args:
        trial: The figures.
        seed: Seed of the resamples.

    Raises:
        ComparisonError: The figures do not fit together or share no example, or one is infinite.
    """
    (found,) = agreements([trial], seed=seed)
    return found


def agreements(trials: Sequence[Trial], *, seed: int | Sequence[int] = 0) -> list[Agreement]:
    """`agreement` of several trials with the same seed; those with as many examples share their resamples.

    Raises:
        ComparisonError: The figures of a trial do not fit together or share no example, or one is infinite.
    """
    figures = [_common(trial) for trial in trials]
    groups: dict[int, list[int]] = {}
    for place, (trial, figure) in enumerate(zip(trials, figures, strict=True)):
        if trial.values.shape[1] >= FEWEST_METHODS:
            groups.setdefault(len(figure), []).append(place)
    drawn: dict[int, Floats] = {}
    for group in groups.values():
        # one draw for all of them: the same as one for each, as rows and seed are; most have the same recovery
        halves = {place: [half.tobytes() for half in np.hsplit(figures[place], 2)] for place in group}
        columns = {
            key: half for place in group for key, half in zip(halves[place], np.hsplit(figures[place], 2), strict=True)
        }
        together = resampled_means(np.hstack(list(columns.values())), seed=seed, resamples=RESAMPLES)
        ends = np.cumsum([half.shape[1] for half in columns.values()])
        means_of = dict(zip(columns, np.split(together, ends[:-1], axis=1), strict=True))
        drawn |= {place: np.hstack([means_of[key] for key in halves[place]]) for place in group}
    made = []
    truth: _Pairs | None = None
    for place, (trial, figure) in enumerate(zip(trials, figures, strict=True)):
        methods, left_out = trial.values.shape[1], len(trial.values) - len(figure)
        if place not in drawn:
            reason = f"{methods} method{'' if methods == 1 else 's'}: an order needs at least {FEWEST_METHODS}"
            made.append(Agreement(None, None, reason, methods, len(figure), left_out, np.empty(0)))
            continue
        values, recovery = figure[:, :methods], figure[:, methods:]
        tolerances = rounding(values), rounding(recovery)
        # the means themselves as one more resample, the first
        means = np.vstack((figure.mean(axis=0), drawn[place]))
        sign = 1.0 if trial.higher_is_better else -1.0
        # most metrics are held against the same recovery of the same methods
        if truth is None or truth.tolerance != tolerances[1] or not np.array_equal(truth.values, means[:, methods:]):
            truth = _Pairs(means[:, methods:], tolerances[1])
        taus = _taus(_Pairs(sign * means[:, :methods], tolerances[0]), truth)
        low, high = percentile_intervals(taus[1:])
        interval = float(low), float(high)
        made.append(Agreement(float(taus[0]), interval, "", methods, len(figure), left_out, taus[1:]))
    return made


def trust(tasks: Mapping[str, Sequence[Trial]], *, seed: int = 0, apply: Apply = map) -> dict[str, Trust]:
    """How far each metric can be trusted over tasks: the mean of its τ-b, with an interval.

    The resamples of one task are independent of those of another. The tasks need not have the same methods.

    Args:
        tasks: Per task a trial for each of its metrics.
        seed: Seed of the resamples.
        apply: Calls the function that takes long on each task.

    Returns:
        By the metric's name, in the order in which they first appear.

    Raises:
        ComparisonError: A task has two trials of a metric, or its figures do not fit together or share no example, or
            one is infinite.
    """
    by_metric: dict[str, dict[str, Agreement]] = {}
    made = apply(_agreements, [(trials, (seed, place)) for place, trials in enumerate(tasks.values())])
    for (task, trials), of_task in zip(tasks.items(), made, strict=True):
        for trial, found in zip(trials, of_task, strict=True):
            by_task = by_metric.setdefault(trial.metric, {})
            if task in by_task:
                raise ComparisonError(f"{task} has two trials of {trial.metric}. Give one for each metric.")
            by_task[task] = found
    return {metric: _over(by_task) for metric, by_task in by_metric.items()}


def _agreements(job: tuple[Sequence[Trial], tuple[int, int]]) -> list[Agreement]:
    trials, seed = job
    return agreements(trials, seed=seed)


def _over(by_task: dict[str, Agreement]) -> Trust:
    defined = {task: found for task, found in by_task.items() if found.tau is not None}
    if not defined:
        return Trust(by_task, None, None, ())
    mean = float(np.mean([found.tau for found in defined.values()]))
    low, high = percentile_intervals(np.mean([found.resampled for found in defined.values()], axis=0))
    return Trust(by_task, mean, (float(low), float(high)), tuple(defined))


def _common(trial: Trial) -> Floats:
    """Figures of the examples that have all of them, ``[examples, 2 · methods]``: the metric's, then recovery."""
    values, recovery = trial.values, trial.recovery
    if values.ndim != 2 or values.shape != recovery.shape or values.shape[1] == 0:
        raise ComparisonError(
            f"{trial.metric}: figures of shape {list(values.shape)} and recovery of shape {list(recovery.shape)} do "
            "not fit together. Give both as [examples, methods], of the same examples and at least one method."
        )
    both = np.hstack((values, recovery)).astype(np.float64)
    if np.isinf(both).any():
        raise ComparisonError(
            f"{trial.metric}: a figure or a recovery is infinite. Mend it, or give a NaN where there is none."
        )
    there = ~np.isnan(both).any(axis=1)
    if not there.any():
        raise ComparisonError(
            f"no example of {len(both):,} has {trial.metric} and recovery of all {values.shape[1]} methods. "
            "Leave out the methods with few figures, or score them on the same examples."
        )
    return both[there]


class _Pairs:
    """Which of two methods is ahead, for all pairs of them in every row of ``[rows, methods]``.

    Attributes:
        values: The rows.
        tolerance: Differences of no more are ties.
        signs: For each method but the last its signs against all later ones, ``[later, rows]``.
        untied: Pairs that are no tie, ``[rows]``.
    """

    def __init__(self, values: Floats, tolerance: float) -> None:
        self.values, self.tolerance = values, tolerance
        # methods first, so that sums over pairs run along the rows' stretch of memory
        methods = np.ascontiguousarray(values.T)
        self.signs = [_signs(methods[i] - methods[i + 1 :], tolerance) for i in range(len(methods) - 1)]
        self.untied = sum((np.abs(s).sum(axis=0, dtype=np.int64) for s in self.signs), np.zeros(len(values), np.int64))


def _taus(first: _Pairs, second: _Pairs) -> Floats:
    """Kendall's τ-b of each row; 0 where one of the two ties all methods."""
    agreed = np.zeros(len(first.values), dtype=np.int64)
    for one, other in zip(first.signs, second.signs, strict=True):
        agreed += (one * other).sum(axis=0, dtype=np.int16)
    untied = first.untied * second.untied
    taus = np.divide(agreed, np.sqrt(untied), out=np.zeros(len(agreed)), where=untied > 0)
    # rounding alone can lead beyond either end
    return np.asarray(np.clip(taus, -1.0, 1.0))


def _signs(differences: Floats, tolerance: float) -> NDArray[np.int8]:
    """1 for a difference above 0, −1 for one below, 0 for a tie."""
    return (differences > tolerance).view(np.int8) - (differences < -tolerance).view(np.int8)
