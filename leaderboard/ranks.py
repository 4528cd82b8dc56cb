"""Ranks and tie groups of a board's methods by one figure, from its per-example columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from whybench.bench.comparison import Comparison, Order, compare, letter
from whybench.bench.metric import Metric
from whybench.bench.store import StoredResult
from whybench.leaderboard.columns import matrix


@dataclass(frozen=True)
class Standing:
    """A method's place among the ranked ones.

    Attributes:
        rank: 1 for the best; equal means share their average rank.
        interval: Ends of the rank's 95 % interval, as text.
        letters: Its tie groups, as text.
        tied: Names of the methods whose difference to it is not significant.
        help: All of that in words.
    """

    rank: float
    interval: str
    letters: str
    tied: tuple[str, ...]
    help: str


def standings(cells: Sequence[StoredResult], names: Sequence[str], metric: Metric) -> dict[str, Standing]:
    """Compare cells of one board by a figure.

    Args:
        cells: The cells that are ranked, all with this figure.
        names: Their names on the board.
        metric: The figure; it has a better end.

    Returns:
        Per cell its standing; none where there are fewer than two cells.

    Raises:
        ComparisonError: The cells have no example in common.
        CorruptResultError: A per-example table is damaged.
    """
    if len(cells) < 2 or metric.higher_is_better is None:
        return {}
    found = compared(cells, names, metric)
    left_out = f", {found.left_out:,} left out" if found.left_out else ""
    over, said = f"resamples of {found.examples:,} examples{left_out}", metric.title.lower()
    return {stored.result.cell: standing(found, names, i, said, over) for i, stored in enumerate(cells)}


def compared(cells: Sequence[StoredResult], names: Sequence[str], metric: Metric) -> Comparison:
    """The comparison that `standings` are of.

    Raises:
        ComparisonError: The cells have no example in common.
        CorruptResultError: A per-example table is damaged.
    """
    return _compared(matrix(cells, metric.name).tobytes(), tuple(names), bool(metric.higher_is_better))


@lru_cache(maxsize=64)
def _compared(values: bytes, names: tuple[str, ...], higher_is_better: bool) -> Comparison:
    # by content: the terminal and the pages show the same board
    return compare(np.frombuffer(values).reshape(-1, len(names)), names, higher_is_better=higher_is_better)


def standing(found: Comparison | Order, names: Sequence[str], i: int, figure: str, over: str) -> Standing:
    """A method's place in an order.

    Args:
        found: The order.
        names: The methods.
        i: Which of them.
        figure: What they are ordered by, in words.
        over: What was resampled, in words.
    """
    low, high = (f"{round(float(end), 2):g}" for end in found.rank_intervals[:, i])
    tied = tuple(name for j, name in enumerate(names) if j != i and not found.significant[i, j])
    others = f"no significant difference to {', '.join(tied)}" if tied else "significantly different from all others"
    return Standing(
        rank=float(found.ranks[i]),
        interval=low if low == high else f"{low}\u2013{high}",
        letters=spelled(found.letters[i]),
        tied=tied,
        help=f"rank {found.ranks[i]:g} by {figure}, {low} to {high} in 95 % of {over}; {others}",
    )


def spelled(groups: Sequence[int]) -> str:
    """Letters of tie groups, three or more in a row as a stretch: ``ab``, ``a–d``, ``a c``."""
    stretches: list[list[int]] = []
    for group in groups:
        if stretches and stretches[-1][-1] == group - 1:
            stretches[-1].append(group)
        else:
            stretches.append([group])
    parts = []
    for stretch in stretches:
        names = [letter(group) for group in stretch]
        parts.append(f"{names[0]}\u2013{names[-1]}" if len(names) > 2 else "".join(names))
    return " ".join(parts)
