"""The table of ``whybench check method`` on every method there is: one that is dropped in is covered by that alone."""

import random

import numpy as np
import pytest
import torch

from whybench import load_method
from whybench.bench.choices import CONTROL, UNRANKED
from whybench.bench.gates import ModelState, unit_maps
from whybench.bench.listing import names
from whybench.bench.method_checks import CHECKS, check_method
from whybench.bench.method_subject import Trial
from whybench.bench.operators import operator_for
from whybench.bench.tiny_models import TEXTS, fresh_classifier

METHODS = names("method")
# what is costly by default is as right with less
SMALLER = {
    "discretized_integrated_gradients": {"n_steps": "8", "neighbours": "100"},
    "integrated_gradients": {"n_steps": "100", "max_steps": "100"},
    "kernel_shap": {"samples": "60"},
    "lime": {"samples": "60"},
    "oracle": {"beam": "1"},
    "partition_shap": {"samples": "60"},
    "reagent": {"samples": "64"},
    "rise": {"samples": "60"},
    "sequential_integrated_gradients": {"n_steps": "5"},
    "shapley": {"most": "8"},
    "shapley_sampling": {"orders": "3"},
}


@pytest.mark.parametrize("name", METHODS)
def test_every_promise_is_kept(name):
    report = check_method(name, SMALLER.get(name))
    assert [f"{one.check}: {one.told()}" for one in report.findings if one.status == "failed"] == []
    assert [one.check for one in report.findings] == [check.name for check in CHECKS]


@pytest.mark.parametrize("name", METHODS)
def test_a_pass_that_breaks_off_leaves_the_model_as_it_was(name):
    """Out of memory, or interrupted in the middle of the model: hooks, modes and settings are put back."""
    method = load_method(name, **SMALLER.get(name, {}))
    if method.family == CONTROL:
        return
    classifier = fresh_classifier("bert")
    batch = classifier.encode(TEXTS).with_operator(operator_for(classifier, None))
    batch = batch.with_target(classifier.target(batch))
    assert classifier.readout == "first"
    broken = 0
    for passes in (0, 2):
        left = [passes]

        def breaks_off(*_, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise ArithmeticError

        handle = classifier.model.bert.encoder.layer[1].register_forward_hook(breaks_off)
        state = ModelState(classifier.model)
        try:
            method.explain(classifier, batch)
        except ArithmeticError:
            broken += 1
        assert state.changed() == ""
        assert not torch.overrides._get_current_function_mode_stack()
        handle.remove()
    assert broken or method.family in UNRANKED


def test_all_methods_in_any_order_twice_in_one_process():
    """Nothing that one method does changes what another one says, nor its own answer the next time."""
    trials = {model: Trial(None, model) for model in ("bert", "llama")}
    methods = [load_method(name, **SMALLER.get(name, {})) for name in METHODS]
    methods = [method for method in methods if method.family != CONTROL]
    order = [(method, model) for method in methods for model in trials] * 2
    random.Random(7).shuffle(order)
    seen = {}
    for method, model in order:
        trial = trials[model]
        if method.serves and trial.classifier.model.config.model_type not in method.serves:
            continue
        maps = unit_maps(method, trial.classifier, trial.batch, 0)
        before = seen.setdefault((method.label(), model), maps)
        assert len(maps) == len(before)
        for one, other in zip(maps, before, strict=True):
            assert (one is None) == (other is None)
            assert one is None or np.array_equal(one, other), (method.label(), model)
    assert not torch.is_inference_mode_enabled()
    assert len(seen) > len(methods)
