"""Copies of the result files that a site was made from, so that every number leads to its file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from whybench.bench.errors import CorruptResultError
from whybench.bench.store import RESULT, StoredResult


@dataclass(frozen=True)
class Source:
    """A result file.

    Attributes:
        name: The cell.
        href: Its copy, from the site's root.
        digest: SHA-256 of its bytes, as the cell's manifest has it.
        content: Its bytes.
    """

    name: str
    href: str
    digest: str
    content: bytes


def sources(stored: StoredResult, *, earlier: bool = False) -> tuple[Source, ...]:
    """The files of a row: one, or those of all its seeds.

    Args:
        stored: The row's cell.
        earlier: Whether it is of a folder of earlier results: several of these may hold a cell of one name, so that the
            copy has the file's digest in its name.

    Raises:
        CorruptResultError: A file is gone since it was read.
    """
    return tuple(_source(one, earlier) for one in getattr(stored, "cells", ()) or (stored,))


def _source(stored: StoredResult, earlier: bool) -> Source:
    try:
        content = (stored.folder / RESULT).read_bytes()
    except OSError as error:
        raise CorruptResultError(
            f"{str(stored.folder / RESULT)!r} cannot be read any more: {error}. Run whybench leaderboard again.",
            str(error),
        ) from error
    cell, digest = stored.result.cell, hashlib.sha256(content).hexdigest()
    return Source(cell, f"cells/{cell}{f'--{digest[:16]}' if earlier else ''}.json", digest, content)
