"""DecompX, against the paper's formulas written out token by token, and against the logit that its scores add up to."""

import pytest
import torch

from whybench import Classifier, load_method
from whybench.bench.cost import counting
from whybench.bench.errors import UnsupportedArchitectureError
from whybench.bench.tiny_models import PAIRS, TEXTS, fresh_classifier, tiny_classifier
from whybench.methods import _token_vectors, decompx
from whybench.tests.methods import plain_layers as plain
from whybench.tests.models import state_of

TEXT = "the cast was great"


def double(family):
    classifier = fresh_classifier(family)
    classifier.model.double()
    return classifier


# ---- written out ----------------------------------------------------------------------------------------------------


def with_bias(vectors, bias):
    """A list of vectors, each with its share of the bias."""
    products = [abs(float(vector @ bias)) for vector in vectors]
    return [v + p / sum(products) * bias for v, p in zip(vectors, products, strict=True)]


def project(vectors, linear):
    return with_bias([linear.weight @ vector for vector in vectors], linear.bias)


def normalise(vectors, norm):
    total = sum(vectors)
    deviation = (((total - total.mean()) ** 2).mean() + norm.eps) ** 0.5
    return with_bias([norm.weight * (v - v.mean()) / deviation for v in vectors], norm.bias)


def activate(vectors, function):
    total = sum(vectors)
    return [vector * function(total) / total for vector in vectors]


def plain_layer(layer, vectors, *, first):
    """``vectors[i][k]``: what token k gives to token i's state."""
    n, (heads, _, size) = len(vectors), layer.values.shape
    value, output = layer.part("value"), layer.part("output")
    made = []
    for i in range(n):
        mixed = []
        for k in range(n):
            carried = torch.zeros_like(vectors[0][0])
            for j in range(n):
                own = value.weight @ vectors[j][k] + (value.bias if first and j == k else 0)
                for h in range(heads):
                    part = slice(h * size, (h + 1) * size)
                    carried = carried + layer.attention[h, i, j] * (output.weight[:, part] @ own[part])
            mixed.append(carried + vectors[i][k])
        bias = output.bias + (0 if first else output.weight @ value.bias)
        behind = normalise(with_bias(mixed, bias), layer.part("norm"))
        hidden = activate(project(behind, layer.part("first")), layer.part("activation"))
        fed = project(hidden, layer.part("second"))
        made.append(normalise([a + b for a, b in zip(behind, fed, strict=True)], layer.part("last")))
    return made


def plain_head(model, vectors):
    body, family = model.base_model, model.config.model_type
    if family in ("bert", "albert"):
        dense = body.pooler.dense if family == "bert" else body.pooler
        return project(activate(project(vectors, dense), torch.tanh), model.classifier)
    if family == "distilbert":
        return project(activate(project(vectors, model.pre_classifier), torch.relu), model.classifier)
    function = torch.tanh if family == "roberta" else torch.nn.functional.gelu
    return project(activate(project(vectors, model.classifier.dense), function), model.classifier.out_proj)


@pytest.mark.parametrize("family", plain.POST_NORM)
def test_written_out(family):
    classifier = double(family)
    batch = classifier.encode([TEXT])
    layers = plain.plain_layers(classifier, TEXT)
    n = len(layers[0].inputs)
    nothing = torch.zeros_like(layers[0].inputs[0])
    with torch.no_grad():
        vectors = [[layers[0].inputs[i] if i == k else nothing for k in range(n)] for i in range(n)]
        for index, layer in enumerate(layers):
            vectors = plain_layer(layer, vectors, first=index == 0)
            for i in range(n):
                torch.testing.assert_close(sum(vectors[i]), layer.outputs[i], rtol=0, atol=1e-10)
        worth = torch.stack(plain_head(classifier.model, vectors[0]))
    torch.testing.assert_close(worth.sum(dim=0), classifier.logits(batch)[0].detach(), rtol=0, atol=1e-10)
    for label in range(3):
        scores = load_method("decompx").attribute(classifier, batch.with_target(torch.tensor([label])))[0]
        torch.testing.assert_close(scores, worth[:, label], rtol=0, atol=1e-9 * float(worth.abs().max()))


# ---- what it promises -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", plain.POST_NORM)
def test_scores_add_up_to_the_logit(family):
    classifier, method = double(family), load_method("decompx")
    batch = classifier.encode(TEXTS).with_target(torch.tensor([0, 1, 2, 1]))
    before = state_of(classifier.model)
    with counting(classifier.model) as counts:
        made = method.explain(classifier, batch)
    assert (counts.forward, counts.backward) == (2 * len(TEXTS), 0)
    assert state_of(classifier.model) == before
    with torch.no_grad():
        logits = classifier.logits(batch).gather(1, batch.target[:, None])[:, 0]
    torch.testing.assert_close(made.scores.sum(dim=1), logits, rtol=1e-10, atol=1e-10)
    assert made.report["completeness_delta"].max() < 1e-10
    assert made.report["completeness_delta_relative"].max() < 1e-9
    assert (made.scores < 0).any() and (made.scores > 0).any()
    assert (made.scores[batch.attention_mask == 0] == 0).all()


