"""The oracle: the best order of the units that a beam search finds, by the metric itself."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from whybench.bench.batch import Batch
from whybench.bench.choices import OperatorName
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Bools, Floats, Ints
from whybench.bench.errors import ParameterError
from whybench.bench.method import Attribution, ReportingMethod
from whybench.bench.metrics import metrics_named
from whybench.methods._coalitions import target_probabilities, token_scores
from whybench.methods._linear import Linear, linear


class Oracle(ReportingMethod):
    """A beam search for the order of units that is best by a metric, the ceiling of that metric's skill.

    The metric is a weighted sum of probabilities while ever more units are removed, so the search removes one unit at a
    time: the best ones first, or where the metric is of what is kept, the worst. Sets are judged by what they have
    brought so far, and by what they would bring if the probability stayed as it is; of two ways to a set the better one
    counts. Units that the metric does not tell apart are ties. It knows the metric: a yardstick, no explanation.

    Source: Zhou & Shah 2023, "The Solvability of Interpretability Evaluation Metrics", arXiv:2205.08696; the same for
    normalised figures in Edin et al. 2025, NAOPC, arXiv:2408.08137.

    Attributes:
        metric: The metric: one that is linear in one curve.
        beam: Sets that are kept at every size.
        most_units: The longest text, in units, that is searched; a longer one has no answer.
        operator: How units are removed; None takes that of the scoring.
    """

    name, family, signed = "oracle", "reference", False
    bound = "ceiling"
    variants = ({"metric": "comprehensiveness"}, {"metric": "sufficiency"})

    metric: str = "comprehensiveness"
    beam: int = 2
    most_units: int = 64
    operator: OperatorName | None = None

    def __post_init__(self) -> None:
        for name, value in (("beam", self.beam), ("most_units", self.most_units)):
            if value < 1:
                raise ParameterError(f"{name} is {value}; it must be at least 1.")

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """Scores from 1 to n in the best order found, shared among a unit's tokens, ``[batch, tokens]``."""
        (metric,) = metrics_named([self.metric])
        operator = self.operator or batch.operator
        batch = batch.with_target(classifier.target(batch))
        counts = batch.unit_counts().tolist()
        failed = {i: self._too_long(n) for i, n in enumerate(counts) if n > self.most_units}
        beams = {i: Beam(linear(metric, n), self.beam) for i, n in enumerate(counts) if i not in failed}
        while searching := {i: beam for i, beam in beams.items() if not beam.done}:
            nothing = [np.zeros((0, n), dtype=bool) for n in counts]
            left = [~searching[i].candidates() if i in searching else nothing[i] for i in range(len(batch))]
            values = target_probabilities(classifier, batch, operator, left)
            for i, beam in searching.items():
                beam.keep(values[i])
        found = [beams[i].scores() if i in beams else np.zeros(n) for i, n in enumerate(counts)]
        return Attribution(token_scores(batch, found), failed=failed)

    @property
    def label_specific(self) -> bool:
        """It searches by the target's probability."""
        return True

    def _too_long(self, n: int) -> str:
        return f"it has {n} units, and the oracle searches texts of at most {self.most_units}; set most_units higher."


@dataclass
class Beam:
    """The search on one example: `candidates`, `keep`, and again until it is done.

    Args:
        metric: The metric, for texts of this length.
        width: Sets that are kept.
    """

    metric: Linear
    width: int

    def __post_init__(self) -> None:
        self._sets: Bools = np.zeros((1, self.metric.units), dtype=bool)
        self._gained: Floats = np.zeros(1)
        self._orders: Ints = np.zeros((1, 0), dtype=np.int64)

    @property
    def done(self) -> bool:
        """Whether the sets are as large as the metric asks for."""
        return bool(self._orders.shape[1] >= self.metric.last)

    def candidates(self) -> Bools:
        """Sets of units to remove, one larger than those that were kept, ``[candidates, units]``, each once."""
        parents, added = np.nonzero(~self._sets)
        grown = self._sets[parents]
        grown[np.arange(len(grown)), added] = True
        # the better way to a set comes first, and of two that are as good the one that every machine takes
        order = np.argsort(-self._gained[parents], kind="stable")
        _, first = np.unique(grown[order], axis=0, return_index=True)
        chosen = order[np.sort(first)]
        self._grown, self._parents, self._added = grown[chosen], parents[chosen], added[chosen]
        return self._grown

    def keep(self, probabilities: Floats) -> None:
        """Keep the best of the `candidates`, given the target's probability without each of them."""
        size = self._orders.shape[1] + 1
        gained = self._gained[self._parents] + self.metric.weights[size] * probabilities
        promise = gained + self.metric.weights[size + 1 :].sum() * probabilities
        best = np.argsort(-promise, kind="stable")[: self.width]
        self._sets, self._gained = self._grown[best], gained[best]
        self._orders = np.column_stack((self._orders[self._parents[best]], self._added[best]))

    def scores(self) -> Floats:
        """Scores from 1 to n of the units, in the best order found; what it leaves open is a tie."""
        n, order = self.metric.units, self._orders[int(self._gained.argmax())]
        places = np.arange(len(order))
        scores = np.full(n, 1.0 if self.metric.best_first else float(n))
        scores[order] = n - places if self.metric.best_first else places + 1
        return scores
