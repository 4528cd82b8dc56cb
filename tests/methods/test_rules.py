"""DeepLIFT and LRP: other derivatives of a model's operations, against Captum, other routes and closed forms."""

import copy

import captum.attr
import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from whybench import NextTokenModel, load_task
from whybench.bench.cost import counting
from whybench.bench.errors import OperatorError, UnsupportedArchitectureError
from whybench.bench.registry import load_method
from whybench.bench.tiny_models import FAMILIES, TEXTS, UNSUPPORTED, fresh_classifier, tiny_classifier
from whybench.methods._operations import attention_by
from whybench.methods._rescale import rescale
from whybench.tasks.builtin import checkpoint
from whybench.tests.methods.test_methods import close
from whybench.tests.models import state_of

TARGETS = torch.tensor([0, 1, 2, 1])
METHODS = ("deeplift", "lrp")


def double(family, **config):
    classifier = fresh_classifier(family, **config)
    classifier.model.double()
    return classifier


def with_targets(classifier):
    return classifier.encode(TEXTS).with_target(TARGETS)


# ---- DeepLIFT -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", (*FAMILIES, UNSUPPORTED, "opt"))
def test_deeplift_is_complete(family):
    classifier = double(family)
    batch = with_targets(classifier)
    attribution = load_method("deeplift").explain(classifier, batch)
    # some architectures have steps in float32 whatever the precision of the weights
    assert attribution.report["completeness_delta_relative"].max() < 1e-6
    # the difference by hand
    mask = classifier.tokenizer.mask_token_id
    ids = torch.where(batch.units >= 0, classifier.pad_id if mask is None else mask, batch.input_ids)
    with torch.no_grad():
        start = classifier.logits_from_embeddings(classifier.embedding_layer(ids), batch)
        change = (classifier.logits(batch) - start).gather(1, TARGETS[:, None])[:, 0]
    torch.testing.assert_close(attribution.scores.sum(dim=1), change, rtol=1e-5, atol=1e-6)
    single = load_method("deeplift").explain(tiny_classifier(family), with_targets(tiny_classifier(family)))
    assert single.report["completeness_delta_relative"].max() < 1e-3


def test_a_model_with_a_derivative_of_its_own_says_what_is_missing():
    """BLOOM's GELU is an autograd function of its own, which no mode can see into."""
    classifier = double("bloom")
    attribution = load_method("deeplift").explain(classifier, with_targets(classifier))
    assert attribution.report["completeness_delta_relative"].median() > 0.05


