"""Efficient attention: of all distributions that give a head the same output, the one of least norm."""

from __future__ import annotations

from whybench.methods._output_preserving import Kind, Solution, solve
from whybench.methods._solved_attention import SolvedAttention

__all__ = ["EfficientAttention", "Kind", "Solution", "solve"]


class EfficientAttention(SolvedAttention):
    """Efficient attention (our reconstruction): each row of A by the least-norm distribution x with x·V = a·V.

    For a row a of a head's attention, restricted to the keys that it may attend to, and the head's values V:
    ``argmin ‖x‖² subject to xᵀV = aᵀV, xᵀ1 = 1, x ≥ 0``. It exists (a itself is feasible), is unique, is a probability
    distribution, and is a where the null space of [V, 1] is trivial, which it is up to d_v + 1 keys.

    Source: Naim & Asher, "On Explaining with Attention Matrices", ECAI 2024, arXiv:2410.18541. Only the paper's
    abstract and introduction were at hand, so this definition is whybench's reconstruction. Unsigned: weights are not
    negative.

    Every row that is read carries a certificate (relative residual of the head's output, row-sum error, duality gap);
    an example with a row that misses its tolerance fails, and gets no score.
    """

    name, family, signed = "efficient_attention", "attention", False
    note = (
        "whybench's reconstruction of Naim & Asher 2024 (arXiv:2410.18541), of which only the abstract and the "
        "introduction were at hand."
    )
    kind = "efficient"
