"""Frozen attention, a control: the dataset's mean attention, whatever the text says."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from whybench.bench.attention import AttentionRecord
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import MethodError
from whybench.bench.matrices import Matrices
from whybench.methods._control import Control, real_rows


class FrozenAttention(Control):
    """Frozen attention (a control): the mean of the dataset's attention, the same for all texts of one length.

    Per layer and head it is the mean weight of (query position, key position) over the texts that have both, restricted
    to the keys that the query may attend to, and divided by the row's sum. What a model still decides with it does not
    come of attention that depends on the text. Positions count from the first token, in decoders too, whose last token
    is read: the reading row of a text is the mean over tokens that stand as far from the start, last or not.

    Source: the frozen-attention control of whybench's protocol; close to Wiegreffe & Pinter 2019, "Attention is not not
    Explanation", arXiv:1908.04626, whose weights are frozen to be uniform.
    """

    name, family, signed = "frozen_attention", "control", False

    # of the classifier that they were read from: per layer [heads, positions, positions], float64
    _means: ClassVar[tuple[Tensor, ...] | None] = None
    _of: ClassVar[Classifier | None] = None

    def fitted(self, classifier: Classifier, batches: Sequence[Batch]) -> FrozenAttention:
        """This method with the mean attention of all these texts.

        Raises:
            MethodError: There is no text.
        """
        if not sum(len(batch) for batch in batches):
            raise MethodError(f"{self.name} was fitted to no text; give the batches that it will be asked about.")
        positions = max(int(batch.lengths().max()) for batch in batches)
        sums: list[Tensor] = []
        counts = torch.zeros(positions, positions, dtype=torch.float64, device=classifier.device)
        # one by one, without padding: how they are put into batches makes no difference
        for one in (batch.select([index]) for batch in batches for index in range(len(batch))):
            with torch.no_grad():
                weights = classifier.attention(one).weights
            if not sums:
                sums = [counts.new_zeros(layer.shape[1], positions, positions) for layer in weights]
            width = one.input_ids.shape[1]
            counts[:width, :width] += 1
            for total, layer in zip(sums, weights, strict=True):
                total[:, :width, :width] += layer[0]
        made = copy.copy(self)
        # no parameters: they follow from the texts, which are in the spec
        object.__setattr__(made, "_means", tuple(total.div_(counts) for total in sums))
        object.__setattr__(made, "_of", classifier)
        return made

    def replaced(
        self, classifier: Classifier, batch: Batch, record: AttentionRecord, index: int
    ) -> tuple[Matrices, ...]:
        """The mean rows over the attendable keys, ``[batch, heads, queries, keys]`` per layer.

        Raises:
            MethodError: It is not fitted, or to another classifier, or to texts all shorter than one of these, or a
                query has no mean weight on any key that it may attend to.
        """
        if self._means is None or self._of is not classifier:
            fitted = "to no text" if self._means is None else "to another classifier"
            raise MethodError(
                f"{self.name} is fitted {fitted}; use fitted(classifier, batches) with all texts that it will be asked "
                "about. The causal suite does."
            )
        most, longest = self._means[0].shape[-1], int(batch.lengths().max())
        if longest > most:
            raise MethodError(
                f"{self.name} is fitted to texts of at most {most} tokens; example "
                f"{batch.ids[int(batch.lengths().argmax())]!r} has {longest}. Fit it to all texts."
            )
        real = real_rows(batch)
        made = []
        for layer, (mean, weights, allowed) in enumerate(zip(self._means, record.weights, record.allowed, strict=True)):
            width = min(most, weights.shape[-1])
            rows = weights.new_zeros(weights.shape, dtype=torch.float64)
            rows[..., :width, :width] = mean[:, :width, :width]
            rows = rows * (allowed & real)
            sums = rows.sum(dim=-1, keepdim=True)
            if empty := int(((sums == 0) & real).sum()):
                raise MethodError(
                    f"{self.name}: in layer {layer} {empty} row(s) have a mean weight of 0 on every key that they may "
                    "attend to. Fit it to the texts that it is asked about."
                )
            made.append(Matrices((rows / torch.where(sums > 0, sums, 1.0)).to(weights.dtype)))
        return tuple(made)
