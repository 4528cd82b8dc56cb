"""Results on disk. A cell's folder appears whole or not at all.

::

    RESULTS/
    ├── cells/<task>--<method>--<hash>/   finished cells: result.json, examples.parquet, and manifest.json
    ├── failed/<task>--<method>--<hash>/  cells that failed or were skipped, and have not finished since: the same
    ├── checks/<task>--<method>--<hash>.json  of finished cells, where it was asked for: the randomised-weights check
    └── .writing/                         folders in the making; what a killed run leaves here is never read

A cell is written into ``.writing``, flushed to disk, its files' digests are put into the manifest, last, and the folder
is renamed into place. A finished cell is never written again: its name holds the hash of its spec.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError

from whybench.bench.choices import GateName, Standing
from whybench.bench.errors import CorruptResultError, StoreError
from whybench.bench.examples_table import completed, mistyped, required
from whybench.bench.identities import broken
from whybench.bench.schema import Digest, GateOutcome, Randomised, Result

LEFT_OVER_SECONDS = 24 * 3600
RESULT, EXAMPLES, MANIFEST = "result.json", "examples.parquet", "manifest.json"
# of a published copy: half of a small file would be what these leave out
_SMALLEST = {"compression_level": 19, "use_dictionary": False, "write_statistics": False, "store_schema": False}


class Manifest(BaseModel):
    """Digests of a cell's files; written last."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    manifest_version: Literal[1] = 1
    files: dict[str, Digest]


@dataclass(frozen=True)
class StoredResult:
    """A cell as it was read, its digests checked.

    Attributes:
        folder: Where it is.
        result: The result.
        standing: Of a result that was submitted, whether it was verified; None where it was made here.
        about: Of a result that was submitted, who and what, in the words of those who did: ``authors``, ``paper``, …
    """

    folder: Path
    result: Result
    standing: Standing | None = None
    about: Mapping[str, str] = field(default_factory=dict, hash=False)

    @property
    def randomised(self) -> Randomised | None:
        """The randomised-weights check; None where it was not made.

        Raises:
            CorruptResultError: Its file is damaged, or of another cell.
        """
        path = check_of(self.folder)
        try:
            found = Randomised.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise _corrupt(path, f"it is not a valid check: {error}") from error
        if found.cell != self.folder.name:
            raise _corrupt(path, f"it is of the cell {found.cell!r}")
        return found

    @cached_property
    def gates(self) -> dict[GateName, GateOutcome]:
        """The outcome of every gate that was tried with the cell or later."""
        found = self.randomised
        return self.result.gates if found is None else {**self.result.gates, "randomised_weights": found.outcome}

    @cached_property
    def examples(self) -> pa.Table:
        """The per-example table (see `whybench.bench.examples_table`).

        Raises:
            CorruptResultError: It is not one, or an identity does not hold (`whybench.bench.identities`).
        """
        published = self.result.published is not None
        found = completed(self._read(required(self.result.figures, published=published), None), published=published)
        if (what := broken(self.result, found)) is not None:
            raise _corrupt(self.folder, f"in {EXAMPLES}, {what}")
        return found

    def columns(self, names: Sequence[str]) -> pa.Table:
        """Some columns of the per-example table; the others are not read. CorruptResultError where one is not there."""
        # a published copy is small, and lacks columns that `examples` gives back
        if self.result.published is not None or "examples" in vars(self):
            return self.examples.select(names)
        return self._read(names, names)

    def _read(self, wanted: Sequence[str], columns: Sequence[str] | None) -> pa.Table:
        try:
            with pq.ParquetFile(self.folder / EXAMPLES) as file:
                there = file.schema_arrow
                missing = [name for name in wanted if name not in there.names]
                wrong = mistyped(there, self.result.figures)
                if not missing and not wrong:
                    return file.read(columns=None if columns is None else list(columns))
        except (OSError, pa.ArrowException) as error:
            raise _corrupt(self.folder, f"{EXAMPLES} cannot be read: {error}") from error
        what = f"no column {', '.join(missing)}" if missing else f"another {wrong[0]} than such a table has"
        raise _corrupt(self.folder, f"{EXAMPLES} has {what}")


