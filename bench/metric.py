"""What every metric says about itself, and what one of faithfulness needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from whybench.bench.curves import Curves, Field

Group = Literal["Faithfulness", "Normalised", "Scores and drops", "Soft removal"]

ERASER = "DeYoung et al. 2020, ERASER, arXiv:1911.03429"


@dataclass(frozen=True)
class Metric:
    """A number per example, with what is needed to read it.

    Attributes:
        name: Name in results, tables and on the command line.
        title: Name on pages.
        formula: The definition, one line.
        citation: Where it comes from.
        higher_is_better: Its direction; None for a figure that describes, with neither end the better one.
        range: Smallest and largest value that it can have.
    """

    name: str
    title: str
    formula: str
    citation: str
    higher_is_better: bool | None
    range: tuple[float, float]


@dataclass(frozen=True)
class FaithfulnessMetric(Metric):
    """A metric of what the engine recorded of one example.

    Attributes:
        needs: Given n, the points that each part of the `Curves` must have.
        value: The number of one example; None where it is undefined.
        group: What it tells about.
        default: Whether it is computed where no metric is named.
        undefined: When an example has no such number; such examples are left out of the mean and counted.
    """

    needs: Callable[[int], dict[Field, Iterable[int]]]
    value: Callable[[Curves], float | None]
    group: Group = "Faithfulness"
    default: bool = True
    undefined: str = ""
