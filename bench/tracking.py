"""A mirror of results in Weights & Biases: a run for every cell, and one for a comparison. The files stay the truth."""

from __future__ import annotations

import json
import netrc
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args
from urllib.parse import urlparse

from whybench.bench.errors import ParameterError, WhybenchError
from whybench.bench.examples_table import flat_rows
from whybench.bench.store import StoredResult

if TYPE_CHECKING:
    from whybench.bench.regression import Regressions

Resolved = Literal["offline", "online", "disabled"]
RESOLVED: tuple[Resolved, ...] = get_args(Resolved)

# seconds to wait for the server: at the start of the first run, and for the upload at the end of each
START_TIMEOUT = 15
FINISH_TIMEOUT = 120


def resolve_mode(mode: str) -> Resolved:
    """What ``auto`` stands for: ``WANDB_MODE`` where it is set, ``online`` where a key is configured, else ``offline``.

    Raises:
        ParameterError: There is no such mode.
    """
    if mode == "auto":
        mode = os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline")
        mode = {"dryrun": "offline", "run": "online"}.get(mode, mode)
    for known in RESOLVED:
        if mode == known:
            return known
    raise ParameterError(f"the W&B mode is {mode!r}; it must be auto, {', '.join(RESOLVED)}.")


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        # no netrc, or one that is not for us to mend: no key is configured there
        return False


@contextmanager
def _wandb_folders(folder: Path) -> Iterator[None]:
    """W&B stages and caches in ``folder``, not in the user's home; afterwards its variables are as they were.

    W&B reads these two from the environment only. What it reads from the home (netrc, its settings) it still reads.
    """
    before = {name: value for name, value in os.environ.items() if name.startswith("WANDB_")}
    os.environ["WANDB_DATA_DIR"] = str(folder.absolute())
    os.environ["WANDB_CACHE_DIR"] = str(folder.absolute() / "cache")
    try:
        yield
    finally:
        for name in [name for name in os.environ if name.startswith("WANDB_") and name not in before]:
            del os.environ[name]
        os.environ.update(before)


