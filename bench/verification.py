"""What stands beside a submission once it was verified, and how a board reads both.

``<submission>.verified.json`` lies beside the submission's folder, as no submission may bring one. It holds the digest
of ``submission.json``, which has those of all other files: of a folder that was changed since, it says nothing.
"""

from __future__ import annotations

import datetime
import json
import stat
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, ValidationError

from whybench.bench.choices import Standing
from whybench.bench.errors import StoreError, SubmissionError
from whybench.bench.schema import Digest, Environment, NotNegative, Record
from whybench.bench.store import ResultStore, StoredResult
from whybench.bench.strict_json import NotStrictError, strict_json
from whybench.bench.submission import Tolerance, first_of
from whybench.bench.submission_files import check_table, read_submission

if TYPE_CHECKING:
    from whybench.bench.verify import Setting, Verified

MAX_RECORD_BYTES = 2**16
# the repository's own results stand beside the submissions, and are none (`whybench publish`)
BOARD = "board"


class Verification(Record):
    """That a submission was verified.

    Attributes:
        submission: Digest of its ``submission.json``.
        examples: Examples of each cell that were explained again.
        seed: Which they were.
        largest_map_difference: Relative to the largest score.
        largest_figure_difference: Of probabilities and figures.
        tolerance: What they were held against.
        protections: What was in force while the method ran.
        environment: Where it ran.
        created: UTC time, ISO 8601.
    """

    schema_version: Literal[1] = 1
    submission: Digest
    examples: Annotated[int, Field(ge=1)]
    seed: int
    largest_map_difference: NotNegative
    largest_figure_difference: NotNegative
    tolerance: Tolerance
    protections: dict[str, str]
    environment: Environment
    created: str


def record_of(folder: Path) -> Path:
    """Where the record of a submission lies."""
    folder = folder.resolve()
    return folder.with_name(f"{folder.name}.verified.json")


def write_record(verified: Verified, setting: Setting) -> Path:
    """Write the record of a submission that passed; an earlier record is replaced.

    Raises:
        SubmissionError: It did not pass, or its maps were not made again.
        StoreError: The record cannot be written.
    """
    import torch

    from whybench.bench.environment import environment

    if not verified.passed or verified.submitted is None:
        raise SubmissionError("only a submission whose maps were made again, and that passed, is recorded as verified.")
    made = Verification(
        submission=verified.submitted.digest,
        examples=setting.examples,
        seed=setting.seed,
        largest_map_difference=verified.differences["maps"],
        largest_figure_difference=verified.differences["figures"],
        tolerance=verified.submitted.submission.tolerance,
        protections=verified.protections,
        environment=environment(torch.device(setting.device)),
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    )
    target = record_of(verified.submitted.folder)
    fresh = target.with_name(f".{target.name}-{uuid.uuid4().hex}")
    try:
        fresh.write_text(json.dumps(made.model_dump(mode="json"), indent=2, sort_keys=True) + "\n", encoding="utf-8")
        fresh.replace(target)
    except OSError as error:
        raise StoreError(f"the record {str(target)!r} cannot be written ({error.strerror or error}).") from error
    return target


def standing_of(folder: Path, digest: str) -> Standing:
    """Whether a submission, by the digest of its ``submission.json``, was verified as it is.

    Raises:
        SubmissionError: There is a record, and it cannot be read.
    """
    path = record_of(folder)
    try:
        about = path.lstat()
        if not stat.S_ISREG(about.st_mode):
            raise NotStrictError("it is a link, or another thing that is no file")
        if about.st_size > MAX_RECORD_BYTES:
            raise NotStrictError(f"it has more than {MAX_RECORD_BYTES:,} bytes")
        found = Verification.model_validate_json(json.dumps(strict_json(path.read_bytes())), strict=True)
    except FileNotFoundError:
        return "self-reported"
    except OSError as error:
        raise SubmissionError(f"{str(path)!r} cannot be read ({error.strerror or error}).") from error
    except NotStrictError as error:
        raise SubmissionError(f"{str(path)!r} is no record of a verification: {error}.") from error
    except ValidationError as error:
        raise SubmissionError(f"{str(path)!r} is no record of a verification: {first_of(error)}.") from error
    return "verified" if found.submission == digest else "self-reported"


def submitted_results(root: Path) -> list[StoredResult]:
    """The results of all submissions in a folder, each with its standing; one that stands in several comes once.

    The repository's own results, in the folder `BOARD` beside them, are left out: they are no submission.

    Raises:
        StoreError: There is no such folder.
        SubmissionError: A submission, or a record, cannot be read; the message names it.
    """
    if not root.is_dir():
        raise StoreError(f"there is no folder of submissions {str(root)!r}. Make one with: whybench submit")
    found: dict[str, StoredResult] = {}
    for folder in sorted(root.iterdir()):
        # folders in the making begin with a dot, and files are records or others' notes
        if folder.name.startswith(".") or folder.name == BOARD or not folder.is_dir():
            continue
        try:
            submitted = read_submission(folder)
            for stored in submitted.cells:
                check_table(stored)
        except SubmissionError as error:
            raise SubmissionError(f"the submission {folder.name!r}: {error}") from error
        standing, about = standing_of(folder, submitted.digest), submitted.submission.about.told()
        for stored in submitted.cells:
            if stored.result.cell not in found or standing == "verified":
                found[stored.result.cell] = replace(stored, standing=standing, about=about)
    return list(found.values())


def with_submissions(store: ResultStore, submissions: Path | None) -> list[StoredResult]:
    """The finished results of a folder and of all submissions in another; with these the first need not be there."""
    if submissions is None:
        return store.read_all()
    submitted = submitted_results(submissions)
    return together(store.read_all() if store.root.is_dir() else [], submitted)


def together(made_here: Sequence[StoredResult], submitted: Sequence[StoredResult]) -> list[StoredResult]:
    """All results; a cell that was made here as well is that one, which needs no one's word."""
    own = {stored.result.cell for stored in made_here}
    return [*made_here, *(stored for stored in submitted if stored.result.cell not in own)]
