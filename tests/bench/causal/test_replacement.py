"""Matrices in place of attention, as many versions in one pass, against one pass for each; figures by hand."""

import math

import pytest
import torch

from whybench.bench.causal import variants as variants_module
from whybench.bench.causal.chance import generator
from whybench.bench.causal.distances import entropy, half_l1, jsd, tvd
from whybench.bench.causal.erasure import cut_out, top_and_other
from whybench.bench.causal.minimality import (
    MASSES,
    compared,
    flip_mass,
    in_random_order,
    largest_first,
    without,
)
from whybench.bench.causal.replacement import all_replaced, errors, partly, partly_replaced
from whybench.bench.causal.variants import as_it_is, everywhere, logits_of, run_with
from whybench.bench.tiny_models import LAYERS
from whybench.tests.bench.causal.methods import Even, random_rows, shared_of

LN2 = math.log(2)
double = torch.float64


def test_distances_by_hand():
    one, other = torch.tensor([1.0, 0.0], dtype=double), torch.tensor([0.5, 0.5], dtype=double)
    assert float(tvd(one, other)) == 0.5
    assert float(tvd(one, 1 - one)) == 1
    assert float(jsd(one, 1 - one)) == pytest.approx(LN2)
    middle = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert float(jsd(one, other)) == pytest.approx(middle - LN2 / 2)
    assert float(entropy(other)) == pytest.approx(LN2)
    assert float(half_l1(torch.tensor([3.0, -1.0]), torch.tensor([0.0, 1.0]))) == 2.5
    assert float(jsd(other, other)) == 0


def test_figures_of_two_labels_by_hand():
    own, replaced = torch.tensor([0.9, 0.1], dtype=double).log(), torch.tensor([0.4, 0.6], dtype=double).log()
    figures = all_replaced(own, replaced, target=0, label=1)
    assert figures["replaced_tvd"] == pytest.approx(0.5)
    assert figures["replaced_logit_change"] == pytest.approx(math.log(6))
    assert (figures["replaced_agreement"], figures["replaced_accuracy"]) == (0.0, 1.0)
    assert figures["replaced_jsd"] == pytest.approx(float(jsd(own.exp(), replaced.exp())))
    assert "replaced_accuracy" not in all_replaced(own, replaced, 0, None)
    part = partly_replaced(own, torch.stack([own, replaced, own, own]))
    assert part == {"layer_replaced_tvd": pytest.approx(0.25), "head_replaced_tvd": pytest.approx(0.0)}


def test_figures_of_two_tokens_by_hand():
    own = [torch.tensor([[[0.5, 0.5], [1.0, 0.0]]], dtype=double)]
    matrices = [torch.tensor([[[1.0, 0.0], [1.0, 0.0]]], dtype=double)]
    figures = compared(matrices, own, distributions=True)
    # each a mean of the first row's figure and of the second one's, which is the same row
    assert figures["norm_ratio"] == pytest.approx((2 + 1) / 2)
    assert figures["support_ratio"] == pytest.approx((0.5 + 1) / 2)
    assert figures["matrix_tvd"] == pytest.approx(0.25)
    assert figures["matrix_jsd"] == pytest.approx(float(jsd(matrices[0][0, 0], own[0][0, 0])) / 2)
    assert set(compared(matrices, own, distributions=False)) == {"norm_ratio", "matrix_tvd"}


def test_errors_of_two_tokens_by_hand():
    own = [torch.tensor([[[0.5, 0.5], [1.0, 0.0]]], dtype=double)]
    values = [torch.tensor([[[3.0], [1.0]]], dtype=double)]
    # outputs of A are 2 and 3; of M 3 + 1 and 1.25 · 3 − 0.25 · 1
    matrices = [torch.tensor([[[1.0, 1.0], [1.25, -0.25]]], dtype=double)]
    figures = errors(matrices, own, values)
    assert figures["distribution_error"] == 1.0
    assert figures["equivalence_error"] == pytest.approx(math.hypot(2, 0.5) / math.hypot(2, 3))
    assert errors(own, own, values) == {"distribution_error": 0.0, "equivalence_error": 0.0}
    below = [torch.tensor([[[2.0, -1.0], [1.0, 0.0]]], dtype=double)]
    assert errors(below, own, values)["distribution_error"] == 1.0


