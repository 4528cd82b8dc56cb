"""Reading a submission's folder, every file of which a stranger may have written.

Only plain files of known names are opened, none before its size is known; nothing is imported, unpickled or written.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ValidationError

from whybench.bench.choices import GATES, GateName
from whybench.bench.errors import SubmissionError
from whybench.bench.examples_table import required, schema
from whybench.bench.gates import TOLERANCE
from whybench.bench.listing import folder_of
from whybench.bench.schema import MethodSpec, Randomised, Result
from whybench.bench.store import EXAMPLES, MANIFEST, RESULT, Manifest, StoredResult, digest_of
from whybench.bench.strict_json import NotStrictError, strict_json
from whybench.bench.submission import (
    MAX_CELLS,
    MAX_SOURCE_BYTES,
    SUBMISSION,
    Submission,
    SubmittedCell,
    first_of,
)

Kind = TypeVar("Kind", bound=BaseModel)

MAX_FILES = 5 * MAX_CELLS
MAX_BYTES = 512 * 2**20
_CELL = r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,229}"
# what a file may be called, and how many bytes it may have
ALLOWED: tuple[tuple[re.Pattern[str], int], ...] = (
    (re.compile(re.escape(SUBMISSION)), 2**20),
    (re.compile(rf"cells/{_CELL}/result\.json"), 16 * 2**20),
    (re.compile(rf"cells/{_CELL}/manifest\.json"), 4 * 2**10),
    (re.compile(rf"cells/{_CELL}/examples\.parquet"), 128 * 2**20),
    (re.compile(rf"checks/{_CELL}\.json"), 256 * 2**10),
    (re.compile(r"method/[A-Za-z0-9_]{1,60}\.py"), MAX_SOURCE_BYTES),
)
_DEEPEST = 2
# the others are tried where they are asked for
_GATES: tuple[GateName, ...] = tuple(gate for gate in GATES if gate != "randomised_weights")
_DTYPES = ("float32", "bfloat16", "float16")
_SPLIT = re.compile(r"[A-Za-z0-9_](?:\.?[A-Za-z0-9_\[\]:%+-]){0,99}")
# of one table, by what its footer says and by what comes out of it
MAX_ROWS, MAX_VALUES, MAX_TABLE_BYTES = 200_000, 50_000_000, 2**30
_ROWS_AT_ONCE = 256


def layout(folder: Path) -> dict[str, Path]:
    """The files of a submission by their path within it; no link is followed.

    Raises:
        SubmissionError: There is no such folder, or it holds what a submission may not hold.
    """
    try:
        if not stat.S_ISDIR(folder.lstat().st_mode):
            raise SubmissionError(f"{str(folder)!r} is no folder; give the folder that holds {SUBMISSION}.")
        found, total = {}, 0
        for name, path, size in _walk(folder, ""):
            limit = next((limit for pattern, limit in ALLOWED if pattern.fullmatch(name)), None)
            if limit is None:
                raise SubmissionError(f"it holds {name[:200]!r}, which is no file of a submission.")
            if size > limit:
                raise SubmissionError(f"{name} has {size:,} bytes; at most {limit:,} are allowed.")
            total += size
            found[name] = path
            if len(found) > MAX_FILES or total > MAX_BYTES:
                raise SubmissionError(f"it has more than {MAX_FILES:,} files or {MAX_BYTES:,} bytes.")
    except OSError as error:
        raise SubmissionError(f"{str(folder)!r} cannot be read ({error.strerror or error}).") from error
    if SUBMISSION not in found:
        raise SubmissionError(f"{str(folder)!r} has no {SUBMISSION}; give the folder that holds it.")
    return found


def _walk(folder: Path, above: str) -> Iterator[tuple[str, Path, int]]:
    with os.scandir(folder) as listed:
        for entry in listed:
            name = f"{above}{entry.name}"
            about = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(about.st_mode):
                if name.count("/") >= _DEEPEST:
                    raise SubmissionError(f"it holds the folder {name[:200]!r}, which no submission has.")
                yield from _walk(Path(entry.path), f"{name}/")
            elif stat.S_ISREG(about.st_mode):
                yield name, Path(entry.path), about.st_size
            else:
                raise SubmissionError(f"it holds {name[:200]!r}, which is a link or another thing that is no file.")


def check_digests(files: dict[str, Path], submission: Submission) -> None:
    """Raise SubmissionError where a file is not listed, or is not the one that was listed."""
    listed = {SUBMISSION}
    if submission.source is not None:
        _check_digest(files, submission.source.file, submission.source.digest)
        listed.add(submission.source.file)
    if len({one.cell for one in submission.cells}) < len(submission.cells):
        raise SubmissionError(f"{SUBMISSION} lists a cell twice.")
    for one in submission.cells:
        folder = f"cells/{one.cell}"
        _check_digest(files, f"{folder}/{MANIFEST}", one.manifest)
        manifest = _parsed(files, f"{folder}/{MANIFEST}", Manifest)
        if set(manifest.files) != {RESULT, EXAMPLES}:
            raise SubmissionError(f"{folder}/{MANIFEST} must list {RESULT} and {EXAMPLES}, and nothing else.")
        for name, digest in manifest.files.items():
            _check_digest(files, f"{folder}/{name}", digest)
        listed |= {f"{folder}/{name}" for name in (MANIFEST, RESULT, EXAMPLES)}
        if one.check is not None:
            _check_digest(files, f"checks/{one.cell}.json", one.check)
            listed.add(f"checks/{one.cell}.json")
    if unlisted := sorted(set(files) - listed):
        raise SubmissionError(f"{SUBMISSION} does not list {unlisted[0]!r}, which is there.")


def _check_digest(files: dict[str, Path], name: str, digest: str) -> None:
    if name not in files:
        raise SubmissionError(f"{name} is not there, and {SUBMISSION} lists it.")
    try:
        found = digest_of(files[name])
    except OSError as error:
        raise SubmissionError(f"{name} cannot be read ({error.strerror or error}).") from error
    if found != digest:
        raise SubmissionError(f"{name} is not the file that was submitted: its digest is {found[:12]}…")


def _parsed(files: dict[str, Path], name: str, kind: type[Kind]) -> Kind:
    """A JSON file as a record, strictly: no number in the place of a text, no field too many."""
    try:
        return kind.model_validate_json(json.dumps(strict_json(files[name].read_bytes())), strict=True)
    except OSError as error:
        raise SubmissionError(f"{name} cannot be read ({error.strerror or error}).") from error
    except NotStrictError as error:
        raise SubmissionError(f"{name}: {error}.") from error
    except ValidationError as error:
        raise SubmissionError(f"{name}: {first_of(error)}.") from error


def read_cell(files: dict[str, Path], submission: Submission, listed: SubmittedCell) -> StoredResult:
    """A cell's result and check, without its table.

    Raises:
        SubmissionError: One of them is not valid, or not of this submission.
    """
    name = f"cells/{listed.cell}/{RESULT}"
    result = _parsed(files, name, Result)
    for wrong, said in (
        (result.cell != listed.cell, f"it is the cell {result.cell!r}"),
        (result.status != "finished", "it has not finished"),
        (result.spec.method.name != submission.method, f"it is of the method {result.spec.method.name!r}"),
        (not _is_label(result.label, result.spec.method), f"its label {result.label[:80]!r} is another method's"),
        (result.spec.measure != "faithfulness", "it is of the causal suite, which ranks nobody"),
        (
            result.family in ("reference", "control") or result.bound is not None,
            "it is a yardstick, and those are ours",
        ),
        # a row without a gate would be ranked as if it had passed
        (bool(untried := [gate for gate in _GATES if gate not in result.gates]), f"it lacks the gates {untried}"),
        (_bad_gates(result), "the gate of coverage, or what a gate is held against, is not the protocol's"),
        (result.spec.dtype not in _DTYPES, f"its dtype is {result.spec.dtype[:80]!r}"),
        # it may become part of a path
        (not _SPLIT.fullmatch(result.spec.task.split), f"its split is {result.spec.task.split[:80]!r}"),
        (result.published is not None, "it is a published copy, which has not all maps and curves"),
        (result.elsewhere != submission.elsewhere, "it and the submission differ in whether it was made elsewhere"),
    ):
        if wrong:
            raise SubmissionError(f"{name}: {said}.")
    if listed.check is not None:
        check = _parsed(files, f"checks/{listed.cell}.json", Randomised)
        if check.cell != listed.cell:
            raise SubmissionError(f"checks/{listed.cell}.json is of the cell {check.cell!r}.")
    return StoredResult(files[name].parent, result)


def _bad_gates(result: Result) -> bool:
    """Whether a gate's outcome contradicts what stands beside it."""
    coverage = result.gates.get("coverage")
    whole = result.coverage is not None and not result.coverage.failed
    if coverage is not None and (coverage.status == "passed") != whole:
        return True
    for name in ("determinism", "batch_invariance", "padding_invariance"):
        outcome = result.gates.get(name)
        if outcome is not None and outcome.status == "passed":
            within = outcome.value is not None and outcome.limit == TOLERANCE and outcome.value <= TOLERANCE
            if not within:
                return True
    return False


