"""All figures that a result may hold, whatever they are computed from, with what is needed to read them."""

from __future__ import annotations

from typing import Protocol

from whybench.bench.metrics import METRICS
from whybench.bench.recovery import RECOVERY


class Described(Protocol):
    """What every figure says about itself; see `whybench.bench.metrics.Metric`."""

    @property
    def name(self) -> str:
        """Name in results and on the command line."""

    @property
    def title(self) -> str:
        """Name on pages."""

    @property
    def formula(self) -> str:
        """The definition, one line."""

    @property
    def citation(self) -> str:
        """Where it comes from."""

    @property
    def higher_is_better(self) -> bool:
        """Its direction."""

    @property
    def range(self) -> tuple[float, float]:
        """Smallest and largest value that it can have."""


FIGURES: dict[str, Described] = {**METRICS, **RECOVERY}
