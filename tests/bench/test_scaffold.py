"""What ``whybench new`` writes passes the project's own checks as it is, in every variant."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from whybench import load_method, load_task
from whybench.bench import scaffold
from whybench.bench.errors import ParameterError, StoreError

REPOSITORY = Path(__file__).resolve().parents[2]
CONFIGURATION = REPOSITORY / "pyproject.toml"
LONG = "n" * 60

VARIANTS = {
    **{
        f"read_{evidence}{'_pair' * pair}": {"evidence": evidence, "pair": pair}
        for evidence in (None, "planted", "human")
        for pair in (False, True)
    },
    **{
        f"made_{evidence}{'_pair' * pair}": {"evidence": evidence, "pair": pair, "generated": True}
        for evidence in (None, "planted")
        for pair in (False, True)
    },
    # the longest name
    LONG: {"evidence": "planted", "pair": True},
    LONG.upper(): {"evidence": "planted", "generated": True},
    # a class of this name is imported
    "span": {"evidence": "human"},
}
METHODS = {
    **{f"own_{family}": family for family in ("gradient", "attention", "perturbation")},
    # the longest name, and one whose class would be another's
    "m" * 60: "gradient",
    "matrix_method": "attention",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """All variants, in a folder of their own that did not exist before."""
    folder = tmp_path_factory.mktemp("home") / "own" / "tasks"
    for name, options in VARIANTS.items():
        scaffold.new_task(name, out=folder, **options)
    for name, family in METHODS.items():
        scaffold.new_method(name, family=family, out=folder)
    return folder


def run(*arguments, cwd):
    command = [sys.executable, "-m", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def needs(tool):
    if importlib.util.find_spec(tool) is None or not CONFIGURATION.is_file():
        pytest.skip(f"{tool} or the project's configuration is not here")


def test_every_file_is_there(folder):
    wanted = {f"{prefix}{name}.py" for name in (*VARIANTS, *METHODS) for prefix in ("", "test_")}
    assert {path.name for path in folder.glob("*.py")} == wanted
    assert all(len(path.read_text().splitlines()) <= 150 for path in folder.glob("*.py"))


def test_ruff_is_content(folder):
    needs("ruff")
    run("ruff", "check", "--no-cache", "--config", CONFIGURATION, folder, cwd=folder)
    run("ruff", "format", "--check", "--no-cache", "--config", CONFIGURATION, folder, cwd=folder)


def test_mypy_is_content(folder):
    needs("mypy")
    # with the project's configuration (strict) and cache: `make lint` has read torch already
    run("mypy", "--config-file", CONFIGURATION, *sorted(folder.glob("*.py")), cwd=REPOSITORY)


def test_the_tests_pass(folder):
    configuration = ["-c", CONFIGURATION] if CONFIGURATION.is_file() else []
    printed = run("pytest", "-q", "-p", "no:cacheprovider", *configuration, "--rootdir", folder, folder, cwd=folder)
    assert " passed" in printed
    assert "skipped" not in printed


def test_a_wrong_task_fails_its_test(folder, tmp_path):
    """The tests that are written can fail."""
    for name, before, after in (
        ("read_planted", "Span(0, start, end)", "Span(0, start, end - 1)"),
        ("made_planted", "label=kind", "label=1 - kind"),
    ):
        text = (folder / f"{name}.py").read_text()
        assert before in text
        (tmp_path / f"{name}.py").write_text(text.replace(before, after))
        shutil.copy(folder / f"test_{name}.py", tmp_path)
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"test_{name}.py"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "AssertionError" in done.stdout


def test_a_wrong_method_fails_its_test(folder, tmp_path):
    for name, before, after in (
        ("own_gradient", ".norm(dim=-1)", ".sum(dim=-1)"),
        ("own_attention", "values.norm(dim=-1)", "values.amax(dim=-1)"),
        ("own_perturbation", "own[2:] - own[1]", "own[0] - own[2:]"),
    ):
        text = (folder / f"{name}.py").read_text()
        assert before in text
        (tmp_path / f"{name}.py").write_text(text.replace(before, after))
        shutil.copy(folder / f"test_{name}.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", tmp_path]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    for family in METHODS.values():
        assert f"FAILED test_own_{family}.py::test_scores_are_those_of_a_plain_computation" in done.stdout


def test_the_check_says_what_is_still_to_do(folder):
    from whybench.bench.method_checks import check_method
    from whybench.bench.task_checks import check_task

    report = check_method(str(folder / "own_gradient.py"), models=("bert",), trained=False)
    failed = {finding.check: finding.reason for finding in report.findings if finding.status == "failed"}
    assert failed == {"declarations": "The docstring says TODO where an answer is due."}

    for name, todo in (("read_human", "citation, dataset, dataset_revision"), ("made_None", "licence, summary")):
        report = check_task(str(folder / f"{name}.py"), hub=False)
        failed = {finding.check: finding.reason for finding in report.findings if finding.status == "failed"}
        assert failed.pop("declarations").startswith(f"Still to do: {todo}")
        assert set(failed) <= {"pinned"}


def test_variants_are_what_was_asked_for(folder):
    task = load_task(str(folder / "made_planted_pair.py"))
    (first, *_) = task.load().examples
    assert (task.evidence, len(first.evidence), first.text_pair is None) == ("planted", 2, False)
    assert load_task(str(folder / "made_None.py")).load().examples[0].evidence is None
    assert type(load_task(str(folder / "read_human_pair.py"))).__name__ == "ReadHumanPair"
    assert load_task(str(folder / "read_human_pair.py")).evidence == "human"
    assert type(load_task(str(folder / "span.py"))).__name__ == "SpanTask"
    for name, family in METHODS.items():
        assert load_method(str(folder / f"{name}.py")).family == family
    assert type(load_method(str(folder / "matrix_method.py"))).__name__ == "MatrixMethodMethod"


def test_where_the_files_go(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert scaffold.new_task("here") == (Path("here.py"), Path("test_here.py"))
    assert scaffold.new_method("way", family="gradient") == (Path("way.py"), Path("test_way.py"))
    for path in ("whybench/__init__.py", "tasks/__init__.py", "tests/tasks/__init__.py"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    written = scaffold.new_task("there", generated=True)
    assert written == (Path("tasks/there.py"), Path("tests/tasks/test_there.py"))
    # in the package a task is loaded by its name
    assert 'TASK = "there"' in written.test.read_text()
    written = scaffold.new_method("thither", family="attention")
    assert written == (Path("methods/thither.py"), Path("tests/methods/test_thither.py"))
    assert 'METHOD = "thither"' in written.test.read_text()
    assert scaffold.new_task("away", out=Path("out")).file.is_file()


WRONG = {
    "digit first": ("2nd", "a letter first|a letter, then"),
    "dash": ("my-task", "'my-task'"),
    "path": ("../escaped", "'../escaped'"),
    "empty": ("", "''"),
    "too long": ("n" * 61, "nnn"),
    "underscore first": ("_mine", "'_mine'"),
    "keyword": ("class", "a word of Python's own"),
    "taken": ("xor_cues", "already"),
    "taken but for the case": ("SST2", "already"),
    "package": ("builtin", "already"),
    "standard library": ("json", "installed module"),
    "dependency": ("datasets", "installed module"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_name_that_cannot_be_used(case, tmp_path, monkeypatch):
    name, message = WRONG[case]
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match=message):
        scaffold.new_task(name)
    if case not in ("taken", "taken but for the case", "package"):
        with pytest.raises(ParameterError, match=message):
            scaffold.new_method(name, family="gradient")
    assert list(tmp_path.iterdir()) == []


def test_a_methods_name_that_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ParameterError, match="there is a method named 'Occlusion' already"):
        scaffold.new_method("Occlusion", family="perturbation")


def test_nothing_is_overwritten(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for existing in ("mine.py", "test_mine.py"):
        (tmp_path / existing).write_text("kept")
        with pytest.raises(ParameterError, match=f"^{existing} is there already"):
            scaffold.new_task("mine")
        assert [path.name for path in tmp_path.iterdir()] == [existing]
        assert (tmp_path / existing).read_text() == "kept"
        (tmp_path / existing).unlink()


def test_what_cannot_be_written_and_what_makes_no_sense(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        scaffold.new_task("mine", out=tmp_path / "file" / "below")
    with pytest.raises(ParameterError, match="'human' for generated data"):
        scaffold.new_task("mine", evidence="human", generated=True, out=tmp_path)
