"""Methods that take gradients at many points: against plain loops, Captum, and closed forms."""

import dataclasses

import numpy as np
import pytest
import torch
from captum.attr import GradientShap, LayerIntegratedGradients, NoiseTunnel, Saliency

from whybench import NextTokenModel, load_task
from whybench.bench.cost import counting
from whybench.bench.errors import OperatorError, ParameterError
from whybench.bench.registry import load_method
from whybench.bench.tiny_models import TEXTS, fresh_classifier, tiny_classifier
from whybench.methods._coalitions import generator_for
from whybench.methods._vocabulary import ordinary_ids
from whybench.methods._word_paths import WordPaths
from whybench.tasks.builtin import checkpoint
from whybench.tests.methods.test_methods import close, plain_gradient
from whybench.tests.models import state_of

FAMILIES = ("bert", "roberta", "modernbert", "gpt2", "llama")
TARGETS = (0, 1, 2, 1)
NOISY = ("smoothgrad", "vargrad")
DRAWN = (*NOISY, "gradient_shap")


def double(family):
    """A classifier in float64, where rounding hides nothing."""
    classifier = fresh_classifier(family)
    classifier.model.double()
    return classifier


def with_targets(classifier):
    return classifier.encode(TEXTS).with_target(torch.tensor(TARGETS))


def copies(classifier, batch, index, name, samples, noise, seed=0):
    """A text's embeddings ``[tokens, hidden]`` and its noisy copies, drawn as the methods say they draw."""
    n = int(batch.lengths()[index])
    text = classifier.embeddings(batch)[index, :n]
    removable = batch.units[index, :n] >= 0
    own = text[removable]
    deviation = noise * float(own.max() - own.min())
    made = []
    for number in range(samples):
        drawn = generator_for(name, seed, f"{batch.ids[index]}:{number}").standard_normal(text.shape)
        made.append(text + deviation * torch.from_numpy(drawn).to(text) * removable[:, None])
    return text, made


# ---- noise ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_noisy_gradients_are_those_of_a_plain_loop(family):
    classifier, samples, noise = double(family), 6, 0.1
    batch = with_targets(classifier)
    found = {name: load_method(name, samples=samples, noise=noise).attribute(classifier, batch) for name in NOISY}
    for index, (text, target) in enumerate(zip(TEXTS, TARGETS, strict=True)):
        for name, scores in found.items():
            _, made = copies(classifier, batch, index, name, samples, noise)
            gradients = torch.stack([plain_gradient(classifier, text, target, copy)[1] for copy in made])
            mean = gradients.mean(dim=0)
            expected = mean.norm(dim=-1)
            if name == "vargrad":
                expected = sum((one - mean).square().sum(dim=-1) for one in gradients) / samples
            close(scores[index, : len(expected)], expected, 1e-5)


@pytest.mark.parametrize(("name", "kind"), [("smoothgrad", "smoothgrad"), ("vargrad", "vargrad")])
def test_noisy_gradients_are_captums(name, kind, monkeypatch):
    """Captum's NoiseTunnel around its Saliency, with the same noise put in place of its own."""
    classifier, samples = double("bert"), 5
    batch = with_targets(classifier).select([0])
    text, made = copies(classifier, batch, 0, name, samples, 0.15)

    def forward(embeddings):
        return classifier.logits_from_embeddings(embeddings, batch.select([0] * len(embeddings)))

    noise = iter([torch.stack(made) - text])
    monkeypatch.setattr(torch, "normal", lambda *_, **__: next(noise))
    tunnel = NoiseTunnel(Saliency(forward))
    expected = tunnel.attribute(
        text[None].clone().requires_grad_(), nt_type=kind, nt_samples=samples, stdevs=1.0, target=TARGETS[0], abs=False
    )[0].detach()
    expected = expected.norm(dim=-1) if name == "smoothgrad" else expected.sum(dim=-1)
    close(load_method(name, samples=samples).attribute(classifier, batch)[0], expected, 1e-6)


