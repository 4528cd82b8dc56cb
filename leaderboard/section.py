"""A board as pages see it, and a method's cell on it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from whybench.bench.schema import Result
from whybench.leaderboard.attention_page import leading
from whybench.leaderboard.boards import Board
from whybench.leaderboard.curve_plot import Plot
from whybench.leaderboard.pairs import Contenders, contenders
from whybench.leaderboard.published import LeftOut, left_out
from whybench.leaderboard.sources import Source
from whybench.leaderboard.tables import Row, Table


@dataclass(frozen=True)
class Section:
    """A board on the pages.

    Attributes:
        table: Its view, with all its columns.
        anchor: Its name within a page.
        task: The task.
        task_href: Page of its examples, or of the causal suite, from the site's root.
        causal: Whether it is of the causal suite, whose figures and examples have a page of their own.
    """

    table: Table
    anchor: str
    task: str
    task_href: str
    causal: bool

    @property
    def board(self) -> Board:
        """Its results."""
        return self.table.board

    @cached_property
    def contenders(self) -> Contenders | None:
        """Its methods that can be compared; None where there are fewer than two."""
        return contenders(self.table)

    @property
    def versus(self) -> str | None:
        """Page of these head to head, from the site's root; None likewise."""
        return f"versus/{self.anchor}.html" if self.contenders else None

    @property
    def lacking(self) -> LeftOut | None:
        """What its published copies leave out; None where they leave out nothing."""
        return left_out([row.stored for row in self.table.rows])

    @property
    def overview(self) -> Table:
        """What the overview shows of it."""
        return leading(self.table) if self.causal else self.table

    @property
    def first(self) -> Row | None:
        """The row with the best mean of the figure that the rows are ranked by; None where none is ranked."""
        return next((row for row in self.table.methods if row.standing), None)


@dataclass(frozen=True)
class Entry:
    """A method's cell on its own page.

    Attributes:
        section: The board that it stands on.
        result: The result.
        name: Its name on the board.
        row: Its row; None where the cell failed.
        view: The table that the row is of.
        plot: Its mean curves; None where the cell failed or has none.
        command: What makes it again.
        sources: Copies of the result files that it was read from.
    """

    section: Section
    result: Result
    name: str
    row: Row | None
    view: Table
    plot: Plot | None
    command: str
    sources: tuple[Source, ...]
