"""The seeded sample of a task's examples; free of heavy imports, so that another process can draw it at once."""

from __future__ import annotations

import random

from whybench.bench.task import Example, TaskData


def sample(data: TaskData, limit: int | None, seed: int) -> list[Example]:
    """A seeded sample of the examples, in the order of the data: the first ones may all have one label."""
    if limit is None or limit >= len(data.examples):
        return list(data.examples)
    chosen = sorted(random.Random(seed).sample(range(len(data.examples)), limit))
    return [data.examples[i] for i in chosen]
