"""What the engine remembers: a digest and the probabilities of every input, and nothing else of it."""

from __future__ import annotations

import numpy as np

from whybench.bench.curves import Bools, Floats
from whybench.bench.perturbations import KEY_BYTES, Keys


class AnswerTable:
    """Probabilities by key, in two arrays sorted by key: ``16 + 8·labels`` bytes for each input.

    Adding copies one array after the other, so that half as much again is in use for a moment. That time is small
    beside the forward passes that the answers took, as long as many are added together.

    Args:
        labels: Number of labels.
    """

    def __init__(self, labels: int) -> None:
        self._keys: Keys = np.empty(0, dtype=f"S{KEY_BYTES}")
        self._rows: Floats = np.empty((0, labels))

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def nbytes(self) -> int:
        """Bytes of memory."""
        return self._keys.nbytes + self._rows.nbytes

    def has(self, keys: Keys) -> Bools:
        """Which keys have an answer, ``[keys]``."""
        if not len(self):
            return np.zeros(len(keys), dtype=bool)
        found: Bools = self._keys[np.minimum(np.searchsorted(self._keys, keys), len(self) - 1)] == keys
        return found

    def rows(self, keys: Keys) -> Floats:
        """The answers ``[keys, labels]``; each key must have one (`has`)."""
        return self._rows[np.searchsorted(self._keys, keys)]

    def add(self, keys: Keys, rows: Floats) -> None:
        """Answers ``[keys, labels]`` for new keys, each once."""
        order = np.argsort(keys)
        places = np.searchsorted(self._keys, keys[order])
        self._keys = np.insert(self._keys, places, keys[order])
        self._rows = np.insert(self._rows, places, rows[order], axis=0)
