"""ReAGent: against a loop that carries its scores from round to round, and what its draws must be."""

import dataclasses

import numpy as np
import pytest
import torch

from whybench import NextTokenModel, load_task
from whybench.bench.cost import counting
from whybench.bench.errors import ParameterError
from whybench.bench.registry import load_method
from whybench.bench.tiny_models import FAMILIES, PAIRS, TEXTS, tiny_classifier
from whybench.methods._coalitions import generator_for, of_sizes
from whybench.methods._vocabulary import ordinary_ids
from whybench.methods.reagent import replacement_values
from whybench.tasks.builtin import checkpoint
from whybench.tests.methods.test_methods import close


@pytest.mark.parametrize(
    ("family", "texts"), [("bert", TEXTS), ("gpt2", TEXTS), ("bert", PAIRS), ("modernbert", TEXTS)]
)
def test_it_is_a_loop_over_rounds(family, texts):
    classifier, samples = tiny_classifier(family), 20
    batch = classifier.encode(texts)
    scores = load_method("reagent", samples=samples).attribute(classifier, batch)
    words = ordinary_ids(classifier)
    for index in range(len(texts)):
        alone = batch.select([index])
        units, n = alone.units[0].numpy(), int(batch.unit_counts()[index])
        chance = generator_for("reagent", 0, batch.ids[index])
        masks = of_sizes(np.full(samples, max(1, round(0.3 * n))), n, chance)
        drawn = chance.choice(words, size=(samples + 1, len(units)))[1:]
        before = classifier.probabilities(alone)[0].double()
        target = int(before.argmax())
        state = np.zeros(n)
        for mask, others in zip(masks, drawn, strict=True):
            gone = np.array([unit >= 0 and mask[unit] for unit in units])
            ids = torch.from_numpy(np.where(gone, others, alone.input_ids[0].numpy()))[None]
            after = classifier.probabilities(dataclasses.replace(alone, input_ids=ids))[0].double()
            delta = float(before[target] - after[target])
            odds = float(torch.logit(torch.tensor(0.5 + 0.5 * delta).double()))
            for unit in range(n):
                state[unit] += odds if mask[unit] else -odds
        found = batch.unit_scores(scores)[index].numpy()
        np.testing.assert_allclose(found, state / samples, atol=1e-5 + 1e-4 * np.abs(state / samples).max())


def test_values_stay_finite():
    masks = np.array([[True, False], [False, True]])
    values = replacement_values(masks, np.array([1.0, -1.0]))
    assert np.isfinite(values).all()
    assert values[0] > 10
    assert values[1] == -values[0]


def test_only_ordinary_words_are_put_in_place():
    for family in FAMILIES:
        classifier = tiny_classifier(family)
        words = ordinary_ids(classifier)
        assert len(words) > 40
        assert not {*classifier.tokenizer.all_special_ids, classifier.pad_id} & set(words.tolist())
        assert words.max() < len(classifier.tokenizer)


def test_chance_is_the_examples_own():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    scores = load_method("reagent", samples=30).attribute(classifier, batch)
    assert torch.equal(torch.get_rng_state(), before)
    renamed = dataclasses.replace(batch, ids=("a", "b", "c", "d"))
    for other in (
        load_method("reagent", samples=30, seed=1).attribute(classifier, batch),
        load_method("reagent", samples=30).attribute(classifier, renamed),
    ):
        assert (other[0] - scores[0]).abs().max() > 1e-4
    with counting(classifier.model) as counts:
        load_method("reagent", samples=30).attribute(classifier, batch)
    # the rounds, the text among them, and once for the target
    assert counts.forward <= 32 * len(TEXTS)
    assert counts.backward == 0


def test_next_tokens():
    model = NextTokenModel.from_pretrained(checkpoint("induction"), device="cpu")
    batch = model.encode_examples(load_task("induction").load().examples[:3])
    method = load_method("reagent", samples=20)
    scores = method.attribute(model, batch)
    assert scores[0].std() > 0
    close(method.attribute(model, batch.select([1]))[0], scores[1, : int(batch.lengths()[1])])


@pytest.mark.parametrize(
    ("parameters", "message"),
    [({"samples": 0}, "samples is 0"), ({"share": 0}, "share is 0"), ({"share": 1}, "share is 1")],
)
def test_wrong_values(parameters, message):
    with pytest.raises(ParameterError, match=message):
        load_method("reagent", **parameters)
