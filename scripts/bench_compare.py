"""Time the benchmarks on a base revision and on the working tree, in turns, on this machine.

    python scripts/bench_compare.py BASE [--factor 1.2] [--turns 18] [--starts 3] [-k EXPRESSION] [--markdown FILE]

The base is checked out into a temporary worktree, with the working tree's benchmarks in place of its own, so that both
sides are asked for the same. Each side has a process, which prepares a benchmark once and waits. They then take turns,
base, new, new, base, …, so that whatever else the machine does falls on both. A process has its own luck too: how its
memory lies can cost a fifth. So all of it is done with several pairs of processes. Time is the processor's, of one
thread, which other work on the machine does not stretch; with a GPU it is the time on the wall, once the GPU is done.

Per benchmark the ratio new / base of every turn is taken, and their median. Its interval is between two of the ordered
ratios, by the binomial distribution, and so asks nothing of how noise is distributed; at 1 − 0.05/m for m benchmarks,
so that they hold together with 95 %. Slower is what reaches the factor with every pair of processes, with an interval
above 1.

Exit codes: 0 nothing is slower, 1 something is, or fails on the working tree alone; 2 an error; 3 nothing to compare.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
WORKER = Path(__file__).with_name("bench_worker.py")
# the suite of both sides, and what it is made with
SUITE = ("tests/test_benchmarks.py",)
SHARED = ("tests/conftest.py", "tests/timer.py")
ALPHA = 0.05
LEAST_SECONDS = 0.02
LEAST_TURNS = 6


class CompareError(Exception):
    """What stops the comparison."""


@dataclass(frozen=True)
class Timing:
    """One benchmark on both sides.

    Attributes:
        name: The test's name.
        base: Median seconds on the base.
        new: The same on the working tree.
        starts: new / base turn by turn, for every pair of processes.
    """

    name: str
    base: float
    new: float
    starts: tuple[tuple[float, ...], ...]

    @property
    def ratios(self) -> list[float]:
        """All turns' new / base."""
        return [ratio for turns in self.starts for ratio in turns]

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return median(self.ratios)

    def interval(self, tests: int) -> tuple[float, float]:
        """Interval of the median ratio that holds for so many benchmarks together."""
        return median_interval(self.ratios, ALPHA / tests)

    def slower(self, factor: float, tests: int) -> bool:
        """Whether it got slower by the factor, and not by chance."""
        return min(map(median, self.starts)) >= factor and self.interval(tests)[0] > 1

    def faster(self, factor: float, tests: int) -> bool:
        """The other way round."""
        return max(map(median, self.starts)) <= 1 / factor and self.interval(tests)[1] < 1


def median_interval(values: Sequence[float], level: float) -> tuple[float, float]:
    """Distribution-free interval of a median: between the k-th smallest and the k-th largest value.

    Args:
        values: Independent draws.
        level: How often the median may lie outside.

    Returns:
        The ends; infinitely wide where there are too few values for the level.
    """
    ordered, n = sorted(values), len(values)
    k, tail = 0, 0.0
    while (tail := tail + math.comb(n, k) / 2**n) <= level / 2:
        k += 1
    return (ordered[k - 1], ordered[n - k]) if k else (0.0, math.inf)


def least_turns(tests: int) -> int:
    """The fewest turns from which an interval for so many benchmarks is bounded."""
    return max(LEAST_TURNS, math.ceil(1 + math.log2(tests / ALPHA)))


