"""One example's deletion and insertion curve, as the geometry of a very small drawing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

WIDTH, HEIGHT, EDGE = 120, 44, 2
_POINTS = np.linspace(0.0, 1.0, 21)


def sparkline(record: Mapping[str, Any], name: str) -> str:
    """Points of an SVG polyline: the probability against the share of units; empty where no curve is recorded.

    Args:
        record: A row of the per-example table.
        name: ``removed`` or ``kept``.
    """
    sizes, heights = record.get(f"{name}_k"), record.get(f"{name}_p")
    units = len(record["unit_scores"] or ())
    if not units or not sizes or not heights:
        return ""
    values = np.interp(_POINTS * units, sizes, heights, left=np.nan, right=np.nan)
    width, height = WIDTH - 2 * EDGE, HEIGHT - 2 * EDGE
    return " ".join(
        f"{EDGE + t * width:.1f},{EDGE + (1 - p) * height:.1f}"
        for t, p in zip(_POINTS, values, strict=True)
        if np.isfinite(p)
    )
