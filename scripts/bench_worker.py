"""One side of ``bench_compare.py``: runs the benchmarks of the checkout that it is started in, when it is told to.

A pytest plugin in place of pytest-benchmark. Every benchmark is prepared by its own test; what would be timed waits
here, and is run as often as the parent asks, so that two checkouts take turns. Messages are lines of JSON over two
pipes::

    worker: {"ready": "test_solve"}         parent: {"run": 3}  or  {"done": true}
    worker: {"seconds": 0.0021}             (three runs, for one of them)
    worker: {"end": "test_solve", "outcome": "passed"}

"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

WAIT, SAY = "WHYBENCH_BENCH_WAIT", "WHYBENCH_BENCH_SAY"


def clock() -> float:
    """Seconds of this process's processor; with a GPU those on the wall, once it is done with what it was given."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.synchronize()
        return time.perf_counter()
    return time.process_time()


class Turns:
    """What stands for pytest-benchmark's fixture."""

    disabled = False

    def __init__(self, parent: Parent, name: str) -> None:
        self.extra_info: dict[str, Any] = {}
        self._parent, self._name = parent, name

    def __call__(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run when told; the first run, which warms up, is nobody's."""
        answer = work(*args, **kwargs)
        self._parent.say({"ready": self._name})
        while "run" in (asked := self._parent.hear()):
            gc.collect()
            gc.disable()
            begun = clock()
            for _ in range(asked["run"]):
                answer = work(*args, **kwargs)
            spent = clock() - begun
            gc.enable()
            self._parent.say({"seconds": spent / asked["run"]})
        return answer

    def pedantic(self, target: Callable[..., Any], args: Any = (), kwargs: Any = None, **_: Any) -> Any:
        """The same; rounds are the parent's affair."""
        return self(target, *args, **(kwargs or {}))


class Parent:
    """The two pipes."""

    def __init__(self) -> None:
        self._in = os.fdopen(int(os.environ[WAIT]), encoding="utf-8")
        self._out = os.fdopen(int(os.environ[SAY]), "w", encoding="utf-8")

    def say(self, message: dict[str, Any]) -> None:
        """Tell the parent something."""
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for the parent; it ends this process by closing the pipe."""
        line = self._in.readline()
        if not line:
            raise SystemExit("the parent is gone")
        message: dict[str, Any] = json.loads(line)
        return message


class Worker:
    """The plugin."""

    def __init__(self) -> None:
        self._parent = Parent()
        self._broken = False

    @pytest.fixture
    def benchmark(self, request: pytest.FixtureRequest) -> Iterator[Turns]:
        """The fixture that benchmarks ask for."""
        yield Turns(self._parent, request.node.name)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported."""
        self._broken = self._broken or report.failed

    def pytest_configure(self, config: pytest.Config) -> None:
        """The marker that pytest-benchmark would know; what it asks for is the parent's affair."""
        config.addinivalue_line("markers", "benchmark: options of pytest-benchmark")

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Only what is a benchmark."""
        items[:] = [item for item in items if "benchmark" in getattr(item, "fixturenames", ())]

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Say what there is, and whose code it is; after an error pytest ends by itself, and has said why."""
        if self._broken:
            return
        import whybench

        path = str(Path(whybench.__file__ or "").resolve())
        self._parent.say({"collected": [item.name for item in session.items], "package": path})
        # the parent says what both sides have
        only = set(self._parent.hear()["only"])
        session.items[:] = [item for item in session.items if item.name in only]

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """The test is over, whatever came of it."""
        self._parent.say({"end": nodeid.split("::", 1)[-1], "outcome": self._outcome, "why": self._why})

    _outcome, _why = "passed", ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the worst of a test's three phases."""
        if report.when == "setup":
            self._outcome, self._why = "passed", ""
        if report.outcome != "passed" and self._outcome != "failed":
            self._outcome = report.outcome
            self._why = str(getattr(report.longrepr, "reprcrash", "") or report.longrepr)[-500:]


if __name__ == "__main__":
    raise SystemExit(pytest.main(sys.argv[1:], plugins=[Worker()]))
