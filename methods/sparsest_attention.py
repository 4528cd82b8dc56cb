"""Sparsest attention: a distribution with few weights that gives a head the same output."""

from __future__ import annotations

from whybench.methods._solved_attention import SolvedAttention


class SparsestAttention(SolvedAttention):
    """Sparsest attention (our reading): each row of A by a distribution x with x·V = a·V and few non-zero weights.

    For a row a of a head's attention, restricted to the keys that it may attend to, and the head's values V: a basic
    feasible solution of ``xᵀV = aᵀV, xᵀ1 = 1, x ≥ 0``, which has at most as many weights as the rank of [V, 1]. It is
    a function of the head's output, a probability distribution, and a where the null space of [V, 1] is trivial.

    Source: an alternative reading of "minimal" in Naim & Asher, "On Explaining with Attention Matrices", ECAI 2024,
    arXiv:2410.18541, of which only the abstract and the introduction were at hand; the definition is whybench's own.
    Unsigned: weights are not negative.

    Every row that is read carries a certificate (relative residual of the head's output, row-sum error); an example
    with a row that misses its tolerance fails, and gets no score.
    """

    name, family, signed = "sparsest_attention", "attention", False
    note = (
        "whybench's own alternative to its reconstruction of Naim & Asher 2024 (arXiv:2410.18541): few weights in "
        "place of a small norm."
    )
    kind = "sparsest"
