"""Skill: figures of several metrics, models and tasks on one scale, from a floor (0) to a ceiling (1).

Protocol version 1: ``(m − floor) / (ceiling − floor)`` on the means over a dataset's examples. The floor and the
ceiling are resampled with the method: they are means over the same examples, and no more certain than it is. The
overall figure is the mean skill over tasks; a Borda count, which needs no ceiling, stands beside it.

Source: Zhou & Shah 2023, The Solvability of Interpretability Evaluation Metrics, arXiv:2205.08696 (a ceiling found by
search).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whybench.bench.comparison import Order, differing, order, ranks_of, resamples_for, rounding
from whybench.bench.errors import ComparisonError
from whybench.bench.statistics import RESAMPLES, percentile_intervals, resampled_means
from whybench.bench.workers import Apply

Floats = NDArray[np.float64]

# skills that differ by less are the same: quotients of means have lost some digits
_SAME = 1e-12


@dataclass(frozen=True, eq=False)
class Contest:
    """Methods between two references, by one metric on one task. A NaN where an example has no figure.

    Attributes:
        metric: Name of the metric.
        values: Figures of the methods, ``[examples, methods]``.
        floor: Figures at chance, ``[examples]``.
        ceiling: Figures of the best that is known, ``[examples]``.
        higher_is_better: Direction of the metric.
    """

    metric: str
    values: Floats
    floor: Floats
    ceiling: Floats
    higher_is_better: bool


@dataclass(frozen=True, eq=False)
class Skill:
    """Skill of methods on a task. Nothing in it is a NaN.

    Attributes:
        means: Skill, mean over the metrics, ``[methods]``; None where it is undefined.
        intervals: Ends of its 95 % intervals, ``[2, methods]``; None where it is undefined.
        undefined: Why it is; empty where it is defined.
        examples: Examples with all figures.
        left_out: Examples that lack one.
    """

    means: Floats | None
    intervals: Floats | None
    undefined: str
    examples: int
    left_out: int


@dataclass(frozen=True, eq=False)
class Overall:
    """Methods over several tasks. Nothing in it is a NaN.

    Attributes:
        means: Mean skill over ``tasks``, ``[methods]``; None where it is defined on none.
        intervals: Ends of its 95 % intervals, ``[2, methods]``; None likewise.
        tasks: Tasks on which skill is defined, the same for all methods.
        undefined: The other tasks, and why.
        borda: Share of the other methods that a method beats, a tie being half: mean over a task's metrics, then over
            all tasks, ``[methods]``. None for a method alone.
        order: Ranks and tie groups by the mean skill, from the same resamples; None for a method alone, or no task.
    """

    means: Floats | None
    intervals: Floats | None
    tasks: tuple[str, ...]
    undefined: dict[str, str]
    borda: Floats | None
    order: Order | None


def skill(contests: Sequence[Contest], *, seed: int = 0) -> Skill:
    """Skill of methods on one task: the mean of their skills by each of its metrics, resampled together.

    It is undefined where by one of the metrics the ceiling is not better than the floor, on the examples or in any
    resample: the quotient has no meaning then, or no bounds.

    Args:
        contests: One per metric, of the same methods on the same examples.
        seed: Seed of the resamples.

    Raises:
        ComparisonError: The contests do not fit together or share no example, or a figure is infinite.
    """
    figures, left_out = _together(contests)
    drawn, examples = _skills(contests, figures, seed, RESAMPLES), len(figures[0])
    if isinstance(drawn, str):
        return Skill(None, None, drawn, examples, left_out)
    return Skill(drawn[0], percentile_intervals(drawn[1:].T), "", examples, left_out)


def overall(tasks: Mapping[str, Sequence[Contest]], *, seed: int = 0, apply: Apply = map) -> Overall:
    """Mean skill over tasks, and Borda count. The resamples of one task are independent of those of another.

    Args:
        tasks: Per task one contest per metric; all of the same methods.
        seed: Seed of the resamples.
        apply: Calls the function that takes long on each task.

    Raises:
        ComparisonError: The contests do not fit together or share no example, or a figure is infinite.
    """
    methods = {contest.values.shape[-1] for contests in tasks.values() for contest in contests}
    if len(methods) != 1:
        raise ComparisonError(
            f"{len(tasks)} tasks with {sorted(methods)} methods have no overall figure. "
            "Give at least one task, and only the methods that all tasks have."
        )
    (count,) = methods
    resamples = resamples_for(count)
    # the mean over tasks, summed up as they come: all of their resamples at once would be too many
    total: Floats = np.zeros((1 + resamples, count))
    apart = np.zeros((count, count), dtype=np.int64)
    defined: list[str] = []
    undefined: dict[str, str] = {}
    points: list[Floats] = []
    jobs = [(contests, (seed, place), resamples) for place, contests in enumerate(tasks.values())]
    for name, (borda, drawn, differ) in zip(tasks, apply(_of_task, jobs), strict=True):
        points.append(borda)
        if isinstance(drawn, str):
            undefined[name] = drawn
        else:
            defined.append(name)
            total += drawn
            apart += differ
    mean = total / len(defined) if defined else None
    ordered = None
    if mean is not None and count > 1:
        resampled = np.ascontiguousarray(mean[1:].T)
        ordered = order(mean[0], resampled, apart, higher_is_better=True, tolerance=_SAME)
    return Overall(
        means=None if mean is None else mean[0],
        intervals=None if mean is None else percentile_intervals(mean[1:].T),
        tasks=tuple(defined),
        undefined=undefined,
        borda=np.mean(points, axis=0) if count > 1 else None,
        order=ordered,
    )


def _of_task(
    job: tuple[Sequence[Contest], tuple[int, int], int],
) -> tuple[Floats, Floats | str, NDArray[np.int64]]:
    """Borda shares of a task, skill and its resamples, and on how many examples two methods differ."""
    contests, seed, resamples = job
    figures, _ = _together(contests)
    shares = [_borda(contest, figure) for contest, figure in zip(contests, figures, strict=True)]
    apart = np.max([differing(figure[:, :-2], rounding(figure)) for figure in figures], axis=0)
    return np.mean(shares, axis=0), _skills(contests, figures, seed, resamples), apart


def _together(contests: Sequence[Contest]) -> tuple[list[Floats], int]:
    """Figures per metric, ``[examples, methods + 2]``, floor and ceiling last, and the number of examples left out."""
    if not contests or len({one.values.shape for one in contests}) != 1:
        raise ComparisonError(
            f"contests of shapes {[list(one.values.shape) for one in contests]} do not fit together: a task needs at "
            "least one metric, and all of its metrics the same examples and methods."
        )
    columns = []
    for one in contests:
        if not one.values.shape[:1] == one.floor.shape == one.ceiling.shape:
            raise ComparisonError(
                f"{one.metric}: floor {list(one.floor.shape)} and ceiling {list(one.ceiling.shape)} do not fit figures "
                f"of shape {list(one.values.shape)}. Give one number of each for every example."
            )
        columns.append(np.column_stack((one.values, one.floor, one.ceiling)).astype(np.float64))
        if np.isinf(columns[-1]).any():
            raise ComparisonError(f"{one.metric} has an infinite figure. Mend it, or give a NaN where there is none.")
    there = np.all([~np.isnan(part).any(axis=1) for part in columns], axis=0)
    if not there.any():
        raise ComparisonError(
            f"no example of {len(there):,} has all figures of {', '.join(one.metric for one in contests)}. "
            "Leave out the methods with few figures, or score them on the same examples."
        )
    return [part[there] for part in columns], int((~there).sum())


def _skills(
    contests: Sequence[Contest], figures: Sequence[Floats], seed: int | Sequence[int], resamples: int
) -> Floats | str:
    """Skill on the examples, then in every resample, ``[1 + resamples, methods]``; or why it is undefined."""
    drawn = resampled_means(np.column_stack(figures), seed=seed, resamples=resamples)
    means = np.split(np.vstack((np.concatenate([part.mean(axis=0) for part in figures]), drawn)), len(figures), axis=1)
    skills = []
    for contest, figure, mean in zip(contests, figures, means, strict=True):
        floor, ceiling = mean[:, -2], mean[:, -1]
        better = (ceiling - floor if contest.higher_is_better else floor - ceiling) > rounding(figure)
        if not better[0]:
            return f"{contest.metric}: the ceiling ({ceiling[0]:.4g}) is not better than the floor ({floor[0]:.4g})"
        if not better.all():
            count = f"{(~better).sum():,} of {resamples:,}"
            return f"{contest.metric}: the ceiling is not better than the floor in {count} resamples"
        skills.append((mean[:, :-2] - floor[:, None]) / (ceiling - floor)[:, None])
    return np.asarray(np.mean(skills, axis=0))


def _borda(contest: Contest, figure: Floats) -> Floats:
    """Share of the other methods that each beats, ties half, ``[methods]``."""
    scores = figure[:, :-2].mean(axis=0) * (1 if contest.higher_is_better else -1)
    others = max(1, len(scores) - 1)
    return np.asarray((len(scores) - ranks_of(scores, rounding(figure))) / others)
