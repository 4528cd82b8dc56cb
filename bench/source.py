"""A digest of the code that a method consists of, for its results' specs."""

from __future__ import annotations

import ast
import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

_BENCH = Path(__file__).resolve().parent
# The engine's modules that methods' own numbers come from
NUMERICAL = {path.stem: path for path in (_BENCH / "nullspace.py", _BENCH / "causal" / "chance.py")}


def source_hash(*classes: type) -> str:
    """SHA-256 over the files that define the classes and what they inherit from, and what these files import.

    Imports are followed to files in the same folder as the class's own, by whatever form of import, and to the engine's
    modules of `NUMERICAL`. Its other modules and other packages are told apart by the protocol's version in a result's
    spec and by the versions in its environment.
    """
    digest = hashlib.sha256()
    for cls in classes:
        bases = [base for base in cls.__mro__ if base.__module__ not in ("builtins", "abc")]
        files = [Path(file) for base in bases if (file := getattr(sys.modules[base.__module__], "__file__", None))]
        for path in _with_imports(files):
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def files_of(path: Path) -> list[Path]:
    """A method's file and, as far as they are in its folder or of `NUMERICAL`, the files that it imports."""
    return list(_with_imports([path]))


def _with_imports(files: list[Path]) -> Iterator[Path]:
    home = files[0].resolve().parent
    pending, seen = list(files), set()
    while pending:
        current = pending.pop(0).resolve()
        if current in seen:
            continue
        seen.add(current)
        yield current
        if current.parent == home:
            for name in _imported(current):
                pending += [path for path in (home / f"{name}.py", NUMERICAL.get(name)) if path and path.is_file()]


def _imported(path: Path) -> Iterator[str]:
    """The last part of every module's name, and every name, that a file imports."""
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name.rsplit(".", 1)[-1] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").rsplit(".", 1)[-1]
            yield from (alias.name for alias in node.names)
