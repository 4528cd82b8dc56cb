"""Skill of every method on every task, between chance and the best that is known, and over all tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from whybench.bench.figures import FIGURES
from whybench.bench.skill import Contest, Overall, Skill, overall, skill
from whybench.bench.store import StoredResult
from whybench.bench.workers import Apply
from whybench.leaderboard.boards import Board, one_per_task
from whybench.leaderboard.columns import matrix
from whybench.leaderboard.formatting import interval, number
from whybench.leaderboard.ranks import Standing, standing
from whybench.leaderboard.tables import Row, Table, TableCell

SKILL_METRICS = ("comprehensiveness", "sufficiency")
TITLE = "Skill"
HELP = (
    "0 is chance (the mean of random orders), 1 the best order that a search by the metric itself found; the mean of "
    "comprehensiveness and sufficiency."
)


@dataclass(frozen=True)
class SkillRow:
    """A method's line.

    Attributes:
        rows: Its rows on the boards.
        name: Its name on the boards.
        overall: Mean skill over the tasks, where it can be ranked on all of them.
        borda: Share of the other methods that it beats, over the same tasks; None likewise.
        standing: Its place by overall skill; None likewise, and for a method alone.
        cells: Per column its skill.
        why: Why it has no overall figure; empty where it has one.
    """

    rows: tuple[Row, ...]
    name: str
    overall: TableCell
    borda: float | None
    standing: Standing | None
    cells: tuple[TableCell, ...]
    why: str

    @property
    def row(self) -> Row:
        """One of its rows, which says what it is."""
        return self.rows[0]

    @property
    def submitted(self) -> str | None:
        """What is known of its rows, as of the weakest of them."""
        found = {row.stored.standing for row in self.rows}
        return next((standing for standing in ("self-reported", "verified") if standing in found), None)

    @property
    def passed(self) -> bool:
        """Whether it passed every gate on all of them."""
        return all(row.eligible for row in self.rows)


@dataclass(frozen=True)
class Yardstick:
    """An end of the scale.

    Attributes:
        stored: The reference's cell on one of the boards.
        name: Its name there.
        skill: Its skill, by definition.
    """

    stored: StoredResult
    name: str
    skill: int


@dataclass(frozen=True)
class Skills:
    """The table.

    Attributes:
        boards: The board of every column.
        rows: The methods, the best first, those without an overall figure last.
        yardsticks: The references at both ends, the ceilings first.
        undefined: Task and model of boards without skill, and why.
        bare: How many boards lack a reference at either end.
    """

    boards: tuple[Board, ...]
    rows: tuple[SkillRow, ...]
    yardsticks: tuple[Yardstick, ...]
    undefined: tuple[tuple[str, str], ...]
    bare: int

    @property
    def several(self) -> bool:
        """Whether there is more than one column, so that an overall figure says something."""
        return len(self.boards) > 1

    @property
    def ranked(self) -> bool:
        """Whether any row has a standing."""
        return any(one.standing for one in self.rows)


@dataclass(frozen=True)
class _Scale:
    """A board with both ends of the scale.

    Attributes:
        board: The board.
        rows: Its methods with figures on all examples, by name.
        floor: The reference that is chance.
        ceilings: Per metric the reference that is the best known.
    """

    board: Board
    rows: dict[str, Row]
    floor: StoredResult
    ceilings: tuple[StoredResult, ...]

    def contests(self, names: Sequence[str]) -> list[Contest]:
        """These methods between the two ends, by each metric."""
        found = []
        for metric, ceiling in zip(SKILL_METRICS, self.ceilings, strict=True):
            stored = (*(self.rows[name].stored for name in names), self.floor, ceiling)
            values = matrix(stored, metric)
            higher = bool(FIGURES[metric].higher_is_better)
            found.append(Contest(metric, values[:, :-2], values[:, -2], values[:, -1], higher))
        return found


def skills(tables: Sequence[Table], apply: Apply = map) -> Skills | None:
    """Skill by every board of faithfulness that has its references; None where none has.

    Of several boards of a task with the same model the one with most examples counts, and of its operators the first.

    Args:
        tables: Views of the boards.
        apply: Calls the function that takes long on each task.

    Raises:
        ComparisonError: On a board the methods and the references have no example in common.
    """
    views = {view.board.key: view for view in tables}
    chosen = one_per_task([view.board for view in tables])
    scales = [scale for board in chosen if (scale := _scale(views[board.key])) is not None and scale.rows]
    made = apply(skill, [scale.contests(list(scale.rows)) for scale in scales])
    by_task = list(zip(scales, made, strict=True))
    undefined = tuple((_title(scale.board), made.undefined) for scale, made in by_task if made.means is None)
    defined = [(scale, made) for scale, made in by_task if made.means is not None]
    if not defined:
        return None
    columns = tuple(scale.board for scale, _ in defined)
    return Skills(columns, _rows(defined, apply), _yardsticks(defined[0][0]), undefined, len(chosen) - len(scales))


def _yardsticks(scale: _Scale) -> tuple[Yardstick, ...]:
    ends = [(scale.floor, 0), *((ceiling, 1) for ceiling in scale.ceilings)]
    return tuple(Yardstick(stored, scale.board.names[stored.result.cell], skill) for stored, skill in reversed(ends))


def _title(board: Board) -> str:
    return f"{board.spec.task.name} with {board.spec.model.name}"


def _scale(view: Table) -> _Scale | None:
    board = view.board
    floors = [stored for stored in board.results if stored.result.bound == "floor" and _has_figures(stored)]
    ceilings = {
        stored.result.spec.method.parameters.get("metric"): stored
        for stored in board.results
        if stored.result.bound == "ceiling"
    }
    if not floors or not all(name in ceilings and _has_figures(ceilings[name]) for name in SKILL_METRICS):
        return None
    rows = {row.name: row for row in view.methods if row.complete and _has_figures(row.stored)}
    return _Scale(board, rows, floors[0], tuple(ceilings[name] for name in SKILL_METRICS))


def _has_figures(stored: StoredResult) -> bool:
    return all(name in stored.result.figures for name in SKILL_METRICS)


def _rows(defined: Sequence[tuple[_Scale, Skill]], apply: Apply) -> tuple[SkillRow, ...]:
    names = list(dict.fromkeys(name for scale, _ in defined for name in scale.rows))
    reasons = {name: _why_not(name, [scale for scale, _ in defined]) for name in names}
    everywhere = [name for name in names if not reasons[name]]
    contests = {scale.board.key: scale.contests(everywhere) for scale, _ in defined}
    total = overall(contests, apply=apply) if everywhere else None
    made = []
    for name in names:
        rows = tuple(scale.rows[name] for scale, _ in defined if name in scale.rows)
        cells = tuple(_of_task(scale, found, name) for scale, found in defined)
        summed, borda, place = TableCell(), None, None
        if total and name in everywhere:
            summed, borda, place = _of_all(total, everywhere, everywhere.index(name))
        made.append(SkillRow(rows, name, summed, borda, place, cells, reasons[name]))
    made.sort(key=lambda one: (one.overall.value is None, -(one.overall.value or 0.0), one.name))
    shown = [one.overall.text for one in made if one.overall.value is not None]
    if len(set(shown)) < 2:
        return tuple(made)
    return tuple(
        replace(one, overall=replace(one.overall, best=True)) if one.overall.text == shown[0] else one for one in made
    )


def _why_not(name: str, scales: Sequence[_Scale]) -> str:
    for scale in scales:
        task = scale.board.spec.task.name
        if name not in scale.rows:
            return f"no figures on all examples of {task}"
        if scale.rows[name].barred:
            return f"fails {scale.rows[name].barred[0][0].replace('_', ' ')} on {task}"
    return ""


def _of_task(scale: _Scale, found: Skill, name: str) -> TableCell:
    if name not in scale.rows or found.means is None or found.intervals is None:
        return TableCell()
    place = list(scale.rows).index(name)
    return _cell(found.means[place], *found.intervals[:, place])


def _of_all(total: Overall, names: Sequence[str], place: int) -> tuple[TableCell, float | None, Standing | None]:
    if total.means is None or total.intervals is None:
        return TableCell(), None, None
    borda = None if total.borda is None else float(total.borda[place])
    ordered = None
    if total.order is not None:
        several = len(total.tasks) > 1
        over = f"resamples of the examples{f' of each of {len(total.tasks)} tasks' if several else ''}"
        ordered = standing(total.order, names, place, "overall skill" if several else "skill", over)
    return _cell(total.means[place], *total.intervals[:, place]), borda, ordered


def _cell(mean: float, low: float, high: float) -> TableCell:
    return TableCell(number(float(mean)), float(mean), interval(float(low), float(high)), float(low), float(high))
