"""Another derivative for some of a model's operations, for the length of a block.

A mode of torch's sees every function that the model calls, and leaves no trace on the model, its classes or torch. The
values stay what the model computes; only what flows back through an operation is by a rule.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

Rule = Callable[..., Tensor]
"""Given the function and its arguments, its result."""

# Scores below this share of the smallest number are masked out
_MASKED = 0.25


class Operations(TorchFunctionMode):
    """Runs the functions that it has a rule for by that rule, where something that they are given has a gradient.

    Attributes:
        rules: By a function's name (``softmax`` for ``torch.softmax``, ``F.softmax`` and ``Tensor.softmax``).
        used: How often each rule was used.
    """

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        super().__init__()
        self.rules = rules
        self.used: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Called by torch in place of every function."""
        kwargs = kwargs or {}
        name = name_of(func)
        rule = self.rules.get(name)
        if rule is None or not any(isinstance(one, Tensor) and one.requires_grad for one in (*args, *kwargs.values())):
            return func(*args, **kwargs)
        self.used[name] += 1
        if "input" in kwargs:  # torch's name for the first argument
            kwargs = dict(kwargs)
            args = (kwargs.pop("input"), *args)
        return rule(func, *args, **kwargs)


def name_of(func: Any) -> str:
    """A function's name: ``mul`` for ``Tensor.__mul__``, but ``mul_`` for the one that changes its argument."""
    return str(getattr(func, "__name__", "")).removeprefix("__").removesuffix("__")


def with_gradient_of(value: Tensor, other: Tensor) -> Tensor:
    """The value, and the derivative of the other one, which must be finite."""
    return value.detach() + (other - other.detach()).to(value.dtype)


def norm_rules(normed: Callable[[Tensor, tuple[int, ...], float], Tensor]) -> dict[str, Rule]:
    """Rules for torch's norms, which are one function of what is normalised and its weights.

    Args:
        normed: ``x / √(mean x² + eps)`` with the derivative that is wanted, given x, its last dimensions and eps.
    """

    def layer_norm(
        func: Any,
        x: Tensor,
        normalized_shape: Any,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        dims = tuple(range(-len(normalized_shape), 0))
        made = normed(x - x.mean(dim=dims, keepdim=True), dims, eps)
        return with_gradient_of(func(x, normalized_shape, weight, bias, eps), made if weight is None else made * weight)

    def rms_norm(
        func: Any, x: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None
    ) -> Tensor:
        dims = tuple(range(-len(normalized_shape), 0))
        made = normed(x, dims, torch.finfo(x.dtype).eps if eps is None else eps)
        return with_gradient_of(func(x, normalized_shape, weight, eps), made if weight is None else made * weight)

    return {"layer_norm": layer_norm, "rms_norm": rms_norm}


def unmasked(scores: Tensor) -> Tensor:
    """Scores with 0 in place of what is masked out: minus infinity, or the like."""
    return scores.masked_fill(scores < _MASKED * torch.finfo(scores.dtype).min, 0.0)


def attention_by(
    product: Callable[[Tensor, Tensor], Tensor],
    softmax: Callable[[Tensor], Tensor],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """Torch's ``scaled_dot_product_attention``, its arguments and result, from two products and a softmax.

    Args:
        product: Matrix product.
        softmax: Softmax over the last dimension.
        query: ``[batch, heads, queries, d]``.
        key: ``[batch, heads or fewer, keys, d]``.
        value: ``[batch, heads or fewer, keys, d_v]``.
        attn_mask: Of what broadcasts to ``[batch, heads, queries, keys]``: True where allowed, or what is added.
        dropout_p: Not used: a classifier is in eval mode.
        is_causal: Whether a query attends to no later key.
        scale: Factor of the scores; None takes ``1/√d``.
        enable_gqa: Whether keys and values are shared among heads.
    """
    if enable_gqa:
        key, value = (shared.repeat_interleave(query.shape[1] // shared.shape[1], dim=1) for shared in (key, value))
    scores = product(query, key.transpose(-2, -1)) * (query.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, torch.finfo(scores.dtype).min)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return product(softmax(scores), value)
