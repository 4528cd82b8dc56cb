"""Whether all examples hold their identities, at once; `whybench.bench.identities` says which one does not."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from whybench.bench.curves import SOFT
from whybench.bench.examples_table import CURVES

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


class _Lists:
    """A list column: all its values in one array, and where each row's begin and end; a row without has none."""

    def __init__(self, examples: pa.Table, name: str) -> None:
        self.there: Bools = np.zeros(len(examples), dtype=bool)
        self.values: Floats = np.empty(0)
        self.sizes: Ints = np.zeros(len(examples), dtype=np.int64)
        self.starts: Ints = np.zeros(len(examples), dtype=np.int64)
        # tables of earlier versions lack some
        if name in examples.column_names:
            column = examples.column(name).combine_chunks()
            offsets = column.offsets.to_numpy().astype(np.int64)
            values = column.values.to_numpy(zero_copy_only=False)[offsets[0] : offsets[-1]]
            self.there = column.is_valid().to_numpy(zero_copy_only=False)
            self.values = values.astype(np.float64)
            self.sizes = np.diff(offsets)
            self.starts = offsets[:-1] - offsets[0]

    def first(self, rows: Bools) -> Floats:
        """The first value of these rows, none of which is empty."""
        return np.asarray(self.values[self.starts[rows]])

    def last(self, rows: Bools) -> Floats:
        """The last value of these rows, none of which is empty."""
        return np.asarray(self.values[(self.starts + self.sizes - 1)[rows]])

    def of_rows(self) -> Ints:
        """Per value the row that it is in."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)


def hold(examples: pa.Table, tolerance: float) -> bool:
    """Whether every example's curves are sound. False says no more than that they have to be looked at one by one.

    Args:
        examples: The per-example table.
        tolerance: How far two numbers may lie apart that are one.
    """
    lists = {name: _Lists(examples, name) for name in ("unit_starts", *CURVES)}
    rows = lists["removed_k"].there
    if not rows.any():
        return True
    units = lists["unit_scores"].sizes
    probability = examples.column("probability").to_numpy(zero_copy_only=False).astype(np.float64)
    return bool(
        (units[rows] > 0).all()
        and (units == lists["unit_starts"].sizes)[rows].all()
        and _sizes_fit(lists, rows, units)
        and all(
            _are_probabilities(lists[name].values) for name in ("removed_p", "kept_p", "single_p", "drawn_p", "soft_p")
        )
        and (lists["removed_k"].sizes[rows] > 0).all()
        and (lists["removed_k"].first(rows) == 0).all()
        and (np.abs(probability[rows] - lists["removed_p"].first(rows)) <= tolerance).all()
        and _ends_meet(lists, rows, units, tolerance)
        and _best_is_first(lists, rows, units, tolerance)
    )


def _sizes_fit(lists: dict[str, _Lists], rows: Bools, units: Ints) -> bool:
    for name in ("removed", "kept"):
        k, p = lists[f"{name}_k"], lists[f"{name}_p"]
        filled = rows & (k.sizes > 0)
        steps = np.diff(k.values, prepend=-np.inf)
        # the first of a row follows on the last of another
        steps[k.starts[k.sizes > 0]] = np.inf
        ascending = (steps[rows[k.of_rows()]] > 0).all()
        within = (k.first(filled) >= 0).all() and (k.last(filled) <= units[filled]).all()
        if not ((k.sizes == p.sizes)[rows].all() and ascending and within):
            return False
    return bool(
        (lists["removed_flipped"].sizes == lists["removed_k"].sizes)[rows].all()
        and (lists["drawn_units"].sizes % np.maximum(units, 1) == 0)[rows].all()
        and (lists["soft_p"].sizes % len(SOFT) == 0)[rows].all()
    )


def _are_probabilities(values: Floats) -> bool:
    # written so that a NaN is none
    return bool(((values >= 0) & (values <= 1)).all())


def _ends_meet(lists: dict[str, _Lists], rows: Bools, units: Ints, tolerance: float) -> bool:
    gone, left = lists["removed_k"], lists["kept_k"]
    both = rows & (gone.sizes > 0) & (left.sizes > 0)
    n = units[both]
    nothing = (gone.last(both) == n) & (left.first(both) == 0)
    everything = (gone.first(both) == 0) & (left.last(both) == n)
    apart_from_nothing = np.abs(lists["removed_p"].last(both) - lists["kept_p"].first(both))
    apart_from_all = np.abs(lists["removed_p"].first(both) - lists["kept_p"].last(both))
    return bool((apart_from_nothing[nothing] <= tolerance).all() and (apart_from_all[everything] <= tolerance).all())


def _best_is_first(lists: dict[str, _Lists], rows: Bools, units: Ints, tolerance: float) -> bool:
    single, scores, k, p = (lists[name] for name in ("single_p", "unit_scores", "removed_k", "removed_p"))
    if not ((single.sizes == 0) | (single.sizes == units))[rows].all():
        return False
    tried = rows & (single.sizes > 0) & (k.sizes > 1)
    tried[tried] = k.values[k.starts[tried] + 1] == 1
    if not tried.any():
        return True
    # rows that are not tried are left out of the flat arrays, so that the two have the same units in the same places
    best = scores.values[tried[scores.of_rows()]]
    alone = single.values[tried[single.of_rows()]]
    counts = units[tried]
    starts = np.cumsum(counts) - counts
    largest = np.repeat(np.maximum.reduceat(best, starts), counts)
    first = np.repeat(p.values[p.starts[tried] + 1], counts)
    found = (best == largest) & (np.abs(alone - first) <= tolerance)
    return bool(np.logical_or.reduceat(found, starts).all())
