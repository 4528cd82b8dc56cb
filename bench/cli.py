"""The command line. Heavy imports stay inside the commands, so that ``--help`` and ``list`` answer at once.

Exit codes: 0 fine, 1 a cell or a check failed, a cell cannot be rescored as asked, or a regression; 2 wrong use or an
error of `whybench.bench.errors`; 3 nothing to compare.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from whybench.bench import cli_add, cli_compare, cli_publish, cli_site, cli_submit
from whybench.bench.choices import UNITS, UnitKind
from whybench.bench.cli_methods import attributions_named, data_named, method_named, methods_named, twins_of, unread
from whybench.bench.cli_site import RESULTS, Results, Site
from whybench.bench.console import print_json, quiet
from whybench.bench.errors import ParameterError, StoreError, WhybenchError

if TYPE_CHECKING:
    from rich.table import Table

    from whybench.bench.explanation import Explanation
    from whybench.bench.runner import Plan
    from whybench.bench.store import StoredResult

app = typer.Typer(
    name="whybench",
    help="Which explanation of a transformer text model can I trust, and what does it cost?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(cli_add.new, name="new")
app.add_typer(cli_add.check, name="check")

DEFAULT_SUITE = "mini"
# not a suite of tasks, but of figures, measured on any task
CAUSAL_SUITE = "causal"

Model = Annotated[str | None, typer.Option("--model", help="Checkpoint folder or Hub id; default: the task's own.")]
Revision = Annotated[str | None, typer.Option("--revision", help="Commit, tag or branch of a Hub model.")]
Device = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1, …; default: a GPU where there is one.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines, and nothing else.")]


@app.command()
def run(
    task: Annotated[list[str] | None, typer.Option("--task", help="Task name or file; repeatable.")] = None,
    suite: Annotated[
        str | None,
        typer.Option(
            "--suite",
            help="All tasks of a suite; default: mini. causal: what attention matrices do, on any --task.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="NAME or FILE.py, parameters as NAME:key=value,key=value; repeatable."),
    ] = None,
    attributions: Annotated[
        list[str] | None,
        typer.Option(
            "--attributions",
            metavar="[NAME=]FILE.jsonl",
            help="Scores made elsewhere, as a method; without --method nothing else runs. Repeatable.",
        ),
    ] = None,
    skip: Annotated[list[str] | None, typer.Option("--skip", help="A default method to leave out; repeatable.")] = None,
    model: Model = None,
    revision: Revision = None,
    data: Annotated[
        list[str] | None, typer.Option("--data", metavar="TASK=PATH", help="Local file or folder for a task's data.")
    ] = None,
    split: Annotated[str | None, typer.Option("--split", help="Split of the data; default: the task's own.")] = None,
    limit: Annotated[int | None, typer.Option("--limit", help="Most examples of a task (a seeded sample).")] = None,
    operator: Annotated[
        str | None, typer.Option("--operator", help="mask, delete or pad; default: the task's.")
    ] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", help="What is removed, word or token; default: the task's.")
    ] = None,
    metric: Annotated[list[str] | None, typer.Option("--metric", help="Metric, or all; repeatable.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Seeds the sample and ties; a method has its own.")] = 0,
    device: Device = None,
    dtype: Annotated[
        str, typer.Option("--dtype", help="Precision that the methods see; scoring is in float32.")
    ] = "float32",
    batch_size: Annotated[int, typer.Option("--batch-size", help="Examples in a method's batch.")] = 16,
    randomised_weights: Annotated[
        bool,
        typer.Option("--randomised-weights", help="Also check that maps change when the model's weights are redrawn."),
    ] = False,
    twins: Annotated[
        bool, typer.Option("--twins", help="Add the permuted twin of every method: its scores on the wrong units.")
    ] = False,
    threads: Annotated[int | None, typer.Option("--threads", help="Processor threads; default: torch's.")] = None,
    results: Results = RESULTS,
    site: Site = None,
    wandb: Annotated[str, typer.Option("--wandb", help="auto, offline, online or disabled.")] = "auto",
    wandb_project: Annotated[str, typer.Option("--wandb-project", "--project", help="W&B project.")] = "whybench",
    wandb_entity: Annotated[str | None, typer.Option("--wandb-entity", "--entity", help="W&B user or team.")] = None,
    as_json: AsJson = False,
) -> None:
    """Score methods on tasks; what is already scored is not done again."""
    import torch

    from whybench.bench.registry import load_task
    from whybench.bench.runner import Plan

    dtypes = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype not in dtypes:
        raise ParameterError(f"--dtype is {dtype!r}; it must be one of {', '.join(dtypes)}.")
    if threads is not None:
        if threads < 1:
            raise ParameterError(f"--threads is {threads}; it must be at least 1.")
        torch.set_num_threads(threads)
    causal = suite == CAUSAL_SUITE
    if task and suite and not causal:
        raise ParameterError(f"--suite {suite} and --task {task[0]} were both given; give one of the two.")
    # read before anything runs: what is wrong in them is said at once
    given = attributions_named(attributions or ())
    methods, unusable = methods_named(method, causal=causal, skipped=skip or (), alone=not given)
    if twins:
        methods += twins_of(methods)
        for one in given:
            sys.stderr.write(f"whybench: {one.name} was made elsewhere, and gets no twin.\n")
    methods += given
    tasks = [load_task(name) for name in task or _suite(DEFAULT_SUITE if causal or suite is None else suite)]
    if not task and model is None:
        for bare in (one for one in tasks if not one.default_model):
            sys.stderr.write(f"whybench: {bare.name} is left out: it has no default model; give one with --model.\n")
        tasks = [one for one in tasks if one.default_model]
    plan = Plan(
        tasks=tasks,
        methods=methods,
        model=model,
        model_revision=revision,
        data=dict(data_named(item) for item in data or []),
        split=split,
        limit=limit,
        operator=operator,
        unit=_unit(unit),
        metrics=metric,
        seed=seed,
        device=device,
        dtype=dtypes[dtype],
        batch_size=batch_size,
        measure="causal" if causal else "faithfulness",
        randomised_weights=randomised_weights,
    )
    for name, reason in unusable.items():
        sys.stderr.write(f"whybench: {name} is left out: {reason}\n")
    cells = _run(plan, results, site, wandb, wandb_project, wandb_entity, as_json)
    for line in unread(given, cells):
        sys.stderr.write(f"whybench: {line}\n")
    if unusable or any(cell.result.status == "failed" for cell in cells):
        raise typer.Exit(1)


def _run(
    plan: Plan, results: Path, site: Path | None, mode: str, project: str, entity: str | None, as_json: bool
) -> list[StoredResult]:
    """Run a plan, print its table and render the site; returns its cells."""
    from rich.console import Console
    from rich.text import Text

    from whybench.bench.progress import ProgressObserver
    from whybench.bench.runner import run as run_plan
    from whybench.bench.store import ResultStore
    from whybench.bench.tracking import Mirror
    from whybench.leaderboard.publish import check
    from whybench.leaderboard.text_table import print_overview

    quiet()
    store = ResultStore(results)
    # what would stop the run at its end stops it here
    site = site or results / "site"
    store.check_writable()
    check(site)
    store.read_all()
    store.read_failures()
    errors = Console(stderr=True)
    group = "-".join(sorted(task.name for task in plan.tasks))

    def say(text: str) -> None:
        errors.print(Text(text, style="yellow"))

    mirror = Mirror(results, mode, group, say, project=project, entity=entity)
    with ProgressObserver(errors, mirror) as observer:
        cells = run_plan(plan, store, observer)
    unfinished = [cell for cell in cells if cell.result.status != "finished"]
    if as_json:
        index = cli_site.build(store.read_all(), store.read_failures(), site)
        print_json({"page": str(index), "results": [cell.result.model_dump(mode="json") for cell in cells]})
    else:
        print_overview([cell for cell in cells if cell.result.status == "finished"], unfinished, Console())
        index = cli_site.build(store.read_all(), store.read_failures(), site)
        sys.stdout.write(f"\nThe page: {index.resolve()}\n")
    return cells


@app.command()
def explain(
    text: Annotated[str, typer.Argument(help="The text to explain.")],
    model: Annotated[str, typer.Option("--model", help="Checkpoint folder or Hub id.")],
    method: Annotated[str, typer.Option("--method", help="NAME or FILE.py, parameters as NAME:key=value.")],
    pair: Annotated[str | None, typer.Option("--pair", help="Second text, for models of pairs.")] = None,
    continuation: Annotated[
        str | None,
        typer.Option("--continuation", help='Explain why a language model goes on so, such as " she"; one token.'),
    ] = None,
    foil: Annotated[str | None, typer.Option("--foil", help='And not so, such as " he"; one token.')] = None,
    revision: Revision = None,
    device: Device = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write the explanation as a page.")] = None,
    as_json: AsJson = False,
) -> None:
    """Explain one prediction, or a language model's next token: the text with a colour for every word's score."""
    import dataclasses

    from rich.console import Console

    from whybench.bench.classifier import Classifier
    from whybench.bench.explanation import explain_text, to_html, to_terminal
    from whybench.bench.next_token import NextTokenModel
    from whybench.bench.registry import load_method

    quiet()
    if (continuation is None) != (foil is None):
        raise ParameterError(
            f"--continuation is {continuation!r} and --foil {foil!r}; a next token is explained against another one: "
            "give both, or for a classifier none."
        )
    name, parameters = method_named(method)
    loaded = load_method(name, **parameters)
    contrast = None if continuation is None or foil is None else (continuation, foil)
    kind = Classifier if contrast is None else NextTokenModel
    subject = kind.from_pretrained(model, revision=revision, device=device)
    explanation = explain_text(subject, loaded, text, pair, contrast)
    if html is not None:
        try:
            html.write_text(to_html(explanation), encoding="utf-8")
        except OSError as error:
            raise StoreError(
                f"{str(html)!r} cannot be written ({error.strerror}). Give another path with --html."
            ) from error
    if as_json:
        print_json(dataclasses.asdict(explanation))
        return
    # names of labels and models are others' texts: nothing in them is markup
    console = Console(highlight=False, markup=False, emoji=False)
    console.print(
        f"{explanation.prediction}  p = {explanation.probability:.3f}   {explanation.method} · {explanation.model}"
    )
    console.print(to_terminal(explanation))
    console.print(explanation.caption, style="dim")
    if explanation.note:
        console.print(explanation.note, style="dim")
    console.print(_scores_table(explanation))
    for figure, value in explanation.report.items():
        console.print(f"{figure}: {value:.3g}")
    if explanation.truncated:
        console.print("The text was longer than the model's limit and was cut.", style="yellow")
    if html is not None:
        console.print(f"The page: {html.resolve()}", soft_wrap=True)


app.command()(cli_site.leaderboard)


@app.command()
def rescore(
    results: Annotated[Path, typer.Argument(help="Folder of the results.")] = RESULTS,
    metric: Annotated[list[str] | None, typer.Option("--metric", help="Metric; repeatable; default: all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute metrics anew from the recorded curves, without a model; what is new goes into new cells."""
    from whybench.bench.rescore import rescore as compute
    from whybench.bench.rescore import rows_of, said
    from whybench.bench.store import ResultStore

    found = compute(ResultStore(results), metric)
    if as_json:
        print_json(rows_of(found))
    else:
        sys.stdout.writelines(f"{line}\n" for line in said(found))
    # asked for by name, and not to be had
    if metric and any(one.lacking for one in found):
        raise typer.Exit(1)


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="methods, tasks or metrics.")] = "methods", as_json: AsJson = False
) -> None:
    """List methods, tasks or metrics, without importing them."""
    from whybench.bench.list_rows import lines_of, rows_of

    rows = rows_of(kind)
    if as_json:
        print_json(rows)
    else:
        sys.stdout.writelines(f"{line}\n" for line in lines_of(rows, shutil.get_terminal_size().columns))


