"""Controls: attention put in place of the model's, against plain loops over single rows."""

import numpy as np
import pytest
import torch

from whybench.bench.causal.chance import generator
from whybench.bench.causal.distances import jsd
from whybench.bench.classifier import Classifier
from whybench.bench.errors import MethodError, ParameterError
from whybench.bench.listing import entries
from whybench.bench.registry import load_method
from whybench.bench.tiny_models import HEADS, LAYERS, TEXTS, UNSUPPORTED, fresh_classifier, tiny_classifier
from whybench.tests.models import state_of

FAMILIES = ("bert", "gpt2", "modernbert", "llama")
CONTROLS = ("uniform_attention", "permuted_attention", "frozen_attention", "adversarial_attention")
# few steps, and a change that they can keep to
FAST = {"adversarial_attention": {"steps": 12, "epsilon": 0.1}}


def control(name, **parameters):
    return load_method(name, **FAST.get(name, {}) | parameters)


def attention_of(classifier, batch):
    with torch.no_grad():
        return classifier.attention(batch)


def allowed_rows(record, i, n):
    """Per layer ``[heads, n, n]``: the attention of one example without padding, and the keys of its rows."""
    for weights, allowed in zip(record.weights, record.allowed, strict=True):
        yield weights[i, :, :n, :n].double(), allowed[i].expand(HEADS, -1, -1)[:, :n, :n]


def test_these_are_the_controls():
    assert {entry.name for entry in entries("method") if entry.fact("family") == "control"} == set(CONTROLS)
    draws = {name: load_method(name).draws for name in CONTROLS}
    assert draws == {**dict.fromkeys(CONTROLS, 1), "permuted_attention": 100}
    assert "draws" not in load_method("permuted_attention").parameters()


# ---- what holds for every control -----------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", CONTROLS)
def test_conformance(name, family):
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS)
    method = control(name).fitted(classifier, [batch])
    before = state_of(classifier.model)
    made = method.matrices(classifier, batch)
    assert state_of(classifier.model) == before

    record = attention_of(classifier, batch)
    real = batch.attention_mask[:, None, :].double()
    changed = 0.0
    for layer, weights, allowed in zip(made, record.weights, record.allowed, strict=True):
        assert layer.weights.shape == weights.shape
        assert not layer.weights.requires_grad
        assert (layer.weights >= 0).all()
        assert (layer.weights.masked_fill(allowed, 0) == 0).all()
        torch.testing.assert_close(layer.weights.double().sum(dim=-1), real.expand(-1, HEADS, -1), rtol=0, atol=2e-6)
        assert layer.weights[batch.attention_mask[:, None].expand(-1, HEADS, -1) == 0].abs().sum() == 0
        changed = max(changed, float((layer.weights - weights)[0].abs().max()))
    assert changed > 0.05

    # the same again, and from attention that was read before, also with a graph
    graph = classifier.attention(batch)
    for again in (method.matrices(classifier, batch), method.draw(classifier, batch, 0, graph)):
        assert all(torch.equal(a.weights, b.weights) for a, b in zip(again, made, strict=True))
    # alone, without padding, and in another order; a search carries rounding on
    tolerance = 2e-2 if name == "adversarial_attention" else 1e-5
    for places in ([1], [3, 0]):
        part = batch.select(places)
        for a, b in zip(method.matrices(classifier, part), made, strict=True):
            n = part.input_ids.shape[1]
            torch.testing.assert_close(a.weights, b.weights[places][..., :n, :n], rtol=0, atol=tolerance)

    with torch.no_grad():
        logits = classifier.replace_attention(batch, [layer.weights for layer in made])
    assert torch.isfinite(logits).all()
    for aggregation in ("readout", "gradient"):
        scores = control(name, aggregation=aggregation).fitted(classifier, [batch]).attribute(classifier, batch)
        assert torch.isfinite(scores).all()
        assert (scores >= 0).all()


@pytest.mark.parametrize("name", CONTROLS)
def test_no_layer_on_its_own(name):
    classifier = tiny_classifier("bert")
    record = attention_of(classifier, classifier.encode(TEXTS))
    with pytest.raises(MethodError, match=rf"{name} makes the matrices of all layers at once; call matrices\(\)"):
        control(name).transform(record.weights[0], record.values[0], record.allowed[0])


