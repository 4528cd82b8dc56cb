"""The classifier on nine architectures, against plain transformers calls with one text at a time."""

import pytest
import torch
from torch.nn.functional import softmax

from whybench.bench.classifier import Classifier
from whybench.bench.errors import LabelError, ModelError, UnsupportedArchitectureError
from whybench.bench.tiny_models import (
    DECODERS,
    FAMILIES,
    MAX_LENGTH,
    PAIRS,
    READOUT,
    TEXTS,
    UNSUPPORTED,
    build_model,
    build_tokenizer,
    byte_level,
    fresh_classifier,
    tiny_classifier,
)
from whybench.tests.models import state_of

ALL = (*FAMILIES, UNSUPPORTED)


@pytest.fixture(params=ALL)
def classifier(request):
    return tiny_classifier(request.param)


def plain_inputs(classifier, *texts):
    """One text or pair as transformers itself encodes it."""
    return dict(classifier.tokenizer(*texts, return_tensors="pt"))


def plain_logits(classifier, *texts):
    with torch.no_grad():
        return classifier.model(**plain_inputs(classifier, *texts)).logits[0]


# ---- forward passes -------------------------------------------------------------------------------------------------


def test_logits_are_the_models_own_whatever_the_padding(classifier):
    expected = torch.stack([plain_logits(classifier, text) for text in TEXTS])
    batch = classifier.encode(TEXTS)
    logits = classifier.logits(batch)
    assert logits.requires_grad
    torch.testing.assert_close(logits.detach(), expected, rtol=0, atol=1e-4)
    probabilities = classifier.probabilities(batch)
    assert not probabilities.requires_grad
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities, softmax(expected, dim=-1), rtol=0, atol=2e-5)
    # constant outputs would agree with anything
    assert expected.std(dim=0).min() > 0.05


def test_logits_of_pairs(classifier):
    expected = torch.stack([plain_logits(classifier, *pair) for pair in PAIRS])
    with torch.no_grad():
        torch.testing.assert_close(classifier.logits(classifier.encode(PAIRS)), expected, rtol=0, atol=1e-4)


def test_wider_padding_changes_nothing(classifier):
    batch = classifier.encode(TEXTS)
    extra = torch.zeros(len(batch), 3, dtype=torch.long)
    types = None if batch.token_type_ids is None else torch.cat((batch.token_type_ids, extra), 1)[:, :MAX_LENGTH]
    ids = torch.cat((batch.input_ids, extra + classifier.pad_id), 1)[:, :MAX_LENGTH]
    mask = torch.cat((batch.attention_mask, extra), 1)[:, :MAX_LENGTH]
    with torch.no_grad():
        wider = classifier.logits_from_ids(ids, mask, types)
        torch.testing.assert_close(wider, classifier.logits(batch), rtol=0, atol=1e-4)


# ---- embeddings -----------------------------------------------------------------------------------------------------


def test_logits_from_embeddings(classifier):
    batch = classifier.encode(TEXTS)
    embeddings = classifier.embeddings(batch)
    assert not embeddings.requires_grad
    assert torch.equal(embeddings, classifier.model.get_input_embeddings().weight[batch.input_ids])
    with torch.no_grad():
        assert torch.equal(classifier.logits_from_embeddings(embeddings, batch), classifier.logits(batch))
        flipped = classifier.logits_from_embeddings(embeddings.flip(-1), batch)
        for i, text in enumerate(TEXTS):
            inputs = plain_inputs(classifier, text)
            ids = inputs.pop("input_ids")
            inputs["inputs_embeds"] = classifier.model.get_input_embeddings()(ids).flip(-1)
            torch.testing.assert_close(flipped[i], classifier.model(**inputs).logits[0], rtol=0, atol=1e-4)
    assert (flipped - classifier.logits(batch)).abs().max() > 1e-3


def test_embedding_gradient_is_plain_autograd(classifier):
    batch = classifier.encode(TEXTS).with_target(torch.tensor([0, 1, 2, 1]))
    before = state_of(classifier.model)
    embeddings, gradient = classifier.embedding_gradient(batch)
    assert state_of(classifier.model) == before
    assert embeddings.shape == gradient.shape
    assert not embeddings.requires_grad
    assert not gradient.requires_grad
    for i, text in enumerate(TEXTS):
        inputs = plain_inputs(classifier, text)
        ids = inputs.pop("input_ids")
        leaf = classifier.model.get_input_embeddings()(ids).detach().requires_grad_()
        logits = classifier.model(inputs_embeds=leaf, **inputs).logits
        (expected,) = torch.autograd.grad(logits[0, batch.target[i]], leaf)
        n = ids.shape[1]
        scale = float(expected.abs().max())
        assert scale > 1e-3
        torch.testing.assert_close(gradient[i, :n], expected[0], rtol=0, atol=2e-4 * scale)
        torch.testing.assert_close(embeddings[i, :n], leaf[0].detach())
        assert (gradient[i, n:] == 0).all()


