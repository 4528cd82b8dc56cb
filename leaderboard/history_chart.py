"""The drawing of one figure or cost over versions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from whybench.leaderboard.charts import Chart, rounded
from whybench.leaderboard.formatting import visible
from whybench.leaderboard.steps import Track
from whybench.leaderboard.tables import COST
from whybench.leaderboard.versions import Version

# with more versions the steps' texts would stand on one another: the rules stay, and say them when they are pointed at
_MOST_TEXTS, _MOST_NUMBERS = 8, 12
_ROOM = 0.12


def chart(track: Track, versions: Sequence[Version]) -> Chart:
    """The drawing of a track."""
    known = [(place, value) for place, value in enumerate(track.values) if value is not None]
    reached = [end for _, value in known for end in (value.low, value.value, value.high) if end is not None]
    # costs differ by factors; what is 0 in some version has none
    log = track.column.group == COST and min(reached) > 0
    data: dict[str, list[dict[str, Any]]] = {
        "values": [
            {
                "version": [place + 1 for place, _ in known],
                "value": rounded(value.value for _, value in known),
                "low": rounded(math.nan if value.low is None else value.low for _, value in known),
                "high": rounded(math.nan if value.high is None else value.high for _, value in known),
                "text": [value.text for _, value in known],
                "interval": [value.detail or "–" for _, value in known],
                "made": [visible(versions[place].made[:16].replace("T", " ")) for place, _ in known],
                "code": [code(versions[place]) for place, _ in known],
            }
        ],
        "steps": [
            {
                # between the two versions, where they are neighbours
                "version": [step.after + 0.5 for step in track.steps],
                "verdict": [step.verdict for step in track.steps],
                "change": [step.text for step in track.steps],
                "interval": [step.detail or "–" for step in track.steps],
                "text": [f"{step.verdict}\n{step.text}" for step in track.steps],
                "between": [f"{step.before + 1} and {step.after + 1}" for step in track.steps],
            }
        ],
    }
    said = "; ".join("–" if value is None else value.text for value in track.values)
    steps = "; ".join(f"{one.verdict} from {one.before + 1} to {one.after + 1}, {one.text}" for one in track.steps)
    description = f"{track.column.title} over {len(versions)} versions: {said}. Steps: {steps or 'none'}"
    step = math.ceil(len(versions) / _MOST_NUMBERS)
    given = {
        "versions": [0.5, len(versions) + 0.5],
        "ends": _ends(reached, log),
        "numbers": list(range(1, len(versions) + 1, step)),
        "few": len(versions) <= _MOST_TEXTS,
        "format": ".3~s" if track.column.key == "peak_memory_bytes" else "~g",
        "title": track.column.title,
    }
    return Chart("costs-over-versions" if log else "figures-over-versions", description, data, given)


def code(version: Version) -> str:
    """What made a version, in words."""
    commit = f", commit {version.commit}" if version.commit else ""
    return visible(f"whybench {version.result.environment.whybench}{commit}, source {version.source}")


def _ends(values: Sequence[float], log: bool) -> list[float]:
    low, high = min(values), max(values)
    if log:
        factor = max(1.2, (high / low) ** _ROOM)
        low, high = low / factor, high * factor
    else:
        room = _ROOM * (high - low) or 0.1 * abs(high) or 0.1
        low, high = low - room, high + room
    return [float(f"{low:.4g}"), float(f"{high:.4g}")]
