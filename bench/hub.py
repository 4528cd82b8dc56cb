"""A split of a Hub dataset at one commit, and what to do where it cannot be had."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whybench.bench.errors import DataError

# where the Hub keeps a parquet copy of every public dataset, of those that are scripts too
PARQUET = "refs/convert/parquet"


@dataclass(frozen=True)
class HubSplit:
    """A split of a Hub dataset.

    Attributes:
        dataset: Its id.
        revision: The pinned commit. None where none is known: the branch is read as it is today, and the commit that
            it stood at goes into the result.
        split: The split.
        branch: Branch of a dataset without a pinned commit.
        file: The split's one file in the repository, with ``{split}`` for the split's name. None leaves finding the
            files to ``datasets.load_dataset``, which needs a commit.
        config: Configuration of a dataset that has several.
    """

    dataset: str
    revision: str | None
    split: str
    branch: str = "main"
    file: str | None = None
    config: str | None = None

    def __str__(self) -> str:
        where = f"revision {self.revision[:12]}" if self.revision else f"branch {self.branch}"
        part = f"split {self.split!r}" if self.config is None else f"configuration {self.config!r}"
        return f"the Hub dataset {self.dataset} ({where}, {part})"

    def load(self) -> Any:
        """The split's table, by ``datasets.load_dataset``.

        Raises:
            DataError: It cannot be had, or the cache has another commit than the pinned one.
        """
        import datasets

        try:
            table = datasets.load_dataset(*self._names(), revision=self.revision, split=self.split)
        except Exception as error:  # the Hub client raises dozens of kinds, all of which mean: not to be had
            raise self._unavailable(error) from error
        # without a network datasets takes the latest commit in its cache, whichever that is
        for cached in table.cache_files:
            self._check(Path(cached["filename"]).parent.name)
        return table

    def download(self) -> tuple[Path, str]:
        """The split's file in the Hub client's cache, and the commit that it is of.

        Raises:
            DataError: It cannot be had.
        """
        import huggingface_hub

        try:
            path = huggingface_hub.hf_hub_download(
                self.dataset, self._file(), repo_type="dataset", revision=self.revision or self.branch
            )
        except Exception as error:  # as above
            raise self._unavailable(error) from error
        commit = re.search(r"snapshots[/\\]([0-9a-f]{40})[/\\]", str(path))
        if commit is None:
            raise DataError(f"{self} was read from {path}, which does not say of which commit it is.")
        self._check(commit[1])
        return Path(path), commit[1]

    def _names(self) -> list[str]:
        return [self.dataset, self.config] if self.config else [self.dataset]

    def _file(self) -> str:
        return (self.file or "").format(split=self.split)

    def _check(self, commit: str) -> None:
        if self.revision is not None and re.fullmatch("[0-9a-f]{40}", commit) and commit != self.revision:
            raise DataError(
                f"{self} is not in the cache, which has the commit {commit[:12]}. {self._without_network()}"
            )

    def _unavailable(self, error: Exception) -> DataError:
        said = str(error).strip().splitlines()[0] if str(error).strip() else "no message"
        return DataError(f"{self} could not be loaded: {type(error).__name__}: {said} {self._remedy(error)}")

    def _remedy(self, error: Exception) -> str:
        """What to do, by the kind of error."""
        from datasets.exceptions import DatasetNotFoundError
        from huggingface_hub.errors import (
            LocalEntryNotFoundError,
            RemoteEntryNotFoundError,
            RepositoryNotFoundError,
            RevisionNotFoundError,
        )

        local = "Give local files of the same columns with --data TASK=PATH."
        if isinstance(error, RuntimeError) and "scripts are no longer supported" in str(error):
            return (
                "The dataset is a script, which datasets 4 and later do not run. Fetch the Hub's parquet copy where "
                f"there is a network (hf download --repo-type dataset {self.dataset} --revision {PARQUET} "
                "--local-dir DIR), and give the split's file in it with --data TASK=PATH."
            )
        if isinstance(error, RemoteEntryNotFoundError) or (
            isinstance(error, ValueError) and str(error).startswith("Unknown split")
        ):
            return f"It has no such split: name another one with --split. {local}"
        if isinstance(error, (DatasetNotFoundError, RepositoryNotFoundError, RevisionNotFoundError)) and not isinstance(
            error, LocalEntryNotFoundError
        ):
            return f"It is not there at that revision, or not for everybody (hf auth login). {local}"
        return self._without_network()

    def _without_network(self) -> str:
        if self.file is None:
            command = (
                f'python -c "import datasets; datasets.load_dataset({", ".join(map(repr, self._names()))}, '
                f"revision='{self.revision}')\""
            )
        else:
            command = (
                f"hf download --repo-type dataset {self.dataset} {self._file()} "
                f"--revision {self.revision or self.branch}"
            )
        return (
            "Without a network give local files of the same columns with --data TASK=PATH, "
            f"or fill the cache where there is one ({command}) and set HF_HUB_OFFLINE=1."
        )
