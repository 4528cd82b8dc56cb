"""Commands for contributors: ``whybench new …`` writes files to begin with, ``whybench check …`` tries them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from whybench.bench.errors import ParameterError

new = typer.Typer(
    help="Write the files of a new contribution, with comments.", no_args_is_help=True, rich_markup_mode=None
)
check = typer.Typer(help="Check what a contribution promises.", no_args_is_help=True, rich_markup_mode=None)

EVIDENCE = ("planted", "human", "none")


@new.command("task")
def new_task(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The task's name: letters, digits, underscores.")],
    evidence: Annotated[
        str | None,
        typer.Option("--evidence", help="planted, human or none; default: none, planted for generated data."),
    ] = None,
    pair: Annotated[bool, typer.Option("--pair", help="An example has two texts.")] = False,
    generated: Annotated[bool, typer.Option("--generated", help="Examples are generated, not read.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder; default: tasks/ and tests/tasks/ of a source checkout, else this one."),
    ] = None,
) -> None:
    """Write a task and its test, to be edited; nothing that is there is overwritten."""
    from whybench.bench import scaffold

    evidence = evidence or ("planted" if generated else "none")
    if evidence not in EVIDENCE:
        raise ParameterError(f"--evidence is {evidence!r}; it must be one of {', '.join(EVIDENCE)}.")
    known: dict[str, scaffold.Evidence] = {"planted": "planted", "human": "human"}
    written = scaffold.new_task(name, evidence=known.get(evidence), pair=pair, generated=generated, out=out)
    data, named = ("", "") if generated else (" --data PATH", f" --data {name}=PATH")
    sys.stdout.write(
        f"{written.file}\n{written.test}\n\nNext: answer what says TODO, then\n"
        f"  python -m pytest {written.test}\n"
        f"  whybench check task {written.file}{data}\n"
        f"  whybench run --task {written.file}{named} --model MODEL\n"
    )


@check.command("task")
def check_task(
    name: Annotated[str, typer.Argument(metavar="NAME_OR_FILE", help="A task's name, or its file.")],
    data: Annotated[
        str | None, typer.Option("--data", metavar="PATH", help="Local file or folder for the task's data.")
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="Checkpoint folder or Hub id; default: the task's own.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Split of the data; default: the task's own.")] = None,
    limit: Annotated[int, typer.Option("--limit", help="Most examples that the model reads (a seeded sample).")] = 100,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines, and nothing else.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a report to paste into a pull request.")] = False,
) -> None:
    """Check what a task promises, alone and with its model. Exit code 1: a check failed."""
    import contextlib

    from rich.console import Console

    from whybench.bench.console import print_json, quiet
    from whybench.bench.task_checks import check_task

    if as_json and markdown:
        raise ParameterError("--json and --markdown were both given; give one of the two.")
    # `whybench run` wants TASK=PATH
    path = None if data is None else Path(data.removeprefix(f"{Path(name).stem}="))
    quiet()
    # what the task's file prints is no part of the report
    with contextlib.redirect_stdout(sys.stderr):
        report = check_task(name, data=path, model=model, split=split, limit=limit)
    if as_json:
        print_json(report.to_json())
    elif markdown:
        sys.stdout.write(report.to_markdown())
    else:
        report.print(Console())
    if not report.passed:
        raise typer.Exit(1)
