"""``whybench compare``: did a version of the code make anything worse? Heavy imports stay inside."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from whybench.bench.errors import ParameterError

REGRESSION, NOTHING = 1, 3


def compare(
    base: Annotated[Path, typer.Argument(help="Folder of the results to compare with.")],
    new: Annotated[Path, typer.Argument(help="Folder of the new results.")],
    thresholds: Annotated[
        Path | None, typer.Option("--thresholds", help="TOML file with other thresholds than the package's.")
    ] = None,
    more_base: Annotated[
        list[Path] | None,
        typer.Option("--more-base", help="Another run of the base's code, to judge times by; repeatable."),
    ] = None,
    more_new: Annotated[
        list[Path] | None, typer.Option("--more-new", help="Another run of the new code; repeatable.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="A row for every figure, also where it is the same.")
    ] = False,
    wandb: Annotated[str, typer.Option("--wandb", help="disabled, offline, online or auto.")] = "disabled",
    wandb_project: Annotated[str, typer.Option("--wandb-project", "--project", help="W&B project.")] = "whybench",
    wandb_entity: Annotated[str | None, typer.Option("--wandb-entity", "--entity", help="W&B user or team.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines, and nothing else.")] = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a report to paste into a pull request.")] = False,
) -> None:
    """Compare scores and costs of two results folders. Exit code 0: no regression, 1: one, 3: nothing to compare."""
    if as_json and markdown:
        raise ParameterError("--json and --markdown were both given; give one of the two.")
    from rich.console import Console

    from whybench.bench.console import print_json
    from whybench.bench.regression import compare_folders
    from whybench.bench.regression_report import print_report, to_json, to_markdown
    from whybench.bench.store import ResultStore
    from whybench.bench.thresholds import read_thresholds
    from whybench.bench.tracking import Mirror

    def say(text: str) -> None:
        sys.stderr.write(f"whybench: {text}\n")

    mirror = Mirror(new, wandb, "compare", say, project=wandb_project, entity=wandb_entity)
    limits = read_thresholds(thresholds)
    again = [list(map(ResultStore, folders or ())) for folders in (more_base, more_new)]
    found = compare_folders(ResultStore(base), ResultStore(new), limits, *again)
    if as_json:
        print_json(to_json(found))
    elif markdown:
        sys.stdout.write(to_markdown(found, everything=everything))
    else:
        print_report(found, Console(), everything=everything)
    mirror.add_comparison(found, base, new)
    if found.count("regression"):
        raise typer.Exit(REGRESSION)
    if not found.comparable:
        raise typer.Exit(NOTHING)
