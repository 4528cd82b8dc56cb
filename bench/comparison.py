"""Which methods differ, by the statistics of protocol version 1: paired tests, rank intervals and tie groups.

Everything comes from one set of bootstrap resamples of the examples. A resample has a mean for every method, so that
the difference of two methods, and the rank of each, in that resample follow from the means.

Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap (intervals); Hall & Wilson 1991, Biometrics 47
(the test); Holm 1979, Scandinavian Journal of Statistics 6; Piepho 2004, Journal of Computational and Graphical
Statistics 13 (letters).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whybench.bench.errors import ComparisonError
from whybench.bench.statistics import RESAMPLES, percentile_intervals, resampled_means

ALPHA = 0.05

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Order:
    """Methods in order, from the resamples of their figures. Nothing in it is a NaN.

    Attributes:
        difference_intervals: Ends of the 95 % intervals of the row's method minus the column's,
            ``[2, methods, methods]``.
        p_values: Two-sided p-values of no difference, ``[methods, methods]``, 1 on the diagonal.
        corrected: The same after Holm's correction over all pairs.
        ranks: 1 for the best mean; equal means share their average rank, ``[methods]``.
        rank_intervals: Smallest and largest rank within the middle 95 % of the resamples, ``[2, methods]``.
        letters: Per method the numbers of its tie groups: two methods have one in common if and only if their
            difference is not significant.
    """

    difference_intervals: Floats
    p_values: Floats
    corrected: Floats
    ranks: Floats
    rank_intervals: Floats
    letters: tuple[tuple[int, ...], ...]

    @property
    def significant(self) -> Bools:
        """Which pairs differ at 5 % after Holm's correction, ``[methods, methods]``."""
        return self.corrected <= ALPHA


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of methods, each pair on the examples that both have a figure of; a NaN where they share none.

    Attributes:
        examples: How many each pair shares, ``[pairs]``.
        means: Mean figures of the first and of the second method on these examples, ``[2, pairs]``.
        difference_intervals: Ends of the 95 % intervals of the first minus the second, ``[2, pairs]``.
        p_values: Two-sided p-values of no difference, each pair tested alone, ``[pairs]``.
    """

    examples: NDArray[np.int64]
    means: Floats
    difference_intervals: Floats
    p_values: Floats


@dataclass(frozen=True, eq=False)
class Comparison(Order):
    """Methods in order on the examples that all of them have a figure of.

    Attributes:
        names: The methods, in the order of all else.
        examples: Examples that were compared.
        left_out: Examples that at least one method has no figure of.
        resamples: Number of resamples.
        means: Mean figures, ``[methods]``.
        intervals: Lower and upper ends of their 95 % intervals, ``[2, methods]``.
        differences: Mean of the row's method minus that of the column's, ``[methods, methods]``.
    """

    names: tuple[str, ...]
    examples: int
    left_out: int
    resamples: int
    means: Floats
    intervals: Floats
    differences: Floats


def compare(
    values: NDArray[np.floating[Any]], names: Sequence[str], *, higher_is_better: bool, seed: int = 0
) -> Comparison:
    """Compare methods that were scored on the same examples.

    The p-value of a difference d is the share of resamples whose difference d* strays from d at least as far as d is
    from 0: ``(1 + #{|d* − d| ≥ |d|}) / (1 + resamples)``. The resamples are centred, so that they show how far a
    difference of 0 strays by chance; the ones count the data themselves, so that no p-value is 0. It is never below
    ``2^(1−k)``, k the examples on which the two methods differ: no test by flipping signs could give less, and a
    bootstrap of a handful of examples would.

    There are 10,000 resamples; more where there are more than 500 pairs, 20 for each of them: the smallest p-value
    that they can give, times the pairs, must not be above 5 %. Intervals of differences are from the first 10,000.

    Args:
        values: ``[examples, methods]``, a NaN where a method has no figure of an example. Those examples are left out
            for all methods, and counted.
        names: The methods.
        higher_is_better: Direction of the figure.
        seed: Seed of the resamples.

    Raises:
        ComparisonError: No example has a figure of every method, there is no method, or a figure is infinite.
    """
    common = _common(np.asarray(values, dtype=np.float64), names)
    examples, methods = common.shape
    resamples = resamples_for(methods)
    resampled = np.ascontiguousarray(resampled_means(common, seed=seed, resamples=resamples).T)
    means = common.mean(axis=0)
    tolerance = rounding(common)
    found = order(
        means,
        resampled,
        differing(common, tolerance),
        higher_is_better=higher_is_better,
        tolerance=tolerance,
        intervals=True,
    )
    return Comparison(
        names=tuple(names),
        examples=examples,
        left_out=len(values) - examples,
        resamples=resamples,
        means=means,
        intervals=percentile_intervals(resampled),
        differences=means[:, None] - means,
        **vars(found),
    )


def compare_pairs(
    values: NDArray[np.floating[Any]], first: Sequence[int], second: Sequence[int], *, seed: int = 0
) -> Pairs:
    """Compare pairs of methods by the test of `compare`, each pair for itself.

    What a third method lacks changes nothing about a pair, and nothing is corrected: that is for those who know how
    many tests they look at.

    Args:
        values: ``[examples, methods]``, a NaN where a method has no figure of an example.
        first: Columns of the first methods, ``[pairs]``.
        second: Columns of the second ones, ``[pairs]``.
        seed: Seed of the resamples.

    Raises:
        ComparisonError: A figure is infinite.
    """
    if np.isinf(values).any():
        raise ComparisonError("a figure is infinite: it must be finite, or NaN where there is none. Mend the metric.")
    one, other = np.asarray(first, dtype=np.int64), np.asarray(second, dtype=np.int64)
    there = ~np.isnan(values)
    both = there[:, one] & there[:, other]
    examples = both.sum(axis=0)
    means, intervals = np.full((2, len(one)), np.nan), np.full((2, len(one)), np.nan)
    p_values = np.full(len(one), np.nan)
    # pairs on the same examples are resampled together
    groups: dict[bytes, list[int]] = {}
    for pair in np.flatnonzero(examples):
        groups.setdefault(both[:, pair].tobytes(), []).append(int(pair))
    for members in groups.values():
        group = np.array(members)
        methods, places = np.unique(np.concatenate((one[group], other[group])), return_inverse=True)
        common = np.asarray(values[both[:, group[0]]][:, methods], dtype=np.float64)
        tolerance = rounding(common)
        figures, apart = common.mean(axis=0), differing(common, tolerance)
        resampled = np.ascontiguousarray(resampled_means(common, seed=seed).T)
        left, right = np.split(places, 2)
        for i in np.unique(left):
            at = np.flatnonzero(left == i)
            others = right[at]
            drawn = resampled[i] - resampled[others]
            intervals[:, group[at]] = percentile_intervals(drawn)
            p_values[group[at]] = _p_values(drawn, figures[i] - figures[others], apart[i, others], tolerance)
        means[:, group] = figures[left], figures[right]
    return Pairs(examples, means, intervals, p_values)


def _p_values(drawn: Floats, differences: Floats, differing: NDArray[np.int64], tolerance: float) -> Floats:
    """P-values of differences, from the same in every resample, ``[pairs, resamples]``, which are overwritten."""
    drawn -= differences[:, None]
    np.abs(drawn, out=drawn)
    strayed = np.count_nonzero(drawn >= np.abs(differences)[:, None] - tolerance, axis=1)
    return np.asarray(np.maximum((1 + strayed) / (1 + drawn.shape[1]), np.minimum(1, 2.0 ** (1 - differing))))


def order(
    figures: Floats,
    resampled: Floats,
    differing: NDArray[np.int64],
    *,
    higher_is_better: bool,
    tolerance: float,
    intervals: bool = False,
) -> Order:
    """Order methods by any figure that was resampled over examples, as `compare` does by means.

    Args:
        figures: The figures, ``[methods]``.
        resampled: The same in every resample, ``[methods, resamples]``, contiguous; of `resamples_for` resamples.
        differing: Examples on which two methods differ, ``[methods, methods]``; no p-value is below ``2^(1−k)``.
        higher_is_better: Direction of the figure.
        tolerance: What two figures may differ by though they are the same.
        intervals: Whether the intervals of the differences are wanted, which take long; they are 0 if not.
    """
    methods, resamples = resampled.shape
    sign = 1.0 if higher_is_better else -1.0
    differences = figures[:, None] - figures
    difference_intervals = np.zeros((2, methods, methods))
    p_values = np.ones((methods, methods))
    # twice the wins minus the losses, whole numbers: these arrays are large, and their steps are few
    lead = np.zeros((methods, resamples), dtype=np.int16)
    for i in range(methods - 1):
        others = slice(i + 1, methods)
        drawn = resampled[i] - resampled[others]
        won = (drawn > tolerance).astype(np.int8)
        won -= drawn < -tolerance
        lead[i] += won.sum(axis=0, dtype=np.int16)
        lead[others] -= won
        if intervals:
            # a pair's interval is the same whatever other methods there are
            low, high = percentile_intervals(drawn[:, :RESAMPLES])
            difference_intervals[:, i, others] = low, high
            difference_intervals[:, others, i] = -high, -low
        p = _p_values(drawn, differences[i, others], differing[i, others], tolerance)
        p_values[i, others] = p_values[others, i] = p
    # a method's rank is 1 and the number of better ones, ties counting half
    resampled_ranks = (methods + 1 - (1.0 if higher_is_better else -1.0) * lead) / 2

    corrected = np.ones((methods, methods))
    upper = np.triu_indices(methods, 1)
    corrected[upper] = corrected.T[upper] = holm(p_values[upper])
    ranks = ranks_of(sign * figures, tolerance)
    return Order(
        difference_intervals,
        p_values,
        corrected,
        ranks,
        _rank_intervals(resampled_ranks),
        letters(corrected > ALPHA, ranks),
    )


def resamples_for(methods: int) -> int:
    """Resamples that so many methods need for their smallest p-value to be significant after the correction."""
    return max(RESAMPLES, math.ceil(methods * (methods - 1) / 2 / ALPHA))


def differing(values: Floats, tolerance: float) -> NDArray[np.int64]:
    """Examples on which two columns of ``[examples, methods]`` differ, ``[methods, methods]``."""
    return np.array([(np.abs(values - column[:, None]) > tolerance).sum(axis=0) for column in values.T], dtype=np.int64)


def holm(p_values: Floats) -> Floats:
    """Holm's step-down correction of p-values, ``[tests]``: the family's error rate is the level, whatever depends."""
    order = np.argsort(p_values, kind="stable")
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.empty(len(p_values))
    corrected[order] = np.minimum(1, np.maximum.accumulate(factors * p_values[order]))
    return corrected


def letters(tied: Bools, ranks: Floats) -> tuple[tuple[int, ...], ...]:
    """Tie groups as a compact letter display.

    "Not significantly different" is no equivalence: a may tie with b and b with c where a and c differ. So a method can
    be in several groups, every group holds methods of which no two differ, and every pair that does not differ has
    a group in common.

    Args:
        tied: Whether two methods do not differ, symmetric, ``[methods, methods]``; the diagonal is not read.
        ranks: Their order, the smallest first, ``[methods]``.

    Returns:
        Per method the numbers of its groups, ascending; group 0 holds the first in order.
    """
    order = [int(i) for i in np.argsort(ranks, kind="stable")]
    together = np.zeros_like(tied)
    groups: list[list[int]] = []
    for place, i in enumerate(order):
        for j in order[place + 1 :]:
            if tied[i, j] and not together[i, j]:
                group = [i, j]
                for k in order:
                    if k not in group and tied[k, group].all():
                        group.append(k)
                together[np.ix_(group, group)] = True
                groups.append(group)
        if not any(i in group for group in groups):
            groups.append([i])
    return tuple(tuple(g for g, group in enumerate(groups) if i in group) for i in range(len(order)))


def letter(group: int) -> str:
    """Name of a tie group: a, b, …, z, aa, ab and so on."""
    name = ""
    while group >= 0:
        name = chr(ord("a") + group % 26) + name
        group = group // 26 - 1
    return name


def ranks_of(scores: Floats, tolerance: float) -> Floats:
    """Ranks of scores, 1 for the largest; those within ``tolerance`` of each other share their average rank."""
    wins = _wins(scores[:, None] - scores, tolerance)
    # a score ties with itself, which is half a win
    return np.asarray(len(scores) + 0.5 - wins.sum(axis=1), dtype=np.float64)


def rounding(values: Floats) -> float:
    """What the means of two columns of ``[examples, columns]`` may differ by though they are the same."""
    return float(4 * len(values) * np.finfo(np.float64).eps * np.abs(values).max())


def _wins(differences: Floats, tolerance: float) -> Floats:
    """1 for a difference above 0, 0 for one below, one half for none."""
    return np.asarray(0.5 * ((differences > tolerance) + 1.0 - (differences < -tolerance)))


def _rank_intervals(ranks: Floats) -> Floats:
    # ranks are steps: the ends are ranks that were seen, never a number between two of them
    tail = 100 * ALPHA / 2
    low = np.percentile(ranks, tail, axis=1, method="lower")
    high = np.percentile(ranks, 100 - tail, axis=1, method="higher")
    return np.array([low, high])


def _common(values: Floats, names: Sequence[str]) -> Floats:
    """The examples of which every method has a figure."""
    if values.ndim != 2 or values.shape[1] != len(names) or not names:
        raise ComparisonError(
            f"{len(names)} methods cannot be compared by figures of shape {list(values.shape)}: "
            "[examples, methods] with at least one method is needed. Pass one column for every name."
        )
    infinite = np.isinf(values).any(axis=0)
    if infinite.any():
        raise ComparisonError(
            f"{names[int(infinite.argmax())]!r} has an infinite figure: a figure must be finite, or NaN where there is "
            "none. Mend the metric."
        )
    there = ~np.isnan(values)
    common = values[there.all(axis=1)]
    if not len(common):
        counts = ", ".join(f"{name} {count:,}" for name, count in zip(names, there.sum(axis=0), strict=True))
        raise ComparisonError(
            f"no example of {len(values):,} has a figure of every method ({counts}). "
            "Leave out the methods with few figures, or score them on the same examples."
        )
    return common
