"""Length prior: longer words matter more, whatever they say."""

from __future__ import annotations

import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Method


class LengthPrior(Method):
    """The number of a unit's characters: long words are rare and full of content, and no model is needed to see it.

    A plain reference of whybench. Ties, as between all units of one length, rank at random.
    """

    name, family, signed = "length_prior", "reference", False

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Characters of the unit on its first token, ``[batch, tokens]``; the unit's score is their number."""
        scores = torch.zeros(batch.input_ids.shape, dtype=torch.float64)
        units = batch.units.cpu()
        opens = torch.nn.functional.pad(units, (1, 0), value=-1)[:, :-1] != units
        for i, spans in enumerate(batch.unit_spans):
            lengths = torch.tensor([span.end - span.start for span in spans], dtype=torch.float64)
            first = opens[i] & (units[i] >= 0)
            scores[i, first] = lengths[units[i][first]]
        return scores.to(batch.device)
