"""Scores from the shared engine against a per-example reference that shares nothing with it."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import kendalltau

import whybench
from whybench.bench.agreement import subsets
from whybench.bench.causal.chance import generator
from whybench.bench.errors import (
    LabelError,
    ModelError,
    NonFiniteScoresError,
    OperatorError,
    ScoresError,
    ScoreShapeError,
    UnknownNameError,
)
from whybench.bench.metrics import METRICS
from whybench.bench.scoring import rankings, tie_breaker
from whybench.bench.tiny_models import PAIRS, tiny_classifier

# a logarithm and a quotient of small drops: rounding weighs more
LOGARITHMIC = ("log_odds", "infidelity", "normalised_comprehensiveness", "normalised_sufficiency")


@torch.no_grad()
def reference(classifier, batch, token_scores, operator):
    """Protocol version 1 by the letter: one example, one removal, one forward pass at a time."""
    answers = {name: [] for name in METRICS}
    for index in range(len(batch)):
        length = int(batch.attention_mask[index].sum())
        ids, units = batch.input_ids[index, :length].tolist(), batch.units[index, :length].tolist()
        n = max(units) + 1
        summed = [sum(float(token_scores[index, t]) for t in range(length) if units[t] == u) for u in range(n)]
        order = sorted(range(n), key=lambda u: -summed[u])

        def predict(gone, ids=ids, units=units):
            kept_ids, mask = [], []
            for token, unit in zip(ids, units, strict=True):
                if unit not in gone:
                    kept_ids.append(token)
                    mask.append(1)
                elif operator != "delete":
                    kept_ids.append({"mask": classifier.tokenizer.mask_token_id, "pad": classifier.pad_id}[operator])
                    mask.append(int(operator == "mask"))
            logits = classifier.model(input_ids=torch.tensor([kept_ids]), attention_mask=torch.tensor([mask])).logits
            return logits.double().softmax(-1)[0]

        whole = predict(set())
        target = int(whole.argmax())
        p = float(whole[target])

        def removed(k, order=order, predict=predict, target=target):
            return float(predict(set(order[:k]))[target])

        def kept(k, order=order, predict=predict, target=target):
            return float(predict(set(order[k:]))[target])

        sizes = [min(n, max(1, math.ceil(q * n / 100))) for q in (1, 5, 10, 20, 50)]
        grid = [math.ceil(t * n / 10) for t in range(11)]
        answers["comprehensiveness"].append(sum(p - removed(k) for k in sizes) / 5)
        answers["sufficiency"].append(sum(p - kept(k) for k in sizes) / 5)
        answers["deletion_auc"].append(np.trapezoid([removed(k) for k in grid], dx=0.1))
        answers["insertion_auc"].append(np.trapezoid([kept(k) for k in grid], dx=0.1))
        flips = [k for k in range(1, n + 1) if int(predict(set(order[:k])).argmax()) != target]
        answers["decision_flip"].append(flips[0] / n if flips else 1.0)
        answers["never_flips"].append(float(not flips))
        answers["log_odds"].append(math.log(removed(math.ceil(n / 5))) - math.log(p))
        whole = max(0, p - kept(0))
        for name, points in (("comprehensiveness", removed), ("sufficiency", kept)):
            shares = [min(1, max(0, p - points(k)) / whole) if whole else math.nan for k in sizes]
            share = sum(shares) / 5
            answers[f"normalised_{name}"].append(share if name == "comprehensiveness" else 1 - share)
        drops = [p - float(predict({u})[target]) for u in range(n)]
        answers["loo_agreement"].append(kendalltau(summed, drops).statistic)
        sets = [set(np.flatnonzero(row)) for row in subsets(n, 0, batch.ids[index])]
        drops = np.array([p - float(predict(gone)[target]) for gone in sets])
        sums = np.array([sum(summed[u] for u in gone) for gone in sets])
        answers["infidelity"].append(1 - (sums @ drops) ** 2 / ((sums @ sums) * (drops @ drops)))
        for name, value in soft_reference(classifier, batch, index, summed, p, target).items():
            answers[name].append(value)
    return answers


def soft_reference(classifier, batch, index, summed, p, target):
    """Soft removal, one draw and one forward pass at a time, through transformers' own ``inputs_embeds``."""
    length = int(batch.attention_mask[index].sum())
    ids, units = batch.input_ids[index, :length], batch.units[index, :length].tolist()
    own = [(summed[u] - min(summed)) / (max(summed) - min(summed)) for u in units if u >= 0]
    twin = generator(0, batch.ids[index], "twin").permutation(own)
    words = classifier.model.get_input_embeddings()(ids)
    chance = generator(0, batch.ids[index], "soft").random((16, *words.shape), dtype=np.float32)
    means = {}
    for name, kept in (
        ("soft_comprehensiveness", [1 - a for a in own]),
        ("soft_sufficiency", own),
        ("soft_comprehensiveness_twin", [1 - a for a in twin]),
        ("soft_sufficiency_twin", twin),
    ):
        left = iter(kept)
        each = torch.tensor([1.0 if u < 0 else float(next(left)) for u in units])[:, None]
        drops = []
        for draw in chance:
            embeddings = (words * (torch.from_numpy(draw) < each))[None]
            logits = classifier.model(inputs_embeds=embeddings, attention_mask=torch.ones(1, length)).logits
            drops.append(p - float(logits.double().softmax(-1)[0, target]))
        means[name] = sum(drops) / 16
    return means


