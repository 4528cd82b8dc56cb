"""What a submission is: results with who made them and with what, in one folder, ready for a pull request.

::

    leaderboard/results/<method>--<hash>/
    ├── submission.json                            who, what, and digests of all other files
    ├── cells/<cell>/result.json, examples.parquet, manifest.json
    ├── checks/<cell>.json                         where the randomised-weights check was made
    └── method/<method>.py                         the method's source, where it is a file of its own

It is a results folder as `whybench run` writes them, with two things more. Beside it, and never in it, stands
``<method>--<hash>.verified.json`` (`whybench.bench.verification`).
"""

from __future__ import annotations

import json
import re
import shutil
import tomllib
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, ValidationError

from whybench.bench.errors import MethodError, SubmissionError, UnknownNameError, WhybenchError
from whybench.bench.schema import Digest, Name, Record
from whybench.bench.store import ResultStore, StoredResult, digest_of
from whybench.bench.strict_json import NotStrictError, strict_json

if TYPE_CHECKING:
    from whybench.bench.method import Method

SUBMISSION = "submission.json"
MAX_SOURCE_BYTES = 256 * 2**10
MAX_CELLS = 200
# what another processor or version of torch may make of the same method: beyond it a submission cannot ask for leave
MAX_MAP_TOLERANCE, MAX_FIGURE_TOLERANCE = 1e-2, 1e-2

CellName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,229}$")]
Url = Annotated[str, Field(pattern=r"^https?://[!-~]{3,490}$")]
Text = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Licence = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9.+() -]{1,99}$")]


class About(Record):
    """Who made a method, and where it is described.

    Attributes:
        authors: Their names.
        paper: Address of the paper; None where there is none.
        code: Address of the code.
        licence: Licence of the code, an SPDX expression.
        contact: Where to ask; None where nobody wants to be asked.
    """

    authors: Annotated[tuple[Text, ...], Field(min_length=1, max_length=50)]
    paper: Url | None
    code: Url
    licence: Licence
    contact: Text | None = None

    def told(self) -> dict[str, str]:
        """What is known, by name, for the board."""
        told = {"authors": ", ".join(self.authors), "paper": self.paper, "code": self.code, "licence": self.licence}
        return {name: text for name, text in (*told.items(), ("contact", self.contact)) if text}


class Tolerance(Record):
    """How far a run elsewhere may be from what was submitted.

    Attributes:
        maps: Largest difference of two maps, relative to the larger one's largest score.
        figures: Largest difference of an example's probabilities and figures from the same map.
    """

    maps: Annotated[float, Field(gt=0, le=MAX_MAP_TOLERANCE)] = 1e-3
    figures: Annotated[float, Field(gt=0, le=MAX_FIGURE_TOLERANCE)] = 1e-3


class SourceFile(Record):
    """The method's file in the submission, and its digest."""

    file: Annotated[str, Field(pattern=r"^method/[A-Za-z0-9_]{1,60}\.py$")]
    digest: Digest


class SubmittedCell(Record):
    """One cell, by the digests of its manifest, which has those of its files, and of its check."""

    cell: CellName
    manifest: Digest
    check: Digest | None = None


class Submission(Record):
    """The file ``submission.json``.

    Attributes:
        method: The method's name.
        about: Who and what.
        whybench: Version that packed it.
        source: The method's own file; None where it is one of whybench's or of an installed package, or where the
            scores were made elsewhere.
        elsewhere: Whether the scores were made elsewhere: then they cannot be made again.
        tolerance: How far another run may be from it.
        cells: The cells.
    """

    schema_version: Literal[1] = 1
    method: Name
    about: About
    whybench: Annotated[str, Field(max_length=50)]
    source: SourceFile | None
    elsewhere: bool = False
    tolerance: Tolerance
    cells: Annotated[tuple[SubmittedCell, ...], Field(min_length=1, max_length=MAX_CELLS)]

    def to_json(self) -> str:
        """Indented JSON with a final newline."""
        return json.dumps(self.model_dump(mode="json"), indent=2, sort_keys=True) + "\n"

    @classmethod
    def from_json(cls, raw: bytes) -> Submission:
        """Read and validate.

        Raises:
            SubmissionError: It is not one.
        """
        try:
            return cls.model_validate_json(json.dumps(strict_json(raw)), strict=True)
        except NotStrictError as error:
            raise SubmissionError(f"{SUBMISSION}: {error}.") from error
        except ValidationError as error:
            raise SubmissionError(f"{SUBMISSION}: {first_of(error)}.") from error


def first_of(error: ValidationError) -> str:
    """What is wrong first, and where, in a length that can be read."""
    first = error.errors(include_url=False)[0]
    where = ".".join(map(str, first["loc"]))[:80]
    return f"{where}: {first['msg'][:300]}" if where else first["msg"][:300]


