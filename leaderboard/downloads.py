"""Tables as files: CSV for spreadsheets, JSON for programs, LaTeX for papers. Made with the site, so that they need no
JavaScript.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from whybench.bench.choices import UNRANKED
from whybench.bench.schema import Result
from whybench.leaderboard.formatting import visible
from whybench.leaderboard.latex import Tabular, escaped
from whybench.leaderboard.ranks import Standing
from whybench.leaderboard.shown import shown
from whybench.leaderboard.skills import HELP, SkillRow, Skills, Yardstick
from whybench.leaderboard.tables import COST, COVERAGE, Column, Row, Table, TableCell

KINDS = ("csv", "json", "tex")
_TO = "\u2009\u2013\u2009"


def board_files(table: Table, anchor: str) -> dict[str, bytes]:
    """A board by kind of file, and as ``js`` what its page makes files of the shown rows and columns from.

    Args:
        table: The board.
        anchor: Its name within pages.
    """
    return _files(anchor, _board(table), _board_tex(table), {column.key: column.key for column in table.figures})


def skill_files(skills: Skills, anchors: Mapping[str, str]) -> dict[str, bytes]:
    """The table of skill by kind of file, as `board_files` has them.

    Args:
        skills: The table.
        anchors: Per board's key its name within pages.
    """
    columns = [f"skill-{anchors[board.key]}" for board in skills.boards]
    figures = {"all_tasks": "overall", **dict(zip(_keys(skills), columns, strict=True))}
    return _files("skill", _skills(skills), _skill_tex(skills, columns), figures)


def _files(name: str, data: Mapping[str, Any], tex: Tabular, figures: Mapping[str, str]) -> dict[str, bytes]:
    fields, lines = _sheet([_flat(row) for row in data["rows"]])
    script = shown(name, data, figures, fields, lines, tex)
    return {"csv": _csv(lines), "json": _json(data), "tex": tex.encode(), "js": script}


def _board(table: Table) -> dict[str, Any]:
    spec = table.board.spec
    return {
        "task": spec.task.name,
        "dataset": spec.task.dataset,
        "split": spec.task.split,
        "examples": spec.task.examples,
        "model": spec.model.name,
        "operator": spec.operator,
        "unit": spec.unit,
        "protocol_version": spec.protocol_version,
        "measure": spec.measure,
        "accuracy": table.board.accuracy,
        "ranked_by": table.ranked_by.key if table.ranked_by else None,
        "columns": [_column(column) for column in table.columns],
        "rows": [_row(row, table.columns) for row in table.rows],
        "without_figures": [
            {"method": table.board.names[r.cell], "status": r.status, "reason": r.error, "cell": r.cell}
            for r in (stored.result for stored in table.board.failures)
        ],
    }


def _column(column: Column) -> dict[str, Any]:
    return {
        "key": column.key,
        "title": column.title.replace("\u00a0", " "),
        "group": column.group,
        "better": column.better,
        "definition": column.help,
    }


def _row(row: Row, columns: Sequence[Column]) -> dict[str, Any]:
    result, coverage = row.result, row.result.coverage
    figures = {column.key: result.figures[column.key] for column in columns if column.key in result.figures}
    return {
        **_who(row.name, result, row.stored.standing),
        **_place(row.standing),
        "not_ranked": _why(row),
        "figures": {name: figure.model_dump(mode="json") for name, figure in figures.items()},
        "cost": None if result.cost is None else result.cost.model_dump(mode="json"),
        "examples": None if coverage is None else coverage.examples,
        "scored": None if coverage is None else coverage.scored,
        "truncated": None if coverage is None else coverage.truncated,
        "without_score": [] if coverage is None else [one.model_dump(mode="json") for one in coverage.failed],
        "failed_gates": {name: outcome.model_dump(mode="json") for name, outcome in row.barred},
        "cell": result.cell,
        "spec_hash": result.spec.hash(),
    }


def _who(name: str, result: Result, standing: str | None) -> dict[str, Any]:
    return {
        "method": name,
        "family": result.family,
        "signed": result.signed,
        "standing": standing or "made here",
        "reference": result.family in UNRANKED,
    }


def _place(standing: Standing | None) -> dict[str, Any]:
    return {
        "rank": standing.rank if standing else None,
        "rank_interval": standing.interval.replace("\u2013", "-") if standing else None,
        "tie_groups": standing.letters.replace("\u2013", "-") if standing else None,
    }


def _why(row: Row) -> str:
    """Why a row has no rank; empty where that is not the row's doing."""
    if row.result.family in UNRANKED:
        return "a reference"
    coverage = row.result.coverage
    reasons = [f"fails {name.replace('_', ' ')}: {outcome.reason}" for name, outcome in row.barred]
    if coverage is not None and not row.complete:
        reasons.insert(0, f"{len(coverage.failed)} of {coverage.examples} examples failed")
    return "; ".join(reasons)


