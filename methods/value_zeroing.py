"""Value zeroing: how much a layer's output turns when one token's value vector is taken out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor
from torch.nn.functional import normalize

from whybench.methods._block_reading import ALL
from whybench.methods._blocks import Block, chunks
from whybench.methods._layer_maps import LayerMapMethod


class ValueZeroing(LayerMapMethod):
    """Cosine distance between a layer's output for token i with and without the value vector of token j.

    Token j's value vector is 0 in all heads of one layer, whose input, queries and keys stay: j says nothing more, and
    is attended to as before. The output is the whole layer's, feed-forward part included. Rows are divided by their
    sums, and layers multiplied without a residual connection of their own, since the layer holds it. It costs most of a
    forward pass per token of the text.

    Source: Mohebbi et al. 2023, "Quantifying Context Mixing in Transformers", EACL 2023, arXiv:2301.12971. Unsigned:
    distances are never negative.

    Attributes:
        aggregation: ``rollout``: the product of all layers' maps, read at the row that the classification head reads.
            ``readout``: that row of the last layer's map. ``mean``: all layers and all rows of real tokens averaged.
    """

    name, family, signed = "value_zeroing", "attention", False
    serves: ClassVar[Sequence[str]] = ALL
    # above 60 forward passes for a text of 100 tokens
    default: ClassVar[bool] = False

    def contributions(self, block: Block) -> Tensor:
        """The distances of one layer, ``[batch, queries, keys]``."""
        attended, projected = block.attended(), block.projections()
        usual = normalize(block.finish(attended), dim=-1)
        distances = block.weights.new_zeros(block.weights[:, 0].shape)
        for rows, keys in chunks(len(attended), attended.shape[1], block.width):
            alpha = block.weights[rows, :, :, keys].permute(0, 3, 2, 1)
            without = block.finish(attended[rows, None] - alpha @ projected[rows, keys])
            # half the squared distance of unit vectors is 1 − cos, without the rounding of a difference from 1
            turned = normalize(without, dim=-1) - usual[rows, None]
            distances[rows, :, keys] = turned.square().sum(dim=-1).mT / 2
        return distances
