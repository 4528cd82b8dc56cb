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

from whybench.bench.attention import AttentionRecord, check_attention
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import MethodError
from whybench.bench.method import Attribution, ReportingMethod

Aggregation = Literal["readout", "mean", "rollout", "gradient"]


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
            (Abnar & Zuidema 2020, arXiv:2005.00928). ``gradient``: R = I, and R + Ā·R layer by layer, Ā the mean over
            heads of (∇A ⊙ A)⁺, read at the readout row (Chefer, Gur & Wolf 2021, arXiv:2103.15679); ∇A is the gradient
            of the target's logit for the model's own attention, so that these scores are for the target.
        draws: How many matrices a method of chance gives; the causal suite takes the median of what they do.
    """

    aggregation: Aggregation = "readout"

    draws: ClassVar[int] = 1

    def fitted(self, classifier: Classifier, batches: Sequence[Batch]) -> MatrixMethod:
        """This method after it has seen all inputs that it will be asked about; itself where it need not see them.

        The causal suite asks for it, with its float64 classifier; token scores are made without.
        """
        return self

    def draw(
        self, classifier: Classifier, batch: Batch, index: int, record: AttentionRecord | None = None
    ) -> tuple[Matrices, ...]:
        """Draw ``index`` of the method's ``draws`` matrices for every layer; without chance there is one.

        Args:
            classifier: The classifier.
            batch: The texts.
            index: From 0 to ``draws - 1``.
            record: The batch's attention, where it has been read already.
        """
        return self.matrices(classifier, batch, record)

    @abstractmethod
    def transform(self, weights: Tensor, values: Tensor, allowed: Tensor) -> Matrices:
        """The method's matrix for one layer's attention.

        Args:
            weights: Rows of the attention, ``[batch, heads, queries, keys]``: all of them, or those that are needed.
            values: ``[batch, heads, keys, d_v]``.
            allowed: Keys that each query may attend to, ``[batch, 1 or heads, queries, keys]``, bool.
        """

    def matrices(
        self, classifier: Classifier, batch: Batch, record: AttentionRecord | None = None
    ) -> tuple[Matrices, ...]:
        """The method's matrices for every layer, all rows; ``record`` as in `draw`."""
        with torch.no_grad():
            record = classifier.attention(batch) if record is None else record
            layers = zip(record.weights, record.values, record.allowed, strict=True)
            return tuple(self.transform(*layer) for layer in layers)

    @property
    def label_specific(self) -> bool:
        """Attention is of the text; only the gradient is of a label."""
        return self.aggregation == "gradient"

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Token scores ``[batch, tokens]`` from the matrices, by the aggregation; only rows that it reads are made.

        Raises:
            UnsupportedArchitectureError: The model's attention cannot be read.
        """
        check_attention(classifier.model)
        readout = classifier.readout_weights(batch)
        real = batch.attention_mask.to(readout.dtype)
        if self.aggregation == "readout":
            made = self.last_layer(classifier, batch)
            rows = readout if made.weights.shape[2] == readout.shape[1] else torch.ones_like(readout[:, :1])
            scores = torch.einsum("bhqk,bq->bk", made.weights.to(rows), rows) / made.weights.shape[1]
            return self._attribution(batch, scores, [made], rows > 0)
        if self.aggregation == "gradient":
            # One backward pass serves every method: ∇A is the gradient of the head's output times V, and matrices that
            # preserve the output have the same one. For the others it is the model's gradient, as for raw attention.
            record, gradients = classifier.attention_gradient(batch)
            layers = self.matrices(classifier, batch, record)
            averaged = [
                (gradient.to(readout) * layer.weights.to(readout)).clamp_min(0).mean(dim=1)
                for gradient, layer in zip(gradients, layers, strict=True)
            ]
        else:
            layers = self.matrices(classifier, batch)
            averaged = [layer.weights.to(readout).mean(dim=1) for layer in layers]
        if self.aggregation == "mean":
            share = real / real.sum(dim=1, keepdim=True)
            scores = torch.stack([torch.einsum("bqk,bq->bk", layer, share) for layer in averaged]).mean(dim=0)
            return self._attribution(batch, scores, layers, real > 0)
        rolled = readout[:, None, :]
        for layer in reversed(averaged):
            rolled = rolled @ layer + rolled
            if self.aggregation == "rollout":
                rolled = rolled / 2
        return self._attribution(batch, rolled[:, 0], layers, real > 0)

    def last_layer(self, classifier: Classifier, batch: Batch) -> Matrices:
        """The last layer's matrices: the one row that the classification head reads, or all where it reads all."""
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
        """Scores with what `certificate` says of the rows that were read, ``read`` ``[batch, queries]``."""
        report, failed = certificate(layers, read)
        return Attribution(scores.masked_fill(batch.attention_mask == 0, 0.0), report, failed)


def certificate(layers: Sequence[Matrices], read: Tensor) -> tuple[dict[str, Tensor], dict[int, str]]:
    """What the matrices report, and the examples with a row that misses its certificate.

    Args:
        layers: The matrices of some layers.
        read: Which of their rows count, ``[batch, queries]``, bool.

    Returns:
        Per figure of the report the worst one of an example's rows, ``[batch]``; and per index of an example that
        fails the reason.
    """
    report: dict[str, Tensor] = {}
    missed = torch.zeros(len(read), dtype=torch.long, device=read.device)
    for layer in layers:
        for name, figure in layer.report.items():
            worst = figure.masked_fill(~read[:, None, :], 0).flatten(1).amax(dim=1)
            report[name] = torch.maximum(report[name], worst) if name in report else worst
        if layer.certified is not None:
            missed += (~layer.certified & read[:, None, :]).flatten(1).sum(dim=1)
    tolerances = {name: most for layer in layers for name, most in layer.tolerances.items()}
    if unknown := sorted(set(tolerances) - set(report)):
        raise MethodError(
            f"its matrices have a tolerance for {', '.join(unknown)}, which is not in their report "
            f"({', '.join(sorted(report)) or 'empty'}); report what has a tolerance."
        )
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
        failed[index] = f"{int(missed[index])} row(s) of its matrices miss their certificate{why}. {remedy}".rstrip()
    return report, failed


def _row(matrix: Tensor, at: Tensor) -> Tensor:
    """Row ``at[b]`` of every matrix of example b: ``[batch, heads, 1, keys]``."""
    index = at[:, None, None, None].expand(-1, matrix.shape[1], 1, matrix.shape[3])
    return matrix.gather(2, index)