@pytest.mark.parametrize("operator", ["mask", "delete", "pad"])
def test_equals_the_reference(xor_classifier, xor_batch, operator):
    batch = xor_batch.select(range(3))
    scores = torch.rand(batch.input_ids.shape, generator=torch.Generator().manual_seed(1))
    expected = reference(xor_classifier, batch, scores, operator)
    found = whybench.score(xor_classifier, batch, scores, ["all"], operator=operator)
    assert list(found) == list(METRICS)
    for name, values in expected.items():
        # near ties among the drops are ordered by rounding
        slack = 0.05 if name == "loo_agreement" else 1e-4 if name in LOGARITHMIC else 1e-5
        np.testing.assert_allclose(found[name].numpy(), values, atol=slack, err_msg=name)


def test_equals_the_reference_on_real_sentences(shared):
    classifier = whybench.Classifier.from_pretrained(shared / "models" / "minilm-sst2", device="cpu")
    batch = classifier.encode(["An unbelievably moving film.", "Charmless, dull and overlong, it's a mess."])
    scores = torch.rand(batch.input_ids.shape, generator=torch.Generator().manual_seed(2))
    expected = reference(classifier, batch, scores, "mask")
    for name, values in whybench.score(classifier, batch, scores, ["all"]).items():
        slack = 0.05 if name == "loo_agreement" else 1e-4 if name in LOGARITHMIC else 1e-5
        np.testing.assert_allclose(values.numpy(), expected[name], atol=slack, err_msg=name)


def test_a_batch_scores_as_its_examples_do(xor_classifier, xor_batch):
    scores = torch.rand(xor_batch.input_ids.shape, generator=torch.Generator().manual_seed(3))
    together = whybench.score(xor_classifier, xor_batch, scores)
    for index in (0, 5, 11):
        one = xor_batch.select([index])
        alone = whybench.score(xor_classifier, one, scores[[index], : one.input_ids.shape[1]])
        for name, values in alone.items():
            assert values.item() == pytest.approx(together[name][index].item(), abs=1e-6), name


def test_perfect_scores_find_what_the_model_uses(xor_classifier, xor_batch, xor_examples):
    perfect = torch.zeros(xor_batch.input_ids.shape)
    for index, example in enumerate(xor_examples):
        for unit, span in enumerate(xor_batch.unit_spans[index]):
            if span in example.evidence:
                perfect[index, xor_batch.units[index] == unit] = 1.0
    best = whybench.score(xor_classifier, xor_batch, perfect)
    worst = whybench.score(xor_classifier, xor_batch, -perfect)
    for name in ("comprehensiveness", "sufficiency", "deletion_auc", "insertion_auc", "decision_flip"):
        better = METRICS[name].higher_is_better
        assert (best[name].mean() > worst[name].mean()) == better, name


