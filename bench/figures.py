"""All metrics that a result may hold figures of."""

from __future__ import annotations

from whybench.bench.causal.metrics import CAUSAL
from whybench.bench.metric import Metric
from whybench.bench.metrics import METRICS
from whybench.bench.recovery import RECOVERY

FIGURES: dict[str, Metric] = {**METRICS, **RECOVERY, **CAUSAL}
