"""Commands for contributors: ``whybench new …`` writes files to begin with, ``whybench check …`` tries them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer
from typer.core import TyperGroup

from whybench.bench.errors import ParameterError

if TYPE_CHECKING:
    from whybench.bench.conformance import Report


class _MethodByDefault(TyperGroup):
    """``whybench check NAME`` is ``whybench check method NAME``: methods are what most people add."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if args and not args[0].startswith("-") and args[0] not in self.commands:
            args = ["method", *args]
        return super().resolve_command(ctx, args)


new = typer.Typer(
    help="Write the files of a new contribution, with comments.", no_args_is_help=True, rich_markup_mode=None
)
check = typer.Typer(
    cls=_MethodByDefault,
    help="Check what a contribution promises; a name alone is a method's.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

EVIDENCE = ("planted", "human", "none")

Out = Annotated[
    Path | None,
    typer.Option("--out", help="Folder; default: the places in a source checkout, else this folder."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines, and nothing else.")]
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print a report to paste into a pull request.")]


@new.command("method")
def new_method(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The method's name: letters, digits, underscores.")],
    family: Annotated[
        str, typer.Option("--family", help="What it is made from: gradient, attention or perturbation.")
    ] = "gradient",
    out: Out = None,
) -> None:
    """Write a method and its test, to be edited; nothing that is there is overwritten."""
    from whybench.bench import scaffold

    known: dict[str, scaffold.Family] = {one: one for one in get_args(scaffold.Family)}
    if family not in known:
        raise ParameterError(f"--family is {family!r}; it must be one of {', '.join(known)}.")
    written = scaffold.new_method(name, family=known[family], out=out)
    sys.stdout.write(
        f"{written.file}\n{written.test}\n\nNext: answer what says TODO, then\n"
        f"  python -m pytest {written.test}\n"
        f"  whybench check {written.file}\n"
        f"  whybench run --method {written.file}\n"
    )


@new.command("task")
def new_task(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The task's name: letters, digits, underscores.")],
    evidence: Annotated[
        str | None,
        typer.Option("--evidence", help="planted, human or none; default: none, planted for generated data."),
    ] = None,
    pair: Annotated[bool, typer.Option("--pair", help="An example has two texts.")] = False,
    generated: Annotated[bool, typer.Option("--generated", help="Examples are generated, not read.")] = False,
    out: Out = None,
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
    as_json: AsJson = False,
    markdown: AsMarkdown = False,
) -> None:
    """Check what a task promises, alone and with its model. Exit code 1: a check failed."""

    def make() -> Report:
        from whybench.bench.task_checks import check_task

        # `whybench run` wants TASK=PATH
        path = None if data is None else Path(data.removeprefix(f"{Path(name).stem}="))
        return check_task(name, data=path, model=model, split=split, limit=limit)

    _reported(make, as_json=as_json, markdown=markdown)


@check.command("method")
def check_method(
    name: Annotated[
        str, typer.Argument(metavar="NAME_OR_FILE", help="A method's name, or its file; parameters as NAME:key=value.")
    ],
    threads: Annotated[int, typer.Option("--threads", help="Processor threads; the models are small.")] = 1,
    as_json: AsJson = False,
    markdown: AsMarkdown = False,
) -> None:
    """Check what a method promises, on tiny models and the built-in tasks. Exit code 1: a check failed."""
    from whybench.bench.cli_methods import method_named

    def make() -> Report:
        import torch

        from whybench.bench.method_checks import check_method

        torch.set_num_threads(threads)
        given, parameters = method_named(name)
        return check_method(given, parameters)

    if threads < 1:
        raise ParameterError(f"--threads is {threads}; it must be at least 1.")
    _reported(make, as_json=as_json, markdown=markdown)


def _reported(make: Callable[[], Report], *, as_json: bool, markdown: bool) -> None:
    """Make a report and print it as asked for."""
    import contextlib

    from rich.console import Console

    from whybench.bench.console import print_json, quiet

    if as_json and markdown:
        raise ParameterError("--json and --markdown were both given; give one of the two.")
    quiet()
    # what the contribution's file prints is no part of the report
    with contextlib.redirect_stdout(sys.stderr):
        report = make()
    if as_json:
        print_json(report.to_json())
    elif markdown:
        sys.stdout.write(report.to_markdown())
    else:
        report.print(Console())
    if not report.passed:
        raise typer.Exit(1)