@dataclass
class Draft:
    """A submission in the making.

    Attributes:
        method: The method's name.
        cells: Its finished cells.
        source: Its file, where it is one of its own.
        missing: What keeps it from being submitted.
        said: What the submitter should know, and what keeps it from nothing.
        about: Who and what, once it is complete.
    """

    method: str
    cells: list[StoredResult] = field(default_factory=list)
    source: Path | None = None
    missing: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    about: About | None = None


_ABOUT = {
    "authors": "who made the method (--author NAME, repeatable)",
    "paper": "the paper's address, or none where there is none (--paper URL)",
    "code": "the code's address (--code URL)",
    "licence": "the code's licence, such as MIT or Apache-2.0 (--licence)",
}


def read_about(path: Path) -> dict[str, Any]:
    """Who and what, from a TOML or JSON file with the names of `About`.

    Raises:
        SubmissionError: It cannot be read, or says something else.
    """
    try:
        raw = path.read_bytes()
        found = strict_json(raw) if path.suffix == ".json" else tomllib.loads(raw.decode("utf-8"))
    except OSError as error:
        raise SubmissionError(f"{str(path)!r} cannot be read ({error.strerror or error}).") from error
    except ValueError as error:
        raise SubmissionError(f"{path.name} cannot be read: {error}.") from error
    known = About.model_fields
    if not isinstance(found, dict) or (strange := sorted(set(found) - set(known))):
        named = repr(strange[0]) if isinstance(found, dict) else "no names at all"
        raise SubmissionError(f"{path.name} has {named}; it may have {', '.join(known)}.")
    return found


def draft(store: ResultStore, wanted: str, parameters: Mapping[str, str], about: Mapping[str, Any]) -> Draft:
    """Collect all that a submission needs, and say all that is missing.

    Args:
        store: The results.
        wanted: Name of a method, or the path of its file.
        parameters: Of the method's cells only those with these parameters.
        about: Values of `About`, as far as they are given; a paper may be ``none``.

    Raises:
        StoreError: There is no such results folder, or a cell is damaged.
    """
    path = Path(wanted).expanduser() if wanted.endswith(".py") else None
    made = Draft(wanted if path is None else path.stem)
    _describe(made, about)
    results = store.read_all()
    replaced = {stored.result.rescored_from for stored in results}
    named = [stored for stored in results if stored.result.spec.method.name == made.method]
    chosen = [
        stored
        for stored in named
        if stored.result.cell not in replaced
        and all(str(stored.result.spec.method.parameters.get(key)) == value for key, value in parameters.items())
    ]
    made.cells = [stored for stored in chosen if stored.result.spec.measure == "faithfulness"]
    if len(made.cells) < len(chosen):
        made.said.append(f"{len(chosen) - len(made.cells)} cells of the causal suite are left out: it ranks nobody.")
    if not made.cells:
        with_these = f" with {', '.join(f'{k}={v}' for k, v in parameters.items())}" if parameters else ""
        made.missing.append(
            f"results: {str(store.root)!r} has no finished cell of {made.method}{with_these} (whybench run --method …)"
        )
    if copies := [stored.result.cell for stored in made.cells if stored.result.published is not None]:
        made.missing.append(
            f"results in full: {copies[0]} is a published copy, without the maps and curves of all examples. Run it "
            "again into another folder"
        )
    if len(made.cells) > MAX_CELLS:
        made.missing.append(f"a choice: {len(made.cells)} cells are more than {MAX_CELLS} (NAME:key=value)")
    _judge(made, store.read_failures())
    if made.cells and not any(stored.result.elsewhere for stored in made.cells):
        _find_source(made, wanted, path)
    return made


def _describe(made: Draft, about: Mapping[str, Any]) -> None:
    given = {name: value for name, value in about.items() if value not in (None, "", [], ())}
    lacking = [name for name in _ABOUT if name not in given]
    made.missing += [f"{name}: {_ABOUT[name]}" for name in lacking]
    if given.get("paper") == "none":
        given["paper"] = None
    # stand-ins for what is missing, so that what is wrong with the rest is said with it
    stand_ins: dict[str, Any] = {"authors": ["x"], "paper": None, "code": "https://x.yz", "licence": "MIT"}
    try:
        found = About.model_validate({**stand_ins, **given})
    except ValidationError as error:
        for one in error.errors(include_url=False):
            name = str(one["loc"][0])
            made.missing.append(f"{name}: {_ABOUT.get(name, name)}; {given[name]!r:.100} is no such: {one['msg']}")
        return
    made.about = None if lacking else found


def _judge(made: Draft, failures: Sequence[StoredResult]) -> None:
    """What is no obstacle, and keeps a row from being ranked or shown as wished."""
    for stored in made.cells:
        result = stored.result
        if result.family in ("reference", "control") or result.bound is not None:
            made.missing.append(
                f"a method: {result.label} is a yardstick ({result.family}), and yardsticks are whybench's"
            )
            break
    for stored in made.cells:
        failed = [name for name, outcome in stored.gates.items() if outcome.status == "failed"]
        if failed:
            made.said.append(f"{stored.result.cell} fails {', '.join(failed)}, and will be shown and not ranked.")
    for stored in failures:
        if stored.result.spec.method.name == made.method:
            made.said.append(f"{stored.result.cell} has failed and is left out: {stored.result.error:.200}")


