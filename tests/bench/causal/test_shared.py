"""What methods share, each part against a plain loop: erasure, drops, gradients; Kendall's τ-b by its definition."""

import itertools
import math

import numpy as np
import pytest
import torch

from whybench.bench.agreement import tau
from whybench.bench.causal.distances import jsd
from whybench.bench.causal.shared import Shared
from whybench.bench.classifier import Classifier
from whybench.bench.errors import ModelError
from whybench.bench.tiny_models import TEXTS, tiny_classifier
from whybench.tests.bench.causal.methods import shared_of


def plain_erasure(classifier, one, unit):
    """Probabilities with one unit cut out, row by row."""
    tokens = (one.units[0] == unit).tolist()

    def replace(layer, weights, values):
        made = weights.clone()
        for head, query in itertools.product(range(weights.shape[1]), range(weights.shape[2])):
            row = [0.0 if cut else float(w) for w, cut in zip(weights[0, head, query], tokens, strict=True)]
            if sum(row) > 0:
                made[0, head, query] = torch.tensor([w / sum(row) for w in row])
        return made

    with torch.no_grad():
        return classifier.replace_attention(one, replace)[0].double().softmax(dim=-1)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_erasure_against_a_plain_loop(family):
    shared = shared_of(family)
    classifier = tiny_classifier(family)
    for i in (0, 1):
        one = shared.one(i)
        units = list(range(int(one.unit_counts()[0])))[:4]
        own = classifier.probabilities(one)[0].double()
        for unit, (change, flip) in zip(units, shared.erased(i, units), strict=True):
            wanted = plain_erasure(classifier, one, unit)
            assert change == pytest.approx(float(jsd(own, wanted)), abs=1e-6)
            assert flip == float(int(wanted.argmax()) != shared.targets[i])
    assert shared.erased(0, [2, 0]) == [shared.erased(0, [2])[0], shared.erased(0, [0])[0]]


def test_drops_and_gradients_against_plain_loops():
    shared = shared_of("bert")
    classifier = tiny_classifier("bert")
    seen = []
    drops = shared.drops(range(4), lambda done, total: seen.append((done, total)))
    assert seen[-1] == (4, 4)
    for i in range(4):
        one, target = shared.one(i), shared.targets[i]
        whole = float(classifier.probabilities(one)[0, target])
        for unit, drop in enumerate(drops[i]):
            ids = torch.where(one.units == unit, classifier.tokenizer.mask_token_id, one.input_ids)
            with torch.no_grad():
                logits = classifier.logits_from_ids(ids, one.attention_mask, one.token_type_ids)
            assert drop == pytest.approx(whole - float(logits.softmax(dim=-1)[0, target]), abs=1e-5)
        _, gradient = classifier.embedding_gradient(one)
        for unit, score in enumerate(shared.gradient_scores(i)):
            own = [vector for vector, of in zip(gradient[0], one.units[0], strict=True) if of == unit]
            assert score == pytest.approx(sum(math.dist(v.tolist(), [0] * len(v)) for v in own), rel=1e-4)
    # known by now: nothing goes through the model again
    before = shared.engine.counts.asked
    shared.drops([2, 1], lambda *_: None)
    assert shared.engine.counts.asked == before


def plain_tau(x, y):
    """τ-b by counting pairs."""
    both = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i, j in itertools.combinations(range(len(x)), 2)]
    agree = sum(a * b for a, b in both)
    return agree / math.sqrt(sum(a != 0 for a, _ in both) * sum(b != 0 for _, b in both))


def test_tau():
    random = np.random.default_rng(0)
    for n in (2, 3, 12, 40):
        x, y = random.integers(0, 5, n).astype(float), random.standard_normal(n)
        x[0], x[1] = 0, 1
        assert tau(x, y) == pytest.approx(plain_tau(x, y))
    assert tau(y, y) == 1
    assert tau(y, -y) == -1
    assert tau(np.zeros(3), np.arange(3.0)) == tau(np.arange(3.0), np.ones(3)) == tau(np.ones(1), np.ones(1)) == 0


def test_specimens_are_short_and_have_a_null_space(monkeypatch):
    from whybench.bench.causal import shared as module

    shared = shared_of("bert", ["bad", "a film", "the cast", TEXTS[0], TEXTS[3]])
    lengths = shared.batch.lengths().tolist()
    wide = [i for i in range(5) if bool(shared.identified(i).dimension.any())]
    # too few with a null space: the first others are added
    assert wide and len(wide) < 3
    assert sorted(shared.specimens) == sorted([*wide, *[i for i in range(5) if i not in wide][: 3 - len(wide)]])
    layer, head = shared.specimens[wide[0]]
    share = shared.identified(wide[0]).share.mean(dim=-1)
    assert float(share[layer, head]) == float(share.max()) > 0
    monkeypatch.setattr(module, "SPECIMEN_TOKENS", max(lengths) - 1)
    fewer = shared_of("bert", ["bad", "a film", "the cast", TEXTS[0], TEXTS[3]])
    assert lengths.index(max(lengths)) not in fewer.specimens


def test_the_exact_copy_leaves_the_model_alone():
    shared = shared_of("bert")
    assert shared.exact.dtype == torch.float64
    assert shared.exact is shared.exact
    assert shared.classifier.dtype == torch.float32
    torch.testing.assert_close(
        shared.own_logits(0).float(), shared.classifier.logits(shared.one(0))[0].detach(), rtol=1e-3, atol=1e-4
    )


def test_a_device_without_float64(monkeypatch):
    shared = shared_of("bert")
    monkeypatch.setattr(Classifier, "device", torch.device("mps"))
    with pytest.raises(ModelError, match="needs float64"):
        Shared(shared.engine, shared.batch, "mask", 0)
