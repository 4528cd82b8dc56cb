"""Owen values of a tree of halves: against the definition by orders, a plain recursion, and what a value must do."""

import itertools

import numpy as np
import pytest
import torch

from whybench.bench.cost import counting
from whybench.bench.errors import ParameterError
from whybench.bench.registry import load_method
from whybench.bench.tiny_models import PAIRS, TEXTS, fresh_classifier, tiny_classifier
from whybench.methods._coalitions import all_coalitions
from whybench.methods.partition_shap import grouped_orders, owen_sets, owen_values, siblings
from whybench.tests.methods.test_methods import close

SHORT = ("a slow film", "bad", "the joke was unwatchable.", "never was a slow joke so great")


def game(units, seed=0):
    worth = np.random.default_rng(seed).random(2**units)
    return lambda members: worth[sum(2**i for i in members)]


def cut(items, first):
    middle = first if 0 < first < len(items) else (len(items) + 1) // 2
    return items[:middle], items[middle:]


def consistent_orders(items, first=-1):
    """All orders in which the halves of every group stand one after the other."""
    if len(items) < 2:
        return [list(items)]
    halves = [consistent_orders(half) for half in cut(items, first)]
    return [a + b for one, other in (halves, halves[::-1]) for a in one for b in other]


def by_recursion(worth, items, first, off, on, weight, values):
    """As SHAP's partition explainer goes down: each half without and with the other one, at half the weight."""
    if len(items) == 1:
        values[items[0]] += weight * (worth(on) - worth(off))
        return
    left, right = cut(items, first)
    for own, other in ((left, right), (right, left)):
        for there in ((), other):
            base = (*off, *there)
            by_recursion(worth, own, -1, base, (*base, *own), weight / 2, values)


@pytest.mark.parametrize("first", [-1, 1, 2, 4])
@pytest.mark.parametrize("units", range(1, 7))
def test_owen_values(units, first):
    first = units if first < 0 else min(first, units)
    worth, items = game(units, seed=first), tuple(range(units))
    groups = siblings(units, first)
    sets = owen_sets(groups)
    answers = np.array([worth(np.flatnonzero(row)) for row in sets])
    found = owen_values(groups, answers)

    orders = consistent_orders(items, first)
    assert len(orders) == 2 ** (units - 1)
    expected = np.zeros(units)
    for order in orders:
        for place, unit in enumerate(order):
            expected[unit] += (worth(order[: place + 1]) - worth(order[:place])) / len(orders)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    assert found.sum() == pytest.approx(worth(items) - worth(()))

    descended = np.zeros(units)
    by_recursion(worth, items, first, (), items, 1.0, descended)
    np.testing.assert_allclose(found, descended, atol=1e-12)


def test_owen_values_are_shapleys_where_units_add_up_and_not_elsewhere():
    from whybench.methods.shapley import shapley_values

    units = 5
    groups, sets = siblings(units, units), owen_sets(siblings(units, units))
    share = np.array([3.0, -1.0, 0.0, 2.0, 5.0])
    np.testing.assert_allclose(owen_values(groups, sets @ share), share, atol=1e-12)
    worth = game(units)
    answers = [worth(np.flatnonzero(row)) for row in sets]
    exact = shapley_values(np.array([worth(np.flatnonzero(row)) for row in all_coalitions(units)]))
    assert np.abs(owen_values(groups, np.array(answers)) - exact).max() > 0.01


def test_orders_keep_groups_together_and_come_in_pairs():
    orders = grouped_orders(6, 2, 60, np.random.default_rng(0))
    assert orders.shape == (12, 6)
    allowed = consistent_orders(tuple(range(6)), 2)
    assert all(order in allowed for order in orders.tolist())
    assert (orders[1::2] == orders[::2, ::-1]).all()
    many = grouped_orders(4, 4, 3 * 8000, np.random.default_rng(1))
    counts = [int((many == order).all(axis=1).sum()) for order in consistent_orders(tuple(range(4)))]
    # of eight orders that are equally likely; 200 is more than six standard deviations
    assert sum(counts) == 8000
    assert max(abs(count - 1000) for count in counts) < 200


