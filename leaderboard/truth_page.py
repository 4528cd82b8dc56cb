"""The page "Which metric can I trust?": how far metrics order methods as the planted evidence does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whybench.bench.metric import FaithfulnessMetric
from whybench.bench.metrics import METRICS
from whybench.bench.truth import Agreement, Trial, Trust, trust
from whybench.bench.workers import Apply
from whybench.leaderboard.boards import Board, one_per_task
from whybench.leaderboard.columns import matrices
from whybench.leaderboard.dot_plot import DotPlot, dot_plot
from whybench.leaderboard.formatting import interval, number
from whybench.leaderboard.tables import Row, Table, TableCell

TITLE = "Which metric can I trust?"
TRUTH = "average_precision"


@dataclass(frozen=True)
class Judged:
    """A task's board, and the methods on it.

    Attributes:
        board: Its results.
        methods: Name and mean average precision of the methods that were compared, the best first.
        left_out: Methods of the board that may not be ranked on it, or have no average precision.
    """

    board: Board
    methods: tuple[tuple[str, float], ...]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class MetricRow:
    """A metric's line.

    Attributes:
        metric: The metric.
        overall: Mean τ-b over the tasks; empty where one of them has none.
        cells: Per task its τ-b.
    """

    metric: FaithfulnessMetric
    overall: TableCell
    cells: tuple[TableCell, ...]


@dataclass(frozen=True)
class TruthPage:
    """The page.

    Attributes:
        tasks: The board of every column.
        rows: The metrics, the best first, those without a figure over all tasks last.
        plot: The figures that the rows are sorted by; None where no metric has one.
        bare: Task and model of boards with planted evidence that are no column, and why.
    """

    tasks: tuple[Judged, ...]
    rows: tuple[MetricRow, ...]
    plot: DotPlot | None
    bare: tuple[tuple[str, str], ...]

    @property
    def several(self) -> bool:
        """Whether there is more than one column, so that a figure over all says something."""
        return len(self.tasks) > 1


@dataclass(frozen=True)
class _Estimate:
    mean: float
    low: float
    high: float


def truth_page(tables: Sequence[Table], apply: Apply = map) -> TruthPage | None:
    """What the page shows; None where no board of faithfulness has planted evidence and enough methods.

    Of several boards of a task with the same model the one with most examples counts, and of its operators the first.

    Args:
        tables: Views of the boards.
        apply: Calls the function that takes long on each task.

    Raises:
        ComparisonError: The methods of a board have no example in common.
    """
    judged: dict[str, Judged] = {}
    trials: dict[str, list[Trial]] = {}
    views = {view.board.key: view for view in tables}
    for board in one_per_task([view.board for view in tables if view.board.evidence == "planted"]):
        methods = views[board.key].methods
        rows = [row for row in methods if row.eligible and TRUTH in row.result.figures]
        precision = {row.name: row.result.figures[TRUTH].mean for row in rows}
        left_out = tuple(row.name for row in methods if row.name not in precision)
        judged[board.key] = Judged(board, tuple(sorted(precision.items(), key=lambda p: (-p[1], p[0]))), left_out)
        trials[board.key] = _trials(rows)
    found = trust(trials, apply=apply)
    shown = [key for key in judged if any(_defined(one, key) for one in found.values())]
    if not shown:
        return None
    rows_of_page = _rows(found, [judged[key] for key in shown])
    bare = tuple((f"{j.board.spec.task.name} with {j.board.spec.model.name}", _why(j)) for j in _without(judged, shown))
    return TruthPage(tuple(judged[key] for key in shown), rows_of_page, _plot(rows_of_page, len(shown) > 1), bare)


def _without(judged: Mapping[str, Judged], shown: Sequence[str]) -> list[Judged]:
    return [one for key, one in judged.items() if key not in shown]


def _why(one: Judged) -> str:
    count = len(one.methods)
    return f"{count} ranked method{'' if count == 1 else 's'} with recovery; an order needs at least 3"


def _defined(one: Trust, key: str) -> bool:
    return key in one.tasks


def _trials(rows: Sequence[Row]) -> list[Trial]:
    """A trial for every metric with a better end, of the methods that have it."""
    made = []
    for name, metric in METRICS.items():
        having = [row.stored for row in rows if name in row.result.figures]
        if metric.higher_is_better is not None and having:
            recovery, values = matrices(having, (TRUTH, name))
            made.append(Trial(name, values, recovery, metric.higher_is_better))
    return made


def _rows(found: Mapping[str, Trust], tasks: Sequence[Judged]) -> tuple[MetricRow, ...]:
    made = []
    for name, one in found.items():
        if not one.tasks:
            continue
        cells = tuple(_of_task(one.by_task.get(task.board.key), task) for task in tasks)
        everywhere = len(one.tasks) == len(tasks)
        overall = (
            _cell(one.tau, one.interval) if everywhere else TableCell(detail=f"{len(one.tasks)} of {len(tasks)} tasks")
        )
        made.append(MetricRow(METRICS[name], overall, cells))
    made.sort(key=lambda row: (row.overall.value is None, -(row.overall.value or 0.0), row.metric.title))
    return tuple(made)


def _of_task(found: Agreement | None, task: Judged) -> TableCell:
    if found is None:
        return TableCell()
    if found.tau is None:
        return TableCell(detail=found.undefined)
    notes = []
    if found.methods != len(task.methods):
        notes.append(f"of {found.methods} methods")
    if found.left_out:
        notes.append(f"of {found.examples:,} examples")
    return _cell(found.tau, found.interval, ", ".join(notes))


def _cell(tau: float | None, ends: tuple[float, float] | None, note: str = "") -> TableCell:
    if tau is None or ends is None:
        return TableCell()
    low, high = ends
    # one scale for all columns, from the opposite order to the same one
    place = (50 * (low + 1), 50 * (tau + 1), 50 * (high + 1))
    return TableCell(number(tau, 2), tau, interval(low, high, 2), low, high, note, place=place)


def _plot(rows: Sequence[MetricRow], several: bool) -> DotPlot | None:
    lines = []
    for row in rows:
        cell = row.overall
        if cell.value is not None and cell.low is not None and cell.high is not None:
            lines.append((row.metric.title, [_Estimate(cell.value, cell.low, cell.high)]))
    title = f"Agreement with recovery{', mean over tasks' if several else ''}"
    return dot_plot(title, "Metric", lines, ("all tasks" if several else "τ-b",), (0.0, 1.0))
