"""Methods that explain with attention matrices, against plain formulas on transformers' eager attention."""

import copy
import itertools

import pytest
import torch

from whybench.bench.cost import counting
from whybench.bench.errors import (
    MethodError,
    ScoresError,
)
from whybench.bench.explanation import explain_text, to_html
from whybench.bench.matrices import Matrices, MatrixMethod
from whybench.bench.registry import load_method
from whybench.bench.scoring import unrankable
from whybench.bench.tiny_models import FAMILIES, HEADS, LAYERS, READOUT, TEXTS, fresh_classifier, tiny_classifier
from whybench.tests.methods.test_methods import close, one
from whybench.tests.models import state_of

SOLVED = ("effective_attention", "row_sum_attention", "efficient_attention", "sparsest_attention")


def plain_attention(classifier, text):
    """Per layer ``[heads, tokens, tokens]``, from transformers' eager attention."""
    model = copy.deepcopy(classifier.model)
    model.set_attn_implementation("eager")
    ids, inputs = one(classifier, text)
    with torch.no_grad():
        return [layer[0].double() for layer in model(input_ids=ids, **inputs, output_attentions=True).attentions]


def plain_readout(family, n):
    at = torch.zeros(n, dtype=torch.float64)
    if READOUT[family] == "mean":
        return at + 1 / n
    at[0 if READOUT[family] == "first" else -1] = 1
    return at


@pytest.mark.parametrize("family", FAMILIES)
def test_raw_attention(family):
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS)
    scores = {
        aggregation: load_method("raw_attention", aggregation=aggregation).attribute(classifier, batch)
        for aggregation in ("readout", "mean", "rollout")
    }
    assert torch.equal(scores["readout"], load_method("raw_attention").attribute(classifier, batch))
    for i, text in enumerate(TEXTS):
        layers = [layer.mean(dim=0) for layer in plain_attention(classifier, text)]
        assert len(layers) == LAYERS
        n = len(layers[0])
        readout = plain_readout(family, n)
        rolled = torch.eye(n, dtype=torch.float64)
        for layer in layers:
            rolled = (0.5 * layer + 0.5 * torch.eye(n, dtype=torch.float64)) @ rolled
        close(scores["readout"][i, :n], readout @ layers[-1])
        close(scores["mean"][i, :n], torch.stack(layers).mean(dim=(0, 1)))
        close(scores["rollout"][i, :n], readout @ rolled)
        for kind in scores.values():
            assert float(kind[i].sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_efficient_attention_is_aggregated_alike(family):
    """The one row that is read gives what the whole matrices give."""
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS)
    method = load_method("efficient_attention")
    attribution = method.explain(classifier, batch)
    matrices = method.matrices(classifier, batch)[-1].weights
    for i, n in enumerate(batch.lengths().tolist()):
        expected = plain_readout(family, n) @ matrices[i].mean(dim=0)[:n, :n]
        close(attribution.scores[i, :n], expected, 1e-6)
    assert not attribution.failed
    assert attribution.report["residual"].shape == (len(TEXTS),)
    assert attribution.report["residual"].max() < 1e-6
    assert attribution.report["null_dimension"].max() > 0
    raw = load_method("raw_attention").attribute(classifier, batch)
    assert (raw[0] - attribution.scores[0]).abs().max() > 1e-3


class PartlyCertified(MatrixMethod):
    """The model's attention, certified in some rows only; the figure is the row's number."""

    name, family, signed = "partly_certified", "attention", False
    certified: tuple[int, ...] = ()

    def transform(self, weights, values, allowed):
        queries = torch.arange(weights.shape[2]).expand(weights.shape[:3])
        return Matrices(weights, {"number": queries.double()}, torch.isin(queries, torch.tensor(self.certified)))


@pytest.mark.parametrize("aggregation", ["readout", "mean", "rollout"])
def test_rows_that_are_read_need_a_certificate(aggregation):
    # its head reads all real tokens, so that every aggregation reads all of their rows, and none of the padding
    classifier = tiny_classifier("modernbert")
    batch = classifier.encode(TEXTS[:2])
    long, short = batch.lengths().tolist()
    whole = PartlyCertified(certified=tuple(range(long)), aggregation=aggregation)
    assert whole.explain(classifier, batch).failed == {}
    partly = PartlyCertified(certified=tuple(range(short)), aggregation=aggregation)
    attribution = partly.explain(classifier, batch)
    assert list(attribution.failed) == [0]
    layers = 1 if aggregation == "readout" else LAYERS
    rows = (long - short) * HEADS * layers
    assert attribution.failed[0] == f"{rows} row(s) of its matrices miss their certificate."
    assert attribution.report["number"].tolist() == [long - 1, short - 1]
    with pytest.raises(MethodError, match=rf"partly_certified.*no answer for example {batch.ids[0]!r}"):
        partly.attribute(classifier, batch)


