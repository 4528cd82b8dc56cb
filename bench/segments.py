"""A text cut at its units' spans, for whoever draws it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Stretch:
    """Some characters that stand together.

    Attributes:
        text: The characters.
        unit: Number of the unit that they belong to; None between units.
    """

    text: str
    unit: int | None


def stretches(text: str, units: Iterable[tuple[int, int, int]]) -> list[Stretch]:
    """Cut a text at its units, every character once and in order.

    Spans may be empty or overlap, as tokenizers give them: four byte tokens may all stand for one emoji. A character
    belongs to the first unit that holds it, and a unit without a character of its own has no stretch.

    Args:
        text: The text.
        units: Per unit the start and the end of its characters, and its number.
    """
    found: list[Stretch] = []
    at = 0
    for start, end, unit in sorted(units):
        if start > at:
            found.append(Stretch(text[at:start], None))
            at = start
        if end > at:
            found.append(Stretch(text[at:end], unit))
            at = end
    found.append(Stretch(text[at:], None))
    return [stretch for stretch in found if stretch.text]
