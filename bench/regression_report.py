"""How a comparison of two versions is shown: in the terminal, as Markdown for a pull request, and as JSON.

Names, reasons and labels come from results that others may have made: they are shown as they are, never as markup.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from whybench.bench.conformance import escaped, visible
from whybench.bench.matching import Side
from whybench.bench.regression import Change, Compared, Regressions, Verdict
from whybench.bench.schema import Result

if TYPE_CHECKING:
    from rich.console import Console

_ORDER: tuple[Verdict, ...] = ("regression", "improvement", "unchanged", "untested")
_COLOURS: dict[Verdict, str] = {
    "regression": "bold red",
    "improvement": "green",
    "unchanged": "",
    "untested": "dim",
}
HEAD = ("cell", "figure", "base", "new", "change", "interval", "verdict")
# a comment on a pull request has 65,536 characters at most
# of the terminal's columns: the figure, base, an arrow, new, and the change
_NUMBER = 9
_WIDTHS = (24, _NUMBER, 1, _NUMBER, _NUMBER, 10)
_MOST_ROWS, _MOST_LINES, _LONGEST = 150, 60, 200


@dataclass(frozen=True)
class Row:
    """One line of the table: a text per column, the verdict, and whether it stands for all of a cell."""

    texts: tuple[str, str, str, str, str, str, str]
    verdict: Verdict
    whole_cell: bool = False


class Names:
    """Names of cells: task and method, and whatever else differs among the task's cells in the two folders."""

    def __init__(self, found: Regressions) -> None:
        matching = found.matching
        pairs = (*matching.pairs, *matching.broken, *matching.mended, *matching.unfinished)
        sides = [*(pair.new for pair in pairs), *(side for side, _ in matching.vanished), *matching.appeared]
        seen: dict[str, dict[str, set[str]]] = {}
        for side in sides:
            values = seen.setdefault(side.result.spec.task.name, {})
            for name, value in self._facts(side.result).items():
                values.setdefault(name, set()).add(value)
        self._varying = {
            task: [name for name, them in values.items() if len(them) > 1] for task, values in seen.items()
        }
        counts = Counter(self._name(side.result) for side in sides)
        self._doubled = {name for name, count in counts.items() if count > 1}

    def __call__(self, result: Result) -> str:
        """The name, on one line and of bounded length."""
        name = self._name(result)
        return f"{name} [{result.cell[-16:]}]" if name in self._doubled else name

    def _name(self, result: Result) -> str:
        facts, task = self._facts(result), result.spec.task.name
        more = [facts[name] for name in self._varying[task]]
        return _short(f"{task} / {result.label}" + (f" [{', '.join(more)}]" if more else ""))

    def _facts(self, result: Result) -> dict[str, str]:
        spec = result.spec
        return {
            "model": spec.model.name,
            "examples": f"{spec.task.examples} examples",
            "split": spec.task.split,
            "operator": spec.operator,
            "unit": f"by {spec.unit}",
            "seed": f"seed {spec.seed}",
            "dtype": spec.dtype,
            "measure": spec.measure,
        }


def headline(found: Regressions) -> str:
    """How many of what, in how many cells."""
    if not found.comparable:
        return "Nothing to compare: no cell of the new results is one of the base."
    counts = _several(found.count("regression"), "regression"), _several(found.count("improvement"), "improvement")
    cells = len(found.cells) + len(found.matching.broken) + len(found.matching.mended)
    return f"{', '.join(counts)} in {_several(cells, 'cell')}."


def rows_of(found: Regressions, *, everything: bool = False) -> list[Row]:
    """The table: regressions first, then improvements, then a line for every cell without a change."""
    names = Names(found)
    rows = [row for cell in found.cells for row in _rows(cell, names(cell.pair.new.result), everything)]
    return sorted(rows, key=lambda row: _ORDER.index(row.verdict))


