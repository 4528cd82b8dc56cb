"""Noisy copies of a text, as points of the space of word embeddings."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import ParameterError
from whybench.methods._coalitions import generator_for
from whybench.methods._points import MakePoints


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


def check_noise(method: str, noise: float) -> None:
    """Raise ParameterError where the noise is negative, or no number."""
    if not (noise >= 0 and math.isfinite(noise)):
        raise ParameterError(f"{method}: noise is {noise}; it must be a number of at least 0.")