def _is_label(label: str, method: MethodSpec) -> bool:
    """Whether a label is the method's name, with no more than some of its parameters."""
    pieces = [
        re.escape(f"{name}={one}")
        for name, value in method.parameters.items()
        for one in ((value, tuple(value)) if isinstance(value, list) else (value,))
    ]
    one = f"(?:{'|'.join(pieces)})"
    return re.fullmatch(re.escape(method.name) + (rf"(?:\({one}(?:, {one})*\))?" if pieces else ""), label) is not None


def check_table(stored: StoredResult) -> None:
    """Look at a table's footer and types before it is read, then read it in small parts.

    Raises:
        SubmissionError: It is no Parquet file, too large, or has other columns than such a table has.
    """
    name = f"{stored.folder.name}/{EXAMPLES}"
    metrics = list(stored.result.figures)
    types = {column.name: column.type for column in schema(metrics)}
    try:
        with pq.ParquetFile(stored.folder / EXAMPLES, memory_map=False) as file:
            footer = file.metadata
            groups = [footer.row_group(i) for i in range(min(footer.num_row_groups, 1000))]
            values = sum(group.column(c).num_values for group in groups for c in range(group.num_columns))
            stretched = sum(group.total_byte_size for group in groups)
            if (
                footer.num_row_groups > len(groups)
                or not 0 <= footer.num_rows <= MAX_ROWS
                or sum(group.num_rows for group in groups) != footer.num_rows
                or values > MAX_VALUES
                or stretched > MAX_TABLE_BYTES
            ):
                raise SubmissionError(
                    f"{name} says of itself that it has {footer.num_rows:,} rows, {values:,} values and {stretched:,} "
                    f"bytes; at most {MAX_ROWS:,}, {MAX_VALUES:,} and {MAX_TABLE_BYTES:,} are allowed."
                )
            columns = file.schema_arrow
            for field in columns:
                if field.name not in types or columns.names.count(field.name) > 1:
                    raise SubmissionError(f"{name} has the column {field.name[:80]!r}, which such a table has not.")
                if field.type != types[field.name]:
                    raise SubmissionError(f"{name} has {field.name} as {field.type!s:.80}, not {types[field.name]}.")
            if missing := [one for one in required(metrics) if one not in columns.names]:
                raise SubmissionError(f"{name} has no column {', '.join(missing)[:200]}.")
            leaves = [file.schema.column(i) for i in range(len(file.schema))]
        texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
        size = 0
        # texts as places in a dictionary: what is there once may stand in a million places
        with pq.ParquetFile(stored.folder / EXAMPLES, memory_map=False, read_dictionary=texts) as file:
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE, use_threads=False):
                batch.validate(full=True)
                size += batch.nbytes + sum(_unfolded(column) for column in batch.columns)
                if size > MAX_TABLE_BYTES:
                    raise SubmissionError(f"{name} has more than {MAX_TABLE_BYTES:,} bytes in it.")
    except (OSError, ValueError, pa.ArrowException) as error:
        # the libraries' own words may be long, and may quote the file
        raise SubmissionError(f"{name} cannot be read as a table: {str(error)[:200]!r}.") from error


