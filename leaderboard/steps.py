"""Every figure and cost of a row over its versions, with the steps that are no chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whybench.bench.paired import score_intervals, students_halves
from whybench.bench.schema import Cost, Figure
from whybench.bench.thresholds import Thresholds
from whybench.leaderboard.columns import matrix
from whybench.leaderboard.formatting import count, measured, measured_interval, memory, significant
from whybench.leaderboard.tables import COST, Column, figure_columns
from whybench.leaderboard.versions import Version

Verdict = Literal["better", "worse"]


@dataclass(frozen=True)
class Value:
    """A version's figure or cost.

    Attributes:
        text: The number as it is shown.
        value: The number, in the column's unit.
        low, high: Ends of the figure's interval; None for a cost.
        detail: The interval as text; empty for a cost.
    """

    text: str
    value: float
    low: float | None = None
    high: float | None = None
    detail: str = ""


@dataclass(frozen=True)
class Step:
    """A change that is no chance.

    Attributes:
        before, after: Places of the two versions: ``before`` is the last one that has the figure as well.
        verdict: Better or worse.
        text: The change, or the factor.
        detail: The change's interval, which holds for all changes that were tested together; empty for a count.
    """

    before: int
    after: int
    verdict: Verdict
    text: str
    detail: str = ""


@dataclass(frozen=True)
class Track:
    """A figure or cost over the versions.

    Attributes:
        column: Which one.
        values: One per version; None where it has none, and of times and memory where they do not compare.
        steps: What was found, the oldest first.
        tested: How many changes were looked at; 0 for times, of which one run each says too little.
    """

    column: Column
    values: tuple[Value | None, ...]
    steps: tuple[Step, ...] = ()
    tested: int = 0

    def step_to(self, place: int) -> Step | None:
        """The step that leads to a version."""
        return next((step for step in self.steps if step.after == place), None)


@dataclass(frozen=True)
class _CostTrack:
    column: Column
    value: Callable[[Cost], float]
    text: Callable[[float], str]
    # whether it compares only where the environment is the same
    local: bool = False


def _cost(key: str, title: str, help: str) -> Column:
    return Column(key, title, COST, "lower", help)


_COSTS = (
    _CostTrack(
        _cost("flops", "GFLOPs", "10⁹ floating-point operations per example, counted"),
        lambda cost: cost.flops / 1e9,
        significant,
    ),
    _CostTrack(
        _cost("forward_passes", "Forward passes", "inputs through the model per example, counted"),
        lambda cost: cost.forward_passes,
        count,
    ),
    _CostTrack(
        _cost("backward_passes", "Backward passes", "inputs with a gradient per example, counted"),
        lambda cost: cost.backward_passes,
        count,
    ),
    _CostTrack(
        _cost("forward_equivalents", "Forward equivalents", "time over that of a plain forward pass; one run each"),
        lambda cost: cost.forward_equivalents,
        lambda value: f"{significant(value)}×",
    ),
    _CostTrack(
        _cost("p50_ms", "ms per example", "median milliseconds per example, of versions in the last one's environment"),
        lambda cost: cost.p50_ms,
        significant,
        local=True,
    ),
    _CostTrack(
        _cost("peak_memory_bytes", "Peak memory", "bytes beyond the model, of versions in the last one's environment"),
        lambda cost: float(cost.peak_memory_bytes),
        lambda value: memory(round(value)),
        local=True,
    ),
)


def tracks_of(versions: Sequence[Version]) -> list[Track]:
    """All figures that have a better end, in the protocol's order, and all costs; no steps yet."""
    names = {name for version in versions for name in version.result.figures}
    evidence = next((version.result.evidence for version in reversed(versions) if version.result.evidence), None)
    tracks = []
    for column in figure_columns(sorted(names), evidence):
        if column.better is None:
            continue
        figures = [version.result.figures.get(column.key) for version in versions]
        values = tuple(None if figure is None else _figure(figure) for figure in figures)
        tracks.append(Track(column, values, tested=_pairs(values)))
    return tracks + [track for one in _COSTS if (track := _cost_track(one, versions)) is not None]


def _figure(figure: Figure) -> Value:
    detail = measured_interval(figure.low, figure.high)
    return Value(measured(figure.mean), figure.mean, figure.low, figure.high, detail)


