"""Figures of the causal suite (protocol version 1, attention matrices): one number per example each.

A is the model's attention, M the method's matrix in its place, V a head's values. TVD is ``½Σ|p − p'|``, JSD is in nats
(largest ln 2); both compare the model's probabilities before and after, or two attention rows where it says so.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from whybench.bench.metric import Metric

Group = Literal[
    "Errors", "Sufficiency", "Necessity", "Minimality", "Identifiability", "Erasure", "Agreement with others"
]

RECONSTRUCTION = "Naim & Asher 2024, arXiv:2410.18541, as reconstructed"
BRUNNER = "Brunner et al. 2020, On Identifiability in Transformers, arXiv:1908.04211"
JAIN = "Jain & Wallace 2019, Attention is not Explanation, arXiv:1902.10186"
WIEGREFFE = "Wiegreffe & Pinter 2019, Attention is not not Explanation, arXiv:1908.04626"
SERRANO = "Serrano & Smith 2019, Is Attention Interpretable?, arXiv:1906.03731"

INFINITE = math.inf
LN2 = math.log(2)


@dataclass(frozen=True)
class CausalMetric(Metric):
    """A figure of the causal suite.

    Attributes:
        group: What it tells about.
    """

    group: Group


def _metric(
    name: str,
    title: str,
    formula: str,
    citation: str,
    higher_is_better: bool | None,
    largest: float,
    group: Group,
) -> CausalMetric:
    return CausalMetric(name, title, formula, citation, higher_is_better, (0.0, largest), group)


CAUSAL: dict[str, CausalMetric] = {
    metric.name: metric
    for metric in (
        _metric(
            "distribution_error",
            "Distribution error",
            "the larger of max |row sum − 1| and of how far the smallest entry is below 0, over rows, heads and layers",
            RECONSTRUCTION,
            False,
            INFINITE,
            "Errors",
        ),
        _metric(
            "equivalence_error",
            "Equivalence error",
            "‖M·V − A·V‖ / ‖A·V‖ of a head, the largest over heads and layers",
            RECONSTRUCTION,
            False,
            INFINITE,
            "Errors",
        ),
        _metric(
            "replaced_tvd",
            "TVD, all replaced",
            "TVD of the probabilities with M in place of A in every head of every layer",
            RECONSTRUCTION,
            False,
            1.0,
            "Sufficiency",
        ),
        _metric(
            "replaced_jsd",
            "JSD, all replaced",
            "JSD of the probabilities with M in place of A in every head of every layer",
            RECONSTRUCTION,
            False,
            LN2,
            "Sufficiency",
        ),
        _metric(
            "replaced_logit_change",
            "Logit change",
            "max |Δlogit| with M in place of A in every head of every layer",
            RECONSTRUCTION,
            False,
            INFINITE,
            "Sufficiency",
        ),
        _metric(
            "replaced_agreement",
            "Same decision",
            "share of examples whose argmax stays with M in place of A in every head of every layer",
            WIEGREFFE,
            True,
            1.0,
            "Sufficiency",
        ),
        _metric(
            "replaced_accuracy",
            "Accuracy, replaced",
            "share of examples whose argmax with M in place of A everywhere is the gold label",
            WIEGREFFE,
            True,
            1.0,
            "Sufficiency",
        ),
        _metric(
            "layer_replaced_tvd",
            "TVD, one layer",
            "TVD with M in place of A in one layer, mean over the layers",
            RECONSTRUCTION,
            False,
            1.0,
            "Sufficiency",
        ),
        _metric(
            "head_replaced_tvd",
            "TVD, one head",
            "TVD with M in place of A in one head, mean over one seeded head of every layer",
            RECONSTRUCTION,
            False,
            1.0,
            "Sufficiency",
        ),
        _metric(
            "inside_tvd",
            "Moved inside",
            "TVD when M is moved inside the null space of [V, 1], its rows staying distributions",
            RECONSTRUCTION,
            False,
            1.0,
            "Necessity",
        ),
        _metric(
            "outside_tvd",
            "Moved across",
            "TVD when M is moved as far orthogonally to that null space, its rows staying distributions",
            RECONSTRUCTION,
            True,
            1.0,
            "Necessity",
        ),
        _metric(
            "inside_logit_change",
            "Logits, inside",
            "max |Δlogit| of the move inside the null space",
            RECONSTRUCTION,
            False,
            INFINITE,
            "Necessity",
        ),
        _metric(
            "outside_logit_change",
            "Logits, across",
            "max |Δlogit| of the move orthogonal to the null space; not dulled by a saturated softmax",
            RECONSTRUCTION,
            True,
            INFINITE,
            "Necessity",
        ),
        _metric(
            "moved_distance",
            "How far",
            "norm of these moves over ‖M‖, mean over the rows that were moved",
            RECONSTRUCTION,
            None,
            INFINITE,
            "Necessity",
        ),
        _metric(
            "moved_rows",
            "Rows moved",
            "share of rows that can be moved both ways; the others have no room in the null space, and stay",
            RECONSTRUCTION,
            None,
            1.0,
            "Necessity",
        ),
        _metric(
            "norm_ratio",
            "Norm",
            "‖M‖² / ‖A‖², mean over rows, heads and layers",
            RECONSTRUCTION,
            False,
            INFINITE,
            "Minimality",
        ),
        _metric(
            "support_ratio",
            "Effective support",
            "exp(entropy) of M's rows over that of A's, mean over rows, heads and layers",
            RECONSTRUCTION,
            None,
            INFINITE,
            "Minimality",
        ),
        _metric(
            "matrix_tvd",
            "Distance from A",
            "½Σ|m − a| of rows m of M and a of A, mean over rows, heads and layers",
            RECONSTRUCTION,
            None,
            INFINITE,
            "Minimality",
        ),
        _metric(
            "matrix_jsd",
            "JSD from A",
            "JSD of rows of M and A, mean over rows, heads and layers",
            JAIN,
            None,
            LN2,
            "Minimality",
        ),
        _metric(
            "flip_mass",
            "Mass to flip",
            "least mass of M's rows, largest weights first, whose zeroing everywhere flips the decision; 1 if none",
            SERRANO,
            False,
            1.0,
            "Minimality",
        ),
        _metric(
            "random_flip_mass",
            "Mass, random order",
            "the same with the weights zeroed in a random order",
            SERRANO,
            None,
            1.0,
            "Minimality",
        ),
        _metric(
            "null_dimension",
            "Null dimension",
            "attendable keys − rank [V, 1], mean over rows, heads and layers",
            BRUNNER,
            None,
            INFINITE,
            "Identifiability",
        ),
        _metric(
            "null_share",
            "Share unseen",
            "share of ‖A‖² in the null space of [V, 1], mean over rows, heads and layers",
            BRUNNER,
            None,
            1.0,
            "Identifiability",
        ),
        _metric(
            "top_erasure_jsd",
            "JSD, top erased",
            "JSD when the best-scored unit is cut out of all attention, rows renormalised",
            SERRANO,
            True,
            LN2,
            "Erasure",
        ),
        _metric(
            "random_erasure_jsd",
            "JSD, random erased",
            "the same for a random other unit",
            SERRANO,
            None,
            LN2,
            "Erasure",
        ),
        _metric(
            "top_erasure_flips",
            "Flips, top erased",
            "share of examples whose decision flips when the best-scored unit is cut out of all attention",
            SERRANO,
            True,
            1.0,
            "Erasure",
        ),
        _metric(
            "random_erasure_flips",
            "Flips, random erased",
            "the same for a random other unit",
            SERRANO,
            None,
            1.0,
            "Erasure",
        ),
        CausalMetric(
            "tau_gradient",
            "τ with gradient",
            "Kendall τ-b of the units' scores with those of the gradient's norm",
            JAIN,
            None,
            (-1.0, 1.0),
            "Agreement with others",
        ),
        CausalMetric(
            "tau_leave_one_out",
            "τ with leave-one-out",
            "Kendall τ-b of the units' scores with the drops p(x) − p(R(x, {i}))",
            JAIN,
            True,
            (-1.0, 1.0),
            "Agreement with others",
        ),
    )
}
