"""Which head's matrices are drawn: one head on one example, under every method that kept its matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whybench.bench.errors import CorruptResultError
from whybench.bench.store import StoredResult
from whybench.leaderboard.formatting import printable
from whybench.leaderboard.matrix_map import Maps, matrix_maps

TEXT_CHARACTERS = 700


@dataclass(frozen=True)
class Specimen:
    """One head on one example under several methods.

    Attributes:
        example: The example's id.
        texts: The text, and the second one of a pair; cut.
        layer, head: Which head, from 0.
        maps: Its matrices.
        of: How many such specimens the results hold.
    """

    example: str
    texts: tuple[str, ...]
    layer: int
    head: int
    maps: Maps
    of: int


def specimen(named: Sequence[tuple[str, StoredResult]]) -> Specimen | None:
    """Of the heads that most of these cells hold a matrix of, the one whose matrices differ most from the first.

    Args:
        named: Cells with the names that they are drawn under.

    Raises:
        CorruptResultError: A matrix does not have the size of its text.
    """
    found: dict[tuple[str, int, int], dict[str, NDArray[np.float64]]] = {}
    texts: dict[str, tuple[list[str], tuple[str, ...]]] = {}
    for name, stored in named:
        for record, matrix in _specimens(stored):
            key = (record["example_id"], int(record["specimen_layer"]), int(record["specimen_head"]))
            found.setdefault(key, {}).setdefault(name, matrix)
            parts = (record["text"], record["text_pair"])
            shown = tuple(_cut(printable(text)) for text in parts if text is not None)
            texts[record["example_id"]] = (record["tokens"], shown)
    if not found:
        return None

    def telling(key: tuple[str, int, int]) -> tuple[int, float]:
        first, *others = found[key].values()
        return len(found[key]), max(
            (0.5 * float(np.abs(first - other).sum(axis=1).mean()) for other in others), default=0.0
        )

    best = max(sorted(found), key=telling)
    tokens, shown = texts[best[0]]
    return Specimen(best[0], shown, best[1], best[2], matrix_maps(found[best], tokens), len(found))


def _specimens(stored: StoredResult) -> Iterator[tuple[dict[str, Any], NDArray[np.float64]]]:
    """Examples with a matrix, and the matrix ``[tokens, tokens]``."""
    table = stored.examples
    if "specimen_matrix" not in table.column_names:
        return
    there = np.flatnonzero(table.column("specimen_matrix").is_valid().to_numpy())
    names = ["example_id", "text", "text_pair", "tokens", "specimen_layer", "specimen_head", "specimen_matrix"]
    for record in table.select(names).take(there).to_pylist():
        matrix = np.array(record["specimen_matrix"], dtype=np.float64)
        size = len(record["tokens"] or ())
        if not size or len(matrix) != size * size:
            raise CorruptResultError(
                f"{str(stored.folder)!r} has a matrix of {len(matrix):,} entries for the {size} tokens of example "
                f"{record['example_id']!r}, not {size} × {size}. Delete the folder and run it again."
            )
        yield record, matrix.reshape(size, size)


def _cut(text: str) -> str:
    left = len(text) - TEXT_CHARACTERS
    return f"{text[:TEXT_CHARACTERS]}… ({left:,} more characters)" if left > 0 else text
