"""The references: the oracle against every order there is, the permuted twin, and the priors."""

import itertools

import numpy as np
import pytest
import torch

from whybench import load_method, score
from whybench.bench.curves import Curves
from whybench.bench.errors import ParameterError, UnknownNameError
from whybench.bench.metrics import METRICS
from whybench.bench.tiny_models import PAIRS, TEXTS, tiny_classifier
from whybench.methods._linear import linear
from whybench.methods.permuted import Permuted

SEARCHED = ("comprehensiveness", "sufficiency", "deletion_auc", "insertion_auc")
SHORT = ["the film was great", "a bad slow joke", "great", "wonderful cast and joke"]


def best_of_all_orders(classifier, batch, index, metric):
    """The metric's best value over all orders of an example's units, by scoring every one of them."""
    one, better = batch.select([index]), METRICS[metric].higher_is_better
    n = int(one.unit_counts()[0])
    orders = list(itertools.permutations(range(n)))
    every = one.select([0] * len(orders))
    scores = torch.zeros(every.input_ids.shape, dtype=torch.float64)
    for row, order in zip(scores, orders, strict=True):
        for place, unit in enumerate(order):
            row[int((one.units[0] == unit).nonzero()[0])] = n - place
    values = score(classifier, every, scores, [metric], "mask")[metric]
    return float(values.max() if better else values.min())


@pytest.mark.parametrize("metric", SEARCHED)
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_wide_beam_finds_the_best_of_all_orders(metric, family):
    classifier = tiny_classifier(family)
    batch = classifier.encode(SHORT).with_operator("mask")
    found = load_method("oracle", metric=metric, beam=100).attribute(classifier, batch)
    values = score(classifier, batch, found, [metric], "mask")[metric]
    for index in range(len(batch)):
        assert float(values[index]) == pytest.approx(best_of_all_orders(classifier, batch, index, metric), abs=1e-6)


@pytest.mark.parametrize("metric", ["comprehensiveness", "sufficiency"])
def test_it_is_ahead_of_chance_and_of_occlusion_on_a_trained_model(xor_classifier, xor_batch, metric):
    better = METRICS[metric].higher_is_better
    of = {
        name: score(
            xor_classifier, xor_batch, load_method(name, **given).attribute(xor_classifier, xor_batch), [metric]
        )[metric].mean()
        for name, given in (("oracle", {"metric": metric}), ("random", {}), ("occlusion", {}))
    }
    sign = 1 if better else -1
    assert sign * of["oracle"] >= sign * of["occlusion"] - 1e-9
    assert sign * of["oracle"] > sign * of["random"] + 0.1


def test_it_searches_by_the_operator_that_scores():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(SHORT)
    found = {
        operator: load_method("oracle", beam=100).attribute(classifier, batch.with_operator(operator))
        for operator in ("mask", "delete")
    }
    values = {
        operator: score(classifier, batch, scores, ["comprehensiveness"], "delete")["comprehensiveness"]
        for operator, scores in found.items()
    }
    assert (values["delete"] >= values["mask"] - 1e-6).all()
    assert values["delete"].mean() > values["mask"].mean() + 1e-4
    given = load_method("oracle", beam=100, operator="delete").attribute(classifier, batch.with_operator("mask"))
    assert torch.equal(given, found["delete"])


def test_long_texts_have_no_answer_and_say_so():
    classifier = tiny_classifier("bert")
    found = load_method("oracle", most_units=3).explain(classifier, classifier.encode(TEXTS))
    assert set(found.failed) == {0, 2, 3}
    assert "most_units" in found.failed[0]


def test_parameters():
    with pytest.raises(ParameterError, match="beam is 0"):
        load_method("oracle", beam=0)
    classifier = tiny_classifier("bert")
    for metric in ("decision_flip", "log_odds", "normalised_sufficiency", "loo_agreement"):
        with pytest.raises(ParameterError, match="not a weighted sum"):
            load_method("oracle", metric=metric).attribute(classifier, classifier.encode(SHORT))
    with pytest.raises(UnknownNameError):
        load_method("oracle", metric="sufficincy").attribute(classifier, classifier.encode(SHORT))


@pytest.mark.parametrize("metric", SEARCHED)
@pytest.mark.parametrize("n", [1, 2, 3, 7, 20, 41])
def test_the_weights_give_the_metric(metric, n):
    found, chance = linear(METRICS[metric], n), np.random.default_rng(n)
    sign = 1 if METRICS[metric].higher_is_better else -1

    def difference():
        removed, kept = chance.random(n + 1), chance.random(n + 1)
        removed[0] = 0.3
        sizes = np.arange(n + 1)
        curves = Curves(n, sizes, removed, np.zeros(n + 1, dtype=bool), sizes, kept)
        along = removed if found.best_first else kept[::-1]
        weights = found.weights.copy()
        if found.best_first:
            # p(x), which no order changes
            weights[0] = 0
        return sign * METRICS[metric].value(curves) - weights @ along

    # what is left over is the same whatever the probabilities: p(x) alone
    assert difference() == pytest.approx(difference(), abs=1e-12)


def test_the_twin_has_the_scores_of_its_method_on_other_units(xor_classifier, xor_batch):
    own = xor_batch.unit_scores(load_method("gradient").attribute(xor_classifier, xor_batch))
    twin = load_method("permuted", of="gradient")
    permuted = xor_batch.unit_scores(twin.attribute(xor_classifier, xor_batch))
    for one, other in zip(own, permuted, strict=True):
        assert torch.equal(one.sort().values, other.sort().values)
        assert not torch.equal(one, other)
    again = load_method("permuted", of="gradient", seed=1)
    assert not torch.equal(xor_batch.unit_scores(again.attribute(xor_classifier, xor_batch))[0], permuted[0])


def test_the_twin_takes_parameters_and_the_source_of_its_method():
    twin = load_method("permuted", of="occlusion", parameters_of="operator=delete")
    assert isinstance(twin, Permuted)
    assert twin.label() == "permuted(of=occlusion, parameters_of=operator=delete)"
    assert [part.__name__ for part in twin.parts()] == ["Permuted", "Occlusion"]
    classifier = tiny_classifier("bert")
    batch = classifier.encode(SHORT)
    plain = load_method("occlusion", operator="delete").attribute(classifier, batch)
    for one, other in zip(batch.unit_scores(plain), batch.unit_scores(twin.attribute(classifier, batch)), strict=True):
        assert torch.equal(one.sort().values, other.sort().values)
    with pytest.raises(ParameterError, match="key=value"):
        load_method("permuted", of="occlusion", parameters_of="operator").attribute(classifier, batch)


def test_position_prior_ranks_by_place():
    classifier = tiny_classifier("roberta")
    batch = classifier.encode(PAIRS)
    first = batch.unit_scores(load_method("position_prior").attribute(classifier, batch))
    last = batch.unit_scores(load_method("position_prior", end="last").attribute(classifier, batch))
    for one, other in zip(first, last, strict=True):
        n = len(one)
        np.testing.assert_allclose(one, (n - np.arange(n)) / n)
        np.testing.assert_allclose(other, one.flip(0))


def test_length_prior_counts_characters():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    scores = batch.unit_scores(load_method("length_prior").attribute(classifier, batch))
    for i, row in enumerate(scores):
        assert row.tolist() == [len(text) for text in batch.unit_texts(i)]
