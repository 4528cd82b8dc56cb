"""The Pareto front of cost and merit, and where names stand beside crowded points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

# distances from a point's centre at which its name may stand, and the directions, right and above first
_DISTANCES = np.array([10.0, 15.0, 21.0, 28.0, 36.0, 46.0, 58.0, 72.0])[:, None]
_DIRECTIONS = np.radians([-35, 35, -145, 145, -90, 90, 0, 180, -65, 65, -115, 115])

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
    taken: list[Area] = [*((x - dot, y - dot, x + dot, y + dot) for x, y in points), *covered]
    found: list[tuple[float, float] | None] = []
    for (x, y), width in zip(points, widths, strict=True):
        # a wide label is moved aside by its own width as well
        across = (x + (_DISTANCES + width / 2 - height / 2) * np.cos(_DIRECTIONS)).ravel()
        upright = (y + _DISTANCES * np.sin(_DIRECTIONS)).ravel()
        half = width / 2, height / 2
        areas = np.stack((across - half[0], upright - half[1], across + half[0], upright + half[1]), axis=1)
        free = np.flatnonzero(_are_free(areas, box, np.array(taken)))
        if not len(free):
            found.append(None)
            continue
        place = free[0]
        found.append((float(across[place]), float(upright[place])))
        left, top, right, bottom = areas[place].tolist()
        taken.append((left, top, right, bottom))
    return found


def _are_free(areas: NDArray[np.float64], box: Area, others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which areas lie within the box and cover none of the others, ``[areas]``."""
    left, top, right, bottom = areas.T
    within = (left >= box[0]) & (top >= box[1]) & (right <= box[2]) & (bottom <= box[3])
    apart = (areas[:, None, 2:] <= others[:, :2]) | (areas[:, None, :2] >= others[:, 2:])
    return np.asarray(within & np.all(np.any(apart, axis=2), axis=1))
