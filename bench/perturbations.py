"""Perturbed inputs in flat arrays, so that thousands are told apart and packed without a Python object for each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from whybench.bench.curves import Ints

IdArray = NDArray[np.int32]

KEY_BYTES = 16
Keys = NDArray[np.bytes_]
"""Digests of inputs, ``[inputs]``, `KEY_BYTES` each."""


class Perturbation(NamedTuple):
    """One perturbed input without padding; each array is ``[tokens]``, int32.

    Attributes:
        ids: Token ids.
        mask: Attention mask.
        types: Segment ids, or None.
        contrast: Token ids of the continuation and of the foil, ``[2]``; None where labels are classes.
    """

    ids: IdArray
    mask: IdArray
    types: IdArray | None
    contrast: IdArray | None = None


@dataclass(frozen=True, eq=False)
class Perturbations:
    """Perturbed inputs, one after the other and without padding; each item is a `Perturbation`.

    Attributes:
        tokens: ``[tokens of all inputs, 2 or 3]``, int32: id and attention mask of each token, and its segment where
            the model has segments.
        lengths: Number of tokens of each input, ``[inputs]``.
        contrast: Token ids of each input's continuation and foil, ``[inputs, 2]``, int32; None where labels are
            classes.
    """

    tokens: IdArray
    lengths: Ints
    contrast: IdArray | None = None

    @classmethod
    def of(cls, inputs: Sequence[Perturbation]) -> Perturbations:
        """Single inputs in one; all of them have segments, or none, and so with contrasts."""
        if not inputs:
            return cls(np.empty((0, 2), dtype=np.int32), np.empty(0, dtype=np.int64))
        columns = [np.concatenate([one.ids for one in inputs]), np.concatenate([one.mask for one in inputs])]
        if inputs[0].types is not None:
            columns.append(np.concatenate([one.types for one in inputs if one.types is not None]))
        contrast = None
        if inputs[0].contrast is not None:
            contrast = np.stack([one.contrast for one in inputs if one.contrast is not None])
        return cls(np.column_stack(columns), np.array([len(one.ids) for one in inputs]), contrast)

    @classmethod
    def joined(cls, parts: Sequence[Perturbations]) -> Perturbations:
        """All inputs of all parts, in this order."""
        if not parts:
            return cls.of([])
        contrasts = [part.contrast for part in parts if part.contrast is not None]
        return cls(
            np.concatenate([part.tokens for part in parts]),
            np.concatenate([part.lengths for part in parts]),
            np.concatenate(contrasts) if contrasts else None,
        )

    @cached_property
    def starts(self) -> Ints:
        """Where each input begins in `tokens`, ``[inputs]``."""
        starts: Ints = np.cumsum(self.lengths) - self.lengths
        return starts

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> Perturbation:
        start = self.starts[index]
        columns = self.tokens[start : start + self.lengths[index]].T
        types = columns[2] if len(columns) > 2 else None
        return Perturbation(columns[0], columns[1], types, None if self.contrast is None else self.contrast[index])

    def __iter__(self) -> Iterator[Perturbation]:
        return (self[index] for index in range(len(self)))

    def select(self, chosen: Ints) -> Perturbations:
        """The inputs at these places, in this order."""
        lengths = self.lengths[chosen]
        ends = np.cumsum(lengths)
        # where each token comes from: its input's start, and how far it is from there
        places = np.repeat(self.starts[chosen] - ends + lengths, lengths) + np.arange(lengths.sum())
        return Perturbations(self.tokens[places], lengths, None if self.contrast is None else self.contrast[chosen])

    def padded(self, chosen: Ints, pad_id: int) -> Ints:
        """The inputs at these places, padded on the right, ``[2 or 3, chosen, longest of them]``: ids, mask, types."""
        lengths = self.lengths[chosen]
        steps = np.arange(lengths.max())
        beyond = steps >= lengths[:, None]
        places = np.where(beyond, 0, self.starts[chosen][:, None] + steps)
        padded = self.tokens[places].transpose(2, 0, 1).astype(np.int64, order="C")
        padded[:, beyond] = 0
        padded[0, beyond] = pad_id
        return padded

    def keys(self) -> Keys:
        """What tells the inputs apart, ``[inputs]``: equal inputs have equal keys, and no others."""
        return digests(self.tokens, self.lengths, self.contrast)


def digests(tokens: IdArray, lengths: Ints, heads: IdArray | None = None) -> Keys:
    """A digest of each of several rows of tokens, ``[rows]``.

    Args:
        tokens: The rows one after the other, ``[tokens of all rows]`` or ``[tokens of all rows, columns]``.
        lengths: Number of tokens of each row, ``[rows]``.
        heads: What else belongs to each row, ``[rows, columns]``.
    """
    content = tokens.tobytes()
    ends: list[int] = (np.cumsum(lengths) * tokens[:1].size * tokens.itemsize).tolist()
    rows = [content[start:stop] for start, stop in zip([0, *ends], ends, strict=False)]
    if heads is not None:
        rows = [head.tobytes() + row for head, row in zip(heads, rows, strict=True)]
    found = b"".join([hashlib.blake2b(row, digest_size=KEY_BYTES).digest() for row in rows])
    return np.frombuffer(found, dtype=f"S{KEY_BYTES}")
