"""The permuted twin of a method: its scores, on the wrong units."""

from __future__ import annotations

from functools import cached_property

import torch

from whybench.bench.batch import Batch
from whybench.bench.causal.chance import generator
from whybench.bench.classifier import Classifier
from whybench.bench.errors import ParameterError
from whybench.bench.method import Attribution, Method, ReportingMethod
from whybench.bench.registry import load_method


class Permuted(ReportingMethod):
    """Another method's unit scores, in a random order over the example's units.

    The scores are distributed as that method's are, and say nothing: what it has beyond its twin comes of where its
    scores stand, not of how they are spread. Metrics of ranks alone see in it one more random order; infidelity, LOO
    agreement and the soft removals see more.

    Source: the twin of Zhao & Aletras 2023, arXiv:2305.10496, for every metric.

    Attributes:
        of: Name of the method, or the path of a Python file that defines one.
        parameters_of: Its parameters, ``key=value`` with spaces between them.
        seed: Another seed gives other orders.
    """

    name, family, signed, negative = "permuted", "reference", False, True
    # asked for by name, or with --twins
    default, twin = False, True

    of: str = "raw_attention"
    parameters_of: str = ""
    seed: int = 0

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """The method's scores per unit, permuted, ``[batch, tokens]``; each on the first token of its unit."""
        found = self._method.explain(classifier, batch)
        scores = torch.zeros(batch.input_ids.shape, dtype=torch.float64)
        for i, own in enumerate(batch.unit_scores(found.scores)):
            order = generator(self.seed, batch.ids[i], "permuted").permutation(len(own))
            units = batch.units[i].cpu()
            first = torch.tensor([int((units == unit).nonzero()[0]) for unit in range(len(own))])
            scores[i, first] = own[order]
        return Attribution(scores.to(batch.device), failed=found.failed)

    @property
    def label_specific(self) -> bool:
        """As the method is."""
        return self._method.label_specific

    def parts(self) -> tuple[type, ...]:
        """The twin's own class and the method's."""
        return (type(self), *self._method.parts())

    @cached_property
    def _method(self) -> Method:
        pairs = [pair.partition("=") for pair in self.parameters_of.split()]
        if bad := [key for key, sign, _ in pairs if not sign]:
            raise ParameterError(f"parameters_of has {bad[0]!r} where key=value belongs.")
        return load_method(self.of, **{key: value for key, _, value in pairs})
