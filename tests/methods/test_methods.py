"""Every method, on every architecture, against a plain computation for one text at a time."""

import numpy as np
import pytest
import torch
from captum.attr import LayerGradientXActivation

from whybench.bench.errors import (
    LabelError,
    MethodError,
    OperatorError,
    UnsupportedArchitectureError,
)
from whybench.bench.registry import load_method, names
from whybench.bench.tiny_models import ENCODERS, FAMILIES, TEXTS, UNSUPPORTED, fresh_classifier, tiny_classifier

# controls are no explanations, and have tests of their own
METHODS = [name for name in names("method") if load_method(name).family != "control"]
FAST = {
    "attattr": {"steps": 3},
    "discretized_integrated_gradients": {"n_steps": 3, "neighbours": 20},
    "gradient_shap": {"samples": 4},
    "integrated_gradients": {"n_steps": 6, "max_steps": 6},
    "kernel_shap": {"samples": 60},
    "lime": {"samples": 60},
    "partition_shap": {"samples": 60},
    "permuted": {"of": "occlusion"},
    "reagent": {"samples": 30},
    "sequential_integrated_gradients": {"n_steps": 4},
    "smoothgrad": {"samples": 4},
    "vargrad": {"samples": 4},
}
# all sets of their units are few enough
FEW_UNITS = (
    "an unbelievably slow film, but great",
    "bad",
    "the joke was unwatchable.",
    "Never was a slow joke so wonderful",
)
FEW_UNITS_IN_PAIRS = (("the cast", "a wonderful film"), ("bad joke", "an unbelievably slow ending"))


def method_named(name):
    return load_method(name, **FAST.get(name, {}))


def texts_for(name):
    return FEW_UNITS if name == "shapley" else TEXTS


def close(actual, expected, share=1e-4):
    """Within a share of the largest score, and the rounding of a probability."""
    scale = float(expected.abs().max())
    assert scale > 0
    torch.testing.assert_close(actual.double(), expected.double(), rtol=0, atol=share * scale + 2e-6)


# ---- what holds for every method; tests/conformance has the rest -----------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_target(name):
    classifier = tiny_classifier("bert")
    batch = classifier.encode(texts_for(name))
    predicted = classifier.probabilities(batch).argmax(dim=1)
    method = method_named(name)
    own = method.attribute(classifier, batch)
    assert torch.equal(method.attribute(classifier, batch.with_target(predicted)), own)
    other = method.attribute(classifier, batch.with_target((predicted + 1) % 3))
    assert torch.equal(other, own) != method.label_specific
    if method.label_specific:
        mixed = method.attribute(classifier, batch.with_target(torch.cat((predicted[:2], (predicted[2:] + 1) % 3))))
        close(mixed, torch.cat((own[:2], other[2:])))
        with pytest.raises(LabelError):
            method.attribute(classifier, batch.with_target(torch.tensor([0, 1, -1, 2])))


@pytest.mark.parametrize("name", METHODS)
def test_architecture_without_readable_attention(name):
    classifier = tiny_classifier(UNSUPPORTED)
    method = method_named(name)
    if method.family == "attention":
        with pytest.raises(UnsupportedArchitectureError):
            method.attribute(classifier, classifier.encode(texts_for(name)))
    else:
        assert torch.isfinite(method.attribute(classifier, classifier.encode(texts_for(name)))).all()


# ---- gradients ------------------------------------------------------------------------------------------------------


def one(classifier, text):
    """The ids of one text and its other inputs, as transformers encodes it."""
    inputs = dict(classifier.tokenizer(text, return_tensors="pt"))
    return inputs.pop("input_ids"), inputs


def plain_gradient(classifier, text, target, embeddings=None):
    """Embeddings and gradient of one text's logit, ``[tokens, hidden]``, by autograd on ``inputs_embeds``."""
    ids, inputs = one(classifier, text)
    if embeddings is None:
        embeddings = classifier.model.get_input_embeddings()(ids)[0].detach()
    leaf = embeddings.clone().requires_grad_()
    logits = classifier.model(inputs_embeds=leaf[None], **inputs).logits
    (gradient,) = torch.autograd.grad(logits[0, target], leaf)
    return embeddings, gradient


@pytest.fixture(params=(*FAMILIES, UNSUPPORTED))
def classifier(request):
    return tiny_classifier(request.param)


TARGETS = (0, 1, 2, 1)


def with_targets(classifier):
    return classifier.encode(TEXTS).with_target(torch.tensor(TARGETS))


def test_gradient(classifier):
    scores = load_method("gradient").attribute(classifier, with_targets(classifier))
    for row, text, target in zip(scores, TEXTS, TARGETS, strict=True):
        _, gradient = plain_gradient(classifier, text, target)
        close(row[: len(gradient)], (gradient**2).sum(dim=-1).sqrt())


