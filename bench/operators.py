"""Removing units from an input, on token ids: nothing is ever decoded and tokenised again."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import OperatorError, UnknownNameError

OperatorName = Literal["mask", "delete", "pad"]
OPERATORS: tuple[OperatorName, ...] = get_args(OperatorName)

IdArray = NDArray[np.int32]


class Perturbation(NamedTuple):
    """One perturbed input without padding; each array is ``[tokens]``, int32.

    Attributes:
        ids: Token ids.
        mask: Attention mask.
        types: Segment ids, or None.
        contrast: Token ids of the continuation and of the foil, ``[2]``; None where labels are classes.
    """

    ids: IdArray
    mask: IdArray
    types: IdArray | None
    contrast: IdArray | None = None


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
        self._lengths = batch.lengths().tolist()
        self._ids = batch.input_ids.cpu().numpy().astype(np.int32)
        self._units = batch.units.cpu().numpy()
        self._types = None if batch.token_type_ids is None else batch.token_type_ids.cpu().numpy().astype(np.int32)
        self._contrast = None if batch.contrast is None else batch.contrast.cpu().numpy().astype(np.int32)

    def perturb(self, index: int, removed: NDArray[np.bool_]) -> list[Perturbation]:
        """The example with sets of units removed.

        Where nothing at all would be left (a tokenizer that adds no special tokens), the beginning-of-text token, or
        else the end-of-text or pad token, stands alone: a model needs one position to say anything.

        Args:
            index: The example.
            removed: Sets of units, ``[sets, units]``.
        """
        length = self._lengths[index]
        ids, units = self._ids[index, :length], self._units[index, :length]
        types = None if self._types is None else self._types[index, :length]
        contrast = None if self._contrast is None else self._contrast[index]
        gone: NDArray[np.bool_] = removed[:, units] & (units >= 0)
        full = np.ones(length, dtype=np.int32)
        if self.operator == "mask":
            return [Perturbation(row, full, types, contrast) for row in np.where(gone, np.int32(self._substitute), ids)]
        nothing_left: NDArray[np.bool_] = np.all(gone, axis=1)
        if not nothing_left.any():
            if self.operator == "pad":
                masks = (~gone).astype(np.int32)
                padded = np.where(gone, np.int32(self._substitute), ids)
                return [Perturbation(row, mask, types, contrast) for row, mask in zip(padded, masks, strict=True)]
            whole = Perturbation(ids, full, types, contrast)
            return [self._delete(whole, left) for left in ~gone]
        empty = Perturbation(
            np.array([self._placeholder], dtype=np.int32), full[:1], None if types is None else types[:1], contrast
        )
        rows = []
        for k, gone_all in enumerate(nothing_left.tolist()):
            rows.append(empty if gone_all else self.perturb(index, removed[k : k + 1])[0])
        return rows

    @staticmethod
    def _delete(whole: Perturbation, left: NDArray[np.bool_]) -> Perturbation:
        short = whole.ids[left]
        return Perturbation(
            short, whole.mask[: len(short)], None if whole.types is None else whole.types[left], whole.contrast
        )
