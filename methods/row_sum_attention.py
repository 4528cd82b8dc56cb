"""Row-sum attention: effective attention whose rows sum to 1."""

from __future__ import annotations

from whybench.methods._solved_attention import SolvedAttention


class RowSumAttention(SolvedAttention):
    """Row-sum attention: each row of A by the least-norm x with x·V = a·V and the row sum 1.

    For a row a of a head's attention, restricted to the keys that it may attend to, and the head's values V:
    ``argmin ‖x‖² subject to xᵀV = aᵀV, xᵀ1 = 1``, the projection of a on the columns of [V, 1]. It can have negative
    entries: it stands between effective attention, which keeps neither the sum nor the sign, and efficient attention.

    Source: whybench's own variant of effective attention (Brunner et al. 2020, arXiv:1908.04211). Unsigned: a negative
    score comes of the projection and does not speak against the target; it ranks below 0.

    Every row that is read carries a certificate (relative residual of the head's output, row-sum error); an example
    with a row that misses its tolerance fails, and gets no score.
    """

    name, family, signed = "row_sum_attention", "attention", False
    negative = True
    note = "whybench's own variant of effective attention (Brunner et al. 2020, arXiv:1908.04211): its rows sum to 1."
    kind = "row_sum"
