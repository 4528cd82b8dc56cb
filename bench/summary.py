"""From examples to a dataset's figures."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from whybench.bench.schema import Figure
from whybench.bench.statistics import bootstrap_intervals


def figures_of(values: Mapping[str, Mapping[int, float]]) -> dict[str, Figure]:
    """Mean and interval of every figure; those of the same examples are resampled together."""
    figures: dict[str, Figure] = {}
    for examples in {tuple(by_example): None for by_example in values.values()}:
        names = [name for name, by_example in values.items() if tuple(by_example) == examples]
        columns = np.array([list(values[name].values()) for name in names]).T
        # the mean of values that all lie at one end can come out beyond them by a rounding error
        smallest, largest = columns.min(axis=0), columns.max(axis=0)
        means, lows, highs = np.clip([columns.mean(axis=0), *bootstrap_intervals(columns)], smallest, largest)
        for name, mean, low, high in zip(names, means, lows, highs, strict=True):
            figures[name] = Figure(mean=float(mean), low=float(low), high=float(high), examples=len(examples))
    return {name: figures[name] for name in values}