def _unfolded(column: pa.Array) -> int:
    """Bytes of all texts in a column that is a dictionary, or a list of such; else 0."""
    while pa.types.is_list(column.type):
        column = column.flatten()
    if not pa.types.is_dictionary(column.type):
        return 0
    lengths = pc.take(pc.binary_length(column.dictionary), column.indices)
    return int(pc.sum(lengths).as_py() or 0)


@dataclass(frozen=True)
class Submitted:
    """A submission as it was read: layout, schema and digests hold.

    Attributes:
        folder: Where it is.
        submission: What ``submission.json`` says.
        cells: Its cells; their tables have not been looked at.
        digest: Digest of ``submission.json``, which has those of all other files.
    """

    folder: Path
    submission: Submission
    cells: tuple[StoredResult, ...]
    digest: str


def read_submission(folder: Path) -> Submitted:
    """Read a submission.

    Raises:
        SubmissionError: Its layout, schema or digests do not hold.
    """
    files = layout(folder)
    submission = read_head(files)
    check_digests(files, submission)
    cells = tuple(read_cell(files, submission, one) for one in submission.cells)
    return Submitted(folder, submission, cells, digest_of(files[SUBMISSION]))


def read_head(files: dict[str, Path]) -> Submission:
    """What ``submission.json`` says; SubmissionError where it is not valid, or has the name of one of our methods."""
    try:
        found = Submission.from_json(files[SUBMISSION].read_bytes())
    except OSError as error:
        raise SubmissionError(f"{SUBMISSION} cannot be read ({error.strerror or error}).") from error
    ours = {path.stem.casefold() for path in folder_of("method").glob("*.py")}
    if (found.source is not None or found.elsewhere) and found.method.casefold() in ours:
        raise SubmissionError(
            f"{SUBMISSION}: {found.method!r} is the name of a method of whybench, and this is another one; give it "
            "another name."
        )
    if found.source is not None and (found.elsewhere or found.source.file != f"method/{found.method}.py"):
        raise SubmissionError(f"{SUBMISSION}: {found.source.file!r} is not the source of {found.method!r}.")
    return found
