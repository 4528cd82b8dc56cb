"""Whether a version of the code made a cell's scores worse, or dearer: the changes of two results folders, judged.

A regression needs size and significance. Size: a score's mean got worse by its threshold, a cost grew by its factor.
Significance: its interval (`whybench.bench.paired`) leaves out no change, at 5 % for all scores together and 5 % for
all times together.

- A score is paired by example.
- Exact counts have no noise: the factor alone decides.
- A time is one number a run, and how runs stray shows in further runs alone: forward equivalents and milliseconds are
  judged where there are at least two runs of either version in one environment. The batches of one run would not do.
  They share its luck: of one and the same code, runs of three alike batches each have differed by a third.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from whybench.bench.errors import ComparisonError
from whybench.bench.figures import FIGURES
from whybench.bench.matching import Matching, Pair, Side, identity, match, sides_of
from whybench.bench.paired import ratio_interval, score_intervals
from whybench.bench.schema import Cost
from whybench.bench.store import ResultStore, StoredResult
from whybench.bench.thresholds import COUNTS, TIMES, Thresholds

Floats = NDArray[np.float64]
Kind = Literal["score", "count", "time"]
Verdict = Literal["regression", "improvement", "unchanged", "untested"]

# fewer say nothing of how times stray
LEAST_RUNS = 2


@dataclass(frozen=True)
class Change:
    """One figure of a cell in two versions.

    Attributes:
        kind: ``score``, whose change is a difference; ``count`` or ``time``, whose change is the factor new / base.
        name: The metric or cost.
        base: The figure in the base; of a score the mean over the examples that both have.
        new: The same in the new version.
        change: The difference, or the factor; infinite where the base is 0.
        low: Lower end of its interval, at a level that holds for all that were compared; None where there is none.
        high: Upper end.
        threshold: From where on it counts.
        verdict: What comes of it; ``untested`` where significance cannot be had.
        reason: Why not, or what the verdict hangs on.
        samples: Examples that it rests on, or for a time runs.
        left_out: Examples that have the figure in one version only.
    """

    kind: Kind
    name: str
    base: float
    new: float
    change: float
    low: float | None
    high: float | None
    threshold: float
    verdict: Verdict
    reason: str
    samples: int
    left_out: int = 0


@dataclass(frozen=True)
class Event:
    """What is no figure: lost examples, a gate, a figure that is there in one version only.

    Attributes:
        what: In words.
        verdict: Whether it is a regression, an improvement, or neither.
    """

    what: str
    verdict: Verdict


@dataclass(frozen=True)
class Compared:
    """A cell in two versions.

    Attributes:
        pair: The cell in both.
        changes: Its figures.
        events: What else changed.
        same_environment: Whether versions and hardware are equal, whybench's own version and commit aside.
    """

    pair: Pair
    changes: tuple[Change, ...]
    events: tuple[Event, ...]
    same_environment: bool

    def count(self, verdict: Verdict) -> int:
        """How many changes and events have that verdict."""
        verdicts = [*(one.verdict for one in self.changes), *(one.verdict for one in self.events)]
        return verdicts.count(verdict)


@dataclass(frozen=True)
class Regressions:
    """Two folders, compared.

    Attributes:
        cells: The cells that finished in both.
        matching: All cells.
        score_tests: Scores that were compared: their intervals hold at 1 − 0.05 / score_tests.
        time_tests: The same for times.
    """

    cells: tuple[Compared, ...]
    matching: Matching
    score_tests: int
    time_tests: int

    def count(self, verdict: Verdict) -> int:
        """How many changes and events have that verdict; a cell that no longer finishes is a regression."""
        cells = {"regression": self.matching.broken, "improvement": self.matching.mended}.get(verdict, [])
        return len(cells) + sum(cell.count(verdict) for cell in self.cells)

    @property
    def comparable(self) -> bool:
        """Whether there is anything to say: a cell that finished in the base and is in the new version too."""
        return bool(self.cells or self.matching.broken)


@dataclass
class _Scores:
    """The paired scores of one cell, metric by metric."""

    pair: Pair
    columns: dict[str, tuple[Floats, Floats]] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class _Time:
    """One time of one cell: logarithms of what the runs of either version took."""

    name: str
    base: Floats
    new: Floats
    same_environment: bool

    def judged(self, thresholds: Thresholds) -> bool:
        """Whether it is tested: enough runs in one environment, and a factor to hold it against."""
        enough = min(len(self.base), len(self.new)) >= LEAST_RUNS
        return enough and self.same_environment and math.isfinite(thresholds.times[self.name])

    def change(self, thresholds: Thresholds, tests: int) -> Change:
        """The change of the geometric means over runs."""
        old, now, threshold = math.exp(self.base.mean()), math.exp(self.new.mean()), thresholds.times[self.name]
        low = high = None
        verdict: Verdict = "untested"
        if self.judged(thresholds):
            low, high = ratio_interval(self.base, self.new, tests)
            verdict, reason = _judged(math.log(now / old), math.log(threshold), not low <= 1 <= high)
        elif math.isinf(threshold):
            verdict, reason = "unchanged", "for information"
        elif not self.same_environment:
            reason = "made in another environment"
        else:
            reason = f"needs {LEAST_RUNS} runs or more of both versions"
        samples = len(self.base) + len(self.new)
        return Change("time", self.name, old, now, now / old, low, high, threshold, verdict, reason, samples)


def compare_folders(
    base: ResultStore,
    new: ResultStore,
    thresholds: Thresholds,
    more_base: Sequence[ResultStore] = (),
    more_new: Sequence[ResultStore] = (),
) -> Regressions:
    """Compare all cells of two folders.

    Args:
        base: What is compared with.
        new: What is judged.
        thresholds: From where on a change counts.
        more_base: Further runs of the base's code; only their times are looked at.
        more_new: Further runs of the new code.

    Raises:
        StoreError: There is no such results folder.
        CorruptResultError: A cell is damaged.
        ComparisonError: A cell has an example twice.
    """
    matching = match(sides_of(base), sides_of(new))
    again = [sides_of(store) for store in more_base], [sides_of(store) for store in more_new]
    scores = [_scores(pair) for pair in matching.pairs]
    score_tests = sum(len(one.columns) for one in scores)
    timed = [_times(pair, *again) for pair in matching.pairs]
    time_tests = sum(one.judged(thresholds) for ones in timed for one in ones)
    cells = tuple(
        Compared(
            pair=one.pair,
            changes=(
                *_score_changes(one, thresholds, score_tests),
                *_count_changes(one.pair, thresholds),
                *(time.change(thresholds, time_tests) for time in times),
            ),
            events=tuple(_events(one.pair, thresholds)),
            same_environment=_same_environment([one.pair.base, one.pair.new]),
        )
        for one, times in zip(scores, timed, strict=True)
    )
    return Regressions(cells, matching, score_tests, time_tests)


def _scores(pair: Pair) -> _Scores:
    found = _Scores(pair)
    for name in pair.base.figures():
        old, now = pair.base.holding(name), pair.new.holding(name)
        if FIGURES[name].higher_is_better is None or old is None or now is None:
            continue
        before, after = _by_example(old, name), _by_example(now, name)
        common = [example for example in before if example in after]
        found.left_out[name] = len(before.keys() ^ after.keys())
        if common:
            found.columns[name] = (
                np.array([before[example] for example in common]),
                np.array([after[example] for example in common]),
            )
    return found


def _by_example(stored: StoredResult, name: str) -> dict[str, float]:
    ids, values = _column(stored.examples, "example_id"), _column(stored.examples, name)
    if len(set(ids)) < len(ids):
        raise ComparisonError(f"the cell {stored.result.cell!r} has an example twice; examples are paired by their id.")
    return {example: value for example, value in zip(ids, values, strict=True) if value is not None}


def _column(examples: pa.Table, name: str) -> list[Any]:
    values: list[Any] = examples.column(name).to_pylist()
    return values


def _score_changes(scores: _Scores, thresholds: Thresholds, tests: int) -> list[Change]:
    means: dict[str, tuple[float, float]] = {}
    # metrics of equally many examples are resampled together
    for count in {len(before) for before, _ in scores.columns.values()}:
        names = [name for name, (before, _) in scores.columns.items() if len(before) == count]
        differences = np.array([scores.columns[name][1] - scores.columns[name][0] for name in names]).T
        for name, mean, half in zip(names, *score_intervals(differences, tests), strict=True):
            means[name] = float(mean), float(half)
    changes = []
    for name, (before, after) in scores.columns.items():
        mean, half = means[name]
        worse = -mean if FIGURES[name].higher_is_better else mean
        bounded = math.isfinite(half)
        verdict, reason = _judged(worse, thresholds.scores[name], abs(mean) > half)
        changes.append(
            Change(
                "score",
                name,
                float(before.mean()),
                float(after.mean()),
                mean,
                mean - half if bounded else None,
                mean + half if bounded else None,
                thresholds.scores[name],
                verdict,
                reason,
                len(before),
                scores.left_out[name],
            )
        )
    return changes


def _judged(worse: float, threshold: float, significant: bool) -> tuple[Verdict, str]:
    """The verdict on a change that is ``worse`` above 0 and better below."""
    # a change of just the threshold must not hang on how its difference was rounded
    if abs(worse) < threshold * (1 - 1e-9):
        return "unchanged", "below the threshold" if significant else ""
    if not significant:
        return "unchanged", "not significant"
    return ("regression" if worse > 0 else "improvement"), ""


def _costs(pair: Pair) -> tuple[Cost, Cost] | None:
    costs = [next((c.result.cost for c in side.cells if c.result.cost), None) for side in (pair.base, pair.new)]
    return None if costs[0] is None or costs[1] is None else (costs[0], costs[1])


def _count_changes(pair: Pair, thresholds: Thresholds) -> list[Change]:
    if (costs := _costs(pair)) is None:
        return []
    before, after = costs
    changes = []
    for name in COUNTS:
        old, now = float(getattr(before, name)), float(getattr(after, name))
        factor, threshold = _factor(old, now), thresholds.counts[name]
        verdict, reason = _judged_factor(factor, threshold)
        if (before.examples, before.counted_examples) != (after.examples, after.counted_examples):
            verdict, reason = "untested", "counted on other examples"
        changes.append(
            Change("count", name, old, now, factor, None, None, threshold, verdict, reason, after.counted_examples)
        )
    return changes


def _factor(old: float, now: float) -> float:
    if old == now:
        return 1.0
    return now / old if old > 0 else math.inf


def _judged_factor(factor: float, threshold: float) -> tuple[Verdict, str]:
    if math.isinf(threshold):
        return "unchanged", ""
    if factor >= threshold * (1 - 1e-9):
        return "regression", ""
    if factor <= 1 / threshold * (1 + 1e-9):
        return "improvement", ""
    return "unchanged", ""


def _times(pair: Pair, more_base: Sequence[Mapping[str, Side]], more_new: Sequence[Mapping[str, Side]]) -> list[_Time]:
    """The times of a cell, run by run."""
    if _costs(pair) is None:
        return []
    key = identity(pair.base.result.spec)
    base, new = (
        [first, *(one[key] for one in more if key in one and _same_code(one[key], first))]
        for first, more in ((pair.base, more_base), (pair.new, more_new))
    )
    same = _same_environment([*base, *new])
    names = TIMES if same else TIMES[:1]
    return [_Time(name, _logs_of(base, name), _logs_of(new, name), same) for name in names]


def _same_code(one: Side, other: Side) -> bool:
    sources = [
        (side.result.spec.method.source, side.result.environment.whybench, side.result.environment.commit)
        for side in (one, other)
    ]
    return one.finished and sources[0] == sources[1]


def _logs_of(sides: Sequence[Side], name: str) -> Floats:
    costs = [next((stored.result.cost for stored in side.cells if stored.result.cost), None) for side in sides]
    values = [cost.forward_equivalents if name == TIMES[0] else cost.p50_ms for cost in costs if cost is not None]
    # a clock that saw nothing
    return np.log(np.maximum(values, np.finfo(np.float64).tiny))


def _same_environment(sides: Sequence[Side]) -> bool:
    conditions = [side.result.environment.conditions for side in sides]
    return all(one == conditions[0] for one in conditions)


def _events(pair: Pair, thresholds: Thresholds) -> list[Event]:
    return [*_coverage_events(pair, thresholds), *_gate_events(pair), *_figure_events(pair)]


def _coverage_events(pair: Pair, thresholds: Thresholds) -> list[Event]:
    base, new = (
        {f.example: f.reason for f in side.result.coverage.failed} if side.result.coverage else {}
        for side in (pair.base, pair.new)
    )
    events: list[Event] = []
    if lost := [example for example in new if example not in base]:
        share = len(lost) / pair.new.result.spec.task.examples
        verdict: Verdict = "regression" if share > thresholds.lost_examples else "unchanged"
        events.append(Event(f"{len(lost)} examples fail that were scored, as {lost[0]}: {new[lost[0]]}", verdict))
    if gained := [example for example in base if example not in new]:
        events.append(Event(f"{len(gained)} examples are scored that failed", "improvement"))
    return events


def _gate_events(pair: Pair) -> list[Event]:
    before, after = pair.base.cells[0].gates, pair.new.cells[0].gates
    events = []
    for gate, outcome in after.items():
        old = before[gate].status if gate in before else "not_run"
        title = gate.replace("_", " ")
        if outcome.status == "failed" and old == "passed":
            events.append(Event(f"gate failed that was passed: {title}. {outcome.reason}".rstrip(), "regression"))
        elif outcome.status == "passed" and old == "failed":
            events.append(Event(f"gate passed that was failed: {title}", "improvement"))
    return events


def _figure_events(pair: Pair) -> list[Event]:
    before, after = pair.base.figures(), pair.new.figures()
    gone, come = [n for n in before if n not in after], [n for n in after if n not in before]
    return [
        *([Event(f"figures that are no longer there: {', '.join(gone)}", "unchanged")] if gone else []),
        *([Event(f"new figures: {', '.join(come)}", "unchanged")] if come else []),
    ]