def test_occlusions_scores_agree_with_leaving_one_out(xor_classifier, xor_batch):
    method = whybench.load_method("occlusion")
    names = ["loo_agreement", "infidelity"]
    found = whybench.score(xor_classifier, xor_batch, method.attribute(xor_classifier, xor_batch), names)
    others = whybench.score(xor_classifier, xor_batch, torch.rand(xor_batch.input_ids.shape), names)
    assert found["loo_agreement"].mean() > 0.9
    assert others["loo_agreement"].abs().mean() < 0.4
    assert found["infidelity"].mean() < others["infidelity"].mean()


def test_a_constant_map_agrees_with_nothing_and_has_no_soft_removal(xor_classifier, xor_batch):
    found = whybench.score(xor_classifier, xor_batch, torch.ones(xor_batch.input_ids.shape), ["all"])
    assert (found["loo_agreement"] == 0).all()
    assert found["soft_sufficiency"].isnan().all()
    assert found["infidelity"].isfinite().all()


def test_methods_share_the_drops_that_they_are_compared_with(xor_classifier, xor_batch):
    from whybench.bench.engine import ForwardEngine
    from whybench.bench.metrics import metrics_named
    from whybench.bench.scoring import record_curves

    engine = ForwardEngine(xor_classifier)
    counts = xor_batch.unit_counts().tolist()
    recorded, forwarded = [], []
    for seed in (0, 1):
        scores = [np.random.default_rng([seed, n]).random(n) for n in counts]
        ranks = rankings(xor_batch, scores, 0)
        metrics = metrics_named(["loo_agreement", "infidelity"])
        recorded.append(record_curves(engine, xor_batch, "mask", range(len(counts)), scores, ranks, metrics, 0))
        forwarded.append(engine.counts.forwarded)
    assert forwarded[0] == forwarded[1]
    for one, two in zip(*recorded, strict=True):
        # to the last bit, so that exact ties stay
        np.testing.assert_array_equal(one.single_p, two.single_p)
        np.testing.assert_array_equal(one.drawn_p, two.drawn_p)


def test_progress_counts_inputs_to_the_last(xor_classifier, xor_batch, monkeypatch):
    from whybench.bench import scoring
    from whybench.bench.engine import ForwardEngine
    from whybench.bench.metrics import metrics_named

    monkeypatch.setattr(scoring, "PERTURBATIONS_AT_ONCE", 200)
    scores = [np.random.default_rng(n).random(n) for n in xor_batch.unit_counts().tolist()]
    ranks, engine = rankings(xor_batch, scores, 0), ForwardEngine(xor_classifier, token_budget=500)
    batch, metrics, every = xor_batch, metrics_named(["all"]), range(len(xor_batch))

    def seen_and_asked():
        seen, before = [], engine.counts.asked
        scoring.record_curves(engine, batch, "delete", every, scores, ranks, metrics, 0, lambda *n: seen.append(n))
        return seen, engine.counts.asked - before

    # a warm engine has nothing to wait for, and says so all the same
    for seen, asked in (seen_and_asked(), seen_and_asked()):
        assert seen == sorted(seen)
        assert {total for _, total in seen} == {asked}
        assert seen[-1][0] == asked > 1000
        assert len(seen) >= 6


