"""The faithfulness metrics as ``evaluate.Metric`` objects, for use beside any other metric of that library.

Importing this module imports evaluate, which takes seconds: nothing else in whybench does.
"""

from __future__ import annotations

from typing import Any

import datasets
import evaluate
import numpy as np

from whybench.bench.curves import Curves
from whybench.bench.metrics import METRICS, PROTOCOL_VERSION, FaithfulnessMetric, metrics_named

FEATURES: dict[str, Any] = {
    "units": datasets.Value("int64"),
    "removed_k": datasets.Sequence(datasets.Value("int64")),
    "removed_p": datasets.Sequence(datasets.Value("float64")),
    "removed_flipped": datasets.Sequence(datasets.Value("bool")),
    "kept_k": datasets.Sequence(datasets.Value("int64")),
    "kept_p": datasets.Sequence(datasets.Value("float64")),
}

INPUTS = """
Args (one entry per example; they are the columns of a result's examples.parquet):
    units (int): number n of units of the example.
    removed_k (list of int): sizes k, ascending, 0 first.
    removed_p (list of float): probability of the target with the k best-ranked units removed.
    removed_flipped (list of bool): whether the argmax is then not the target any more.
    kept_k (list of int): sizes k, ascending.
    kept_p (list of float): probability of the target with only the k best-ranked units left.
Returns:
    {name}: the mean over the examples, {direction} is better, between {low} and {high}.
"""


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
        direction = "higher" if metric.higher_is_better else "lower"
        return evaluate.MetricInfo(
            description=f"{metric.title} (whybench protocol version {PROTOCOL_VERSION}): {metric.formula}. "
            f"{direction.capitalize()} is better.",
            citation=metric.citation,
            inputs_description=INPUTS.format(
                name=metric.name, direction=direction, low=metric.range[0], high=metric.range[1]
            ),
            features=datasets.Features(FEATURES),
        )

    def _compute(self, **inputs: Any) -> dict[str, float]:
        columns = [inputs[name] for name in FEATURES]
        values = [self.metric.value(_curves(*row)) for row in zip(*columns, strict=True)]
        return {self.metric.name: float(np.mean(values))}


def _curves(units: int, removed_k: Any, removed_p: Any, flipped: Any, kept_k: Any, kept_p: Any) -> Curves:
    return Curves(
        units=int(units),
        removed_k=np.asarray(removed_k, dtype=np.int64),
        removed_p=np.asarray(removed_p, dtype=np.float64),
        removed_flipped=np.asarray(flipped, dtype=bool),
        kept_k=np.asarray(kept_k, dtype=np.int64),
        kept_p=np.asarray(kept_p, dtype=np.float64),
    )


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
