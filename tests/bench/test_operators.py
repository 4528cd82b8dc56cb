"""Removal operators against a plain reference per example, and what the model makes of their rows."""

import numpy as np
import pytest
import torch

from whybench.bench.classifier import Classifier
from whybench.bench.engine import ForwardEngine
from whybench.bench.errors import OperatorError, UnknownNameError
from whybench.bench.operators import OPERATORS, Remover, operator_for
from whybench.bench.positions import positions_of
from whybench.bench.tiny_models import (
    DECODERS,
    ENCODERS,
    FAMILIES,
    PAIRS,
    TEXTS,
    build_model,
    build_tokenizer,
    byte_level,
    fresh_classifier,
    tiny_classifier,
)
from whybench.tests.models import state_of

# Without a pad token there is no `pad`, without a mask token no `mask`.
SERVED = (
    [(family, operator) for family in ENCODERS for operator in OPERATORS]
    + [(family, "delete") for family in DECODERS]
    + [("qwen3", "pad")]
)


def reference(classifier, batch, index, removed, operator):
    """Ids, mask and segments of one example with the units in ``removed`` taken out, token by token."""
    ids, mask, types = [], [], []
    for position in range(int(batch.attention_mask[index].sum())):
        token = int(batch.input_ids[index, position])
        segment = 0 if batch.token_type_ids is None else int(batch.token_type_ids[index, position])
        if int(batch.units[index, position]) in removed:
            if operator == "delete":
                continue
            token = classifier.tokenizer.mask_token_id if operator == "mask" else classifier.tokenizer.pad_token_id
            mask.append(1 if operator == "mask" else 0)
        else:
            mask.append(1)
        ids.append(token)
        types.append(segment)
    return ids, mask, None if batch.token_type_ids is None else types


@pytest.mark.parametrize(("family", "operator"), SERVED)
@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
@pytest.mark.parametrize("unit", ["word", "token"])
def test_rows_agree_with_the_reference(family, operator, texts, unit):
    classifier = tiny_classifier(family)
    batch = classifier.encode(texts).with_units(unit)
    remover = Remover(classifier, batch, operator_for(classifier, operator))
    random = np.random.default_rng(0)
    for index, n in enumerate(batch.unit_counts().tolist()):
        sets = np.vstack((np.zeros((1, n), dtype=bool), np.eye(n, dtype=bool), random.random((4, n)) < 0.5))
        special = bool((batch.units[index][batch.attention_mask[index] == 1] == -1).any())
        sets = sets if special else sets[~sets.all(axis=1)]
        rows = remover.perturb(index, sets)
        assert len(rows) == len(sets)
        for row, removed in zip(rows, sets, strict=True):
            ids, mask, types = reference(classifier, batch, index, set(np.flatnonzero(removed).tolist()), operator)
            assert row.ids.tolist() == ids
            assert row.mask.tolist() == mask
            assert types is row.types is None or row.types.tolist() == types
            assert row.ids.dtype == row.mask.dtype == np.int32


@pytest.mark.parametrize("operator", OPERATORS)
def test_special_tokens_stay(operator):
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    (row,) = Remover(classifier, batch, operator).perturb(0, np.ones((1, 19), dtype=bool))
    first, last, mask, pad = (
        classifier.tokenizer.convert_tokens_to_ids(f"[{t}]") for t in ("CLS", "SEP", "MASK", "PAD")
    )
    between = {"mask": [mask] * 42, "delete": [], "pad": [pad] * 42}[operator]
    assert row.ids.tolist() == [first, *between, last]
    assert row.mask.tolist() == [1, *([1 if operator == "mask" else 0] * len(between)), 1]


@pytest.mark.parametrize(("family", "operator"), [("gpt2", "delete"), ("qwen3", "delete"), ("qwen3", "pad")])
def test_where_nothing_is_left_a_placeholder_stands(family, operator):
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS)
    remover = Remover(classifier, batch, operator)
    n = int(batch.unit_counts()[0])
    sets = np.array([[True] * n, [False] + [True] * (n - 1), [True] * n])
    rows = remover.perturb(0, sets)
    expected = classifier.tokenizer.bos_token_id if family == "gpt2" else classifier.tokenizer.eos_token_id
    for row in (rows[0], rows[2]):
        assert row.ids.tolist() == [expected]
        assert row.mask.tolist() == [1]
    ids, mask, _ = reference(classifier, batch, 0, set(range(1, n)), operator)
    assert (rows[1].ids.tolist(), rows[1].mask.tolist()) == (ids, mask)
    assert np.isfinite(ForwardEngine(classifier).probabilities(rows)).all()


