"""Packing against the best of all groupings, and what must hold for any lengths."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whybench.bench.packing import BATCH_COST, PADDING_SHARE, batches

LENGTHS = st.lists(st.integers(1, 600), max_size=60) | st.lists(st.integers(1, 20), max_size=200)
FEW_LENGTHS = st.lists(st.integers(1, 30), min_size=1, max_size=8, unique=True).flatmap(
    lambda few: st.lists(st.sampled_from(few), max_size=120)
)


def sorted_down(lengths):
    return np.sort(np.array(lengths, dtype=np.int64))[::-1]


def packed(lengths, budget):
    """The lengths in each batch."""
    lengths = sorted_down(lengths)
    return [lengths[batch].tolist() for batch in batches(lengths, budget)]


def cost_of(groups, budget, batch_cost):
    """What groups cost: each its padded tokens, and as many batches as the budget makes of it."""
    return sum(max(g) * len(g) + batch_cost * -(-len(g) // max(1, budget // max(g))) for g in groups)


def best_of_all(lengths, budget, batch_cost):
    """The reference: every way to cut the lengths into groups of neighbours is tried."""
    runs = [list(run) for _, run in itertools.groupby(sorted(lengths, reverse=True))]
    found = None
    for cuts in itertools.product((False, True), repeat=max(0, len(runs) - 1)):
        groups = [list(runs[0])]
        for cut, run in zip(cuts, runs[1:], strict=True):
            if cut:
                groups.append(list(run))
            else:
                groups[-1] += run
        cost = cost_of(groups, budget, batch_cost)
        found = cost if found is None else min(found, cost)
    return found


@given(FEW_LENGTHS.filter(bool), st.integers(1, 300))
def test_costs_as_little_as_padding_allows(lengths, budget):
    made = packed(lengths, budget)
    cost = sum(batch[0] * len(batch) + BATCH_COST for batch in made)
    # the best where a batch is thought to cost so much; less, until there is little enough padding
    for step in range(20):
        batch_cost = BATCH_COST * 0.75**step
        best = best_of_all(lengths, budget, batch_cost)
        if sum(batch[0] * len(batch) + batch_cost for batch in made) <= best + 1e-9:
            break
    else:
        pytest.fail(f"{made} costs {cost}")


@given(LENGTHS, st.integers(1, 3000))
def test_every_input_once_within_budget_and_with_little_padding(lengths, budget):
    made = packed(lengths, budget)
    assert [length for batch in made for length in batch] == sorted(lengths, reverse=True)
    assert all(batch[0] * len(batch) <= budget or len(batch) == 1 for batch in made)
    tokens = sum(batch[0] * len(batch) for batch in made)
    assert tokens - sum(lengths) <= PADDING_SHARE * tokens


@given(LENGTHS, st.integers(1, 3000))
def test_the_rest_can_be_packed_anew(lengths, budget):
    """As when memory runs out: what is left is packed with half the budget."""
    lengths = sorted_down(lengths)
    rest = lengths[len(lengths) // 3 :]
    made = batches(rest, max(1, budget // 2))
    assert [place for batch in made for place in range(batch.start, batch.stop)] == list(range(len(rest)))


def test_padding_is_taken_where_it_saves_a_batch():
    # 60 inputs of one length, one that is a little shorter: not a batch of its own
    assert packed([20] * 60 + [19], 2048) == [[20] * 60 + [19]]
    # 30 tokens of padding for one batch less, 60 for one batch less
    assert len(packed([40] * 30 + [39] * 30, 4096)) == 1
    assert len(packed([40] * 60 + [39] * 60, 8192)) == 2


@pytest.mark.parametrize("budget", [1024, 2048, 131_072])
def test_thousands_of_inputs_fill_their_batches(budget):
    chance = np.random.default_rng(0)
    lengths = np.maximum(2, (chance.lognormal(3, 0.5, 8000).clip(5, 64) * chance.random(8000)).astype(int))
    made = packed(lengths, budget)
    cost = sum(batch[0] * len(batch) + BATCH_COST for batch in made)
    assert cost <= 1.01 * (1 + BATCH_COST / budget) * sum(lengths) + BATCH_COST * len(set(lengths.tolist()))
    assert cost <= 1.05 * (1 + BATCH_COST / budget) * sum(lengths)
