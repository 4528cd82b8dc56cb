"""Inputs in flat arrays against the same inputs one by one."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whybench.bench.perturbations import Perturbation, Perturbations, digests

IDS = st.lists(st.integers(0, 3), min_size=1, max_size=6)


def one(ids, segments=True, contrast=None):
    ids = np.array(ids, dtype=np.int32)
    pair = None if contrast is None else np.array(contrast, dtype=np.int32)
    return Perturbation(ids, (ids != 1).astype(np.int32), ids % 2 if segments else None, pair)


def told(row):
    """Everything that an input is, as plain Python."""
    return tuple(None if part is None else tuple(part.tolist()) for part in row)


@given(st.lists(IDS, max_size=8), st.booleans(), st.booleans())
def test_single_inputs_come_back_as_they_went_in(rows, segments, contrast):
    given_rows = [one(ids, segments, (i, 7) if contrast else None) for i, ids in enumerate(rows)]
    made = Perturbations.of(given_rows)
    assert [told(row) for row in made] == [told(row) for row in given_rows]
    assert len(made) == len(rows)
    halves = Perturbations.joined([Perturbations.of(given_rows[i : i + 2]) for i in range(0, len(rows), 2)])
    assert [told(row) for row in halves] == [told(row) for row in given_rows]


@given(st.lists(IDS, min_size=1, max_size=8), st.data())
def test_selected_and_padded_inputs_are_the_inputs(rows, data):
    made = Perturbations.of([one(ids, contrast=(i, 7)) for i, ids in enumerate(rows)])
    chosen = np.array(data.draw(st.lists(st.integers(0, len(rows) - 1), min_size=1)))
    assert [told(row) for row in made.select(chosen)] == [told(made[i]) for i in chosen]
    ids, mask, types = made.padded(chosen, pad_id=9)
    longest = max(len(rows[i]) for i in chosen)
    for place, i in enumerate(chosen):
        short = longest - len(rows[i])
        assert ids[place].tolist() == [*rows[i], *[9] * short]
        assert mask[place].tolist() == [*made[i].mask, *[0] * short]
        assert types[place].tolist() == [*made[i].types, *[0] * short]
    assert ids.dtype == np.int64
    assert ids.flags.c_contiguous


@given(st.lists(st.tuples(IDS, st.integers(0, 1)), max_size=12), st.booleans())
def test_keys_are_equal_where_inputs_are(rows, segments):
    """Few ids and short inputs, so that some are the same, and some would be if they ran into one another."""
    made = Perturbations.of([one(ids, segments, (other, 7)) for ids, other in rows])
    keys = made.keys()
    assert len(keys) == len(made)
    for i, key in enumerate(keys):
        for j, other in enumerate(keys):
            assert (key == other) == (told(made[i]) == told(made[j]))


def test_keys_are_those_of_the_bytes():
    import hashlib

    made = Perturbations.of([one([5, 6, 7]), one([5])])
    rows = np.array([[5, 1, 1], [6, 1, 0], [7, 1, 1]], dtype=np.int32)
    expected = [hashlib.blake2b(part.tobytes(), digest_size=16).digest() for part in (rows, rows[:1])]
    assert made.keys().tolist() == [key.rstrip(b"\0") for key in expected]


@pytest.mark.parametrize("empty", [Perturbations.of([]), Perturbations.joined([])])
def test_none_at_all(empty):
    assert len(empty) == len(list(empty)) == len(empty.keys()) == 0
    assert digests(np.empty(0, dtype=np.int32), np.empty(0, dtype=np.int64)).shape == (0,)


def test_rows_of_tokens_may_be_empty():
    keys = digests(np.array([3, 4], dtype=np.int32), np.array([0, 2, 0]))
    assert keys[0] == keys[2] != keys[1]
