"""What published copies of results leave out, and how a page says so."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whybench.bench.store import StoredResult
from whybench.leaderboard.command import command


@dataclass(frozen=True)
class LeftOut:
    """What a board of published copies lacks.

    Attributes:
        texts: Whether its data's texts may be published.
        maps: Examples that have texts, maps and curves, the first of the data.
        of: How many examples there are.
        command: What makes a row of it again, in full.
    """

    texts: bool
    maps: int
    of: int
    command: str


def left_out(cells: Sequence[StoredResult]) -> LeftOut | None:
    """What the published copies among the cells of a board lack; None where they lack nothing."""
    copies = [stored.result for stored in cells if stored.result.published is not None]
    fewest = min(copies, key=lambda result: result.published.maps if result.published else 0, default=None)
    if fewest is None or fewest.published is None or fewest.published.maps == fewest.spec.task.examples:
        return None
    return LeftOut(fewest.published.texts, fewest.published.maps, fewest.spec.task.examples, command(fewest))


def drawable(cells: Sequence[StoredResult]) -> list[str]:
    """Ids of the examples that can be drawn under most of these cells: those of the one that has the fewest."""
    found = []
    for stored in cells:
        ids: list[str] = stored.examples.column("example_id").to_pylist()
        found.append(ids if stored.result.published is None else ids[: stored.result.published.maps])
    return min(filter(None, found), key=len, default=[])
