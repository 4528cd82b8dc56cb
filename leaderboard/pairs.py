"""All pairs of a board's methods by one figure: what both pages that put two methods head to head are made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whybench.bench.comparison import compare_pairs, differing, resamples_for, rounding
from whybench.bench.figures import FIGURES
from whybench.bench.statistics import RESAMPLES
from whybench.leaderboard.columns import numbers
from whybench.leaderboard.ranks import compared
from whybench.leaderboard.skills import SKILL_METRICS
from whybench.leaderboard.tables import HEADINGS, Column, Row, Table

# differences drawn for figures that no table is ranked by, over the whole site: about a second for each 50 million
MOST_DRAWS = 350_000_000

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Contenders:
    """Who can be compared on a board.

    Attributes:
        rows: The ranked methods, the best first, then the others: methods, then references.
        ranked: How many are ranked.
        columns: The figures that all ranked ones have and that have a better end; that of the ranks first.
    """

    rows: tuple[Row, ...]
    ranked: int
    columns: tuple[Column, ...]

    @property
    def draws(self) -> int:
        """Differences that are drawn for one figure."""
        pairs, among = _pairs(len(self.rows)), _pairs(self.ranked)
        return among * resamples_for(self.ranked) + (pairs - among) * RESAMPLES


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs by one figure. Arrays are ``[methods, methods]``, the row's method first; a NaN where a pair shares
    no example.

    Attributes:
        column: The figure.
        rows: The methods, the ranked ones first.
        ranked: How many are ranked.
        ids: Examples of which every ranked method has the figure.
        values: Their figures, ``[examples, methods]``; a NaN where a method that is not ranked has none.
        examples: How many of them a pair shares.
        means: Mean of the row's method on these, to nine decimals.
        intervals: Ends of the 95 % intervals of the row's mean minus the column's, ``[2, methods, methods]``, to three
            decimals: the pages and their scripts are to write the same.
        p_values: P-value of each pair, tested alone.
        corrected: The same after Holm's correction over all pairs of ranked methods, for these pairs; else a NaN.
        wins: Examples on which the row's method is better.
        ties: Examples on which the two are the same.
    """

    column: Column
    rows: tuple[Row, ...]
    ranked: int
    ids: tuple[str, ...]
    values: Floats
    examples: Ints
    means: Floats
    intervals: Floats
    p_values: Floats
    corrected: Floats
    wins: Ints
    ties: Ints

    @property
    def differences(self) -> Floats:
        """The row's mean minus the column's."""
        return (self.means - self.means.T).round(9)


def contenders(table: Table) -> Contenders | None:
    """Who can be compared on a board; None where fewer than two can."""
    if table.board.measure != "faithfulness":
        return None
    ranked = tuple(row for row in table.methods if row.standing is not None)
    columns = [column for column in table.figures if column.better is not None]
    others = tuple(
        row
        for row in table.rows
        if row.standing is None and any(column.key in row.result.figures for column in columns)
    )
    rows = ranked + others
    shared = tuple(
        column
        for column in columns
        if all(column.key in row.result.figures for row in ranked)
        and sum(column.key in row.result.figures for row in rows) > 1
    )
    return Contenders(rows, len(ranked), shared) if shared else None


def affordable(found: Mapping[str, Contenders], most: int | None = None) -> dict[str, Contenders]:
    """The same with as many figures as a site has time and room for.

    Every board keeps its first figure. Then come those of skill, the first of evidence, and then all others, each on
    all boards that have it.

    Args:
        found: Per board who can be compared.
        most: Differences that may be drawn for them; `MOST_DRAWS` by default.
    """
    left = MOST_DRAWS if most is None else most
    leading = [*SKILL_METRICS]
    for one in found.values():
        leading += [column.key for column in one.columns if column.group in HEADINGS.values()][:1]
    every = dict.fromkeys(column.key for one in found.values() for column in one.columns)
    kept = {name: {one.columns[0].key} for name, one in found.items()}
    for key in dict.fromkeys(key for key in (*leading, *every) if key in every):
        boards = [n for n, one in found.items() if key not in kept[n] and any(c.key == key for c in one.columns)]
        left -= sum(found[name].draws for name in boards)
        if left < 0:
            break
        for name in boards:
            kept[name].add(key)
    return {
        name: Contenders(one.rows, one.ranked, tuple(column for column in one.columns if column.key in kept[name]))
        for name, one in found.items()
    }