def notes_of(found: Regressions) -> list[str]:
    """What must be known to read the table."""
    notes = []
    if found.score_tests:
        notes.append(
            f"{_several(found.score_tests, 'score')} compared, each with an interval at 1 − 0.05/{found.score_tests}: "
            "the chance of even one false alarm among them is at most 5 %."
        )
    if found.time_tests:
        notes.append(
            f"{_several(found.time_tests, 'time')} compared over several runs, with intervals at "
            f"1 − 0.05/{found.time_tests}."
        )
    untested = Counter(
        (change.name, change.reason) for cell in found.cells for change in cell.changes if change.verdict == "untested"
    )
    notes += [
        f"{name.replace('_', ' ')} not judged in {_several(count, 'cell')}: {reason}."
        for (name, reason), count in untested.items()
    ]
    if elsewhere := sum(not cell.same_environment for cell in found.cells):
        notes.append(
            f"Made in another environment: {_several(elsewhere, 'cell')}; milliseconds are not compared there."
        )
    pairs = (*found.matching.pairs, *found.matching.broken)
    if older := sum(side.superseded for pair in pairs for side in (pair.base, pair.new)):
        notes.append(f"Left aside: {_several(older, 'cell')} of an older source, as a newer one is in the same folder.")
    return notes


def lists_of(found: Regressions) -> dict[str, list[str]]:
    """Cells that are not in both folders, or did not finish in both, under what they are."""
    names, matching = Names(found), found.matching

    def failed(side: Side) -> str:
        return f"{names(side.result)}: {side.result.status}: {_short(side.result.error or '')}"

    lists = {
        "Finished before, and does not any more": [failed(pair.new) for pair in matching.broken],
        "Finishes, and did not before": [names(pair.new.result) for pair in matching.mended],
        "Did not finish in either": [names(pair.new.result) for pair in matching.unfinished],
        "Vanished": [
            names(side.result) + (f" (the nearest one differs in {_short(', '.join(apart))})" if apart else "")
            for side, apart in matching.vanished
        ],
        "New": [names(side.result) for side in matching.appeared],
    }
    return {title: lines for title, lines in lists.items() if lines}


def print_report(found: Regressions, console: Console, *, everything: bool = False) -> None:
    """The comparison for the terminal."""
    from rich.table import Table
    from rich.text import Text

    rows = rows_of(found, everything=everything)
    changed = [row for row in rows if not row.whole_cell]
    for name in dict.fromkeys(row.texts[0] for row in changed):
        console.print(Text(name, style="bold"))
        table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
        for width in _WIDTHS:
            table.add_column(min_width=width, justify="right" if width == _NUMBER else "left", overflow="fold")
        for row in (row for row in changed if row.texts[0] == name):
            _, figure, base, new, change, interval, verdict = row.texts
            numbers = (base, new, change) if change else ("", "", "")
            arrow = "→" if change else ""
            told = Text(f"{verdict}  {interval}".rstrip(), style=_COLOURS[row.verdict])
            table.add_row(Text(f"  {figure}"), *map(Text, (numbers[0], arrow, numbers[1], numbers[2])), told)
        console.print(table)
    if changed:
        console.print()
    for row in rows:
        if row.whole_cell:
            console.print(Text.assemble((row.texts[0], "bold"), f": {row.texts[-1]}, {row.texts[1]}"))
    if len(rows) > len(changed):
        console.print()
    for title, lines in lists_of(found).items():
        console.print(Text(f"{title}:", style="bold"))
        for line in lines:
            console.print(Text(f"  {line}"))
        console.print()
    for note in notes_of(found):
        console.print(Text(note, style="dim"))
    console.print(Text(headline(found), style="bold red" if found.count("regression") else "bold"))


def to_markdown(found: Regressions, *, everything: bool = False) -> str:
    """The comparison to paste into a pull request."""
    rows = rows_of(found, everything=everything)
    lines = [f"### whybench compare: {headline(found)}", ""]
    if rows:
        lines += [f"| {' | '.join(HEAD)} |", "|---|---|--:|--:|--:|---|---|"]
        for row in rows[:_MOST_ROWS]:
            # an empty cell is one space
            texts = [escaped(text) for text in row.texts]
            texts[-1] = f"**{texts[-1]}**" if row.verdict == "regression" else texts[-1]
            lines.append(re.sub(r"\|  (?=\|)", "| ", f"| {' | '.join(texts)} |"))
        lines += ["", *_more(len(rows) - _MOST_ROWS, "rows")]
    for title, of_title in lists_of(found).items():
        lines += [f"**{title}**", "", *(f"- {escaped(line)}" for line in of_title[:_MOST_LINES])]
        lines += ["", *_more(len(of_title) - _MOST_LINES, "cells")]
    return "\n".join([*lines, *(f"- {escaped(note)}" for note in notes_of(found)), ""])


