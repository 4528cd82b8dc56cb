"""What the controls share: attention that is no explanation, put in the place of the model's."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch
from torch import Tensor

from whybench.bench.attention import AttentionRecord
from whybench.bench.batch import Batch
from whybench.bench.causal.chance import generator
from whybench.bench.classifier import Classifier
from whybench.bench.errors import MethodError
from whybench.bench.matrices import Matrices, MatrixMethod


class Control(MatrixMethod):
    """A method that makes the matrices of all layers at once, for the causal suite alone.

    A key that a query may not attend to gets exactly 0, and so does every key in a row of padding; all other rows are
    probability distributions.
    """

    def transform(self, weights: Tensor, values: Tensor, allowed: Tensor) -> Matrices:
        """No layer is made on its own.

        Raises:
            MethodError: Always.
        """
        raise MethodError(f"{self.name} makes the matrices of all layers at once; call matrices() or draw().")

    @abstractmethod
    def replaced(
        self, classifier: Classifier, batch: Batch, record: AttentionRecord, index: int
    ) -> tuple[Matrices, ...]:
        """Draw ``index`` of the matrices, ``[batch, heads, queries, keys]`` per layer.

        Args:
            classifier: The classifier.
            batch: The texts.
            record: Their attention; without a graph.
            index: From 0 to ``draws - 1``.
        """

    def draw(
        self, classifier: Classifier, batch: Batch, index: int, record: AttentionRecord | None = None
    ) -> tuple[Matrices, ...]:
        """Draw ``index`` of the method's ``draws`` matrices for every layer; ``record`` as in `MatrixMethod.draw`."""
        with torch.no_grad():
            record = classifier.attention(batch) if record is None else record.detached()
            return self.replaced(classifier, batch, record, index)

    def matrices(
        self, classifier: Classifier, batch: Batch, record: AttentionRecord | None = None
    ) -> tuple[Matrices, ...]:
        """The first draw's matrices for every layer, all rows."""
        return self.draw(classifier, batch, 0, record)

    def last_layer(self, classifier: Classifier, batch: Batch) -> Matrices:
        """The last layer's matrices, all rows."""
        return self.matrices(classifier, batch)[-1]


def real_rows(batch: Batch) -> Tensor:
    """Which queries are no padding, ``[batch, 1, queries, 1]``, bool."""
    return batch.attention_mask[:, None, :, None] > 0


def random_per_example(batch: Batch, record: AttentionRecord, seed: int, *purpose: str | int) -> Tensor:
    """Numbers in [0, 1) that depend on the example's id and length alone, not on the batch that it is in.

    Args:
        batch: The texts.
        record: Their attention; says how many layers and heads there are.
        seed: Another seed gives other numbers.
        purpose: The method and the draw; each text has its own numbers for every purpose.

    Returns:
        ``[layers, batch, heads, queries, keys]``, float32, on the batch's device; 0 where there is padding.
    """
    layers, (_, heads, _, width) = len(record.weights), record.weights[0].shape
    numbers = torch.zeros(layers, len(batch), heads, width, width)
    for place, (example_id, length) in enumerate(zip(batch.ids, batch.lengths().tolist(), strict=True)):
        own = generator(seed, example_id, *purpose).random((layers, heads, length, length), dtype=np.float32)
        numbers[:, place, :, :length, :length] = torch.from_numpy(own)
    return numbers.to(batch.device)
