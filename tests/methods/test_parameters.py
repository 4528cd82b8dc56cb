"""Parameters of methods: from text, as values, and wrong ones."""

import pytest

from whybench.bench.choices import FAMILIES
from whybench.bench.errors import (
    ParameterError,
    UnknownNameError,
)
from whybench.bench.registry import load_method, names

METHODS = names("method")


def test_parameters_from_text():
    method = load_method("integrated_gradients", n_steps="8", baseline="pad")
    assert (method.n_steps, method.baseline, method.internal_batch_size) == (8, "pad", 128)
    assert method.parameters() == {"n_steps": 8, "max_steps": 200, "baseline": "pad", "internal_batch_size": 128}
    assert method.label() == "integrated_gradients(n_steps=8, baseline=pad)"
    assert load_method("random", seed="3").seed == 3
    assert load_method("raw_attention").label() == "raw_attention"


@pytest.mark.parametrize("name", METHODS)
def test_methods_are_values(name):
    method = load_method(name)
    assert method.name == name
    assert method.family in FAMILIES
    assert isinstance(method.signed, bool)
    assert method == load_method(name)
    for parameter in method.parameters():
        with pytest.raises(AttributeError):
            setattr(method, parameter, 1)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("integrated_gradients", {"n_steps": "many"}, "n_steps is 'many'"),
        ("integrated_gradients", {"n_steps": "0"}, "n_steps is 0"),
        ("integrated_gradients", {"n_steps": -3}, "n_steps is -3"),
        ("integrated_gradients", {"internal_batch_size": 0}, "internal_batch_size is 0"),
        ("integrated_gradients", {"baseline": "zero"}, "baseline is 'zero'.*'auto', 'mask' or 'pad'"),
        ("raw_attention", {"aggregation": "max"}, "aggregation is 'max'"),
        ("efficient_attention", {"aggregation": "max"}, "aggregation is 'max'"),
        ("occlusion", {"operator": "blur"}, "operator is 'blur'"),
        ("random", {"seed": "x"}, "seed is 'x'"),
        ("random", {"seed": 1.5}, "seed is 1.5"),
    ],
)
def test_wrong_values(name, parameters, message):
    with pytest.raises(ParameterError, match=message):
        load_method(name, **parameters)


def test_unknown_names():
    with pytest.raises(UnknownNameError, match=r"no method named 'gradients'. Did you mean .*'gradient'"):
        load_method("gradients")
    with pytest.raises(
        UnknownNameError, match=r"parameter of 'integrated_gradients' named 'steps'. Did you mean 'n_steps'"
    ):
        load_method("integrated_gradients", steps=8)
    with pytest.raises(UnknownNameError, match=r"parameter of 'gradient' named 'seed'.*Known: none"):
        load_method("gradient", seed=1)