@pytest.mark.parametrize("family", ["bert", "albert", "gpt2", "llama"])
@pytest.mark.parametrize("at_once", [1, 2**28])
def test_many_versions_in_one_pass(family, at_once, monkeypatch):
    monkeypatch.setattr(variants_module, "PASS_BYTES", {"cpu": at_once})
    shared = shared_of(family)
    classifier, one = shared.exact, shared.one(0)
    record = shared.record(0)
    even = [layer.weights for layer in Even().matrices(classifier, one)]
    matrices = [layer[0] for layer in even]
    heads = [1, 3, 0]
    found = logits_of(classifier, one, [as_it_is, everywhere(matrices), *partly(matrices, heads)], shared.numbers(0))
    wanted = [classifier.logits(one), classifier.replace_attention(one, even)]
    for place in range(LAYERS):
        wanted.append(classifier.replace_attention(one, [even[i] if i == place else None for i in range(LAYERS)]))
    for place, head in enumerate(heads):
        # the layers below are the model's own, and so are the other heads
        one_head = record.weights[place].clone()
        one_head[:, head] = even[place][:, head]
        wanted.append(classifier.replace_attention(one, [one_head if i == place else None for i in range(LAYERS)]))
    torch.testing.assert_close(found, torch.cat(wanted).detach(), rtol=0, atol=1e-9 if family != "llama" else 1e-5)
    assert float((found[1:] - found[0]).abs().amax(dim=-1).min()) > 1e-4


def test_the_values_that_come_about():
    shared = shared_of("bert")
    one, record = shared.one(0), shared.record(0)
    even = [layer.weights[0] for layer in Even().matrices(shared.exact, one)]
    logits, values = run_with(shared.exact, one, even)
    torch.testing.assert_close(
        logits, logits_of(shared.exact, one, [everywhere(even)], shared.numbers(0))[0], rtol=0, atol=1e-10
    )
    torch.testing.assert_close(values[0], record.values[0][0])
    assert float((values[1] - record.values[1][0]).abs().max()) > 1e-3


def test_mass_goes_largest_first_by_hand():
    rows = torch.tensor([[[0.3, 0.5, 0.2, 0.0], [0.0, 0.0, 1.0, 0.0], [0.25, 0.25, 0.25, 0.25]]], dtype=double)
    before = [largest_first(rows)]

    def left(mass):
        return without([rows], before, mass)(0, rows)[0]

    for mass, first in ((0.05, [0.6, 0, 0.4, 0]), (0.5, [0.6, 0, 0.4, 0]), (0.55, [0, 0, 1, 0]), (0.95, [0, 0, 1, 0])):
        torch.testing.assert_close(left(mass)[0], torch.tensor(first, dtype=double))
        # the only weight stays
        assert left(mass)[1].tolist() == [0, 0, 1, 0]
    # ties go in the order of the keys; a sum reaches what it equals
    torch.testing.assert_close(left(0.25)[2], torch.tensor([0, 1, 1, 1], dtype=double) / 3)
    assert left(0.95)[2].tolist() == [0, 0, 0, 1]


def test_weights_that_float32_does_not_know_share_what_is_left():
    rows = torch.tensor([[[1.0, 3e-60, 1e-60]]], dtype=double)
    left = without([rows], [largest_first(rows)], 0.95)(0, rows.float())
    assert left.dtype == torch.float32
    torch.testing.assert_close(left[0, 0], torch.tensor([0, 0.75, 0.25]))


@pytest.mark.parametrize("order", ["largest", "random"])
def test_mass_against_a_plain_loop(order):
    rows, _ = random_rows(2, 7, 9, 2.0)
    rows[:, 3, 4:] = 0
    rows = rows / rows.sum(dim=-1, keepdim=True)
    numbers = torch.from_numpy(generator(0, "x").random(tuple(rows.shape)))
    before = largest_first(rows) if order == "largest" else in_random_order(rows, generator(0, "x"))
    for mass in MASSES:
        found = without([rows], [before], mass)(0, rows)
        for head in range(2):
            for query in range(7):
                row = rows[head, query].clone()
                ranks = -row if order == "largest" else numbers[head, query]
                gone = 0.0
                for key in sorted(range(9), key=lambda k: float(ranks[k])):
                    if gone >= mass - 1e-9 or int((row > 0).sum()) == 1:
                        break
                    gone += float(row[key])
                    row[key] = 0
                torch.testing.assert_close(found[head, query], row / row.sum())


@pytest.mark.parametrize("flips", [{0.35}, {0.35, 0.5}, {0.05}, {0.95}, set()])
def test_the_first_flip_counts(flips):
    asked = []

    def decide(masses):
        asked.extend(masses)
        return torch.tensor([1 if mass in flips else 0 for mass in masses])

    assert flip_mass(decide, lambda mass: mass, target=0) == min(flips, default=1.0)
    assert asked == list(MASSES[: len(asked)])


def test_a_key_cut_out_by_hand():
    rows = torch.tensor([[[0.5, 0.25, 0.25], [0.0, 1.0, 0.0], [0.2, 0.0, 0.8]]], dtype=double)
    cut = cut_out(torch.tensor([False, True, False]))(0, rows)
    # what attends to nothing else stays as it is
    wanted = torch.tensor([[[2 / 3, 0, 1 / 3], [0, 1, 0], [0.2, 0, 0.8]]], dtype=double)
    torch.testing.assert_close(cut, wanted)


def test_the_other_unit_is_never_the_top_one():
    assert top_and_other([2, 0, 1], [1, 2, 0]) == (1, 2)
    assert top_and_other([2, 0, 1], [0, 1, 2]) == (1, 0)
    assert top_and_other([0], [0]) == (0, None)
