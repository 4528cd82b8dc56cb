"""The shared engine against one input at a time."""

import numpy as np
import pytest
import torch

from whybench.bench.engine import ForwardEngine
from whybench.bench.errors import ModelError, OutOfMemoryWarning, ParameterError
from whybench.bench.operators import Remover
from whybench.bench.packing import PADDING_SHARE
from whybench.bench.perturbations import Perturbation, Perturbations, digests


def rows_of(classifier, batch, operator, seed=0):
    remover = Remover(classifier, batch, operator)
    random = np.random.default_rng(seed)
    rows = []
    for index, n in enumerate(batch.unit_counts().tolist()):
        rows += remover.perturb(index, random.random((7, n)) < random.random((7, 1)))
    return rows


@torch.no_grad()
def one_at_a_time(classifier, row):
    """The reference: no batch, no padding, no cache."""
    options = {} if row.types is None else {"token_type_ids": torch.tensor(row.types[None].astype(np.int64))}
    logits = classifier.model(
        input_ids=torch.tensor(row.ids[None].astype(np.int64)),
        attention_mask=torch.tensor(row.mask[None].astype(np.int64)),
        **options,
    ).logits
    return logits.double().softmax(-1)[0].numpy()


@pytest.mark.parametrize("operator", ["mask", "delete", "pad"])
@pytest.mark.parametrize("budget", [None, 90, 1])
def test_equals_one_at_a_time(xor_classifier, xor_batch, operator, budget):
    rows = rows_of(xor_classifier, xor_batch, operator)
    engine = ForwardEngine(xor_classifier, token_budget=budget)
    expected = np.array([one_at_a_time(xor_classifier, row) for row in rows])
    np.testing.assert_allclose(engine.probabilities(rows), expected, atol=1e-5)


def test_each_distinct_input_is_computed_once(xor_classifier, xor_batch):
    rows = rows_of(xor_classifier, xor_batch, "mask")
    distinct = {(row.ids.tobytes(), row.mask.tobytes()) for row in rows}
    engine = ForwardEngine(xor_classifier)
    first = engine.probabilities(rows + rows)
    assert engine.counts.forwarded == len(distinct)
    assert engine.counts.asked == 2 * len(rows)
    again = engine.probabilities(rows[::-1])
    assert engine.counts.forwarded == len(distinct)
    np.testing.assert_array_equal(again, first[: len(rows)][::-1])


def test_mask_and_segments_tell_inputs_apart(xor_classifier):
    ids, ones = np.array([2, 9, 10, 3], dtype=np.int32), np.ones(4, dtype=np.int32)
    masked = np.array([1, 1, 0, 1], dtype=np.int32)
    segments = np.array([0, 0, 1, 1], dtype=np.int32)
    engine = ForwardEngine(xor_classifier)
    engine.probabilities(
        [Perturbation(ids, ones, 0 * ones), Perturbation(ids, masked, 0 * ones), Perturbation(ids, ones, segments)]
    )
    assert engine.counts.forwarded == 3


def test_the_order_of_asking_makes_no_difference(xor_classifier, xor_batch):
    rows = rows_of(xor_classifier, xor_batch, "delete")
    forward = ForwardEngine(xor_classifier, token_budget=200).probabilities(rows)
    backward = ForwardEngine(xor_classifier, token_budget=200).probabilities(rows[::-1])
    np.testing.assert_array_equal(forward, backward[::-1])


def test_batches_are_of_similar_length_and_within_the_budget(xor_classifier, xor_batch, monkeypatch):
    rows = rows_of(xor_classifier, xor_batch, "delete")
    engine = ForwardEngine(xor_classifier, token_budget=400)
    sizes = []
    plain = xor_classifier.logits_from_ids
    monkeypatch.setattr(
        xor_classifier, "logits_from_ids", lambda ids, *rest: sizes.append(ids.numel()) or plain(ids, *rest)
    )
    engine.probabilities(rows)
    assert max(sizes) <= 400
    assert engine.counts.batches == len(sizes)
    lengths = [len(row.ids) for row in rows]
    assert engine.counts.real_tokens == sum(lengths)
    assert engine.counts.padded_tokens == sum(sizes)
    assert sum(sizes) - sum(lengths) <= PADDING_SHARE * sum(sizes)


def test_flat_arrays_and_single_inputs_are_the_same_inputs(xor_classifier, xor_batch):
    rows = rows_of(xor_classifier, xor_batch, "delete")
    engine = ForwardEngine(xor_classifier)
    first = engine.probabilities(Perturbations.of(rows))
    before = engine.counts.forwarded
    np.testing.assert_array_equal(engine.probabilities(rows), first)
    assert engine.counts.forwarded == before


def test_inputs_are_made_where_their_key_is_new_and_computed_where_they_are(xor_classifier, xor_batch):
    rows = rows_of(xor_classifier, xor_batch, "mask")[:6]
    expected = ForwardEngine(xor_classifier).probabilities(rows)
    # six things of which inputs are made; the last two give inputs that others give too
    sources = np.array([0, 1, 2, 3, 4, 5, 0, 1])
    of = [0, 1, 2, 3, 0, 1, 0, 1]
    engine, made = ForwardEngine(xor_classifier), []
    keys = digests(sources.astype(np.int32), np.ones(8, dtype=np.int64), np.full((8, 1), -1, dtype=np.int32))

    def make(places):
        made.extend(sources[places].tolist())
        return Perturbations.of([rows[of[place]] for place in places])

    for _ in range(2):
        np.testing.assert_allclose(engine.probabilities_of(keys, make), expected[of], atol=1e-6)
    assert sorted(made) == [0, 1, 2, 3, 4, 5]
    assert engine.counts.forwarded == 4
    assert engine.counts.asked == 16


