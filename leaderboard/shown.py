"""What a page makes files of the shown rows and columns from: loaded as a script when a reader asks, and escaped here,
so that the rules are those of the files of whole tables.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from whybench.leaderboard.latex import ABOVE, Tabular
from whybench.leaderboard.tables import COVERAGE_KEY

# the page's column of a field; what is of none is in every file
_PLACE = dict.fromkeys(("rank", "rank_interval", "tie_groups"), "rank")
_SCORED = dict.fromkeys(("examples", "scored", "truncated", "without_score"), COVERAGE_KEY)
_FIELDS = {**_PLACE, **_SCORED, "beats": "borda"}
_COSTS = {
    "forward_equivalents": "forward_equivalents",
    "p50_ms": "p50_ms",
    "p95_ms": "p50_ms",
    "forward_passes": "passes",
    "backward_passes": "passes",
    "flops": "flops",
    "peak_memory_bytes": "peak_memory",
}


def shown(
    name: str,
    data: Mapping[str, Any],
    figures: Mapping[str, str],
    fields: Sequence[str],
    lines: Sequence[Sequence[str]],
    tex: Tabular,
) -> bytes:
    """The script.

    Args:
        name: The table's name within pages.
        data: The table as its JSON file has it; rows in the order in which the page is written.
        figures: Per figure its column on the page.
        fields: Fields of the CSV file.
        lines: Its cells as they are written, the heading first.
        tex: The LaTeX file.
    """
    columns = {
        f"{figure}{part}": column for figure, column in figures.items() for part in ("", "_low", "_high", "_examples")
    }
    columns = {**columns, **_COSTS, **_FIELDS}
    found = {
        "csv": {"columns": [columns.get(field) for field in fields], "lines": lines},
        "json": {"data": data, "fields": _FIELDS, "cost": _COSTS, "figures": figures},
        "tex": {
            "above": ABOVE,
            "aligned": tex.aligned,
            "columns": tex.keys,
            "heads": tex.heads,
            "parts": tex.rows,
            "below": tex.below,
        },
    }
    # as a text within the script: in an object's literal a name can change what the object is
    text = json.dumps(json.dumps(found, ensure_ascii=True, allow_nan=False, separators=(",", ":")))
    return f"(window.shownData ??= {{}})[{json.dumps(name)}] = JSON.parse({text});\n".encode()
