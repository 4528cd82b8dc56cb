"""``whybench publish``: results as a repository can keep them. Heavy imports stay inside."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated, cast

import typer

from whybench.bench.choices import MAPS, Texts


def publish(
    results: Annotated[Path, typer.Argument(help="Folder of the results.")],
    out: Annotated[Path, typer.Argument(help="Folder of the copy; results that it has stay.")],
    texts: Annotated[
        str,
        typer.Option("--texts", help="Whose texts are published: builtin (of tasks that make their own), none, all."),
    ] = "builtin",
    maps: Annotated[
        int, typer.Option("--maps", help="Of how many examples texts, maps and curves are kept; the first ones.")
    ] = MAPS,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines, and nothing else.")] = False,
) -> None:
    """Copy results, small: all figures of all examples, and texts, maps and curves of a few."""
    from whybench.bench.console import print_json
    from whybench.bench.publication import publish as copy
    from whybench.bench.publication import said
    from whybench.bench.store import ResultStore

    store = ResultStore(out)
    made = copy(ResultStore(results), store, cast(Texts, texts), maps)
    if as_json:
        print_json(dataclasses.asdict(made))
    else:
        sys.stdout.writelines(f"{line}\n" for line in said(made, store))
