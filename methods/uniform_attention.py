"""Uniform attention, a control: every key counts the same."""

from __future__ import annotations

from whybench.bench.attention import AttentionRecord
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.matrices import Matrices
from whybench.methods._control import Control, real_rows


class UniformAttention(Control):
    """Uniform attention (a control): each row gives the same weight to every key that it may attend to.

    Where a model decides as before with it, its attention had nothing to say. Wiegreffe & Pinter train the model anew
    with uniform weights; here they are put into the model as it is, which was never trained for them, so that a change
    of its output says less than a loss after training would.

    Source: Wiegreffe & Pinter 2019, "Attention is not not Explanation", arXiv:1908.04626.
    """

    name, family, signed = "uniform_attention", "control", False

    def replaced(
        self, classifier: Classifier, batch: Batch, record: AttentionRecord, index: int
    ) -> tuple[Matrices, ...]:
        """One over the number of attendable keys, ``[batch, heads, queries, keys]`` per layer."""
        made = []
        for weights, allowed in zip(record.weights, record.allowed, strict=True):
            open_keys = (allowed & real_rows(batch)).to(weights.dtype)
            share = open_keys / open_keys.sum(dim=-1, keepdim=True).clamp_min(1)
            made.append(Matrices(share.expand_as(weights).contiguous()))
        return tuple(made)
