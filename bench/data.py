"""Reading a task's dataset: from the Hugging Face Hub at a pinned revision, or from local files of the same columns."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whybench.bench.errors import DataError, MissingColumnError
from whybench.bench.task import Example

READERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}
SPLIT_NAMES = {
    "validation": ("validation", "dev"),
    "dev": ("dev", "validation"),
    "test": ("test",),
    "train": ("train",),
}


@dataclass(frozen=True)
class SplitColumns:
    """A split's columns.

    Attributes:
        columns: Per wanted name its values.
        split: The split's name as the source has it.
        revision: The Hub commit, or ``sha256:`` and a digest of the local file.
    """

    columns: Mapping[str, Sequence[Any]]
    split: str
    revision: str


def read_rows(
    dataset: str, revision: str, split: str, columns: Mapping[str, Sequence[str]], data: Path | None
) -> SplitColumns:
    """Read some columns of one split.

    Args:
        dataset: Id of the Hub dataset.
        revision: Its pinned commit.
        split: The split; ``validation`` and ``dev`` stand for one another in local folders.
        columns: Per wanted name the names that it may have in the data, best first.
        data: A local parquet, jsonl, json or csv file, or a folder with one per split, in place of the Hub.

    Raises:
        DataError: It cannot be read.
        MissingColumnError: A column has none of its names.
    """
    if data is None:
        table, where, digest = _from_hub(dataset, revision, split), f"the Hub dataset {dataset}", revision
    else:
        path = _local_file(data, split)
        table, where, digest = _from_file(path), str(path), f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        split = split if data.is_file() else path.stem
    chosen = {wanted: _column(table.column_names, wanted, aliases, where) for wanted, aliases in columns.items()}
    if len(table) == 0:
        raise DataError(f"{where} has no rows in the split {split!r}.")
    return SplitColumns({wanted: list(table[name]) for wanted, name in chosen.items()}, split, digest)


def examples_of(rows: SplitColumns, labels: Sequence[str]) -> list[Example]:
    """One example per row, from the columns ``text``, ``label`` and, where it is a pair, ``text_pair``.

    An example's id is the split and the row's number in the data, from 0.

    Raises:
        DataError: A text is none, or a label is neither an index nor one of the names.
    """
    pairs = rows.columns.get("text_pair")
    examples = []
    for i, (text, label) in enumerate(zip(rows.columns["text"], rows.columns["label"], strict=True)):
        name = f"{rows.split}-{i}"
        pair = None if pairs is None else text_of(pairs[i], name)
        examples.append(Example(name, text_of(text, name), pair, label_index(label, labels, name)))
    return examples


def label_index(value: Any, labels: Sequence[str], example: str) -> int | None:
    """A label's index from what a dataset holds: an index, a name, or None or -1 where there is no label.

    Raises:
        DataError: It is none of these.
    """
    if value is None or value in (-1, "-1", ""):
        return None
    if isinstance(value, str) and value in labels:
        return labels.index(value)
    try:
        index = int(value)
        if isinstance(value, float) and index != value:
            raise ValueError("not a whole number")
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"example {example!r} has the label {value!r}; it must be an index, or one of {', '.join(labels)}."
        ) from error
    return index


def text_of(value: Any, example: str) -> str:
    """A text from what a dataset holds; DataError, naming the example, where it is none."""
    if not isinstance(value, str):
        raise DataError(f"example {example!r} has {value!r} where its text belongs. Leave it out, or give it a text.")
    return value


def _column(present: Sequence[str], wanted: str, aliases: Sequence[str], where: str) -> str:
    for name in aliases:
        if name in present:
            return name
    raise MissingColumnError(
        f"{where} has no column {' or '.join(repr(name) for name in aliases)} for the {wanted}; "
        f"its columns are {', '.join(present)}. Rename the column, or give other data with --data."
    )


def _from_hub(dataset: str, revision: str, split: str) -> Any:
    import datasets

    try:
        return datasets.load_dataset(dataset, revision=revision, split=split)
    except Exception as error:  # the Hub client raises dozens of kinds, all of which mean: not to be had
        raise DataError(
            f"the Hub dataset {dataset} (revision {revision[:12]}, split {split!r}) could not be loaded: "
            f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'} "
            "Without a network give local files of the same columns with --data TASK=PATH, "
            "or fill the cache where there is one and set HF_HUB_OFFLINE=1."
        ) from error


def _local_file(data: Path, split: str) -> Path:
    data = data.expanduser()
    if data.is_file():
        if data.suffix not in READERS:
            raise DataError(f"{data} is not one of {', '.join(READERS)}.")
        return data
    if not data.is_dir():
        raise DataError(f"there is no data file or folder {str(data)!r}. Give an existing one with --data TASK=PATH.")
    for stem in SPLIT_NAMES.get(split, (split,)):
        for suffix in READERS:
            if (data / f"{stem}{suffix}").is_file():
                return data / f"{stem}{suffix}"
    present = sorted(path.name for path in data.iterdir() if path.suffix in READERS)
    raise DataError(
        f"{data} has no file for the split {split!r}; it has {', '.join(present) or 'no data files'}. "
        "Name one of them with --split, or give the file itself."
    )


def _from_file(path: Path) -> Any:
    import datasets

    quiet = datasets.utils.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        # a cache of its own: the shared one keeps what a file held before it was edited
        with tempfile.TemporaryDirectory() as cache:
            return datasets.load_dataset(
                READERS[path.suffix], data_files=str(path), split="train", cache_dir=cache, keep_in_memory=True
            )
    except Exception as error:  # pyarrow's and datasets' own errors, all of which mean: not readable
        cause = error.__cause__ or error
        raise DataError(f"{path} cannot be read as {READERS[path.suffix]}: {type(cause).__name__}: {cause}") from error
    finally:
        if not quiet:
            datasets.enable_progress_bars()
