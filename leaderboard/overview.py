"""What the overview shows of every board, and what its controls can choose from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from whybench.bench.choices import FAMILIES, Family
from whybench.leaderboard.boards import Board
from whybench.leaderboard.skills import SKILL_METRICS
from whybench.leaderboard.tables import COST, COVERAGE, HEADINGS, Row, Table

# cells of tables that a page may have: more of them, and it is slow to load and too large to send
MOST_CELLS = 8_000


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


def is_too_large(tables: Iterable[Table]) -> bool:
    """Whether one page cannot show all of these tables with all their columns."""
    return sum(len(table.rows) * len(table.columns) for table in tables) > MOST_CELLS


def brief(table: Table) -> Table:
    """A board with the columns that say most: those of skill, the first of evidence and of cost, and the coverage."""
    first: dict[str, str] = {}
    for column in table.columns:
        first.setdefault(column.group, column.key)
    wanted = {*SKILL_METRICS, *(first.get(group) for group in (*HEADINGS.values(), COST, COVERAGE))}
    kept = [i for i, column in enumerate(table.columns) if i == 0 or column.key in wanted]

    def cut(rows: Sequence[Row]) -> tuple[Row, ...]:
        return tuple(replace(row, cells=tuple(row.cells[i] for i in kept)) for row in rows)

    columns = tuple(table.columns[i] for i in kept)
    return replace(table, columns=columns, methods=cut(table.methods), references=cut(table.references))
