"""Packing against a rule that adds one input at a time, and what must hold for any lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whybench.bench.packing import BATCH_COST, PADDING_SHARE, batch_size

LENGTHS = st.lists(st.integers(1, 600), max_size=60) | st.lists(st.integers(1, 20), max_size=200)


def batches(lengths, budget):
    """The lengths in each batch, as the engine makes them."""
    lengths, made, tokens, padding = np.sort(np.array(lengths, dtype=np.int64))[::-1], [], 0, 0
    while len(lengths):
        size = batch_size(lengths, budget, tokens, padding)
        made.append(lengths[:size].tolist())
        tokens += made[-1][0] * size
        padding += made[-1][0] * size - sum(made[-1])
        lengths = lengths[size:]
    return made


def one_by_one(lengths, budget):
    """The reference: one more, as long as budget, padding of the batch and padding of all allow it."""
    made = []
    for length in sorted(lengths, reverse=True):
        if made:
            batch = [*made[-1], length]
            others = made[:-1]
            tokens = sum(b[0] * len(b) for b in [*others, batch])
            padding = tokens - sum(map(sum, [*others, batch]))
            own = batch[0] * len(batch) - sum(batch)
            if batch[0] * len(batch) <= budget and own <= BATCH_COST and padding <= PADDING_SHARE * tokens:
                made[-1] = batch
                continue
        made.append([length])
    return made


@given(LENGTHS, st.integers(1, 3000))
def test_packs_as_the_reference_does(lengths, budget):
    assert batches(lengths, budget) == one_by_one(lengths, budget)


@given(LENGTHS, st.integers(1, 3000))
def test_every_input_once_within_budget_and_with_little_padding(lengths, budget):
    made = batches(lengths, budget)
    assert sorted(length for batch in made for length in batch) == sorted(lengths)
    assert all(batch[0] * len(batch) <= budget or len(batch) == 1 for batch in made)
    tokens = sum(batch[0] * len(batch) for batch in made)
    assert tokens - sum(lengths) <= PADDING_SHARE * tokens


@pytest.mark.parametrize("budget", [1024, 2048, 131_072])
def test_thousands_of_inputs_fill_their_batches(budget):
    """Padding may not be had at the price of a batch for every length."""
    chance = np.random.default_rng(0)
    lengths = np.maximum(2, (chance.lognormal(3, 0.5, 8000).clip(5, 64) * chance.random(8000)).astype(int))
    made = batches(lengths, budget)
    fewest = sum(lengths) / budget
    assert len(made) <= fewest * 1.2 + len(set(lengths.tolist()))