def test_captums_deeplift_is_not_complete_on_a_transformer():
    """It has the plain gradient of all but the pooler's tanh, which is the module that it knows."""
    classifier = double("bert")
    batch = with_targets(classifier).select([0])

    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.model = copy.deepcopy(classifier.model)

        def forward(self, embeddings):
            mask = torch.ones(embeddings.shape[:2])
            return self.model(inputs_embeds=embeddings, attention_mask=mask).logits

    stop = classifier.embeddings(batch).requires_grad_()
    ids = torch.where(batch.units >= 0, classifier.tokenizer.mask_token_id, batch.input_ids)
    start = classifier.embedding_layer(ids).detach().requires_grad_()
    with pytest.warns(UserWarning, match="hooks"):
        _, delta = captum.attr.DeepLift(Wrapped()).attribute(stop, start, target=0, return_convergence_delta=True)
    own = load_method("deeplift").explain(classifier, batch)
    assert abs(float(delta)) > 1e6 * float(own.report["completeness_delta"])


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.ELU, nn.LeakyReLU])
def test_multipliers_are_captums_where_it_has_a_rule(activation):
    generator = torch.Generator().manual_seed(1)
    network = nn.Sequential(nn.Linear(6, 9), activation(), nn.Linear(9, 5), activation(), nn.Linear(5, 3)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    x, start = torch.randn(2, 4, 6, generator=generator, dtype=torch.float64)
    start[0, :3] = x[0, :3]
    with pytest.warns(UserWarning, match="hooks"):
        expected = captum.attr.DeepLift(network).attribute(
            x.clone().requires_grad_(), start.clone().requires_grad_(), target=2
        )
    network.requires_grad_(False)
    points = torch.cat((x, start)).requires_grad_()
    with rescale():
        out = network(points)
    (multipliers,) = torch.autograd.grad(out[:4, 2].sum(), points)
    torch.testing.assert_close((x - start) * multipliers[:4], expected.detach())


def normed(x):
    return functional.layer_norm(x, (7,), torch.linspace(1, 2, 7).to(x), torch.linspace(0, 1, 7).to(x))


CURVES = {
    "softmax": lambda x: x.softmax(dim=-1),
    "softmax of rows": lambda x: functional.softmax(x, 0 if x.dim() == 2 else 1),
    "masked softmax": lambda x: x.masked_fill(torch.arange(7) > 4, -torch.inf).softmax(-1),
    "nothing left": lambda x: x.masked_fill(torch.arange(7) > -1, torch.finfo(x.dtype).min).softmax(-1),
    "layer_norm": normed,
    "rms_norm": lambda x: functional.rms_norm(x, (7,), torch.linspace(1, 2, 7).to(x), 1e-6),
    "written rms_norm": lambda x: x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6),
    "by keywords": lambda x: functional.layer_norm(input=torch.softmax(input=x, dim=-1), normalized_shape=(7,)),
    "gate": lambda x: functional.silu(x) * x.flip(-1),
    "new gelu": lambda x: 0.5 * x * (1.0 + torch.tanh(0.79788456 * (x + 0.044715 * torch.pow(x, 3.0)))),
    "quotient": lambda x: x / (1 + x.flip(-1) ** 2),
    "number by number": lambda x: 3.0 / (2 + x**2),
    "written sigmoid": lambda x: 1 / (1 + torch.exp(torch.tanh(-x))),
    "divided by": lambda x: torch.div(torch.tanh(x), 1 + torch.exp(torch.tanh(x.flip(-1)))),
    "products of matrices": lambda x: x.unsqueeze(-1) @ torch.tanh(x.unsqueeze(-2)),
    "product added": lambda x: x.baddbmm(x.tanh() @ x.mT, x.tanh(), beta=0.5, alpha=2.0),
    "gelu": lambda x: nn.GELU()(x),
    "in place": lambda x: nn.ReLU(inplace=True)(x + 0),
}


@pytest.mark.parametrize("curve", CURVES)
def test_multipliers_give_the_difference_and_near_it_the_gradient(curve):
    generator = torch.Generator().manual_seed(2)
    x, start = 2 * torch.randn(2, 5, 3, 7, generator=generator, dtype=torch.float64)
    # some are the same, some nearly, and some so far apart that a softmax is all one or the other
    start[0, 0], x[1], start[2] = x[0, 0], 300 * x[1], x[2] + 1e-9
    weights = torch.randn(CURVES[curve](x).shape, generator=generator, dtype=torch.float64)

    def multipliers(pair):
        points = pair.clone().requires_grad_()
        with rescale():
            out = CURVES[curve](points)
        torch.testing.assert_close(out, CURVES[curve](pair), rtol=0, atol=0)
        return torch.autograd.grad((out[: len(x)] * weights).sum(), points)[0][: len(x)]

    found = ((x - start) * multipliers(torch.cat((x, start)))).flatten(1).sum(dim=1)
    change = ((CURVES[curve](x) - CURVES[curve](start)) * weights).flatten(1).sum(dim=1)
    torch.testing.assert_close(found, change, rtol=1e-8, atol=1e-12)
    near = multipliers(torch.cat((x, x + 1e-7)))
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad((CURVES[curve](leaf) * weights).sum(), leaf)
    torch.testing.assert_close(near, gradient, rtol=1e-4, atol=1e-5)


def test_what_changes_its_argument_has_the_plain_gradient():
    points = torch.tensor([3.0, -2.0]).double().requires_grad_()
    with rescale():
        out = points + 0
        out.mul_(points)
    assert out.tolist() == [9, 4]
    (gradient,) = torch.autograd.grad(out[0], points)
    assert gradient.tolist() == [6, 0]


def test_a_product_is_shared_as_by_shapley():
    """DeepSHAP's rule for products: the Shapley values of the two factors."""
    one, other = torch.tensor([3.0, 1.0, -2.0, 5.0]).double(), torch.tensor([0.5, 4.0, 2.0, -1.0]).double()
    points = [part.clone().requires_grad_() for part in (one, other)]
    with rescale():
        out = points[0] * points[1]
    first, second = torch.autograd.grad(out[:2].sum(), points)
    for i in range(2):
        a, b, a0, b0 = float(one[i]), float(other[i]), float(one[i + 2]), float(other[i + 2])
        shapley = (0.5 * ((a * b0 - a0 * b0) + (a * b - a0 * b)), 0.5 * ((a0 * b - a0 * b0) + (a * b - a * b0)))
        assert (float(first[i] * (a - a0)), float(second[i] * (b - b0))) == pytest.approx(shapley)


