"""The pages of one task: its examples, each of them, and its methods head to head.

They are made from per-example tables, which are large, and need no other task's; so a task's pages can be made in
another process, and its tables are let go of afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whybench.leaderboard.cards import about_data
from whybench.leaderboard.columns import forget
from whybench.leaderboard.curve_plot import MeanCurves, Plot, plot
from whybench.leaderboard.example_page import MOST_HEATS, ExamplePage, example_pages
from whybench.leaderboard.head_to_head import Duels, duels
from whybench.leaderboard.heatmap import ExampleViews, examples
from whybench.leaderboard.pairs import Contenders, pairs
from whybench.leaderboard.robustness import Robustness
from whybench.leaderboard.section import Section
from whybench.leaderboard.shell import Shell
from whybench.leaderboard.versus_page import script, versus


@dataclass(frozen=True)
class TaskPages:
    """What is made of a task.

    Attributes:
        files: Contents by path within the site.
        plots: Mean curves of its cells, for the pages of the methods.
        duels: Its boards' pairs of methods, for the page over all tasks.
    """

    files: dict[str, bytes]
    plots: dict[str, Plot]
    duels: list[Duels]


@dataclass(frozen=True)
class TaskJob:
    """What the pages of a task are made from.

    Attributes:
        shell: What all pages share.
        href: The task's page, from the site's root.
        sections: Its boards of faithfulness.
        robustness: How far orders hold under other removals, of any boards.
        contenders: Per board who is compared; none where fewer than two can be.
        others: Per board name, detail and address of the head to head of the others.
    """

    shell: Shell
    href: str
    sections: tuple[Section, ...]
    robustness: Sequence[Robustness]
    contenders: Mapping[str, Contenders]
    others: Mapping[str, Sequence[tuple[str, str, str]]]


def task_pages(job: TaskJob) -> TaskPages:
    """Make the pages of a task, and let go of its per-example tables.

    Raises:
        CorruptResultError: The per-example table of a result is damaged.
    """
    files: dict[str, bytes] = {}
    plots: dict[str, Plot] = {}
    found: list[Duels] = []
    shown, data = [], {}
    for section in job.sections:
        chosen = examples(section.table)
        pages = example_pages(section.anchor, chosen)
        shown.append((section, chosen, pages))
        data[section.anchor] = about_data(section.board, job.robustness)
        files |= _examples(job, section, chosen, pages)
        if section.anchor in job.contenders:
            found.append(_versus(job, section, pages, files))
        plots |= _plots(section)
        # this board's tables have been read for the last time
        for stored in section.board:
            for one in (stored, *getattr(stored, "cells", ())):
                forget(one)
    files[job.href] = job.shell.page(
        "task.html",
        "../",
        task=job.sections[0].task,
        shown=shown,
        parts=frozenset().union(*(chosen.parts for _, chosen, _ in shown)),
        most=MOST_HEATS,
        data=data,
    )
    return TaskPages(files, plots, found)


def _examples(job: TaskJob, section: Section, chosen: ExampleViews, pages: Sequence[ExamplePage]) -> dict[str, bytes]:
    return {
        page.href: job.shell.page("example.html", "../../", section=section, chosen=chosen, page=page) for page in pages
    }


def _versus(job: TaskJob, section: Section, pages: Sequence[ExamplePage], files: dict[str, bytes]) -> Duels:
    """Add a board's page of pairs, and a script for each of its other figures."""
    known, href = job.contenders[section.anchor], f"versus/{section.anchor}"
    found = [one for column in known.columns if (one := pairs(known, column))]
    shown = versus(section.anchor, found, {page.view.id: page.href for page in pages})
    others = job.others[section.anchor]
    files[f"{href}.html"] = job.shell.page("versus.html", "../", v=shown, section=section, others=others)
    files |= {f"{href}/{key}.js": script(figure) for key, figure in shown.figures.items()}
    return duels(section.board, f"{href}.html", found)


def _plots(section: Section) -> dict[str, Plot]:
    curves = MeanCurves()
    view = section.table
    bounds = [row.stored for row in view.references if row.result.bound]
    # the ends of the scale say most; more lines would hide the method's own
    references = bounds or [row.stored for row in view.references]
    return {row.result.cell: plot(row.stored, references, curves) for row in view.rows}