def test_gradient_x_input_of_rounding_errors_is_no_answer():
    classifier = tiny_classifier("modernbert")
    batch = classifier.encode(TEXTS)
    attribution = load_method("gradient_x_input").explain(classifier, batch)
    assert list(attribution.failed) == [0, 1, 2, 3]
    assert attribution.scores.abs().max() < 1e-4
    with pytest.raises(MethodError, match="0 but for rounding"):
        load_method("gradient_x_input").attribute(classifier, batch)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_gradient_x_input_of_rounding_errors_in_half_precision(dtype):
    for seed in range(4):
        for family, failed in (("modernbert", list(range(len(TEXTS)))), ("bert", []), ("llama", [])):
            classifier = fresh_classifier(family, seed=seed)
            classifier.model.to(dtype)
            batch = classifier.encode(TEXTS)
            attribution = load_method("gradient_x_input").explain(classifier, batch)
            assert list(attribution.failed) == failed
            embeddings, gradient = (tensor.double() for tensor in classifier.embedding_gradient(batch))
            # each product is that of the rounded numbers, not rounded once more
            assert attribution.scores.dtype == torch.float32
            largest = float((embeddings.norm(dim=-1) * gradient.norm(dim=-1)).max())
            expected = (embeddings * gradient).sum(dim=-1) * batch.attention_mask
            torch.testing.assert_close(attribution.scores.double(), expected, rtol=0, atol=1e-6 * largest)


@pytest.mark.parametrize("name", METHODS)
def test_encoder_with_decoder(name):
    """An answer, or an error that says what is wrong and what to use."""
    classifier = tiny_classifier("bart")
    batch = classifier.encode(texts_for(name))
    if load_method(name).family in ("reference", "perturbation"):
        scores = method_named(name).attribute(classifier, batch)
        assert scores[0].std() > 0
        return
    with pytest.raises(UnsupportedArchitectureError, match="an encoder and a decoder"):
        method_named(name).attribute(classifier, batch)


@pytest.fixture(params=sorted({*FAMILIES, UNSUPPORTED} - {"modernbert"}))
def classifier_with_length(request):
    return tiny_classifier(request.param)


def test_gradient_x_input(classifier_with_length):
    classifier = classifier_with_length
    scores = load_method("gradient_x_input").attribute(classifier, with_targets(classifier))
    for row, text, target in zip(scores, TEXTS, TARGETS, strict=True):
        embeddings, gradient = plain_gradient(classifier, text, target)
        close(row[: len(gradient)], (embeddings * gradient).sum(dim=-1))


def test_gradient_x_input_is_captums(classifier_with_length):
    classifier = classifier_with_length
    scores = load_method("gradient_x_input").attribute(classifier, with_targets(classifier))
    captum = LayerGradientXActivation(
        lambda ids, others: classifier.model(input_ids=ids, **others).logits, classifier.model.get_input_embeddings()
    )
    for row, text, target in zip(scores, TEXTS, TARGETS, strict=True):
        ids, inputs = one(classifier, text)
        expected = captum.attribute(ids, target=target, additional_forward_args=(inputs,)).detach()[0].sum(dim=-1)
        close(row[: len(expected)], expected)


# ---- integrated gradients -------------------------------------------------------------------------------------------


def plain_baseline(classifier, batch, index, token):
    ids = torch.where(batch.units[index] >= 0, token, batch.input_ids[index])[: batch.lengths()[index]]
    return classifier.model.get_input_embeddings()(ids).detach()


def plain_logit(classifier, text, target, embeddings):
    _, inputs = one(classifier, text)
    with torch.no_grad():
        return classifier.model(inputs_embeds=embeddings[None], **inputs).logits[0, target]


def test_integrated_gradients(classifier):
    """Gauss-Legendre by hand, and the completeness delta by hand, for one text after the other."""
    steps = 7
    batch = with_targets(classifier)
    attribution = load_method("integrated_gradients", n_steps=steps, max_steps=1).explain(classifier, batch)
    token = classifier.tokenizer.mask_token_id
    token = classifier.pad_id if token is None else token
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    for i, (text, target) in enumerate(zip(TEXTS, TARGETS, strict=True)):
        start = plain_baseline(classifier, batch, i, token)
        stop, _ = plain_gradient(classifier, text, target)
        total = torch.zeros_like(start)
        for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
            total += float(weight) * plain_gradient(classifier, text, target, start + float(node) * (stop - start))[1]
        expected = ((stop - start) * total).sum(dim=-1)
        close(attribution.scores[i, : len(expected)], expected, 3e-4)

        change = plain_logit(classifier, text, target, stop) - plain_logit(classifier, text, target, start)
        delta = (expected.sum() - change).abs()
        size = float(expected.abs().sum())
        assert float(attribution.report["completeness_delta"][i]) == pytest.approx(float(delta), abs=3e-4 * size)
        relative = float(attribution.report["completeness_delta_relative"][i])
        assert relative == pytest.approx(float(delta / change.abs()), rel=0.05, abs=3e-4 * size / float(change.abs()))


def test_completeness_improves_with_steps(classifier):
    batch = classifier.encode(TEXTS)
    few, many = (
        load_method("integrated_gradients", n_steps=n, max_steps=1).explain(classifier, batch) for n in (2, 200)
    )
    assert many.report["completeness_delta"].mean() < few.report["completeness_delta"].mean() / 3