def test_placeholder_of_a_tokenizer_without_special_tokens():
    classifier = fresh_classifier("gpt2", tokenizer=byte_level({}))
    batch = classifier.encode(TEXTS[:1])
    (row,) = Remover(classifier, batch, "delete").perturb(0, np.ones((1, int(batch.unit_counts()[0])), dtype=bool))
    assert row.ids.tolist() == [classifier.pad_id]


# ---- what the model sees --------------------------------------------------------------------------------------------


def by_hand(classifier, ids, mask, types, positions):
    """Logits of one row where the padded tokens are really taken out, and the others keep their positions."""
    kept = [i for i, m in enumerate(mask) if m]
    inputs = {
        "input_ids": torch.tensor([[ids[i] for i in kept]]),
        "position_ids": torch.tensor([[positions[i] for i in kept]]),
    }
    if types is not None:
        inputs["token_type_ids"] = torch.tensor([[types[i] for i in kept]])
    with torch.no_grad():
        return classifier.model(**inputs).logits[0].softmax(-1)


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra", "albert", "qwen3"])
def test_pad_takes_tokens_out_and_leaves_positions(family):
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS[:1])
    n = int(batch.unit_counts()[0])
    random = np.random.default_rng(1)
    # the last unit stays: where it goes, another token is the last one
    sets = random.random((3, n)) < 0.4
    sets[:, -1] = False
    sets[:, 0] = True
    rows = Remover(classifier, batch, operator_for(classifier, "pad")).perturb(0, sets)
    answers = ForwardEngine(classifier).probabilities(rows)
    offset = 2 if family == "roberta" else 0
    positions = list(range(offset, offset + batch.input_ids.shape[1]))
    for answer, row in zip(answers, rows, strict=True):
        types = None if row.types is None else row.types.tolist()
        expected = by_hand(classifier, row.ids.tolist(), row.mask.tolist(), types, positions)
        torch.testing.assert_close(torch.from_numpy(answer).float(), expected, rtol=0, atol=5e-5)
        closed_up = by_hand(classifier, row.ids.tolist(), row.mask.tolist(), types, compact(row.mask.tolist(), offset))
        assert np.abs(answer - closed_up.double().numpy()).max() > 1e-4


def compact(mask, offset):
    """Positions as they would be if the tokens closed up."""
    return [offset + sum(mask[:i]) for i in range(len(mask))]


@pytest.mark.parametrize("family", ["roberta", "mpnet"])
def test_positions_are_not_counted_by_the_padding_token(family):
    """What stands where the attention mask is 0 makes no difference, not even the token that these models count by."""
    tokenizer = build_tokenizer("roberta")
    classifier = fresh_classifier(family, tokenizer=tokenizer, max_position_embeddings=50)
    assert classifier.max_length == 48
    batch = classifier.encode(TEXTS[:1])
    n = int(batch.unit_counts()[0])
    rows = Remover(classifier, batch, "pad").perturb(0, np.eye(n, dtype=bool)[:3])
    answers = ForwardEngine(classifier).probabilities(rows)
    for answer, row in zip(answers, rows, strict=True):
        inputs = {"input_ids": batch.input_ids, "attention_mask": torch.from_numpy(row.mask).long()[None]}
        with torch.no_grad():
            expected = classifier.model(**inputs).logits[0].softmax(-1)
            shifted = classifier.model(**inputs | {"input_ids": torch.from_numpy(row.ids).long()[None]})
        torch.testing.assert_close(torch.from_numpy(answer).float(), expected, rtol=0, atol=2e-5)
        assert (shifted.logits[0].softmax(-1) - expected).abs().max() > 1e-4


def test_positions_are_not_counted_by_the_attention_mask():
    """OPT's own positions would close up; given ones stay, and change nothing where nothing is taken out."""
    classifier = tiny_classifier("opt")
    batch = classifier.encode(TEXTS)
    with torch.no_grad():
        for i, text in enumerate(TEXTS):
            plain = classifier.model(**classifier.tokenizer(text, return_tensors="pt")).logits[0]
            torch.testing.assert_close(classifier.logits(batch)[i], plain, rtol=0, atol=1e-4)
    batch = batch.select([0])
    n = int(batch.unit_counts()[0])
    sets = np.random.default_rng(1).random((3, n)) < 0.4
    sets[:, -1], sets[:, 0] = False, True
    rows = Remover(classifier, batch, operator_for(classifier, "pad")).perturb(0, sets)
    answers = ForwardEngine(classifier).probabilities(rows)
    positions = list(range(batch.input_ids.shape[1]))
    for answer, row in zip(answers, rows, strict=True):
        ids, mask = row.ids.tolist(), row.mask.tolist()
        expected = by_hand(classifier, ids, mask, None, positions)
        torch.testing.assert_close(torch.from_numpy(answer).float(), expected, rtol=0, atol=5e-5)
        with torch.no_grad():
            own = classifier.model(input_ids=torch.tensor([ids]), attention_mask=torch.tensor([mask])).logits[0]
        closed_up = by_hand(classifier, ids, mask, None, compact(mask, 0))
        torch.testing.assert_close(own.softmax(-1), closed_up, rtol=0, atol=5e-5)
        assert np.abs(answer - closed_up.double().numpy()).max() > 1e-4