def test_without_noise_it_is_the_gradient():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    expected = load_method("gradient").attribute(classifier, batch)
    close(load_method("smoothgrad", noise=0, samples=3).attribute(classifier, batch), expected)


def test_special_tokens_have_no_noise_and_do_not_count_in_the_range():
    classifier = double("bert")
    batch = with_targets(classifier)
    expected = load_method("smoothgrad", samples=3).attribute(classifier, batch)
    # far out of the range of every word
    classifier.model.get_input_embeddings().weight.data[classifier.tokenizer.sep_token_id] *= 100
    own = load_method("smoothgrad", samples=3).attribute(classifier, batch)
    assert (own - expected).abs().max() > 1e-3
    text, made = copies(classifier, batch, 0, "smoothgrad", 3, 0.15)
    gradients = [plain_gradient(classifier, TEXTS[0], 0, copy)[1] for copy in made]
    close(own[0, : len(text)], torch.stack(gradients).mean(dim=0).norm(dim=-1), 1e-5)


# ---- expected gradients ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("baseline", ["random", "auto", "pad"])
@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_shap_is_a_plain_loop(family, baseline):
    classifier, samples = double(family), 6
    batch = with_targets(classifier)
    scores = load_method("gradient_shap", samples=samples, baseline=baseline).attribute(classifier, batch)
    words = ordinary_ids(classifier)
    assert not set(words.tolist()) & set(classifier.tokenizer.all_special_ids)
    layer, mask = classifier.model.get_input_embeddings(), classifier.tokenizer.mask_token_id
    for index, (text, target) in enumerate(zip(TEXTS, TARGETS, strict=True)):
        n = int(batch.lengths()[index])
        ids, units = batch.input_ids[index, :n], batch.units[index, :n]
        stop = layer(ids).detach()
        expected = torch.zeros(n, dtype=torch.float64)
        for number in range(samples):
            chance = generator_for("gradient_shap", 0, f"{batch.ids[index]}:{number}")
            place = chance.random()
            token = classifier.pad_id if baseline == "pad" or mask is None else mask
            drawn = torch.from_numpy(chance.choice(words, size=n)) if baseline == "random" else token
            start = layer(torch.where(units >= 0, drawn, ids)).detach()
            _, gradient = plain_gradient(classifier, text, target, start + place * (stop - start))
            expected += ((stop - start) * gradient).sum(dim=-1) / samples
        close(scores[index, :n], expected, 1e-5)
        assert (scores[index][batch.units[index] < 0] == 0).all()


def test_gradient_shap_is_captums_of_the_same_draws(monkeypatch):
    classifier, samples = double("bert"), 7
    batch = with_targets(classifier).select([0])
    stop = classifier.embeddings(batch)
    ids = torch.where(batch.units >= 0, classifier.tokenizer.mask_token_id, batch.input_ids)
    places = [generator_for("gradient_shap", 0, f"{batch.ids[0]}:{number}").random() for number in range(samples)]
    monkeypatch.setattr(np.random, "uniform", lambda *_: np.array(places))
    captums = GradientShap(lambda x: classifier.logits_from_embeddings(x, batch.select([0] * len(x)))).attribute(
        stop, classifier.embedding_layer(ids).detach(), n_samples=samples, stdevs=0.0, target=TARGETS[0]
    )
    scores = load_method("gradient_shap", samples=samples, baseline="mask").attribute(classifier, batch)
    close(scores, captums.detach().sum(dim=-1), 1e-6)


def test_gradient_shap_of_one_baseline_comes_near_integrated_gradients():
    classifier = tiny_classifier("bert")
    batch = with_targets(classifier)
    exact = load_method("integrated_gradients", n_steps=200).attribute(classifier, batch)
    draws = torch.stack(
        [
            load_method("gradient_shap", samples=100, baseline="auto", seed=seed).attribute(classifier, batch)
            for seed in range(8)
        ]
    )[:, batch.units >= 0]
    error = draws.std(dim=0) / 8**0.5
    # of some forty tokens none is five standard errors away, and they are a small share of the scores
    assert ((draws.mean(dim=0) - exact[batch.units >= 0]).abs() < 5 * error + 1e-6).all()
    assert error.norm() < 0.3 * exact.norm()


