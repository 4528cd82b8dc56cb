"""The randomised-weights check: a map of the model changes with its weights, a map of the text does not."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr

from whybench import Method, load_method, load_task
from whybench.bench.errors import CorruptResultError, ParameterError
from whybench.bench.randomised import LIMIT, correlation, randomised_weights, redraw, stages
from whybench.bench.runner import Plan, run
from whybench.bench.store import ResultStore, read
from whybench.bench.tiny_models import LAYERS, TEXTS, fresh_classifier, tiny_classifier
from whybench.tests.bench.test_store import Silent
from whybench.tests.models import state_of


class Raises(Method):
    """Knows one set of weights only."""

    name, family, signed = "raises", "gradient", True
    known = 0.0

    def attribute(self, classifier, batch):
        weight = float(next(classifier.model.parameters()).detach().flatten()[0])
        type(self).known = type(self).known or weight
        if weight != type(self).known:
            raise ValueError("other weights")
        return batch.input_ids.double()


@pytest.mark.parametrize("family", ["bert", "distilbert", "gpt2", "llama", "modernbert"])
def test_the_stages_are_the_layers_from_the_output(family):
    model = tiny_classifier(family).model
    found = stages(model)
    names = [name for name, _ in found]
    assert names == ["head", *(f"layer {i}" for i in range(LAYERS, 0, -1)), "embeddings"]
    drawn = [id(parameter) for _, parameters in found for parameter in parameters]
    assert sorted(drawn) == sorted(map(id, model.parameters()))


def test_weights_that_are_drawn_anew_are_others_of_the_same_spread():
    model = fresh_classifier("bert").model
    (weight,) = (p for name, p in model.named_parameters() if name.endswith("word_embeddings.weight"))
    before = weight.detach().clone()
    redraw([weight], torch.Generator().manual_seed(0))
    weight = weight.detach()
    assert float(weight.std()) == pytest.approx(float(before.std()), rel=0.1)
    assert abs(np.corrcoef(weight.flatten(), before.flatten())[0, 1]) < 0.1


def test_a_gradient_changes_and_a_prior_does_not(xor_classifier, xor_batch):
    batch = xor_batch.with_target(xor_classifier.target(xor_batch))
    before = state_of(xor_classifier.model)
    done = []
    occlusion = randomised_weights(load_method("occlusion"), xor_classifier, batch, "a", 0, lambda *n: done.append(n))
    assert state_of(xor_classifier.model) == before
    assert occlusion.outcome.status == "passed"
    assert occlusion.stages[-1].correlation <= LIMIT
    assert done == [(i + 1, len(occlusion.stages)) for i in range(len(occlusion.stages))]
    assert {stage.examples for stage in occlusion.stages} == {len(batch)}
    again = randomised_weights(load_method("occlusion"), xor_classifier, batch, "a", 0)
    assert again == occlusion

    prior = randomised_weights(load_method("length_prior"), xor_classifier, batch, "a", 0)
    assert prior.outcome.status == "failed"
    assert [stage.correlation for stage in prior.stages] == pytest.approx([1.0] * len(prior.stages))


def test_what_it_raises_is_the_reason():
    classifier = tiny_classifier("bert")
    found = randomised_weights(Raises(), classifier, classifier.encode(TEXTS), "a", 0)
    assert found.outcome.status == "failed"
    assert "ValueError: other weights" in found.outcome.reason


def test_correlation_is_spearmans():
    chance = np.random.default_rng(0)
    one, other = chance.integers(0, 5, 30).astype(float), chance.random(30)
    assert correlation(one, other) == pytest.approx(spearmanr(one, other).statistic)
    assert correlation(one, np.zeros(30)) == 0.0
    assert correlation(one[:1], other[:1]) == 0.0


def plan_of(**changes):
    fields = {"tasks": [load_task("xor_cues")], "methods": [load_method("gradient")], "limit": 6, "device": "cpu"}
    return Plan(**{**fields, **changes})


def test_a_run_adds_it_to_new_and_to_finished_cells(tmp_path):
    store = ResultStore(tmp_path)
    (plain,) = run(plan_of(), store, Silent())
    assert plain.randomised is None
    assert "randomised_weights" not in plain.gates
    written = (plain.folder / "result.json").read_bytes()
    (checked,) = run(plan_of(randomised_weights=True), store, Silent())
    assert (checked.folder / "result.json").read_bytes() == written
    assert checked.gates["randomised_weights"].status == "passed"
    path = tmp_path / "checks" / f"{checked.result.cell}.json"
    first = path.read_bytes()
    run(plan_of(randomised_weights=True), store, Silent())
    assert path.read_bytes() == first

    path.write_text(json.dumps(json.loads(first) | {"cell": "another"}))
    with pytest.raises(CorruptResultError, match="of the cell 'another'"):
        _ = read(checked.folder).randomised
    path.write_text("{}")
    with pytest.raises(CorruptResultError, match="not a valid check"):
        _ = read(checked.folder).gates


def test_the_causal_suite_has_none():
    with pytest.raises(ParameterError, match="--randomised-weights"):
        plan_of(measure="causal", methods=[load_method("raw_attention")], randomised_weights=True)
