"""The page "Is attention explanation?": what the causal suite measured, task by task.

The one place of the leaderboard that knows methods by name: which of them keep a head's output by construction, and
which are controls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from whybench.bench.causal.metrics import CAUSAL, Group
from whybench.bench.choices import CONTROL
from whybench.bench.errors import CorruptResultError
from whybench.bench.schema import Figure
from whybench.bench.store import StoredResult
from whybench.leaderboard.boards import Board
from whybench.leaderboard.command import command, merged
from whybench.leaderboard.dot_plot import DotPlot, dot_plot
from whybench.leaderboard.formatting import measured, measured_interval
from whybench.leaderboard.published import LeftOut, left_out
from whybench.leaderboard.scatter import Scatter, scatter
from whybench.leaderboard.specimen import Specimen, specimen
from whybench.leaderboard.tables import COVERAGE, Column, Row, Table, TableCell, figure_cell, figure_columns

EFFICIENT = "efficient_attention"
# matrix methods whose head output is the model's by construction, then the controls, with their short names
SAME_OUTPUT = {
    "raw_attention": "raw",
    "effective_attention": "effective",
    "row_sum_attention": "row sum",
    EFFICIENT: "efficient",
    "sparsest_attention": "sparsest",
}
CONTROLS = {
    "uniform_attention": "uniform",
    "permuted_attention": "permuted",
    "frozen_attention": "frozen",
    "adversarial_attention": "adversarial",
}
# controls of the comparison of single texts with pairs; a frozen matrix has no part in that debate
CONTEXT = ("uniform_attention", "permuted_attention", "adversarial_attention")
MAPPED = ("raw_attention", "effective_attention", EFFICIENT, "sparsest_attention")

# figures of Serrano & Smith's that stand beside the erasure
FLIPPING = ("flip_mass", "random_flip_mass")

# columns of a causal board on the overview and in the terminal; all others are on the page
LEADING = (
    "replaced_tvd",
    "replaced_agreement",
    "inside_tvd",
    "outside_tvd",
    "norm_ratio",
    "flip_mass",
    "tau_leave_one_out",
)


def group(name: Group) -> tuple[str, ...]:
    """Figures of a group; those of `FLIPPING` stand elsewhere."""
    return tuple(key for key, metric in CAUSAL.items() if metric.group == name and key not in FLIPPING)


@dataclass(frozen=True)
class FigureRow:
    """A method's figures.

    Attributes:
        stored: The cell.
        name: Its name on the board.
        cells: One per column.
    """

    stored: StoredResult
    name: str
    cells: tuple[TableCell, ...]


@dataclass(frozen=True)
class FigureTable:
    """Figures of a task: methods as rows, those of a kind under one heading."""

    columns: tuple[Column, ...]
    kinds: tuple[tuple[str, tuple[FigureRow, ...]], ...]


@dataclass(frozen=True)
class AttentionTask:
    """A causal board on the page.

    Attributes:
        board: The results.
        anchor: Its name within the page.
        pairs: Whether its texts are pairs.
        lengths: Smallest, median and largest length in tokens; None where nothing is finished.
        dimensions: Values' dimensions d_v of its heads.
        longer: Examples longer than d_v + 1, and examples with a length.
        sufficiency, necessity, minimality, erasure, agreement: Tables; None where no method has such a figure.
        moved, flips, mass, taus: Drawings of the same.
        identifiability: Figures of the model's attention itself, and whose row they are read off.
        scatters: Figures over the length.
        specimen: Heat maps; None where no result holds matrices.
        missing: Known methods without a result.
        commands: What makes the rows again.
        lacking: What published copies leave out; None where they leave out nothing.
    """

    board: Board
    anchor: str
    pairs: bool
    lengths: tuple[int, float, int] | None
    dimensions: tuple[int, ...]
    longer: tuple[int, int]
    sufficiency: FigureTable | None
    necessity: FigureTable | None
    moved: DotPlot | None
    minimality: FigureTable | None
    identifiability: tuple[tuple[tuple[Column, TableCell], ...], str]
    scatters: tuple[Scatter, ...]
    erasure: FigureTable | None
    flips: DotPlot | None
    mass: DotPlot | None
    agreement: FigureTable | None
    taus: DotPlot | None
    specimen: Specimen | None
    missing: tuple[str, ...]
    commands: tuple[str, ...]
    lacking: LeftOut | None

    @property
    def name(self) -> str:
        """The task's name."""
        return self.board.spec.task.name


@dataclass(frozen=True)
class Context:
    """Controls on tasks of single texts and of pairs.

    Attributes:
        kinds: Heading and tasks of a kind, each with one cell per control and figure.
        columns: Names of the controls, and the columns under each.
        plot: How often the decision stays.
    """

    kinds: tuple[tuple[str, tuple[tuple[AttentionTask, tuple[TableCell, ...]], ...]], ...]
    controls: tuple[str, ...]
    columns: tuple[Column, ...]
    plot: DotPlot | None