# ---- one word at a time ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "modernbert", "llama"])
def test_sequential_integrated_gradients(family):
    """By Captum on one token after the other, and complete token by token."""
    classifier, steps = double(family), 5
    batch = with_targets(classifier)
    attribution = load_method("sequential_integrated_gradients", n_steps=steps).explain(classifier, batch)
    mask = classifier.tokenizer.mask_token_id
    token = classifier.pad_id if mask is None else mask
    captum = LayerIntegratedGradients(classifier.logits_from_ids, classifier.embedding_layer)
    for index in (1, 2):
        alone = batch.select([index])
        expected, losses = torch.zeros(2, alone.input_ids.shape[1], dtype=torch.float64)
        whole = classifier.logits(alone).detach()[0, TARGETS[index]]
        for place in (alone.units[0] >= 0).nonzero()[:, 0].tolist():
            ids = alone.input_ids.clone()
            ids[0, place] = token
            others = (alone.attention_mask, alone.token_type_ids, None)
            found = captum.attribute(
                alone.input_ids, ids, target=TARGETS[index], additional_forward_args=others, n_steps=steps
            )
            expected[place] = found[0, place].detach().sum()
            points = classifier.embedding_layer(ids).detach()
            losses[place] = whole - classifier.logits_from_embeddings(points, alone).detach()[0, TARGETS[index]]
        close(attribution.scores[index, : len(expected)], expected, 1e-5)
        delta = (expected - losses).abs().sum()
        assert float(attribution.report["loss_delta"][index]) == pytest.approx(float(delta), rel=1e-3, abs=1e-5)
        relative = float(attribution.report["loss_delta_relative"][index])
        assert relative == pytest.approx(float(delta / losses.abs().sum()), rel=1e-3, abs=1e-5)
    many = load_method("sequential_integrated_gradients", n_steps=40).explain(classifier, batch.select([1, 3]))
    assert many.report["loss_delta"].mean() < attribution.report["loss_delta"][[1, 3]].mean() / 3


def test_sequential_integrated_gradients_in_small_pieces():
    classifier = tiny_classifier("bert")
    batch = with_targets(classifier)
    whole, pieces = (
        load_method("sequential_integrated_gradients", n_steps=3, internal_batch_size=size).attribute(classifier, batch)
        for size in (1000, 7)
    )
    close(pieces, whole)


# ---- from word to word ----------------------------------------------------------------------------------------------


def plain_path(words, baseline, start, steps, neighbours, strategy):
    """A path dimension by dimension, in numpy."""
    points, anchor = [words[start].copy()], start
    for step in range(steps - 1):
        here = points[-1]
        order = np.argsort([np.linalg.norm(words[anchor] - word) for word in words], kind="stable")
        near = [index for index in order if index != anchor][:neighbours]
        best = None
        for index in near:
            made, between = here.copy(), 0
            for axis in range(len(here)):
                low, high = sorted((here[axis], baseline[axis]))
                if low <= words[index][axis] <= high:
                    made[axis], between = words[index][axis], between + 1
                else:
                    made[axis] += (baseline[axis] - here[axis]) / (steps - step)
            cost = np.linalg.norm(made - words[index]) if strategy == "greedy" else -between
            if best is None or cost < best[0]:
                best = cost, made, index
        points.append(best[1])
        anchor = best[2]
    return np.stack([*points, baseline])