def test_only_the_table_of_answers_grows_with_the_number_of_inputs(xor_classifier, monkeypatch):
    """Of an input of any length a digest and its probabilities are left."""
    import gc
    import tracemalloc

    monkeypatch.setattr(xor_classifier, "logits_from_ids", lambda ids, *_: torch.zeros(len(ids), 2))
    engine, chance, length = ForwardEngine(xor_classifier), np.random.default_rng(0), 60

    def ask(count=2000):
        tokens = chance.integers(0, 200, size=(count * length, 3), dtype=np.int32)
        engine.probabilities(Perturbations(tokens, np.full(count, length)))
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    first = ask()
    last = [ask() for _ in range(10)][-1]
    tracemalloc.stop()
    assert len(engine.answers) == 22_000
    assert last - first <= 64 * 20_000 < 20_000 * length * 4


def no_memory(kind):
    """What is raised when memory runs out, and on the CPU what torch itself raises."""
    if kind != "cpu":
        raise {"cuda": torch.OutOfMemoryError, "python": MemoryError}[kind]("out of memory")
    torch.empty(2**60, dtype=torch.uint8)


@pytest.mark.parametrize("kind", ["cuda", "python", "cpu"])
def test_halves_its_budget_when_memory_runs_out_and_says_so(xor_classifier, xor_batch, monkeypatch, kind):
    rows = rows_of(xor_classifier, xor_batch, "mask")
    expected = ForwardEngine(xor_classifier).probabilities(rows)
    plain = xor_classifier.logits_from_ids

    def small(ids, *rest):
        if ids.numel() > 150:
            no_memory(kind)
        return plain(ids, *rest)

    monkeypatch.setattr(xor_classifier, "logits_from_ids", small)
    engine = ForwardEngine(xor_classifier)
    with pytest.warns(OutOfMemoryWarning, match=r"\d+ tokens .* memory of cpu; going on with \d+") as said:
        np.testing.assert_allclose(engine.probabilities(rows), expected, atol=1e-5)
    assert engine.counts.halvings == len(said) > 0
    assert len({str(warning.message) for warning in said}) == len(said)
    assert engine.token_budget <= 150
    # it stays with what fits
    engine.probabilities(rows_of(xor_classifier, xor_batch, "mask", seed=1))

    monkeypatch.setattr(xor_classifier, "logits_from_ids", lambda *_: no_memory(kind))
    with pytest.warns(OutOfMemoryWarning), pytest.raises(ModelError, match="does not fit"):
        ForwardEngine(xor_classifier).probabilities(rows)


def test_the_text_of_windows_is_known(xor_classifier, xor_batch, monkeypatch):
    said = "[enforce fail at alloc_cpu.cpp:114] data. DefaultCPUAllocator: not enough memory: you tried to allocate 8"
    monkeypatch.setattr(xor_classifier, "logits_from_ids", lambda *_: (_ for _ in ()).throw(RuntimeError(said)))
    with pytest.raises(ModelError, match="does not fit"):
        ForwardEngine(xor_classifier).probabilities(rows_of(xor_classifier, xor_batch, "mask")[:1])


def test_another_runtime_error_is_not_caught(xor_classifier, xor_batch, monkeypatch):
    error = RuntimeError("mat1 and mat2 shapes cannot be multiplied; memory is fine")
    monkeypatch.setattr(xor_classifier, "logits_from_ids", lambda *_: (_ for _ in ()).throw(error))
    engine = ForwardEngine(xor_classifier)
    with pytest.raises(RuntimeError, match="mat1"):
        engine.probabilities(rows_of(xor_classifier, xor_batch, "mask"))
    assert engine.counts.halvings == 0


def test_an_output_that_is_not_finite_is_an_error(xor_classifier, xor_batch, monkeypatch):
    plain = xor_classifier.logits_from_ids
    monkeypatch.setattr(xor_classifier, "logits_from_ids", lambda *inputs: plain(*inputs) * torch.nan)
    with pytest.raises(ModelError, match="not finite"):
        ForwardEngine(xor_classifier).probabilities(rows_of(xor_classifier, xor_batch, "mask"))


def test_what_it_remembers_outgrows_its_first_room(xor_classifier):
    engine = ForwardEngine(xor_classifier)
    ones = np.ones(3, dtype=np.int32)
    rows = [Perturbation(np.array([2, 5 + i % 40, 5 + i // 40], dtype=np.int32), ones, 0 * ones) for i in range(1500)]
    first = engine.probabilities(rows)
    assert engine.counts.forwarded == 1500
    np.testing.assert_array_equal(engine.probabilities(rows[::-1]), first[::-1])
    assert engine.counts.forwarded == 1500


def test_progress_and_nothing_to_do(xor_classifier, xor_batch):
    seen = []
    engine = ForwardEngine(xor_classifier, token_budget=300)
    engine.probabilities(rows_of(xor_classifier, xor_batch, "mask"), lambda done, total: seen.append((done, total)))
    assert seen == sorted(seen)
    assert seen[-1][0] == seen[-1][1]
    assert engine.probabilities([]).shape == (0, 2)


def test_a_budget_must_be_positive(xor_classifier):
    with pytest.raises(ParameterError, match="token_budget is 0"):
        ForwardEngine(xor_classifier, token_budget=0)
