"""Results to a static site that opens from a file as well as from a server."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from whybench.bench.causal.metrics import CAUSAL
from whybench.bench.choices import UNRANKED
from whybench.bench.metric import Metric
from whybench.bench.metrics import PROTOCOL_VERSION
from whybench.bench.schema import Result
from whybench.bench.store import StoredResult
from whybench.leaderboard import (
    dot_plot,
    formatting,
    histogram,
    history_page,
    matrix_map,
    scatter,
    sparkline,
    tradeoff_page,
    versus_page,
)
from whybench.leaderboard.attention_page import (
    AttentionTask,
    attention_task,
    context,
    is_causal,
    leading,
    readable,
)
from whybench.leaderboard.boards import Board, boards
from whybench.leaderboard.cards import about_data, method_card
from whybench.leaderboard.columns import forget
from whybench.leaderboard.command import command
from whybench.leaderboard.curve_plot import HEIGHT, WIDTH, MeanCurves, Plot, plot
from whybench.leaderboard.downloads import board_files, skill_files
from whybench.leaderboard.example_page import MOST_HEATS, ExamplePage, example_pages
from whybench.leaderboard.formatting import Slugs
from whybench.leaderboard.heatmap import ExampleViews, drawn, examples
from whybench.leaderboard.history_page import histories
from whybench.leaderboard.overview import brief, choices, is_too_large
from whybench.leaderboard.publish import check, publish
from whybench.leaderboard.robustness import HELP, TITLE, robustness
from whybench.leaderboard.skills import HELP as SKILL_HELP
from whybench.leaderboard.skills import skills
from whybench.leaderboard.sources import Source, sources
from whybench.leaderboard.tables import Row, Table, described, table
from whybench.leaderboard.tradeoff_page import trade_offs
from whybench.leaderboard.truth_page import TITLE as TRUTH_TITLE
from whybench.leaderboard.truth_page import truth_page
from whybench.leaderboard.versus_page import versus

ATTENTION = "attention.html"
TRUST = "truth.html"
TRADE_OFF = "tradeoff.html"
HISTORY = "history.html"

_FOLDER = Path(__file__).parent


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

    @property
    def versus(self) -> str | None:
        """Page of its methods head to head, from the site's root; None where fewer than two are ranked."""
        return f"versus/{self.anchor}.html" if self.table.ranked_by else None

    @property
    def overview(self) -> Table:
        """What the overview shows of it."""
        return leading(self.table) if self.causal else self.table

    @property
    def brief(self) -> Table:
        """What it shows where all of this would be too much."""
        return brief(self.overview)


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
        # the table of skill has this name
        anchors.of("skill")
        self._sections = []
        found = boards(results, failures)
        self._robustness = robustness(found)
        self._skills = skills(found)
        self._truth = truth_page(found)
        for board in found:
            task = board.spec.task
            anchor = anchors.of(f"{task.name} {board.spec.model.name} {task.examples}", board.key)
            causal = is_causal(board)
            href = ATTENTION if causal else f"tasks/{tasks.of(task.name)}.html"
            view = readable(table(board)) if causal else table(board)
            self._sections.append(Section(view, anchor, task.name, href, causal))
        self._usual = [(section.anchor, section.table) for section in self._sections if not section.causal]
        self._tradeoffs = trade_offs(self._usual, self._skills)
        self._histories = histories(self._usual)
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
            "coded": formatting.coded,
            "number": formatting.number,
            "interval": formatting.interval,
            "significant": formatting.significant,
            "measured": formatting.measured,
            "power": formatting.power,
            "duration": formatting.duration,
            "cited": formatting.cited,
            "drawn": drawn,
            "twice": lambda value: (value, value),
        }
        self._environment.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
        self._environment.globals |= {
            "protocol_version": PROTOCOL_VERSION,
            "method_href": lambda label: f"methods/{self._methods.of(label)}.html",
            "tasks": list(dict.fromkeys((s.task, s.task_href) for s in self._sections if not s.causal)),
            "attention": ATTENTION if any(section.causal for section in self._sections) else None,
            "trust": TRUST if self._truth else None,
            "trust_title": TRUTH_TITLE,
            "tradeoff": TRADE_OFF if self._tradeoffs else None,
            "tradeoff_title": tradeoff_page.TITLE,
            "head_to_head": next((section.versus for section in self._sections if section.versus), None),
            "versus_title": versus_page.TITLE,
            "history": HISTORY if self._histories else None,
            "history_title": history_page.TITLE,
            "unranked": UNRANKED,
            "plot_size": (WIDTH, HEIGHT),
            "dots": dot_plot,
            "scatter": scatter,
            "maps": matrix_map,
            "bars": histogram,
            "robustness_title": TITLE,
            "robustness_help": HELP,
            "infinity": math.inf,
        }

    def files(self) -> dict[str, bytes]:
        """Contents of all files by their path within the site."""
        files = {f"assets/{path.name}": path.read_bytes() for path in sorted((_FOLDER / "assets").iterdir())}
        boards = [section.board for section in self._sections]
        short = is_too_large(section.overview for section in self._sections)
        usual, causal = _definitions()
        anchors = {section.board.key: section.anchor for section in self._sections}
        if self._truth:
            files[TRUST] = self._page("truth.html", "", truth=self._truth, anchors=anchors)
        if self._tradeoffs:
            said = {section.anchor: section.board.notes for section in self._sections}
            files[TRADE_OFF] = self._page(
                "tradeoff.html", "", tradeoffs=self._tradeoffs, size=tradeoff_page, notes=said
            )
        if self._histories:
            files[HISTORY] = self._page("history.html", "", histories=self._histories, size=history_page)
        files["index.html"] = self._page(
            "index.html",
            "",
            sections=self._sections,
            choices=choices(boards),
            brief=short,
            described=usual,
            skills=self._skills,
            anchors=anchors,
            skill_help=SKILL_HELP,
            robustness=self._robustness,
        )
        files |= self._data()
        for section in self._sections if short else ():
            files[f"boards/{section.anchor}.html"] = self._page(
                "board.html", "../", section=section, choices=choices([section.board])
            )
        causal_tasks: list[tuple[Section, AttentionTask]] = []
        entries: dict[str, list[Entry]] = {}
        cells: dict[str, list[StoredResult]] = {}
        by_page: dict[tuple[str, str], list[Section]] = {}
        for section in self._sections:
            by_page.setdefault((section.task, section.task_href), []).append(section)
        for (task, href), sections in by_page.items():
            shown, data = [], {}
            for section in sections:
                if section.causal:
                    causal_tasks.append((section, attention_task(section.board, section.anchor)))
                else:
                    chosen = examples(section.table)
                    pages = example_pages(section.anchor, chosen)
                    shown.append((section, chosen, pages))
                    data[section.anchor] = about_data(section.board, self._robustness)
                    files |= self._examples(section, chosen, pages) | self._versus(section, pages)
                for entry in self._entries(section):
                    entries.setdefault(entry.result.label, []).append(entry)
                    files |= {source.href: source.content for source in entry.sources}
                for stored in section.board:
                    cells.setdefault(stored.result.label, []).append(stored)
                    # per-example tables are large, and this board's have been read for the last time
                    for one in (stored, *getattr(stored, "cells", ())):
                        forget(one)
            if shown:
                parts = frozenset().union(*(chosen.parts for _, chosen, _ in shown))
                files[href] = self._page(
                    "task.html", "../", task=task, shown=shown, parts=parts, most=MOST_HEATS, data=data
                )
        if causal_tasks:
            across = context([view for _, view in causal_tasks])
            notes = {stored.result.label: stored.result.note for section, _ in causal_tasks for stored in section.board}
            notes = {label: note for label, note in notes.items() if note}
            files[ATTENTION] = self._page(
                "attention.html", "", drawn=causal_tasks, across=across, notes=notes, described=causal
            )
        for label, found in sorted(entries.items()):
            page = f"methods/{self._methods.of(label)}.html"
            files[page] = self._page(
                "method.html", "../", label=label, entries=found, first=found[0].result, card=method_card(cells[label])
            )
        return files

    def _data(self) -> dict[str, bytes]:
        """The tables as files."""
        found = {section.anchor: board_files(section.table) for section in self._sections}
        if self._skills:
            found["skill"] = skill_files(self._skills)
        return {f"data/{name}.{kind}": content for name, files in found.items() for kind, content in files.items()}

    def _examples(self, section: Section, chosen: ExampleViews, pages: Sequence[ExamplePage]) -> dict[str, bytes]:
        size = (sparkline.WIDTH, sparkline.HEIGHT)
        return {
            page.href: self._page("example.html", "../../", section=section, chosen=chosen, page=page, spark_size=size)
            for page in pages
        }

    def _versus(self, section: Section, pages: Sequence[ExamplePage]) -> dict[str, bytes]:
        found = versus(section.anchor, section.table, {page.view.id: page.href for page in pages})
        if found is None or section.versus is None:
            return {}
        others = [
            (one.task, f"{one.board.spec.model.name}, removal by {one.board.spec.operator}", one.versus)
            for one in self._sections
            if one.versus and one is not section
        ]
        page = self._page("versus.html", "../", v=found, section=section, others=others, size=versus_page)
        return {section.versus: page}

    def _page(self, template: str, root: str, **context: Any) -> bytes:
        text = self._environment.get_template(template).render(root=root, **context)
        # a lone surrogate cannot be written as UTF-8, and a page is not to fail for it
        return text.encode("utf-8", "replace")

    def _entries(self, section: Section) -> Iterator[Entry]:
        """The cells of a board, each for the page of its method."""
        view = section.table
        bounds = [row.stored for row in view.references if row.result.bound]
        # the ends of the scale say most; more lines would hide the method's own
        references = bounds or [row.stored for row in view.references]
        for row in view.rows:
            drawing = None if section.causal else plot(row.stored, references, self._curves)
            yield Entry(section, row.result, row.name, row, view, drawing, command(row.result), sources(row.stored))
        for stored in section.board.failures:
            result = stored.result
            name = section.board.names[result.cell]
            yield Entry(section, result, name, None, view, None, command(result), sources(stored))


def _definitions() -> tuple[dict[str, list[Metric]], dict[str, list[Metric]]]:
    """Definitions by group: those of the overview, and those of the causal suite's page."""
    parts: tuple[dict[str, list[Metric]], dict[str, list[Metric]]] = ({}, {})
    for group, metrics in described().items():
        for metric in metrics:
            parts[metric.name in CAUSAL].setdefault(group, []).append(metric)
    return parts
