"""Profiles: whose rules a score follows. ``whybench`` is the protocol; the others give another package's numbers.

Numbers of different profiles are never comparable: sizes, units, ties and the way to remove differ. Only ``whybench``
goes on the board; the others are for reading a published number, or for checking one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from whybench.bench.choices import OperatorName, UnitKind
from whybench.bench.curves import PERCENTS, Curves, Ints
from whybench.bench.errors import ParameterError, UnknownNameError
from whybench.bench.ferret import FERRET
from whybench.bench.ferret import METRICS as FERRET_METRICS
from whybench.bench.metric import ERASER, FaithfulnessMetric, Metric
from whybench.bench.metrics import METRICS, metrics_named


@dataclass(frozen=True)
class Profile:
    """Whose rules a score follows.

    Attributes:
        name: Its name.
        source: Where the rules are written down.
        metrics: The metrics that it has, each with its own sizes and its own mean.
        operator: The removal operator that it pins, or None: the caller's choice.
        unit: The unit that it pins, or None: the caller's choice.
    """

    name: str
    source: str
    metrics: Mapping[str, Metric]
    operator: OperatorName | None = None
    unit: UnitKind | None = None

    def chosen(self, names: Iterable[str] | None) -> list[Metric]:
        """The metrics of these names; for None all of the profile's, or those that ``whybench`` computes by default.

        Raises:
            ParameterError: The metric is another profile's.
            UnknownNameError: No profile has such a metric.
        """
        if self.metrics is METRICS and names is None:
            return list(metrics_named(None))
        chosen = list(self.metrics) if names is None else list(names)
        for name in chosen:
            elsewhere = [repr(other.name) for other in PROFILES.values() if name in other.metrics]
            if name not in self.metrics and elsewhere:
                raise ParameterError(
                    f"the profile {self.name!r} has no metric {name!r}; it has {', '.join(self.metrics)}. "
                    f"{name!r} is a metric of the profile {' and '.join(elsewhere)}."
                )
            if name not in self.metrics and self.metrics is not METRICS:
                raise UnknownNameError("metric", name, self.metrics)
        return list(metrics_named(chosen)) if self.metrics is METRICS else [self.metrics[name] for name in chosen]

    def settings(self, operator: str | None, unit: UnitKind | None) -> tuple[str | None, UnitKind]:
        """Operator and unit to use; words, where neither caller nor profile says.

        Raises:
            ParameterError: One was given that the profile pins.
        """
        for setting, given, pinned in (("operator", operator, self.operator), ("unit", unit, self.unit)):
            if given is not None and pinned is not None:
                raise ParameterError(
                    f"{setting} is {given!r}, but the profile {self.name!r} pins it to {pinned!r}. "
                    "Leave it out, or use the profile 'whybench'."
                )
        return operator or self.operator, unit or self.unit or "word"


def floors(n: int) -> Ints:
    """``⌊q·n⌋`` for q in Q = {.01, .05, .10, .20, .50}, in integers; with few units some are 0: an empty set."""
    return np.array([n * percent // 100 for percent in PERCENTS])


def _comprehensiveness(curves: Curves) -> float:
    return float(np.mean(curves.original - curves.removed(floors(curves.units))))


def _sufficiency(curves: Curves) -> float:
    return float(np.mean(curves.original - curves.kept(floors(curves.units))))


ERASER_METRICS: dict[str, FaithfulnessMetric] = {
    metric.name: metric
    for metric in (
        FaithfulnessMetric(
            "comprehensiveness",
            "Comprehensiveness (ERASER)",
            "mean over q of p(x) − p(R(x, top(⌊q·n⌋)))",
            ERASER,
            True,
            (-1.0, 1.0),
            lambda n: {"removed": floors(n).tolist()},
            _comprehensiveness,
        ),
        FaithfulnessMetric(
            "sufficiency",
            "Sufficiency (ERASER)",
            "mean over q of p(x) − p(R(x, all − top(⌊q·n⌋)))",
            ERASER,
            False,
            (-1.0, 1.0),
            lambda n: {"kept": floors(n).tolist()},
            _sufficiency,
        ),
    )
}

PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile("whybench", "docs/protocol.md", METRICS),
        Profile("eraser", ERASER, ERASER_METRICS, operator="delete"),
        Profile("ferret", FERRET, FERRET_METRICS, operator="delete", unit="token"),
    )
}


def profile_named(name: str) -> Profile:
    """The profile of that name; UnknownNameError where there is none."""
    if name not in PROFILES:
        raise UnknownNameError("profile", name, PROFILES)
    return PROFILES[name]
