"""Reading and replacing attention: nine architectures against transformers' own eager attention and plain passes."""

import copy
import logging
import sys

import pytest
import torch

from whybench.bench.errors import ParameterError, UnsupportedArchitectureError
from whybench.bench.tiny_models import (
    DECODERS,
    FAMILIES,
    HEADS,
    LAYERS,
    TEXTS,
    UNSUPPORTED,
    fresh_classifier,
    tiny_classifier,
)
from whybench.methods.efficient_attention import EfficientAttention
from whybench.methods.raw_attention import RawAttention
from whybench.tests.models import state_of

# What comes after the heads' outputs are put side by side.
OUTPUT_PROJECTION = {
    "bert": "attention.output.dense",
    "roberta": "attention.output.dense",
    "distilbert": "attention.out_lin",
    "electra": "attention.output.dense",
    "albert": "attention.dense",
    "modernbert": "attn.Wo",
    "gpt2": "attn.c_proj",
    "llama": "self_attn.o_proj",
    "qwen3": "self_attn.o_proj",
}

pytestmark = pytest.mark.usefixtures("no_gradients")


@pytest.fixture
def no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(params=FAMILIES)
def classifier(request):
    return tiny_classifier(request.param)


def family_of(classifier):
    return classifier.name.removeprefix("tiny-")


def inputs_of(batch):
    inputs = {"input_ids": batch.input_ids, "attention_mask": batch.attention_mask}
    return inputs if batch.token_type_ids is None else inputs | {"token_type_ids": batch.token_type_ids}


def head_inputs(classifier, batch):
    """Per layer what enters the output projection in a plain pass, ``[batch, heads, tokens, d_v]``."""
    seen = []
    model = copy.deepcopy(classifier.model)
    for name, module in model.named_modules():
        if name.endswith(OUTPUT_PROJECTION[family_of(classifier)]):
            module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    model(**inputs_of(batch))
    return [output.unflatten(-1, (HEADS, -1)).transpose(1, 2) for output in seen]


def expected_allowed(classifier, batch, layer):
    """The keys that each query may attend to, from the definition, ``[batch, queries, keys]``."""
    mask = batch.attention_mask.bool()
    at = torch.arange(mask.shape[1])
    allowed = mask[:, None, :].expand(-1, len(at), -1)
    if family_of(classifier) in DECODERS:
        allowed = allowed & (at[None, :] <= at[:, None])
    if family_of(classifier) == "modernbert" and layer == 1:
        # local_attention 12: 6 to either side
        allowed = allowed & ((at[None, :] - at[:, None]).abs() <= 6)
    return allowed


def test_weights_are_transformers_own(classifier):
    batch = classifier.encode(TEXTS)
    record = classifier.attention(batch)
    model = copy.deepcopy(classifier.model)
    model.set_attn_implementation("eager")
    reference = model(**inputs_of(batch), output_attentions=True).attentions
    assert len(record.weights) == len(record.values) == len(record.allowed) == len(reference) == LAYERS
    real = batch.attention_mask.bool()[:, None, :, None]
    for weights, own in zip(record.weights, reference, strict=True):
        assert weights.shape == own.shape == (len(batch), HEADS, batch.input_ids.shape[1], batch.input_ids.shape[1])
        torch.testing.assert_close(weights * real, own * real, rtol=0, atol=2e-5)
    # a test on flat attention would test nothing
    assert all(weights[0].amax(-1).mean() > 3 / weights.shape[-1] for weights in record.weights)


def test_weights_times_values_are_the_heads_outputs(classifier):
    batch = classifier.encode(TEXTS)
    record = classifier.attention(batch)
    reference = head_inputs(classifier, batch)
    assert len(reference) == LAYERS
    real = batch.attention_mask.bool()[:, None, :, None]
    for weights, values, output in zip(record.weights, record.values, reference, strict=True):
        assert values.shape == (len(batch), HEADS, batch.input_ids.shape[1], output.shape[-1])
        scale = float((output * real).abs().max())
        torch.testing.assert_close((weights @ values) * real, output * real, rtol=0, atol=2e-5 * scale)


def test_grouped_values_are_repeated_to_neighbouring_heads():
    for family in ("llama", "qwen3"):
        classifier = tiny_classifier(family)
        for values in classifier.attention(classifier.encode(TEXTS)).values:
            assert torch.equal(values[:, 0], values[:, 1])
            assert torch.equal(values[:, 2], values[:, 3])
            assert not torch.equal(values[:, 1], values[:, 2])


