"""Listing methods and tasks by reading source text only: no torch, no method and no task is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

Kind = Literal["method", "task"]


@dataclass(frozen=True)
class Entry:
    """What a listing says about one method or task.

    Attributes:
        name: The file's name without ``.py``, or the entry point's name.
        source: The file; None for an entry point, which is not looked into.
        summary: First line of the class's docstring.
        facts: The class's constants: family, signed, suite, …
        error: Why the file cannot be listed properly.
        computed: Names of what the class sets to something else than a constant; known only once it is imported.
    """

    name: str
    source: Path | None
    summary: str = ""
    facts: tuple[tuple[str, Any], ...] = ()
    error: str | None = None
    computed: tuple[str, ...] = ()

    def fact(self, name: str, default: Any = None) -> Any:
        """One of the class's constants."""
        return dict(self.facts).get(name, default)


def entries(kind: Kind) -> list[Entry]:
    """Everything of one kind that can be found, by name, without importing any of it."""
    folder = folder_of(kind)
    found = [_read(path, kind) for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")]
    found += [
        Entry(point.name, None, f"from the package {point.dist.name if point.dist else point.value}")
        for point in entry_points(group=f"whybench.{kind}s")
    ]
    return sorted(found, key=lambda entry: entry.name)


def names(kind: Kind) -> list[str]:
    """The names of all methods or tasks."""
    return [entry.name for entry in entries(kind)]


def folder_of(kind: Kind) -> Path:
    """Where the files of one kind are."""
    return Path(__file__).parent.parent / f"{kind}s"


def _read(path: Path, kind: Kind) -> Entry:
    try:
        tree = ast.parse(path.read_bytes(), filename=path.name)
    except (SyntaxError, ValueError) as error:
        return Entry(path.stem, path, error=f"{path.name} is not valid Python: {error}")
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            computed: list[str] = []
            facts = dict(_constants(node, computed))
            if facts.get("name") == path.stem:
                summary = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
                return Entry(path.stem, path, summary, tuple(facts.items()), computed=tuple(computed))
    return Entry(path.stem, path, error=f"{path.name} defines no {kind} class with name = {path.stem!r}")


def _constants(node: ast.ClassDef, computed: list[str]) -> Iterator[tuple[str, Any]]:
    for statement in node.body:
        if isinstance(statement, ast.Assign):
            targets, value = statement.targets, statement.value
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            targets, value = [statement.target], statement.value
        else:
            continue
        for target in targets:
            pairs = (
                zip(target.elts, value.elts, strict=False)
                if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple)
                else [(target, value)]
            )
            for name, expression in pairs:
                if isinstance(name, ast.Name):
                    try:
                        yield name.id, ast.literal_eval(expression)
                    except ValueError:
                        computed.append(name.id)
