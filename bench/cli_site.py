"""``whybench leaderboard``: results as a site. Heavy imports stay inside."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from whybench.bench.store import StoredResult

RESULTS = Path("results")

Results = Annotated[Path, typer.Option("--results", help="Folder of the results.")]
Site = Annotated[Path | None, typer.Option("--site", help="Folder of the pages; default: RESULTS/site.")]


def leaderboard(
    results: Results = RESULTS,
    site: Site = None,
    submissions: Annotated[
        Path | None, typer.Option("--submissions", help="Folder of submissions; their rows stand beside the results.")
    ] = None,
    earlier: Annotated[
        list[Path] | None,
        typer.Option("--earlier", help="Results of an earlier version, for the page of versions alone; repeatable."),
    ] = None,
    serve: Annotated[
        bool, typer.Option("--serve", help="Serve the site on 127.0.0.1, and build it again when the results change.")
    ] = False,
    port: Annotated[int, typer.Option("--port", help="Port of --serve; 0 for any that is free.")] = 8000,
) -> None:
    """Render the results as a static site; nothing is computed anew."""
    from rich.console import Console

    from whybench.bench.store import ResultStore
    from whybench.bench.verification import with_submissions
    from whybench.leaderboard.text_table import print_overview

    store = ResultStore(results)
    out = site or results / "site"
    before = [ResultStore(folder) for folder in earlier or ()]

    def made() -> tuple[Path, list[StoredResult], list[StoredResult]]:
        finished, failures = with_submissions(store, submissions), store.read_failures()
        return build(finished, failures, out, [one.read_all() for one in before]), finished, failures

    if serve:
        from whybench.leaderboard.serve import serve as serve_site

        watched = [results, *([submissions] if submissions else []), *(one.root for one in before)]
        sys.stdout.write("Ctrl-C stops it.\n")
        serve_site(lambda: made()[0], watched, out, port, lambda line: print(line, flush=True))
        return
    index, finished, failures = made()
    print_overview(finished, failures, Console())
    sys.stdout.write(f"\nThe page: {index.resolve()}\n")


def build(
    finished: Sequence[StoredResult],
    failures: Sequence[StoredResult],
    out: Path,
    earlier: Sequence[Sequence[StoredResult]] = (),
) -> Path:
    """Write the site, by as many processes as are worth their start; returns the path of its first page."""
    from whybench.leaderboard.site import build_site, processes_for

    return build_site(finished, failures, out, earlier=earlier, processes=processes_for(len(finished)))
