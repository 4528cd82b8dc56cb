"""Files for a new contribution, written from templates: they work as they are, and say TODO where an answer is due."""

from __future__ import annotations

import importlib.util
import keyword
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from whybench.bench.errors import ParameterError, StoreError
from whybench.bench.listing import Kind, folder_of, names

Evidence = Literal["planted", "human"]
Family = Literal["gradient", "attention", "perturbation"]

# names that the templates import
_USED = {
    *("DataError", "Example", "Path", "Random", "Span", "Task", "TaskData", "MissingColumnError"),
    *("Batch", "Classifier", "Matrices", "MatrixMethod", "Method", "OperatorName", "ParameterError", "Tensor"),
}
# text, second text, label, words that are marked
_ROWS = (
    ("A warm and clever film.", "The film is clever.", 1, ("warm", "clever")),
    ("The plot drags badly.", "The plot moves.", 0, ("drags",)),
    ("There is one more screening.", "It is in May.", -1, ("one more",)),
)


class Written(NamedTuple):
    """What was written.

    Attributes:
        file: The contribution.
        test: Its test.
    """

    file: Path
    test: Path


def new_task(
    name: str,
    *,
    evidence: Evidence | None = None,
    pair: bool = False,
    generated: bool = False,
    out: Path | None = None,
) -> Written:
    """Write a task and its test.

    Args:
        name: The task's name.
        evidence: What is known of the words that decide a label, if anything.
        pair: Whether an example has two texts.
        generated: Whether the examples are generated, in place of read.
        out: Folder for both; None takes ``tasks/`` and ``tests/tasks/`` where the current folder is a checkout of
            whybench, and else the current folder.

    Raises:
        ParameterError: The name cannot be used, or there is such a file already.
        StoreError: The files cannot be written.
    """
    if generated and evidence == "human":
        raise ParameterError("evidence is 'human' for generated data; it must be planted or none.")
    values = {
        "class_name": class_name(name, "Task"),
        "evidence": evidence,
        "pair": pair,
        "rows": [(text, second, label, _marks(text, words, pair)) for text, second, label, words in _ROWS],
        "words": _listed([list(words) for *_, words in _ROWS]),
    }
    return _written("task", name, "generated_task" if generated else "task", values, out)


def new_method(name: str, *, family: Family, out: Path | None = None) -> Written:
    """Write a method and its test.

    Args:
        name: The method's name.
        family: What it is made from: ``gradient``, ``attention`` or ``perturbation``.
        out: Folder for both; None takes ``methods/`` and ``tests/methods/`` where the current folder is a checkout of
            whybench, and else the current folder.

    Raises:
        ParameterError: The name cannot be used, or there is such a file already.
        StoreError: The files cannot be written.
    """
    return _written("method", name, "method", {"class_name": class_name(name, "Method"), "family": family}, out)


def _written(kind: Kind, name: str, template: str, values: Mapping[str, object], out: Path | None) -> Written:
    checkout = out is None and _is_checkout(Path())
    folder, tests = (Path(f"{kind}s"), Path(f"tests/{kind}s")) if checkout else (out or Path(), out or Path())
    written = Written(folder / f"{name}.py", tests / f"test_{name}.py")
    check_name(name, kind)
    for path in written:
        if path.exists():
            raise ParameterError(f"{path} is there already, and is left as it is; give another name or --out FOLDER.")
    values = {"name": name, "by_name": checkout, **values}
    templates = zip(written, (f"{template}.py.jinja", f"test_{template}.py.jinja"), strict=True)
    _write({path: _rendered(file, values) for path, file in templates})
    return written


def check_name(name: str, kind: Kind) -> None:
    """Refuse a name that no file of this kind can have.

    Raises:
        ParameterError: It is none, is taken, or is a name that Python or an installed package uses.
    """
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,59}", name):
        raise ParameterError(
            f"the {kind}'s name is {name!r}; it must be letters, digits and underscores, a letter first."
        )
    if keyword.iskeyword(name):
        raise ParameterError(f"the {kind}'s name is {name!r}, a word of Python's own; give another one.")
    taken = {one.casefold() for one in (*names(kind), *(path.stem for path in folder_of(kind).iterdir()))}
    if name.casefold() in taken:
        raise ParameterError(f"there is a {kind} named {name!r} already (whybench list {kind}s); give another name.")
    if name in sys.stdlib_module_names or _is_installed(name):
        raise ParameterError(
            f"the {kind}'s name is {name!r}, which is an installed module's: the file could be imported in its place. "
            "Give another name."
        )


def class_name(name: str, suffix: str) -> str:
    """``far_cues`` as ``FarCues``; with the suffix where that name is taken."""
    camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
    return f"{camel}{suffix}" if camel in _USED or keyword.iskeyword(camel) else camel


def _is_installed(name: str) -> bool:
    """Whether there is such a module, other than a file or folder of the current folder."""
    spec = importlib.util.find_spec(name)
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec is not None else []
    return any(place and Path(place).resolve().parent != Path().resolve() for place in places if place != "built-in")


def _is_checkout(folder: Path) -> bool:
    """Whether a folder is the source tree of whybench."""
    return all((folder / part).exists() for part in ("whybench/__init__.py", "tasks/__init__.py", "tests/tasks"))


def _marks(text: str, words: tuple[str, ...], pair: bool) -> str:
    """The places of words in a text, as the template's data has them, in Python."""
    starts = [(text.index(word), text.index(word) + len(word)) for word in words]
    return str([[0, *place] if pair else list(place) for place in starts])


def _listed(words: list[list[str]]) -> str:
    """In Python, as ruff writes it."""
    return str(words).replace("'", '"')


def _rendered(template: str, values: Mapping[str, object]) -> str:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Python, not HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    return environment.get_template(template).render(values)


def _write(contents: dict[Path, str]) -> None:
    for path, text in contents.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("x", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except OSError as error:
            raise StoreError(f"{path} cannot be written ({error.strerror}). Give another folder with --out.") from error