@pytest.mark.parametrize("kind", [kind for kind in plain.LIKE if kind in load_method("decompx").serves])
def test_architectures_that_are_built_alike(kind):
    classifier = plain.related_classifier(kind)
    made = load_method("decompx").explain(classifier, classifier.encode(TEXTS))
    assert made.report["completeness_delta_relative"].max() < 1e-9


def test_what_is_missing_is_reported(monkeypatch):
    """A head that is not what is decomposed: the scores add up to another number, and say by how much."""
    classifier = double("bert")
    batch = classifier.encode(TEXTS)
    right = load_method("decompx").explain(classifier, batch)
    dense, _, out = decompx._HEADS["bert"]
    monkeypatch.setitem(decompx._HEADS, "bert", (dense, torch.relu, out))
    wrong = load_method("decompx").explain(classifier, batch)
    moved = (wrong.scores.sum(dim=1) - right.scores.sum(dim=1)).abs()
    assert moved.max() > 0.1
    torch.testing.assert_close(wrong.report["completeness_delta"], moved, rtol=0, atol=1e-10)
    relative = moved / right.scores.sum(dim=1).abs()
    torch.testing.assert_close(wrong.report["completeness_delta_relative"], relative, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize("family", plain.POST_NORM)
def test_batches_padding_and_pieces_change_nothing(family, monkeypatch):
    classifier, method = tiny_classifier(family), load_method("decompx")
    batch = classifier.encode(TEXTS)
    scores = method.attribute(classifier, batch)
    for index in range(len(TEXTS)):
        alone = method.attribute(classifier, batch.select([index]))[0]
        torch.testing.assert_close(
            scores[index, : len(alone)], alone, rtol=0, atol=1e-4 * float(alone.abs().max()) + 1e-6
        )
    # one example, and then one query, at a time
    for module, budget in ((decompx, 1), (_token_vectors, 1), (_token_vectors, 7 * 4 * 48 * batch.input_ids.shape[1])):
        monkeypatch.setattr(module, "BUDGET", budget)
        torch.testing.assert_close(method.attribute(classifier, batch), scores, rtol=1e-3, atol=1e-4)


def test_pairs_and_low_precision():
    classifier, method = fresh_classifier("bert"), load_method("decompx")
    expected = method.attribute(classifier, classifier.encode(PAIRS))
    classifier.model.bfloat16()
    made = method.explain(classifier, classifier.encode(PAIRS))
    assert made.scores.dtype == torch.float32
    assert torch.corrcoef(torch.stack([made.scores[0], expected[0]]))[0, 1] > 0.9


def test_other_architectures_are_refused():
    method = load_method("decompx")
    assert (method.signed, method.default, method.label_specific) == (True, False, True)
    for family in ("gpt2", "modernbert"):
        classifier = tiny_classifier(family)
        with pytest.raises(UnsupportedArchitectureError, match=r"decompx needs the weights"):
            method.attribute(classifier, classifier.encode(TEXTS))


def test_a_bias_that_no_vector_knows_is_shared_equally():
    vectors = torch.tensor([[[[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]]])
    equal = _token_vectors.shared(vectors, torch.tensor([0.0, 3.0])) - vectors
    assert equal.tolist() == [[[[0.0, 1.0]] * 3]]
    known = _token_vectors.shared(vectors, torch.tensor([3.0, 0.0])) - vectors
    assert known.tolist() == [[[[1.0, 0.0], [2.0, 0.0], [0.0, 0.0]]]]


def test_slope_at_the_origin():
    """Where f(x) / x has no value, its limit is taken: the vectors cancel out, and so do what becomes of them."""
    vectors = torch.tensor([[[[1.0, 2.0], [-1.0, 1.0]]]])
    made = _token_vectors.through_activation(torch.nn.functional.gelu, vectors, vectors.sum(dim=2))
    assert made[0, 0, :, 0].tolist() == [0.5, -0.5]
    torch.testing.assert_close(made.sum(dim=2)[0, 0, 1], torch.nn.functional.gelu(torch.tensor(3.0)))


def test_real_checkpoint(shared):
    classifier = Classifier.from_pretrained(shared / "models" / "minilm-sst2", device="cpu")
    batch = classifier.encode(["A gripping, beautifully acted film.", "dull and far too long"])
    made = load_method("decompx").explain(classifier, batch)
    assert made.report["completeness_delta_relative"].max() < 1e-3
    # the word that speaks loudest for the label is one of the two that a reader would name
    words = [batch.tokens[0][index] for index in made.scores[0].topk(3).indices.tolist()]
    assert {"beautifully", "gripping"} & set(words), words
