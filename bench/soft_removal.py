"""The forward passes of soft removal (see `whybench.bench.soft`), which no other method shares."""

from __future__ import annotations

import numpy as np
import torch

from whybench.bench.batch import Batch
from whybench.bench.causal.chance import generator
from whybench.bench.classifier import Classifier
from whybench.bench.curves import SOFT, SOFT_DRAWS, Floats
from whybench.bench.errors import ModelError
from whybench.bench.soft import scaled


def keeping(units: torch.Tensor, values: Floats, seed: int, example_id: str) -> Floats:
    """With which probability the elements of each token's word embedding are kept, ``[4, tokens]``, rows as in `SOFT`.

    Args:
        units: Index of the unit of each token of the example, ``[tokens]``, -1 on special tokens, which stay whole.
        values: ã, ``[units]``.
        seed: Seeds the permutation of the twin, together with the example's id.
        example_id: The example's id.
    """
    index = units.cpu().numpy()
    own = values[index[index >= 0]]
    twin = generator(seed, example_id, "twin").permutation(own)
    kept = np.ones((len(SOFT), len(index)))
    kept[:, index >= 0] = [1 - own, own, 1 - twin, twin]
    return kept


@torch.no_grad()
def soft_probabilities(
    classifier: Classifier, one: Batch, scores: Floats, target: int, seed: int, token_budget: int
) -> Floats:
    """Probabilities of the target on softly removed inputs, ``[4, draws]``; no draws where the scores are constant.

    Args:
        classifier: The classifier.
        one: The example, alone and without padding.
        scores: The units' scores, ``[units]``.
        target: The label.
        seed: Seeds the draws, together with the example's id.
        token_budget: Most tokens in a forward pass.

    Raises:
        UnsupportedArchitectureError: The model does not run its layer of word embeddings.
        ModelError: A probability is not finite.
    """
    values = scaled(scores)
    if values is None:
        return np.zeros((len(SOFT), 0))
    embeddings = classifier.embeddings(one)
    _, tokens, hidden = embeddings.shape
    kept = torch.from_numpy(keeping(one.units[0], values, seed, one.ids[0])).float()
    chance = generator(seed, one.ids[0], "soft").random((SOFT_DRAWS, tokens, hidden), dtype=np.float32)
    drawn = torch.from_numpy(chance)
    rows = [(kind, draw) for kind in range(len(SOFT)) for draw in range(SOFT_DRAWS)]
    answers = np.empty((len(rows), len(classifier.labels)))
    size = max(1, token_budget // tokens)
    for start in range(0, len(rows), size):
        chunk = rows[start : start + size]
        masks = torch.stack([drawn[draw] < kept[kind, :, None] for kind, draw in chunk])
        logits = classifier.logits_from_embeddings(
            embeddings * masks.to(embeddings.device), one.select([0] * len(chunk))
        )
        answers[start : start + size] = logits.double().softmax(dim=-1).cpu().numpy()
    if not np.isfinite(answers).all():
        raise ModelError(
            f"{classifier.name} gave a probability that is not finite on a softly removed input. "
            "Check the checkpoint's weights."
        )
    return answers[:, target].reshape(len(SOFT), SOFT_DRAWS)
