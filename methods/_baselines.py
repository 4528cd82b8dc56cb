"""The baseline of path methods: what stands for "nothing" in the place of every token that can be removed."""

from __future__ import annotations

import dataclasses
from typing import Literal, get_args

import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import OperatorError, ParameterError

Baseline = Literal["auto", "mask", "pad"]


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
