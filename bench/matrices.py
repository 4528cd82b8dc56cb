"""Methods that explain with attention matrices, and the one family of aggregations from matrices to token scores.

All of them share the aggregation, so that a comparison of matrices never mixes in another one.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from whybench.bench.attention import check_attention
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Attribution, ReportingMethod

Aggregation = Literal["readout", "mean", "rollout"]


@dataclass(frozen=True, eq=False)
class Matrices:
    """Matrices of one layer, or some of their rows.

    Attributes:
        weights: ``[batch, heads, queries, keys]``.
        report: Figures about them, ``[batch, heads, queries]`` each; the worst one of an example is reported.
        certified: ``[batch, heads, queries]``, whether the row keeps what it promises; None: nothing was promised.
        tolerances: For figures of the report, the largest value that a certified row may have.
        remedy: What to do about rows that are not certified, a sentence; empty: nothing is known.
    """

    weights: Tensor
    report: dict[str, Tensor] = field(default_factory=dict)
    certified: Tensor | None = None
    tolerances: dict[str, float] = field(default_factory=dict)
    remedy: str = ""


class MatrixMethod(ReportingMethod):
    """A method that puts a matrix in place of each head's attention, and aggregates these to token scores.

    Attributes:
        aggregation: ``readout``: the last layer's row that the classification head reads ([CLS], or the last real
            token in decoders), averaged over heads. ``mean``: all rows of real tokens, heads and layers averaged.
            ``rollout``: the product over layers of ½A + ½I, A averaged over heads, read at the readout row
            (Abnar & Zuidema 2020, arXiv:2005.00928).
        draws: How many matrices a method of chance gives; the causal suite takes the median of what they do.
    """

    aggregation: Aggregation = "readout"

    draws: ClassVar[int] = 1

    def fitted(self, classifier: Classifier, batches: Sequence[Batch]) -> MatrixMethod:
        """This method after it has seen all inputs that it will be asked about; itself where it need not see them."""
        return self

    def draw(self, classifier: Classifier, batch: Batch, index: int) -> tuple[Matrices, ...]:
        """Draw ``index`` of the method's ``draws`` matrices for every layer; without chance there is one."""
        return self.matrices(classifier, batch)

    @abstractmethod
    def transform(self, weights: Tensor, values: Tensor, allowed: Tensor) -> Matrices:
        """The method's matrix for one layer's attention.

        Args:
            weights: Rows of the attention, ``[batch, heads, queries, keys]``: all of them, or those that are needed.
            values: ``[batch, heads, keys, d_v]``.
            allowed: Keys that each query may attend to, ``[batch, 1 or heads, queries, keys]``, bool.
        """

    def matrices(self, classifier: Classifier, batch: Batch) -> tuple[Matrices, ...]:
        """The method's matrices for every layer, all rows."""
        with torch.no_grad():
            record = classifier.attention(batch)
            layers = zip(record.weights, record.values, record.allowed, strict=True)
            return tuple(self.transform(*layer) for layer in layers)

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Token scores ``[batch, tokens]`` from the matrices, by the aggregation; only rows that it reads are made.

        Raises:
            UnsupportedArchitectureError: The model's attention cannot be read.
        """
        check_attention(classifier.model)
        readout = classifier.readout_weights(batch)
        real = batch.attention_mask.to(readout.dtype)
        if self.aggregation == "readout":
            made = self._last_layer(classifier, batch)
            rows = readout if made.weights.shape[2] == readout.shape[1] else torch.ones_like(readout[:, :1])
            scores = torch.einsum("bhqk,bq->bk", made.weights.to(rows), rows) / made.weights.shape[1]
            return self._attribution(batch, scores, [made], rows > 0)
        layers = self.matrices(classifier, batch)
        averaged = [layer.weights.to(readout).mean(dim=1) for layer in layers]
        if self.aggregation == "mean":
            share = real / real.sum(dim=1, keepdim=True)
            scores = torch.stack([torch.einsum("bqk,bq->bk", layer, share) for layer in averaged]).mean(dim=0)
            return self._attribution(batch, scores, layers, real > 0)
        rolled = readout[:, None, :]
        for layer in reversed(averaged):
            rolled = (rolled @ layer + rolled) / 2
        return self._attribution(batch, rolled[:, 0], layers, real > 0)

    def _last_layer(self, classifier: Classifier, batch: Batch) -> Matrices:
        with torch.no_grad():
            record = classifier.attention(batch)
            weights, values, allowed = record.weights[-1], record.values[-1], record.allowed[-1]
            if classifier.readout != "mean":
                at = classifier.readout_weights(batch).argmax(dim=1)
                weights, allowed = _row(weights, at), _row(allowed, at)
            return self.transform(weights, values, allowed)

    def _attribution(
        self, batch: Batch, scores: Tensor, layers: list[Matrices] | tuple[Matrices, ...], read: Tensor
    ) -> Attribution:
        """Scores with the worst of each report over the rows that were read, ``read`` ``[batch, queries]``."""
        report: dict[str, Tensor] = {}
        missed = torch.zeros(len(batch), dtype=torch.long, device=scores.device)
        for layer in layers:
            for name, figure in layer.report.items():
                worst = figure.masked_fill(~read[:, None, :], 0).flatten(1).amax(dim=1)
                report[name] = torch.maximum(report[name], worst) if name in report else worst
            if layer.certified is not None:
                missed += (~layer.certified & read[:, None, :]).flatten(1).sum(dim=1)
        tolerances = {name: most for layer in layers for name, most in layer.tolerances.items()}
        remedy = " ".join(dict.fromkeys(layer.remedy for layer in layers if layer.remedy))
        failed: dict[int, str] = {}
        for index in missed.nonzero()[:, 0].tolist():
            worst_of = {name: float(report[name][index]) for name in tolerances}
            # not "above": a NaN misses every tolerance
            above = [
                f"{name} up to {worst_of[name]:.1e}, allowed {most:.0e}"
                for name, most in tolerances.items()
                if not worst_of[name] <= most
            ]
            why = f" ({'; '.join(above)})" if above else ""
            failed[index] = (
                f"{int(missed[index])} row(s) of its matrices miss their certificate{why}. {remedy}".rstrip()
            )
        return Attribution(scores.masked_fill(batch.attention_mask == 0, 0.0), report, failed)


def _row(matrix: Tensor, at: Tensor) -> Tensor:
    """Row ``at[b]`` of every matrix of example b: ``[batch, heads, 1, keys]``."""
    index = at[:, None, None, None].expand(-1, matrix.shape[1], 1, matrix.shape[3])
    return matrix.gather(2, index)