def is_causal(board: Board) -> bool:
    """Whether a board holds results of the causal suite."""
    return board.measure == "causal"


def readable(table: Table) -> Table:
    """A causal board whose numbers are written as the page writes them, without columns that no row has.

    No row is marked as the best: a figure that is 0 by construction is no merit, and controls do not compete.
    """
    kept = [i for i in range(len(table.columns)) if any(row.cells[i].value is not None for row in table.rows)]
    return _columns(table, kept)


def leading(table: Table) -> Table:
    """A causal board with its leading columns only."""
    kept = [i for i, column in enumerate(table.columns) if column.key in LEADING or column.group == COVERAGE]
    return _columns(table, kept)


def attention_task(board: Board, anchor: str) -> AttentionTask:
    """What the page shows of a board.

    Raises:
        CorruptResultError: A per-example table is damaged.
    """
    rows = sorted(board.results, key=lambda stored: (_place(stored), board.names[stored.result.cell]))
    lengths = _column(rows[0], "length") if rows else np.empty(0)
    known = lengths[np.isfinite(lengths)]
    dimensions = tuple(sorted({int(d) for d in _column(rows[0], "head_dimension") if np.isfinite(d)})) if rows else ()
    present = {stored.result.spec.method.name for stored in board}
    by_method: dict[str, list[StoredResult]] = {}
    for stored in rows:
        by_method.setdefault(stored.result.spec.method.name, []).append(stored)
    own = next(
        (stored for stored in rows if any(name in stored.result.figures for name in group("Identifiability"))), None
    )
    return AttentionTask(
        board=board,
        anchor=anchor,
        pairs=bool(rows) and _has_pairs(rows[0]),
        lengths=(int(known.min()), float(np.median(known)), int(known.max())) if len(known) else None,
        dimensions=dimensions,
        longer=(int((known > dimensions[0] + 1).sum()) if len(dimensions) == 1 else 0, len(known)),
        sufficiency=_table(board, rows, group("Sufficiency")),
        necessity=_table(board, rows, group("Necessity")),
        moved=_dots(
            "Largest change of a logit after the step",
            board,
            rows,
            ("inside_logit_change", "outside_logit_change"),
            ("inside", "across"),
            log=True,
        ),
        minimality=_table(board, rows, (*group("Errors"), *group("Minimality"))),
        identifiability=_identifiability(board, own),
        scatters=_scatters(rows, dimensions[0] + 1 if len(dimensions) == 1 else None),
        erasure=_table(board, rows, (*group("Erasure"), *FLIPPING)),
        flips=_dots(
            "Share of decisions that flip",
            board,
            rows,
            ("top_erasure_flips", "random_erasure_flips"),
            ("best-scored", "random"),
        ),
        mass=_dots(
            "Attention mass zeroed until the decision flips",
            board,
            rows,
            FLIPPING,
            ("largest first", "random order"),
            ends=(0.0, 1.0),
        ),
        agreement=_table(board, rows, group("Agreement with others")),
        taus=_dots(
            "Kendall τ-b of the units' scores",
            board,
            rows,
            ("tau_gradient", "tau_leave_one_out"),
            ("gradient", "leave-one-out"),
            ends=(-0.2, 1.0),
        ),
        specimen=specimen(
            [(_short(_drawn_name(board, one)), one) for method in MAPPED for one in by_method.get(method, ())]
        ),
        missing=tuple(name for name in (*SAME_OUTPUT, *CONTROLS) if name not in present),
        commands=merged([command(stored.result) for stored in (*rows, *board.failures)]),
        lacking=left_out(rows),
    )


def context(tasks: Sequence[AttentionTask]) -> Context | None:
    """The controls across tasks; None where no task has a control's result."""
    by_task = [(task, _usual(task.board)) for task in tasks]
    controls = tuple(name for name in CONTEXT if any(name in found for _, found in by_task))
    if not controls:
        return None
    figures = ("replaced_agreement", "replaced_tvd")
    kinds, lines = [], []
    for pairs, title in ((False, "Single texts"), (True, "Pairs of texts")):
        rows = []
        for task, found in by_task:
            if task.pairs is not pairs or not task.board.results:
                continue
            results = [found.get(control) for control in controls]
            rows.append((task, tuple(_cell(stored, name) for stored in results for name in figures)))
            kept = [stored.result.figures.get(figures[0]) if stored else None for stored in results]
            lines.append((f"{task.name}{' (pair)' if pairs else ''}", kept))
        if rows:
            kinds.append((title, tuple(rows)))
    names = tuple(CONTROLS[name] for name in controls)
    plot = dot_plot("Share of decisions that stay", "Task", lines, names, (0.0, 1.0))
    return Context(tuple(kinds), names, _ordered(figures) * len(controls), plot)


def _has_pairs(stored: StoredResult) -> bool:
    if (published := stored.result.published) is not None:
        return published.pairs
    return pc.any(pc.is_valid(stored.examples.column("text_pair"))).as_py() is True


