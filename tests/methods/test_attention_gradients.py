"""Methods of attention and its gradient, against plain loops over one text at a time on transformers' eager model."""

import copy

import numpy as np
import pytest
import torch

from whybench.bench.cost import counting
from whybench.bench.errors import ParameterError, UnsupportedArchitectureError
from whybench.bench.registry import load_method
from whybench.bench.tiny_models import FAMILIES, HEADS, LAYERS, TEXTS, fresh_classifier, tiny_classifier
from whybench.methods._layer_outputs import layer_outputs
from whybench.tests.methods.test_methods import close, one
from whybench.tests.models import state_of

TARGETS = (0, 1, 2, 1)
# where each family keeps its layers
STACKS = {
    "bert": "bert.encoder.layer",
    "roberta": "roberta.encoder.layer",
    "distilbert": "distilbert.transformer.layer",
    "electra": "electra.encoder.layer",
    "albert": "albert.encoder.albert_layer_groups",
    "modernbert": "model.layers",
    "gpt2": "transformer.h",
    "llama": "model.layers",
    "qwen3": "model.layers",
}


def double(family):
    """In float64; but ModernBERT's softmax is in float32, where float64's mask has no place."""
    classifier = fresh_classifier(family)
    if family != "modernbert":
        classifier.model.double()
    return classifier


def with_targets(classifier):
    return classifier.encode(TEXTS).with_target(torch.tensor(TARGETS))


def eager(classifier):
    model = copy.deepcopy(classifier.model)
    model.set_attn_implementation("eager")
    return model


def plain(classifier, text, target):
    """Of one text: attention, its gradient, the layers' outputs and theirs, per layer, and the logit."""
    model = eager(classifier)
    kept = []
    for layer in model.get_submodule(STACKS[classifier.name.removeprefix("tiny-")]):
        layer.register_forward_hook(lambda _, __, out: kept.append(out[0] if isinstance(out, tuple) else out))
    ids, inputs = one(classifier, text)
    out = model(input_ids=ids, **inputs, output_attentions=True)
    logit = out.logits[0, target]
    attention = torch.autograd.grad(logit, out.attentions, retain_graph=True)
    hidden = torch.autograd.grad(logit, kept)
    layers = [tensor[0].detach() for tensor in out.attentions]
    return layers, [g[0] for g in attention], [h[0].detach() for h in kept], [g[0] for g in hidden]


