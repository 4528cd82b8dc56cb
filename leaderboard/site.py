"""Results to a static site that opens from a file as well as from a server."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from whybench.bench.causal.metrics import CAUSAL
from whybench.bench.metric import Metric
from whybench.bench.store import StoredResult
from whybench.bench.workers import Apply, processors, workers
from whybench.leaderboard import charts
from whybench.leaderboard.attention_page import attention_task, context, is_causal, readable
from whybench.leaderboard.boards import boards
from whybench.leaderboard.cards import method_card
from whybench.leaderboard.command import command
from whybench.leaderboard.curve_plot import Plot
from whybench.leaderboard.downloads import board_files, skill_files
from whybench.leaderboard.formatting import Slugs
from whybench.leaderboard.head_to_head import Duels, head_to_head
from whybench.leaderboard.history_page import Histories, histories
from whybench.leaderboard.library import datatables
from whybench.leaderboard.overview import choices, is_too_large
from whybench.leaderboard.pairs import affordable
from whybench.leaderboard.publish import check, publish
from whybench.leaderboard.robustness import robustness
from whybench.leaderboard.section import Entry, Section
from whybench.leaderboard.shell import SKILL, Shell
from whybench.leaderboard.skills import HELP as SKILL_HELP
from whybench.leaderboard.skills import skills
from whybench.leaderboard.sources import sources
from whybench.leaderboard.tables import described, table
from whybench.leaderboard.task_pages import TaskJob, task_pages
from whybench.leaderboard.tradeoff_page import PRICES, trade_offs
from whybench.leaderboard.truth_page import truth_page

ATTENTION = "attention.html"
TRUST = "truth.html"
TRADE_OFF = "tradeoff.html"
HISTORY = "history.html"
HEAD_TO_HEAD = "versus.html"

# a worker starts in a second or two: a site of fewer cells is built before it has
CELLS_PER_WORKER = 200

_FOLDER = Path(__file__).parent


def build_site(
    results: Sequence[StoredResult],
    failures: Sequence[StoredResult],
    out: Path,
    *,
    earlier: Sequence[Sequence[StoredResult]] = (),
    processes: int = 1,
) -> Path:
    """Write the site of these results.

    Args:
        results: Finished cells.
        failures: Cells that failed; they are shown with their reason.
        out: The site's folder. It must not exist, or be a site of ours, which is then replaced as a whole.
        earlier: Finished cells of each folder of earlier results, for the page of versions alone.
        processes: How many build it (`whybench.bench.workers`). With more than one, the program that calls this
            must be importable without running, as `multiprocessing` asks for.

    Returns:
        The path of its ``index.html``.

    Raises:
        StoreError: ``out`` is something else, or cannot be written.
        UnknownNameError: A result has a figure that the protocol does not know.
        SiteError: A package that brings scripts of the tables or charts is not installed as it should be, or a process
            ended.
        CorruptResultError: The per-example table of a result is damaged.
    """
    check(out)
    with workers(processes) as apply:
        publish(_Pages(results, failures, earlier, apply).files(), out)
    return Path(out) / "index.html"


def processes_for(cells: int) -> int:
    """How many processes are worth their start for a site of so many cells."""
    return max(1, min(processors(), cells // CELLS_PER_WORKER))


class _Pages:
    def __init__(
        self,
        results: Sequence[StoredResult],
        failures: Sequence[StoredResult],
        earlier: Sequence[Sequence[StoredResult]],
        apply: Apply,
    ) -> None:
        self._apply = apply
        tasks, anchors = Slugs(), Slugs()
        # the table of skill has this name
        anchors.of(SKILL)
        self._sections: list[Section] = []
        tables = list(apply(table, boards(results, failures)))
        found = [view.board for view in tables]
        self._robustness = robustness(found)
        self._skills = skills(tables, apply)
        self._truth = truth_page(tables, apply)
        for view in tables:
            board = view.board
            task = board.spec.task
            anchor = anchors.of(f"{task.name} {board.spec.model.name} {task.examples}", board.key)
            causal = is_causal(board)
            href = ATTENTION if causal else f"tasks/{tasks.of(task.name)}.html"
            self._sections.append(Section(readable(view) if causal else view, anchor, task.name, href, causal))
        usual = [(section.anchor, section.table) for section in self._sections if not section.causal]
        self._contenders = affordable({s.anchor: s.contenders for s in self._sections if s.contenders})
        self._tradeoffs = trade_offs(usual, self._skills)
        self._histories = histories(results, earlier, self._anchors())
        self._apart = is_too_large([section.overview for section in self._sections], self._skills)
        self._shell = Shell(
            dict.fromkeys(stored.result.label for board in found for stored in board),
            {
                "attention": ATTENTION if len(usual) < len(self._sections) else None,
                "trust": TRUST if self._truth else None,
                "tradeoff": TRADE_OFF if self._tradeoffs else None,
                "head_to_head": HEAD_TO_HEAD if self._contenders else None,
                "history": HISTORY if self._histories else None,
            },
            tuple(dict.fromkeys((s.task, s.task_href) for s in self._sections if not s.causal)),
            apart=self._apart,
        )

    def files(self) -> dict[str, bytes]:
        """Contents of all files by their path within the site."""
        files = {f"assets/{path.name}": path.read_bytes() for path in sorted((_FOLDER / "assets").iterdir())}
        pages = self._apply(task_pages, self._jobs())
        # the scripts take seconds, in which other processes work already
        files |= {f"assets/{name}": content for name, content in charts.scripts().items()}
        files["assets/datatables.js"] = datatables()
        plots: dict[str, Plot] = {}
        duels: list[Duels] = []
        for made in pages:
            files |= made.files
            plots |= made.plots
            duels += made.duels
        if duels:
            files[HEAD_TO_HEAD] = self._shell.page("head_to_head.html", "", v=head_to_head(duels, self._skills))
        return files | self._overview() | self._questions() | self._data() | self._method_pages(plots)

    def _overview(self) -> dict[str, bytes]:
        """The first page, and a page for each board where all of them would be too much for it."""
        files = {}
        files["index.html"] = self._shell.page(
            "index.html",
            "",
            sections=self._sections,
            choices=choices([section.board for section in self._sections]),
            short=self._apart,
            described=_definitions()[0],
            skills=self._skills,
            anchors=self._anchors(),
            skill_help=SKILL_HELP,
            robustness=self._robustness,
        )
        for section in self._sections if self._apart else ():
            files[f"boards/{section.anchor}.html"] = self._shell.page(
                "board.html", "../", section=section, choices=choices([section.board])
            )
        return files

    def _questions(self) -> dict[str, bytes]:
        """Pages that ask one thing of all boards."""
        files = {}
        if self._truth:
            files[TRUST] = self._shell.page("truth.html", "", truth=self._truth, anchors=self._anchors())
        if self._tradeoffs:
            said = {section.anchor: section.board.notes for section in self._sections}
            files[TRADE_OFF] = self._shell.page(
                "tradeoff.html", "", tradeoffs=self._tradeoffs, prices=PRICES, notes=said
            )
        if self._histories:
            files |= self._versions(self._histories)
        causal = [section for section in self._sections if section.causal]
        if causal:
            drawn = [(section, attention_task(section.board, section.anchor)) for section in causal]
            notes = {stored.result.label: stored.result.note for section in causal for stored in section.board}
            files[ATTENTION] = self._shell.page(
                "attention.html",
                "",
                drawn=drawn,
                across=context([view for _, view in drawn]),
                notes={label: note for label, note in notes.items() if note},
                described=_definitions()[1],
            )
        return files

    def _versions(self, found: Histories) -> dict[str, bytes]:
        """The page of versions, where there are many a page for every method, and copies of the files of both."""
        files = {HISTORY: self._shell.page("history.html", "", found=found)}
        for history in found.all:
            files |= {source.href: source.content for of_version in history.sources for source in of_version}
            if found.apart:
                page = self._shell.page("method_history.html", "../", history=history)
                files[f"history/{history.id}.html"] = page
        return files

    def _data(self) -> dict[str, bytes]:
        """The tables as files."""
        found = {section.anchor: board_files(section.table, section.anchor) for section in self._sections}
        if self._skills:
            found[SKILL] = skill_files(self._skills, self._anchors())
        return {f"data/{name}.{kind}": content for name, files in found.items() for kind, content in files.items()}

    def _jobs(self) -> Iterator[TaskJob]:
        by_page: dict[str, list[Section]] = {}
        for section in self._sections:
            if not section.causal:
                by_page.setdefault(section.task_href, []).append(section)
        compared = [
            (one, (one.task, f"{one.board.spec.model.name}, removal by {one.board.spec.operator}", one.versus))
            for one in self._sections
            if one.versus
        ]
        for href, sections in by_page.items():
            others = {s.anchor: [where for one, where in compared if one is not s] for s in sections}
            known = {s.anchor: self._contenders[s.anchor] for s in sections if s.anchor in self._contenders}
            yield TaskJob(self._shell, href, tuple(sections), self._robustness, known, others)

    def _method_pages(self, plots: dict[str, Plot]) -> dict[str, bytes]:
        """A page for every method, and copies of the files that its rows were read from."""
        files: dict[str, bytes] = {}
        entries: dict[str, list[Entry]] = {}
        cells: dict[str, list[StoredResult]] = {}
        for section in self._sections:
            for entry in _entries(section, plots):
                entries.setdefault(entry.result.label, []).append(entry)
                files |= {source.href: source.content for source in entry.sources}
            for stored in section.board:
                cells.setdefault(stored.result.label, []).append(stored)
        for label, found in sorted(entries.items()):
            files[self._shell.method_href(label)] = self._shell.page(
                "method.html", "../", label=label, entries=found, first=found[0].result, card=method_card(cells[label])
            )
        return files

    def _anchors(self) -> dict[str, str]:
        return {section.board.key: section.anchor for section in self._sections}


def _entries(section: Section, plots: dict[str, Plot]) -> Iterator[Entry]:
    """The cells of a board, each for the page of its method."""
    view = section.table
    for row in view.rows:
        drawn = plots.get(row.result.cell)
        yield Entry(section, row.result, row.name, row, view, drawn, command(row.result), sources(row.stored))
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
