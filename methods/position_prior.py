"""Position prior: scores that know where a unit stands, and nothing of what it says."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.method import Method


class PositionPrior(Method):
    """The units in the order in which they stand: what a method has to beat where evidence stands at one end.

    Neither model nor text is asked. The first unit of n has the score 1, the last 1/n, or the other way round. A plain
    reference of whybench, as the lead baseline is one of summarisation.

    Attributes:
        end: Which end matters most.
    """

    name, family, signed = "position_prior", "reference", False

    end: Literal["first", "last"] = "first"

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Scores in (0, 1] on the first token of every unit, ``[batch, tokens]``."""
        units, counts = batch.units, batch.unit_counts()[:, None]
        rank = counts - units if self.end == "first" else units + 1
        opens = torch.nn.functional.pad(units, (1, 0), value=-1)[:, :-1] != units
        return torch.where((units >= 0) & opens, rank / counts, 0.0)
