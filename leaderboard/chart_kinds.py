"""All kinds of chart by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from whybench.leaderboard import chart_specs
from whybench.leaderboard.history_spec import over_versions
from whybench.leaderboard.tradeoff_spec import tradeoff

# the name of every kind, on pages and in the file of the specs
KINDS: Mapping[str, Callable[[], dict[str, Any]]] = {
    **chart_specs.KINDS,
    "tradeoff": tradeoff,
    "figures-over-versions": partial(over_versions, "linear"),
    "costs-over-versions": partial(over_versions, "log"),
}
