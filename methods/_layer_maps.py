"""Methods that give each layer a map of which token contributes how much to which, and what is made of the maps."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, Literal

import torch
from torch import Tensor

from whybench.bench.attention import check_attention
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import ParameterError
from whybench.bench.method import Method
from whybench.methods._block_reading import blocks
from whybench.methods._blocks import Block

Aggregation = Literal["rollout", "readout", "mean"]


class LayerMapMethod(Method):
    """A method that makes a map of every layer from what stands in it and behind its attention.

    Each example's scores add up to 1.

    Attributes:
        aggregation: ``rollout``: the product of all layers' maps, read at the row that the classification head reads
            (Abnar & Zuidema 2020, arXiv:2005.00928). ``readout``: that row of the last layer's map. ``mean``: all rows
            of real tokens and all layers averaged.
        residual: Whether the maps hold the residual connection; a rollout of others takes ½M + ½I.
        stochastic: Whether each row is divided by its sum before layers are put together; a row of zeros, into which
            nothing flows, is then its own token's. Without, a row counts the more the longer its vectors are.
    """

    aggregation: Aggregation = "rollout"

    residual: ClassVar[bool] = True
    stochastic: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.aggregation not in ("rollout", "readout", "mean"):
            raise ParameterError(f"aggregation is {self.aggregation!r}; it must be 'rollout', 'readout' or 'mean'.")

    @property
    def label_specific(self) -> bool:
        """The maps are of the text, whatever the label."""
        return False

    @abstractmethod
    def contributions(self, block: Block) -> Tensor:
        """How much each token contributes to each, ``[batch, queries, keys]``, not negative, 0 on padding's rows."""

    def maps(self, classifier: Classifier, batch: Batch) -> Iterator[Tensor]:
        """The contributions of every layer, from the first to the last: ``[batch, queries, keys]``, float64.

        Raises:
            UnsupportedArchitectureError: The model's attention cannot be read, or the method does not know the weights
                behind it.
        """
        check_attention(classifier.model)
        self.require_served(classifier)
        with torch.no_grad():
            for block in blocks(classifier, batch):
                yield self.contributions(block).double()

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Scores ``[batch, tokens]``, float64, not negative; each example's add up to 1."""
        readout = classifier.readout_weights(batch)
        real = batch.attention_mask.to(readout)
        identity = torch.diag_embed(torch.ones_like(real))
        layers = [layer.to(readout) for layer in self.maps(classifier, batch)]
        if self.stochastic:
            layers = [_rows(layer, identity) for layer in layers]
        if self.aggregation == "readout":
            scores = _read(readout, layers[-1])
        elif self.aggregation == "mean":
            scores = _read(real, torch.stack(layers).mean(dim=0))
        else:
            scores = readout
            for layer in reversed(layers):
                scores = _read(scores, layer if self.residual else (layer + identity) / 2)
        scores = scores * real
        return scores / scores.sum(dim=1, keepdim=True)


def _rows(layer: Tensor, identity: Tensor) -> Tensor:
    sums = layer.sum(dim=-1, keepdim=True)
    return torch.where(sums > 0, layer / sums.where(sums > 0, 1), identity)


def _read(weights: Tensor, layer: Tensor) -> Tensor:
    return torch.einsum("bq,bqk->bk", weights, layer)