def to_json(found: Regressions) -> dict[str, Any]:
    """The comparison for machines; infinite numbers are null."""
    names, matching = Names(found), found.matching

    def one(side: Side) -> dict[str, Any]:
        result = side.result
        return {"name": names(result), "cell": result.cell, "status": result.status, "error": result.error}

    return {
        "version": 1,
        "comparable": found.comparable,
        "regressions": found.count("regression"),
        "improvements": found.count("improvement"),
        "score_tests": found.score_tests,
        "time_tests": found.time_tests,
        "cells": [
            {
                "name": names(cell.pair.new.result),
                "base": cell.pair.base.result.cell,
                "new": cell.pair.new.result.cell,
                "same_environment": cell.same_environment,
                "changes": [{name: _finite(value) for name, value in vars(one).items()} for one in cell.changes],
                "events": [vars(event) for event in cell.events],
            }
            for cell in found.cells
        ],
        "broken": [{"base": one(pair.base), "new": one(pair.new)} for pair in matching.broken],
        "mended": [{"base": one(pair.base), "new": one(pair.new)} for pair in matching.mended],
        "unfinished": [one(pair.new) for pair in matching.unfinished],
        "vanished": [{**one(side), "differs_in": list(apart)} for side, apart in matching.vanished],
        "appeared": [one(side) for side in matching.appeared],
    }


def _rows(cell: Compared, name: str, everything: bool) -> Iterator[Row]:
    shown = [one for one in cell.changes if everything or _worth_a_row(one)]
    for change in shown:
        yield _row(name, change)
    for event in cell.events:
        yield Row((name, _short(event.what), "", "", "", "", _verdict(event.verdict, "")), event.verdict)
    if not shown and not cell.events:
        yield Row((name, _at_most(cell), "", "", "", "", "unchanged"), "unchanged", whole_cell=True)


def _at_most(cell: Compared) -> str:
    """How much a cell changed in which nothing is worth a row of its own."""
    parts = []
    if scores := [change for change in cell.changes if change.kind == "score"]:
        most = max(scores, key=lambda one: abs(one.change) / one.threshold)
        change = f"at most {_signed(most.change)} ({most.name.replace('_', ' ')})" if most.change else "the same"
        parts.append(f"{_several(len(scores), 'score')} {change}")
    if counts := [change for change in cell.changes if change.kind == "count"]:
        far = max(counts, key=lambda one: abs(math.log(max(one.change, 1e-9))))
        change = "the same" if far.change == 1 else f"at most {_times(far.change)} ({far.name.replace('_', ' ')})"
        parts.append(f"{_several(len(counts), 'count')} {change}")
    parts += [f"{one.name.replace('_', ' ')} {_times(one.change)}" for one in cell.changes if one.kind == "time"]
    return ", ".join(parts)


def _worth_a_row(change: Change) -> bool:
    """What is a change by one of the two criteria, or would be if it could be tested."""
    if change.verdict == "untested":
        return not 1 / change.threshold < change.change < change.threshold
    return change.verdict in ("regression", "improvement") or change.reason == "not significant"


def _row(cell: str, change: Change) -> Row:
    factor = change.kind != "score"
    changed = _times(change.change) if factor else _signed(change.change)
    interval = ""
    if change.low is not None and change.high is not None:
        written = _times if factor else _signed
        interval = f"{written(change.low)} to {written(change.high)}"
    texts = (
        cell,
        change.name.replace("_", " "),
        _number(change.base),
        _number(change.new),
        changed,
        interval,
        _verdict(change.verdict, change.reason),
    )
    return Row(texts, change.verdict)


def _verdict(verdict: Verdict, reason: str) -> str:
    return f"{verdict}: {reason}" if reason else verdict


def _number(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) < 1e-3:
        return f"{value:.1e}".replace("-", "\u2212")
    digits = max(0, min(3, 4 - len(f"{abs(value):.0f}")))
    return f"{value:,.{digits}f}".replace("-", "\u2212")


def _signed(value: float) -> str:
    return "0" if value == 0 else f"{'+' if value > 0 else ''}{_number(value)}"


def _times(factor: float) -> str:
    return "from 0" if math.isinf(factor) else f"×{factor:.2f}" if factor < 1e4 else f"×{factor:.1e}"


def _several(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _short(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _more(count: int, what: str) -> Sequence[str]:
    return (f"… and {count} more {what}.", "") if count > 0 else ()


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
