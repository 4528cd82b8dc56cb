"""Intervals of paired changes, wide enough for all that are tested at once.

With m tests every interval holds at 1 − 0.05/m, which bounds the chance of even one false alarm by 5 % (Bonferroni).

- A mean difference has a symmetric interval: the wider of the bootstrap's, from the resamples of
  `whybench.bench.comparison`, and of Student's t, which does not trust a handful of examples. It reaches 0 where so few
  examples differ that flipping their signs by chance would not be rare enough.
- A ratio of times has Student's interval of the difference of mean logarithms over runs, with one variance for both.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from whybench.bench.comparison import ALPHA, rounding
from whybench.bench.statistics import RESAMPLES, resampled_means

Floats = NDArray[np.float64]

_LARGEST_LOG = 700.0


def score_intervals(differences: Floats, tests: int, *, seed: int = 0) -> tuple[Floats, Floats]:
    """Mean differences, and how far the symmetric intervals that hold for so many tests together reach.

    Args:
        differences: ``[examples, columns]``, new minus base, finite.
        tests: How many means are tested in all.
        seed: Seed of the resamples.

    Returns:
        Means and half-widths, ``[columns]``; a half-width is infinite where there is one example only.
    """
    means = differences.mean(axis=0)
    halves = np.zeros(differences.shape[1])
    # what is the same on every example has no interval
    tolerance = 0.0 if not differences.size else rounding(differences)
    moving = np.flatnonzero((np.abs(differences) > tolerance).any(axis=0))
    if not len(moving):
        return means, halves
    examples = len(differences)
    if examples == 1:
        halves[moving] = math.inf
        return means, halves
    level = ALPHA / tests
    some = differences[:, moving]
    resamples = max(RESAMPLES, math.ceil(tests / ALPHA))
    strayed = np.abs(resampled_means(some, seed=seed, resamples=resamples) - means[moving])
    # p = (1 + those that stray as far) / (1 + resamples) is at most the level for everything beyond this one
    beyond = max(0, math.floor(level * (1 + resamples) + 1e-9) - 1)
    drawn = np.partition(strayed, resamples - 1 - beyond, axis=0)[resamples - 1 - beyond]
    reach = np.maximum(drawn, students_halves(some, tests)) + tolerance
    differing = (np.abs(some) > tolerance).sum(axis=0)
    rare = 2.0 ** (1 - differing) <= level
    halves[moving] = np.where(rare, reach, np.maximum(reach, np.abs(means[moving])))
    return means, halves


def students_halves(differences: Floats, tests: int) -> Floats:
    """How far Student's intervals reach: what `score_intervals` never falls below, and needs no resamples.

    Args:
        differences: ``[examples, columns]``, at least two examples.
        tests: How many means are tested in all.
    """
    examples = len(differences)
    reach: Floats = differences.std(axis=0, ddof=1) / math.sqrt(examples)
    return reach * float(stats.t.ppf(1 - ALPHA / tests / 2, examples - 1))


def ratio_interval(base: Floats, new: Floats, tests: int) -> tuple[float, float]:
    """Interval of the ratio of two geometric means, that holds for so many tests together.

    Args:
        base: Logarithms of what every run took, ``[runs]``, at least two.
        new: The same of the new version; the two need not be as many.
        tests: How many such ratios are tested in all.
    """
    degrees = len(base) + len(new) - 2
    spread = (base.var() * len(base) + new.var() * len(new)) / degrees * (1 / len(base) + 1 / len(new))
    half = float(stats.t.ppf(1 - ALPHA / tests / 2, degrees)) * math.sqrt(spread)
    # runs that took just as long, rounding aside, do not differ
    half = max(half, rounding(np.concatenate([base, new])[:, None]))
    log = float(new.mean() - base.mean())
    return math.exp(max(log - half, -_LARGEST_LOG)), math.exp(min(log + half, _LARGEST_LOG))
