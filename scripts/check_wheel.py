"""Build the wheel, check what is in it, and run the tests against it, away from the source.

    python scripts/check_wheel.py [PYTEST ARGUMENTS]

The wheel is installed into an environment of its own that borrows this one's other packages, so that nothing is
downloaded twice and the source tree cannot be imported by accident.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tempfile
import venv
import zipfile
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDERS = ("bench", "methods", "tasks", "leaderboard", "tests")
# the repository's own results and what was submitted are no part of the package
RESULTS = Path("leaderboard/results")
DATA = ("bench/templates", "leaderboard/templates", "leaderboard/assets", "tasks/builtin/models", "tests/compat")


def build(out: Path) -> Path:
    """Build the wheel from what git knows or would take up, so that no stale build folder gets into it."""
    source = out / "source"
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=REPOSITORY,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.split("\0"):
        origin = REPOSITORY / name
        if name and (origin.is_symlink() or origin.is_file()):
            copy = source / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            if origin.is_symlink():
                copy.symlink_to(origin.readlink())
            else:
                copy.write_bytes(origin.read_bytes())
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(source)], check=True
    )
    return next(out.glob("whybench-*.whl"))


def missing_and_surplus(wheel: Path, source: Path) -> tuple[list[str], list[str]]:
    """Files that the wheel should hold and does not, and top-level names and results that it should not have."""
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {"whybench/__init__.py", "whybench/__main__.py", "whybench/py.typed"}
    for folder in FOLDERS:
        wanted |= {f"whybench/{path.relative_to(source)}" for path in (source / folder).rglob("*.py")}
    wanted = {name for name in wanted if not Path(name).is_relative_to("whybench" / RESULTS)}
    for folder in DATA:
        wanted |= {f"whybench/{path.relative_to(source)}" for path in (source / folder).rglob("*") if path.is_file()}
    top = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    results = {name for name in names if Path(name).is_relative_to("whybench" / RESULTS)}
    return sorted(wanted - names), sorted(top - {"whybench"} | results)


def main() -> int:
    """Run all steps; the exit code is that of the tests, or 1 where the wheel is not what it should be."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        wheel = build(out)
        missing, surplus = missing_and_surplus(wheel, out / "source")
        if missing or surplus:
            sys.stderr.write(f"missing from the wheel: {missing}\nnot to be in it: {surplus}\n")
            return 1
        sys.stdout.write(f"{wheel.name} holds every file; its only top-level name is whybench\n")

        home = out / "environment"
        venv.create(home, with_pip=False, symlinks=True)
        python = home / "bin" / "python"
        own = Path(sysconfig.get_path("purelib", vars={"base": str(home)}))
        # a folder named in a .pth file is searched for packages, but its own .pth files, and with them the editable
        # install of the source, are not read
        (own / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        options = ["--quiet", "--no-deps", "--no-index", "--force-reinstall", "--ignore-installed"]
        pip = [sys.executable, "-m", "pip", "--python", str(python)]
        subprocess.run([*pip, "install", *options, str(wheel)], check=True)
        empty = out / "empty"
        empty.mkdir()
        where = "import whybench, pathlib; print(pathlib.Path(whybench.__file__).resolve())"
        found = subprocess.run([python, "-c", where], cwd=empty, check=True, capture_output=True, text=True).stdout
        if not Path(found.strip()).is_relative_to(home.resolve()):
            sys.stderr.write(f"whybench was imported from {found.strip()}, not from the wheel\n")
            return 1
        command = [str(python), "-m", "pytest", "-c", str(REPOSITORY / "pyproject.toml"), "--rootdir", str(empty)]
        tests = ["-p", "no:cacheprovider", "--pyargs", "whybench.tests", *sys.argv[1:]]
        # the tests look for real data beside the repository, and run in an empty folder here
        real = {"WHYBENCH_SHARED": str(REPOSITORY.parent / "shared"), **os.environ}
        return subprocess.run([*command, *tests], cwd=empty, env=real, check=False).returncode


if __name__ == "__main__":
    raise SystemExit(main())
