"""Charts of the pages: the scripts that draw them, and the data that a page holds for each.

Every kind of chart is made once, as a Vega-Lite spec, and lies in one file of the site's; pages hold data only.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from typing import Any

from whybench.bench.errors import SiteError

LIBRARY, SPECS = "vega.js", "chart-specs.js"
_NOTICE = (
    "/* Vega, Vega-Lite, Vega-Embed and Vega-Tooltip, by the University of Washington Interactive Data Lab and "
    "contributors, BSD 3-Clause License, bundled by vl-convert {version}. */\n"
)


@dataclass(frozen=True)
class Chart:
    """A chart on a page.

    Attributes:
        kind: Which spec draws it, a name of `chart_kinds.KINDS`.
        description: What it shows, in words: for readers who do not see it, and until it is drawn.
        data: Rows of each of the spec's named data, in groups. In a group a list is a column; anything else is the
            value of all of the group's rows. Empty where a script of the page has them.
        given: Whatever stands in the spec as ``@name``, by this name: titles, ends of an axis.
    """

    kind: str
    description: str
    data: Mapping[str, Sequence[Mapping[str, Any]]]
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def content(self) -> dict[str, Any]:
        """What the page holds of it for the script."""
        return {"data": self.data, "given": self.given}


def rounded(values: Iterable[float], digits: int = 4) -> list[float | None]:
    """Numbers to as many significant digits as can be seen; what is no finite number is None."""
    return [float(f"{value:.{digits}g}") if math.isfinite(value) else None for value in map(float, values)]


@cache
def scripts() -> dict[str, bytes]:
    """Files that pages with charts load, by name: the library, and the spec of every kind of chart.

    Raises:
        SiteError: A package that they are taken from is not installed.
    """
    # these take seconds, and the table in the terminal needs neither
    try:
        import vl_convert

        from whybench.leaderboard.chart_kinds import KINDS
    except ImportError as error:
        raise SiteError(
            f"the package {error.name}, which brings the scripts of the charts, is not installed"
        ) from error

    # a script of its own declares names for all others
    library = f'(() => {{"use strict";{vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")}}})();'
    specs = {name: kind() for name, kind in KINDS.items()}
    text = json.dumps(specs, separators=(",", ":"), sort_keys=True)
    return {
        LIBRARY: (_NOTICE.format(version=version("vl-convert-python")) + library).encode(),
        SPECS: f"window.chartSpecs = {text};".encode(),
    }
