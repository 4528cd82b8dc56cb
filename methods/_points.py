"""Gradients of the target's logit at many points of the space of word embeddings, texts and points in one batch.

A point has an embedding for every token of a text. The texts' own segments, positions and masks are those of all of its
points.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from whybench.bench import packing
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier

MakePoints = Callable[[list[int], list[int], int], Tensor]
"""Given the texts, the numbers of their points and a number of tokens, the points ``[points, tokens, hidden]``."""


class Gradients(NamedTuple):
    """What one backward pass gives.

    Attributes:
        examples: Index of the text that each point belongs to, ``[points]``.
        numbers: Number of each point among its text's own, ``[points]``.
        points: ``[points, tokens, hidden]``, detached.
        gradient: Of the target's logit, ``[points, tokens, hidden]``, float32 at least.
    """

    examples: list[int]
    numbers: list[int]
    points: Tensor
    gradient: Tensor


def gradients_at(
    classifier: Classifier, batch: Batch, counts: Sequence[int], make: MakePoints, most: int
) -> Iterator[Gradients]:
    """Run every point of every text once forwards and once backwards.

    Args:
        classifier: The classifier whose output is explained.
        batch: The texts, with their targets.
        counts: Number of points of each text, ``[batch]``.
        make: Gives the points. It is asked for no more of them than fit into one pass.
        most: Most points in one pass; a text's own points may be divided among several.

    Raises:
        LabelError: The batch's target is not one label of the model per example.
        UnsupportedArchitectureError: The gradient does not reach the word embeddings.
    """
    with classifier.gradients_for_inputs_only():
        for examples, numbers in passes(batch, counts, most):
            some = batch.select(examples)
            points = make(examples, numbers, some.input_ids.shape[1]).detach().requires_grad_()
            logits = classifier.logits_from_embeddings(points, some)
            explained = logits.gather(1, classifier.target(some)[:, None]).sum()
            (gradient,) = torch.autograd.grad(explained, points)
            gradient = gradient.to(torch.promote_types(gradient.dtype, torch.float32))
            yield Gradients(examples, numbers, points.detach(), gradient)


def passes(batch: Batch, counts: Sequence[int], most: int) -> Iterator[tuple[list[int], list[int]]]:
    """Which points go through the model together, texts of similar length: their examples and their numbers.

    Args:
        batch: The texts.
        counts: Number of points of each, ``[batch]``.
        most: Most points in one pass.
    """
    lengths = batch.lengths().tolist()
    order = sorted(range(len(batch)), key=lambda index: -lengths[index])
    every = [(index, number) for index in order for number in range(counts[index])]
    if not every:
        return
    sizes = np.array([lengths[index] for index, _ in every], dtype=np.int64)
    for group in packing.batches(sizes, budget=most * max(lengths)):
        for begin in range(group.start, group.stop, most):
            chosen = every[begin : min(begin + most, group.stop)]
            yield [index for index, _ in chosen], [number for _, number in chosen]


def add_up(total: Tensor, examples: Sequence[int], rows: Tensor) -> None:
    """Add each text's rows to its own sum, always in the same order.

    Args:
        total: ``[batch, tokens, ...]``, changed in place.
        examples: The text that each row belongs to, ``[rows]``.
        rows: ``[rows, tokens or fewer, ...]``.
    """
    for example in sorted(set(examples)):
        own = [row for row, owner in enumerate(examples) if owner == example]
        total[example, : rows.shape[1]] += rows[own].sum(dim=0).to(total.dtype)
