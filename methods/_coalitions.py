"""A text as a game of its units: what the target's probability is when only some of them are left.

A coalition is the set of units that are left; a sampled one is drawn from the example's own stream of chance, so that
an example's scores do not depend on the batch that it comes in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.choices import OperatorName
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Bools, Floats, Ints
from whybench.bench.engine import ForwardEngine
from whybench.bench.errors import ParameterError
from whybench.bench.operators import Remover, operator_for
from whybench.bench.perturbations import Perturbations


def target_probabilities(
    classifier: Classifier, batch: Batch, operator: OperatorName | None, coalitions: Sequence[Bools]
) -> list[Floats]:
    """The target's probability for every coalition of every example, in one call of the forward engine.

    Args:
        classifier: The classifier.
        batch: The examples. Where they name no target, it is the label of the highest probability on the whole text.
        operator: How the other units are removed; None takes the protocol's default for the tokenizer.
        coalitions: Per example the sets of units that are left, ``[sets, units]``. The first is the whole text; no sets
            at all are allowed.

    Returns:
        Per example ``[sets]``, float64.

    Raises:
        LabelError: The batch's own target is not one label of the model per example.
        OperatorError: The tokenizer or the model cannot serve the operator.
    """
    frozen = None if batch.target is None else classifier.target(batch).tolist()
    remover = Remover(classifier, batch, operator_for(classifier, operator))
    rows = [remover.perturb(index, ~left) for index, left in enumerate(coalitions) if len(left)]
    answers = ForwardEngine(classifier).probabilities(Perturbations.joined(rows))

    values: list[Floats] = []
    start = 0
    for index, left in enumerate(coalitions):
        own = answers[start : start + len(left)]
        if len(left):
            target = int(own[0].argmax()) if frozen is None else frozen[index]
            own = own[:, target]
        values.append(own.reshape(len(left)))
        start += len(left)
    return values


def token_scores(batch: Batch, unit_scores: Sequence[Floats]) -> Tensor:
    """Share each unit's score equally among its tokens: ``[batch, tokens]``, float64, on the batch's device.

    Args:
        batch: The examples.
        unit_scores: Per example ``[units]``.
    """
    scores = torch.zeros(batch.input_ids.shape, dtype=torch.float64)
    units = batch.units.cpu()
    for row, own, found in zip(scores, units, unit_scores, strict=True):
        removable = own >= 0
        members = own[removable]
        row[removable] = (torch.from_numpy(found) / torch.bincount(members, minlength=len(found)))[members]
    return scores.to(batch.device)


def generator_for(method: str, seed: int, example_id: str) -> np.random.Generator:
    """The stream of chance of one method, seed and example; no global state is read or changed."""
    digest = hashlib.sha256(f"{method}:{seed}:{example_id}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32))


def ends(units: int) -> Bools:
    """The whole text and nothing of it, ``[2, units]``."""
    return np.stack((np.ones(units, dtype=bool), np.zeros(units, dtype=bool)))


def all_coalitions(units: int) -> Bools:
    """All ``2 ** units`` coalitions, the whole text first and nothing last, ``[sets, units]``."""
    numbers = np.arange(2**units - 1, -1, -1)
    coalitions: Bools = (numbers[:, None] >> np.arange(units)) % 2 == 1
    return coalitions


def of_sizes(sizes: Ints, units: int, generator: np.random.Generator) -> Bools:
    """One coalition of each size, all of that size being equally likely, ``[sizes, units]``."""
    ranks = generator.random((len(sizes), units)).argsort(axis=1).argsort(axis=1)
    coalitions: Bools = ranks < sizes[:, None]
    return coalitions


def check_at_least_one(method: str, **values: int) -> None:
    """Raise ParameterError where a number of samples, or the like, is below 1."""
    for name, value in values.items():
        if value < 1:
            raise ParameterError(f"{method}: {name} is {value}; it must be at least 1.")
