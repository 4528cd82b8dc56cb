"""The Pareto front of cost and merit, and where names stand beside crowded points."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import groupby

# distances from a point's centre at which its number may stand, and the directions, right and above first
_DISTANCES = (10.0, 15.0, 21.0, 28.0, 36.0, 46.0, 58.0, 72.0)
_DIRECTIONS = tuple(math.radians(angle) for angle in (-35, 35, -145, 145, -90, 90, 0, 180, -65, 65, -115, 115))

# left, top, right, bottom
Area = tuple[float, float, float, float]


def front(costs: Sequence[float], merits: Sequence[float]) -> list[bool]:
    """Which points no other one dominates: costs no more and is no worse, and better in at least one of the two.

    Args:
        costs: Cost of each, the lower the better.
        merits: Merit of each, the higher the better.

    Returns:
        Per point whether it is on the front; of points that are the same in both, all or none are.
    """
    order = sorted(range(len(costs)), key=lambda i: costs[i])
    kept = [False] * len(costs)
    best = -math.inf
    for _, group in groupby(order, key=lambda i: costs[i]):
        same = list(group)
        most = max(merits[i] for i in same)
        if most > best:
            best = most
            for i in same:
                kept[i] = merits[i] == most
    return kept


def beside(
    points: Sequence[tuple[float, float]],
    widths: Sequence[float],
    height: float,
    box: Area,
    dot: float,
    covered: Sequence[Area] = (),
) -> list[tuple[float, float] | None]:
    """Places of labels beside their points, so that none covers another label or another point.

    The nearest free place is taken, the earlier points first.

    Args:
        points: Centres ``(x, y)``.
        widths: Width of each label.
        height: Height of all labels.
        box: Left, top, right and bottom end of what may be written on.
        dot: Radius of the points.
        covered: What must not be written on either.

    Returns:
        The labels' centres; None for a label that has no free place.
    """
    dots = [(x - dot, y - dot, x + dot, y + dot) for x, y in points]
    taken: list[Area] = []
    found: list[tuple[float, float] | None] = []
    for (x, y), width in zip(points, widths, strict=True):
        places = (
            # a wide label is moved aside by its own width as well
            (x + (distance + width / 2 - height / 2) * math.cos(angle), y + distance * math.sin(angle))
            for distance in _DISTANCES
            for angle in _DIRECTIONS
        )
        free = (place for place in places if _is_free(_area(*place, width, height), box, (*dots, *covered, *taken)))
        place = next(free, None)
        found.append(place)
        if place is not None:
            taken.append(_area(*place, width, height))
    return found


def _area(x: float, y: float, width: float, height: float) -> Area:
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _is_free(area: Area, box: Area, others: Iterable[Area]) -> bool:
    within = area[0] >= box[0] and area[1] >= box[1] and area[2] <= box[2] and area[3] <= box[3]
    return within and not any(
        min(area[2], other[2]) > max(area[0], other[0]) and min(area[3], other[3]) > max(area[1], other[1])
        for other in others
    )
