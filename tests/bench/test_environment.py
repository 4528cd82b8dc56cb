"""The commit that results are said to be of."""

import shutil
import subprocess
from pathlib import Path

import pytest

from whybench.bench.environment import commit_of

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
