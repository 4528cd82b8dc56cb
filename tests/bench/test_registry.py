import sys
import textwrap
import types

import pytest

from whybench import load_method, load_task
from whybench.bench.errors import MethodError, ParameterError, TaskError, UnknownNameError
from whybench.bench.listing import entries, names
from whybench.bench.source import source_hash

GOOD = """
    from whybench import Method

    class Mine(Method):
        \"\"\"Length of each token.

        More.
        \"\"\"

        name, family, signed = "mine", "reference", False
        power: float = 1.0

        def attribute(self, classifier, batch):
            return batch.attention_mask * self.power
"""


def write(folder, name, text):
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return str(path)


def test_lists_what_is_there():
    assert names("method") == [
        "adversarial_attention",
        "alti",
        "attattr",
        "attcat",
        "attention_flow",
        "decompx",
        "deeplift",
        "discretized_integrated_gradients",
        "effective_attention",
        "efficient_attention",
        "frozen_attention",
        "globenc",
        "grad_sam",
        "gradient",
        "gradient_shap",
        "gradient_x_input",
        "integrated_gradients",
        "kernel_shap",
        "length_prior",
        "lime",
        "lrp",
        "norm_attention",
        "norm_residual_attention",
        "occlusion",
        "oracle",
        "partition_shap",
        "permuted",
        "permuted_attention",
        "position_prior",
        "random",
        "raw_attention",
        "reagent",
        "rise",
        "row_sum_attention",
        "sequential_integrated_gradients",
        "shapley",
        "shapley_sampling",
        "smoothgrad",
        "sparsest_attention",
        "uniform_attention",
        "value_zeroing",
        "vargrad",
    ]
    assert {"sst2", "xor_cues"} <= set(names("task"))
    by_name = {entry.name: entry for entry in entries("method")}
    for name, entry in by_name.items():
        method = load_method(name)
        assert entry.error is None
        assert (entry.fact("family"), entry.fact("signed")) == (method.family, method.signed)
        assert entry.fact("default", True) == method.default
        assert entry.summary
    for entry in entries("task"):
        assert entry.fact("suite") == load_task(entry.name).suite
        assert entry.fact("summary") == load_task(entry.name).summary


NEAR = [("gradients", "'gradient'"), ("efficient", "'efficient_attention'"), ("zzz", "Known: ")]


@pytest.mark.parametrize(("name", "near"), NEAR)
def test_unknown_names_are_met_with_proposals(name, near):
    with pytest.raises(UnknownNameError, match=near):
        load_method(name)


def test_a_private_module_is_no_method():
    with pytest.raises(UnknownNameError):
        load_method("_output_preserving")