def _skills(skills: Skills) -> dict[str, Any]:
    keys = _keys(skills)

    def row(one: SkillRow) -> dict[str, Any]:
        cells = {"all_tasks": one.overall} if skills.several else {}
        cells |= dict(zip(keys, one.cells, strict=True))
        return {
            **_who(one.name, one.row.result, one.submitted),
            **_place(one.standing),
            "not_ranked": one.why,
            "figures": {key: _ends(cell) for key, cell in cells.items() if cell.value is not None},
            "beats": one.borda,
            "cells": [row.result.cell for row in one.rows],
        }

    yardsticks = [
        {
            **_who(one.name, one.stored.result, one.stored.standing),
            **_place(None),
            "not_ranked": "a reference: the end of the scale",
            "figures": {key: {"mean": one.skill} for key in (["all_tasks"] if skills.several else []) + keys},
            "beats": None,
            "cells": [one.stored.result.cell],
        }
        for one in skills.yardsticks
    ]
    return {
        "what": f"Skill: {HELP}",
        "boards": [
            {"key": key, "task": board.spec.task.name, "model": board.spec.model.name}
            for key, board in zip(keys, skills.boards, strict=True)
        ],
        "rows": [row(one) for one in skills.rows] + yardsticks,
        "undefined": dict(skills.undefined),
    }


def _keys(skills: Skills) -> list[str]:
    """One name for every column; two models of one task are told apart."""
    tasks = [board.spec.task.name for board in skills.boards]
    return [
        board.spec.task.name
        if tasks.count(board.spec.task.name) == 1
        else f"{board.spec.task.name}/{board.spec.model.name}"
        for board in skills.boards
    ]


def _ends(cell: TableCell) -> dict[str, float | None]:
    return {"mean": cell.value, "low": cell.low, "high": cell.high}


def _json(data: Mapping[str, Any]) -> bytes:
    # a lone surrogate in a name is escaped, so that the file is UTF-8 whatever it holds
    return (json.dumps(data, indent=1, ensure_ascii=True, allow_nan=False) + "\n").encode()


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row with one value in each field."""
    flat: dict[str, Any] = {}
    for name, value in row.items():
        if name == "figures":
            for key, figure in value.items():
                flat |= {key if part == "mean" else f"{key}_{part}": number for part, number in figure.items()}
        elif name == "cost":
            # the timing has its own number of examples
            flat |= {f"timed_{key}" if key == "examples" else key: part for key, part in (value or {}).items()}
        elif name == "failed_gates":
            flat[name] = " ".join(value)
        elif name == "without_score":
            flat[name] = " ".join(one["example"] for one in value)
        elif name == "cells":
            flat[name] = " ".join(value)
        else:
            flat[name] = value
    return flat


def _sheet(rows: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Names of the fields, and lines of cells as a CSV file has them, the heading first."""
    # the fullest row first: it has the fields in their order, whatever figures others lack
    fields = list(dict.fromkeys(name for row in sorted(rows, key=len, reverse=True) for name in row))
    lines = [[_quoted(name) for name in fields]]
    return fields, lines + [[_quoted(row.get(name, "")) for name in fields] for row in rows]


def _csv(lines: Sequence[Sequence[str]]) -> bytes:
    # the mark lets spreadsheets see that it is UTF-8
    return "".join(",".join(line) + "\r\n" for line in lines).encode("utf-8-sig", "replace")


def _quoted(value: Any) -> str:
    if value is None:
        return ""
    text = str(_inert(value))
    return '"' + text.replace('"', '""') + '"' if any(sign in text for sign in ',"\r\n') else text


