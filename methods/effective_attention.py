"""Effective attention: the part of each row that the head's output can see."""

from __future__ import annotations

from whybench.methods._solved_attention import SolvedAttention


class EffectiveAttention(SolvedAttention):
    """Effective attention: each row of A without its part in the null space of V, the least-norm x with x·V = a·V.

    For a row a of a head's attention, restricted to the keys that it may attend to, and the head's values V:
    ``argmin ‖x‖² subject to xᵀV = aᵀV``, the projection of a on the columns of V. It need not sum to 1, and can have
    negative entries.

    Source: Brunner et al. 2020, "On Identifiability in Transformers", arXiv:1908.04211. Unsigned: a negative score
    comes of the projection and does not speak against the target; it ranks below 0.

    Every row that is read carries a certificate (relative residual of the head's output); an example with a row that
    misses its tolerance fails, and gets no score. ``row_sum_error`` says how far its rows are from distributions.
    """

    name, family, signed = "effective_attention", "attention", False
    negative = True
    kind = "effective"