@pytest.mark.parametrize("name", CONTROLS)
def test_architecture_without_readable_attention(name):
    classifier = tiny_classifier(UNSUPPORTED)
    batch = classifier.encode(TEXTS)
    with pytest.raises(Exception, match="AttentionInterface"):
        control(name).fitted(classifier, [batch]).matrices(classifier, batch)


@pytest.mark.parametrize("name", CONTROLS)
def test_in_double_precision(name):
    """What the causal suite runs in: rows are distributions to its rounding."""
    classifier = fresh_classifier("modernbert")
    classifier.model.double()
    batch = classifier.encode(TEXTS)
    # padding has no attention in ModernBERT's float64, but a text alone has none
    one = batch.select([3])
    made = control(name).fitted(classifier, [batch]).matrices(classifier, one)
    for layer in made:
        assert layer.weights.dtype == torch.float64
        # permuted weights are the model's, and ModernBERT's softmax is in float32 even then
        assert (layer.weights.sum(dim=-1) - 1).abs().max() < (1e-6 if name == "permuted_attention" else 1e-12)


# ---- uniform --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_uniform(family):
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS)
    made = control("uniform_attention").matrices(classifier, batch)
    record = attention_of(classifier, batch)
    for i, n in enumerate(batch.lengths().tolist()):
        for layer, (_, keys) in zip(made, allowed_rows(record, i, n), strict=True):
            for head in range(HEADS):
                for query in range(n):
                    expected = torch.zeros(n)
                    expected[keys[head, query]] = 1 / int(keys[head, query].sum())
                    torch.testing.assert_close(layer.weights[i, head, query, :n], expected)


# ---- permuted -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_permuted(family):
    """Row by row: the allowed keys' weights, in the order of the row's own random numbers."""
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS)
    made = control("permuted_attention", seed=5).draw(classifier, batch, 7)
    record = attention_of(classifier, batch)
    for i, n in enumerate(batch.lengths().tolist()):
        numbers = generator(5, batch.ids[i], "permuted_attention", 7).random((LAYERS, HEADS, n, n), dtype=np.float32)
        rows = allowed_rows(record, i, n)
        for layer, (weights, keys), number in zip(made, rows, torch.from_numpy(numbers), strict=True):
            for head in range(HEADS):
                for query in range(n):
                    own = keys[head, query].nonzero()[:, 0]
                    expected = torch.zeros(n, dtype=torch.float64)
                    expected[own] = weights[head, query, own][number[head, query, own].argsort()]
                    assert torch.equal(layer.weights[i, head, query, :n].double(), expected)


def test_permuted_draws():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS[:1])
    record = attention_of(classifier, batch)
    method = control("permuted_attention")

    def row(method, index, batch=batch):
        return method.draw(classifier, batch, index, record)[0].weights[0, 0, 0]

    assert torch.equal(row(method, 3), row(method, 3))
    others = row(method, 4), row(control("permuted_attention", seed=1), 3)
    others += (row(method, 3, classifier.encode(TEXTS[:1], ids=["another"])),)
    for other in others:
        assert not torch.equal(other, row(method, 3))
        assert torch.equal(other.sort().values, row(method, 3).sort().values)
    # each key is as likely as every other one: 24 keys, a few standard errors around their mean
    rows = torch.stack([row(method, index) for index in range(method.draws)])
    n = rows.shape[1]
    error = rows[0].std() / method.draws**0.5
    assert (rows.mean(dim=0) - 1 / n).abs().max() < 4 * error


