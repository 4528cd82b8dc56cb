"""Profiles: what they pin, what they refuse, and ERASER's formula against one that is worked out by hand."""

import math

import numpy as np
import pytest
import torch

import whybench
from whybench.bench import ferret
from whybench.bench.errors import InputError, NonFiniteScoresError, OperatorError, ParameterError, UnknownNameError
from whybench.bench.metrics import METRICS, metrics_named
from whybench.bench.profiles import PROFILES, floors
from whybench.bench.tiny_models import PAIRS, TEXTS, tiny_classifier


def drawn(batch, seed=0):
    return torch.rand(batch.input_ids.shape, generator=torch.Generator().manual_seed(seed)) - 0.5


@torch.no_grad()
def eraser_reference(classifier, text, scores):
    """ERASER's AOPC over its five thresholds, written from its formula: whole words out, one forward pass at a time."""
    words = text.split()
    order = sorted(range(len(words)), key=lambda i: -scores[i])

    def probabilities(kept):
        inputs = classifier.tokenizer(" ".join(words[i] for i in sorted(kept)), return_tensors="pt")
        return classifier.model(**inputs).logits.double().softmax(-1)[0]

    whole = probabilities(order)
    label = int(whole.argmax())
    comprehensiveness, sufficiency = [], []
    for threshold in (0.01, 0.05, 0.10, 0.20, 0.50):
        k = math.floor(threshold * len(words))
        comprehensiveness.append(float(whole[label] - probabilities(order[k:])[label]))
        sufficiency.append(float(whole[label] - probabilities(order[:k])[label]))
    return sum(comprehensiveness) / 5, sum(sufficiency) / 5


def test_eraser_equals_its_formula(xor_classifier, xor_batch):
    scores = drawn(xor_batch)
    found = whybench.score(xor_classifier, xor_batch, scores, profile="eraser")
    assert list(found) == ["comprehensiveness", "sufficiency"]
    for i, (text,) in enumerate(xor_batch.texts):
        # one token a word in this tokenizer
        own = scores[i, 1 : int(xor_batch.lengths()[i]) - 1].tolist()
        assert len(own) == len(text.split())
        comprehensiveness, sufficiency = eraser_reference(xor_classifier, text, own)
        assert found["comprehensiveness"][i].item() == pytest.approx(comprehensiveness, abs=1e-6)
        assert found["sufficiency"][i].item() == pytest.approx(sufficiency, abs=1e-6)


def test_floors_are_those_of_exact_arithmetic():
    assert floors(1).tolist() == [0, 0, 0, 0, 0]
    assert floors(70).tolist() == [0, 3, 7, 14, 35]
    assert floors(100).tolist() == [1, 5, 10, 20, 50]


def test_eraser_removes_nothing_where_the_floor_is_zero(xor_classifier):
    """Two words: only half of them is a word, so that four of the five drops are of an empty set."""
    batch = xor_classifier.encode(["good bad"])
    scores = torch.tensor([[0.0, 2.0, 1.0, 0.0]])
    one = xor_classifier.encode(["bad"]).with_target(xor_classifier.target(batch))
    whole, left = (xor_classifier.probabilities(b)[0, xor_classifier.target(batch)].item() for b in (batch, one))
    found = whybench.score(xor_classifier, batch, scores, ["comprehensiveness"], profile="eraser")
    assert found["comprehensiveness"].item() == pytest.approx((whole - left) / 5, abs=1e-6)


def test_eraser_leaves_the_unit_to_the_caller():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(list(TEXTS))
    words, tokens = (
        whybench.score(classifier, batch, drawn(batch), profile="eraser", unit=unit)["sufficiency"]
        for unit in (None, "token")
    )
    assert torch.equal(
        words, whybench.score(classifier, batch, drawn(batch), profile="eraser", unit="word")["sufficiency"]
    )
    assert not torch.allclose(words, tokens)


def test_the_default_profile_is_the_protocol(xor_classifier, xor_batch):
    scores = drawn(xor_batch)
    plain = whybench.score(xor_classifier, xor_batch, scores)
    named = whybench.score(xor_classifier, xor_batch, scores, profile="whybench")
    assert list(plain) == list(named) == [metric.name for metric in metrics_named(None)]
    assert list(METRICS) == list(PROFILES["whybench"].metrics)
    assert all(torch.equal(plain[name], named[name]) for name in plain)


