"""The view of a board: columns, rows and cells, ready to be drawn on a page or in a terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from whybench.bench.causal.metrics import CAUSAL
from whybench.bench.choices import UNRANKED, EvidenceKind, GateName
from whybench.bench.errors import UnknownNameError
from whybench.bench.figures import FIGURES
from whybench.bench.metric import Metric
from whybench.bench.metrics import METRICS
from whybench.bench.recovery import RECOVERY
from whybench.bench.schema import Cost, GateOutcome, Result
from whybench.bench.store import StoredResult
from whybench.leaderboard.boards import Board
from whybench.leaderboard.formatting import MISSING, count, interval, memory, number, significant
from whybench.leaderboard.ranks import Standing, standings

Better = Literal["higher", "lower"]
BETTER: dict[bool | None, Better | None] = {True: "higher", False: "lower", None: None}

EVIDENCE, COST, COVERAGE = "Agreement with evidence", "Cost", "Coverage"
# the same figures say two things: whether what decides was found, or whether people would have pointed at it
HEADINGS: dict[EvidenceKind | None, str] = {
    "planted": "Recovery of planted evidence",
    "human": "Plausibility: agreement with people",
    None: EVIDENCE,
}
# on which units it is the same as of all evidence, where the two are the same units
_OF_ROLES = {"necessary_average_precision": "necessary units", "sufficient_average_precision": "a sufficient set"}


@dataclass(frozen=True)
class Column:
    """A column of a board.

    Attributes:
        key: Name in the page's address and in data attributes.
        title: Heading.
        group: Heading above several columns.
        better: Which end is better; None where neither is.
        help: What it is, for a tooltip.
    """

    key: str
    title: str
    group: str
    better: Better | None
    help: str

    @property
    def arrow(self) -> str:
        """The direction as a sign."""
        return {"higher": "↑", "lower": "↓", None: ""}[self.better]


@dataclass(frozen=True)
class TableCell:
    """A number with what stands beneath it.

    Attributes:
        text: The number as it is shown.
        value: The number as it is sorted; None where there is none.
        detail: What stands beneath it: the interval, the 95th percentile, …
        low, high: Ends of the interval, None where there is none.
        note: What else has to be known to read it.
        best: Whether it is the best of its column among the ranked rows.
        place: Where low, value and high lie between the column's ends, in percent.
    """

    text: str = MISSING
    value: float | None = None
    detail: str = ""
    low: float | None = None
    high: float | None = None
    note: str = ""
    best: bool = False
    place: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Row:
    """A method's line on a board.

    Attributes:
        stored: The cell.
        name: The method's label, with what sets it apart from a row of the same label.
        cells: One per column.
        standing: Its place by the table's first figure; None where the table ranks nothing, or not this row.
    """

    stored: StoredResult
    name: str
    cells: tuple[TableCell, ...]
    standing: Standing | None = None

    @property
    def result(self) -> Result:
        """The result."""
        return self.stored.result

    @property
    def complete(self) -> bool:
        """Whether every example got a score."""
        coverage = self.result.coverage
        return coverage is not None and coverage.scored == coverage.examples

    @property
    def barred(self) -> tuple[tuple[GateName, GateOutcome], ...]:
        """The gates that it failed, beyond the examples without a score."""
        return tuple(
            (name, outcome)
            for name, outcome in self.stored.gates.items()
            if outcome.status == "failed" and name != "coverage"
        )

    @property
    def eligible(self) -> bool:
        """Whether it may be ranked and be the best: complete, and past every gate."""
        return self.complete and not self.barred


@dataclass(frozen=True)
class Table:
    """A board as a table.

    Attributes:
        board: Its results.
        columns: Figures first, then cost, then coverage.
        methods: Ranked rows, the best by the first column first.
        references: Yardsticks (references and controls): shown, never ranked.
    """

    board: Board
    columns: tuple[Column, ...]
    methods: tuple[Row, ...]
    references: tuple[Row, ...]

    @property
    def rows(self) -> tuple[Row, ...]:
        """All finished rows."""
        return self.methods + self.references

    @property
    def ranked_by(self) -> Column | None:
        """The figure that the rows are ranked by; None where fewer than two rows are ranked."""
        return self.columns[0] if any(row.standing for row in self.methods) else None

    @property
    def figures(self) -> tuple[Column, ...]:
        """The columns of figures."""
        return tuple(column for column in self.columns if column.group not in (COST, COVERAGE))

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Headings above columns, each with the number of columns beneath it."""
        found: list[tuple[str, int]] = []
        for column in self.columns:
            if found and found[-1][0] == column.group:
                found[-1] = (column.group, found[-1][1] + 1)
            else:
                found.append((column.group, 1))
        return found


