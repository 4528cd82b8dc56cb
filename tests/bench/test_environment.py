"""The commit that results are said to be of."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

import whybench
from whybench.bench.environment import commit_of, environment

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not there")


def git(folder: Path, *arguments: str) -> str:
    who = ["-c", "user.name=A", "-c", "user.email=a@b.c"]
    done = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A package that is committed in a repository."""
    git(tmp_path, "init", "--quiet")
    (tmp_path / ".gitignore").write_text("ignored/\n")
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    return folder


def test_the_commit_of_a_checkout(package: Path) -> None:
    assert commit_of(package) == git(package, "rev-parse", "HEAD")


def test_changed_sources_are_said_to_be_changed_and_changes_elsewhere_are_not(package: Path) -> None:
    (package.parent / "notes.txt").write_text("of something else")
    assert commit_of.__wrapped__(package) == git(package, "rev-parse", "HEAD")
    (package / "__init__.py").write_text("changed = True\n")
    assert commit_of.__wrapped__(package) == git(package, "rev-parse", "HEAD") + "+changed"


def test_the_index_is_not_written(package: Path) -> None:
    index = next(path for path in (package / ".git" / "index", package.parent / ".git" / "index") if path.exists())
    # git would note the new time, and lock the index to do so
    os.utime(package / "__init__.py", (1, 1))
    before = index.read_bytes()
    assert commit_of(package)
    assert index.read_bytes() == before


def test_sources_that_the_package_has_as_links_count(package: Path) -> None:
    (package.parent / "bench").mkdir()
    (package.parent / "bench" / "x.py").write_text("")
    (package / "bench").symlink_to("../bench")
    git(package, "add", "..")
    git(package, "commit", "--quiet", "-m", "second")
    assert commit_of.__wrapped__(package) == git(package, "rev-parse", "HEAD")
    (package / "bench" / "x.py").write_text("changed = True")
    assert commit_of.__wrapped__(package) == git(package, "rev-parse", "HEAD") + "+changed"


def test_this_checkout_has_a_commit() -> None:
    folder = Path(whybench.__file__).parent
    if not (folder / ".." / ".git").exists():
        pytest.skip("whybench is not run from a checkout")
    found = environment(torch.device("cpu")).commit
    assert found is not None
    assert found.removesuffix("+changed") == git(folder, "rev-parse", "HEAD")


def test_a_package_installed_within_somebody_elses_repository_has_no_commit(package: Path) -> None:
    installed = package.parent / "ignored" / "package"
    shutil.copytree(package, installed)
    assert commit_of(installed) is None


def test_without_a_repository_or_without_git_there_is_no_commit(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert commit_of(tmp_path / "nothing") is None
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    assert commit_of.__wrapped__(package) is None