def test_metrics_are_chosen_by_name(xor_classifier, xor_batch):
    scores = drawn(xor_batch)
    everything = whybench.score(xor_classifier, xor_batch, scores, profile="ferret")
    some = whybench.score(xor_classifier, xor_batch, scores, ["taucorr_loo", "aopc_compr"], profile="ferret")
    assert list(everything) == ["aopc_compr", "aopc_suff", "taucorr_loo"]
    assert list(some) == ["taucorr_loo", "aopc_compr"]
    # fewer inputs are packed otherwise, which rounding shows
    for name in some:
        torch.testing.assert_close(some[name], everything[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("error", "message", "options"),
    [
        (UnknownNameError, "no profile named 'feret'. Did you mean 'ferret'", {"profile": "feret"}),
        (UnknownNameError, "no metric named 'aopc_com'. Did you mean 'aopc_compr'", {"metrics": ["aopc_com"]}),
        (ParameterError, "has no metric 'deletion_auc'.*profile 'whybench'", {"metrics": ["deletion_auc"]}),
        (
            ParameterError,
            "has no metric 'comprehensiveness'; it has aopc_compr, .* 'whybench' and 'eraser'",
            {"metrics": ["comprehensiveness"]},
        ),
        (
            ParameterError,
            "'whybench' has no metric 'aopc_suff'.*profile 'ferret'",
            {"metrics": ["aopc_suff"], "profile": "whybench"},
        ),
        (ParameterError, "operator is 'mask', but the profile 'ferret' pins it to 'delete'", {"operator": "mask"}),
        (ParameterError, "unit is 'word', but the profile 'ferret' pins it to 'token'", {"unit": "word"}),
        (ParameterError, "the profile 'eraser' pins it to 'delete'", {"operator": "pad", "profile": "eraser"}),
    ],
)
def test_what_a_profile_does_not_have_is_refused(xor_classifier, xor_batch, error, message, options):
    with pytest.raises(error, match=message):
        whybench.score(xor_classifier, xor_batch, drawn(xor_batch), **{"profile": "ferret", **options})


def test_ferret_needs_single_texts_between_two_special_tokens():
    bert = tiny_classifier("bert")
    pairs = bert.encode(list(PAIRS))
    with pytest.raises(InputError, match="is a pair; ferret scores single texts"):
        whybench.score(bert, pairs, drawn(pairs), profile="ferret")
    for family in ("gpt2", "llama"):
        decoder = tiny_classifier(family)
        batch = decoder.encode(list(TEXTS))
        with pytest.raises(OperatorError, match="takes the first and the last token for special ones"):
            whybench.score(decoder, batch, drawn(batch), profile="ferret")


def test_ferret_does_not_read_scores_of_special_tokens_and_padding(xor_classifier, xor_batch):
    scores = drawn(xor_batch)
    changed = torch.where(xor_batch.units >= 0, scores, torch.nan)
    first, second = (whybench.score(xor_classifier, xor_batch, s, profile="ferret") for s in (scores, changed))
    assert all(torch.equal(first[name], second[name]) for name in first)
    changed[3, 2] = torch.inf
    with pytest.raises(NonFiniteScoresError, match="1 of"):
        whybench.score(xor_classifier, xor_batch, changed, profile="ferret")


def test_ferrets_edges(xor_classifier, xor_batch):
    """No score above 0: 0 and 1 by decree. A constant map: no τ, which ferret writes as NaN."""
    negative = whybench.score(xor_classifier, xor_batch, -drawn(xor_batch).abs() - 0.1, profile="ferret")
    assert negative["aopc_compr"].tolist() == [0.0] * 12
    assert negative["aopc_suff"].tolist() == [1.0] * 12
    constant = whybench.score(xor_classifier, xor_batch, torch.ones(xor_batch.input_ids.shape), profile="ferret")
    assert constant["taucorr_loo"].isnan().all()


def test_ferrets_sets():
    scores = np.array([0.5, -1.0, 2.0, 0.5, 0.0, 1.0, 0.1])
    # 7 tokens: sizes 0, 1, 2, 2, 3, 4, 4, 5, 6, 7; five are above 0; of the equal ones the later is the better
    assert [tokens.tolist() for tokens in ferret.rationales(scores)] == [
        [2],
        [2, 5],
        [2, 5, 3],
        [2, 5, 3, 0],
        [2, 5, 3, 0, 6],
    ]
    assert ferret.rationales(-np.ones(20)) == []
    # below ten tokens the first threshold gives none
    assert [len(tokens) for tokens in ferret.rationales(np.ones(3))] == [1, 2, 3]


def test_ferrets_sizes_are_those_of_its_floating_point():
    thresholds = np.arange(0.1, 1.1, 0.1)
    for n in range(1, 3000):
        assert [int(t * n) for t in thresholds] == [n * percent // 100 for percent in ferret.PERCENTS]


def test_recording_in_pieces_changes_nothing(xor_classifier, xor_batch, monkeypatch):
    scores = drawn(xor_batch)
    whole = whybench.score(xor_classifier, xor_batch, scores, profile="ferret")
    monkeypatch.setattr(ferret, "TEXTS_AT_ONCE", 1)
    pieces = whybench.score(xor_classifier, xor_batch, scores, ["aopc_suff"], profile="ferret")
    assert torch.allclose(whole["aopc_suff"], pieces["aopc_suff"], atol=1e-6)


def test_inputs_are_shared_and_batched(xor_classifier, xor_batch):
    """One call of the engine for all examples and metrics, which computes an input once that is asked for twice."""
    from whybench.bench.engine import ForwardEngine

    engine, scores = ForwardEngine(xor_classifier), drawn(xor_batch)
    twice = xor_batch.select([*range(12), *range(12)])
    ferret.ferret_values(engine, twice, torch.cat((scores, scores)), list(ferret.METRICS.values()))
    assert engine.counts.forwarded == engine.counts.asked / 2
    assert engine.counts.batches < engine.counts.forwarded / 20