def test_deeplift_on_equal_inputs_has_the_gradient():
    """A text of the baseline's own tokens: nothing differs, and the multipliers are the gradient."""
    for family in ("bert", "llama", "modernbert"):
        classifier = double(family)
        batch = with_targets(classifier)
        embeddings, gradient = classifier.embedding_gradient(batch)
        pairs = batch.select([*range(len(TEXTS))] * 2)
        with classifier.gradients_for_inputs_only():
            points = torch.cat((embeddings, embeddings)).requires_grad_()
            with rescale():
                logits = classifier.logits_from_embeddings(points, pairs)
            explained = logits[: len(TEXTS)].gather(1, TARGETS[:, None]).sum()
            (found,) = torch.autograd.grad(explained, points)
        close(found[: len(TEXTS)], gradient, 1e-6)


@pytest.mark.parametrize("kind", ["none", "causal", "bool", "added", "grouped", "scaled"])
def test_attention_from_parts_is_torchs(kind):
    generator = torch.Generator().manual_seed(3)
    query, key, value = torch.randn(3, 2, 4, 5, 6, generator=generator)
    mask = torch.rand(2, 1, 5, 5, generator=generator) > 0.4
    mask[..., 0] = True
    given = {
        "none": {},
        "causal": {"is_causal": True},
        "bool": {"attn_mask": mask},
        "added": {"attn_mask": torch.where(mask, 0.0, torch.finfo(torch.float32).min)},
        "grouped": {"enable_gqa": True},
        "scaled": {"scale": 0.7},
    }[kind]
    if kind == "grouped":
        key, value = key[:, :2], value[:, :2]
    made = attention_by(torch.matmul, lambda scores: scores.softmax(dim=-1), query, key, value, **given)
    torch.testing.assert_close(made, functional.scaled_dot_product_attention(query, key, value, **given))


def test_deeplift_baselines():
    classifier = tiny_classifier("bert")
    batch = with_targets(classifier)
    auto, mask, pad = (
        load_method("deeplift", baseline=b).attribute(classifier, batch) for b in ("auto", "mask", "pad")
    )
    assert torch.equal(auto, mask)
    assert (pad - mask).abs().max() > 1e-2
    assert (mask[batch.units < 0] == 0).all()
    with pytest.raises(OperatorError, match="no mask token"):
        load_method("deeplift", baseline="mask").attribute(
            tiny_classifier("gpt2"), tiny_classifier("gpt2").encode(TEXTS)
        )


# ---- LRP ------------------------------------------------------------------------------------------------------------


def with_fixed_norms(classifier):
    """A copy whose norm modules hold their denominator fixed: another route than a rule for torch's functions."""
    changed = copy.copy(classifier)
    changed.model = copy.deepcopy(classifier.model)
    count = 0
    for module in changed.model.modules():
        kind = type(module).__name__
        if "Norm" not in kind:
            continue
        count += 1
        if isinstance(module, nn.LayerNorm):

            def forward(x, own=module):
                centred = x - x.mean(-1, keepdim=True)
                root = torch.sqrt(x.var(-1, unbiased=False, keepdim=True) + own.eps).detach()
                return own.weight * centred / root + (0 if own.bias is None else own.bias)
        else:

            def forward(x, own=module):
                root = torch.sqrt((x**2).mean(-1, keepdim=True) + own.variance_epsilon).detach()
                return own.weight * x / root

        module.forward = forward
    assert count > 2
    return changed


