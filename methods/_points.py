"""Gradients of the target's logit at many points of the space of word embeddings, texts and points in one batch.

A point has an embedding for every token of a text. The texts' own segments, positions and masks are those of all of its
points.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor

from whybench.bench import packing
from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import OperatorError, ParameterError
from whybench.methods._coalitions import generator_for

Baseline = Literal["auto", "mask", "pad"]

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


# ---- baselines and noise ----


def baseline_id(classifier: Classifier, baseline: Baseline) -> int:
    """The token that stands for "nothing".

    Raises:
        OperatorError: ``baseline`` is ``mask``, and the tokenizer has no mask token.
        ParameterError: There is no such baseline.
    """
    if baseline not in get_args(Baseline):
        raise ParameterError(f"baseline is {baseline!r}; it must be one of {', '.join(get_args(Baseline))}.")
    mask = classifier.tokenizer.mask_token_id
    if baseline == "mask" and mask is None:
        raise OperatorError(
            f"the tokenizer of {classifier.name!r} has no mask token for the baseline; use baseline=pad."
        )
    return int(mask if baseline != "pad" and mask is not None else classifier.pad_id)


def baseline_ids(classifier: Classifier, batch: Batch, baseline: Baseline) -> Tensor:
    """Ids ``[batch, tokens]`` with the baseline's token in place of every one that can be removed."""
    return torch.where(batch.units >= 0, baseline_id(classifier, baseline), batch.input_ids)


def baseline_embeddings(classifier: Classifier, batch: Batch, baseline: Baseline) -> Tensor:
    """Word embeddings ``[batch, tokens, hidden]`` of `baseline_ids`."""
    return classifier.embeddings(dataclasses.replace(batch, input_ids=baseline_ids(classifier, batch, baseline)))


def noisy(classifier: Classifier, batch: Batch, name: str, seed: int, noise: float) -> MakePoints:
    """Makes points that are the text's own embeddings with Gaussian noise on every token that can be removed.

    The noise of a point hangs on the method's name, the seed, the example's id and the point's number alone. It is
    drawn on the CPU, so that it is the same on every device.

    Args:
        classifier: The classifier.
        batch: The texts.
        name: The method's.
        seed: Another one gives other noise.
        noise: The standard deviation, as a share of the text's range: its largest embedding entry less its smallest.
    """
    text = classifier.embeddings(batch)
    removable = batch.units >= 0
    hidden = text.shape[-1]
    # in float64, which half precision does not round; special tokens have no noise, and do not count
    lowest, highest = (text.double().masked_fill(~removable[:, :, None], fill).flatten(1) for fill in (np.inf, -np.inf))
    scale = noise * (highest.amax(dim=1) - lowest.amin(dim=1)).clamp_min(0)
    lengths = batch.lengths().tolist()

    def make(examples: list[int], numbers: list[int], width: int) -> Tensor:
        drawn = torch.zeros(len(examples), width, hidden, dtype=torch.float64)
        for row, example, number in zip(drawn, examples, numbers, strict=True):
            generator = generator_for(name, seed, f"{batch.ids[example]}:{number}")
            row[: lengths[example]] = torch.from_numpy(generator.standard_normal((lengths[example], hidden)))
        drawn = drawn.to(text.device) * scale[examples, None, None] * removable[examples, :width, None]
        return (text[examples, :width].double() + drawn).to(text.dtype)

    return make
