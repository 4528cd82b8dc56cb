"""What is installed, and how it is imported."""

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import whybench

FOLDERS = ("bench", "methods", "tasks", "leaderboard", "tests")

PUBLIC = {
    "Attribution",
    "Batch",
    "Classifier",
    "Example",
    "Method",
    "NextTokenModel",
    "Roles",
    "Span",
    "Task",
    "TaskData",
    "WhybenchError",
    "gradient_maps",
    "load_method",
    "load_metric",
    "load_task",
    "score",
}


def python(code, cwd=None):
    return subprocess.run([sys.executable, "-c", code], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_public_names_are_pinned():
    assert set(whybench.__all__) == PUBLIC | {"__version__"}
    assert set(dir(whybench)) == set(whybench.__all__)
    for name in PUBLIC:
        assert getattr(whybench, name).__doc__, name
    with pytest.raises(AttributeError, match="load_method"):
        whybench.load_methods  # noqa: B018
    assert whybench.__version__ == importlib.metadata.version("whybench")


def test_importing_whybench_imports_nothing_heavy():
    heavy = ("torch", "transformers", "captum", "evaluate", "datasets", "wandb", "pyarrow", "pydantic")
    code = f"import sys, whybench; print([m for m in {heavy} if m in sys.modules])"
    assert python(code).stdout == "[]\n"


@pytest.mark.parametrize(
    "command",
    [
        ["--help"],
        ["list"],
        ["list", "tasks"],
        ["run", "--help"],
        ["new", "task", "--help"],
        ["check", "task", "--help"],
    ],
)
def test_help_and_list_import_nothing_heavy(command):
    code = (
        "import sys\n"
        "from whybench.bench.cli import app\n"
        f"try: app({command})\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'transformers', 'captum', 'evaluate', 'datasets', 'wandb') if m in sys.modules])"
    )
    done = python(code)
    assert done.stdout.endswith("[]\n"), done.stderr


@pytest.mark.parametrize("command", [["--help"], ["list"], ["list", "tasks", "--json"], ["list", "--json"]])
def test_help_and_list_take_no_time_for_what_they_do_not_need(command):
    code = (
        "import sys\n"
        "from whybench.bench.cli import main\n"
        f"sys.argv = ['whybench', *{command}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'pydantic', 'rich.console') if m in sys.modules])"
    )
    done = python(code)
    assert done.stdout.endswith("[]\n"), done.stdout + done.stderr


def test_writing_a_task_imports_nothing_heavy(tmp_path):
    code = (
        "import sys; from whybench.bench.cli import app\ntry: app(['new', 'task', 'quick'])\nexcept SystemExit: pass\n"
    )
    done = python(code + "print('torch' in sys.modules, 'datasets' in sys.modules)", cwd=tmp_path)
    assert done.stdout.endswith("False False\n"), done.stderr
    assert (tmp_path / "quick.py").is_file()


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_is_imported_by_its_full_name_only(folder):
    module = importlib.import_module(f"whybench.{folder}")
    above = Path(module.__file__).resolve().parent.parent
    done = python(f"import {folder}", cwd=above)
    assert done.returncode == 1
    assert f"import it as 'whybench.{folder}'" in done.stderr


def test_every_module_can_be_imported():
    import pkgutil

    for module in pkgutil.walk_packages(whybench.__path__, "whybench."):
        if ".tests" not in module.name and not module.name.endswith("__main__"):
            importlib.import_module(module.name)


def test_the_engine_knows_no_method_task_or_page():
    import ast

    from whybench.bench import registry

    bench = Path(registry.__file__).parent
    for path in bench.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            module = node.module or "" if isinstance(node, ast.ImportFrom) else ""
            assert not module.startswith(("whybench.methods", "whybench.tasks")), (path.name, module)
            # the command line hands results to the site as a whole
            site = path.name in ("cli.py", "cli_site.py")
            assert site or not module.startswith("whybench.leaderboard"), (path.name, module)


def test_method_and_task_files_are_short():
    for folder in ("methods", "tasks"):
        package = importlib.import_module(f"whybench.{folder}")
        for path in Path(package.__file__).parent.glob("[!_]*.py"):
            assert len(path.read_text().splitlines()) <= 150, path.name


def test_every_error_is_ours_and_drawn_in_the_tree():
    from whybench.bench import errors

    classes = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Exception)]
    assert all(issubclass(item, (errors.WhybenchError, errors.WhybenchWarning)) for item in classes)
    for item in classes:
        assert f" {item.__name__}" in errors.__doc__, item


def test_the_pinned_signatures():
    import inspect

    def parameters(function):
        return {
            name: parameter.default
            for name, parameter in inspect.signature(function).parameters.items()
            if name not in ("self", "cls")
        }

    empty = inspect.Parameter.empty
    assert parameters(whybench.score) == {
        "classifier": empty,
        "batch": empty,
        "token_scores": empty,
        "metrics": None,
        "operator": None,
        "unit": None,
        "signed": True,
        "seed": 0,
        "profile": "whybench",
    }
    assert list(parameters(whybench.Classifier.from_pretrained)) == ["path_or_id", "revision", "device", "dtype"]
    assert parameters(whybench.gradient_maps) == {
        "classifier": empty,
        "batch": empty,
        "n_steps": 50,
        "baseline": "auto",
        "internal_batch_size": 128,
    }
    assert list(parameters(whybench.load_method)) == ["name", "parameters"]
    assert list(parameters(whybench.load_task)) == ["name"]
    assert list(parameters(whybench.Method.attribute)) == ["classifier", "batch"]