def test_the_twin_of_a_soft_removal_keeps_just_as_many(xor_batch):
    from whybench.bench.soft import scaled
    from whybench.bench.soft_removal import keeping

    units = xor_batch.units[0]
    kept = keeping(units, scaled(np.random.default_rng(0).normal(size=int(units.max()) + 1)), 0, "a")
    removed, own, removed_twin, twin = kept
    assert np.array_equal(np.sort(own), np.sort(twin))
    assert np.array_equal(np.sort(removed), np.sort(removed_twin))
    assert not np.array_equal(own, twin)
    assert (kept[:, (units < 0).numpy()] == 1).all()
    np.testing.assert_allclose((removed + own)[(units >= 0).numpy()], 1)
    assert (own[(units >= 0).numpy()].min(), own.max()) == (0, 1)


def test_soft_removal_in_small_passes_changes_nothing(xor_classifier, xor_batch):
    from whybench.bench.soft_removal import soft_probabilities

    one = xor_batch.select([0])
    scores = np.arange(int(one.unit_counts()[0]), dtype=float)
    whole = soft_probabilities(xor_classifier, one, scores, 0, 0, 10_000)
    assert whole.shape == (4, 16)
    np.testing.assert_allclose(soft_probabilities(xor_classifier, one, scores, 0, 0, 1), whole, atol=1e-6)
    # whatever is kept, the elements differ from draw to draw
    assert len(np.unique(whole[0])) > 1


@pytest.mark.parametrize("family", ["albert", "modernbert", "gpt2", "llama"])
@torch.no_grad()
def test_soft_removal_on_other_architectures(family):
    """Words of several tokens, pairs, embeddings smaller than the model, decoders."""
    from whybench.bench.soft_removal import soft_probabilities

    classifier = tiny_classifier(family)
    batch = classifier.encode(list(PAIRS))
    for i in range(len(batch)):
        one = batch.select([i])
        scores = np.zeros(int(one.unit_counts()[0]))
        scores[0] = 1.0
        removed, kept, _, kept_twin = soft_probabilities(classifier, one, scores, 1, 0, 10_000)
        words = classifier.embeddings(one)
        for gone, found in ((one.units[0] == 0, removed), (one.units[0] > 0, kept)):
            # probabilities of 0 and 1 leave nothing to chance
            plain = classifier.logits_from_embeddings(words * ~gone[None, :, None], one).softmax(-1)[0, 1]
            np.testing.assert_allclose(found, float(plain), atol=1e-5)
        assert kept_twin.shape == (16,)


def test_a_given_target_is_kept(xor_classifier, xor_batch):
    scores = torch.rand(xor_batch.input_ids.shape, generator=torch.Generator().manual_seed(4))
    predicted = xor_classifier.probabilities(xor_batch).argmax(-1)
    same = whybench.score(xor_classifier, xor_batch.with_target(predicted), scores)
    other = whybench.score(xor_classifier, xor_batch.with_target(1 - predicted), scores)
    plain = whybench.score(xor_classifier, xor_batch, scores)
    assert torch.equal(same["comprehensiveness"], plain["comprehensiveness"])
    # two labels: what one loses the other gains
    assert torch.allclose(other["comprehensiveness"], -plain["comprehensiveness"], atol=1e-6)


@pytest.mark.parametrize("target", [[-1] * 12, [2] * 12, [0, 1]])
def test_a_target_that_the_model_does_not_have(xor_classifier, xor_batch, target):
    scores = torch.rand(xor_batch.input_ids.shape)
    with pytest.raises(LabelError, match="target"):
        whybench.score(xor_classifier, xor_batch.with_target(torch.tensor(target)), scores)


def test_recording_in_pieces_changes_nothing(xor_classifier, xor_batch, monkeypatch):
    from whybench.bench import scoring

    scores = torch.rand(xor_batch.input_ids.shape, generator=torch.Generator().manual_seed(7))
    whole = whybench.score(xor_classifier, xor_batch, scores)
    monkeypatch.setattr(scoring, "PERTURBATIONS_AT_ONCE", 1)
    pieces = whybench.score(xor_classifier, xor_batch, scores)
    assert all(torch.allclose(whole[name], pieces[name], atol=1e-6) for name in whole)


