"""Commands around a submission: ``whybench export``, ``submit`` and ``verify``. Heavy imports stay inside them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from whybench.bench.errors import StoreError


def export(
    cell: Annotated[Path, typer.Argument(help="Folder of a finished cell, RESULTS/cells/….")],
    out: Annotated[Path | None, typer.Option("--out", help="File to write; default: print.")] = None,
) -> None:
    """Write a cell's scores as JSON Lines, as `whybench run --attributions` reads them."""
    from whybench.bench.attributions import exported
    from whybench.bench.store import read

    lines = [f"{line}\n" for line in exported(read(cell))]
    if out is None:
        sys.stdout.writelines(lines)
        return
    try:
        # never over what is there
        with out.open("x", encoding="utf-8") as file:
            file.writelines(lines)
    except OSError as error:
        raise StoreError(
            f"{str(out)!r} cannot be written ({error.strerror or error}). Give another path with --out."
        ) from error
    sys.stdout.write(f"{len(lines) - 1} examples in {out}\n")


def submit(
    method: Annotated[list[str], typer.Argument(metavar="METHOD…", help="NAME, NAME:key=value or FILE.py, as to run.")],
    results: Annotated[Path, typer.Option("--results", help="Folder of the results.")] = Path("results"),
    out: Annotated[Path, typer.Option("--out", help="Folder of the submissions.")] = Path("leaderboard/results"),
    about: Annotated[
        Path | None, typer.Option("--about", help="TOML or JSON: authors, paper, code, licence, contact.")
    ] = None,
    author: Annotated[list[str] | None, typer.Option("--author", help="Who made the method; repeatable.")] = None,
    paper: Annotated[str | None, typer.Option("--paper", help="Address of the paper, or none.")] = None,
    code: Annotated[str | None, typer.Option("--code", help="Address of the code.")] = None,
    licence: Annotated[str | None, typer.Option("--licence", help="The code's licence (SPDX).")] = None,
    contact: Annotated[str | None, typer.Option("--contact", help="Where to ask; not required.")] = None,
    map_tolerance: Annotated[
        float,
        typer.Option("--map-tolerance", help="How far maps made elsewhere may be, relative to the largest score."),
    ] = 1e-3,
    figure_tolerance: Annotated[
        float, typer.Option("--figure-tolerance", help="How far the figures of the same map may be elsewhere.")
    ] = 1e-3,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines, and nothing else.")] = False,
) -> None:
    """Bundle a method's results for a pull request; says all that is missing, and then writes nothing."""
    from whybench.bench.cli_methods import method_named
    from whybench.bench.console import print_json, quiet
    from whybench.bench.errors import SubmissionError
    from whybench.bench.store import ResultStore
    from whybench.bench.submission import Tolerance, draft, read_about, write

    quiet()
    given = read_about(about) if about is not None else {}
    options = {"authors": author, "paper": paper, "code": code, "licence": licence, "contact": contact}
    given |= {name: value for name, value in options.items() if value}
    for name, value in (("map", map_tolerance), ("figure", figure_tolerance)):
        if not 0 < value <= 0.01:
            raise SubmissionError(f"--{name}-tolerance is {value}; it must be above 0 and at most 0.01.")
    tolerance = Tolerance(maps=map_tolerance, figures=figure_tolerance)
    store = ResultStore(results)
    drafts = [draft(store, *method_named(one), given) for one in method]
    missing = list(dict.fromkeys(line for one in drafts for line in one.missing))
    if missing:
        raise SubmissionError("nothing was written; missing is\n" + "\n".join(f"  - {line}" for line in missing))
    for line in (line for one in drafts for line in one.said):
        sys.stderr.write(f"whybench: {line}\n")
    folders = [write(one, out, tolerance) for one in drafts]
    if as_json:
        print_json(
            [{"folder": str(folder), "cells": len(one.cells)} for folder, one in zip(folders, drafts, strict=True)]
        )
        return
    for folder, one in zip(folders, drafts, strict=True):
        cells = f"{len(one.cells)} cell{'s' * (len(one.cells) > 1)}"
        sys.stdout.write(f"{folder}: {cells}\nNext: whybench verify {folder}, then add the folder to a pull request.\n")
