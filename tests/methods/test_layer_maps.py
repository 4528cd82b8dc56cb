"""Methods that map every layer, against loops over pairs of tokens and against the model's own layers."""

import dataclasses
import functools
import itertools

import pytest
import torch

from whybench import Classifier, NextTokenModel, load_method
from whybench.bench.cost import counting
from whybench.bench.errors import ParameterError, UnsupportedArchitectureError
from whybench.bench.tiny_models import FAMILIES, READOUT, TEXTS, fresh_classifier, tiny_classifier
from whybench.methods import _blocks
from whybench.methods._block_reading import ALL, POST_NORM, blocks
from whybench.tests.methods import plain_layers as plain
from whybench.tests.models import state_of

TEXT = TEXTS[2]
MAPPED = ("norm_attention", "norm_residual_attention", "globenc", "alti", "value_zeroing")
PAIRS_SERVED = [(name, family) for name in MAPPED for family in FAMILIES if family in load_method(name).serves]


@functools.cache
def double(family):
    """A classifier in float64, where the order of additions leaves no trace."""
    classifier = fresh_classifier(family)
    classifier.model.double()
    return classifier


# ---- the layers themselves ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_blocks_are_the_models_own_layers(family):
    classifier = double(family)
    before = state_of(classifier.model)
    found = blocks(classifier, classifier.encode([TEXT]))
    assert state_of(classifier.model) == before
    # these models turn their rotary angles, and their softmax, in float32
    tolerance = 1e-4 if family in ("modernbert", "llama", "qwen3") else 1e-12
    own = plain.plain_layers(classifier, TEXT)
    assert len(found) == len(own)
    for block, layer in zip(found, own, strict=True):
        torch.testing.assert_close(block.inputs[0], layer.inputs, rtol=0, atol=tolerance)
        torch.testing.assert_close(block.weights[0], layer.attention, rtol=0, atol=tolerance)
        torch.testing.assert_close(block.values[0], layer.values, rtol=0, atol=tolerance)
        made = block.finish(block.attended())[0]
        torch.testing.assert_close(made, layer.outputs, rtol=0, atol=tolerance)
    # from its own input, each one's output is the next one's input
    for block, following in itertools.pairwise(found):
        made = block.finish(block.attended())
        torch.testing.assert_close(made, following.inputs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", plain.LIKE)
def test_architectures_that_are_built_alike(kind):
    classifier = plain.related_classifier(kind)
    found = blocks(classifier, classifier.encode([TEXT]))
    assert len(found) == 3
    for block, following in itertools.pairwise(found):
        made = block.finish(block.attended())
        torch.testing.assert_close(made, following.inputs, rtol=0, atol=1e-12)
        assert (made - block.inputs).abs().max() > 0.1
    assert set(ALL) == {*FAMILIES, *plain.LIKE}


@pytest.mark.parametrize("family", FAMILIES)
def test_contributions_add_up_to_the_attention_block(family):
    classifier = double(family)
    for block in blocks(classifier, classifier.encode([TEXT])):
        vectors = torch.einsum("bhqk,bkhd->bqkd", block.weights, block.projections())
        total = block.inputs + vectors.sum(dim=2) + block.output.bias
        torch.testing.assert_close(total, block.attended(), rtol=0, atol=1e-12)
        if family in POST_NORM:
            scale, bias = block.norm.scale(total), block.norm.bias
            parts = [block.norm.centred(part) * scale for part in (block.inputs, vectors.sum(dim=2), block.output.bias)]
            torch.testing.assert_close(sum(parts) + bias, block.norm(total), rtol=0, atol=1e-12)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_blocks_are_0_on_padding(family):
    classifier = double(family)
    batch = classifier.encode(TEXTS)
    padding = batch.attention_mask == 0
    assert padding.any()
    for block in blocks(classifier, batch):
        assert (block.inputs[padding] == 0).all()
        assert (block.weights.movedim(1, 3)[padding] == 0).all()
        assert (block.weights.movedim(1, 2).movedim(3, 1)[padding] == 0).all()
        assert (block.values.movedim(1, 2)[padding] == 0).all()


def test_blocks_of_a_low_precision_are_float32():
    classifier = fresh_classifier("gpt2")
    classifier.model.bfloat16()
    block = blocks(classifier, classifier.encode([TEXT]))[0]
    assert {t.dtype for t in (block.inputs, block.weights, block.values, block.attended())} == {torch.float32}
    assert block.finish(block.attended()).dtype == torch.float32
    assert {parameter.dtype for parameter in classifier.model.parameters()} == {torch.bfloat16}


def test_layers_of_another_kind_than_their_type_are_refused():
    classifier = fresh_classifier("bert")
    classifier.model.config.model_type = "distilbert"
    with pytest.raises(UnsupportedArchitectureError, match=r"'distilbert', but 0 of its 3 layers have the parts"):
        blocks(classifier, classifier.encode([TEXT]))


def test_projections_of_another_kind_are_refused():
    classifier = fresh_classifier("bert")
    output = classifier.model.bert.encoder.layer[1].attention.output
    output.dense = torch.nn.Sequential(output.dense)
    with pytest.raises(UnsupportedArchitectureError, match="a projection is a Sequential"):
        blocks(classifier, classifier.encode([TEXT]))


def test_real_checkpoints(shared):
    texts = ["A gripping, beautifully acted film.", "dull"]
    classifier = Classifier.from_pretrained(shared / "models" / "minilm-sst2", device="cpu")
    model = NextTokenModel.from_pretrained(shared / "models" / "stories260K", device="cpu")
    for subject, batch in (
        (classifier, classifier.encode(texts)),
        (model, model.encode(["Once upon a time, there was a little"], contrasts=[(" b", " the")])),
    ):
        subject.model.double()
        found = blocks(subject, batch)
        assert len(found) == subject.model.config.num_hidden_layers
        real = batch.attention_mask.bool()
        for block, following in itertools.pairwise(found):
            made = block.finish(block.attended())[real]
            torch.testing.assert_close(made, following.inputs[real], rtol=0, atol=1e-10)
        for name in MAPPED:
            method = load_method(name)
            if subject.model.config.model_type in method.serves:
                scores = method.attribute(subject, batch)
                assert scores[real].min() >= 0
                torch.testing.assert_close(scores.sum(dim=1), torch.ones(len(batch), dtype=torch.float64))


# ---- the maps -------------------------------------------------------------------------------------------------------


def unit(vector):
    return vector / vector.norm()


def normalised(layer, name, vector, total):
    """The linear part of a layer normalisation, with the deviation of the total."""
    norm = layer.part(name)
    deviation = (((total - total.mean()) ** 2).mean() + norm.eps) ** 0.5
    return norm.weight * (vector - vector.mean()) / deviation


def plain_map(name, classifier, text, index):
    """One layer's map ``[queries, keys]``, pair by pair."""
    layer = plain.plain_layers(classifier, text)[index]
    n = len(layer.inputs)
    made = torch.zeros(n, n, dtype=torch.float64)
    for j in range(n):
        if name == "value_zeroing":
            # the model runs, and the layer's value projection is interfered with
            without = plain.plain_layers(classifier, text, without=(index, j))[index].outputs
            for i in range(n):
                made[i, j] = 1 - unit(layer.outputs[i]) @ unit(without[i])
            continue
        for i in range(n):
            carried = layer.carried(i, j)
            if name == "norm_attention":
                made[i, j] = carried.norm()
                continue
            own = carried + (i == j) * layer.inputs[i]
            total = sum(layer.carried(i, k) for k in range(n)) + layer.part("output").bias + layer.inputs[i]
            contribution = normalised(layer, "norm", own, total)
            if name == "globenc":
                behind = layer.part("norm")(total)
                fed = layer.part("second")(layer.part("activation")(layer.part("first")(behind))) + behind
                contribution = normalised(layer, "last", contribution, fed)
            if name == "alti":
                y = layer.part("norm")(total)
                made[i, j] = max(0.0, float(y.abs().sum() - (y - contribution).abs().sum()))
            else:
                made[i, j] = contribution.norm()
    return made


@pytest.mark.parametrize(("name", "family"), PAIRS_SERVED)
def test_maps_and_what_is_made_of_them(name, family):
    classifier, text = double(family), TEXTS[1] if name == "value_zeroing" else "the cast was great"
    batch = classifier.encode([text])
    n = int(batch.lengths()[0])
    method = load_method(name)
    own = list(method.maps(classifier, batch))
    assert [layer.shape for layer in own] == [(1, n, n)] * 3
    with torch.no_grad():
        expected = [plain_map(name, classifier, text, index) for index in range(len(own))]
    # these models turn their rotary angles, and their softmax, in float32
    tolerance = 1e-4 if family in ("modernbert", "llama", "qwen3") else 1e-9
    for layer, wanted in zip(own, expected, strict=True):
        torch.testing.assert_close(layer[0], wanted, rtol=tolerance, atol=tolerance * float(wanted.max()))
    readout = torch.zeros(n, dtype=torch.float64)
    readout[{"first": 0, "last": -1, "mean": slice(None)}[READOUT[family]]] = 1
    readout /= readout.sum()
    rule = {"residual": name != "norm_attention", "stochastic": name in ("norm_attention", "alti", "value_zeroing")}
    for aggregation in ("rollout", "readout", "mean"):
        scores = load_method(name, aggregation=aggregation).attribute(classifier, batch)[0]
        wanted = plain.plain_aggregate(expected, readout, aggregation, **rule)
        torch.testing.assert_close(scores, wanted, rtol=0, atol=10 * tolerance)
        assert float(scores.sum()) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("name", MAPPED)
def test_defaults(name):
    method = load_method(name)
    assert method.aggregation == ("readout" if name == "norm_attention" else "rollout")
    assert (method.family, method.signed, method.negative, method.label_specific) == ("attention", False, False, False)
    assert set(method.serves) == set(ALL if name in ("norm_attention", "value_zeroing") else POST_NORM)
    with pytest.raises(ParameterError, match="aggregation is 'sum'; it must be 'rollout', 'readout' or 'mean'"):
        type(method)(aggregation="sum")


@pytest.mark.parametrize(("name", "family"), PAIRS_SERVED)
def test_batches_and_padding_change_nothing(name, family):
    classifier, method = tiny_classifier(family), load_method(name)
    batch = classifier.encode(TEXTS)
    before = state_of(classifier.model)
    # found once per classifier, by a pass of its own
    assert classifier.readout == READOUT[family]
    with counting(classifier.model) as counts:
        scores = method.attribute(classifier, batch)
    assert (counts.forward, counts.backward) == (len(TEXTS), 0)
    assert state_of(classifier.model) == before
    assert (scores[batch.attention_mask == 0] == 0).all()
    for index in range(len(TEXTS)):
        alone = method.attribute(classifier, batch.select([index]))[0]
        torch.testing.assert_close(scores[index, : len(alone)], alone, rtol=0, atol=1e-4 * float(alone.max()))
    short = batch.select([1])
    alone = method.attribute(classifier, short)[0]
    padded = method.attribute(classifier, short.padded(9, classifier.pad_id))[0]
    torch.testing.assert_close(padded[: len(alone)], alone, rtol=0, atol=1e-4 * float(alone.max()))
    assert (padded[len(alone) :] == 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", MAPPED)
def test_low_precision(name, dtype):
    classifier, method = fresh_classifier("bert"), load_method(name)
    batch = classifier.encode(TEXTS)
    expected = method.attribute(classifier, batch)
    classifier.model.to(dtype)
    scores = method.attribute(classifier, batch)
    assert scores.isfinite().all()
    assert torch.corrcoef(torch.stack([scores[0], expected[0]]))[0, 1] > 0.9


@pytest.mark.parametrize("name", ["alti", "value_zeroing"])
def test_work_in_pieces_is_the_work(name, monkeypatch):
    """Whatever the memory allows: one key of one example at a time, several, or all."""
    classifier, method = double("bert"), load_method(name)
    batch = classifier.encode(TEXTS)
    whole = method.attribute(classifier, batch)
    tokens = batch.input_ids.shape[1]
    for budget in (1, 5 * tokens * 48, 3 * tokens**2 * 48):
        monkeypatch.setattr(_blocks, "BUDGET", budget)
        assert len(list(_blocks.chunks(len(batch), tokens, 48))) > 1
        torch.testing.assert_close(method.attribute(classifier, batch), whole, rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["norm_residual_attention", "globenc", "alti"])
def test_pre_norm_models_are_refused(name):
    classifier = tiny_classifier("gpt2")
    with pytest.raises(UnsupportedArchitectureError, match=rf"{name} needs the weights .*'gpt2'"):
        load_method(name).attribute(classifier, classifier.encode(TEXTS))


def test_an_attention_that_reads_nothing_but_itself():
    """Where no token's value vector matters, a row of zeros is the token's own."""
    classifier = fresh_classifier("bert")
    classifier.model.double()
    batch = classifier.encode([TEXT])
    with torch.no_grad():
        for layer in classifier.model.bert.encoder.layer:
            layer.attention.output.dense.weight.zero_()
    for name in ("norm_attention", "value_zeroing"):
        scores = load_method(name).attribute(classifier, batch)[0]
        assert scores.tolist() == [1.0, *([0.0] * (len(scores) - 1))]


def test_next_token_models():
    classifier = tiny_classifier("llama")
    batch = dataclasses.replace(classifier.encode([TEXT]), target=torch.tensor([1]))
    own = load_method("value_zeroing").attribute(classifier, batch)
    assert torch.equal(own, load_method("value_zeroing").attribute(classifier, classifier.encode([TEXT])))
