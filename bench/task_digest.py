"""What a task gives, as digests: printed by a process of its own to be compared with what another one got.

``python -m whybench.bench.task_digest NAME_OR_FILE PATH_OR_- SPLIT_OR_- LIMIT`` prints them as its last line.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from whybench.bench.registry import load_task
from whybench.bench.sample import sample
from whybench.bench.task import Example, TaskData

SEED = 0


def digests(data: TaskData, limit: int) -> dict[str, str]:
    """Digests of the examples and of a seeded sample of them, and the names that go into results."""
    return {
        "examples": _digest(data.examples),
        "sample": _digest(sample(data, limit, SEED)),
        "revision": str(data.revision),
        "split": str(data.split),
        "left_out": str(data.left_out),
    }


def differences(one: dict[str, str], other: dict[str, str]) -> list[str]:
    """The names of what is not the same."""
    return [name for name, value in one.items() if other.get(name) != value]


def _digest(examples: Sequence[Example]) -> str:
    content = json.dumps([dataclasses.asdict(example) for example in examples], default=repr, sort_keys=True)
    return hashlib.sha256(content.encode("utf-8", "surrogatepass")).hexdigest()


def main(arguments: Sequence[str]) -> None:
    """Load, and print the digests."""
    name, data, split, limit = arguments
    # what the task's file prints is not the answer
    with contextlib.redirect_stdout(sys.stderr):
        task = load_task(name)
        found = digests(task.load(None if data == "-" else Path(data), None if split == "-" else split), int(limit))
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