# ---- frozen ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("family", FAMILIES)
def test_frozen(family):
    """The mean by loops over texts that are alone, restricted and divided by its sum."""
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS)
    lengths = batch.lengths().tolist()
    records = [attention_of(classifier, classifier.encode([text])) for text in TEXTS]
    # several batches, each padded as it needs
    fitted = control("frozen_attention").fitted(
        classifier, [batch.select([1, 2]), batch.select([0]), batch.select([3])]
    )
    made = fitted.matrices(classifier, batch)
    for i, n in enumerate(lengths):
        others = [record for record, length in zip(records, lengths, strict=True) if length >= n]
        assert len(others) == {0: 1, 1: 4}.get(i, len(others))
        for layer in range(LAYERS):
            for query in range(n):
                # of another number of texts for every pair of positions
                sums, counts = torch.zeros(HEADS, n, dtype=torch.float64), torch.zeros(n)
                for record, length in zip(records, lengths, strict=True):
                    if length > query:
                        width = min(length, n)
                        sums[:, :width] += record.weights[layer][0, :, query, :width]
                        counts[:width] += 1
                keys = records[i].allowed[layer][0, 0, query]
                mean = torch.where(keys, sums / counts, 0.0)
                expected = mean / mean.sum(dim=-1, keepdim=True)
                actual = made[layer].weights[i, :, query, :n].double()
                torch.testing.assert_close(actual, expected, rtol=0, atol=2e-6)
    # another text of the same length has the same attention, whatever it says
    same = classifier.encode([TEXTS[0]])
    words = same.input_ids[0].clone()
    same.input_ids[0, 2:-2] = words[2:-2].flip(0)
    for a, b in zip(fitted.matrices(classifier, same), made, strict=True):
        assert torch.equal(a.weights[0], b.weights[0])


def test_frozen_needs_its_texts():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    method = control("frozen_attention")
    with pytest.raises(MethodError, match=r"frozen_attention is fitted to no text; use fitted\(classifier, batches\)"):
        method.matrices(classifier, batch)
    with pytest.raises(MethodError, match="fitted to no text; use"):
        method.attribute(classifier, batch)
    with pytest.raises(MethodError, match="fitted to no text; give the batches"):
        method.fitted(classifier, [])
    short = method.fitted(classifier, [batch.select([1, 2])])
    longest = int(batch.lengths()[2])
    with pytest.raises(MethodError, match=rf"at most {longest} tokens; example {batch.ids[0]!r} has"):
        short.matrices(classifier, batch)
    assert short.matrices(classifier, batch.select([1]))[0].weights.shape[0] == 1
    with pytest.raises(MethodError, match="fitted to another classifier"):
        short.matrices(fresh_classifier("bert"), batch.select([1]))
    # the method that was asked is as it was, and its parameters are the same
    assert short.parameters() == method.parameters()
    with pytest.raises(MethodError, match="fitted to no text; use"):
        method.matrices(classifier, batch.select([1]))


def test_frozen_row_without_weight():
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS[:1])
    fitted = control("frozen_attention").fitted(classifier, [batch])
    fitted._means[1][2, 3] = 0
    with pytest.raises(MethodError, match=r"in layer 1 1 row\(s\) have a mean weight of 0"):
        fitted.matrices(classifier, batch)


# ---- adversarial ----------------------------------------------------------------------------------------------------


def probability(classifier, batch, matrices, target):
    with torch.no_grad():
        return classifier.replace_attention(batch, matrices).softmax(dim=-1).gather(1, target[:, None])[:, 0]


def mean_jsd(record, matrices, i, n):
    """Over the real rows of all layers and heads of one example."""
    rows = [
        jsd(a[i, :, :n, :n].double(), m[i, :, :n, :n].double()) for a, m in zip(record.weights, matrices, strict=True)
    ]
    return float(torch.stack(rows).mean())


@pytest.mark.parametrize("family", FAMILIES)
def test_adversarial_meets_its_constraint(family):
    classifier = tiny_classifier(family)
    targets = torch.tensor([0, 1, 2, 1])
    batch = classifier.encode(TEXTS).with_target(targets)
    made = load_method("adversarial_attention", epsilon=0.02, steps=25).matrices(classifier, batch)
    before = classifier.probabilities(batch).gather(1, targets[:, None])[:, 0]
    matrices = [layer.weights for layer in made]
    change = (probability(classifier, batch, matrices, targets) - before).abs()
    assert (change <= 0.02).all()
    record = attention_of(classifier, batch)
    assert made[0].report["jsd"][0, 0, 0] > 0.3
    for layer in made:
        assert layer.certified.all()
        for i, n in enumerate(batch.lengths().tolist()):
            assert layer.report["probability_change"][i].unique().tolist() == pytest.approx(
                [float(change[i])], abs=1e-6
            )
            reached = mean_jsd(record, matrices, i, n)
            assert layer.report["jsd"][i].unique().tolist() == pytest.approx([reached], abs=1e-5)