def test_scores_of_special_tokens_and_padding_are_not_read(xor_classifier, xor_batch):
    scores = torch.rand(xor_batch.input_ids.shape, generator=torch.Generator().manual_seed(5))
    changed = torch.where(xor_batch.units >= 0, scores, torch.nan)
    first, second = (whybench.score(xor_classifier, xor_batch, s) for s in (scores, changed))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_words_score_is_the_sum_of_its_tokens(xor_batch):
    scores = torch.ones(xor_batch.input_ids.shape)
    merged = torch.where(xor_batch.units == 1, 0, xor_batch.units)
    import dataclasses

    batch = dataclasses.replace(xor_batch, units=torch.where(merged > 1, merged - 1, merged))
    sums = batch.unit_scores(scores)
    assert all(row[0] == 2 and (row[1:] == 1).all() for row in sums)
    assert [len(row) for row in sums] == [n - 1 for n in xor_batch.unit_counts().tolist()]


def test_ties_are_broken_by_seed_and_example_and_nothing_else(xor_batch):
    constant = [np.zeros(n) for n in xor_batch.unit_counts().tolist()]
    first = rankings(xor_batch, constant, seed=0)
    again = rankings(xor_batch.select([3]), [constant[3]], seed=0)
    assert np.array_equal(first[3], again[0])
    assert not np.array_equal(first[3], rankings(xor_batch, constant, seed=1)[3])
    assert sorted(first[3]) == list(range(len(first[3])))
    # pinned: another machine or version must break them the same way
    assert tie_breaker(6, 0, "a").tolist() == TIES


TIES = [3, 4, 0, 5, 1, 2]


def test_ties_score_as_random_does():
    counts = np.zeros((5, 5))
    for i in range(4000):
        counts[np.arange(5), tie_breaker(5, 0, str(i))] += 1
    assert np.abs(counts / 4000 - 0.2).max() < 0.03


def test_token_units(xor_classifier, xor_batch):
    # one token a word in this tokenizer, so both units are the same
    scores = torch.rand(xor_batch.input_ids.shape, generator=torch.Generator().manual_seed(6))
    words = whybench.score(xor_classifier, xor_batch, scores, ["sufficiency"])
    tokens = whybench.score(xor_classifier, xor_batch, scores, ["sufficiency"], unit="token")
    assert torch.equal(words["sufficiency"], tokens["sufficiency"])


def test_bad_scores(xor_classifier, xor_batch):
    scores = torch.rand(xor_batch.input_ids.shape)
    with pytest.raises(ScoreShapeError, match=r"shape \[12\]"):
        whybench.score(xor_classifier, xor_batch, scores[:, 0])
    for value in (torch.nan, torch.inf):
        broken = scores.clone()
        broken[2, 4] = value
        with pytest.raises(NonFiniteScoresError, match=f"'{xor_batch.ids[2]}'.*1 of"):
            whybench.score(xor_classifier, xor_batch, broken)
    with pytest.raises(ScoresError, match="unsigned score is negative"):
        whybench.score(xor_classifier, xor_batch, -scores, signed=False)
    with pytest.raises(UnknownNameError, match="operator"):
        whybench.score(xor_classifier, xor_batch, scores, operator="maks")
    with pytest.raises(UnknownNameError, match="metric"):
        whybench.score(xor_classifier, xor_batch, scores, ["auc"])


def test_scoring_needs_float32_and_the_operators_token(xor_batch):
    from whybench.tasks.builtin import checkpoint

    half = whybench.Classifier.from_pretrained(checkpoint("xor_cues"), device="cpu", dtype=torch.bfloat16)
    scores = torch.rand(xor_batch.input_ids.shape)
    with pytest.raises(ModelError, match="float32"):
        whybench.score(half, xor_batch, scores)
    maskless = whybench.Classifier.from_pretrained(checkpoint("xor_cues"), device="cpu")
    maskless.tokenizer.mask_token = None
    with pytest.raises(OperatorError, match="delete"):
        whybench.score(maskless, xor_batch, scores, operator="mask")