def test_integrated_gradients_take_more_points_for_the_texts_that_miss_too_much():
    classifier = tiny_classifier("gpt2")
    batch = with_targets(classifier)
    # four times as many, and no more than allowed
    tried = {
        n: load_method("integrated_gradients", n_steps=n, max_steps=1).explain(classifier, batch) for n in (1, 4, 5)
    }
    found = load_method("integrated_gradients", n_steps=1, max_steps=5).explain(classifier, batch)
    expected = []
    for index in range(len(TEXTS)):
        missing = {n: float(one.report["completeness_delta_relative"][index]) for n, one in tried.items()}
        expected.append(next((n for n, share in missing.items() if share <= 0.05), 5))
        close(found.scores[index], tried[expected[-1]].scores[index])
    assert found.report["steps"].tolist() == expected
    assert set(expected) >= {4, 5}


def test_integrated_gradients_baselines():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    scores = {
        baseline: load_method("integrated_gradients", n_steps=4, max_steps=1, baseline=baseline).attribute(
            classifier, batch
        )
        for baseline in ("auto", "mask", "pad")
    }
    assert torch.equal(scores["auto"], scores["mask"])
    assert (scores["pad"] - scores["mask"]).abs().max() > 1e-2
    with pytest.raises(OperatorError, match=r"tiny-gpt2.*no mask token.*baseline=pad"):
        load_method("integrated_gradients", baseline="mask").attribute(tiny_classifier("gpt2"), batch)


def test_integrated_gradients_in_small_pieces():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    whole, pieces = (
        load_method("integrated_gradients", n_steps=5, max_steps=1, internal_batch_size=size).attribute(
            classifier, batch
        )
        for size in (1000, 1)
    )
    close(pieces, whole)


# ---- occlusion ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "operator"),
    [(family, None) for family in FAMILIES]
    + [("bert", "delete"), ("bert", "pad"), ("roberta", "delete"), ("modernbert", "pad")],
)
def test_occlusion(family, operator):
    """One forward pass by transformers for every unit of every text, shared among the unit's tokens."""
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS)
    scores = load_method("occlusion", operator=operator).attribute(classifier, batch)
    tokenizer = classifier.tokenizer
    operator = operator or ("mask" if family in ENCODERS else "delete")

    def probabilities(ids, inputs, mask):
        with torch.no_grad():
            return classifier.model(**inputs | {"input_ids": ids, "attention_mask": mask}).logits[0].softmax(-1)

    for i, text in enumerate(TEXTS):
        ids, inputs = one(classifier, text)
        units = batch.units[i, : ids.shape[1]]
        whole = probabilities(ids, inputs, inputs["attention_mask"])
        target = whole.argmax()
        expected = torch.zeros(ids.shape[1])
        for unit in range(int(units.max()) + 1):
            gone = units == unit
            mask = inputs["attention_mask"]
            if operator == "delete":
                left = ids[:, ~gone]
                # nothing at all is no input
                left = left if left.numel() else torch.tensor([[tokenizer.bos_token_id or tokenizer.eos_token_id or 0]])
                cut = {k: v[:, : left.shape[1]] for k, v in inputs.items()}
                p = probabilities(left, cut, mask[:, : left.shape[1]])
            elif operator == "mask":
                p = probabilities(ids.masked_fill(gone, tokenizer.mask_token_id), inputs, mask)
            else:
                p = probabilities(ids, inputs, mask.masked_fill(gone, 0))
            expected[gone] = (whole[target] - p[target]) / gone.sum()
        close(scores[i, : ids.shape[1]], expected, 1e-3)


def test_occlusion_of_token_units():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    words = load_method("occlusion").attribute(classifier, batch)
    tokens = load_method("occlusion").attribute(classifier, batch.with_units("token"))
    assert words[0, 3] == words[0, 4]
    assert tokens[0, 3] != tokens[0, 4]


def test_occlusion_needs_the_operators_token():
    classifier = tiny_classifier("gpt2")
    with pytest.raises(OperatorError, match="no mask token"):
        load_method("occlusion", operator="mask").attribute(classifier, classifier.encode(TEXTS))


# ---- random ---------------------------------------------------------------------------------------------------------


def test_random():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    scores = load_method("random").attribute(classifier, batch)
    assert (scores >= 0).all()
    assert (scores <= 1).all()
    assert 0.3 < scores[0, : batch.lengths()[0]].mean() < 0.7
    for other in (
        load_method("random", seed=1).attribute(classifier, batch),
        load_method("random").attribute(classifier, classifier.encode(TEXTS, ids=["a", "b", "c", "d"])),
    ):
        assert (other[0] != scores[0])[: batch.lengths()[0]].all()
    # neither the model nor the other examples matter
    assert torch.equal(load_method("random").attribute(fresh_classifier("bert", seed=1), batch), scores)
    same = classifier.encode([TEXTS[0], TEXTS[0]], ids=["a", "b"])
    assert (
        load_method("random").attribute(classifier, same)[0] != load_method("random").attribute(classifier, same)[1]
    ).all()