app.command()(cli_compare.compare)
app.command()(cli_publish.publish)
for submission_command in (cli_submit.export, cli_submit.submit, cli_submit.verify):
    app.command()(submission_command)


def _scores_table(explanation: Explanation) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("unit")
    table.add_column("score", justify="right")
    for (start, stop), score in zip(explanation.spans, explanation.scores, strict=True):
        table.add_row(Text(explanation.text[start:stop]), explanation.written(score))
    return table


def _suite(name: str) -> list[str]:
    from whybench.bench.errors import UnknownNameError
    from whybench.bench.listing import entries

    suites = {e.name: e.fact("suite") for e in entries("task")}
    chosen = [task for task, suite in suites.items() if suite == name]
    if not chosen:
        raise UnknownNameError("suite", name, {suite for suite in suites.values() if suite})
    return chosen


def _unit(text: str | None) -> UnitKind | None:
    if text is None:
        return None
    for known in UNITS:
        if text == known:
            return known
    raise ParameterError(f"--unit is {text!r}; it must be word or token.")


def _plain_list(arguments: list[str]) -> dict[str, Any] | None:
    """The parameters of ``list`` where nothing else was written; None for the parser.

    It converts parameters with pydantic, whose import alone takes longer than all that ``list`` does.
    """
    if arguments[:1] != ["list"] or len(arguments) > 2 + ("--json" in arguments):
        return None
    kinds = [argument for argument in arguments[1:] if argument != "--json"]
    if any(kind.startswith("-") for kind in kinds):
        return None
    return {"as_json": "--json" in arguments} | ({"kind": kinds[0]} if kinds else {})


def main() -> None:
    """Entry point: an error of ours is one message on stderr and exit code 2."""
    try:
        if (listed := _plain_list(sys.argv[1:])) is not None:
            list_(**listed)
        else:
            app()
    except WhybenchError as error:
        sys.stderr.write(f"whybench: {error}\n")
        raise SystemExit(2) from error


if __name__ == "__main__":
    main()