def test_a_file_is_a_method(tmp_path):
    method = load_method(write(tmp_path, "mine.py", GOOD), power="2")
    assert (method.name, method.power, method.label()) == ("mine", 2.0, "mine(power=2.0)")
    assert method.parameters() == {"power": 2.0}
    assert load_method(str(tmp_path / "mine.py")).label() == "mine"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nowhere_to_be_found", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("1 / 0", "ZeroDivisionError"),
        ("def broken(:", "SyntaxError"),
        ("x = 1", "defines no subclass of Method with name = 'mine'"),
        (GOOD.replace('"mine"', '"other"'), "a method's name is its file's name"),
        (GOOD.replace('"reference"', '"magic"'), "family 'magic'; it must be one of attention"),
        (GOOD.replace("name, family, signed =", "name, _, _ ="), "family = None"),
        (GOOD.replace("def attribute", "def attribution"), "does not define attribute"),
        (GOOD.replace("float = 1.0", "object = object()"), "JSON cannot hold"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(tmp_path, text, message):
    before = set(sys.modules)
    with pytest.raises(MethodError, match=message):
        load_method(write(tmp_path, "mine.py", text))
    assert not [name for name in set(sys.modules) - before if name.startswith("whybench_file") and "1 / 0" in text]
    with pytest.raises(UnknownNameError, match="method file"):
        load_method(str(tmp_path / "gone.py"))


def test_a_file_dropped_in_is_listed_with_what_is_wrong(tmp_path, monkeypatch):
    from whybench.bench import listing

    write(tmp_path, "mine.py", GOOD)
    write(tmp_path, "half.py", "def broken(:")
    write(tmp_path, "empty.py", "")
    write(tmp_path, "_private.py", "")
    monkeypatch.setattr(listing, "folder_of", lambda kind: tmp_path)
    found = {entry.name: entry for entry in entries("method")}
    assert set(found) == {"mine", "half", "empty"}
    assert found["mine"].summary == "Length of each token."
    assert found["mine"].fact("signed") is False
    assert "not valid Python" in found["half"].error
    assert "defines no method class" in found["empty"].error


def test_entry_points(monkeypatch):
    from importlib.metadata import EntryPoint, EntryPoints

    from whybench.bench import listing, registry

    points = EntryPoints(
        [
            EntryPoint("gradients", "whybench.methods.gradient:Gradient", "whybench.methods"),
            EntryPoint("gradient", "whybench.methods.random:Random", "whybench.methods"),
            EntryPoint("theirs", "theirs:Theirs", "whybench.methods"),
            EntryPoint("broken", "nowhere_to_be_found:X", "whybench.methods"),
            EntryPoint("odd", "json:loads", "whybench.methods"),
        ]
    )
    module = types.ModuleType("theirs")
    monkeypatch.setitem(sys.modules, "theirs", module)
    exec(textwrap.dedent(GOOD).replace("mine", "theirs").replace("Mine", "Theirs"), vars(module))
    module.__file__ = registry.__file__
    monkeypatch.setattr(registry, "entry_points", lambda **query: points.select(**query))
    monkeypatch.setattr(listing, "entry_points", lambda **query: points.select(**query))
    assert "theirs" in names("method")
    assert load_method("theirs").name == "theirs"
    with pytest.raises(MethodError, match="gives a method of the name 'gradient'"):
        load_method("gradients")
    with pytest.raises(
        MethodError, match=r"'gradient' is defined 2 times: methods/gradient.py, whybench.methods.random"
    ):
        load_method("gradient")
    with pytest.raises(MethodError, match="nowhere_to_be_found"):
        load_method("broken")
    with pytest.raises(MethodError, match="subclass of Method"):
        load_method("odd")


def test_parameters_are_converted_and_checked():
    assert load_method("integrated_gradients", n_steps="8").n_steps == 8
    with pytest.raises(ParameterError, match="n_steps is 'many'"):
        load_method("integrated_gradients", n_steps="many")
    with pytest.raises(ParameterError, match="at least 1"):
        load_method("integrated_gradients", n_steps=0)
    with pytest.raises(ParameterError, match="baseline is 'zero'"):
        load_method("integrated_gradients", baseline="zero")
    with pytest.raises(UnknownNameError, match="Did you mean 'n_steps'"):
        load_method("integrated_gradients", steps=8)


def test_tasks_say_what_is_wrong_too(tmp_path):
    with pytest.raises(UnknownNameError, match="Did you mean 'sst2'"):
        load_task("sst")
    with pytest.raises(TaskError, match="subclass of Task"):
        load_task(write(tmp_path, "mine.py", GOOD))


def test_the_source_hash_follows_the_file_and_its_private_modules(tmp_path):
    first = source_hash(type(load_method(write(tmp_path, "mine.py", GOOD))))
    assert source_hash(type(load_method(write(tmp_path, "mine.py", textwrap.dedent(GOOD) + "# more\n")))) != first
    write(tmp_path, "helper.py", "X = 1\n")
    text = "from helper import X\n" + textwrap.dedent(GOOD)
    sys.path.insert(0, str(tmp_path))
    try:
        one = source_hash(type(load_method(write(tmp_path, "mine.py", text))))
        write(tmp_path, "helper.py", "X = 2\n")
        assert source_hash(type(load_method(write(tmp_path, "mine.py", text)))) != one
    finally:
        sys.path.remove(str(tmp_path))


def test_the_source_of_a_method_has_its_helpers_and_bases():
    from pathlib import Path

    from whybench.bench.source import _with_imports

    home = Path(sys.modules[type(load_method("efficient_attention")).__module__].__file__)
    followed = {path.name for path in _with_imports([home])}
    assert followed == {
        "efficient_attention.py",
        "_solved_attention.py",
        "_output_preserving.py",
        "_least_norm.py",
        "_sparsest.py",
        "nullspace.py",
    }
    digests = {source_hash(type(load_method(name))) for name in names("method")}
    assert len(digests) == len(names("method"))
    mro = {base.__module__.rsplit(".", 1)[-1] for base in type(load_method("raw_attention")).__mro__}
    assert {"raw_attention", "matrices", "method"} <= mro