def pairs(found: Contenders, column: Column) -> Pairs | None:
    """All pairs by one figure; None where the ranked methods share no example.

    Raises:
        CorruptResultError: A per-example table is damaged.
    """
    rows, ranked, metric = found.rows, found.ranked, FIGURES[column.key]
    figures = [numbers(row.stored, column.key) if column.key in row.result.figures else {} for row in rows]
    if ranked:
        ids = tuple(one for one in figures[0] if all(one in known for known in figures[:ranked]))
    else:
        ids = tuple(dict.fromkeys(one for known in figures for one in known))
    if not ids:
        return None
    values = np.array([[known.get(one, np.nan) for one in ids] for known in figures]).T
    size = len(rows)
    examples = np.zeros((size, size), dtype=np.int64)
    means, p_values, corrected = (np.full((size, size), np.nan) for _ in range(3))
    intervals = np.full((2, size, size), np.nan)
    if ranked > 1:
        block = slice(0, ranked), slice(0, ranked)
        whole = compared([row.stored for row in rows[:ranked]], [row.name for row in rows[:ranked]], metric)
        examples[block], means[block] = whole.examples, whole.means[:, None]
        intervals[:, *block] = whole.difference_intervals
        p_values[block], corrected[block] = whole.p_values, whole.corrected
    first, second = np.triu_indices(size, 1)
    outside = second >= ranked
    i, j = first[outside], second[outside]
    alone = compare_pairs(values, i.tolist(), j.tolist())
    examples[i, j] = examples[j, i] = alone.examples
    means[i, j], means[j, i] = alone.means
    intervals[:, i, j], intervals[:, j, i] = alone.difference_intervals, -alone.difference_intervals[::-1]
    p_values[i, j] = p_values[j, i] = alone.p_values
    means, intervals = means.round(9), intervals.round(3)
    wins, ties = _counts(values, column.better == "higher")
    return Pairs(column, rows, ranked, ids, values, examples, means, intervals, p_values, corrected, wins, ties)


def _counts(values: Floats, higher_is_better: bool) -> tuple[Ints, Ints]:
    """On how many examples the row's method is better than the column's, and on how many they are the same."""
    there = ~np.isnan(values)
    tolerance = rounding(np.where(there, values, 0.0))
    # what is missing is neither; a comparison with a NaN is false
    apart = differing(values, tolerance)
    signed = values if higher_is_better else -values
    wins = np.array([(column[:, None] - signed > tolerance).sum(axis=0) for column in signed.T], dtype=np.int64)
    shared = there.T.astype(np.int64) @ there.astype(np.int64)
    return wins, shared - apart


def _pairs(methods: int) -> int:
    return methods * (methods - 1) // 2


# how pairs are written for the scripts: those of an upper triangle, row by row, as whole numbers


def triangle(values: NDArray[Any], unit: float = 1.0, *, up: bool = False) -> list[int | None]:
    """The upper triangle of ``[methods, methods]``, in units; None for a NaN.

    Args:
        values: The array.
        unit: What 1 stands for.
        up: Whether parts of a unit are rounded up: a p-value is never made smaller than it is.
    """
    units = values[np.triu_indices(len(values), 1)] / unit
    whole = np.ceil(units - 1e-6) if up else np.round(units)
    return [None if np.isnan(one) else int(one) for one in whole]


def written(found: Pairs, p_values: Floats) -> dict[str, Any]:
    """What scripts need to know of all pairs: thousandths, millionths of p-values, and counts.

    Args:
        found: The pairs.
        p_values: Which of its p-values.
    """
    shared = len(found.ids)
    first, second = np.triu_indices(len(found.rows), 1)
    counts = found.examples[first, second]
    few = {}
    for place in np.flatnonzero((counts > 0) & (counts < shared)):
        i, j = first[place], second[place]
        few[str(place)] = [int(counts[place]), float(found.means[i, j]), float(found.means[j, i])]
    return {
        "examples": shared,
        "means": _means(found),
        "low": triangle(found.intervals[0], 1e-3),
        "high": triangle(found.intervals[1], 1e-3),
        "p": triangle(p_values, 1e-6, up=True),
        "wins": triangle(found.wins),
        "ties": triangle(found.ties),
        "few": few,
    }


def _means(found: Pairs) -> list[float | None]:
    """Per method its mean on all examples; None where it lacks some: then every pair has its own, in ``few``."""
    # the mean of what lacks some is a NaN
    return [None if np.isnan(mean) else round(mean, 9) for mean in found.values.mean(axis=0).tolist()]


@dataclass(frozen=True)
class Shown:
    """Two methods by one figure, read from what was `written`.

    Attributes:
        examples: How many they share.
        means: Their means on these.
        interval: Ends of the 95 % interval of the first's minus the second's.
        p: The p-value.
        counts: On how many examples the first is better, the two are the same, and the second is better.
    """

    examples: int
    means: tuple[float, float]
    interval: tuple[float, float]
    p: float
    counts: tuple[int, int, int]

    @property
    def difference(self) -> float:
        """The first's mean minus the second's."""
        return round(self.means[0] - self.means[1], 9)


def read(data: Mapping[str, Any], methods: int, first: int, second: int) -> Shown | None:
    """What the script pairs.js reads of two of so many methods; None where they share no example."""
    i, j = sorted((first, second))
    at = i * methods - i * (i + 1) // 2 + j - i - 1
    if i == j or data["p"][at] is None:
        return None
    examples, *means = data["few"].get(str(at), (data["examples"], data["means"][i], data["means"][j]))
    better, same = data["wins"][at], data["ties"][at]
    counts = [better, same, examples - better - same]
    ends = [data["low"][at] / 1000, data["high"][at] / 1000]
    if first > second:
        means, counts, ends = means[::-1], counts[::-1], [-end for end in ends[::-1]]
    return Shown(
        examples, (means[0], means[1]), (ends[0], ends[1]), data["p"][at] / 1e6, (counts[0], counts[1], counts[2])
    )
