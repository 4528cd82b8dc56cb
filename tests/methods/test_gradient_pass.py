"""Four gradient maps from one run, against the methods one after the other and against Captum."""

import dataclasses

import pytest
import torch
from captum.attr import LayerIntegratedGradients

import whybench
from whybench import load_method
from whybench.bench.cost import counting
from whybench.bench.errors import LabelError, OperatorError, ParameterError
from whybench.bench.tiny_models import PAIRS, TEXTS, fresh_classifier, tiny_classifier
from whybench.tests.models import state_of

FAMILIES = ("bert", "roberta", "gpt2", "llama", "modernbert")
STEPS = 7


def double(family):
    """A classifier in float64, where the order of additions leaves no trace at 1e-6."""
    classifier = fresh_classifier(family)
    classifier.model.double()
    return classifier


def captums(classifier, batch, token, steps):
    """Captum's integrated gradients without × input, ``[batch, tokens, hidden]``."""
    ids = torch.where(batch.units >= 0, token, batch.input_ids)
    captum = LayerIntegratedGradients(classifier.logits_from_ids, classifier.embedding_layer, multiply_by_inputs=False)
    others = (batch.attention_mask, batch.token_type_ids, batch.contrast)
    target = classifier.target(batch)
    return captum.attribute(batch.input_ids, ids, target=target, additional_forward_args=others, n_steps=steps).detach()


def separately(classifier, batch, baseline="auto"):
    """The four maps of one text after the other, without padding, by four runs; NaN where a method has no answer."""
    maps = {}
    for index in range(len(batch)):
        one = batch.select([index])
        given = {"integrated_gradients": {"n_steps": STEPS, "max_steps": STEPS, "baseline": baseline}}
        found = {}
        for name in ("gradient", "gradient_x_input", "integrated_gradients"):
            answer = load_method(name, **given.get(name, {})).explain(classifier, one)
            found[name] = torch.full_like(answer.scores, torch.nan) if answer.failed else answer.scores
        mask = classifier.tokenizer.mask_token_id
        token = classifier.pad_id if baseline == "pad" or mask is None else mask
        found["path_gradient"] = captums(classifier, one, token, STEPS).norm(dim=-1)
        for name, scores in found.items():
            maps.setdefault(name, []).append(scores[0])
    return maps


def agree(maps, expected, batch, relative):
    """Whether every text's map is what was expected, relative to its largest score, and 0 on padding."""
    assert set(maps) == set(expected) == {"gradient", "gradient_x_input", "path_gradient", "integrated_gradients"}
    for name, rows in expected.items():
        assert maps[name].shape == batch.input_ids.shape
        for row, wanted in zip(maps[name], rows, strict=True):
            if wanted.isnan().any():
                assert name == "gradient_x_input" and row.isnan().all()
                continue
            assert wanted.abs().max() > 0
            assert float((row[: len(wanted)] - wanted).abs().max() / wanted.abs().max()) < relative, name
            assert (row[len(wanted) :] == 0).all()


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("most", [3, 128])
def test_they_are_what_four_runs_give(family, most):
    classifier = double(family)
    batch = classifier.encode(TEXTS)
    maps = whybench.gradient_maps(classifier, batch, STEPS, internal_batch_size=most)
    agree(maps, separately(classifier, batch), batch, 1e-6)
    assert maps["gradient_x_input"].isnan().all() == (family == "modernbert")


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_pairs_targets_and_the_other_baseline(family):
    classifier = double(family)
    batch = classifier.encode(PAIRS).with_target(torch.tensor([2, 0]))
    maps = whybench.gradient_maps(classifier, batch, STEPS, baseline="pad")
    agree(maps, separately(classifier, batch, "pad"), batch, 1e-6)
    other = whybench.gradient_maps(classifier, batch.with_target(torch.tensor([1, 1])), STEPS, baseline="pad")
    assert (other["gradient"] - maps["gradient"]).abs().max() > 1e-3


def test_a_trained_model_in_float32(xor_classifier, xor_batch):
    maps = whybench.gradient_maps(xor_classifier, xor_batch, STEPS)
    assert maps["gradient"].dtype == torch.float32
    agree(maps, separately(xor_classifier, xor_batch), xor_batch, 3e-5)


def test_next_tokens():
    from whybench import NextTokenModel
    from whybench.tasks.builtin import checkpoint

    model = NextTokenModel.from_pretrained(checkpoint("induction"), device="cpu")
    model.model.double()
    batch = model.encode_examples(whybench.load_task("induction").load().examples[:3])
    agree(whybench.gradient_maps(model, batch, STEPS), separately(model, batch), batch, 1e-6)


def test_every_point_goes_through_the_model_once():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    before = state_of(classifier.model)
    with counting(classifier.model) as counts:
        whybench.gradient_maps(classifier, batch, STEPS, internal_batch_size=5)
    assert counts.backward == len(TEXTS) * (STEPS + 1)
    # the labels to explain are one pass more
    assert counts.forward == counts.backward + len(TEXTS)
    assert state_of(classifier.model) == before


def test_no_pass_is_larger_than_allowed():
    classifier = fresh_classifier("bert")
    batch = classifier.encode(TEXTS).with_target(torch.tensor([0, 1, 2, 0]))
    sizes = []
    classifier.model.register_forward_hook(lambda _, __, output: sizes.append(len(output.logits)))
    whybench.gradient_maps(classifier, batch, STEPS, internal_batch_size=5)
    assert max(sizes) == 5


def test_what_is_refused():
    classifier = tiny_classifier("gpt2")
    batch = classifier.encode(TEXTS)
    with pytest.raises(ParameterError, match="n_steps is 0"):
        whybench.gradient_maps(classifier, batch, 0)
    with pytest.raises(ParameterError, match="internal_batch_size is 0"):
        whybench.gradient_maps(classifier, batch, internal_batch_size=0)
    with pytest.raises(OperatorError, match="no mask token"):
        whybench.gradient_maps(classifier, batch, baseline="mask")
    with pytest.raises(LabelError, match="give 4 labels"):
        whybench.gradient_maps(classifier, dataclasses.replace(batch, target=torch.tensor([0])))
