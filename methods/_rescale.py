"""DeepLIFT's multipliers for a pass over pairs of inputs: each operation's derivative is a quotient of differences.

A pass has the inputs in the first half of its rows and their baselines in the second. An operation's multiplier is such
that it times the difference of what goes in is the difference of what comes out, exactly. So is, by the chain rule, the
multiplier of the whole model.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from whybench.methods._operations import Operations, Rule, attention_by, name_of, norm_rules, unmasked, with_gradient_of

# Closer than this, the derivative in the middle is nearer to the quotient than float64's quotient of differences
_NEAR = 1e-5


def rescale() -> Operations:
    """A mode in which the model's operations have DeepLIFT's multipliers; rows as in this module's docstring."""
    rules: dict[str, Rule] = {
        **dict.fromkeys(_CURVES, _elementwise),
        "mul": _product,
        "rmul": _product,
        "matmul": _product,
        "rmatmul": _product,
        "bmm": _product,
        "baddbmm": _product_added,
        "div": _quotient,
        "truediv": _quotient,
        "rdiv": _reciprocal,
        "rtruediv": _reciprocal,
        "softmax": _softmax,
        "scaled_dot_product_attention": _attention,
        **norm_rules(_normed),
    }
    return Operations(rules)


# Functions of one number; those that have no scale of their own are told apart by the share of the difference
_SCALE_FREE = ("pow", "square", "sqrt", "rsqrt", "reciprocal")
_CURVES = (
    *_SCALE_FREE,
    *("relu", "gelu", "silu", "mish", "tanh", "sigmoid", "exp", "erf", "elu", "selu", "leaky_relu", "softplus"),
    *("relu6", "hardtanh", "hardswish", "logsigmoid", "log", "abs"),
)


def _halves(x: Tensor) -> tuple[Tensor, Tensor]:
    first, second = x.detach().chunk(2)
    return first, second


def _both(half: Tensor) -> Tensor:
    return torch.cat((half, half))


def _middle(x: Tensor) -> Tensor:
    """The mean of input and baseline, in both halves, without a gradient."""
    first, second = _halves(x)
    return _both((first + second) / 2)


def _elementwise(func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A function of one number: the rescale rule, Δout/Δin."""
    if "inplace" in kwargs:
        kwargs["inplace"] = False
    first, second = (half.double() for half in _halves(x))
    difference, middle = first - second, (first + second) / 2
    with torch.enable_grad():
        leaf = middle.clone().requires_grad_()
        (derivative,) = torch.autograd.grad(func(leaf, *args, **kwargs).sum(), leaf)
    scale = middle.abs() if name_of(func) in _SCALE_FREE else torch.ones_like(middle)
    near = difference.abs() <= _NEAR * scale
    change = func(first, *args, **kwargs) - func(second, *args, **kwargs)
    slope = torch.where(near, derivative, change / difference.masked_fill(near, 1.0))
    return with_gradient_of(func(x, *args, **kwargs), x * _both(slope).to(x.dtype))


def _product(func: Any, one: Tensor, other: Any, *args: Any, **kwargs: Any) -> Tensor:
    """A product of two things that both depend on the input: ``Δ(ab) = b̄ Δa + ā Δb``, with the means of the pair."""
    value: Tensor = func(one, other, *args, **kwargs)
    if not (isinstance(other, Tensor) and isinstance(one, Tensor) and one.requires_grad and other.requires_grad):
        return value
    return with_gradient_of(value, func(one, _middle(other)) + func(_middle(one), other))


def _product_added(
    func: Any, x: Tensor, batch1: Tensor, batch2: Tensor, *, beta: float = 1, alpha: float = 1
) -> Tensor:
    """``beta · x + alpha · batch1 @ batch2``, as BLOOM's attention has it."""
    linear = beta * x + alpha * _product(torch.bmm, batch1, batch2)
    return with_gradient_of(func(x, batch1, batch2, beta=beta, alpha=alpha), linear)


def _quotient(func: Any, one: Tensor, other: Any, *args: Any, **kwargs: Any) -> Tensor:
    """A quotient whose denominator depends on the input, as a product with its reciprocal."""
    if not (isinstance(other, Tensor) and other.requires_grad):
        result: Tensor = func(one, other, *args, **kwargs)
        return result
    inverse = _elementwise(torch.reciprocal, other)
    product = _product(torch.mul, one, inverse) if isinstance(one, Tensor) else inverse * one
    return with_gradient_of(func(one, other, *args, **kwargs), product)


def _reciprocal(func: Any, x: Tensor, other: Any) -> Tensor:
    """A number divided by what depends on the input."""
    return with_gradient_of(func(x, other), _elementwise(torch.reciprocal, x) * other)


def _softmax(func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """``Δy_i = m_i (Δx_i − Σ_j m_j Δx_j / Σ_j m_j)``, m the logarithmic mean of the pair's y.

    It follows from ``Δy_i = m_i Δ log y_i``, ``log y_i = x_i − log Σ_j exp x_j`` and ``Σ_i Δy_i = 0``.
    """
    value: Tensor = func(x, *args, **kwargs)
    dim = kwargs.get("dim", args[0] if args else -1)
    dim = -1 if dim is None else dim
    (first, second), (log_first, log_second) = (
        [kind(half.double(), dim=dim) for half in _halves(x)] for kind in (torch.softmax, torch.log_softmax)
    )
    # where both are 0 the logarithms say nothing
    gone = (first == 0) & (second == 0)
    difference = (log_first - log_second).masked_fill(gone, 0.0)
    near = difference.abs() <= _NEAR
    mean = torch.where(near, (first * second).sqrt(), (first - second) / difference.masked_fill(near, 1.0))
    multiplier = _both(mean).to(x.dtype)
    share = _both(mean / mean.sum(dim=dim, keepdim=True)).to(x.dtype)
    scores = unmasked(x)
    return with_gradient_of(value, multiplier * (scores - (share * scores).sum(dim=dim, keepdim=True)))


def _normed(x: Tensor, dims: tuple[int, ...], eps: float) -> Tensor:
    """``x / √(mean x² + eps)``, as a product with the reciprocal root of a mean of products."""
    square = _product(torch.mul, x, x).mean(dim=dims, keepdim=True)
    return _product(torch.mul, x, _elementwise(torch.rsqrt, square + eps))


def _attention(func: Any, *args: Any, **kwargs: Any) -> Tensor:
    """Torch's fused attention, from parts."""
    return attention_by(
        lambda one, other: _product(torch.matmul, one, other),
        lambda scores: _softmax(torch.softmax, scores, dim=-1),
        *args,
        **kwargs,
    )
