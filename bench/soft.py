"""Soft removal (Zhao & Aletras 2023): elements of the word embeddings are dropped at random, by the scores.

Each element of a token's word embedding is kept with a probability, else it is 0. For the soft comprehensiveness that
probability is ``1 - ã``, for the soft sufficiency ``ã``, with ã the score of the token's unit, scaled to [0, 1] over
the example's units. Special tokens are kept. How many elements stay depends on the scores' distribution, whatever they
stand on: so the same is done with ã permuted over the tokens, a twin that keeps just as many, and its figures are to be
read beside. Both use the same random numbers, which are the example's and the same for all methods.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from whybench.bench.agreement import is_constant
from whybench.bench.curves import SOFT_DRAWS, Curves, Floats
from whybench.bench.metric import FaithfulnessMetric

ZHAO = "Zhao & Aletras 2023, Incorporating Attribution Importance for Improving Faithfulness Metrics, arXiv:2305.10496"
CONSTANT = "where the map is constant, and so cannot be scaled"


def scaled(scores: Floats) -> Floats | None:
    """ã: the scores ``[units]`` scaled so that the smallest is 0 and the largest 1; None where they are constant."""
    if is_constant(scores):
        return None
    # divided before the difference, which could leave the range of a float
    scores = scores / np.abs(scores).max()
    return np.asarray((scores - scores.min()) / (scores.max() - scores.min()))


def soft_drop(row: str, curves: Curves) -> float | None:
    """Mean over the draws of ``p(x) - p(x')``; None where the scores are constant.

    Args:
        row: What was kept in x', a name of `whybench.bench.curves.SOFT`.
        curves: The example.
    """
    if is_constant(curves.unit_scores()):
        return None
    return float(np.mean(curves.original - curves.soft(row)))


def _metric(name: str, title: str, what: str, row: str, higher_is_better: bool | None) -> FaithfulnessMetric:
    value: Callable[[Curves], float | None] = partial(soft_drop, row)
    return FaithfulnessMetric(
        name,
        title,
        f"mean of p(x) − p(x′) over {SOFT_DRAWS} draws, elements of word embeddings kept with {what}",
        ZHAO,
        higher_is_better,
        (-1.0, 1.0),
        lambda n: {"soft": range(SOFT_DRAWS)},
        value,
        group="Soft removal",
        default=False,
        undefined=CONSTANT,
    )


SOFT_METRICS = (
    _metric("soft_comprehensiveness", "Soft comprehensiveness", "probability 1 − ã", "removed", True),
    _metric(
        "soft_comprehensiveness_twin",
        "Soft comp. of the twin",
        "probability 1 − ã, ã permuted over the tokens",
        "removed_permuted",
        None,
    ),
    _metric("soft_sufficiency", "Soft sufficiency", "probability ã", "kept", False),
    _metric(
        "soft_sufficiency_twin",
        "Soft suff. of the twin",
        "probability ã, ã permuted over the tokens",
        "kept_permuted",
        None,
    ),
)