class Side:
    """The process that runs one checkout's benchmarks."""

    def __init__(self, name: str, root: Path, suite: Sequence[str], options: Sequence[str]) -> None:
        self.name, self.root = name, root
        hear, self._tell = os.pipe()
        self._hear, say = os.pipe()
        log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._log = log
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("PYTEST_")},
            "PYTHONPATH": str(root),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "OMP_NUM_THREADS": "1",
            "WHYBENCH_BENCH_WAIT": str(hear),
            "WHYBENCH_BENCH_SAY": str(say),
        }
        pytest_options = ["-q", "-p", "no:cacheprovider", "-o", "addopts=", *options]
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER), *pytest_options, *suite],
            cwd=root,
            env=environment,
            pass_fds=(hear, say),
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        os.close(hear)
        os.close(say)
        self._in = os.fdopen(self._hear, encoding="utf-8")
        self._out = os.fdopen(self._tell, "w", encoding="utf-8")

    def said(self) -> dict[str, Any]:
        """What the process says next."""
        line = self._in.readline()
        if not line:
            self._process.wait()
            self._log.seek(0)
            raise CompareError(f"the benchmarks of the {self.name} ended:\n{self._log.read()[-3000:]}")
        message: dict[str, Any] = json.loads(line)
        return message

    def tell(self, message: dict[str, Any]) -> None:
        """Tell the process something."""
        self._out.write(json.dumps(message) + "\n")
        self._out.flush()

    def seconds(self, times: int) -> float:
        """Run what is ready so often; seconds of one run."""
        self.tell({"run": times})
        return float(self.said()["seconds"])

    def collected(self) -> list[str]:
        """The benchmarks that there are."""
        message = self.said()
        if not Path(message["package"]).is_relative_to(self.root.resolve()):
            raise CompareError(f"the {self.name} imports {message['package']}, which is not in {self.root}")
        return list(message["collected"])

    def stop(self) -> None:
        """End the process."""
        for end in (self._out, self._in):
            with suppress(BrokenPipeError):
                end.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()


