"""Results to a static site that opens from a file as well as from a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from whybench.bench.metrics import PROTOCOL_VERSION
from whybench.bench.schema import Result
from whybench.bench.store import StoredResult
from whybench.leaderboard import formatting
from whybench.leaderboard.boards import REFERENCE, Board, boards
from whybench.leaderboard.command import command
from whybench.leaderboard.curve_plot import HEIGHT, WIDTH, MeanCurves, Plot, plot
from whybench.leaderboard.formatting import Slugs
from whybench.leaderboard.heatmap import examples
from whybench.leaderboard.publish import check, publish
from whybench.leaderboard.tables import Column, Row, Table, described, table

_FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Section:
    """A board on the pages.

    Attributes:
        table: Its view.
        anchor: Its name within a page.
        task: The task.
        task_href: Page of its examples, from the site's root.
    """

    table: Table
    anchor: str
    task: str
    task_href: str

    @property
    def board(self) -> Board:
        """Its results."""
        return self.table.board


@dataclass(frozen=True)
class Entry:
    """A method's cell on its own page.

    Attributes:
        section: The board that it stands on.
        result: The result.
        name: Its name on the board.
        row: Its row; None where the cell failed.
        columns: Columns of the row.
        plot: Its mean curves; None where the cell failed.
        command: What makes it again.
    """

    section: Section
    result: Result
    name: str
    row: Row | None
    columns: tuple[Column, ...]
    plot: Plot | None
    command: str


def build_site(results: Sequence[StoredResult], failures: Sequence[StoredResult], out: Path) -> Path:
    """Write the site of these results.

    Args:
        results: Finished cells.
        failures: Cells that failed; they are shown with their reason.
        out: The site's folder. It must not exist, or be a site of ours, which is then replaced as a whole.

    Returns:
        The path of its ``index.html``.

    Raises:
        StoreError: ``out`` is something else, or cannot be written.
        UnknownNameError: A result has a figure that the protocol does not know.
        CorruptResultError: The per-example table of a result is damaged.
    """
    check(out)
    publish(_Pages(results, failures).files(), out)
    return Path(out) / "index.html"


class _Pages:
    def __init__(self, results: Sequence[StoredResult], failures: Sequence[StoredResult]) -> None:
        self._curves = MeanCurves()
        tasks, self._methods, anchors = Slugs(), Slugs(), Slugs()
        self._sections = []
        for board in boards(results, failures):
            task = board.spec.task
            anchor = anchors.of(f"{task.name} {board.spec.model.name} {task.examples}", board.key)
            self._sections.append(Section(table(board), anchor, task.name, f"tasks/{tasks.of(task.name)}.html"))
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "visible": formatting.visible,
            "breakable": formatting.breakable,
            "number": formatting.number,
            "interval": formatting.interval,
            "significant": formatting.significant,
            "duration": formatting.duration,
            "cited": formatting.cited,
        }
        self._environment.globals |= {
            "protocol_version": PROTOCOL_VERSION,
            "method_href": lambda label: f"methods/{self._methods.of(label)}.html",
            "tasks": list(dict.fromkeys((section.task, section.task_href) for section in self._sections)),
            "described": described(),
            "reference": REFERENCE,
            "plot_size": (WIDTH, HEIGHT),
        }

    def files(self) -> dict[str, bytes]:
        """Contents of all files by their path within the site."""
        files = {f"assets/{path.name}": path.read_bytes() for path in sorted((_FOLDER / "assets").iterdir())}
        families = sorted({stored.result.family for section in self._sections for stored in section.board})
        files["index.html"] = self._page("index.html", "", sections=self._sections, families=families)
        entries: dict[str, list[Entry]] = {}
        for (task, href), sections in groupby(self._sections, key=lambda section: (section.task, section.task_href)):
            shown = []
            for section in sections:
                shown.append((section, examples(section.table)))
                for entry in self._entries(section):
                    entries.setdefault(entry.result.label, []).append(entry)
                for stored in section.board:
                    # per-example tables are large, and this board's have been read for the last time
                    vars(stored).pop("examples", None)
            files[href] = self._page("task.html", "../", task=task, shown=shown)
        for label, found in sorted(entries.items()):
            page = f"methods/{self._methods.of(label)}.html"
            files[page] = self._page("method.html", "../", label=label, entries=found, first=found[0].result)
        return files

    def _page(self, template: str, root: str, **context: Any) -> bytes:
        text = self._environment.get_template(template).render(root=root, **context)
        # a lone surrogate cannot be written as UTF-8, and a page is not to fail for it
        return text.encode("utf-8", "replace")

    def _entries(self, section: Section) -> Iterator[Entry]:
        """The cells of a board, each for the page of its method."""
        references = [row.stored for row in section.table.references]
        for row in section.table.rows:
            drawing = plot(row.stored, references, self._curves)
            yield Entry(section, row.result, row.name, row, section.table.columns, drawing, command(row.result))
        for stored in section.board.failures:
            result = stored.result
            yield Entry(section, result, section.board.names[result.cell], None, (), None, command(result))
