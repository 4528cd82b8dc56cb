"""Which inputs go through the model together: inputs of similar length, within a budget of tokens.

A batch costs its tokens, padding included, and `BATCH_COST` for being one. Inputs of neighbouring lengths are grouped
so that all batches together cost least, by dynamic programming over the lengths.
"""

from __future__ import annotations

import numpy as np

from whybench.bench.curves import Ints

PADDING_SHARE = 0.05
"""Largest share of padding among the tokens of all batches."""
BATCH_COST = 40
"""Tokens that could be computed while a batch starts: weights are read and kernels called, however small it is."""


def batches(lengths: Ints, budget: int) -> list[slice]:
    """Where each batch stands among inputs sorted by length, the longest first.

    Args:
        lengths: Their lengths, descending.
        budget: Most tokens of a batch, padding included; an input that is longer is a batch of its own.
    """
    cost = float(BATCH_COST)
    while True:
        made = [batch for group in _groups(lengths, budget, cost) for batch in _cut(lengths, group, budget)]
        tokens = sum(int(lengths[batch.start]) * (batch.stop - batch.start) for batch in made)
        if tokens - int(lengths.sum()) <= PADDING_SHARE * tokens:
            return made
        # batches seem cheaper, so that there are more of them; below one token no padding pays
        cost *= 0.75


def _groups(lengths: Ints, budget: int, cost: float) -> list[slice]:
    """The grouping of neighbouring lengths that costs least, where a batch costs that many tokens."""
    negative, counts = np.unique(-lengths, return_counts=True)
    widths, ends = -negative, np.concatenate(([0], np.cumsum(counts)))
    most = np.maximum(1, budget // widths)
    # of the longest lengths up to each: the least cost, and where its last group begins
    least, begins = np.zeros(len(widths) + 1), np.zeros(len(widths) + 1, dtype=np.int64)
    for stop in range(1, len(widths) + 1):
        sizes = ends[stop] - ends[:stop]
        costs = least[:stop] + widths[:stop] * sizes + cost * -(-sizes // most[:stop])
        begins[stop] = costs.argmin()
        least[stop] = costs[begins[stop]]
    groups, stop = [], len(widths)
    while stop:
        groups.append(slice(int(ends[begins[stop]]), int(ends[stop])))
        stop = int(begins[stop])
    return groups[::-1]


def _cut(lengths: Ints, group: slice, budget: int) -> list[slice]:
    """A group in batches within the budget."""
    size = max(1, budget // int(lengths[group.start]))
    return [slice(start, min(start + size, group.stop)) for start in range(group.start, group.stop, size)]
