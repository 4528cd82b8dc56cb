"""Reading a task's dataset: from the Hugging Face Hub at a pinned revision, or from local files of the same columns."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whybench.bench.errors import DataError, MissingColumnError
from whybench.bench.hub import HubSplit
from whybench.bench.task import Example, Span

READERS = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".csv": "csv"}
# per wanted name a column's possible names in the data, best first
Columns = Mapping[str, Sequence[str]]
SPLIT_NAMES = {
    "validation": ("validation", "dev", "val"),
    "dev": ("dev", "validation", "val"),
    "val": ("val", "validation", "dev"),
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

    def rows(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Per row the id of its example (the split and the row's number in the data, from 0), and its values."""
        for i, values in enumerate(zip(*self.columns.values(), strict=True)):
            yield f"{self.split}-{i}", dict(zip(self.columns, values, strict=True))


def read_rows(
    dataset: str,
    revision: str | None,
    split: str,
    columns: Columns | Sequence[Columns],
    data: Path | None,
    *,
    branch: str = "main",
    file: str | None = None,
    prefix: str = "",
    config: str | None = None,
) -> SplitColumns:
    """Read some columns of one split.

    Args:
        dataset: Id of the Hub dataset.
        revision: Its pinned commit; None where none is known, and the branch is read as it is.
        split: The split; ``validation``, ``dev`` and ``val`` stand for one another in local folders.
        columns: Per wanted name the names that it may have in the data, best first. Or several such layouts: the first
            one that the data has all columns of.
        data: A local parquet, jsonl, json or csv file, or a folder with one per split, in place of the Hub.
        branch: Branch of a dataset without a pinned commit.
        file: The split's one file in the Hub repository, as in `HubSplit`.
        prefix: What a local folder's file names may begin with, before the split.
        config: Configuration of the Hub dataset, where it has several. It is then what the answer calls the split, and
            what a file in a local folder is named after.

    Raises:
        DataError: It cannot be read.
        MissingColumnError: A column has none of its names.
    """
    hub = HubSplit(dataset, revision, split, branch, file, config)
    split = config or split
    if data is not None:
        path = local_file(data, split, prefix)
        table, where, digest = _from_file(path), str(path), f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        split = split if data.expanduser().is_file() else split_of(path, prefix)
    elif file is None and revision is not None:
        table, where, digest = hub.load(), f"the Hub dataset {dataset}", revision
    else:
        path, digest = hub.download()
        table, where = _from_file(path), f"the Hub dataset {dataset}"
    chosen = _layout(table.column_names, [columns] if isinstance(columns, Mapping) else columns, where)
    if len(table) == 0:
        raise DataError(f"{where} has no rows in the split {split!r}.")
    return SplitColumns({wanted: list(table[name]) for wanted, name in chosen.items()}, split, digest)


def examples_of(
    rows: SplitColumns, labels: Sequence[str], evidence: Sequence[tuple[Span, ...] | None] | None = None
) -> list[Example]:
    """One example per row, from the columns ``text``, ``label`` and, where it is a pair, ``text_pair``.

    An example's id is the split and the row's number in the data, from 0.

    Args:
        rows: The columns.
        labels: The labels' names.
        evidence: Per row its evidence; None where the data says nothing about any.

    Raises:
        DataError: A text is none, or a label is neither an index nor one of the names.
    """
    examples = []
    for i, (name, row) in enumerate(rows.rows()):
        pair = text_of(row["text_pair"], name) if "text_pair" in row else None
        spans = None if evidence is None else evidence[i]
        examples.append(Example(name, text_of(row["text"], name), pair, label_index(row["label"], labels, name), spans))
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


def list_of(value: Any, example: str) -> list[Any]:
    """A list from what a dataset holds: a list, or JSON text of one; DataError, naming the example, where it is none.

    Raises:
        DataError: It is neither.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except json.JSONDecodeError as error:
            raise DataError(f"example {example!r} has {value[:60]!r} where a list belongs; it is no JSON.") from error
    if not isinstance(value, list):
        raise DataError(f"example {example!r} has {value!r} where a list belongs.")
    return value


def _layout(present: Sequence[str], layouts: Sequence[Columns], where: str) -> dict[str, str]:
    """Per wanted name the column, of the first layout that the data has all columns of."""
    if len(layouts) == 1:
        return {wanted: _column(present, wanted, aliases, where) for wanted, aliases in layouts[0].items()}
    for layout in layouts:
        found = {wanted: next((n for n in aliases if n in present), None) for wanted, aliases in layout.items()}
        if None not in found.values():
            return {wanted: name for wanted, name in found.items() if name is not None}
    wanted = "; or ".join(", ".join(" or ".join(map(repr, aliases)) for aliases in one.values()) for one in layouts)
    raise MissingColumnError(
        f"{where} has the columns {', '.join(present)}; there must be {wanted}. "
        "Rename its columns, or give other data with --data."
    )


def _column(present: Sequence[str], wanted: str, aliases: Sequence[str], where: str) -> str:
    for name in aliases:
        if name in present:
            return name
    raise MissingColumnError(
        f"{where} has no column {' or '.join(repr(name) for name in aliases)} for the {wanted}; "
        f"its columns are {', '.join(present)}. Rename the column, or give other data with --data."
    )


def split_of(path: Path, prefix: str = "") -> str:
    """The split that a file of a local folder is of: its name, without what it may begin with."""
    return path.stem.removeprefix(prefix)


def local_file(data: Path, split: str, prefix: str = "") -> Path:
    """The file of a split: the given one, or the one of its name in a folder.

    Raises:
        DataError: There is none.
    """
    data = data.expanduser()
    if data.is_file():
        if data.suffix not in READERS:
            raise DataError(f"{data} is not one of {', '.join(READERS)}.")
        return data
    if not data.is_dir():
        raise DataError(f"there is no data file or folder {str(data)!r}. Give an existing one with --data TASK=PATH.")
    stems = SPLIT_NAMES.get(split, (split,))
    for stem in (*(f"{prefix}{stem}" for stem in stems), *stems):
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