class ResultStore:
    """The results under one folder.

    Args:
        root: The folder; made when something is written.
    """

    def __init__(self, root: Path) -> None:
        self.root = Path(root)
        self.cells, self.failures, self._writing = self.root / "cells", self.root / "failed", self.root / ".writing"

    def check_writable(self) -> None:
        """Raise StoreError now rather than after an hour of work, where nothing can be written here."""
        probe = self._writing / f"probe-{uuid.uuid4().hex}"
        try:
            probe.mkdir(parents=True)
            (probe / "x").write_text("x")
            shutil.rmtree(probe)
            for left in self._writing.iterdir():
                # a run that was killed left it; one that is still writing is done within seconds
                if time.time() - left.stat().st_mtime > LEFT_OVER_SECONDS:
                    shutil.rmtree(left, ignore_errors=True)
        except OSError as error:
            raise self._unwritable(error) from error

    def finished(self, cell: str) -> bool:
        """Whether the cell is there, whole; CorruptResultError where it is there but damaged."""
        folder = self.cells / cell
        if not folder.exists():
            return False
        read(folder)
        return True

    def write(self, result: Result, examples: pa.Table | None = None) -> Path:
        """Write a cell and return its folder. A finished cell that is already there stays as it is.

        Raises:
            StoreError: It cannot be written.
        """
        done = result.status == "finished"
        target = (self.cells if done else self.failures) / result.cell
        folder = self._writing / f"{result.cell}-{uuid.uuid4().hex}"
        try:
            folder.mkdir(parents=True)
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / RESULT).write_text(result.to_json(), encoding="utf-8")
            if examples is not None:
                options = {} if result.published is None else _SMALLEST
                pq.write_table(examples, folder / EXAMPLES, compression="zstd", **options)
            manifest = Manifest(files={path.name: digest_of(path) for path in sorted(folder.iterdir())})
            for path in folder.iterdir():
                _flush(path)
            (folder / MANIFEST).write_text(manifest.model_dump_json(indent=2) + "\n", encoding="utf-8")
            _flush(folder / MANIFEST)
            _flush(folder)
            if not done:
                # only a failure is ever replaced; moved away first, so that no half of one is left to be read
                self._discard(target)
            if not _put(folder, target):
                # another run was faster: its cell stays
                read(target)
                shutil.rmtree(folder)
                return target
            _flush(target.parent)
            if done:
                self._discard(self.failures / result.cell)
        except OSError as error:
            raise self._unwritable(error) from error
        return target

    def add_check(self, check: Randomised) -> None:
        """Write the randomised-weights check of a finished cell; one that is already there stays as it is.

        Raises:
            StoreError: It cannot be written.
        """
        target = check_of(self.cells / check.cell)
        written = self._writing / f"{check.cell}-{uuid.uuid4().hex}.json"
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(check.model_dump_json(indent=2) + "\n", encoding="utf-8")
            _flush(written)
            with suppress(FileExistsError):
                target.hardlink_to(written)
            written.unlink()
            _flush(target.parent)
        except OSError as error:
            raise self._unwritable(error) from error

    def _discard(self, folder: Path) -> None:
        away = self._writing / f"old-{uuid.uuid4().hex}"
        if folder.exists() and _put(folder, away):
            shutil.rmtree(away)

    def read_all(self) -> list[StoredResult]:
        """All finished cells, by name.

        Raises:
            StoreError: There is no such results folder.
            CorruptResultError: A cell is damaged.
        """
        if not self.root.is_dir():
            raise StoreError(f"there is no results folder {str(self.root)!r}. Make one with: whybench run")
        return [read(folder) for folder in _folders(self.cells)]

    def read_failures(self) -> list[StoredResult]:
        """The last failure of every cell that has not finished, by name."""
        return [read(folder) for folder in _folders(self.failures) if not (self.cells / folder.name).exists()]

    def _unwritable(self, error: OSError) -> StoreError:
        return StoreError(
            f"the results folder {str(self.root)!r} cannot be written ({error.strerror or error}). "
            "Give another one with --results, or mend its permissions. Nothing already written was changed."
        )


def read(folder: Path) -> StoredResult:
    """Read one cell, checking its manifest, digests and schema; CorruptResultError where one does not hold."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_bytes())
        raw = (folder / RESULT).read_bytes()
    except FileNotFoundError as error:
        raise _corrupt(folder, f"{Path(error.filename).name} is not there") from error
    except (OSError, ValueError) as error:
        raise _corrupt(folder, f"it cannot be read: {error}") from error
    if RESULT not in manifest.files:
        raise _corrupt(folder, f"{MANIFEST} does not list {RESULT}")
    for name, digest in manifest.files.items():
        if name not in (RESULT, EXAMPLES):
            raise _corrupt(folder, f"{MANIFEST} lists an unknown file {name!r}")
        if not (folder / name).is_file() or digest_of(folder / name) != digest:
            raise _corrupt(folder, f"{name} is not the file that was written")
    try:
        result = Result.from_json(raw)
    except (json.JSONDecodeError, UnicodeDecodeError, ValidationError) as error:
        raise _corrupt(folder, f"{RESULT} is not a valid result: {error}") from error
    if result.cell != folder.name:
        raise _corrupt(folder, f"it holds the cell {result.cell!r}")
    if result.status == "finished" and EXAMPLES not in manifest.files:
        raise _corrupt(folder, f"a finished cell without {EXAMPLES}")
    return StoredResult(folder, result)


def check_of(folder: Path) -> Path:
    """Where the randomised-weights check of the cell in a folder lies."""
    return folder.parent.parent / "checks" / f"{folder.name}.json"


def _put(folder: Path, target: Path) -> bool:
    """Rename a folder; False where the target is already there."""
    try:
        folder.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            return False
        raise
    return True


def _folders(parent: Path) -> Iterator[Path]:
    return iter(sorted(path for path in parent.iterdir() if path.is_dir())) if parent.is_dir() else iter(())


def _corrupt(folder: Path, reason: str) -> CorruptResultError:
    return CorruptResultError(
        f"the result folder {str(folder)!r} is damaged: {reason}. Move it away and run again to make it anew; "
        "nothing was changed.",
        reason,
    )


def digest_of(path: Path) -> str:
    """SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
