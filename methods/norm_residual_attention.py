"""Norm-based attention with the attention block's residual connection and layer normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from whybench.methods._block_reading import POST_NORM
from whybench.methods._blocks import Block, PostNormBlock
from whybench.methods._contribution_norms import residual_norms
from whybench.methods._layer_maps import LayerMapMethod


class NormResidualAttention(LayerMapMethod):
    """Norm of what one token contributes to another's output of the attention block, residual connection included.

    For query i and key j ``‖L_i(Σ_h α_ij^h f^h(x_j) + [i = j] x_i)‖`` with ``f^h(x) = (x W_V^h + b_V^h) W_O^h``.
    ``L_i(v) = γ ⊙ (v − mean v) / σ_i`` is the layer normalisation with the standard deviation that token i really has
    there; biases are no token's.

    Source: Kobayashi et al. 2021, "Incorporating Residual and Normalization Layers into Analysis of Masked Language
    Models", EMNLP 2021, arXiv:2109.07152. The paper looks at single layers. Unsigned: norms are never negative.

    Attributes:
        aggregation: ``rollout``: the product of all layers' maps, read at the row that the classification head reads.
            ``readout``: that row of the last layer's map. ``mean``: all layers and all rows of real tokens averaged.
    """

    name, family, signed = "norm_residual_attention", "attention", False
    serves: ClassVar[Sequence[str]] = POST_NORM
    stochastic: ClassVar[bool] = False

    def contributions(self, block: Block) -> Tensor:
        """The norms of one layer, ``[batch, queries, keys]``."""
        assert isinstance(block, PostNormBlock)
        return residual_norms(block, block.norm.centred, block.norm.scale(block.attended()))
