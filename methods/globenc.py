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
    """Norm of what one token contributes to another's output of the whole layer, multiplied over layers.

    For query i and key j ``‖L2_i(L1_i(Σ_h α_ij^h f^h(x_j) + [i = j] x_i))‖`` with
    ``f^h(x) = (x W_V^h + b_V^h) W_O^h``; L1 and L2 are the layer normalisations' linear parts, with the standard
    deviations that token i really has there. What the feed-forward part adds counts in the second standard deviation,
    and is otherwise left out, as in the paper. Maps are multiplied as they are, as in the authors' code.

    Source: Modarressi et al. 2022, "GlobEnc: Quantifying Global Token Attribution by Incorporating the Whole Encoder
    Layer in Transformers", NAACL 2022, arXiv:2205.03286. Unsigned: norms are never negative.

    Attributes:
        aggregation: ``rollout``: the product of all layers' maps, read at the row that the classification head reads.
            ``readout``: that row of the last layer's map. ``mean``: all layers and all rows of real tokens averaged.
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