def test_gradient_is_of_the_prediction_without_a_target():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    predicted = classifier.probabilities(batch).argmax(dim=1)
    _, own = classifier.embedding_gradient(batch)
    _, explicit = classifier.embedding_gradient(batch.with_target(predicted))
    _, other = classifier.embedding_gradient(batch.with_target((predicted + 1) % 3))
    assert torch.equal(own, explicit)
    assert (own - other).abs().amax() > 1e-3


def test_segments_embedded_by_the_word_embeddings():
    """GPT-2 embeds segments with the layer of its words: only the words may be replaced."""
    tokenizer = build_tokenizer("gpt2")
    tokenizer.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    classifier = fresh_classifier("gpt2", tokenizer=tokenizer)
    batch = classifier.encode(TEXTS)
    assert batch.token_type_ids is not None
    with torch.no_grad():
        logits = classifier.logits_from_embeddings(classifier.embeddings(batch), batch)
        torch.testing.assert_close(logits, classifier.logits(batch), rtol=0, atol=1e-5)


def test_weights_gather_no_gradients_and_flags_come_back():
    classifier = fresh_classifier("bert")
    parameters = list(classifier.model.parameters())
    parameters[3].requires_grad_(False)
    flags = [parameter.requires_grad for parameter in parameters]
    with pytest.raises(ZeroDivisionError), torch.no_grad(), classifier.gradients_for_inputs_only():
        assert torch.is_grad_enabled()
        assert not any(parameter.requires_grad for parameter in parameters)
        raise ZeroDivisionError
    assert [parameter.requires_grad for parameter in parameters] == flags


def test_encoder_with_decoder_has_no_gradient():
    classifier = tiny_classifier("bart")
    batch = classifier.encode(TEXTS)
    before = state_of(classifier.model)
    plain = torch.stack([plain_logits(classifier, text) for text in TEXTS])
    with torch.no_grad():
        torch.testing.assert_close(classifier.logits(batch), plain, rtol=0, atol=1e-4)
    attempts = (
        lambda: classifier.embeddings(batch),
        lambda: classifier.logits_from_embeddings(torch.zeros(1), batch),
        lambda: classifier.embedding_gradient(batch),
        lambda: classifier.readout,
    )
    for attempt in attempts:
        with pytest.raises(UnsupportedArchitectureError, match=r"BartFor.*an encoder and a decoder.*needs no gradient"):
            attempt()
    assert state_of(classifier.model) == before


def detached(embed):
    return lambda ids: embed(ids).detach()


def unhooked(embed):
    return lambda ids: embed.weight[ids]


@pytest.mark.parametrize("change", [detached, unhooked])
def test_embeddings_that_the_logits_do_not_depend_on(change):
    classifier = fresh_classifier("llama")
    batch = classifier.encode(TEXTS)
    embed = classifier.embedding_layer

    class Changed(torch.nn.Module):
        def forward(self, ids):
            return change(embed)(ids)

    classifier.model.model.embed_tokens = Changed()
    classifier.model.get_input_embeddings = lambda: embed
    before = state_of(classifier.model)
    with pytest.raises(UnsupportedArchitectureError, match=r"LlamaFor.*do not depend on.*\(Embedding\)"):
        classifier.embedding_gradient(batch)
    assert state_of(classifier.model) == before


def test_embeddings_that_only_some_other_gradient_reaches(monkeypatch):
    """The logits have a gradient, though none of the embeddings."""
    classifier = fresh_classifier("llama")
    other, plain = torch.zeros(1, requires_grad=True), classifier.logits
    monkeypatch.setattr(classifier, "logits", lambda batch: plain(batch).detach() + other)
    with pytest.raises(UnsupportedArchitectureError, match="do not depend on"):
        classifier.embedding_gradient(classifier.encode(TEXTS))


# ---- the target -----------------------------------------------------------------------------------------------------


def test_target():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    logits = classifier.logits(batch).detach()
    assert torch.equal(classifier.target(batch), logits.argmax(dim=1))
    assert torch.equal(classifier.target(batch, -logits), logits.argmin(dim=1))
    assert classifier.target(batch.with_target(torch.tensor([2, 0, 1, 2]))).tolist() == [2, 0, 1, 2]


@pytest.mark.parametrize("target", [[0, 1, 3, 0], [0, -1, 0, 0], [0, 1], [[0], [0], [0], [0]]])
def test_wrong_targets_are_errors(target):
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS).with_target(torch.tensor(target))
    with pytest.raises(LabelError, match="target has"):
        classifier.target(batch)
    with pytest.raises(LabelError, match="target has"):
        classifier.embedding_gradient(batch)


