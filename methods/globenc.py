"""GlobEnc: norms of contributions through the whole encoder layer, multiplied over layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from whybench.methods._block_reading import POST_NORM
from whybench.methods._blocks import Block, PostNormBlock
from whybench.methods._contribution_norms import residual_norms
from whybench.methods._layer_maps import LayerMapMethod


class GlobEnc(LayerMapMethod):
    """Norm of what a token contributes to the layer's output, with both residual connections and layer normalisations.

    ``‖L2_i(L1_i(Σ_h α_ij^h f^h(x_j) + [i = j] x_i))‖``, f as in `NormAttention`, L1 and L2 the layer normalisations'
    linear parts with the standard deviations that token i really has there. What the feed-forward part adds counts in
    the second standard deviation, and is otherwise left out (the paper's N_ResOut).

    Source: Modarressi et al. 2022, "GlobEnc: Quantifying Global Token Attribution by Incorporating the Whole Encoder
    Layer in Transformers", NAACL 2022, arXiv:2205.03286. Unsigned: norms are never negative.

    Attributes:
        aggregation: See `LayerMapMethod`; the maps hold the residual connection, and are multiplied as they
            are, as in the authors' code for GlobEnc.
    """

    name, family, signed = "globenc", "attention", False
    serves: ClassVar[Sequence[str]] = POST_NORM
    stochastic: ClassVar[bool] = False

    def contributions(self, block: Block) -> Tensor:
        """The norms of one layer, ``[batch, queries, keys]``."""
        assert isinstance(block, PostNormBlock)
        first, last, attended = block.norm, block.last_norm, block.attended()
        scale = first.scale(attended) * last.scale(block.fed_forward(first(attended)))
        return residual_norms(block, lambda vectors: last.centred(first.centred(vectors)), scale)