def _inert(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula: a name can be anything."""
    if isinstance(value, str):
        value = visible(value, most=1000)
        return f"'{value}" if value[:1] in tuple("=+-@") else value
    return value


def _board_tex(table: Table) -> Tabular:
    spec = table.board.spec
    ranked = table.ranked_by is not None
    heads = ["Method", *(["Rank", "Ties"] if ranked else []), *(_head(column) for column in table.columns)]
    keys = ["method", *(["rank", "rank"] if ranked else []), *(column.key for column in table.columns)]

    def line(row: Row) -> tuple[list[str], str]:
        place = [row.standing.interval, row.standing.letters] if row.standing else ["–", ""]
        name = escaped(row.name) + (_superscript(marks[row.result.cell]) if row.result.cell in marks else "")
        cells = [_tex_cell(cell, column) for cell, column in zip(row.cells, table.columns, strict=True)]
        return [name, *(map(escaped, place) if ranked else ()), *cells], row.result.cell

    notes, marks = _notes((row.result.cell, f"Not ranked: {_why(row)}.") for row in table.methods if _why(row))
    failed = [
        f"{table.board.names[s.result.cell]} {s.result.status}: {s.result.error or ''}" for s in table.board.failures
    ]
    by = (
        f" Rank: 95\u00a0% interval by {table.ranked_by.title.lower()}; methods that share a letter do not differ."
        if table.ranked_by
        else ""
    )
    about = (
        f"{spec.task.name}, {spec.model.name}, {spec.task.examples:,} examples, removal by {spec.operator} of "
        f"{spec.unit}s, protocol version {spec.protocol_version}."
    )
    return Tabular(
        f"l{'ll' if ranked else ''}{'r' * len(table.columns)}",
        keys,
        heads,
        ([line(row) for row in table.methods], [line(row) for row in table.references]),
        [f"{about} Means with 95\u00a0% intervals over examples.{by}", *notes, *failed],
    )


def _head(column: Column) -> str:
    arrow = {"higher": r" $\uparrow$", "lower": r" $\downarrow$", None: ""}[column.better]
    return escaped(column.title) + arrow


def _tex_cell(cell: TableCell, column: Column) -> str:
    if cell.value is None:
        return escaped(cell.text)
    if column.group in (COST, COVERAGE):
        return escaped(cell.text)
    text = rf"\textbf{{{escaped(cell.text)}}}" if cell.best else escaped(cell.text)
    return text if cell.low is None else rf"{text} {{\scriptsize [{escaped(cell.detail.replace(_TO, ', '))}]}}"


def _superscript(mark: int) -> str:
    return rf"\textsuperscript{{{mark}}}"


def _notes(reasons: Iterable[tuple[str, str]]) -> tuple[list[str], dict[str, int]]:
    """Footnotes, each reason once, and the number of the note of every row that has one."""
    numbers: dict[str, int] = {}
    marks = {cell: numbers.setdefault(reason, len(numbers) + 1) for cell, reason in reasons}
    return [f"({number}) {reason}" for reason, number in numbers.items()], marks


def _skill_tex(skills: Skills, columns: Sequence[str]) -> Tabular:
    keys = _keys(skills)
    heads = ["Method", *(["Rank", "Ties"] if skills.ranked else [])]
    heads += [r"All tasks $\uparrow$", r"Beats $\uparrow$"] if skills.several else []
    heads += [rf"{escaped(key)} $\uparrow$" for key in keys]
    notes, marks = _notes((one.name, f"{one.why}.") for one in skills.rows if one.why and skills.several)

    def cell(one: TableCell) -> str:
        return _tex_cell(one, Column("", "", "", "higher", ""))

    def line(one: SkillRow) -> tuple[list[str], str]:
        place = [one.standing.interval, one.standing.letters] if one.standing else ["–", ""]
        found = [escaped(one.name) + (_superscript(marks[one.name]) if one.name in marks else "")]
        found += map(escaped, place) if skills.ranked else ()
        if skills.several:
            found += [cell(one.overall), escaped("–" if one.borda is None else f"{one.borda:.0%}")]
        return found + [cell(each) for each in one.cells], " ".join(row.result.cell for row in one.rows)

    def end(one: Yardstick) -> tuple[list[str], str]:
        said = str(one.skill)
        place = [escaped(one.name), *["", ""] * skills.ranked, *[said, ""] * skills.several]
        return place + [said] * len(keys), one.stored.result.cell

    return Tabular(
        "l" + "ll" * skills.ranked + "r" * (len(heads) - 1 - 2 * skills.ranked),
        ["method", *["rank"] * 2 * skills.ranked, *["overall", "borda"] * skills.several, *columns],
        heads,
        ([line(one) for one in skills.rows], [end(one) for one in skills.yardsticks]),
        [f"Skill: {HELP} 95\u00a0% intervals over examples; methods that share a letter do not differ.", *notes],
    )