@pytest.mark.parametrize("family", FAMILIES)
def test_grad_sam(family):
    classifier = double(family)
    scores = load_method("grad_sam").attribute(classifier, with_targets(classifier))
    for row, text, target in zip(scores, TEXTS, TARGETS, strict=True):
        weights, gradients, _, _ = plain(classifier, text, target)
        n = weights[0].shape[-1]
        expected = torch.zeros(n, dtype=torch.float64)
        for layer in range(LAYERS):
            for head in range(HEADS):
                for query in range(n):
                    for key in range(n):
                        slope = max(float(gradients[layer][head, query, key]), 0.0)
                        expected[key] += weights[layer][head, query, key] * slope / (LAYERS * HEADS * n)
        close(row[:n], expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_attcat(family):
    classifier = double(family)
    batch = with_targets(classifier)
    before = state_of(classifier.model)
    scores = load_method("attcat").attribute(classifier, batch)
    assert state_of(classifier.model) == before
    for row, text, target in zip(scores, TEXTS, TARGETS, strict=True):
        weights, _, hidden, gradients = plain(classifier, text, target)
        n = len(hidden[0])
        assert len(hidden) == LAYERS
        expected = torch.zeros(n, dtype=torch.float64)
        for layer in range(LAYERS):
            for token in range(n):
                received = weights[layer][:, :, token].mean()
                expected[token] += received * (hidden[layer][token] * gradients[layer][token]).sum()
        close(row[:n], expected)


@pytest.mark.parametrize("family", ["bert", "modernbert", "gpt2", "qwen3"])
def test_attattr(family):
    """One layer, one step and one text at a time, the attention put in place by a function of the same name."""
    steps = 5
    classifier = double(family)
    batch = with_targets(classifier)
    attribution = load_method("attattr", steps=steps).explain(classifier, batch)
    nodes, shares = np.polynomial.legendre.leggauss(steps)
    for index in range(len(TEXTS)):
        alone, target = batch.select([index]), TARGETS[index]
        n = alone.input_ids.shape[1]
        weights = [layer.detach() for layer in classifier.attention(alone).weights]
        whole = float(classifier.logits(alone).detach()[0, target])
        expected, gone = torch.zeros(n, dtype=torch.float64), []
        for layer, own in enumerate(weights):
            total = torch.zeros_like(own)
            for node, share in zip((nodes + 1) / 2, shares / 2, strict=True):
                leaf = (float(node) * own).requires_grad_()
                logits = classifier.replace_attention(alone, [leaf if i == layer else None for i in range(LAYERS)])
                total += float(share) * torch.autograd.grad(logits[0, target], leaf)[0]
            expected += (own * total)[0].sum(dim=(0, 1)) / LAYERS
            nothing = [torch.zeros_like(own) if i == layer else None for i in range(LAYERS)]
            gone.append(whole - float(classifier.replace_attention(alone, nothing).detach()[0, target]))
        close(attribution.scores[index, :n], expected)
        delta = abs(float(expected.sum()) - np.mean(gone))
        assert float(attribution.report["completeness_delta"][index]) == pytest.approx(delta, rel=1e-3, abs=1e-5)
        relative = float(attribution.report["completeness_delta_relative"][index])
        assert relative == pytest.approx(delta / np.mean(np.abs(gone)), rel=1e-3, abs=1e-5)


def test_attattr_is_complete_and_takes_small_passes():
    classifier = double("bert")
    batch = with_targets(classifier)
    few, many = (load_method("attattr", steps=n).explain(classifier, batch) for n in (2, 60))
    assert many.report["completeness_delta"].mean() < few.report["completeness_delta"].mean() / 10
    sizes = []
    classifier.model.register_forward_hook(lambda _, __, output: sizes.append(len(output.logits)))
    pieces = load_method("attattr", steps=2, internal_batch_size=5).explain(classifier, batch)
    assert 1 < max(sizes) <= 5
    close(pieces.scores, few.scores, 1e-9)


def test_what_they_cost():
    classifier = tiny_classifier("bert")
    batch = with_targets(classifier)
    for name, parameters, backward in (
        ("grad_sam", {}, 1),
        ("attcat", {}, 1),
        ("attattr", {"steps": 4}, LAYERS * 5),
    ):
        with counting(classifier.model) as counts:
            load_method(name, **parameters).attribute(classifier, batch)
        assert counts.backward == backward * len(TEXTS)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("name", ["grad_sam", "attcat", "attattr"])
def test_other_precisions(name, dtype):
    classifier = fresh_classifier("llama")
    expected = load_method(name).attribute(classifier, with_targets(classifier))
    classifier.model.to(dtype)
    scores = load_method(name).attribute(classifier, with_targets(classifier))
    assert scores.dtype == torch.float64
    relation = torch.corrcoef(torch.stack((scores.flatten(), expected.flatten())))[0, 1]
    assert relation > (0.9 if dtype == torch.bfloat16 else 0.999999)


def test_layers_that_cannot_be_told():
    classifier = fresh_classifier("bert")
    with layer_outputs(classifier.model) as outputs:
        classifier.logits(classifier.encode(TEXTS))
    assert [tuple(out.shape[::2]) for out in outputs.of(LAYERS)] == [(len(TEXTS), 32)] * LAYERS
    with pytest.raises(UnsupportedArchitectureError, match="BertForSequenceClassification has 7 layers"):
        outputs.of(7)


def test_wrong_values():
    with pytest.raises(ParameterError, match="attattr: steps is 0; it must be at least 1"):
        load_method("attattr", steps=0)