@pytest.mark.parametrize("family", FAMILIES)
def test_lrp_is_gradient_x_input_with_fixed_attention_and_norms(family):
    """By the attention recorder's replacement and by norm modules, one text at a time."""
    classifier = double(family) if family != "modernbert" else fresh_classifier(family)
    batch = with_targets(classifier)
    attribution = load_method("lrp").explain(classifier, batch)
    fixed = with_fixed_norms(classifier)
    for index in range(len(TEXTS)):
        alone = batch.select([index])
        leaf = classifier.embeddings(alone).requires_grad_()
        handle = fixed.embedding_layer.register_forward_hook(lambda _, __, out, leaf=leaf: leaf)
        logits = fixed.replace_attention(alone, lambda _, weights, __: weights.detach())
        handle.remove()
        logit = logits[0, TARGETS[index]]
        (gradient,) = torch.autograd.grad(logit, leaf)
        expected = (leaf.detach() * gradient)[0].sum(dim=-1)
        close(attribution.scores[index, : len(expected)], expected)
        left = float((logit.detach() - expected.sum()).abs())
        assert float(attribution.report["unexplained"][index]) == pytest.approx(left, rel=1e-3, abs=1e-4)


def test_lrp_conserves_where_nothing_is_biased():
    """No bias, no position, and activations that are lines through 0 on either side: nothing is left over."""
    classifier = double("distilbert", activation="relu")
    with torch.no_grad():
        for name, parameter in classifier.model.named_parameters():
            if name.endswith("bias") or "position" in name:
                parameter.zero_()
    batch = with_targets(classifier)
    attribution = load_method("lrp").explain(classifier, batch)
    logits = classifier.logits(batch).detach().gather(1, TARGETS[:, None])[:, 0]
    # the norms' epsilon is what is missing; gradient x input misses about all
    assert (attribution.report["unexplained"] / logits.abs()).max() < 1e-10
    torch.testing.assert_close(attribution.scores.sum(dim=1), logits)
    embeddings, gradient = classifier.embedding_gradient(batch)
    plain = (embeddings * gradient).sum(dim=(1, 2))
    assert ((plain - logits).abs() / logits.abs()).min() > 0.9


@pytest.mark.parametrize("what", ["attention", "norm"])
def test_a_model_with_nothing_to_hold_fixed(what, monkeypatch):
    from whybench.methods import lrp

    for name in (*lrp._ATTENTION,) if what == "attention" else lrp._NORMS:
        monkeypatch.delitem(lrp._RULES, name)
    classifier = tiny_classifier("bert")
    with pytest.raises(UnsupportedArchitectureError, match=f"BertForSequenceClassification.*no {what}"):
        load_method("lrp").attribute(classifier, classifier.encode(TEXTS))


# ---- both -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", METHODS)
def test_the_logits_are_the_models_and_nothing_is_left_behind(name):
    classifier = fresh_classifier("bert")
    batch = with_targets(classifier)
    before = state_of(classifier.model)
    functions = (torch.softmax, functional.layer_norm, functional.gelu, torch.Tensor.mul)
    scores = load_method(name).attribute(classifier, batch)
    assert state_of(classifier.model) == before
    assert functions == (torch.softmax, functional.layer_norm, functional.gelu, torch.Tensor.mul)
    assert not torch.overrides._get_current_function_mode_stack()
    assert (scores[batch.attention_mask == 0] == 0).all()
    with counting(classifier.model) as counts:
        load_method(name).attribute(classifier, batch)
    pairs = 2 if name == "deeplift" else 1
    assert (counts.forward, counts.backward) == (pairs * len(TEXTS), pairs * len(TEXTS))


@pytest.mark.parametrize("name", METHODS)
def test_eager_attention_gives_the_same(name):
    for family in ("bert", "llama", "modernbert"):
        classifier = fresh_classifier(family)
        batch = with_targets(classifier)
        expected = load_method(name).attribute(classifier, batch)
        classifier.model.set_attn_implementation("eager")
        close(load_method(name).attribute(classifier, batch), expected)


@pytest.mark.parametrize("name", METHODS)
def test_half_precision_is_near(name):
    classifier = fresh_classifier("llama")
    expected = load_method(name).attribute(classifier, with_targets(classifier))
    classifier.model.bfloat16()
    scores = load_method(name).attribute(classifier, with_targets(classifier))
    assert np.corrcoef(scores.flatten(), expected.flatten())[0, 1] > 0.95


@pytest.mark.parametrize("name", METHODS)
def test_next_tokens(name):
    model = NextTokenModel.from_pretrained(checkpoint("induction"), device="cpu")
    batch = model.encode_examples(load_task("induction").load().examples[:3])
    scores = load_method(name).attribute(model, batch)
    assert scores[0].std() > 0
    close(load_method(name).attribute(model, batch.select([1]))[0], scores[1, : int(batch.lengths()[1])])