def _usual(board: Board) -> dict[str, StoredResult]:
    """One cell per method: the one with the method's own parameters where there is one."""
    rows = sorted(board.results, key=lambda one: (one.result.label != one.result.spec.method.name, one.result.cell))
    found: dict[str, StoredResult] = {}
    for stored in rows:
        found.setdefault(stored.result.spec.method.name, stored)
    return found


def _place(stored: StoredResult) -> int:
    """Known methods in their order, unknown ones between those with the same output and the controls."""
    name = stored.result.spec.method.name
    if name in CONTROLS:
        return len(SAME_OUTPUT) + 1 + list(CONTROLS).index(name)
    return list(SAME_OUTPUT).index(name) if name in SAME_OUTPUT else len(SAME_OUTPUT)


def _kind(stored: StoredResult) -> str:
    if stored.result.spec.method.name in SAME_OUTPUT:
        return "Same head output by construction"
    return "Controls" if stored.result.family == CONTROL else "Other matrices"


def _cell(stored: StoredResult | None, name: str) -> TableCell:
    cell = _rewritten(figure_cell(stored.result, name)) if stored else TableCell()
    nothing = cell.low == cell.value == cell.high == 0
    return replace(cell, text="exactly 0", detail="") if nothing else cell


def _columns(table: Table, kept: Sequence[int]) -> Table:
    def cut(rows: Sequence[Row]) -> tuple[Row, ...]:
        return tuple(replace(row, cells=tuple(_rewritten(row.cells[i]) for i in kept)) for row in rows)

    columns = tuple(table.columns[i] for i in kept)
    return replace(table, columns=columns, methods=cut(table.methods), references=cut(table.references))


def _rewritten(cell: TableCell) -> TableCell:
    if cell.value is None or cell.low is None or cell.high is None:
        return replace(cell, best=False)
    return replace(cell, text=measured(cell.value), detail=measured_interval(cell.low, cell.high), best=False)


def _table(board: Board, rows: Sequence[StoredResult], names: Sequence[str]) -> FigureTable | None:
    shown = [name for name in names if any(name in stored.result.figures for stored in rows)]
    if not shown:
        return None
    columns = _ordered(shown)
    kinds: dict[str, list[FigureRow]] = {}
    for stored in rows:
        if any(name in stored.result.figures for name in shown):
            cells = tuple(_cell(stored, name) for name in shown)
            kinds.setdefault(_kind(stored), []).append(FigureRow(stored, board.names[stored.result.cell], cells))
    return FigureTable(columns, tuple((kind, tuple(found)) for kind, found in kinds.items()))


def _ordered(names: Sequence[str]) -> tuple[Column, ...]:
    """Columns in the order of the names, not of the protocol."""
    return tuple(sorted(figure_columns(names), key=lambda column: names.index(column.key)))


def _dots(
    title: str,
    board: Board,
    rows: Sequence[StoredResult],
    names: Sequence[str],
    series: Sequence[str],
    ends: tuple[float, float] | None = None,
    log: bool = False,
) -> DotPlot | None:
    lines: list[tuple[str, list[Figure | None]]] = [
        (_drawn_name(board, stored), [stored.result.figures.get(name) for name in names]) for stored in rows
    ]
    return dot_plot(title, "Method", lines, series, ends, "log" if log else "linear")


def _drawn_name(board: Board, stored: StoredResult) -> str:
    """A known method's short name where its row has no parameters to tell; else the row's."""
    method, name = stored.result.spec.method.name, board.names[stored.result.cell]
    return (SAME_OUTPUT | CONTROLS).get(method, name) if name == method else name


def _short(name: str) -> str:
    return name if len(name) <= 18 else f"{name[:17]}…"


def _identifiability(board: Board, stored: StoredResult | None) -> tuple[tuple[tuple[Column, TableCell], ...], str]:
    if stored is None:
        return (), ""
    columns = _ordered([name for name in group("Identifiability") if name in stored.result.figures])
    return tuple((column, _cell(stored, column.key)) for column in columns), board.names[stored.result.cell]


def _scatters(rows: Sequence[StoredResult], marked: int | None) -> tuple[Scatter, ...]:
    drawn = []
    for name, method in (("null_dimension", None), ("matrix_tvd", EFFICIENT)):
        for stored in rows:
            if name in stored.result.figures and method in (None, stored.result.spec.method.name):
                title = "Null dimension" if method is None else "TVD of raw and efficient attention"
                lengths, values = _column(stored, "length"), _column(stored, name)
                drawn.append(scatter(title, lengths, values, marked))
                break
    return tuple(one for one in drawn if one is not None)


def _column(stored: StoredResult, name: str) -> NDArray[np.float64]:
    """A column of numbers, NaN where there is none."""
    table = stored.examples
    if name not in table.column_names:
        raise CorruptResultError(
            f"{str(stored.folder)!r} is of the causal suite, and its per-example table has no column {name!r}. "
            "Delete the folder and run it again."
        )
    values: NDArray[np.float64] = table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values
