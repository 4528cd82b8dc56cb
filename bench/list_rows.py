"""What ``whybench list`` shows: methods, tasks or metrics, none of them imported."""

from __future__ import annotations

import itertools
import textwrap
from typing import Any

from whybench.bench.errors import ParameterError

# a column with longer cells than this is wrapped where it has to be
LONG_COLUMN = 20


def rows_of(kind: str) -> list[dict[str, Any]]:
    """One row for each method, task or metric.

    Raises:
        ParameterError: There is nothing of that kind.
    """
    if kind in ("methods", "method"):
        return _methods()
    if kind in ("tasks", "task"):
        return _tasks()
    if kind in ("metrics", "metric"):
        return _metrics()
    raise ParameterError(f"there is nothing to list under {kind!r}; it must be methods, tasks or metrics.")


def lines_of(rows: list[dict[str, Any]], width: int) -> list[str]:
    """The rows as a table of so many characters; long columns share what short ones leave, and are wrapped.

    Plain text rather than Rich's, whose import takes longer than all that listing does.
    """
    table = [list(rows[0]), *([str(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    # the first column holds names, which nothing may break
    long = [i for i, longest in enumerate(widths) if i > 0 and longest > LONG_COLUMN]
    room = width - sum(size for i, size in enumerate(widths) if i not in long) - 2 * (len(widths) - 1)
    for i in long:
        widths[i] = min(widths[i], max(LONG_COLUMN, room // len(long)))
    lines = []
    for row in table:
        cells = [textwrap.wrap(cell, size) for cell, size in zip(row, widths, strict=True)]
        for parts in itertools.zip_longest(*cells, fillvalue=""):
            lines.append("  ".join(part.ljust(size) for part, size in zip(parts, widths, strict=True)).rstrip())
    return lines


def _methods() -> list[dict[str, Any]]:
    from whybench.bench.choices import CONTROL
    from whybench.bench.listing import Entry, entries

    def default(entry: Entry) -> str:
        if entry.source is None:
            # an entry point says it only once it is loaded
            return ""
        if not entry.fact("default", True):
            return "no"
        return "--suite causal" if entry.fact("family") == CONTROL else "yes"

    return [
        {
            "name": e.name,
            "family": e.fact("family", ""),
            "signed": e.fact("signed", ""),
            "default": default(e),
            "what": e.error or e.summary,
        }
        for e in entries("method")
    ]


def _tasks() -> list[dict[str, Any]]:
    from whybench.bench.listing import entries

    return [
        {
            "name": e.name,
            "suite": e.fact("suite", ""),
            "evidence": e.fact("evidence") or "none",
            "what": e.error or e.fact("summary"),
        }
        for e in entries("task")
    ]


def _metrics() -> list[dict[str, Any]]:
    from whybench.bench.causal.metrics import CAUSAL
    from whybench.bench.figures import FIGURES
    from whybench.bench.metrics import METRICS

    def needs(name: str) -> str:
        return "probabilities" if name in METRICS else "attention" if name in CAUSAL else "evidence"

    def default(name: str) -> str:
        if name in CAUSAL:
            return "--suite causal"
        return "yes" if name not in METRICS or METRICS[name].default else "no"

    return [
        {
            "name": m.name,
            "default": default(m.name),
            "needs": needs(m.name),
            "better": {True: "higher", False: "lower", None: ""}[m.higher_is_better],
            "what": m.formula,
            "source": m.citation,
        }
        for m in FIGURES.values()
    ]