@pytest.mark.parametrize("strategy", ["greedy", "maxcount"])
def test_word_paths(strategy):
    chance = np.random.default_rng(0)
    words, baseline = chance.normal(size=(23, 6)), chance.normal(size=6)
    finder = WordPaths(torch.from_numpy(words), torch.from_numpy(baseline), 7, 5, strategy)
    starts = torch.arange(22, -1, -1)
    paths = finder.paths(starts)
    assert torch.equal(paths, torch.cat([finder.paths(starts[:9]), finder.paths(starts[9:])]))
    for start, path in zip(starts.tolist(), paths, strict=True):
        np.testing.assert_allclose(path, plain_path(words, baseline, start, 7, 5, strategy), atol=1e-12)
        # no dimension turns
        moves = np.diff(path, axis=0)
        assert ((moves >= -1e-12).all(axis=0) | (moves <= 1e-12).all(axis=0)).all()
    # no more neighbours than words
    everything = WordPaths(torch.from_numpy(words), torch.from_numpy(baseline), 7, 500, strategy)
    np.testing.assert_allclose(
        everything.paths(starts[:1])[0], plain_path(words, baseline, 22, 7, 500, strategy), atol=1e-12
    )


@pytest.mark.parametrize("strategy", ["greedy", "maxcount"])
@pytest.mark.parametrize("family", ["bert", "llama"])
def test_discretized_integrated_gradients(family, strategy):
    """The trapezoid by hand on plain paths, one text at a time."""
    classifier, steps, refine = double(family), 4, 3
    batch = with_targets(classifier)
    method = load_method("discretized_integrated_gradients", n_steps=steps, strategy=strategy, refine=refine)
    attribution = method.explain(classifier, batch)
    ordinary = ordinary_ids(classifier).tolist()
    table, mask = classifier.model.get_input_embeddings().weight.detach(), classifier.tokenizer.mask_token_id
    end = table[classifier.pad_id if mask is None else mask]
    for index in (1, 2):
        ids = batch.input_ids[index, : batch.lengths()[index]]
        points = table[ids].repeat(steps * refine + 1, 1, 1)
        for place in (batch.units[index] >= 0).nonzero()[:, 0].tolist():
            start = ordinary.index(int(ids[place]))
            path = torch.from_numpy(plain_path(table[ordinary].numpy(), end.numpy(), start, steps, 500, strategy))
            for step in range(steps):
                for part in range(refine + 1):
                    share = part / refine
                    points[step * refine + part, place] = (1 - share) * path[step] + share * path[step + 1]
        gradients = [plain_gradient(classifier, TEXTS[index], TARGETS[index], point)[1] for point in points]
        expected = torch.zeros(len(ids), dtype=torch.float64)
        for step in range(steps * refine):
            middle = (gradients[step] + gradients[step + 1]) / 2
            expected += (middle * (points[step] - points[step + 1])).sum(dim=-1)
        close(attribution.scores[index, : len(ids)], expected, 1e-5)
        ends = classifier.logits_from_embeddings(points[[0, -1]], batch.select([index, index])).detach()
        left = abs(float(expected.sum() - (ends[0] - ends[1])[TARGETS[index]]))
        assert float(attribution.report["unexplained"][index]) == pytest.approx(left, rel=1e-4, abs=1e-5)


def test_a_token_that_is_no_word_moves_on_a_line():
    classifier = double("bert")
    batch = classifier.encode(["☃"])
    assert classifier.tokenizer.unk_token_id in batch.input_ids[0][batch.units[0] >= 0]
    # a path of nothing but a line is integrated gradients' own, by the trapezoid
    steps = 400
    scores = load_method("discretized_integrated_gradients", n_steps=steps).attribute(classifier, batch)
    close(scores, load_method("integrated_gradients", n_steps=steps).attribute(classifier, batch), 1e-2)


def test_more_parts_leave_less_unexplained():
    classifier = tiny_classifier("gpt2")
    batch = with_targets(classifier)
    few, many = (
        load_method("discretized_integrated_gradients", n_steps=5, refine=n).explain(classifier, batch) for n in (1, 40)
    )
    assert many.report["unexplained"].mean() < few.report["unexplained"].mean() / 3


# ---- what they share ------------------------------------------------------------------------------------------------

STEPPED = ("sequential_integrated_gradients", "discretized_integrated_gradients")
ALL = (*DRAWN, *STEPPED)
FEW = {name: {"samples": 4} for name in DRAWN} | {name: {"n_steps": 3} for name in STEPPED}


