"""How much the overview shows, and what its controls can choose from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whybench.bench.choices import FAMILIES, Family
from whybench.leaderboard.boards import Board
from whybench.leaderboard.skills import Skills
from whybench.leaderboard.tables import Table

# cells of tables that a page may have: with more of them it weighs over 1.5 MB with its scripts, and is slow to open
MOST_CELLS = 4_800


@dataclass(frozen=True)
class Choices:
    """What the controls of a page can choose from; a control with fewer than two choices tells nothing apart.

    Attributes:
        families: Families of methods.
        tasks: Names of tasks.
        models: Names of models.
        submitted: Whether any row was submitted, so that it is verified or self-reported.
    """

    families: tuple[Family, ...]
    tasks: tuple[str, ...]
    models: tuple[str, ...]
    submitted: bool


def choices(boards: Sequence[Board]) -> Choices:
    """The choices among the rows of these boards."""
    cells = [stored for board in boards for stored in board]
    families = {stored.result.family for stored in cells}
    return Choices(
        tuple(family for family in FAMILIES if family in families),
        tuple(dict.fromkeys(board.spec.task.name for board in boards)),
        tuple(sorted({board.spec.model.name for board in boards})),
        any(stored.standing for stored in cells),
    )


def is_too_large(tables: Sequence[Table], skills: Skills | None) -> bool:
    """Whether one page cannot show all of these tables, and has a line for each beside the table of skill."""
    of_skill = 0 if skills is None else len(skills.rows) * len(skills.boards)
    return of_skill + sum(len(table.rows) * len(table.columns) for table in tables) > MOST_CELLS
