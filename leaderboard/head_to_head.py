"""The page "Head to head": two methods on all boards, by any figure that has a better end."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from whybench.bench.comparison import ALPHA, holm
from whybench.bench.figures import FIGURES
from whybench.leaderboard.boards import Board
from whybench.leaderboard.formatting import interval, number, visible
from whybench.leaderboard.pairs import Pairs, Shown, read, written
from whybench.leaderboard.skills import Skills
from whybench.leaderboard.tables import Column
from whybench.leaderboard.versus_page import p_value, signed


@dataclass(frozen=True)
class Duels:
    """All pairs of a board.

    Attributes:
        board: The board.
        href: Its page, from the site's root.
        names: Its methods, the ranked ones first.
        ranks: Ranks of these.
        columns: The figures, that of the ranks first.
        figures: Per figure all pairs, as `written`, each tested alone.
    """

    board: Board
    href: str
    names: tuple[str, ...]
    ranks: tuple[float, ...]
    columns: tuple[Column, ...]
    figures: dict[str, dict[str, Any]]

    def shown(self, figure: str, first: str, second: str) -> Shown | None:
        """Two methods by a figure; None where one of them has none."""
        if figure not in self.figures or first not in self.names or second not in self.names:
            return None
        places = self.names.index(first), self.names.index(second)
        return read(self.figures[figure], len(self.names), *places)

    def is_ranked(self, name: str) -> bool:
        """Whether a method is ranked on this board."""
        return name in self.names[: len(self.ranks)]


@dataclass(frozen=True)
class Line:
    """Two methods on a board.

    Attributes:
        means: Their means, as text.
        difference, interval, p: The first minus the second, as text; the p-value corrected over the boards.
        place: Ends of the interval and the difference on a scale that all lines share, 0 in its middle, in percent.
        winner: ``first``, ``second``, or empty where the difference is not significant.
        counts: On how many examples the first is better, the two are the same, and the second is better.
        ranked: Whether each of the two is ranked here.
    """

    means: tuple[str, str]
    difference: str
    interval: str
    p: str
    place: tuple[float, float, float]
    winner: str
    counts: tuple[int, int, int]
    ranked: tuple[bool, bool]


@dataclass(frozen=True)
class HeadToHead:
    """The page.

    Attributes:
        methods: All methods, the best over all boards first, those that are ranked on none last.
        ranked: How many are ranked on at least one board.
        columns: The figures; the page opens with the first one.
        boards: The boards.
        lines: Per board the two that the page opens with; None where it lacks one of them.
        first, second: These two.
        unit: What the boards are called: tasks, or tables where a task has several.
        skill: What overall skill says about the two; empty where it is not known.
        data: All of that for a reader's choice, as JSON.
    """

    methods: tuple[str, ...]
    ranked: int
    columns: tuple[Column, ...]
    boards: tuple[Duels, ...]
    lines: tuple[Line | None, ...]
    first: str
    second: str
    unit: str
    skill: str
    data: dict[str, Any]

    @property
    def notes(self) -> dict[str, str]:
        """Per method what must be said about it wherever it is shown, where there is something."""
        return {n: note for one in self.boards for n, note in one.board.notes.items() if n in self.methods}

    @property
    def tally(self) -> tuple[int, int, int]:
        """On how many boards the first is better, the second is, and it is undecided."""
        found = Counter(line.winner for line in self.lines if line)
        return found["first"], found["second"], found[""]

    @property
    def missing(self) -> list[str]:
        """Boards without both of the two."""
        return [_title(one.board) for one, line in zip(self.boards, self.lines, strict=True) if line is None]


def duels(board: Board, href: str, found: Sequence[Pairs]) -> Duels:
    """All pairs of a board, by every figure that its page has.

    Args:
        board: The board.
        href: Its page, from the site's root.
        found: Its pairs by each figure, that of the ranks first.
    """
    rows = found[0].rows
    return Duels(
        board,
        href,
        tuple(row.name for row in rows),
        tuple(row.standing.rank for row in rows if row.standing is not None),
        tuple(one.column for one in found),
        {one.column.key: written(one, one.p_values) for one in found},
    )


def head_to_head(boards: Sequence[Duels], skills: Skills | None) -> HeadToHead:
    """The page of at least one board."""
    known = {row.name: row for row in skills.rows if row.standing} if skills and skills.several else {}
    places = {name: place for place, name in enumerate(known)}
    ranks: dict[str, list[float]] = {}
    for one in boards:
        for place, name in enumerate(one.names):
            ranks.setdefault(name, []).extend(one.ranks[place : place + 1])

    def order(name: str) -> tuple[int, int, float, str]:
        found = ranks[name]
        return places.get(name, len(places)), -len(found), float(np.mean(found)) if found else 0.0, name

    methods = tuple(sorted(ranks, key=order))
    numbered = {name: place for place, name in enumerate(methods)}
    leading = Counter(one.columns[0].key for one in boards).most_common(1)[0][0]
    columns = {column.key: column for one in boards for column in one.columns}
    keys = sorted(columns, key=lambda key: (key != leading, list(FIGURES).index(key)))
    first, second = next(
        (two for two in combinations(methods, 2) if any(one.shown(leading, *two) for one in boards)), methods[:2]
    )
    tied = {name: set(row.standing.tied) for name, row in known.items() if row.standing}
    several = len({one.board.spec.task.name for one in boards}) < len(boards)
    return HeadToHead(
        methods=methods,
        ranked=sum(bool(found) for found in ranks.values()),
        columns=tuple(columns[key] for key in keys),
        boards=tuple(boards),
        lines=lines(boards, leading, first, second),
        first=first,
        second=second,
        unit="tables" if several else "tasks",
        skill=_skill(known[first].overall.text, known[second].overall.text, second in tied[first])
        if first in known and second in known
        else "",
        data={
            "methods": [visible(name) for name in methods],
            "skill": [
                [known[name].overall.text, sorted(numbered[other] for other in tied[name] if other in numbered)]
                if name in known
                else None
                for name in methods
            ],
            "figures": {key: columns[key].better for key in keys},
            "boards": [
                {
                    "methods": [numbered[name] for name in one.names],
                    "ranked": len(one.ranks),
                    "title": visible(_title(one.board)),
                    "figures": one.figures,
                }
                for one in boards
            ],
        },
    )


def lines(boards: Sequence[Duels], figure: str, first: str, second: str) -> tuple[Line | None, ...]:
    """Two methods on every board by a figure, the p-values after Holm's correction over these boards."""
    found = [one.shown(figure, first, second) for one in boards]
    there = [i for i, shown in enumerate(found) if shown]
    corrected = dict(zip(there, holm(np.array([shown.p for shown in found if shown])), strict=True))
    widest = max((abs(end) for shown in found if shown for end in (*shown.interval, shown.difference)), default=0.0)
    made: list[Line | None] = []
    for i, (one, shown) in enumerate(zip(boards, found, strict=True)):
        if shown is None:
            made.append(None)
            continue
        low, high = shown.interval
        p = float(corrected[i])
        better = "first" if (shown.difference > 0) == (FIGURES[figure].higher_is_better is True) else "second"
        spread = [50 + 50 * end / (widest or 1.0) for end in (low, shown.difference, high)]
        made.append(
            Line(
                means=(number(shown.means[0]), number(shown.means[1])),
                difference=signed(shown.difference),
                interval=interval(low, high),
                p=p_value(p),
                place=(spread[0], spread[1], spread[2]),
                winner=better if p <= ALPHA else "",
                counts=shown.counts,
                ranked=(one.is_ranked(first), one.is_ranked(second)),
            )
        )
    return tuple(made)


def _skill(first: str, second: str, tied: bool) -> str:
    return f"{first} against {second}, {'no ' if tied else 'a '}significant difference"


def _title(board: Board) -> str:
    return f"{board.spec.task.name} with {board.spec.model.name}"