@pytest.mark.parametrize("family", [*FAMILIES, "mpnet"])
def test_positions_of_the_tested_families(family):
    counted = family in ("roberta", "mpnet")
    tokenizer = build_tokenizer("roberta" if counted else family)
    model = build_model(family, tokenizer)
    before = state_of(model)
    assert positions_of(model, token_id=7) == (2 if counted else None, True)
    assert state_of(model) == before


@pytest.mark.parametrize(("family", "changes"), [("bloom", {}), ("falcon", {"alibi": True})])
def test_pad_is_refused_where_positions_cannot_be_given(family, changes):
    classifier = fresh_classifier(family, **changes)
    assert not classifier.positions.stay
    with pytest.raises(OperatorError, match=rf"tiny-{family}.*by the attention mask.*Use 'delete'"):
        operator_for(classifier, "pad")
    assert operator_for(classifier) == operator_for(classifier, "delete") == "delete"
    classifier.tokenizer.add_special_tokens({"mask_token": "a"})
    with pytest.raises(OperatorError, match="Use 'mask' or 'delete'"):
        operator_for(classifier, "pad")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(("family", "expected"), [("bert", (None, True)), ("opt", (0, True)), ("bloom", (None, False))])
def test_precision_makes_no_difference_to_positions(family, expected, dtype):
    tokenizer = build_tokenizer(family)
    assert Classifier(build_model(family, tokenizer).to(dtype), tokenizer).positions == expected


def test_falcon_without_alibi_is_served():
    assert fresh_classifier("falcon").positions == (None, True)


@pytest.mark.parametrize("tokenizer_pads_with", ["the model's", "another token"])
def test_decoder_reads_the_last_token_that_pad_leaves(tokenizer_pads_with):
    tokenizer = build_tokenizer("qwen3")
    model = build_model("qwen3", tokenizer)
    if tokenizer_pads_with == "another token":
        tokenizer.pad_token = tokenizer.eos_token
    classifier = Classifier(model, tokenizer)
    batch = classifier.encode(TEXTS[:1])
    n = int(batch.unit_counts()[0])
    removed = np.zeros((1, n), dtype=bool)
    removed[0, -2:] = True
    rows = Remover(classifier, batch, "pad").perturb(0, removed)
    left = batch.input_ids[:, : int((batch.units[0] < n - 2).sum())]
    with torch.no_grad():
        expected = model(input_ids=left).logits[0].softmax(-1)
    answer = torch.from_numpy(ForwardEngine(classifier).probabilities(rows)[0]).float()
    torch.testing.assert_close(answer, expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_delete_is_the_shorter_text(family):
    classifier = tiny_classifier(family)
    batch = classifier.encode(["the film was bad", "the film bad"])
    removed = np.array([[False, False, True, False]])
    rows = Remover(classifier, batch, "delete").perturb(0, removed)
    assert rows[0].ids.tolist() == batch.input_ids[1, : batch.lengths()[1]].tolist()
    answer = torch.from_numpy(ForwardEngine(classifier).probabilities(rows)).float()
    torch.testing.assert_close(answer, classifier.probabilities(batch.select([1])), rtol=0, atol=2e-5)


# ---- which operators there are --------------------------------------------------------------------------------------


def test_default_operator():
    for family in FAMILIES:
        assert operator_for(tiny_classifier(family)) == ("mask" if family in ENCODERS else "delete")


@pytest.mark.parametrize(
    ("family", "operator", "others"),
    [("gpt2", "mask", "'delete'"), ("gpt2", "pad", "'delete'"), ("qwen3", "mask", "'delete' or 'pad'")],
)
def test_tokenizer_without_the_token(family, operator, others):
    classifier = tiny_classifier(family)
    with pytest.raises(OperatorError, match=rf"tiny-{family}.*no {operator} token.*Use {others} \(--operator delete"):
        operator_for(classifier, operator)


def test_unknown_operator():
    with pytest.raises(UnknownNameError, match="Did you mean 'delete'"):
        operator_for(tiny_classifier("bert"), "delet")
