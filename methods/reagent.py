"""ReAGent: how the target's probability changes when random words are replaced by other words."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Bools, Floats, Ints
from whybench.bench.engine import ForwardEngine
from whybench.bench.errors import ParameterError
from whybench.bench.method import Method
from whybench.bench.perturbations import Perturbations
from whybench.methods._coalitions import check_at_least_one, generator_for, of_sizes, token_scores
from whybench.methods._vocabulary import ordinary_ids

# Nearer to the ends the log-odds of a change would be infinite
_END = 1e-6


class ReAGent(Method):
    """How the target's probability changes when random words are replaced by other words.

    ``s_i = 1/N Σ_n ± logit((1 + Δ_n) / 2)``, Δ_n what the target's probability loses with random words replaced.

    The sign is + where unit i is among those that are replaced, and − where it is not: the paper's update, which it
    carries on from one round to the next. As a round does not depend on the rounds before it, all are one batch. A
    unit's score is shared equally among its tokens.

    Source: Zhao & Shan 2024, "ReAGent: A Model-agnostic Feature Attribution Method for Generative Language Models"
    (AAAI workshop), arXiv:2402.00794. Ours are the words put in place, drawn uniformly from the vocabulary where the
    paper asks RoBERTa for likely ones; a fixed number of rounds where it stops once the best words alone have the same
    prediction among the first ones; and a start at 0 where it starts at random. Unsigned: the scores rank the units, as
    the softmax does that the paper ends with, and those below 0 say nothing against the target. Runs only where it is
    asked for by name: it takes hundreds of passes.

    Attributes:
        samples: Rounds N of an example.
        share: Of its units, how many are replaced in a round: at least one, rounded.
        seed: Of the draws; each example has a stream of its own.
    """

    name, family, signed = "reagent", "perturbation", False
    negative = True
    default = False
    note = "Words are replaced by random ones of the vocabulary; the paper takes them from a language model."

    samples: int = 256
    share: float = 0.3
    seed: int = 0

    def __post_init__(self) -> None:
        check_at_least_one(self.name, samples=self.samples)
        if not 0 < self.share < 1:
            raise ParameterError(f"reagent: share is {self.share}; it must be between 0 and 1.")

    def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
        """Mean log-odds of changes, ``[batch, tokens]``."""
        target = classifier.target(batch).tolist()
        words = ordinary_ids(classifier)
        masks, inputs = [], []
        for index, (n, example) in enumerate(zip(batch.unit_counts().tolist(), batch.ids, strict=True)):
            generator = generator_for(self.name, self.seed, example)
            sizes = np.full(self.samples, max(1, round(self.share * n)))
            # the whole text comes first
            masks.append(np.vstack((np.zeros((1, n), dtype=bool), of_sizes(sizes, n, generator))))
            inputs.append(_replaced(batch, index, masks[-1], words, generator))
        answers = ForwardEngine(classifier).probabilities(Perturbations.joined(inputs))
        scores = [
            replacement_values(own[1:], rows[0, label] - rows[1:, label])
            for own, rows, label in zip(masks, np.split(answers, len(batch)), target, strict=True)
        ]
        return token_scores(batch, scores)


def replacement_values(replaced: Bools, losses: Floats) -> Floats:
    """Mean of ± the log-odds of each loss, ``[units]``.

    Args:
        replaced: Units that were replaced in each round, ``[rounds, units]``.
        losses: What the probability lost, in [-1, 1], ``[rounds]``.
    """
    level = np.clip((1 + losses) / 2, _END, 1 - _END)
    odds = np.log(level) - np.log1p(-level)
    scores: Floats = odds @ np.where(replaced, 1.0, -1.0) / len(losses)
    return scores


def _replaced(batch: Batch, index: int, masks: Bools, words: Ints, generator: np.random.Generator) -> Perturbations:
    """One example with all tokens of some units replaced, once for each row of ``masks`` ``[rounds, units]``."""
    length, rounds = int(batch.lengths()[index]), len(masks)
    units = batch.units[index, :length].cpu().numpy()
    ids = batch.input_ids[index, :length].cpu().numpy()
    gone = masks.take(units, axis=1) & (units >= 0)
    columns = [np.where(gone, generator.choice(words, size=gone.shape), ids), np.ones(gone.shape)]
    if batch.token_type_ids is not None:
        columns.append(np.tile(batch.token_type_ids[index, :length].cpu().numpy(), (rounds, 1)))
    tokens = np.stack(columns, axis=-1).astype(np.int32).reshape(rounds * length, -1)
    contrast = None
    if batch.contrast is not None:
        contrast = np.tile(batch.contrast[index].cpu().numpy().astype(np.int32), (rounds, 1))
    return Perturbations(tokens, np.full(rounds, length), contrast)
