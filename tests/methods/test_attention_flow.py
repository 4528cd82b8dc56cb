"""Attention flow, against NetworkX, a linear program and cuts that can be counted by hand."""

import networkx
import numpy as np
import pytest
import torch
from scipy.optimize import linprog

from whybench import load_method
from whybench.bench.cost import counting
from whybench.bench.tiny_models import FAMILIES, READOUT, TEXTS, fresh_classifier, tiny_classifier
from whybench.methods.attention_flow import UNIT, _flows
from whybench.tests.methods.test_attention_methods import plain_attention, plain_readout
from whybench.tests.models import state_of


def by_networkx(layers, readout):
    """The flow to each token, over a network of named nodes."""
    graph, n = networkx.DiGraph(), len(readout)
    for i in range(n):
        graph.add_edge("source", (len(layers), i), capacity=float(readout[i]))
    for level, layer in enumerate(layers):
        for i in range(n):
            for j in range(n):
                graph.add_edge((level + 1, i), (level, j), capacity=0.5 * float(layer[i][j]) + 0.5 * (i == j))
    return np.array([networkx.maximum_flow_value(graph, "source", (0, j)) for j in range(n)])


def by_linear_program(layers, readout):
    """The flow to each token: a variable per edge, an equation per inner node."""
    n, flows = len(readout), []
    edges = [(("source",), (len(layers), i), readout[i]) for i in range(n)]
    for level, layer in enumerate(layers):
        edges += [((level + 1, i), (level, j), 0.5 * layer[i][j] + 0.5 * (i == j)) for i in range(n) for j in range(n)]
    for sink in range(n):
        inner = [(level, i) for level in range(len(layers) + 1) for i in range(n) if (level, i) != (0, sink)]
        balance = np.array([[(end == node) - float(start == node) for start, end, _ in edges] for node in inner])
        into = [-float(end == (0, sink)) for _, end, _ in edges]
        bounds = [(0, capacity) for *_, capacity in edges]
        flows.append(-linprog(into, A_eq=balance, b_eq=np.zeros(len(inner)), bounds=bounds).fun)
    return np.array(flows)


def random_layers(seed, count, tokens):
    generator = np.random.default_rng(seed)
    return [generator.dirichlet(np.full(tokens, 0.3), size=tokens) for _ in range(count)]


@pytest.mark.parametrize("seed", range(4))
def test_flows_are_those_of_a_linear_program(seed):
    layers = random_layers(seed, 3, 5)
    readout = np.eye(5)[seed] if seed < 3 else np.full(5, 0.2)
    expected = by_linear_program(layers, readout)
    np.testing.assert_allclose(_flows(layers, readout), expected, rtol=0, atol=1e-8)
    np.testing.assert_allclose(by_networkx(layers, readout), expected, rtol=0, atol=1e-8)
    assert expected.std() > 0.01


def test_narrowest_cut():
    # token 0 reads 1 alone, and 1 reads 2 alone: half of what is at a token goes on to the next one, half stays
    chain = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    source = np.array([1.0, 0.0, 0.0])
    assert _flows([chain], source).tolist() == [0.5, 0.5, 0.0]
    # by two layers: there are two ways to token 1, both through edges of ½, and one to token 2
    assert _flows([chain, chain], source).tolist() == [0.5, 1.0, 0.5]


def test_precision():
    """Rounding a capacity moves a flow by no more than half a unit per edge of its narrowest cut."""
    layers = random_layers(7, 2, 12)
    readout = np.eye(12)[0]
    difference = np.abs(_flows(layers, readout) - by_networkx(layers, readout)).max()
    assert difference <= UNIT / 2 * 12**2
    assert pytest.approx(2.0**-30) == UNIT


@pytest.mark.parametrize("family", FAMILIES)
def test_every_architecture(family):
    classifier, method = tiny_classifier(family), load_method("attention_flow")
    texts = ("the cast was great", TEXTS[1])
    batch = classifier.encode(texts)
    before = state_of(classifier.model)
    assert classifier.readout == READOUT[family]
    with counting(classifier.model) as counts:
        scores = method.attribute(classifier, batch)
    assert (counts.forward, counts.backward) == (2, 0)
    assert state_of(classifier.model) == before
    for index, text in enumerate(texts):
        layers = [layer.mean(dim=0).numpy() for layer in plain_attention(classifier, text)]
        n = len(layers[0])
        expected = by_networkx(layers, plain_readout(family, n).numpy())
        np.testing.assert_allclose(scores[index, :n], expected, rtol=0, atol=1e-5)
        assert (scores[index, n:] == 0).all()


def test_long_texts_and_low_precision():
    classifier, method = fresh_classifier("bert"), load_method("attention_flow")
    batch = classifier.encode(TEXTS)
    scores = method.attribute(classifier, batch)
    for index in range(len(TEXTS)):
        alone = method.attribute(classifier, batch.select([index]))[0]
        torch.testing.assert_close(scores[index, : len(alone)], alone, rtol=0, atol=1e-5)
    classifier.model.bfloat16()
    lower = method.attribute(classifier, batch)
    assert ((lower >= 0) & (lower <= 1 + 1e-6)).all()
    assert torch.corrcoef(torch.stack([scores[0], lower[0]]))[0, 1] > 0.9


def test_what_it_says_of_itself():
    method = load_method("attention_flow")
    assert (method.family, method.signed, method.default, method.label_specific) == ("attention", False, False, False)
    assert not method.serves
