"""Agreement of a method's scores with what the model does, unit by unit and subset by subset.

The drops ``p(x) - p(R(x, K))`` that the scores are compared with are the engine's, answered once for all methods: equal
inputs have equal drops to the last bit, so that ties among them are exact.
"""

from __future__ import annotations

import numpy as np

from whybench.bench.causal.chance import generator
from whybench.bench.curves import SUBSETS, Bools, Curves, Floats
from whybench.bench.metric import FaithfulnessMetric

JAIN = "Jain & Wallace 2019, Attention is not Explanation, arXiv:1902.10186"
YEH = "Yeh et al. 2019, On the (In)fidelity and Sensitivity of Explanations, arXiv:1901.09392, normalised"


def tau(scores: Floats, others: Floats) -> float:
    """Kendall's τ-b of two score maps ``[units]``; 0 where one of them is constant, and so orders nothing."""
    from scipy.stats import kendalltau

    if is_constant(scores) or is_constant(others):
        return 0.0
    # rounding alone can lead beyond either end
    return float(np.clip(kendalltau(scores, others, variant="b").statistic, -1.0, 1.0))


def is_constant(scores: Floats) -> bool:
    """Whether all scores are the same."""
    return bool((scores == scores[0]).all())


def subsets(n: int, seed: int, example_id: str) -> Bools:
    """The random subsets of an example's n units, ``[SUBSETS, n]``: the same for every method.

    Each has a size drawn uniformly from 1 to n, and is drawn uniformly among the subsets of that size.
    """
    chance = generator(seed, example_id, "subsets")
    sizes = chance.integers(1, n, size=(SUBSETS, 1), endpoint=True)
    chosen: Bools = chance.permuted(np.tile(np.arange(n), (SUBSETS, 1)), axis=1) < sizes
    return chosen


def loo_agreement(curves: Curves) -> float:
    """Kendall's τ-b of the scores with the drops ``p(x) - p(R(x, {i}))``; 0 for a constant map. Higher is better."""
    return tau(curves.unit_scores(), curves.single_drops())


def infidelity(curves: Curves) -> float | None:
    """What the scores' sums over random subsets leave unexplained of the drops, in [0, 1]. Lower is better.

    ``mean (β·Σ_{i∈K} a_i - d_K)² / mean d_K²`` over the subsets K, with ``d_K = p(x) - p(R(x, K))`` and β the
    least-squares scale over the same subsets: 0 where the sums are proportional to the drops, 1 where they say nothing
    of them. β may be negative, so that a map and its negative have the same infidelity.

    Returns:
        None where all drops are 0.
    """
    units, drops = curves.drawn_drops()
    # neither scale matters; taken out, so that no square leaves the range of a float
    largest = np.abs(drops).max()
    if largest == 0:
        return None
    drops = drops / largest
    sums = units @ (curves.unit_scores() / (np.abs(curves.unit_scores()).max() or 1.0))
    power = float(sums @ sums)
    scale = float(sums @ drops) / power if power > 0 else 0.0
    left = float(np.mean((scale * sums - drops) ** 2) / np.mean(drops**2))
    # never above 1 but for rounding, as β = 0 gives 1
    return min(left, 1.0)


AGREEMENT_METRICS = (
    FaithfulnessMetric(
        "loo_agreement",
        "LOO agreement",
        "Kendall τ-b of the scores with the drops p(x) − p(R(x, {i})); 0 where the map is constant",
        JAIN,
        True,
        (-1.0, 1.0),
        lambda n: {"single": range(n)},
        loo_agreement,
        group="Scores and drops",
    ),
    FaithfulnessMetric(
        "infidelity",
        "Infidelity",
        f"mean of (β·Σ a_i − (p(x) − p(R(x, K))))² over that of (p(x) − p(R(x, K)))², {SUBSETS} random K, "
        "β by least squares",
        YEH,
        False,
        (0.0, 1.0),
        lambda n: {"drawn": range(SUBSETS)},
        infidelity,
        group="Scores and drops",
        default=False,
        undefined="where no subset's removal changes the probability",
    ),
)
