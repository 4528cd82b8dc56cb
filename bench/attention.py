"""Reading and replacing attention through transformers' ``AttentionInterface``.

A model that uses the interface calls one function for the attention of every layer. For the length of one forward pass
that function is ours: it runs the architecture's own eager function, so that masks, soft caps and repeated key/value
heads are what the architecture means by them, checks that the output is indeed weights · values, and keeps or replaces
the weights. Nothing is patched: the implementation's name is set for the pass and set back after it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel
from transformers.masking_utils import eager_mask

from whybench.bench.errors import ParameterError, UnsupportedArchitectureError

INTERFACE = "whybench"
# float32 forwards of the eager function differ from weights · values by rounding alone
OUTPUT_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10, torch.bfloat16: 5e-2, torch.float16: 1e-2}

Replacement = Callable[[int, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class AttentionRecord:
    """The attention of one forward pass.

    Attributes:
        weights: Per layer ``[batch, heads, queries, keys]``; each row of a real token is a probability distribution.
        values: Per layer ``[batch, heads, keys, d_v]``; where key/value heads are shared, they are repeated to the
            query heads, so that a head's output is ``weights @ values``.
        allowed: Per layer ``[batch, 1 or heads, queries, keys]``, bool: the keys that a query may attend to (no
            padding, no future in a causal model, no position outside a sliding window).
    """

    weights: tuple[Tensor, ...]
    values: tuple[Tensor, ...]
    allowed: tuple[Tensor, ...]

    def detached(self) -> AttentionRecord:
        """The same without the graph that it was computed by, which can then be freed."""
        parts = (self.weights, self.values, self.allowed)
        return AttentionRecord(*(tuple(layer.detach() for layer in part) for part in parts))


@dataclass(eq=False)
class _Pass:
    replacement: Replacement | None = None
    weights: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)
    allowed: list[Tensor] = field(default_factory=list)

    def attend(
        self, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Attention of one layer, with the interface's arguments and results."""
        eager = getattr(sys.modules[type(module).__module__], "eager_attention_forward", None)
        if eager is None:
            raise UnsupportedArchitectureError(
                f"{type(module).__name__} uses transformers' AttentionInterface but its file defines no "
                "eager_attention_forward, so its attention cannot be read. Use a method that needs no attention."
            )
        output, weights = eager(module, query, key, value, mask, **kwargs)
        heads = query.shape[1]
        values = value.repeat_interleave(heads // value.shape[1], dim=1) if value.shape[1] != heads else value
        expected = (weights @ values).transpose(1, 2)
        scale = output.detach().abs().max().clamp_min(1e-6)
        error = float((expected - output).detach().abs().max() / scale)
        if not error <= OUTPUT_TOLERANCE.get(output.dtype, 1e-4):
            raise UnsupportedArchitectureError(
                f"{type(module).__name__} does more with its attention than weights · values (relative difference "
                f"{error:.1e}), so a matrix does not say what a head does. Use a method that needs no attention."
            )
        layer = len(self.weights)
        self.weights.append(weights)
        self.values.append(values)
        self.allowed.append(_allowed(mask, weights))
        if self.replacement is None:
            return output, weights
        replaced = self.replacement(layer, weights, values)
        if not isinstance(replaced, Tensor):
            raise ParameterError(
                f"the attention to put into layer {layer} is a {type(replaced).__name__}; give a tensor "
                "[batch, heads, queries, keys]."
            )
        if replaced.shape != weights.shape:
            raise ParameterError(
                f"the attention to put into layer {layer} has shape {list(replaced.shape)}; "
                f"the layer's own has {list(weights.shape)} ([batch, heads, queries, keys])."
            )
        replaced = replaced.to(weights.dtype)
        return (replaced @ values).transpose(1, 2).contiguous(), replaced


def _allowed(mask: Tensor | None, weights: Tensor) -> Tensor:
    if mask is None:
        return torch.ones(1, 1, 1, 1, dtype=torch.bool, device=weights.device).expand(
            weights.shape[0], 1, *weights.shape[2:]
        )
    # eager masks are added to the scores: 0 where allowed, the dtype's most negative number elsewhere
    return (mask > torch.finfo(mask.dtype).min / 2)[..., : weights.shape[-1]].expand(-1, -1, weights.shape[2], -1)


_current: ContextVar[_Pass | None] = ContextVar("whybench_attention_pass", default=None)


def _attend(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
) -> tuple[Tensor, Tensor]:
    running = _current.get()
    if running is None:
        raise RuntimeError(f"the {INTERFACE!r} attention implementation works only inside whybench's own passes")
    return running.attend(module, query, key, value, attention_mask, **kwargs)


AttentionInterface.register(INTERFACE, _attend)
AttentionMaskInterface.register(INTERFACE, eager_mask)


def check_attention(model: PreTrainedModel) -> None:
    """Check that the architecture has attention that can be read and replaced, as far as it says so.

    Raises:
        UnsupportedArchitectureError: It does not use transformers' AttentionInterface, or has an encoder and a decoder.
    """
    name = type(model).__name__
    if not model._can_set_attn_implementation():
        raise UnsupportedArchitectureError(
            f"{name} does not use transformers' AttentionInterface, so its attention can be neither read nor replaced. "
            "Use a method that needs no attention (whybench list methods)."
        )
    if model.config.is_encoder_decoder:
        raise UnsupportedArchitectureError(
            f"{name} has an encoder and a decoder; their attention does not form one sequence of layers over the text. "
            "Use a method that needs no attention (whybench list methods)."
        )


@contextmanager
def attention_pass(model: PreTrainedModel, replacement: Replacement | None = None) -> Iterator[_Pass]:
    """Run the model's forward passes in this block through the recording attention function.

    Args:
        model: The model.
        replacement: Given the layer's index, weights and values (as in `AttentionRecord`), the weights to use.

    Raises:
        UnsupportedArchitectureError: The architecture does not use transformers' AttentionInterface.
    """
    check_attention(model)
    before = model.config._attn_implementation
    running = _Pass(replacement)
    token = _current.set(running)
    try:
        model.set_attn_implementation(INTERFACE)
        yield running
    finally:
        model.set_attn_implementation(before)
        _current.reset(token)
    if not running.weights:
        raise UnsupportedArchitectureError(
            f"no layer of {type(model).__name__} has called transformers' AttentionInterface, so there is no attention "
            "to read or to replace. Use a method that needs no attention (whybench list methods)."
        )


def record_of(running: _Pass) -> AttentionRecord:
    """What a finished pass has seen."""
    return AttentionRecord(tuple(running.weights), tuple(running.values), tuple(running.allowed))


def by_layer(matrices: Sequence[Tensor | None]) -> Replacement:
    """A replacement that puts ``matrices[layer]`` in, and leaves a layer as it is where that is None."""

    def replace(layer: int, weights: Tensor, values: Tensor) -> Tensor:
        if layer >= len(matrices):
            raise ParameterError(f"{len(matrices)} attention matrices were given; the model has more layers than that.")
        matrix = matrices[layer]
        return weights if matrix is None else matrix

    return replace


def watching(seen: list[Tensor]) -> Replacement:
    """A replacement that leaves every layer as it is, and adds its weights to ``seen``, fit for a gradient."""

    def watch(layer: int, weights: Tensor, values: Tensor) -> Tensor:
        # With frozen parameters nothing before the first layer's weights has a gradient. They follow from this 0, and
        # are no leaf themselves, which torch's counter of operations could not have.
        seen.append(weights if weights.requires_grad else weights + weights.new_zeros((), requires_grad=True))
        return seen[-1]

    return watch