class Tolerant(PartlyCertified):
    """Certified up to a tolerance, and with a remedy of each of its layers."""

    name = "tolerant"

    def transform(self, weights, values, allowed):
        made = super().transform(weights, values, allowed)
        number = made.report["number"]
        figures = {"number": number, "unlike": number * torch.nan, "small": number * 0, "free": number}
        tolerances = {"number": 2.0, "unlike": 1.0, "small": 1.0}
        return Matrices(weights, figures, made.certified, tolerances, "Take fewer words.")


@pytest.mark.parametrize("aggregation", ["readout", "mean"])
def test_message_says_which_tolerance_was_missed_and_what_to_do(aggregation):
    classifier = tiny_classifier("modernbert")
    batch = classifier.encode(TEXTS[:1])
    n = int(batch.lengths()[0])
    attribution = Tolerant(certified=tuple(range(n - 1)), aggregation=aggregation).explain(classifier, batch)
    rows = HEADS * (1 if aggregation == "readout" else LAYERS)
    assert attribution.failed == {
        0: f"{rows} row(s) of its matrices miss their certificate (number up to {n - 1:.1e}, allowed 2e+00; "
        "unlike up to nan, allowed 1e+00). Take fewer words."
    }


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_attention_in_half_precision_misses_its_certificate(dtype):
    classifier = fresh_classifier("bert")
    classifier.model.to(dtype)
    batch = classifier.encode(TEXTS)
    with pytest.raises(MethodError, match=r"certificate \(residual up to \S+, allowed 1e-06\)\.") as caught:
        load_method("efficient_attention").attribute(classifier, batch)
    assert "run the method in float32 (--dtype float32)" in str(caught.value)
    assert "null_dimension" not in str(caught.value)


def test_rows_that_are_not_read_need_no_certificate():
    classifier = tiny_classifier("bert")
    assert PartlyCertified(certified=(0,)).explain(classifier, classifier.encode(TEXTS)).failed == {}
    assert PartlyCertified(certified=(1,)).explain(classifier, classifier.encode(TEXTS)).failed


# ---- the gradient aggregation ---------------------------------------------------------------------------------------


def plain_gradients(classifier, text, target):
    """Per layer attention and its gradient, ``[heads, tokens, tokens]``, by autograd through eager attention."""
    model = copy.deepcopy(classifier.model)
    model.set_attn_implementation("eager")
    ids, inputs = one(classifier, text)
    answer = model(input_ids=ids, **inputs, output_attentions=True)
    gradients = torch.autograd.grad(answer.logits[0, target], answer.attentions)
    return [(a[0].detach().double(), g[0].double()) for a, g in zip(answer.attentions, gradients, strict=True)]


def projected(matrix, values, with_ones):
    """Rows by the pseudo-inverse of V, or of [V, 1], over the keys that have any weight."""
    made = torch.zeros_like(matrix)
    for head, row in itertools.product(range(matrix.shape[0]), range(matrix.shape[1])):
        own = (matrix[head, row] > 0).nonzero()[:, 0]
        columns = values[head, own]
        columns = torch.cat([columns, torch.ones(len(own), 1, dtype=columns.dtype)], dim=1) if with_ones else columns
        weights = matrix[head, row, own] / (matrix[head, row, own].sum() if with_ones else 1)
        made[head, row, own] = weights @ columns @ torch.linalg.pinv(columns, rtol=1e-12)
    return made


def plain_relevance(family, layers):
    n = layers[0].shape[-1]
    relevance = torch.eye(n, dtype=torch.float64)
    for layer in layers:
        relevance = relevance + layer @ relevance
    return plain_readout(family, n) @ relevance


@pytest.mark.parametrize("family", FAMILIES)
def test_gradient_aggregation(family):
    classifier = tiny_classifier(family)
    targets = (0, 1, 2, 1)
    batch = classifier.encode(TEXTS).with_target(torch.tensor(targets))
    before = state_of(classifier.model)
    with counting(classifier.model) as counts:
        scores = load_method("raw_attention", aggregation="gradient").attribute(classifier, batch)
    assert (counts.forward, counts.backward) == (len(TEXTS), len(TEXTS))
    assert state_of(classifier.model) == before
    assert not scores.requires_grad
    assert (scores[batch.attention_mask == 0] == 0).all()
    for i, (text, target) in enumerate(zip(TEXTS, targets, strict=True)):
        layers = [(g * a).clamp_min(0).mean(dim=0) for a, g in plain_gradients(classifier, text, target)]
        close(scores[i, : len(layers[0])], plain_relevance(family, layers))


@pytest.mark.parametrize("family", ["bert", "gpt2", "modernbert", "llama"])
@pytest.mark.parametrize("name", ["effective_attention", "row_sum_attention"])
def test_gradient_aggregation_of_projections(name, family):
    classifier = tiny_classifier(family)
    text, target = TEXTS[0], 2
    batch = classifier.encode([text]).with_target(torch.tensor([target]))
    with torch.no_grad():
        values = [layer[0].double() for layer in classifier.attention(batch).values]
    layers = [
        (g * projected(a, v, name == "row_sum_attention")).clamp_min(0).mean(dim=0)
        for (a, g), v in zip(plain_gradients(classifier, text, target), values, strict=True)
    ]
    scores = load_method(name, aggregation="gradient").attribute(classifier, batch)[0]
    close(scores, plain_relevance(family, layers), 1e-3)


