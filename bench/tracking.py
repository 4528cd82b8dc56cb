"""A mirror of results in Weights & Biases: a run a cell, in one group. The files on disk stay the truth."""

from __future__ import annotations

import netrc
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlparse

from whybench.bench.errors import ParameterError
from whybench.bench.examples_table import flat_rows
from whybench.bench.store import StoredResult

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


class Mirror:
    """Writes results to W&B.

    Where the server cannot be reached, it says so once and goes on offline.

    Args:
        folder: W&B's own files go to ``folder/wandb``.
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

    def add(self, stored: StoredResult) -> str | None:
        """Mirror one cell; returns the folder of the W&B run, None where the mirror is disabled."""
        if self.mode == "disabled":
            return None
        import wandb

        result = stored.result
        self.folder.mkdir(parents=True, exist_ok=True)
        run = self._start(stored)
        folder = str(Path(run.dir).parent)
        run.summary.update({"status": result.status, "cell": result.cell})
        if result.status == "failed":
            run.summary.update({"error": result.error})
            run.finish(exit_code=1)
            return folder
        run.summary.update(summary_of(stored))
        columns, rows = flat_rows(stored.examples)
        run.log({"examples": wandb.Table(columns=list(columns), data=rows)})
        artifact = wandb.Artifact(result.cell, type="result", metadata={"spec_hash": result.spec.hash()})
        for path in sorted(stored.folder.iterdir()):
            artifact.add_file(str(path), name=path.name)
        run.log_artifact(artifact)
        run.finish()
        if self.mode == "online" and run.settings.finish_timeout and run._finish_timed_out:
            self._say(f"W&B did not take all of {result.cell} in {FINISH_TIMEOUT} s; later: wandb sync {folder}")
        return folder

    def _start(self, stored: StoredResult) -> Any:
        import wandb

        result = stored.result
        # the machine's metadata (host, paths, command line) says nothing about the result, and names people
        settings = wandb.Settings(
            console="off",
            silent=True,
            init_timeout=START_TIMEOUT,
            finish_timeout=FINISH_TIMEOUT,
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
            "job_type": "cell",
            "name": f"{result.label} · {result.spec.task.name} · {result.spec.model.name}",
            "tags": [result.family, result.spec.task.name],
            "config": {
                "spec": result.spec.model_dump(mode="json"),
                "spec_hash": result.spec.hash(),
                "environment": result.environment.model_dump(mode="json"),
            },
            "dir": str(self.folder),
            "settings": settings,
            "reinit": "finish_previous",
        }
        try:
            return wandb.init(mode=self.mode, **options)
        except (wandb.errors.CommError, wandb.errors.AuthenticationError, wandb.errors.UsageError) as error:
            if self.mode == "offline":
                raise
            self._say(
                f"W&B could not be reached ({str(error).splitlines()[0]}); going on offline. "
                f"To upload later: wandb sync {self.folder}/wandb/offline-run-*"
            )
            self.mode = "offline"
            return wandb.init(mode="offline", **options)


def summary_of(stored: StoredResult) -> dict[str, float | int]:
    """A finished cell's figures, intervals, report, cost and coverage, as flat names."""
    result = stored.result
    summary: dict[str, float | int] = {}
    for name, figure in result.figures.items():
        summary |= {f"metric/{name}": figure.mean, f"metric/{name}/low": figure.low, f"metric/{name}/high": figure.high}
    for name, report in result.report.items():
        summary |= {f"report/{name}/mean": report.mean, f"report/{name}/largest": report.largest}
    if result.cost is not None:
        numbers = result.cost.model_dump(mode="json")
        summary |= {f"cost/{name}": value for name, value in numbers.items() if not isinstance(value, str)}
    if result.coverage is not None:
        summary |= {"coverage/examples": result.coverage.examples, "coverage/scored": result.coverage.scored}
    if result.accuracy is not None:
        summary["accuracy"] = result.accuracy
    return summary