def _pairs(values: Sequence[Value | None]) -> int:
    return max(0, sum(value is not None for value in values) - 1)


def _cost_track(cost: _CostTrack, versions: Sequence[Version]) -> Track | None:
    last = versions[-1].result.environment.conditions
    values: list[Value | None] = []
    for version in versions:
        known = version.result.cost
        if known is None or (cost.local and version.result.environment.conditions != last):
            values.append(None)
        else:
            value = cost.value(known)
            values.append(Value(cost.text(value), value))
    found = [value.value for value in values if value is not None]
    # no pass backwards in any version says nothing; a time of one version alone is no track
    if not any(found) or (cost.local and len(found) < 2):
        return None
    return Track(cost.column, tuple(values))


def with_steps(
    rows: Sequence[tuple[Sequence[Version], Sequence[Track]]], thresholds: Thresholds
) -> list[tuple[Track, ...]]:
    """The tracks of several rows with their steps; the intervals hold for all changes of all of them together."""
    tests = sum(track.tested for _, tracks in rows for track in tracks)
    found = []
    for versions, tracks in rows:
        scores = _score_steps(versions, [track for track in tracks if track.tested], thresholds, tests)
        counts = {
            track.column.key: _count_steps(versions, track, thresholds.counts[track.column.key])
            for track in tracks
            if track.column.key in thresholds.counts
        }
        steps = scores | counts
        found.append(tuple(replace(track, steps=tuple(steps.get(track.column.key, ()))) for track in tracks))
    return found


def _changes(track: Track) -> list[tuple[int, int]]:
    """Places of a version and of the last one before it, of those that have the figure."""
    return list(pairwise(place for place, value in enumerate(track.values) if value is not None))


def _score_steps(
    versions: Sequence[Version], tracks: Sequence[Track], thresholds: Thresholds, tests: int
) -> dict[str, list[Step]]:
    found: dict[str, list[Step]] = {}
    # what is large enough, and not ruled out without resamples, by version and number of examples
    left: dict[tuple[int, int, int], list[tuple[Column, NDArray[np.float64]]]] = {}
    for track in tracks:
        for before, after in _changes(track):
            values = matrix((versions[before].stored, versions[after].stored), track.column.key)
            changes = (values[:, 1] - values[:, 0])[~np.isnan(values).any(axis=1)]
            # a change of just the threshold must not hang on how its difference was rounded
            least = thresholds.scores[track.column.key] * (1 - 1e-9)
            if len(changes) < 2 or (size := abs(changes.mean())) < least:
                continue
            if size > students_halves(changes[:, None], tests)[0]:
                left.setdefault((before, after, len(changes)), []).append((track.column, changes))
    for (before, after, _), tested in sorted(left.items(), key=lambda item: item[0][1]):
        means, halves = score_intervals(np.column_stack([changes for _, changes in tested]), tests)
        for (column, _), mean, half in zip(tested, means.tolist(), halves.tolist(), strict=True):
            if abs(mean) > half:
                verdict: Verdict = "better" if (mean > 0) == (column.better == "higher") else "worse"
                text = f"{'+' if mean > 0 else ''}{measured(mean)}"
                step = Step(before, after, verdict, text, measured_interval(mean - half, mean + half))
                found.setdefault(column.key, []).append(step)
    return found


def _count_steps(versions: Sequence[Version], track: Track, least: float) -> list[Step]:
    """The steps of an exact count, which has no noise: the factor is enough."""
    found = []
    for before, after in _changes(track):
        old, new = track.values[before], track.values[after]
        if old is None or new is None or _counted(versions[before]) != _counted(versions[after]):
            continue
        if old.value and new.value:
            factor = new.value / old.value
            large = max(factor, 1 / factor) >= least * (1 - 1e-9)
            text = f"× {significant(factor)}"
        else:
            large, text = old.value != new.value, f"{old.text} → {new.text}"
        if large:
            found.append(Step(before, after, "better" if new.value < old.value else "worse", text))
    return found


def _counted(version: Version) -> tuple[int, int] | None:
    """On how many examples the passes were counted: counts of others do not compare."""
    cost = version.result.cost
    return None if cost is None else (cost.examples, cost.counted_examples)
