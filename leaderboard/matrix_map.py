"""Attention matrices of one head side by side: the geometry of their heat maps.

Entries are put into classes of size, the same for every matrix, and each class is one SVG path: a matrix of 96 tokens
has 9,216 entries, too many for an element each. What is below zero has another colour and a stroke through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whybench.leaderboard.formatting import measured, visible

# lower ends of the classes of |entry|; what is smaller than the first is left blank
CLASSES = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
# tokens that are drawn: beyond this a cell is no longer a pixel wide
MOST_TOKENS = 160
# tokens of a matrix whose numbers are all written
MOST_WRITTEN = 20
# of the small drawing; the large one's margin has room for numbered names
SIZE, MARGIN, GAP, LETTER = 280.0, 100.0, 4.0, 5.8
# room for a name in the small drawing, and a cell of the large one
ROOM, CELL = 11.0, 12.0
_NAME = 11
_PAIRS = 4


@dataclass(frozen=True)
class Label:
    """A token beside a map.

    Attributes:
        index: Its number, from 0.
        text: Its characters, cut.
        whole: All of them, where they were cut.
    """

    index: int
    text: str
    whole: str | None


@dataclass(frozen=True)
class MatrixMap:
    """One matrix.

    Attributes:
        name: The method's name.
        paths: Per class its name (``p1`` to ``p6``, ``n1`` to ``n6`` below zero) and path, in cells.
        strokes: A stroke through each cell below zero, as a path.
        below: How many entries are below zero and large enough to be drawn.
        summary: Largest and lowest entry in words.
        rows: All numbers, where the text is short; else nothing.
    """

    name: str
    paths: tuple[tuple[str, str], ...]
    strokes: str
    below: int
    summary: str
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Maps:
    """Matrices of one head over the same tokens.

    Attributes:
        maps: One per method.
        labels: All tokens that are drawn.
        written: Those that the small drawing has room for, the most attended first in choice.
        left_out: Tokens beyond `MOST_TOKENS`, which are not drawn.
        pairs: The most telling entries: token, attended token, and per map the number.
    """

    maps: tuple[MatrixMap, ...]
    labels: tuple[Label, ...]
    written: tuple[Label, ...]
    left_out: int
    pairs: tuple[tuple[str, str, tuple[str, ...]], ...]

    @property
    def margin(self) -> float:
        """Room beside and above the small drawing for the longest name."""
        return GAP + 4 + LETTER * max(len(label.text) for label in self.written)

    @property
    def cell(self) -> float:
        """Width of a cell in the small drawing."""
        return SIZE / len(self.labels)


def matrix_maps(matrices: Mapping[str, NDArray[np.float64]], tokens: Sequence[str]) -> Maps:
    """Draw matrices ``[tokens, tokens]``, rows the tokens that attend and columns those that are attended."""
    drawn = min(len(tokens), MOST_TOKENS)
    cut = {name: matrix[:drawn, :drawn] for name, matrix in matrices.items()}
    labels = tuple(_label(i, token) for i, token in enumerate(tokens[:drawn]))
    mass = sum(np.abs(matrix).sum(axis=0) for matrix in cut.values())
    cell = SIZE / drawn
    order = np.argsort(-np.asarray(mass), kind="stable")
    kept = thinned([((int(i) + 0.5) * cell, int(i)) for i in order], ROOM)
    return Maps(
        maps=tuple(_map(name, matrix, labels) for name, matrix in cut.items()),
        labels=labels,
        written=tuple(labels[i] for i in kept),
        left_out=len(tokens) - drawn,
        pairs=_pairs(list(cut.values()), labels),
    )


def _map(name: str, matrix: NDArray[np.float64], labels: Sequence[Label]) -> MatrixMap:
    levels = np.searchsorted(np.array(CLASSES), np.abs(matrix), side="right") * np.sign(matrix).astype(np.int64)
    paths = []
    for level in (*range(-len(CLASSES), 0), *range(1, len(CLASSES) + 1)):
        path = _runs(levels == level)
        if path:
            paths.append((f"{'n' if level < 0 else 'p'}{abs(level)}", path))
    negative = np.argwhere(levels < 0)
    strokes = "".join(f"M{x} {y + 1}l1-1" for y, x in negative.tolist())
    rows = tuple(tuple(measured(v) for v in row) for row in matrix.tolist()) if len(matrix) <= MOST_WRITTEN else ()
    summary = ", ".join(_end(word, int(at), matrix, labels) for word, at in _ends(matrix))
    return MatrixMap(name, tuple(paths), strokes, len(negative), summary, rows)


def _ends(matrix: NDArray[np.float64]) -> tuple[tuple[str, np.intp], ...]:
    return ("largest", matrix.argmax()), ("lowest", matrix.argmin())


def _end(word: str, at: int, matrix: NDArray[np.float64], labels: Sequence[Label]) -> str:
    y, x = divmod(at, len(labels))
    return f"{word} {measured(float(matrix[y, x]))} from “{labels[y].text}” to “{labels[x].text}”"


def _runs(cells: NDArray[np.bool_]) -> str:
    """A horizontal line through every run of cells, at the upper edge of its row."""
    padded = np.pad(cells.astype(np.int8), ((0, 0), (1, 1)))
    change = np.diff(padded, axis=1)
    starts, stops = np.argwhere(change == 1), np.argwhere(change == -1)
    return "".join(
        f"M{start} {row}h{stop - start}"
        for (row, start), (_, stop) in zip(starts.tolist(), stops.tolist(), strict=True)
    )


def _pairs(
    matrices: Sequence[NDArray[np.float64]], labels: Sequence[Label]
) -> tuple[tuple[str, str, tuple[str, ...]], ...]:
    """The largest entries of every matrix, and the lowest of those that have some below zero."""
    chosen: dict[tuple[int, int], None] = {}
    for matrix in matrices:
        order = np.argsort(matrix, axis=None, kind="stable")
        lowest = [i for i in order[:_PAIRS] if matrix.flat[i] <= -CLASSES[0]]
        for i in (*order[::-1][:_PAIRS], *lowest):
            y, x = np.unravel_index(i, matrix.shape)
            chosen.setdefault((int(y), int(x)))
    ordered = sorted(chosen, key=lambda at: -max(float(abs(matrix[at])) for matrix in matrices))
    return tuple(
        (f"{y + 1} {labels[y].text}", f"{x + 1} {labels[x].text}", tuple(measured(float(m[y, x])) for m in matrices))
        for y, x in ordered
    )


def _label(index: int, token: str) -> Label:
    shown = visible(token, 300)
    text = shown if len(shown) <= _NAME else f"{shown[: _NAME - 1]}…"
    return Label(index, text, shown if text != shown else None)


def thinned(places: Sequence[tuple[float, int]], room: float) -> list[int]:
    """Names of the places that can be written without touching; the earlier in the sequence has the right of way.

    Args:
        places: Place and name of each, the most important first.
        room: Least distance between two places.

    Returns:
        The names, in ascending order.
    """
    kept: list[tuple[float, int]] = []
    for place, name in places:
        if all(abs(place - other) >= room for other, _ in kept):
            kept.append((place, name))
    return sorted(name for _, name in kept)