class Mirror:
    """Writes results to W&B.

    It never ends a run: where the server cannot be reached, it says so once and goes on offline; whatever else W&B or
    the disk raises, it says for which cell, and the next run tries that cell again. Files are named relative to the
    working folder where they are below it, so that no user's name is recorded; ``wandb sync`` is for the same folder.

    Args:
        folder: W&B's own files go to ``folder/wandb``, and so do the marks of the cells that are mirrored.
        mode: See `resolve_mode`.
        group: Name of the group that the runs belong to.
        say: Told what the user should know.
        project: W&B project.
        entity: W&B user or team; None takes the user's default.
    """

    def __init__(
        self,
        folder: Path,
        mode: str,
        group: str,
        say: Callable[[str], None],
        *,
        project: str = "whybench",
        entity: str | None = None,
    ) -> None:
        self.folder, self.group, self.project, self.entity = Path(folder), group, project, entity
        self.mode = resolve_mode(mode)
        self._say = say

    def has(self, stored: StoredResult) -> bool:
        """Whether this cell was mirrored when it finished; a failure never counts."""
        return stored.result.status == "finished" and self._mark(stored).is_file()

    def add(self, stored: StoredResult) -> str | None:
        """Mirror one cell; returns the folder of the W&B run, None where the mirror is disabled or this failed."""
        if self.mode == "disabled":
            return None
        try:
            with _wandb_folders(self.folder / "wandb"):
                folder = self._write(stored)
            if stored.result.status == "finished":
                mark = self._mark(stored)
                mark.parent.mkdir(exist_ok=True)
                draft = mark.with_name(f".{mark.name}-{os.getpid()}")
                draft.write_text(folder.name + "\n", encoding="utf-8")
                draft.replace(mark)
            return str(folder)
        except WhybenchError:
            raise
        except Exception as error:  # noqa: BLE001  W&B raises errors of many kinds; the results on disk do not need it
            self._say(
                f"{stored.result.cell} is not in W&B ({type(error).__name__}: {_first_line(error)}). "
                "Its result on disk is whole, and the next run tries again; --wandb disabled goes without W&B."
            )
            return None

    def add_comparison(self, found: Regressions, base: Path, new: Path) -> str | None:
        """Mirror what `whybench compare` found: counts, the table, and both reports as an artifact; as `add`."""
        if self.mode == "disabled":
            return None
        names = f"{base.absolute().name} → {new.absolute().name}"
        options = {
            "job_type": "compare",
            "name": names,
            "tags": ["compare", "regression" if found.count("regression") else "no regression"],
            "config": {"score_tests": found.score_tests, "time_tests": found.time_tests},
        }
        try:
            with _wandb_folders(self.folder / "wandb"):
                return str(self._written(names, options, lambda run: _fill_comparison(run, found), failed=False))
        except Exception as error:  # noqa: BLE001  W&B raises errors of many kinds; the comparison does not need it
            self._say(f"the comparison is not in W&B ({type(error).__name__}: {_first_line(error)}).")
            return None

    def _mark(self, stored: StoredResult) -> Path:
        return self.folder / "wandb" / "mirrored" / stored.result.cell

    def _write(self, stored: StoredResult) -> Path:
        result = stored.result
        options = {
            "job_type": "cell",
            "name": f"{result.label} · {result.spec.task.name} · {result.spec.model.name}",
            "tags": [result.family, result.spec.task.name],
            "config": {
                "spec": result.spec.model_dump(mode="json"),
                "spec_hash": result.spec.hash(),
                "environment": result.environment.model_dump(mode="json"),
            },
        }
        failed = result.status == "failed"
        return self._written(result.cell, options, lambda run: self._fill(run, stored), failed=failed)

    def _written(self, what: str, options: Mapping[str, Any], fill: Callable[[Any], None], *, failed: bool) -> Path:
        """Start a run, fill it and finish it; returns its folder."""
        (self.folder / "wandb").mkdir(parents=True, exist_ok=True)
        run = self._start(options)
        folder = self._named(Path(run.dir).parent)
        try:
            fill(run)
        except Exception:
            # left open, it would be finished by the start of the next cell's run, and its error be taken for that one's
            run.finish(exit_code=1)
            raise
        try:
            run.finish(exit_code=1 if failed else 0)
        except TimeoutError:
            self._say(f"W&B did not take all of {what} in {FINISH_TIMEOUT} s; later: wandb sync {folder}")
        if not list(folder.glob("*.wandb")):
            # W&B's own process does the writing, and keeps to itself that it could not
            raise OSError(f"W&B wrote no file into {folder}")
        return folder

    def _fill(self, run: Any, stored: StoredResult) -> None:
        import wandb

        result = stored.result
        run.summary.update({"status": result.status, "cell": result.cell})
        if result.status != "finished":
            run.summary.update({"error": result.error})
            return
        run.summary.update(summary_of(stored))
        columns, rows = flat_rows(stored.examples)
        table = wandb.Table(columns=list(columns), data=rows)
        artifact = wandb.Artifact(result.cell, type="result", metadata={"spec_hash": result.spec.hash()})
        for path in sorted(stored.folder.iterdir()):
            # a finished cell's files never change: W&B need not copy them
            artifact.add_file(str(self._named(path)), name=path.name, policy="immutable", skip_cache=True)
        # in the artifact first: `run.log` then refers to it there, and makes no copy under an absolute path
        entry = artifact.add(table, "examples")
        if entry.local_path is not None:
            entry.local_path = str(self._named(Path(entry.local_path)))
        run.log_artifact(artifact)
        run.log({"examples": table})

    def _named(self, path: Path) -> Path:
        """A path within the results, relative to the working folder unless that is elsewhere."""
        relative = Path(os.path.relpath(path))
        return path if self.folder.is_absolute() and ".." in relative.parts else relative

    def _start(self, given: Mapping[str, Any]) -> Any:
        import wandb

        # the machine's metadata (host, paths, command line) says nothing about the result, and names people
        settings = wandb.Settings(
            console="off",
            silent=True,
            init_timeout=START_TIMEOUT,
            finish_timeout=FINISH_TIMEOUT,
            finish_timeout_raises=True,
            host="",
            x_disable_meta=True,
            x_disable_stats=True,
            disable_git=True,
            disable_code=True,
            save_code=False,
        )
        options: dict[str, Any] = {
            "project": self.project,
            "entity": self.entity,
            "group": self.group,
            **given,
            # W&B's own process may have another working folder; this path is in no record
            "dir": str(self.folder.absolute()),
            "settings": settings,
            "reinit": "finish_previous",
        }
        try:
            return wandb.init(mode=self.mode, **options)
        except (wandb.errors.CommError, wandb.errors.AuthenticationError, wandb.errors.UsageError) as error:
            if self.mode == "offline":
                raise
            self._say(
                f"W&B could not be reached ({_first_line(error)}); going on offline. "
                f"To upload later: wandb sync {self.folder}/wandb/offline-run-*"
            )
            self.mode = "offline"
            return wandb.init(mode="offline", **options)


def _fill_comparison(run: Any, found: Regressions) -> None:
    import wandb

    from whybench.bench.regression_report import HEAD, headline, rows_of, to_json, to_markdown

    counts = {
        "regressions": found.count("regression"),
        "improvements": found.count("improvement"),
        "cells": len(found.cells),
        "vanished": len(found.matching.vanished),
        "new": len(found.matching.appeared),
    }
    run.summary.update({"headline": headline(found), **{f"compare/{name}": count for name, count in counts.items()}})
    artifact = wandb.Artifact("comparison", type="comparison")
    with artifact.new_file("comparison.json") as file:
        json.dump(to_json(found), file, indent=2)
    with artifact.new_file("comparison.md") as file:
        file.write(to_markdown(found))
    run.log_artifact(artifact)
    run.log({"comparison": wandb.Table(columns=list(HEAD), data=[list(row.texts) for row in rows_of(found)])})


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "no reason given")


def summary_of(stored: StoredResult) -> dict[str, float | int | str]:
    """A finished cell's figures, intervals, report, gates, cost and coverage, as flat names."""
    result = stored.result
    summary: dict[str, float | int | str] = {}
    for name, figure in result.figures.items():
        summary |= {f"metric/{name}": figure.mean, f"metric/{name}/low": figure.low, f"metric/{name}/high": figure.high}
    for name, report in result.report.items():
        summary |= {f"report/{name}/mean": report.mean, f"report/{name}/largest": report.largest}
    for gate, outcome in stored.gates.items():
        summary[f"gate/{gate}"] = outcome.status
    if result.cost is not None:
        numbers = result.cost.model_dump(mode="json")
        summary |= {f"cost/{name}": value for name, value in numbers.items() if not isinstance(value, str)}
    if result.coverage is not None:
        summary |= {"coverage/examples": result.coverage.examples, "coverage/scored": result.coverage.scored}
    if result.accuracy is not None:
        summary["accuracy"] = result.accuracy
    return summary
