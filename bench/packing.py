"""Which inputs go through the model together: the longest first, within a budget of tokens, with little padding."""

from __future__ import annotations

import numpy as np

from whybench.bench.curves import Ints

PADDING_SHARE = 0.05
"""Largest share of padding among the tokens of all batches."""
BATCH_COST = 40
"""Tokens that could be computed while a batch starts: weights are read and kernels called, however small it is."""


def batch_size(lengths: Ints, budget: int, tokens: int = 0, padding: int = 0) -> int:
    """How many inputs, the longest first, go through the model together.

    As many as the budget holds, until one more would bring more padding into the batch than a batch of its own costs,
    or more into all batches than `PADDING_SHARE`. At least one, which has no padding.

    Args:
        lengths: Their lengths, descending.
        budget: Most tokens, padding included.
        tokens: Tokens of the batches before, padding included.
        padding: Those of them that are padding.
    """
    width = int(lengths[0])
    most = lengths[: max(1, budget // width)]
    padded = np.cumsum(width - most)
    allowed = PADDING_SHARE * (tokens + width * np.arange(1, len(most) + 1)) - padding
    beyond = np.flatnonzero(padded > np.minimum(allowed, BATCH_COST))
    return int(beyond[0]) if len(beyond) else len(most)