def test_rows_are_distributions_over_the_allowed_keys(classifier):
    batch = classifier.encode(TEXTS)
    record = classifier.attention(batch)
    real = batch.attention_mask.bool()[:, None, :]
    for layer, (weights, allowed) in enumerate(zip(record.weights, record.allowed, strict=True)):
        expected = expected_allowed(classifier, batch, layer)
        whole = allowed.expand_as(weights)
        assert allowed.dtype == torch.bool
        assert allowed.shape == (len(batch), 1, *weights.shape[2:])
        assert torch.equal(whole & real[..., None], expected[:, None].expand_as(weights) & real[..., None])
        sums = weights.sum(-1)
        torch.testing.assert_close(sums.where(real, 1.0), torch.ones_like(sums), rtol=0, atol=1e-5)
        assert (weights >= 0).all()
        # exactly 0 at padding, at the future and outside a window
        assert (weights.masked_fill(~real[..., None], 0)[~whole] == 0).all()


def test_padding_changes_nothing(classifier):
    together = classifier.attention(classifier.encode(TEXTS))
    for i, text in enumerate(TEXTS):
        alone = classifier.attention(classifier.encode([text]))
        n = alone.weights[0].shape[-1]
        for layer in range(LAYERS):
            torch.testing.assert_close(
                together.weights[layer][i, :, :n, :n], alone.weights[layer][0], rtol=0, atol=5e-5
            )
            torch.testing.assert_close(together.values[layer][i, :, :n], alone.values[layer][0], rtol=1e-4, atol=1e-4)
            assert torch.equal(together.allowed[layer][i, :, :n, :n], alone.allowed[layer][0])


def test_a_batch_without_padding_has_a_mask_too(classifier):
    batch = classifier.encode([TEXTS[0], TEXTS[0]])
    for layer, allowed in enumerate(classifier.attention(batch).allowed):
        assert torch.equal(allowed[:, 0], expected_allowed(classifier, batch, layer))


def test_attention_carries_gradients():
    classifier = tiny_classifier("bert")
    with torch.enable_grad():
        assert all(weights.requires_grad for weights in classifier.attention(classifier.encode(TEXTS)).weights)


# ---- replacing ------------------------------------------------------------------------------------------------------


def test_own_weights_give_the_plain_logits(classifier):
    batch = classifier.encode(TEXTS)
    plain = classifier.model(**inputs_of(batch)).logits
    weights = classifier.attention(batch).weights
    doubled = [matrix.double() for matrix in weights]
    for matrices in (weights, list(weights), doubled, [None] * LAYERS, [None, *weights[1:]], lambda _, own, __: own):
        torch.testing.assert_close(classifier.replace_attention(batch, matrices), plain, rtol=0, atol=1e-4)


@pytest.mark.parametrize("layer", range(LAYERS))
def test_each_layer_is_replaced_by_its_own_matrix(classifier, layer):
    batch = classifier.encode(TEXTS)
    plain = classifier.logits(batch)
    allowed = classifier.attention(batch).allowed[layer]
    uniform = (allowed / allowed.sum(-1, keepdim=True).clamp_min(1)).expand(-1, HEADS, -1, -1)
    matrices = [uniform if index == layer else None for index in range(LAYERS)]
    other = classifier.replace_attention(batch, matrices)
    assert (other - plain).abs().amax() > 1e-2

    def replace(index, weights, values):
        assert values.shape[:3] == (len(batch), HEADS, weights.shape[-1])
        return uniform if index == layer else weights

    torch.testing.assert_close(classifier.replace_attention(batch, replace), other, rtol=0, atol=1e-5)


def test_uniform_attention_is_the_mean_of_the_values():
    """The replaced weights are what multiplies the values: one layer computed by hand from the record."""
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS[:1])
    uniform = torch.full_like(classifier.attention(batch).weights[0], 1 / batch.input_ids.shape[1])
    seen = []
    module = classifier.model.get_submodule("bert.encoder.layer.0.attention.output.dense")
    handle = module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        classifier.replace_attention(batch, [uniform, None, None])
    finally:
        handle.remove()
    mean = classifier.attention(batch).values[0].mean(dim=2).flatten(1)
    torch.testing.assert_close(seen[0], mean[:, None].expand_as(seen[0]), rtol=1e-4, atol=1e-5)


def test_efficient_attention_leaves_the_logits(classifier):
    batch = classifier.encode(TEXTS)
    plain = classifier.logits(batch)
    raw = RawAttention().matrices(classifier, batch)
    efficient = EfficientAttention().matrices(classifier, batch)
    logits = classifier.replace_attention(batch, [layer.weights for layer in efficient])
    torch.testing.assert_close(logits, plain, rtol=0, atol=1e-4)
    real = batch.attention_mask.bool()[:, None, :, None]
    for layer, (own, other) in enumerate(zip(raw, efficient, strict=True)):
        assert other.certified.all()
        assert ((own.weights - other.weights).abs() * real).amax() > 0.02, layer
        assert (other.weights.masked_fill(expected_allowed(classifier, batch, layer)[:, None], 0) == 0).all()


