"""The table of answers against a dict, and what it weighs."""

import tracemalloc

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from whybench.bench.answer_table import AnswerTable


def keys_of(chance, count):
    return np.frombuffer(chance.bytes(16 * count), dtype="S16")


# few different bytes, the zero among them: numpy's strings lose zeros at their end
RAW = st.lists(st.binary(min_size=16, max_size=16) | st.text("\0\1", min_size=16, max_size=16).map(str.encode))


@given(st.lists(RAW, max_size=4))
def test_finds_what_a_dict_would(blocks):
    table, plain = AnswerTable(2), {}
    for number, block in enumerate(blocks):
        keys = np.array(list(dict.fromkeys(block)), dtype="S16")
        np.testing.assert_array_equal(table.has(keys), [key in plain for key in keys])
        new = keys[~table.has(keys)]
        rows = np.random.default_rng(number).random((len(new), 2))
        table.add(new, rows)
        plain.update(zip(new, rows, strict=True))
        assert len(table) == len(plain)
    for key, row in plain.items():
        np.testing.assert_array_equal(table.rows(np.array([key, key], dtype="S16")), [row, row])


def test_an_empty_table_has_nothing():
    table = AnswerTable(3)
    assert not table.has(keys_of(np.random.default_rng(0), 4)).any()
    assert table.rows(np.empty(0, dtype="S16")).shape == (0, 3)


def test_an_input_with_two_labels_takes_less_than_64_bytes_at_any_time():
    chance, count = np.random.default_rng(0), 0
    tracemalloc.start()
    table = AnswerTable(2)
    for _ in range(60):
        keys, rows = keys_of(chance, 4000), chance.random((4000, 2))
        before = tracemalloc.get_traced_memory()[0] - table.nbytes
        tracemalloc.reset_peak()
        table.add(keys, rows)
        count += len(keys)
        # the block to be added, its sorted copy and its places are no part of the table
        peak = tracemalloc.get_traced_memory()[1] - before
        assert peak <= 64 * count + 100 * len(keys)
        assert table.nbytes == 32 * count
    tracemalloc.stop()
