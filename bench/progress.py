"""What a person sees of a run: a bar per cell, a line when it is done, and its mirror in W&B."""

from __future__ import annotations

import warnings
from contextlib import ExitStack
from types import TracebackType
from typing import TextIO

import rich.progress
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from whybench.bench.classifier import Classifier
from whybench.bench.errors import WhybenchWarning
from whybench.bench.method import Method
from whybench.bench.store import StoredResult
from whybench.bench.task import Task
from whybench.bench.tracking import Mirror


class RateColumn(ProgressColumn):
    """How many examples or inputs are done in a second, of late."""

    def render(self, task: rich.progress.Task) -> Text:
        """The rate, empty until there is one."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s" if speed >= 10 else f"{speed:.1f}/s")


class ProgressObserver:
    """Shows a run on the console, whybench's warnings too, and passes every cell on to the mirror that lacks it.

    Names and errors may come from others' files: nothing here is read as Rich's markup.

    Args:
        console: Where to, standard error as a rule.
        mirror: Gets every new cell, and cells found on disk that it missed.
    """

    def __init__(self, console: Console, mirror: Mirror) -> None:
        self._console, self._mirror = console, mirror
        name = TextColumn("{task.description}", markup=False)
        columns = (name, BarColumn(), MofNCompleteColumn(), RateColumn(), TimeRemainingColumn())
        self._shown = ExitStack()
        self._bars = Progress(*columns, console=console, transient=True)
        self._bar: TaskID | None = None
        self._name = self._stage = ""

    def __enter__(self) -> ProgressObserver:
        self._shown.enter_context(warnings.catch_warnings())
        warnings.simplefilter("always", WhybenchWarning)
        others = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if issubclass(category, WhybenchWarning):
                self._print(f"  {message}", style="yellow")
            else:
                others(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bars.stop()
        self._shown.close()

    def task_started(self, task: Task, classifier: Classifier, examples: int, left_out: int) -> None:
        """See `whybench.bench.runner.Observer`."""
        empty = f" (rows with nothing to explain, left out: {left_out})" if left_out else ""
        self._print(f"{task.name}: {examples} examples{empty}, {classifier.name} on {classifier.device}")

    def cell_started(self, task: Task, method: Method) -> None:
        """See `whybench.bench.runner.Observer`."""
        self._name, self._stage = method.label(), ""

    def progressed(self, stage: str, done: int, total: int) -> None:
        """See `whybench.bench.runner.Observer`."""
        if self._bar is None or stage != self._stage:
            self._clear()
            self._stage = stage
            self._bar = self._bars.add_task(f"{self._name} {stage}", total=total)
        self._bars.update(self._bar, completed=done, total=total)

    def cell_finished(self, stored: StoredResult, *, reused: bool) -> None:
        """See `whybench.bench.runner.Observer`."""
        self._clear()
        result = stored.result
        if result.status != "finished":
            self._print(
                f"  {result.label} {result.status}: {result.error}",
                style="red" if result.status == "failed" else "yellow",
            )
        else:
            # its times belong to where it was made, whatever runs now
            how = f"was there already, made on {result.environment.device}" if reused else f"{result.seconds:.1f} s"
            if (published := result.published) is not None:
                how += f", a published copy: maps of {published.maps} examples; another --results makes all"
            self._print(f"  {result.label}: {how}")
        # a cell on disk may not be mirrored: the run that made it had no mirror, or was killed in between
        if not (reused and self._mirror.has(stored)):
            self._mirror.add(stored)

    def _print(self, text: str, style: str = "") -> None:
        self._console.print(Text(text, style=style))

    def _clear(self) -> None:
        if self._bar is not None:
            self._bars.remove_task(self._bar)
            self._bar = None
