"""Loading methods and tasks: from a file in ``methods/`` or ``tasks/``, from an entry point, or from any file."""

from __future__ import annotations

import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import json
import re
import sys
import typing
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from whybench.bench.choices import CONTRAST, FAMILIES, TASK_KINDS
from whybench.bench.errors import MethodError, ParameterError, TaskError, UnknownNameError, WhybenchError
from whybench.bench.listing import Kind, folder_of, names

if TYPE_CHECKING:
    from whybench.bench.method import Method
    from whybench.bench.task import Task

_ERRORS: dict[Kind, type[WhybenchError]] = {"method": MethodError, "task": TaskError}
_REQUIRED: dict[Kind, dict[str, type]] = {
    "method": {"name": str, "family": str, "signed": bool},
    "task": {"name": str, "summary": str, "suite": str, "labels": tuple, "default_model": str},
}


def load_method(name: str, **parameters: Any) -> Method:
    """Load a method with its parameters.

    Args:
        name: Name of a method, or the path of a Python file that defines one.
        parameters: Its parameters; text is converted to the parameter's type.

    Raises:
        UnknownNameError: There is no such method.
        MethodError: Its file cannot be imported, or defines no usable method of the file's name.
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
        TaskError: Its file cannot be imported, or defines no usable task of the file's name.
    """
    from whybench.bench.task import Task

    task: Task = _load("task", name, Task)()
    return task


def _load(kind: Kind, name: str, base: type) -> Any:
    if name.endswith(".py"):
        path = Path(name).expanduser()
        if not path.is_file():
            raise UnknownNameError(f"{kind} file", name, [])
        return _class_in(_import_file(path, kind), path.stem, base, kind)
    points = list(entry_points(group=f"whybench.{kind}s", name=name))
    is_file = (folder_of(kind) / f"{name}.py").is_file() and not name.startswith("_")
    if len(points) + is_file > 1:
        homes = [f"{kind}s/{name}.py"] * is_file + [point.value for point in points]
        raise _ERRORS[kind](
            f"the {kind} {name!r} is defined {len(homes)} times: {', '.join(homes)}. Rename one of them."
        )
    for point in points:
        try:
            cls = point.load()
        except Exception as error:  # another package's code: whatever it raises is the reason to show
            raise _ERRORS[kind](f"the {kind} {name!r} of {point.value} cannot be imported: {error!r}") from error
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise _ERRORS[kind](f"the entry point {point.value} is {cls!r}; it must be a subclass of {base.__name__}.")
        if getattr(cls, "name", None) != name:
            raise _ERRORS[kind](f"the entry point {name!r} gives a {kind} of the name {getattr(cls, 'name', None)!r}.")
        return _checked(cls, kind)
    if not is_file:
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
            return _checked(item, kind)
    raise _ERRORS[kind](
        f"{Path(module.__file__ or name).name} defines no subclass of {base.__name__} with name = {name!r}; "
        f"a {kind}'s name is its file's name."
    )


def _checked(cls: type, kind: Kind) -> type:
    """The class, if it says everything that one of its kind must say; else the error that names what is wrong."""
    what = f"the {kind} class {cls.__name__}"
    for attribute, wanted in _REQUIRED[kind].items():
        value = getattr(cls, attribute, None)
        if not isinstance(value, wanted):
            raise _ERRORS[kind](f"{what} has {attribute} = {value!r}; it must be of type {wanted.__name__}.")
    name, family = getattr(cls, "name", ""), getattr(cls, "family", None)
    if not re.fullmatch(r"[A-Za-z0-9_]{1,60}", name):
        raise _ERRORS[kind](f"{what} has the name {name!r}; it must be letters, digits and underscores.")
    if kind == "method" and family not in FAMILIES:
        raise _ERRORS[kind](f"{what} has the family {family!r}; it must be one of {', '.join(FAMILIES)}.")
    task_kind = getattr(cls, "kind", None)
    if kind == "task" and task_kind not in TASK_KINDS:
        raise TaskError(f"{what} has the kind {task_kind!r}; it must be one of {', '.join(TASK_KINDS)}.")
    if task_kind == "next_token" and getattr(cls, "labels", None) != CONTRAST:
        raise TaskError(f"{what} explains next tokens; its labels must be {CONTRAST}.")
    if inspect.isabstract(cls):
        missing = ", ".join(sorted(getattr(cls, "__abstractmethods__", ())))
        raise _ERRORS[kind](f"{what} does not define {missing}.")
    return cls


def _with_parameters(cls: type[Method], parameters: dict[str, Any]) -> Method:
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
    method = cls(**values)
    try:
        json.dumps(method.parameters(), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise MethodError(
            f"{cls.name} has parameters that JSON cannot hold ({error}); they are part of its spec."
        ) from error
    return method
