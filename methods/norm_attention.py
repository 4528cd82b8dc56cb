"""Norm-based attention: how long the vectors are that attention mixes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from whybench.methods._block_reading import ALL
from whybench.methods._blocks import Block
from whybench.methods._contribution_norms import summed_norms
from whybench.methods._layer_maps import Aggregation, LayerMapMethod


class NormAttention(LayerMapMethod):
    """Norm of the vector that attention carries from one token to another: of its weight and of what it weights.

    For query i and key j ``‖Σ_h α_ij^h f^h(x_j)‖`` with ``f^h(x) = (x W_V^h + b_V^h) W_O^h``; heads are added up before
    the norm is taken. A token with much attention and a short vector contributes little.

    Source: Kobayashi et al. 2020, "Attention is Not Only a Weight: Analyzing Transformers with Vector Norms", EMNLP
    2020, arXiv:2004.10102. The paper looks at single layers; the default row is the one that raw attention's is.
    Unsigned: norms are never negative.

    Attributes:
        aggregation: ``readout``: the row of the last layer's map that the classification head reads. ``mean``: all
            layers and all rows of real tokens averaged. ``rollout``: the product over layers of ½M + ½I, as that of
            attention is, read at the readout row. Rows are divided by their sums.
    """

    name, family, signed = "norm_attention", "attention", False
    serves: ClassVar[Sequence[str]] = ALL
    residual: ClassVar[bool] = False

    aggregation: Aggregation = "readout"

    def contributions(self, block: Block) -> Tensor:
        """The norms of one layer, ``[batch, queries, keys]``."""
        return summed_norms(block.weights, block.projections())
