"""Local data with a row less, to see what hangs on the rows."""

from __future__ import annotations

import csv
import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from whybench.bench.data import READERS


@contextmanager
def fewer_rows(data: Path) -> Iterator[Path]:
    """A copy of local data in which every file of a known kind has lost its last row."""
    with tempfile.TemporaryDirectory() as folder:
        files = [data] if data.is_file() else [path for path in sorted(data.iterdir()) if path.suffix in READERS]
        for path in files:
            _shorten(path, Path(folder) / path.name)
        yield Path(folder) / data.name if data.is_file() else Path(folder)


def _shorten(path: Path, copy: Path) -> None:
    import pyarrow.parquet as pq

    if path.suffix == ".parquet":
        table = pq.read_table(path)
        pq.write_table(table.slice(0, len(table) - 1), copy)
    elif path.suffix == ".csv":
        with path.open(encoding="utf-8", newline="") as source, copy.open("w", encoding="utf-8", newline="") as target:
            csv.writer(target).writerows([row for row in csv.reader(source) if row][:-1])
    else:
        text = path.read_text(encoding="utf-8")
        rows = json.loads(text)[:-1] if text.lstrip().startswith("[") else None
        lines = [line for line in text.splitlines() if line.strip()]
        copy.write_text("\n".join(lines[:-1]) if rows is None else json.dumps(rows), encoding="utf-8")