def test_scores_are_owen_values_of_the_models_probabilities():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(SHORT)
    attribution = load_method("partition_shap").explain(classifier, batch)
    assert attribution.report["estimated"].tolist() == [0, 0, 0, 0]
    whole = classifier.probabilities(batch)
    for index, text in enumerate(SHORT):
        alone = batch.select([index])
        target = int(whole[index].argmax())
        units = int(batch.unit_counts()[index])

        def worth(members, alone=alone, target=target):
            gone = (alone.units[0] >= 0) & ~torch.isin(alone.units[0], torch.tensor(list(members), dtype=torch.long))
            ids = alone.input_ids.masked_fill(gone, classifier.tokenizer.mask_token_id)
            logits = classifier.logits_from_ids(ids, alone.attention_mask, alone.token_type_ids).detach()
            return float(logits.double().softmax(dim=-1)[0, target])

        expected = np.zeros(units)
        by_recursion(worth, tuple(range(units)), units, (), tuple(range(units)), 1.0, expected)
        found = batch.unit_scores(attribution.scores)[index]
        np.testing.assert_allclose(found, expected, atol=1e-5, err_msg=text)


def test_the_two_texts_of_a_pair_are_cut_first():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(PAIRS)
    firsts = [sum(span.segment == 0 for span in spans) for spans in batch.unit_spans]
    assert firsts == [4, 2]
    groups = siblings(int(batch.unit_counts()[1]), 2)
    assert np.flatnonzero(groups[0][0]).tolist() == list(range(2, len(groups)))
    assert np.flatnonzero(groups[2][0]).tolist() == [0, 1]
    # within a text, halves
    assert [len(group) for group in siblings(8, 8)] == [3] * 8


def test_estimates_add_up_and_come_near():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(SHORT[3:])
    exact = load_method("partition_shap", samples=128).explain(classifier, batch)
    assert exact.report["estimated"].tolist() == [0]
    few, many = (load_method("partition_shap", samples=n, seed=1).explain(classifier, batch) for n in (12, 80))
    assert (few.report["estimated"] == 1).all() and (many.report["estimated"] == 1).all()
    for one in (few, many):
        assert float(one.scores.sum()) == pytest.approx(float(exact.scores.sum()), abs=1e-6)
    draws = [
        load_method("partition_shap", samples=80, seed=seed).attribute(classifier, batch).numpy() for seed in range(30)
    ]
    error = np.std(draws, axis=0) / 30**0.5
    assert (np.abs(np.mean(draws, axis=0) - exact.scores.numpy()) <= 5 * error + 1e-6).all()
    assert (few.scores - exact.scores).abs().max() > 1e-4


def test_what_it_costs_and_long_texts():
    classifier = fresh_classifier("bert")
    batch = classifier.encode(TEXTS)
    with counting(classifier.model) as counts:
        attribution = load_method("partition_shap", samples=64).explain(classifier, batch)
    assert counts.backward == 0
    assert counts.forward <= len(TEXTS) * (64 + 2)
    assert attribution.report["estimated"].tolist() == [1, 0, 1, 1]
    # no table of all sets where they are too many
    siblings(2000, 2000)
    long = classifier.encode([" ".join(itertools.islice(itertools.cycle(TEXTS[0].split()), 300))])
    scores = load_method("partition_shap", samples=50).attribute(classifier, long)
    assert scores.shape == long.input_ids.shape


def test_batches():
    classifier = tiny_classifier("gpt2")
    batch = classifier.encode(TEXTS)
    method = load_method("partition_shap", samples=100)
    scores = method.attribute(classifier, batch)
    for index in range(len(TEXTS)):
        alone = method.attribute(classifier, batch.select([index]))[0]
        close(scores[index, : len(alone)], alone)


def test_wrong_values():
    with pytest.raises(ParameterError, match="partition_shap: samples is 0; it must be at least 1"):
        load_method("partition_shap", samples=0)
