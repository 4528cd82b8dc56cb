"""Finding methods and tasks: files in ``methods/`` and ``tasks/``, entry points, and single files.

Listing reads source text only, so that it imports neither torch nor any method; loading imports one file.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from whybench.bench.errors import MethodError, ParameterError, TaskError, UnknownNameError, WhybenchError

if TYPE_CHECKING:
    from whybench.bench.method import Method
    from whybench.bench.task import Task

Kind = Literal["method", "task"]

_ERRORS: dict[Kind, type[WhybenchError]] = {"method": MethodError, "task": TaskError}


@dataclass(frozen=True)
class Entry:
    """What a listing says about one method or task.

    Attributes:
        name: The file's name without ``.py``, or the entry point's name.
        source: The file; None for an entry point, which is not looked into.
        summary: First line of the class's docstring.
        facts: The class's constants: family, signed, suite, …
        error: Why the file cannot be listed properly.
    """

    name: str
    source: Path | None
    summary: str = ""
    facts: tuple[tuple[str, Any], ...] = ()
    error: str | None = None

    def fact(self, name: str, default: Any = None) -> Any:
        """One of the class's constants."""
        return dict(self.facts).get(name, default)


def entries(kind: Kind) -> list[Entry]:
    """Everything of one kind that can be found, by name, without importing any of it."""
    folder = _folder(kind)
    found = [_read(path, kind) for path in sorted(folder.glob("*.py")) if not path.name.startswith("_")]
    found += [
        Entry(point.name, None, f"from the package {point.dist.name if point.dist else point.value}")
        for point in entry_points(group=f"whybench.{kind}s")
    ]
    return sorted(found, key=lambda entry: entry.name)


def names(kind: Kind) -> list[str]:
    """The names of all methods or tasks."""
    return [entry.name for entry in entries(kind)]


def load_method(name: str, **parameters: Any) -> Method:
    """Load a method with its parameters.

    Args:
        name: Name of a method, or the path of a Python file that defines one.
        parameters: Its parameters; text is converted to the parameter's type.

    Raises:
        UnknownNameError: There is no such method.
        MethodError: Its file cannot be imported, or defines no method of the file's name.
        ParameterError: A parameter that it does not have, or a value that is not allowed.
    """
    from whybench.bench.method import Method

    cls = _load("method", name, Method)
    return _with_parameters(cls, parameters)


def load_task(name: str) -> Task:
    """Load a task.

    Args:
        name: Name of a task, or the path of a Python file that defines one.

    Raises:
        UnknownNameError: There is no such task.
        TaskError: Its file cannot be imported, or defines no task of the file's name.
    """
    from whybench.bench.task import Task

    task: Task = _load("task", name, Task)()
    return task


def source_hash(cls: type) -> str:
    """SHA-256 of the bytes of the file that defines the class, and of the private modules beside it that it imports."""
    digest = hashlib.sha256()
    for path in _sources(Path(sys.modules[cls.__module__].__file__ or "")):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _sources(path: Path) -> Iterator[Path]:
    pending, seen = [path], set()
    while pending:
        current = pending.pop(0)
        if current in seen:
            continue
        seen.add(current)
        yield current
        for node in ast.walk(ast.parse(current.read_bytes())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for module in modules:
                last = module.rsplit(".", 1)[-1]
                if last.startswith("_") and (beside := current.parent / f"{last}.py").is_file():
                    pending.append(beside)


def _folder(kind: Kind) -> Path:
    return Path(__file__).parent.parent / f"{kind}s"


def _read(path: Path, kind: Kind) -> Entry:
    try:
        tree = ast.parse(path.read_bytes(), filename=path.name)
    except (SyntaxError, ValueError) as error:
        return Entry(path.stem, path, error=f"{path.name} is not valid Python: {error}")
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            facts = dict(_constants(node))
            if facts.get("name") == path.stem:
                summary = (ast.get_docstring(node) or "").split("\n\n")[0].replace("\n", " ")
                return Entry(path.stem, path, summary, tuple(facts.items()))
    return Entry(path.stem, path, error=f"{path.name} defines no {kind} class with name = {path.stem!r}")


def _constants(node: ast.ClassDef) -> Iterator[tuple[str, Any]]:
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
                        # not a constant: it is known only once the file is imported
                        continue


def _load(kind: Kind, name: str, base: type) -> Any:
    if name.endswith(".py"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UnknownNameError(f"{kind} file", name, [])
        return _class_in(_import_file(path, kind), path.stem, base, kind)
    for point in entry_points(group=f"whybench.{kind}s", name=name):
        try:
            cls = point.load()
        except Exception as error:  # another package's code: whatever it raises is the reason to show
            raise _ERRORS[kind](f"the {kind} {name!r} of {point.value} cannot be imported: {error!r}") from error
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise _ERRORS[kind](f"the entry point {point.value} is {cls!r}; it must be a subclass of {base.__name__}.")
        return cls
    if not (_folder(kind) / f"{name}.py").is_file() or name.startswith("_"):
        raise UnknownNameError(kind, name, names(kind))
    try:
        module = importlib.import_module(f"whybench.{kind}s.{name}")
    except Exception as error:  # a contributor's file: whatever it raises is the reason to show
        raise _ERRORS[kind](f"the {kind} {name!r} cannot be imported: {type(error).__name__}: {error}") from error
    return _class_in(module, name, base, kind)


def _import_file(path: Path, kind: Kind) -> ModuleType:
    unique = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    module_name = f"whybench_file_{unique}_{path.stem}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise _ERRORS[kind](f"{path} cannot be imported as Python.")
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up while the class is being made
    sys.modules[module_name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a contributor's file: whatever it raises is the reason to show
        del sys.modules[module_name]
        raise _ERRORS[kind](f"{path} cannot be imported: {type(error).__name__}: {error}") from error
    return module


def _class_in(module: ModuleType, name: str, base: type, kind: Kind) -> type:
    for item in vars(module).values():
        if isinstance(item, type) and issubclass(item, base) and getattr(item, "name", None) == name:
            return item
    raise _ERRORS[kind](
        f"{Path(module.__file__ or name).name} defines no subclass of {base.__name__} with name = {name!r}; "
        f"a {kind}'s name is its file's name."
    )


def _with_parameters(cls: type[Method], parameters: dict[str, Any]) -> Method:
    import dataclasses
    import typing

    from pydantic import TypeAdapter, ValidationError

    known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
    hints = typing.get_type_hints(cls)
    values = {}
    for key, value in parameters.items():
        if key not in known:
            raise UnknownNameError(f"parameter of {cls.name!r}", key, known)
        try:
            values[key] = TypeAdapter(hints[key]).validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"]
            raise ParameterError(f"{cls.name}: {key} is {value!r}; {reason[0].lower()}{reason[1:]}.") from error
    return cls(**values)
