"""What all pages share: the templates with their filters, and where the navigation leads."""

from __future__ import annotations

import math
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from whybench.bench.choices import UNRANKED
from whybench.bench.metrics import PROTOCOL_VERSION
from whybench.leaderboard import (
    formatting,
    history_page,
    matrix_map,
    tradeoff_page,
    versus_page,
)
from whybench.leaderboard.formatting import Slugs
from whybench.leaderboard.heatmap import drawn
from whybench.leaderboard.robustness import HELP, TITLE
from whybench.leaderboard.truth_page import TITLE as TRUTH_TITLE

_FOLDER = Path(__file__).parent / "templates"
# anchor of the table of skill
SKILL = "skill"
# templates of pages whose tables can be sorted
_SORTED = {"index.html", "board.html", "attention.html", "tradeoff.html", "truth.html"}


class Shell:
    """Renders pages. It can be pickled, so that other processes render the same.

    Args:
        labels: All methods, in the order in which their pages are named.
        navigation: Per name that the templates know an address from the site's root; None where there is no such page.
        tasks: Name and page of every task.
        apart: Whether the table of every board has a page of its own, as the overview would hold too much.
    """

    def __init__(
        self,
        labels: Iterable[str],
        navigation: dict[str, str | None],
        tasks: tuple[tuple[str, str], ...],
        *,
        apart: bool,
    ) -> None:
        slugs = Slugs()
        self._methods = {label: f"methods/{slugs.of(label)}.html" for label in labels}
        self._navigation, self._tasks, self._apart = navigation, tasks, apart

    def page(self, template: str, root: str, **context: Any) -> bytes:
        """A page.

        Args:
            template: Its template.
            root: The way from its folder to the site's root.
            context: What the template shows.
        """
        text = self._environment.get_template(template).render(root=root, sorts=template in _SORTED, **context)
        # a lone surrogate cannot be written as UTF-8, and a page is not to fail for it
        return text.encode("utf-8", "replace")

    def method_href(self, label: str) -> str:
        """A method's page, from the site's root."""
        return self._methods[label]

    def table_href(self, anchor: str) -> str:
        """Where a board's table stands, or that of skill, from the site's root."""
        return f"boards/{anchor}.html" if self._apart and anchor != SKILL else f"index.html#{anchor}"

    def __getstate__(self) -> dict[str, Any]:
        """All but the compiled templates, which every process makes for itself."""
        return {name: value for name, value in vars(self).items() if name != "_environment"}

    @cached_property
    def _environment(self) -> Environment:
        made = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        made.filters |= {
            "visible": formatting.visible,
            "breakable": formatting.breakable,
            "coded": formatting.coded,
            "number": formatting.number,
            "interval": formatting.interval,
            "significant": formatting.significant,
            "measured": formatting.measured,
            "power": formatting.power,
            "duration": formatting.duration,
            "cited": formatting.cited,
            "drawn": drawn,
            "twice": lambda value: (value, value),
        }
        made.policies["json.dumps_kwargs"] = {"separators": (",", ":")}
        made.globals |= {
            **self._navigation,
            "protocol_version": PROTOCOL_VERSION,
            "method_href": self.method_href,
            "table_href": self.table_href,
            "tasks": self._tasks,
            "trust_title": TRUTH_TITLE,
            "tradeoff_title": tradeoff_page.TITLE,
            "versus_title": versus_page.TITLE,
            "history_title": history_page.TITLE,
            "unranked": UNRANKED,
            "maps": matrix_map,
            "robustness_title": TITLE,
            "robustness_help": HELP,
            "infinity": math.inf,
        }
        return made
