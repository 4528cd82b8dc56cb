"""Versions of a row: the same cell, made by several versions of the code."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whybench.bench.matching import identity
from whybench.bench.schema import Result
from whybench.bench.store import StoredResult
from whybench.leaderboard.boards import boards


@dataclass(frozen=True)
class Version:
    """A row as one version of the code made it.

    Attributes:
        stored: Its cell, or the mean over its seeds.
        made: When it was run, ISO 8601; of a rescored cell when the one was run that it was made from.
        board: Key of the board that it is for.
        earlier: Whether it is of a folder of earlier results, so that it stands on no board.
    """

    stored: StoredResult
    made: str
    board: str
    earlier: bool

    @property
    def result(self) -> Result:
        """The result."""
        return self.stored.result

    @property
    def code(self) -> tuple[str, str, str | None]:
        """What made it: digest of the method's source, whybench's version and commit."""
        environment = self.result.environment
        return (self.result.spec.method.source, environment.whybench, environment.commit)

    @property
    def source(self) -> str:
        """The source's digest, short."""
        return self.code[0][:8]

    @property
    def commit(self) -> str:
        """The commit, short, with a plus sign where the sources had been changed since; empty where it is not known."""
        commit, changed, _ = (self.code[2] or "").partition("+")
        return commit[:8] + changed


def versions(rows: Sequence[StoredResult], earlier: Sequence[Sequence[StoredResult]] = ()) -> list[tuple[Version, ...]]:
    """Rows that are there in several versions.

    Two rows are versions of one where `whybench.bench.matching.identity` is the same for both. Of one version there may
    be several cells, as with other metrics or in two folders: the one with most figures counts.

    Args:
        rows: Finished cells of one folder, all that it holds.
        earlier: The same of every folder of earlier results.

    Returns:
        The versions of each, the oldest first.
    """
    found: dict[str, dict[tuple[object, ...], Version]] = {}
    for place, folder in enumerate((rows, *earlier)):
        by_cell = {stored.result.cell: stored.result for stored in folder}
        for board in boards(folder, []):
            of_folder: dict[tuple[object, ...], Version] = {}
            for stored in board.results:
                version = Version(stored, _made(stored.result, by_cell), board.key, earlier=place > 0)
                _keep(of_folder, (_identity(stored), *version.code), version)
            for (name, *code), version in of_folder.items():
                _keep(found.setdefault(str(name), {}), (*code, version.made), version)
    several = (list(one.values()) for one in found.values() if len(one) > 1)
    return [tuple(sorted(one, key=lambda v: (v.made, v.result.cell))) for one in several]


def _keep(known: dict[tuple[object, ...], Version], key: tuple[object, ...], version: Version) -> None:
    if key not in known or len(version.result.figures) > len(known[key].result.figures):
        known[key] = version


def _identity(stored: StoredResult) -> str:
    # what somebody submitted is no version of what is somebody else's
    whose = "" if stored.standing is None else f"submitted by {stored.about.get('authors')}"
    # nor is the mean over some seeds one of that over others
    cells = getattr(stored, "cells", ()) or (stored,)
    return "\n".join([whose, *(identity(one.result.spec) for one in cells)])


def _made(result: Result, by_cell: dict[str, Result]) -> str:
    origin = by_cell.get(result.rescored_from or "")
    # always an older one, so that this ends whatever a file says
    return _made(origin, by_cell) if origin is not None and origin.created < result.created else result.created