def feasible_mixing(classifier, batch, record, others, epsilon):
    """Largest mean JSD per example of (1 − t)·A + t·other, t on a grid, that meets the constraint."""
    target = classifier.probabilities(batch).argmax(dim=-1)
    before = classifier.probabilities(batch).gather(1, target[:, None])[:, 0]
    best = [0.0] * len(batch)
    for t in torch.linspace(0.05, 1, 20):
        mixed = [(1 - t) * a + t * m.weights for a, m in zip(record.weights, others, strict=True)]
        good = (probability(classifier, batch, mixed, target) - before).abs() <= epsilon
        for i, n in enumerate(batch.lengths().tolist()):
            best[i] = max(best[i], mean_jsd(record, mixed, i, n) if good[i] else 0.0)
    return np.array(best)


def check_against_mixing(classifier, batch, least):
    record = attention_of(classifier, batch)
    method = load_method("adversarial_attention")
    found = method.matrices(classifier, batch, record)[0].report["jsd"][:, 0, 0].numpy()
    permuted = load_method("permuted_attention")
    mixed = np.max(
        [
            feasible_mixing(classifier, batch, record, others, method.epsilon)
            for others in (
                load_method("uniform_attention").matrices(classifier, batch, record),
                *(permuted.draw(classifier, batch, index, record) for index in range(3)),
            )
        ],
        axis=0,
    )
    assert (found > mixed).all()
    assert found.min() > least


def test_adversarial_on_a_trained_model(xor_classifier, xor_batch):
    check_against_mixing(xor_classifier, xor_batch.select(range(4)), least=0.5)


def test_adversarial_on_a_real_checkpoint(shared):
    classifier = Classifier.from_pretrained(shared / "models" / "minilm-sst2", device="cpu")
    check_against_mixing(classifier, classifier.encode(["a sometimes tedious film"]), least=0.4)


def test_adversarial_seeds_and_steps(xor_classifier, xor_batch):
    few = xor_batch.select(range(2))

    def run(**parameters):
        made = load_method("adversarial_attention", **parameters).matrices(xor_classifier, few)
        return made[0].weights, float(made[0].report["jsd"].mean())

    weights, reached = run(steps=10)
    other, _ = run(steps=10, seed=1)
    assert (weights - other).abs().max() > 1e-2
    assert run(steps=30)[1] > reached


def test_adversarial_falls_back_on_the_model_itself():
    """A constraint that no other iterate meets leaves A, whose change is rounding; one below that is missed aloud."""
    classifier = tiny_classifier("bert")
    batch = classifier.encode(TEXTS)
    made = load_method("adversarial_attention", epsilon=1e-5, steps=1).matrices(classifier, batch)
    for layer, weights in zip(made, attention_of(classifier, batch).weights, strict=True):
        assert torch.equal(layer.weights, weights * (batch.attention_mask[:, None, :, None] > 0))
        assert layer.certified.all()
        assert (layer.report["jsd"] == 0).all()
    classifier = fresh_classifier("bert")
    classifier.model.to(torch.bfloat16)
    attribution = load_method("adversarial_attention", epsilon=1e-7, steps=1).explain(classifier, batch)
    assert attribution.failed
    for reason in attribution.failed.values():
        assert "miss their certificate (probability_change up to" in reason
        assert reason.endswith("Raise epsilon or the precision.")


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"epsilon": 0}, "epsilon is 0"),
        ({"epsilon": "1.5"}, "epsilon is 1.5"),
        ({"steps": 0}, "steps 0"),
        ({"learning_rate": -1}, "learning_rate -1"),
        ({"learning_rate": float("nan")}, "learning_rate nan"),
        ({"aggregation": "max"}, "aggregation is 'max'"),
    ],
)
def test_adversarial_parameters(parameters, message):
    with pytest.raises(ParameterError, match=message):
        load_method("adversarial_attention", **parameters)