# ---- errors ---------------------------------------------------------------------------------------------------------


def wrong_replacements():
    def too_narrow(weights):
        return [weights[0][..., :-1], None, None]

    return {
        "too few": (lambda weights: weights[:-1], "2 attention matrices"),
        "none": (lambda weights: [], "0 attention matrices"),
        "too many": (lambda weights: [*weights, weights[0]], "4 attention matrices.*3 layers"),
        "narrow": (too_narrow, r"layer 0 has shape \[4, 4, "),
        "one example": (lambda weights: [None, weights[1][:1], None], r"layer 1 has shape \[1, "),
        "without heads": (lambda weights: [None, None, weights[2][:, 0]], "layer 2 has shape"),
        "no tensor": (lambda weights: [None, 0.5, None], "layer 1 is a float"),
        "wrong from a function": (lambda weights: lambda layer, own, values: own[:, :1], "layer 0 has shape"),
    }


@pytest.mark.parametrize("wrong", wrong_replacements())
def test_wrong_replacements_are_errors_and_leave_the_model(wrong):
    classifier = tiny_classifier("llama")
    batch = classifier.encode(TEXTS)
    make, message = wrong_replacements()[wrong]
    matrices = make(classifier.attention(batch).weights)
    before = state_of(classifier.model)
    with pytest.raises(ParameterError, match=message):
        classifier.replace_attention(batch, matrices)
    assert state_of(classifier.model) == before


def test_model_is_left_as_it_was(classifier):
    batch = classifier.encode(TEXTS)
    before, logits = state_of(classifier.model), classifier.logits(batch)
    record = classifier.attention(batch)
    classifier.replace_attention(batch, record.weights)

    def fail(*_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        classifier.replace_attention(batch, fail)
    assert state_of(classifier.model) == before
    assert torch.equal(classifier.logits(batch), logits)


def test_an_eager_model_stays_eager():
    classifier = fresh_classifier("gpt2")
    classifier.model.set_attn_implementation("eager")
    batch = classifier.encode(TEXTS)
    weights = classifier.attention(batch).weights
    assert classifier.attention_implementation == "eager"
    torch.testing.assert_close(weights[0], tiny_classifier("gpt2").attention(batch).weights[0])


def test_architecture_without_the_interface_is_an_error(caplog):
    classifier = tiny_classifier(UNSUPPORTED)
    batch = classifier.encode(TEXTS)
    before = state_of(classifier.model)
    attempts = (
        lambda: classifier.attention(batch),
        lambda: classifier.replace_attention(batch, [None] * LAYERS),
        lambda: RawAttention().attribute(classifier, batch),
        lambda: EfficientAttention().attribute(classifier, batch),
    )
    with caplog.at_level(logging.WARNING):
        for attempt in attempts:
            with pytest.raises(UnsupportedArchitectureError, match=r"DebertaV2.*method that needs no attention"):
                attempt()
    assert not caplog.records
    assert state_of(classifier.model) == before
    _, gradient = classifier.embedding_gradient(batch)
    assert gradient[0].abs().sum() > 0


@pytest.mark.parametrize("aggregation", ["readout", "mean", "rollout"])
def test_encoder_with_decoder_is_an_error(aggregation):
    classifier = tiny_classifier("bart")
    batch = classifier.encode(TEXTS)
    attempts = (
        lambda: classifier.attention(batch),
        lambda: RawAttention(aggregation=aggregation).attribute(classifier, batch),
        lambda: EfficientAttention(aggregation=aggregation).attribute(classifier, batch),
    )
    for attempt in attempts:
        with pytest.raises(UnsupportedArchitectureError, match=r"BartFor.*an encoder and a decoder.*no attention"):
            attempt()


def test_layer_that_does_more_than_weights_times_values_is_an_error(monkeypatch):
    classifier = fresh_classifier("bert")
    module = sys.modules[type(classifier.model).__module__]
    eager = module.eager_attention_forward

    def gated(*args, **kwargs):
        output, weights = eager(*args, **kwargs)
        return output * 1.01, weights

    monkeypatch.setattr(module, "eager_attention_forward", gated)
    with pytest.raises(UnsupportedArchitectureError, match="does more with its attention"):
        classifier.attention(classifier.encode(TEXTS))
    monkeypatch.setattr(module, "eager_attention_forward", None)
    with pytest.raises(UnsupportedArchitectureError, match="defines no eager_attention_forward"):
        classifier.attention(classifier.encode(TEXTS))
