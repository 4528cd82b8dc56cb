"""ALTI: how near each token's contribution comes to the attention block's output, multiplied over layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from whybench.methods._block_reading import POST_NORM
from whybench.methods._blocks import Block, PostNormBlock, chunks
from whybench.methods._layer_maps import LayerMapMethod


class Alti(LayerMapMethod):
    """Aggregation of layer-wise token-to-token interactions: how near a contribution comes to what it contributes to.

    For query i and key j ``c_ij = max(0, ‖y_i‖₁ − ‖y_i − T_i(x_j)‖₁)``. y_i is the attention block's output behind its
    layer normalisation, and T_i(x_j) what token j contributes to it: ``L_i(Σ_h α_ij^h f^h(x_j) + [i = j] x_i)`` with
    ``f^h(x) = (x W_V^h + b_V^h) W_O^h`` and L_i the normalisation's linear part. A long contribution that others cancel
    out does not count. Rows are divided by their sums, and layers multiplied.

    Source: Ferrando, Gállego & Costa-jussà 2022, "Measuring the Mixing of Contextual Information in the Transformer",
    EMNLP 2022, arXiv:2203.04212. Unsigned: contributions are never negative.

    Attributes:
        aggregation: ``rollout``: the product of all layers' maps, read at the row that the classification head reads.
            ``readout``: that row of the last layer's map. ``mean``: all layers and all rows of real tokens averaged.
    """

    name, family, signed = "alti", "attention", False
    serves: ClassVar[Sequence[str]] = POST_NORM

    def contributions(self, block: Block) -> Tensor:
        """The contributions of one layer, ``[batch, queries, keys]``."""
        assert isinstance(block, PostNormBlock)
        attended, projected = block.attended(), block.norm.centred(block.projections())
        scale, outputs = block.norm.scale(attended), block.norm(attended)
        # also on padding's rows, where there is no output either
        outputs = outputs * block.weights.any(dim=-1).any(dim=1)[:, :, None]
        own = block.norm.centred(block.inputs) * scale
        nearness = block.weights.new_zeros(block.weights[:, 0].shape)
        for rows, keys in chunks(*outputs.shape):
            alpha = block.weights[rows, :, :, keys].permute(0, 3, 2, 1)
            vectors = (alpha @ projected[rows, keys]) * scale[rows, None]
            vectors[:, torch.arange(vectors.shape[1]), torch.arange(outputs.shape[1])[keys]] += own[rows, keys]
            distances = (outputs[rows, None] - vectors).abs().sum(dim=-1)
            nearness[rows, :, keys] = (outputs[rows, None].abs().sum(dim=-1) - distances).mT
        return nearness.clamp_min(0)
