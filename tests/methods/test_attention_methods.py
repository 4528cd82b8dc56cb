"""Methods that explain with attention matrices, against plain formulas on transformers' eager attention."""

import copy

import pytest
import torch

from whybench.bench.errors import (
    MethodError,
)
from whybench.bench.matrices import Matrices, MatrixMethod
from whybench.bench.registry import load_method
from whybench.tests.methods.test_methods import close, one
from whybench.tests.models import (
    FAMILIES,
    HEADS,
    LAYERS,
    READOUT,
    TEXTS,
    fresh_classifier,
    tiny_classifier,
)


def plain_attention(classifier, text):
    """Per layer ``[heads, tokens, tokens]``, from transformers' eager attention."""
    model = copy.deepcopy(classifier.model)
    model.set_attn_implementation("eager")
    ids, inputs = one(classifier, text)
    with torch.no_grad():
        return [layer[0].double() for layer in model(input_ids=ids, **inputs, output_attentions=True).attentions]


def plain_readout(family, n):
    at = torch.zeros(n, dtype=torch.float64)
    if READOUT[family] == "mean":
        return at + 1 / n
    at[0 if READOUT[family] == "first" else -1] = 1
    return at


@pytest.mark.parametrize("family", FAMILIES)
def test_raw_attention(family):
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS)
    scores = {
        aggregation: load_method("raw_attention", aggregation=aggregation).attribute(classifier, batch)
        for aggregation in ("readout", "mean", "rollout")
    }
    assert torch.equal(scores["readout"], load_method("raw_attention").attribute(classifier, batch))
    for i, text in enumerate(TEXTS):
        layers = [layer.mean(dim=0) for layer in plain_attention(classifier, text)]
        assert len(layers) == LAYERS
        n = len(layers[0])
        readout = plain_readout(family, n)
        rolled = torch.eye(n, dtype=torch.float64)
        for layer in layers:
            rolled = (0.5 * layer + 0.5 * torch.eye(n, dtype=torch.float64)) @ rolled
        close(scores["readout"][i, :n], readout @ layers[-1])
        close(scores["mean"][i, :n], torch.stack(layers).mean(dim=(0, 1)))
        close(scores["rollout"][i, :n], readout @ rolled)
        for kind in scores.values():
            assert float(kind[i].sum()) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_efficient_attention_is_aggregated_alike(family):
    """The one row that is read gives what the whole matrices give."""
    classifier = tiny_classifier(family)
    batch = classifier.encode(TEXTS)
    method = load_method("efficient_attention")
    attribution = method.explain(classifier, batch)
    matrices = method.matrices(classifier, batch)[-1].weights
    for i, n in enumerate(batch.lengths().tolist()):
        expected = plain_readout(family, n) @ matrices[i].mean(dim=0)[:n, :n]
        close(attribution.scores[i, :n], expected, 1e-6)
    assert not attribution.failed
    assert attribution.report["residual"].shape == (len(TEXTS),)
    assert attribution.report["residual"].max() < 1e-6
    assert attribution.report["null_dimension"].max() > 0
    raw = load_method("raw_attention").attribute(classifier, batch)
    assert (raw[0] - attribution.scores[0]).abs().max() > 1e-3


class PartlyCertified(MatrixMethod):
    """The model's attention, certified in some rows only; the figure is the row's number."""

    name, family, signed = "partly_certified", "attention", False
    certified: tuple[int, ...] = ()

    def transform(self, weights, values, allowed):
        queries = torch.arange(weights.shape[2]).expand(weights.shape[:3])
        return Matrices(weights, {"number": queries.double()}, torch.isin(queries, torch.tensor(self.certified)))


@pytest.mark.parametrize("aggregation", ["readout", "mean", "rollout"])
def test_rows_that_are_read_need_a_certificate(aggregation):
    # its head reads all real tokens, so that every aggregation reads all of their rows, and none of the padding
    classifier = tiny_classifier("modernbert")
    batch = classifier.encode(TEXTS[:2])
    long, short = batch.lengths().tolist()
    whole = PartlyCertified(certified=tuple(range(long)), aggregation=aggregation)
    assert whole.explain(classifier, batch).failed == {}
    partly = PartlyCertified(certified=tuple(range(short)), aggregation=aggregation)
    attribution = partly.explain(classifier, batch)
    assert list(attribution.failed) == [0]
    layers = 1 if aggregation == "readout" else LAYERS
    rows = (long - short) * HEADS * layers
    assert attribution.failed[0] == f"{rows} row(s) of its matrices miss their certificate."
    assert attribution.report["number"].tolist() == [long - 1, short - 1]
    with pytest.raises(MethodError, match=rf"partly_certified.*no answer for example {batch.ids[0]!r}"):
        partly.attribute(classifier, batch)


class Tolerant(PartlyCertified):
    """Certified up to a tolerance, and with a remedy of each of its layers."""

    name = "tolerant"

    def transform(self, weights, values, allowed):
        made = super().transform(weights, values, allowed)
        number = made.report["number"]
        figures = {"number": number, "unlike": number * torch.nan, "small": number * 0, "free": number}
        tolerances = {"number": 2.0, "unlike": 1.0, "small": 1.0}
        return Matrices(weights, figures, made.certified, tolerances, "Take fewer words.")


@pytest.mark.parametrize("aggregation", ["readout", "mean"])
def test_message_says_which_tolerance_was_missed_and_what_to_do(aggregation):
    classifier = tiny_classifier("modernbert")
    batch = classifier.encode(TEXTS[:1])
    n = int(batch.lengths()[0])
    attribution = Tolerant(certified=tuple(range(n - 1)), aggregation=aggregation).explain(classifier, batch)
    rows = HEADS * (1 if aggregation == "readout" else LAYERS)
    assert attribution.failed == {
        0: f"{rows} row(s) of its matrices miss their certificate (number up to {n - 1:.1e}, allowed 2e+00; "
        "unlike up to nan, allowed 1e+00). Take fewer words."
    }


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_attention_in_half_precision_misses_its_certificate(dtype):
    classifier = fresh_classifier("bert")
    classifier.model.to(dtype)
    batch = classifier.encode(TEXTS)
    with pytest.raises(MethodError, match=r"certificate \(residual up to \S+, allowed 1e-06\)\.") as caught:
        load_method("efficient_attention").attribute(classifier, batch)
    assert "run the method in float32 (--dtype float32)" in str(caught.value)
    assert "null_dimension" not in str(caught.value)


def test_rows_that_are_not_read_need_no_certificate():
    classifier = tiny_classifier("bert")
    assert PartlyCertified(certified=(0,)).explain(classifier, classifier.encode(TEXTS)).failed == {}
    assert PartlyCertified(certified=(1,)).explain(classifier, classifier.encode(TEXTS)).failed
