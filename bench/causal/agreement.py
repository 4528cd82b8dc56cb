"""Agreement of a method's scores with others' (Jain & Wallace 2019, arXiv:1902.10186): Kendall's τ-b."""

from __future__ import annotations

import numpy as np
from scipy.stats import kendalltau

from whybench.bench.curves import Floats


def tau(scores: Floats, others: Floats) -> float:
    """Kendall's τ-b of two score maps ``[units]``; 0 where one of them is constant, and so orders nothing."""
    if is_constant(scores) or is_constant(others):
        return 0.0
    # rounding alone can lead beyond either end
    return float(np.clip(kendalltau(scores, others, variant="b").statistic, -1.0, 1.0))


def is_constant(scores: Floats) -> bool:
    """Whether all scores are the same."""
    return bool((scores == scores[0]).all())
