"""The faithfulness metrics as ``evaluate.Metric`` objects, for use beside any other metric of that library.

Importing this module imports evaluate, which takes seconds: nothing else in whybench does.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np

from whybench.bench.curves import Field
from whybench.bench.examples_table import curves_from
from whybench.bench.metric import FaithfulnessMetric
from whybench.bench.metrics import METRICS, PROTOCOL_VERSION, metrics_named

FEATURES: dict[str, Any] = {
    "units": datasets.Value("int64"),
    "removed_k": datasets.Sequence(datasets.Value("int64")),
    "removed_p": datasets.Sequence(datasets.Value("float64")),
    "removed_flipped": datasets.Sequence(datasets.Value("bool")),
    "kept_k": datasets.Sequence(datasets.Value("int64")),
    "kept_p": datasets.Sequence(datasets.Value("float64")),
}
"""Columns that every metric takes."""

_SCORES = {"unit_scores": datasets.Sequence(datasets.Value("float64"))}
MORE_FEATURES: dict[Field, dict[str, Any]] = {
    "single": {**_SCORES, "single_p": datasets.Sequence(datasets.Value("float64"))},
    "drawn": {
        **_SCORES,
        "drawn_units": datasets.Sequence(datasets.Value("bool")),
        "drawn_p": datasets.Sequence(datasets.Value("float64")),
    },
    "soft": {**_SCORES, "soft_p": datasets.Sequence(datasets.Value("float64"))},
}
"""Columns that a metric takes besides, by the part of the curves that it needs."""

ROWS = "one entry per example; they are columns of a result's examples.parquet"
MEANING = {
    "units": "(int): number n of units of the example.",
    "removed_k": "(list of int): sizes k, ascending, 0 first.",
    "removed_p": "(list of float): probability of the target with the k best-ranked units removed.",
    "removed_flipped": "(list of bool): whether the argmax is then not the target any more.",
    "kept_k": "(list of int): sizes k, ascending.",
    "kept_p": "(list of float): probability of the target with only the k best-ranked units left.",
    "unit_scores": "(list of float): the score of each unit.",
    "single_p": "(list of float): probability of the target with each unit removed alone.",
    "drawn_units": "(list of bool): for each random subset, whether each unit is in it, subset by subset.",
    "drawn_p": "(list of float): probability of the target with each subset removed.",
    "soft_p": "(list of float): probability of the target on each softly removed input, row by row.",
}


def features_of(metric: FaithfulnessMetric) -> dict[str, Any]:
    """The columns that a metric takes."""
    return FEATURES | {name: kind for part in metric.needs(1) for name, kind in MORE_FEATURES.get(part, {}).items()}


class EvaluateMetric(evaluate.Metric):  # type: ignore[misc]
    """One metric of `whybench.bench.metrics`; made by `load_metric`.

    Args:
        config_name: Name of the metric.
        options: Passed to ``evaluate.Metric``.
    """

    def __init__(self, config_name: str, **options: Any) -> None:
        self.metric: FaithfulnessMetric = metrics_named([config_name])[0]
        super().__init__(config_name=config_name, **options)
        self._module_info.module_name = config_name

    @property
    def higher_is_better(self) -> bool | None:
        """The metric's direction."""
        return self.metric.higher_is_better

    def _info(self) -> evaluate.MetricInfo:
        metric = self.metric
        better = {True: "higher is better", False: "lower is better", None: "neither end is better"}
        direction = better[metric.higher_is_better]
        features = features_of(metric)
        columns = "\n".join(f"    {name} {MEANING[name]}" for name in features)
        low, high = metric.range
        returns = f"    {metric.name}: the mean over the examples, {direction}, between {low} and {high}."
        if metric.undefined:
            returns += f"\n    {metric.name}_undefined: how many were left out of it: those {metric.undefined}."
        return evaluate.MetricInfo(
            description=f"{metric.title} (whybench protocol version {PROTOCOL_VERSION}): {metric.formula}. "
            f"{direction.capitalize()}.",
            citation=metric.citation,
            inputs_description=f"\nArgs ({ROWS}):\n{columns}\nReturns:\n{returns}\n",
            features=datasets.Features(features),
        )

    def _compute(self, **inputs: Any) -> dict[str, float | int | None]:
        metric, names = self.metric, features_of(self.metric)
        rows = [dict(zip(names, row, strict=True)) for row in zip(*(inputs[name] for name in names), strict=True)]
        values = [metric.value(curves_from(row, int(row["units"]))) for row in rows]
        known = [value for value in values if value is not None]
        # a mean of nothing is no number
        answer: dict[str, float | int | None] = {metric.name: float(np.mean(known)) if known else None}
        return answer | ({f"{metric.name}_undefined": len(values) - len(known)} if metric.undefined else {})


def load_metric(name: str, **options: Any) -> EvaluateMetric:
    """A metric for ``evaluate``, without network: ``evaluate.combine([load_metric(n) for n in …])`` works.

    Args:
        name: One of `whybench.bench.metrics.METRICS`.
        options: Passed to ``evaluate.Metric``; by default inputs stay in memory.

    Raises:
        UnknownNameError: There is no such metric.
    """
    return EvaluateMetric(name, **{"keep_in_memory": True, **options})


__all__ = ["FEATURES", "METRICS", "EvaluateMetric", "load_metric"]
