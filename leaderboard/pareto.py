"""The Pareto front of cost and merit, and where numbers stand beside crowded points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

# distances from a point's centre at which its number may stand, and the directions, right and above first
_DISTANCES = (10.0, 15.0, 21.0, 28.0, 36.0, 46.0, 58.0, 72.0)
_DIRECTIONS = tuple(math.radians(angle) for angle in (-35, 35, -145, 145, -90, 90, 0, 180, -65, 65, -115, 115))


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


def stairs(points: Sequence[tuple[float, float]]) -> str:
    """The front as an SVG path of steps through its points ``(x, y)``: what it holds is reached from each on."""
    ordered = sorted(set(points))
    if not ordered:
        return ""
    (x, y), *others = ordered
    return f"M{x:.1f} {y:.1f}" + "".join(f"H{a:.1f}V{b:.1f}" for a, b in others)


def beside(
    points: Sequence[tuple[float, float]],
    widths: Sequence[float],
    height: float,
    box: tuple[float, float, float, float],
    dot: float,
) -> list[tuple[float, float]]:
    """Places of labels beside their points, so that none covers another label or another point.

    The nearest free place is taken, the earlier points first. A label without any is put where it covers least.

    Args:
        points: Centres ``(x, y)``.
        widths: Width of each label.
        height: Height of all labels.
        box: Left, top, right and bottom end of what may be written on.
        dot: Radius of the points.

    Returns:
        The labels' centres.
    """
    dots = [(x - dot, y - dot, x + dot, y + dot) for x, y in points]
    taken: list[tuple[float, float, float, float]] = []
    found = []
    for (x, y), width in zip(points, widths, strict=True):
        least = (math.inf, (x, y))
        for distance in _DISTANCES:
            for angle in _DIRECTIONS:
                # a wide label is moved aside by its own width as well
                a = x + (distance + width / 2 - height / 2) * math.cos(angle)
                b = y + distance * math.sin(angle)
                area = _area(a, b, width, height)
                outside = area[0] < box[0] or area[1] < box[1] or area[2] > box[2] or area[3] > box[3]
                covered = math.inf if outside else sum(_shared(area, other) for other in (*dots, *taken))
                if covered < least[0]:
                    least = (covered, (a, b))
                if covered == 0:
                    break
            if least[0] == 0:
                break
        found.append(least[1])
        taken.append(_area(*least[1], width, height))
    return found


def _area(x: float, y: float, width: float, height: float) -> tuple[float, float, float, float]:
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def _shared(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> float:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return width * height if width > 0 and height > 0 else 0.0
