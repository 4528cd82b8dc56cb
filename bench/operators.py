"""Removing units from an input, on token ids: nothing is ever decoded and tokenised again."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import OperatorError, UnknownNameError
from whybench.bench.perturbations import Perturbation as Perturbation
from whybench.bench.perturbations import Perturbations

OperatorName = Literal["mask", "delete", "pad"]
OPERATORS: tuple[OperatorName, ...] = get_args(OperatorName)


def operator_for(classifier: Classifier, name: str | None = None) -> OperatorName:
    """Check a removal operator against tokenizer and model.

    None takes ``mask`` where there is a mask token, else ``delete``.

    Raises:
        UnknownNameError: There is no such operator.
        OperatorError: The tokenizer has no token for it, or the model cannot leave positions where they are.
    """
    tokenizer = classifier.tokenizer
    if name is None:
        return "mask" if tokenizer.mask_token_id is not None else "delete"
    if name not in OPERATORS:
        raise UnknownNameError("operator", name, OPERATORS)
    needed = {"mask": tokenizer.mask_token_id, "pad": tokenizer.pad_token_id, "delete": 0}
    if needed[name] is None:
        usable = [repr(other) for other in OPERATORS if needed[other] is not None]
        raise OperatorError(
            f"the tokenizer of {classifier.name!r} has no {name} token, which the operator {name!r} needs. "
            f"Use {' or '.join(usable)} (--operator delete works everywhere)."
        )
    if name == "pad" and not classifier.positions.stay:
        usable = [repr(other) for other in OPERATORS if other != "pad" and needed[other] is not None]
        raise OperatorError(
            f"{classifier.name!r} ({type(classifier.model).__name__}) counts positions by the attention mask and takes "
            "no others, so that a token padded out would move all that follow; the operator 'pad' needs them to stay. "
            f"Use {' or '.join(usable)} (--operator delete works everywhere)."
        )
    return name


class Remover:
    """Removes units from the examples of one batch.

    Args:
        classifier: Gives the mask and pad tokens.
        batch: The examples.
        operator: A checked name (`operator_for`).
    """

    def __init__(self, classifier: Classifier, batch: Batch, operator: OperatorName) -> None:
        self.operator = operator
        tokenizer = classifier.tokenizer
        # the model's own pad token: it is the one that a decoder passes over when it looks for the last real token
        self._substitute = tokenizer.mask_token_id if operator == "mask" else classifier.pad_id
        placeholders = (tokenizer.bos_token_id, tokenizer.eos_token_id, classifier.pad_id)
        self._placeholder = next(token for token in placeholders if token is not None)
        columns = [batch.input_ids, torch.ones_like(batch.input_ids)]
        if batch.token_type_ids is not None:
            columns.append(batch.token_type_ids)
        self._tokens = torch.stack(columns, dim=-1).cpu().numpy().astype(np.int32)
        self._lengths = batch.lengths().tolist()
        self._units = batch.units.cpu().numpy()
        self._contrast = None if batch.contrast is None else batch.contrast.cpu().numpy().astype(np.int32)

    def perturb(self, index: int, removed: NDArray[np.bool_]) -> Perturbations:
        """The example with sets of units removed.

        Where nothing at all would be left (a tokenizer that adds no special tokens), the beginning-of-text token, or
        else the end-of-text or pad token, stands alone: a model needs one position to say anything.

        Args:
            index: The example.
            removed: Sets of units, ``[sets, units]``.
        """
        length, sets = self._lengths[index], len(removed)
        tokens, units = self._tokens[index, :length], self._units[index, :length]
        contrast = None if self._contrast is None else np.repeat(self._contrast[index : index + 1], sets, axis=0)
        # units are numbered from 0; the -1 of special tokens takes the last column, and is then left alone
        gone: NDArray[np.bool_] = removed.take(units, axis=1) & (units >= 0)
        made = np.repeat(tokens[None], sets, axis=0)
        if self.operator != "delete":
            made[gone, 0] = self._substitute
        if self.operator == "pad":
            made[gone, 1] = 0
        nothing_left = np.zeros(sets, dtype=bool) if self.operator == "mask" else gone.all(axis=1)
        if self.operator != "delete" and not nothing_left.any():
            return Perturbations(made.reshape(-1, made.shape[2]), np.full(sets, length), contrast)
        made[nothing_left, 0, :2] = self._placeholder, 1
        left = ~gone if self.operator == "delete" else np.ones_like(gone)
        left[nothing_left] = np.arange(length) == 0
        return Perturbations(made[left], np.count_nonzero(left, axis=1), contrast)
