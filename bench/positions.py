"""Where a model places its tokens, and whether they stay there when one in the middle is padded out.

Most models number their tokens from left to right. Some count them instead by the pad token (RoBERTa's kin) or by the
attention mask (OPT's positions, BLOOM's distances), so that a token which the mask takes out moves all that follow.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

# The probe's text: its last token is padding in any case, so that the model always makes a mask; HOLE is in the middle
LENGTH, HOLE = 6, 2
# What the first token's position may be called by
FIRST_POSITIONS = range(3)


class Positions(NamedTuple):
    """How the tokens get their positions.

    Attributes:
        first: The first token's position, where positions have to be given to the model; None: it has its own.
        stay: Whether the other tokens stay where they are when the attention mask takes one out.
    """

    first: int | None
    stay: bool


def position_offset(model: PreTrainedModel) -> int:
    """First position of a real token in models (RoBERTa's kin) that derive positions from the pad id, else 0."""
    maker = "create_position_ids_from_input_ids"  # a method of the embeddings, or a function of their file
    for module in model.modules():
        if (
            hasattr(module, "padding_idx")
            and hasattr(module, "position_embeddings")
            and (hasattr(module, maker) or hasattr(sys.modules[type(module).__module__], maker))
        ):
            return int(module.padding_idx) + 1  # type: ignore[arg-type]
    return 0


def positions_of(model: PreTrainedModel, token_id: int) -> Positions:
    """Find out how the model places its tokens, by asking it.

    What the first layer is given of the tokens that stay is compared, with and without a token taken out in the middle.
    No token has seen another one by then, so that nothing but positions can make a difference: it is 0 to the last bit,
    or they have moved. The model runs no further than that.

    Args:
        model: The model.
        token_id: Any token but a special one.
    """
    first = position_offset(model) or None
    whole = _given_to_first_layer(model, token_id, hole=False, first=first)
    if _same(whole, _given_to_first_layer(model, token_id, hole=True, first=first)):
        return Positions(first, True)
    if "position_ids" in inspect.signature(model.forward).parameters:
        for other in FIRST_POSITIONS:
            if _same(whole, _given_to_first_layer(model, token_id, hole=True, first=other)):
                return Positions(other, True)
    return Positions(first, False)


def position_ids(input_ids: Tensor, first: int) -> Tensor:
    """Positions from left to right, ``[batch, tokens]``, whatever the ids and the mask."""
    return (torch.arange(input_ids.shape[1], device=input_ids.device) + first).expand_as(input_ids)


class _ReachedError(Exception):
    """The first layer was reached: the model need not run on."""


@torch.no_grad()
def _given_to_first_layer(model: PreTrainedModel, token_id: int, *, hole: bool, first: int | None) -> list[Tensor]:
    """The tensors that the first layer gets, only what they hold of the tokens that are never taken out."""
    ids = torch.full((1, LENGTH), token_id, device=model.device)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    inputs["attention_mask"][0, [HOLE, LENGTH - 1] if hole else [LENGTH - 1]] = 0
    if first is not None:
        inputs["position_ids"] = position_ids(ids, first)
    given: list[Tensor] = []

    def stop(_: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tensors = list(_tensors((args, kwargs)))
        if any(tensor.is_floating_point() and tensor.dim() > 1 for tensor in tensors):
            given.extend(tensors)
            raise _ReachedError

    stacks = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    handles = [layer.register_forward_pre_hook(stop, with_kwargs=True) for stack in stacks for layer in stack]
    try:
        model(**inputs)
    except _ReachedError:
        pass
    finally:
        for handle in handles:
            handle.remove()
    hidden = next((tensor for tensor in given if tensor.is_floating_point() and tensor.dim() > 1), None)
    # Some models (Longformer) pad the text themselves; some put the tokens first (XLNet)
    width = LENGTH if hidden is None else next((size for size in hidden.shape[:2] if size >= LENGTH), LENGTH)
    kept = torch.tensor([i for i in range(LENGTH - 1) if i != HOLE], device=model.device)
    return [_select(tensor, width, kept) for tensor in given]


def _tensors(given: Any) -> Iterator[Tensor]:
    """All tensors in nested arguments."""
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, (tuple, list)):
        for part in given:
            yield from _tensors(part)
    elif isinstance(given, dict):
        for key in sorted(given, key=str):
            yield from _tensors(given[key])


def _select(tensor: Tensor, width: int, kept: Tensor) -> Tensor:
    """The tensor at the tokens that are kept: in every dimension that has one entry for each token."""
    for dimension, size in enumerate(tensor.shape):
        if size == width:
            tensor = tensor.index_select(dimension, kept.to(tensor.device))
    return tensor


def _same(some: list[Tensor], others: list[Tensor]) -> bool:
    return len(some) == len(others) and all(map(torch.equal, some, others))
