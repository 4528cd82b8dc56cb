"""The overview for the terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from whybench.bench.choices import UNRANKED
from whybench.bench.store import StoredResult
from whybench.leaderboard.attention_page import is_causal, leading, readable
from whybench.leaderboard.boards import Board, boards
from whybench.leaderboard.formatting import MISSING, measured, number, visible
from whybench.leaderboard.robustness import HELP, TITLE, Robustness, robustness
from whybench.leaderboard.skills import HELP as SKILL_HELP
from whybench.leaderboard.skills import TITLE as SKILL_TITLE
from whybench.leaderboard.skills import Skills, skills
from whybench.leaderboard.tables import Column, Row, Table, TableCell, table

# longer words of a heading are cut, longer names are folded
_WORD, _NAME = 11, 34
# between two columns
_GAP = 2


def print_overview(results: Sequence[StoredResult], failures: Sequence[StoredResult], console: Console) -> None:
    """Print the overview: per board the methods with figures, costs and coverage, references apart, failures last.

    Columns that do not fit beside each other go into another table beneath. Of the causal suite's many figures only the
    leading ones are printed.

    Raises:
        UnknownNameError: A result has a figure that the protocol does not know.
    """
    found = boards(results, failures)
    if not found:
        console.print("There are no results yet. Make some with: whybench run")
    tables = [table(board) for board in found]
    for board, whole in zip(found, tables, strict=True):
        view = leading(readable(whole)) if is_causal(board) else whole
        console.print()
        console.print(_title(board))
        if view.rows:
            for part in _parts(view, console.width):
                console.print(_drawn(view, part))
                console.print()
        if view.ranked_by:
            console.print(
                f"Rank: its 95 % interval, by {view.ranked_by.title.lower()}. Rows that share a letter do not differ "
                "significantly.",
                style="dim",
            )
        if len(view.figures) < len(whole.figures):
            more = len(whole.figures) - len(view.figures)
            console.print(f"{more} more figures of each row are on the page “Is attention explanation?”.", style="dim")
        for stored in board.failures:
            name = visible(board.names[stored.result.cell])
            console.print(
                Text.assemble((name, "bold"), f" {stored.result.status}: ", visible(stored.result.error or "", 1000)),
                style="yellow",
            )
        for name, note in board.notes.items():
            console.print(Text.assemble((visible(name), "bold"), ": ", visible(note, 1000)), style="dim")
        if board.environments > 1:
            console.print(
                f"Made in {board.environments} environments: times and memory do not compare.", style="yellow"
            )
    if (made := skills(tables)) is not None:
        _print_skills(made, console)
    for compared in robustness(found):
        _print_robustness(compared, console)


def _print_skills(made: Skills, console: Console) -> None:
    console.print()
    console.print(Text(SKILL_TITLE, style="bold"))
    drawn = RichTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1), header_style="dim")
    names = min(_NAME, max(len(visible(one.name)) for one in made.rows))
    headings = [f"{visible(board.spec.task.name, 40)} ↑" for board in made.boards]
    # by task only where all of them fit beside the names and the two columns over all tasks
    fits = not made.several or names + 24 + sum(1 + max(7, len(heading)) for heading in headings) <= console.width
    drawn.add_column("Method", overflow="fold", min_width=names)
    if made.several:
        drawn.add_column("all tasks ↑", justify="right", no_wrap=True)
        drawn.add_column("beats ↑", justify="right", no_wrap=True)
    for heading in headings if fits else []:
        drawn.add_column(heading, justify="right", no_wrap=True)
    for one in made.rows:
        borda = MISSING if one.borda is None else f"{one.borda:.0%}"
        summed: list[Text | str] = [_cell(one.overall), borda] if made.several else []
        drawn.add_row(Text(visible(one.name)), *summed, *map(_cell, one.cells if fits else ()))
    console.print(drawn)
    console.print(SKILL_HELP, style="dim")
    if not fits:
        console.print(f"By each of the {len(made.boards)} tasks: on the page, or in a wider terminal.", style="dim")
    for one in made.rows:
        if one.why and made.several:
            console.print(Text.assemble((visible(one.name), "bold"), f": {one.why}"), style="dim")
    for title, reason in made.undefined:
        console.print(f"No skill on {visible(title)}: {reason}.", style="dim", markup=False)
    console.print()


def _print_robustness(compared: Robustness, console: Console) -> None:
    task = Text(visible(compared.spec.task.name), style="bold")
    console.print(task.append(f"  {visible(compared.spec.model.name)}: {TITLE.lower()}", style="not bold"))
    drawn = RichTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1), header_style="dim")
    drawn.add_column("Metric")
    for one, two in compared.pairs:
        drawn.add_column(f"{one}, {two}", justify="right")
    for title, taus in compared.rows:
        drawn.add_row(title, *(MISSING if value is None else number(value) for value in taus))
    console.print(drawn)
    console.print(f"{HELP} {compared.methods} methods.", style="dim")


def _title(board: Board) -> Text:
    spec = board.spec
    accuracy = "" if board.accuracy is None else f", accuracy {number(board.accuracy)}"
    suite = ", causal suite" if is_causal(board) else ""
    facts = f"  {visible(spec.model.name)}, {spec.task.examples:,} examples, {spec.operator} by {spec.unit}{accuracy}"
    return Text.assemble((visible(spec.task.name), "bold"), facts, suite)


def _parts(view: Table, width: int) -> list[list[int]]:
    """Indices of the columns of each table: as many as fit, and a group is torn only where no table has room for it."""
    space = width - _names_width(view) - 1
    needed = [_width(view, index) + _GAP for index in range(len(view.columns))]
    parts: list[list[int]] = [[]]
    # the ranks stand in the first table alone
    left = space - (_ranks_width(view) + _GAP if view.ranked_by else 0)
    start = 0
    for _, size in view.groups:
        stop = start + size
        whole = sum(needed[start:stop])
        for index in range(start, stop):
            no_room = needed[index] > left or (index == start and left < whole <= space)
            if parts[-1] and no_room:
                parts.append([])
                left = space
            parts[-1].append(index)
            left -= needed[index]
        start = stop
    return parts


def _names_width(view: Table) -> int:
    return min(_NAME, max(len(_name(row).plain) for row in view.rows))


def _ranks_width(view: Table) -> int:
    return max(len("Rank"), *(len(_rank(row)) for row in view.methods))


def _rank(row: Row) -> str:
    return f"{row.standing.interval} {row.standing.letters}" if row.standing else MISSING


def _width(view: Table, index: int) -> int:
    column = view.columns[index]
    texts = [_heading(column), *(_cell(row.cells[index]).plain for row in view.rows)]
    return max(len(line) for text in texts for line in text.split("\n"))


def _heading(column: Column) -> str:
    words = [
        word if len(word) <= _WORD else f"{word[: _WORD - 1]}." for word in column.title.replace("\u00a0", "").split()
    ]
    lines = textwrap.wrap(" ".join(words), _WORD)
    lines = [*lines[:-1], f"{lines[-1]} {column.arrow}"] if len(lines) > 1 else [lines[0], column.arrow]
    return "\n".join(lines).rstrip()


def _drawn(view: Table, part: Sequence[int]) -> RichTable:
    drawn = RichTable(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 0, 0, 1), header_style="dim")
    drawn.add_column("Method", width=_names_width(view), overflow="fold")
    ranked = view.ranked_by is not None and 0 in part
    if ranked:
        drawn.add_column("Rank\n", min_width=_ranks_width(view), no_wrap=True)
    for index in part:
        drawn.add_column(_heading(view.columns[index]), justify="right", min_width=_width(view, index), no_wrap=True)
    for row in view.methods:
        drawn.add_row(_name(row), *[_rank(row)] * ranked, *(_cell(row.cells[index]) for index in part))
    if view.references:
        drawn.add_section()
    for row in view.references:
        drawn.add_row(_name(row), *[""] * ranked, *(_cell(row.cells[index]) for index in part), style="dim")
    return drawn


def _name(row: Row) -> Text:
    name = Text(visible(row.name))
    if row.stored.standing:
        name.append(f" [{row.stored.standing}]")
    if row.result.family in UNRANKED:
        return name.append(f" ({row.result.family})")
    if not row.complete:
        return name.append(" (incomplete)", style="yellow")
    if row.barred:
        return name.append(f" (fails {', '.join(gate.replace('_', ' ') for gate, _ in row.barred)})", style="yellow")
    return name


def _cell(cell: TableCell) -> Text:
    text = Text(cell.text.replace("\u00a0", " "), style="bold" if cell.best else "")
    if cell.value is not None and cell.low is not None and cell.high is not None:
        # the wider side, so that the interval is never shown narrower than it is
        width = max(cell.high - cell.value, cell.value - cell.low)
        text.append(f"\n±{measured(width) if '·' in cell.text else number(width)}", style="dim not bold")
    return text