@contextmanager
def checkout(revision: str, repository: Path = REPOSITORY) -> Iterator[Path]:
    """A worktree of a revision in a temporary folder, removed afterwards.

    Raises:
        CompareError: There is no such revision.
    """
    commit = git(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    with tempfile.TemporaryDirectory(prefix="bench-base-") as folder:
        root = Path(folder) / "base"
        git(repository, "worktree", "add", "--detach", "--quiet", str(root), commit)
        try:
            yield root
        finally:
            git(repository, "worktree", "remove", "--force", str(root))


def git(repository: Path, *arguments: str) -> str:
    """What git answers."""
    done = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CompareError(f"git {' '.join(arguments)} failed: {done.stderr.strip() or 'no such revision'}")
    return done.stdout.strip()


def share_suite(source: Path, target: Path, files: Sequence[str]) -> None:
    """Put the working tree's benchmarks in place of the base's."""
    for name in files:
        if (source / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source / name, target / name)


def compare(
    base: Path,
    new: Path,
    suite: Sequence[str],
    turns: int = 18,
    starts: int = 3,
    options: Sequence[str] = (),
) -> tuple[list[Timing], dict[str, str]]:
    """Time the benchmarks of two checkouts in turns.

    Args:
        base: The first checkout.
        new: The second.
        suite: Test files in both, relative to them.
        turns: Turns of each benchmark, over all pairs of processes.
        starts: Pairs of processes.
        options: More options of pytest.

    Returns:
        The timings, and the names of benchmarks without one, each with the reason; those that fail on the second
        side alone have a reason that begins with ``fails``.
    """
    taken: dict[str, list[list[tuple[float, float]]]] = {}
    left_out: dict[str, str] = {}
    for start in range(starts):
        sides: list[Side] = []
        try:
            for name, root in (("base", base), ("working tree", new)):
                sides.append(Side(name, root, suite, options))
            lists = [side.collected() for side in sides]
            common = [name for name in lists[1] if name in lists[0]]
            left_out |= dict.fromkeys(set(lists[0]) ^ set(lists[1]), "only in one of the two")
            for side in sides:
                side.tell({"only": common})
            each = math.ceil(max(turns, least_turns(max(1, len(common)))) / starts)
            for name in common:
                found = _in_turns(sides, each)
                if isinstance(found, str):
                    left_out[name] = found
                else:
                    taken.setdefault(name, []).append(found)
                sys.stderr.write(f"{start + 1}/{starts} {name}\n")
        finally:
            for side in sides:
                side.stop()
    return [_timing(name, pairs) for name, pairs in taken.items() if name not in left_out], left_out


def _timing(name: str, starts: Sequence[Sequence[tuple[float, float]]]) -> Timing:
    ratios = tuple(tuple(new / base for base, new in turns) for turns in starts)
    base, new = (median(pair[i] for turns in starts for pair in turns) for i in (0, 1))
    return Timing(name, base, new, ratios)


def _in_turns(sides: Sequence[Side], turns: int) -> list[tuple[float, float]] | str:
    """Time the benchmark that both sides are at; the reason where there are no times."""
    first = [side.said() for side in sides]
    ready = ["ready" in message for message in first]
    taken = []
    if all(ready):
        once = max(sides[0].seconds(1), 1e-9)
        times = math.ceil(LEAST_SECONDS / once)
        for turn in range(turns):
            pair = [0.0, 0.0]
            for i in (0, 1) if turn % 2 == 0 else (1, 0):
                pair[i] = sides[i].seconds(times)
            taken.append((pair[0], pair[1]))
    outcomes = []
    for side, message, waits in zip(sides, first, ready, strict=True):
        if waits:
            side.tell({"done": True})
        outcomes.append(side.said() if waits else message)
    failed = [message["outcome"] == "failed" for message in outcomes]
    if failed == [False, True]:
        return f"fails on the working tree: {outcomes[1]['why']}"
    if any(failed):
        return f"does not run on the base: {outcomes[0]['why']}"
    if not all(ready):
        return f"left out: {next(m['why'] for m, waits in zip(outcomes, ready, strict=True) if not waits)}"
    return taken


def rows_of(timings: Sequence[Timing], factor: float) -> list[tuple[str, ...]]:
    """The table, the largest ratio first."""
    tests = len(timings)
    rows: list[tuple[str, ...]] = []
    for one in sorted(timings, key=lambda one: -one.ratio):
        low, high = one.interval(tests)
        verdict = "slower" if one.slower(factor, tests) else "faster" if one.faster(factor, tests) else ""
        times = f"{1e3 * one.base:.3g} ms", f"{1e3 * one.new:.3g} ms"
        rows.append((one.name, *times, f"×{one.ratio:.2f}", f"×{low:.2f} to ×{high:.2f}", verdict))
    return rows


HEAD = ("benchmark", "base", "new", "ratio", "interval", "verdict")


def report(timings: Sequence[Timing], left_out: dict[str, str], factor: float) -> str:
    """As Markdown, which reads well as plain text too."""
    rows = [tuple(text.replace("|", "\\|") for text in row) for row in (HEAD, *rows_of(timings, factor))]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    slower = sum(one.slower(factor, len(timings)) for one in timings)
    lines += [
        "",
        f"{slower} of {len(timings)} benchmarks are slower: ×{factor} or more with every pair of processes, "
        f"and an interval above 1 that holds for all {len(timings)} together.",
    ]
    lines += [f"- {name}: {' '.join(reason.split())}" for name, reason in sorted(left_out.items())]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", help="git revision to compare with")
    parser.add_argument("--factor", type=float, default=1.2, help="from which ratio on something is slower")
    parser.add_argument("--turns", type=int, default=18, help="turns of each benchmark")
    parser.add_argument("--starts", type=int, default=3, help="pairs of processes that the turns are shared among")
    parser.add_argument("-k", dest="expression", help="only benchmarks that match, as pytest's -k")
    parser.add_argument("--markdown", type=Path, help="file to write the report to as well")
    given = parser.parse_args(arguments)
    if not given.factor > 1 or given.turns < 1 or given.starts < 1:
        parser.error("--factor must be above 1, --turns and --starts at least 1")
    options = ["-k", given.expression] if given.expression else []
    try:
        with checkout(given.base) as base:
            share_suite(REPOSITORY, base, [*SUITE, *SHARED])
            suite = [f"whybench/{name}" for name in SUITE]
            timings, left_out = compare(base, REPOSITORY, suite, given.turns, given.starts, options)
    except CompareError as error:
        sys.stderr.write(f"bench-compare: {error}\n")
        return 2
    text = report(timings, left_out, given.factor)
    sys.stdout.write(text)
    if given.markdown:
        given.markdown.write_text(text, encoding="utf-8")
    if any(one.slower(given.factor, len(timings)) for one in timings) or any(
        reason.startswith("fails") for reason in left_out.values()
    ):
        return 1
    return 0 if timings else 3


if __name__ == "__main__":
    raise SystemExit(main())
