"""What every metric says about itself, whatever it is computed from."""

from __future__ import annotations

from dataclasses import dataclass


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


ERASER = "DeYoung et al. 2020, ERASER, arXiv:1911.03429"