@pytest.mark.parametrize("name", ALL)
def test_next_tokens(name):
    model = NextTokenModel.from_pretrained(checkpoint("induction"), device="cpu")
    batch = model.encode_examples(load_task("induction").load().examples[:3])
    method = load_method(name, **FEW[name])
    scores = method.attribute(model, batch)
    assert scores[0].std() > 0
    close(method.attribute(model, batch.select([1]))[0], scores[1, : int(batch.lengths()[1])])


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_left_behind_and_half_precision_is_near(name):
    classifier = fresh_classifier("bert")
    batch = with_targets(classifier)
    before = state_of(classifier.model)
    method = load_method(name, **FEW[name])
    expected = method.attribute(classifier, batch)
    assert state_of(classifier.model) == before
    assert (expected[batch.attention_mask == 0] == 0).all()
    classifier.model.bfloat16()
    scores = method.attribute(classifier, batch)
    relation = torch.corrcoef(torch.stack((scores.flatten(), expected.flatten())).double())[0, 1]
    # rounded embeddings have other neighbours
    assert relation > (0.3 if name == "discretized_integrated_gradients" else 0.8)


@pytest.mark.parametrize("name", DRAWN)
def test_chance_is_the_examples_own(name):
    classifier = tiny_classifier("bert")
    batch = with_targets(classifier)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    scores = load_method(name, samples=4).attribute(classifier, batch)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()  # noqa: NPY002
    renamed = dataclasses.replace(batch, ids=("a", "b", "c", "d"))
    for other in (
        load_method(name, samples=4, seed=1).attribute(classifier, batch),
        load_method(name, samples=4).attribute(classifier, renamed),
    ):
        assert (other[0] - scores[0]).abs().max() > 1e-4
    with counting(classifier.model) as counts:
        load_method(name, samples=4).attribute(classifier, batch)
    assert (counts.backward, counts.forward) == (4 * len(TEXTS), 4 * len(TEXTS))


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("smoothgrad", {"samples": 0}, "samples is 0; it must be at least 1"),
        ("smoothgrad", {"noise": -0.1}, "noise is -0.1; it must be a number of at least 0"),
        ("smoothgrad", {"noise": "inf"}, "noise is inf"),
        ("vargrad", {"samples": 1}, "samples is 1.*no variance"),
        ("vargrad", {"noise": 0}, "noise 0.*no variance"),
        ("gradient_shap", {"samples": 0}, "samples is 0"),
        ("gradient_shap", {"baseline": "zero"}, "baseline is 'zero'"),
        ("sequential_integrated_gradients", {"n_steps": 0}, "n_steps is 0"),
        ("discretized_integrated_gradients", {"neighbours": 0}, "neighbours is 0"),
        ("discretized_integrated_gradients", {"strategy": "best"}, "strategy is 'best'"),
    ],
)
def test_wrong_values(name, parameters, message):
    with pytest.raises(ParameterError, match=message):
        load_method(name, **parameters)


def test_wrong_words_where_a_method_is_made_without_the_registry():
    classifier = tiny_classifier("bert")
    for name in ("gradient_shap", "integrated_gradients", "deeplift", *STEPPED):
        with pytest.raises(ParameterError, match="baseline is 'zero'; it must be one of auto, mask, pad"):
            type(load_method(name))(baseline="zero").attribute(classifier, classifier.encode(TEXTS))
    with pytest.raises(ParameterError, match="strategy is 'best'; it must be greedy or maxcount"):
        type(load_method("discretized_integrated_gradients"))(strategy="best")


@pytest.mark.parametrize("name", ["gradient_shap", *STEPPED])
def test_a_baseline_that_the_tokenizer_has_not(name):
    with pytest.raises(OperatorError, match=r"no mask token.*baseline=pad"):
        classifier = tiny_classifier("gpt2")
        load_method(name, baseline="mask").attribute(classifier, classifier.encode(TEXTS))
