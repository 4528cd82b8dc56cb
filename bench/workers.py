"""Work spread over processes."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Protocol, TypeVar

from whybench.bench.errors import SiteError

Item = TypeVar("Item")
Made = TypeVar("Made")


class Apply(Protocol):
    """What calls a function on each of several items and gives what it returns, in their order."""

    def __call__(self, function: Callable[[Item], Made], items: Iterable[Item], /) -> Iterator[Made]: ...  # noqa: D102


@contextmanager
def workers(count: int) -> Iterator[Apply]:
    """Processes for the time of a block; with one, this process does the work itself.

    What they are given and what they return is pickled. They are spawned, not forked: a fork of a process with threads
    (of torch, of a server) may never wake up. An exception in one is raised here.

    Args:
        count: Number of processes.

    Raises:
        SiteError: A process ended before its work was done, as the system ends one where memory runs out.
    """
    if count == 1:
        yield map
        return
    try:
        # a worker makes millions of small things, few of them in cycles, and ends soon: to look for these takes long
        with ProcessPoolExecutor(
            count, mp_context=multiprocessing.get_context("spawn"), initializer=gc.disable
        ) as pool:
            yield pool.map
    except BrokenProcessPool as error:
        raise SiteError(
            f"one of {count} processes that worked on the site ended before its work was done, as the system ends one "
            f"where memory runs out. Free some memory and run it again."
        ) from error


def processors() -> int:
    """How many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