# ---- what the head reads --------------------------------------------------------------------------------------------


def read_by_the_head(classifier, batch):
    """Positions with a gradient of the last hidden state, ``[batch, tokens]``, bool."""
    kept = []
    handle = classifier.model.base_model.register_forward_hook(lambda _, __, output: kept.append(output[0]))
    logits = classifier.logits(batch)
    handle.remove()
    (gradient,) = torch.autograd.grad((logits * torch.tensor([1.0, 2.0, -1.0])).sum(), kept[0])
    return gradient.abs().sum(dim=-1) > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_readout(family):
    classifier = fresh_classifier(family)
    batch = classifier.encode(TEXTS)
    before = state_of(classifier.model)
    assert classifier.readout == READOUT[family]
    assert state_of(classifier.model) == before
    weights = classifier.readout_weights(batch)
    assert weights.dtype == torch.float64
    assert torch.equal(weights > 0, read_by_the_head(classifier, batch))
    for row, count in zip(weights, batch.lengths().tolist(), strict=True):
        expected = {
            "first": [1.0] + [0.0] * (count - 1),
            "last": [0.0] * (count - 1) + [1.0],
            "mean": [1 / count] * count,
        }
        expected = expected[READOUT[family]] + [0.0] * (weights.shape[1] - count)
        torch.testing.assert_close(row, torch.tensor(expected, dtype=torch.float64))


def test_readout_of_other_heads_and_frozen_weights():
    assert fresh_classifier("modernbert", classifier_pooling="cls").readout == "first"
    for family in ("bert", "modernbert", "gpt2"):
        classifier = fresh_classifier(family)
        classifier.model.requires_grad_(False)
        with torch.no_grad():
            assert classifier.readout == READOUT[family]
        assert not any(parameter.requires_grad for parameter in classifier.model.parameters())


@pytest.mark.parametrize("family", DECODERS)
def test_text_that_ends_with_the_padding_token(family):
    classifier = tiny_classifier(family)
    text = "the film was great" + classifier.tokenizer.convert_ids_to_tokens(classifier.pad_id)
    batch = classifier.encode([TEXTS[0], text])
    assert batch.input_ids[1, batch.lengths()[1] - 1] == classifier.pad_id
    assert torch.equal(classifier.readout_weights(batch) > 0, read_by_the_head(classifier, batch))


@pytest.mark.parametrize("pads_with_eos", [False, True])
@pytest.mark.parametrize("family", DECODERS)
def test_a_tokenizer_that_pads_on_the_left(family, pads_with_eos):
    """Against transformers' own left-padded batch, and its own gradients and attention of each text alone."""
    tokenizer = build_tokenizer(family)
    if not pads_with_eos:
        tokenizer.add_special_tokens({"pad_token": "<padding>"})
    tokenizer.padding_side = "left"
    model = build_model(family, tokenizer)
    model.config.pad_token_id = tokenizer.eos_token_id if pads_with_eos else tokenizer.pad_token_id
    tokenizer.pad_token_id = model.config.pad_token_id
    classifier = Classifier(model, tokenizer)
    # where padding is another token, a text may end with the end of text and be read there
    texts = [*TEXTS[:3], "a great film" if pads_with_eos else "a great film" + tokenizer.eos_token]
    batch = classifier.encode(texts).with_target(torch.tensor([0, 1, 2, 1]))
    assert batch.attention_mask[:, 0].all()

    encoded = tokenizer(texts, padding=True, return_tensors="pt")
    assert not encoded["attention_mask"][1, 0]
    places = (encoded["attention_mask"].cumsum(dim=1) - 1).clamp_min(0)
    with torch.no_grad():
        left = model(**encoded, position_ids=places).logits
        alone = torch.stack([model(**tokenizer(text, return_tensors="pt")).logits[0] for text in texts])
        torch.testing.assert_close(alone, left, rtol=0, atol=1e-4)
        torch.testing.assert_close(classifier.logits(batch), alone, rtol=0, atol=1e-4)
    last = batch.lengths() - 1
    assert torch.equal(classifier.readout_weights(batch).argmax(dim=1), last)
    _, gradient = classifier.embedding_gradient(batch)
    weights = classifier.attention(batch).weights[-1]
    for i, text in enumerate(texts):
        inputs = tokenizer(text, return_tensors="pt")
        leaf = model.get_input_embeddings()(inputs["input_ids"]).detach().requires_grad_()
        handle = classifier.embedding_layer.register_forward_hook(lambda *_, leaf=leaf: leaf)
        logits = model(**inputs).logits
        handle.remove()
        (expected,) = torch.autograd.grad(logits[0, batch.target[i]], leaf)
        n, scale = leaf.shape[1], float(expected.abs().max())
        torch.testing.assert_close(gradient[i, :n], expected[0], rtol=0, atol=2e-4 * scale)
        own = classifier.attention(classifier.encode([text])).weights[-1][0, :, -1]
        torch.testing.assert_close(weights[i, :, last[i], :n], own, rtol=0, atol=1e-5)