def test_gradient_aggregation_is_for_the_target():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    predicted = classifier.probabilities(batch).argmax(dim=1)
    method = load_method("efficient_attention", aggregation="gradient")
    own = method.explain(classifier, batch)
    assert not own.failed
    assert own.report["residual"].max() < 1e-6
    assert torch.equal(method.attribute(classifier, batch.with_target(predicted)), own.scores)
    other = method.attribute(classifier, batch.with_target((predicted + 1) % 3))
    assert (other[0] - own.scores[0]).abs().max() > 1e-2 * own.scores[0].abs().max()
    alone = method.attribute(classifier, batch.select([2]))[0]
    close(own.scores[2, : len(alone)], alone)


@pytest.mark.parametrize("name", SOLVED)
@pytest.mark.parametrize("family", ["bert", "gpt2", "modernbert", "llama"])
def test_matrices_of_the_same_output_have_the_same_gradient(family, name):
    """So that one backward pass, at the model's own attention, serves them all."""
    classifier = fresh_classifier(family)
    classifier.model.double()
    # alone: ModernBERT's own attention is NaN on padding in float64
    batch = classifier.encode(TEXTS[:1])
    target = classifier.target(batch)
    record, gradients = classifier.attention_gradient(batch)
    moved = 0.0
    for layer, made in enumerate(load_method(name).matrices(classifier, batch)):
        # the other layers' attention is as it comes out after it
        matrix = made.weights.requires_grad_()
        matrices = [matrix if other == layer else None for other in range(LAYERS)]
        logits = classifier.replace_attention(batch, matrices)
        explained = logits.gather(1, target[:, None]).sum()
        (gradient,) = torch.autograd.grad(explained, matrix)
        scale = gradients[layer].abs().max()
        assert (gradient - gradients[layer]).abs().max() <= 1e-5 * scale
        moved = max(moved, float((matrix - record.weights[layer]).detach().abs().max()))
    assert moved > 1e-2


# ---- matrices of the same output ------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", ["bert", "gpt2", "modernbert", "llama"])
@pytest.mark.parametrize("name", SOLVED)
def test_solved_attention_leaves_the_logits(name, family):
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS)
    made = load_method(name).matrices(classifier, batch)
    with torch.no_grad():
        logits, allowed = classifier.logits(batch), classifier.attention(batch).allowed
        close(classifier.replace_attention(batch, [layer.weights for layer in made]), logits)
    real = batch.attention_mask[:, None, :] > 0
    for layer, keys in zip(made, allowed, strict=True):
        assert (layer.certified | ~real).all()
        assert (layer.weights.masked_fill(keys, 0) == 0).all()
        assert name in ("effective_attention", "row_sum_attention") or (layer.weights >= 0).all()
        assert name == "effective_attention" or layer.report["row_sum_error"].max() < 1e-9
        rank = keys.sum(dim=-1) - layer.report["null_dimension"]
        assert name != "sparsest_attention" or ((layer.weights > 0).sum(dim=-1) <= rank).all()


@pytest.mark.parametrize("name", ["effective_attention", "row_sum_attention"])
def test_projections_are_those_of_the_pseudo_inverse(name):
    for family in ("bert", "llama"):
        classifier = tiny_classifier(family)
        batch = classifier.encode(TEXTS[:1])
        with torch.no_grad():
            record = classifier.attention(batch)
        for layer, weights, values in zip(
            load_method(name).matrices(classifier, batch), record.weights, record.values, strict=True
        ):
            expected = projected(weights[0].double(), values[0].double(), name == "row_sum_attention")
            torch.testing.assert_close(layer.weights[0], expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["effective_attention", "row_sum_attention"])
def test_negative_scores_of_unsigned_methods(xor_classifier, xor_examples, name):
    """They rank below 0, and nothing is said to speak against the target."""
    method = load_method(name)
    assert (method.signed, method.negative) == (False, True)
    text = xor_examples[0].text
    batch = xor_classifier.encode([text])
    scores = method.attribute(xor_classifier, batch)
    assert unrankable(batch, scores, signed=False)
    explanation = explain_text(xor_classifier, method, text)
    assert min(explanation.scores) < 0 < max(explanation.scores)
    shades = explanation.shades()
    assert max(shades) == 1
    for score, shade in zip(explanation.scores, shades, strict=True):
        assert shade == pytest.approx(max(score, 0) / max(explanation.scores))
    worst = min(range(len(shades)), key=lambda i: explanation.scores[i])
    assert f'/ 0.000)" title="{explanation.scores[worst]:.4g}"' in to_html(explanation)


def test_an_unsigned_method_that_does_not_say_so_has_no_negative_scores(xor_classifier, xor_examples):
    class Signless(type(load_method("effective_attention"))):
        name, family, signed, negative = "signless", "attention", False, False

    with pytest.raises(ScoresError, match="an unsigned score is negative"):
        explain_text(xor_classifier, Signless(), xor_examples[0].text)
