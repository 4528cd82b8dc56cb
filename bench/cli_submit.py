"""Commands around a submission: ``whybench export``, ``submit`` and ``verify``. Heavy imports stay inside them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from whybench.bench.errors import ParameterError, StoreError, SubmissionError

if TYPE_CHECKING:
    from whybench.bench.verify import Verified


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


def verify(
    submission: Annotated[Path, typer.Argument(help="Folder of the submission.")],
    examples: Annotated[int, typer.Option("--examples", help="Examples of each cell that are made again.")] = 8,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Which they are; default: drawn, so that nobody knows before.")
    ] = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", metavar="TASK=PATH", help="Local file or folder for a task's data.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Checkpoint folder or Hub id; default: each task's own.")
    ] = None,
    device: Annotated[str, typer.Option("--device", help="cpu, cuda, …")] = "cpu",
    seconds: Annotated[float, typer.Option("--seconds", help="Most time that the method has for a cell.")] = 600.0,
    memory: Annotated[float, typer.Option("--memory", help="Most GiB that the method has beyond the model.")] = 8.0,
    write: Annotated[
        bool, typer.Option("--write", help="On success, write SUBMISSION.verified.json beside the folder.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines, and nothing else.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a report to paste into a pull request.")] = False,
) -> None:
    """Check a submission, and make some of its examples again. Exit code 0: verified, 1: not."""
    if as_json and markdown:
        raise ParameterError("--json and --markdown were both given; give one of the two.")
    import contextlib
    import secrets

    import torch
    from rich.console import Console

    from whybench.bench.cli_methods import data_named
    from whybench.bench.confine import Limits
    from whybench.bench.console import print_json, quiet
    from whybench.bench.verification import write_record
    from whybench.bench.verify import Setting
    from whybench.bench.verify import verify as checked

    if not submission.is_dir():
        raise SubmissionError(f"{str(submission)!r} is no folder; give the folder of a submission.")
    if not 0 < seconds <= 86400 or not 0 < memory <= 4096:
        raise ParameterError(f"--seconds is {seconds} and --memory {memory}; they must be above 0.")
    quiet()
    setting = Setting(
        examples=examples,
        seed=secrets.randbelow(2**31) if seed is None else seed,
        data=dict(map(data_named, data or [])),
        model=model,
        device=device,
        limits=Limits(seconds=seconds, memory=int(memory * 2**30), threads=torch.get_num_threads()),
    )

    def say(cell: str) -> None:
        sys.stderr.write(f"whybench: checking {cell}\n")

    with contextlib.redirect_stdout(sys.stderr):
        found = checked(submission, setting, say)
    record = write_record(found, setting) if write and found.passed else None
    if as_json:
        print_json({**found.report.to_json(), "verified": found.passed, "record": record and str(record)})
    elif markdown:
        sys.stdout.write(f"{found.report.to_markdown()}\n{_verdict(found)}\n")
    else:
        found.report.print(Console())
        sys.stdout.write(f"{_verdict(found)}\n")
        if record:
            sys.stdout.write(f"{record}\n")
    if not found.passed:
        raise typer.Exit(1)


def _verdict(found: Verified) -> str:
    if found.passed:
        return "Verified: its maps were made again, and its figures are theirs."
    if found.report.passed:
        return "Not verified: nothing is wrong, but the maps cannot be made again here. The row stays self-reported."
    return "Not verified: a check failed."