@dataclass(frozen=True)
class _CostColumn:
    column: Column
    value: Callable[[Cost], float]
    text: Callable[[Cost], str]
    detail: Callable[[Cost], str] = lambda _: ""


_COSTS = (
    _CostColumn(
        Column(
            "forward_equivalents",
            "Forward equivalents",
            COST,
            "lower",
            "the method's time over the time of a plain forward pass on the same batches, interleaved in the same run",
        ),
        lambda cost: cost.forward_equivalents,
        lambda cost: f"{significant(cost.forward_equivalents)}×",
    ),
    _CostColumn(
        Column(
            "p50_ms", "ms per example", COST, "lower", "median milliseconds per example, the 95th percentile beneath"
        ),
        lambda cost: cost.p50_ms,
        lambda cost: significant(cost.p50_ms),
        lambda cost: f"p95 {significant(cost.p95_ms)}",
    ),
    _CostColumn(
        Column(
            "passes",
            "Passes fwd\u00a0+\u00a0bwd",
            COST,
            "lower",
            "inputs forward + backward through the model per example, counted",
        ),
        lambda cost: cost.forward_passes + cost.backward_passes,
        lambda cost: f"{count(cost.forward_passes)} + {count(cost.backward_passes)}",
    ),
    _CostColumn(
        Column("flops", "GFLOPs", COST, "lower", "10⁹ floating-point operations per example, counted"),
        lambda cost: cost.flops,
        lambda cost: significant(cost.flops / 1e9),
    ),
    _CostColumn(
        Column("peak_memory", "Peak memory", COST, "lower", "most bytes of tensors held at once, beyond the model"),
        lambda cost: float(cost.peak_memory_bytes),
        lambda cost: memory(cost.peak_memory_bytes),
    ),
)

COVERAGE_KEY = "coverage"
_SCORED = Column(
    COVERAGE_KEY,
    "Scored",
    COVERAGE,
    None,
    "examples with a score, of all; beneath those whose text was cut, and rows of the split without any text",
)


def figure_columns(names: Sequence[str], evidence: EvidenceKind | None = None) -> tuple[Column, ...]:
    """Columns of these figures in the protocol's order.

    Args:
        names: The figures' names.
        evidence: Where the evidence comes from: its figures are headed by what they then say.

    Raises:
        UnknownNameError: The protocol has no such figure.
    """
    for name in names:
        if name not in FIGURES:
            raise UnknownNameError("metric", name, FIGURES)
    columns = []
    for group, metrics in described().items():
        for metric in metrics:
            if metric.name in names:
                better = BETTER[metric.higher_is_better]
                heading = HEADINGS[evidence] if group == EVIDENCE else group
                columns.append(Column(metric.name, metric.title, heading, better, metric.formula))
    return tuple(columns)


def _without_twins(columns: Sequence[Column], results: Sequence[Result]) -> tuple[Column, ...]:
    """Leave out a role's average precision that is that of all evidence in every row; the latter's help says so."""
    twins = [
        name
        for name in _OF_ROLES
        if any(name in result.figures for result in results)
        and all(result.figures.get(name) == result.figures.get("average_precision") for result in results)
    ]
    said = "".join(f"; on this board also that of {_OF_ROLES[name]}" for name in twins)
    return tuple(
        replace(column, help=column.help + said) if column.key == "average_precision" else column
        for column in columns
        if column.key not in twins
    )


def described() -> dict[str, list[Metric]]:
    """All figures that the protocol knows, in its order, by group."""
    groups: dict[str, list[Metric]] = {}
    for metric in METRICS.values():
        groups.setdefault(metric.group, []).append(metric)
    groups[EVIDENCE] = list(RECOVERY.values())
    for figure in CAUSAL.values():
        groups.setdefault(figure.group, []).append(figure)
    return groups