def _find_source(made: Draft, wanted: str, path: Path | None) -> None:
    """The method as it is now has to be what made the results."""
    from whybench.bench.registry import load_method

    try:
        if path is not None:
            problem = _not_alone(path)
            if problem:
                made.missing.append(problem)
                return
        for stored in made.cells:
            spec = stored.result.spec.method
            loaded: Method = load_method(wanted if path is None else str(path), **spec.parameters)
            if loaded.source_digest() != spec.source:
                made.missing.append(
                    f"results of the method as it is now: {stored.result.cell} was made by another version of "
                    f"{made.method} (or of whybench). Run it again; {made.method}'s other results stay"
                )
                return
    except UnknownNameError:
        made.missing.append(
            f"the source: no method is named {made.method}. Give its file in place of its name, as to whybench run"
            if path is None
            else f"the source: there is no file {str(path)!r}"
        )
    except (MethodError, WhybenchError) as error:
        made.missing.append(f"a method that can be loaded: {error}")
    else:
        made.source = path


def _not_alone(path: Path) -> str:
    """Why a file cannot be submitted as it is; empty where it can."""
    from whybench.bench.source import files_of

    if not re.fullmatch(r"[A-Za-z0-9_]{1,60}\.py", path.name):
        return f"a file name of letters, digits and underscores: {path.name!r}"
    if not path.is_file():
        raise UnknownNameError("method file", str(path), [])
    if (size := path.stat().st_size) > MAX_SOURCE_BYTES:
        return f"a smaller file: {path.name} has {size:,} bytes; at most {MAX_SOURCE_BYTES:,} are taken"
    try:
        beside = [one.name for one in files_of(path) if one.parent == path.resolve().parent and one != path.resolve()]
    except (SyntaxError, ValueError) as error:
        return f"a file of Python: {path.name}: {error}"
    if beside:
        return f"a method in one file: {path.name} imports {', '.join(beside)} beside it; put all into one file"
    return ""


def write(made: Draft, out: Path, tolerance: Tolerance) -> Path:
    """Write a complete draft; the folder appears whole or not at all, and over nothing.

    Args:
        made: A draft that misses nothing.
        out: Folder of the submissions.
        tolerance: How far another run may be from it.

    Returns:
        The submission's folder.

    Raises:
        SubmissionError: Something is missing, it is there already, or it does not pass its own static checks.
        StoreError: A cell is damaged.
    """
    from importlib.metadata import version

    from whybench.bench.submission_checks import static_report

    if made.missing or made.about is None:
        raise SubmissionError(f"the submission of {made.method} is not complete: {'; '.join(made.missing)}.")
    fresh = out / f".{made.method}-{uuid.uuid4().hex}"
    try:
        fresh.mkdir(parents=True)
        cells = [_copied(stored, fresh) for stored in made.cells]
        source = None
        if made.source is not None:
            file = f"method/{made.method}.py"
            (fresh / "method").mkdir()
            shutil.copyfile(made.source, fresh / file)
            source = SourceFile(file=file, digest=digest_of(fresh / file))
        submission = Submission(
            method=made.method,
            about=made.about,
            whybench=version("whybench"),
            source=source,
            elsewhere=any(stored.result.elsewhere for stored in made.cells),
            tolerance=tolerance,
            cells=tuple(cells),
        )
        (fresh / SUBMISSION).write_text(submission.to_json(), encoding="utf-8")
        report = static_report(fresh)
        if not report.passed:
            reason = next(one for one in report.findings if one.status == "failed")
            raise SubmissionError(f"the submission would not pass {reason.check}: {reason.told()}")
        target = out / f"{made.method}--{digest_of(fresh / SUBMISSION)[:12]}"
        if target.exists():
            raise SubmissionError(f"{str(target)!r} is there already: it holds this very submission.")
        fresh.rename(target)
    except OSError as error:
        raise SubmissionError(
            f"the submission cannot be written to {str(out)!r} ({error.strerror or error}). "
            "Give another folder with --out. Nothing that was there has changed."
        ) from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def _copied(stored: StoredResult, fresh: Path) -> SubmittedCell:
    """Copy a cell and its check."""
    cell = stored.result.cell
    folder = fresh / "cells" / cell
    folder.mkdir(parents=True)
    for name in ("result.json", "examples.parquet", "manifest.json"):
        shutil.copyfile(stored.folder / name, folder / name)
    check = None
    if stored.randomised is not None:
        (fresh / "checks").mkdir(exist_ok=True)
        shutil.copyfile(stored.folder.parent.parent / "checks" / f"{cell}.json", fresh / "checks" / f"{cell}.json")
        check = digest_of(fresh / "checks" / f"{cell}.json")
    return SubmittedCell(cell=cell, manifest=digest_of(folder / "manifest.json"), check=check)