# ---- padding token, length, vocabulary ------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [None, -1, 300])
def test_decoder_without_a_usable_padding_token(own):
    """The tokenizer's, or else the end of text; the model hears of it, so that it finds the last real token."""
    tokenizer = build_tokenizer("llama")
    model = build_model("llama", tokenizer)
    model.config.pad_token_id = own
    classifier = Classifier(model, tokenizer)
    assert classifier.pad_id == model.config.pad_token_id == (300 if own == 300 else tokenizer.eos_token_id)
    with torch.no_grad():
        torch.testing.assert_close(classifier.logits(classifier.encode(TEXTS)).argmax(1), alone_argmax(classifier))


@pytest.mark.parametrize("added", [False, True])
def test_tokenizer_whose_padding_token_is_not_the_models(added):
    """The model's counts: it is the one that a decoder passes over, and one that was added has no embedding."""
    tokenizer = build_tokenizer("qwen3")
    model = build_model("qwen3", tokenizer)
    tokenizer.pad_token = "<added>" if added else tokenizer.eos_token
    own = model.config.pad_token_id
    assert tokenizer.pad_token_id != own
    classifier = Classifier(model, tokenizer)
    assert classifier.pad_id == model.config.pad_token_id == own
    expected = torch.stack([plain_logits(classifier, text) for text in TEXTS])
    with torch.no_grad():
        torch.testing.assert_close(classifier.logits(classifier.encode(TEXTS)), expected, rtol=0, atol=1e-4)


def alone_argmax(classifier):
    return torch.stack([plain_logits(classifier, text) for text in TEXTS]).argmax(1)


@pytest.mark.parametrize("family", ALL)
def test_max_length_is_usable(family):
    classifier = tiny_classifier(family)
    assert classifier.max_length == MAX_LENGTH
    batch = classifier.encode(["slow joke " * 50])
    assert batch.lengths().tolist() == [MAX_LENGTH]
    assert torch.isfinite(classifier.probabilities(batch)).all()


def test_max_length_of_the_tokenizer_and_none_at_all():
    tokenizer = build_tokenizer("bert")
    tokenizer.model_max_length = 20
    assert fresh_classifier("bert", tokenizer=tokenizer).max_length == 20
    tokenizer.model_max_length = 10**30
    model = build_model("bert", tokenizer)
    assert Classifier(model, tokenizer).max_length == MAX_LENGTH
    del model.config.max_position_embeddings
    assert Classifier(model, tokenizer).max_length == 512


def test_token_without_an_embedding_is_an_error():
    tokenizer = build_tokenizer("bert")
    model = build_model("bert", tokenizer)
    tokenizer.add_tokens(["sparkling"])
    classifier = Classifier(model, tokenizer)
    classifier.encode(["a great film"])
    with pytest.raises(ModelError, match=r"'sparkling'.*has embeddings for"):
        classifier.encode(["a sparkling film"])


def test_one_label_is_refused():
    tokenizer = build_tokenizer("bert")
    with pytest.raises(ModelError, match=r"has 1 label\(s\)"):
        Classifier(build_model("bert", tokenizer, num_labels=1), tokenizer)


def test_labels_eval_mode_and_name():
    tokenizer = build_tokenizer("bert")
    model = build_model("bert", tokenizer, num_labels=2, id2label={0: "bad", 1: "good"}).train()
    classifier = Classifier(model, tokenizer, name="mine", revision="abc")
    assert classifier.labels == ("bad", "good")
    assert not model.training
    assert (classifier.name, classifier.revision) == ("mine", "abc")
    assert (classifier.device.type, classifier.dtype) == ("cpu", torch.float32)
    assert tiny_classifier("gpt2").labels == ("LABEL_0", "LABEL_1", "LABEL_2")


def test_tokenizer_without_any_special_token():
    tokenizer = byte_level({})
    classifier = fresh_classifier("gpt2", tokenizer=tokenizer)
    assert classifier.pad_id == 0
    assert torch.isfinite(classifier.probabilities(classifier.encode(TEXTS))).all()


@pytest.mark.parametrize("problem", ["multi_label_classification", "regression"])
def test_a_model_of_another_problem_is_refused(problem):
    tokenizer = build_tokenizer("bert")
    with pytest.raises(ModelError, match=problem):
        Classifier(build_model("bert", tokenizer, num_labels=3, problem_type=problem), tokenizer)