def table(board: Board) -> Table:
    """The view of a board."""
    names = {name for stored in board.results for name in stored.result.figures}
    figures = _without_twins(figure_columns(sorted(names), board.evidence), [stored.result for stored in board.results])
    costs = tuple(cost.column for cost in _COSTS)
    columns = (*figures, *costs, _SCORED) if board.results else ()
    rows = [
        Row(stored, board.names[stored.result.cell], (*_figures(stored.result, figures), *_costs(stored.result)))
        for stored in board.results
    ]
    rows = _placed(rows, len(figures))
    methods = [row for row in rows if row.result.family not in UNRANKED]
    references = [row for row in rows if row.result.family in UNRANKED]
    methods = _marked(_sorted(methods, columns), columns)
    # a zero by construction is no merit: the causal suite ranks nobody
    if figures and board.measure == "faithfulness":
        methods = _ranked(methods, figures[0].key)
    return Table(board, columns, tuple(methods), tuple(_sorted(references, columns)))


def figure_cell(result: Result, name: str) -> TableCell:
    """A figure with its interval."""
    figure = result.figures.get(name)
    if figure is None:
        return TableCell()
    scored = result.coverage.scored if result.coverage else 0
    return TableCell(
        text=number(figure.mean),
        value=figure.mean,
        detail=interval(figure.low, figure.high),
        low=figure.low,
        high=figure.high,
        # examples without evidence have no such figure
        note=f"of {figure.examples:,} examples" if figure.examples != scored else "",
    )


def _figures(result: Result, columns: Sequence[Column]) -> list[TableCell]:
    return [figure_cell(result, column.key) for column in columns]


def _costs(result: Result) -> list[TableCell]:
    cost, coverage = result.cost, result.coverage
    if coverage is None:
        return [TableCell()] * (len(_COSTS) + 1)
    # a control makes no explanation, and what scores made elsewhere cost is not known
    cells = [TableCell() if cost is None else TableCell(c.text(cost), c.value(cost), c.detail(cost)) for c in _COSTS]
    share = coverage.scored / coverage.examples if coverage.examples else 0.0
    counts = ((coverage.truncated, "cut"), (coverage.left_out, "with nothing to explain left out"))
    said = ", ".join(f"{count:,} {what}" for count, what in counts if count)
    return [*cells, TableCell(f"{coverage.scored:,}/{coverage.examples:,}", share, said)]


def _placed(rows: list[Row], figures: int) -> list[Row]:
    """Give every figure its place between the smallest lower end and the largest upper end of its column."""
    changed = [list(row.cells) for row in rows]
    for index in range(figures):
        column = [cells[index] for cells in changed]
        lowest = min((cell.low for cell in column if cell.low is not None), default=0.0)
        highest = max((cell.high for cell in column if cell.high is not None), default=0.0)
        width = highest - lowest
        for cells in changed:
            cell = cells[index]
            if cell.value is not None and cell.low is not None and cell.high is not None and width > 0:
                low, middle, high = (100 * (x - lowest) / width for x in (cell.low, cell.value, cell.high))
                cells[index] = replace(cell, place=(low, middle, high))
    return [replace(row, cells=tuple(cells)) for row, cells in zip(rows, changed, strict=True)]


def _sorted(rows: list[Row], columns: Sequence[Column]) -> list[Row]:
    if not columns:
        return rows
    sign = -1 if columns[0].better == "higher" else 1

    def key(row: Row) -> tuple[float, str]:
        value = row.cells[0].value
        return (math.inf if value is None else sign * value, row.name)

    return sorted(rows, key=key)


def _ranked(rows: list[Row], figure: str) -> list[Row]:
    """Give a standing to every row that may be ranked and has the figure."""
    ranked = [row for row in rows if row.eligible and row.cells[0].value is not None]
    found = standings([row.stored for row in ranked], [row.name for row in ranked], FIGURES[figure])
    return [replace(row, standing=found.get(row.result.cell)) for row in rows]


def _marked(rows: list[Row], columns: Sequence[Column]) -> list[Row]:
    """Mark the best of every column; nothing where it would tell nothing, all rows being the same or one alone."""
    changed = [list(row.cells) for row in rows]
    for index, column in enumerate(columns):
        known = [
            (cell.value, cell.text) for row in rows if row.eligible and (cell := row.cells[index]).value is not None
        ]
        if column.better is None or len({text for _, text in known}) < 2:
            continue
        # a difference that is not even shown is no reason to mark one of the two
        _, best = max(known) if column.better == "higher" else min(known)
        for row, cells in zip(rows, changed, strict=True):
            if row.eligible and cells[index].text == best:
                cells[index] = replace(cells[index], best=True)
    return [replace(row, cells=tuple(cells)) for row, cells in zip(rows, changed, strict=True)]
