"""What stands behind the attention of every layer: projections, residual connections, norms and feed-forward parts.

One forward pass records each layer's input, attention weights and value vectors; the rest follows from the layer's own
weights. With s the sum that leaves the attention block, ``s_i = x_i + Σ_j Σ_h α_ij^h v_j^h W_O^h + b_O``:

- post-norm layers (BERT and its like): ``z = LN1(s)``, output ``LN2(z + FFN(z))``;
- pre-norm layers (GPT-2, Llama, ModernBERT): output ``s + FFN(LN2(s))``; their values come from ``LN1(x)``.

Everything is float32 at least, whatever the model's precision, and 0 on padding.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import linear

# Most numbers of one tensor per pair of tokens: 128 MiB of float32
BUDGET = 2**25


@dataclass(frozen=True, eq=False)
class Affine:
    """``x W + b``; ``weight`` is ``[in, out]``, ``bias`` ``[out]``, 0 where the module has none."""

    weight: Tensor
    bias: Tensor

    def __call__(self, states: Tensor) -> Tensor:
        return linear(states, self.weight.T, self.bias)


@dataclass(frozen=True, eq=False)
class Norm:
    """Layer normalisation, ``LN(s) = centred(s) · scale(s) + bias``: linear but for the scale.

    Attributes:
        weight: γ, ``[hidden]``.
        bias: β, ``[hidden]``; 0 where there is none.
        epsilon: Added to the variance.
    """

    weight: Tensor
    bias: Tensor
    epsilon: float

    def centred(self, vectors: Tensor) -> Tensor:
        """γ ⊙ (v − mean of v), the linear part: ``[..., hidden]``."""
        return (vectors - vectors.mean(dim=-1, keepdim=True)) * self.weight

    def scale(self, states: Tensor) -> Tensor:
        """One over the standard deviation of the states that are normalised, ``[..., 1]``."""
        return (states.var(dim=-1, unbiased=False, keepdim=True) + self.epsilon).rsqrt()

    def __call__(self, states: Tensor) -> Tensor:
        return self.centred(states) * self.scale(states) + self.bias


@dataclass(frozen=True, eq=False)
class Block(ABC):
    """One layer in one forward pass.

    Attributes:
        inputs: What enters the layer, and what the residual connection carries, ``[batch, tokens, hidden]``.
        weights: Attention, ``[batch, heads, queries, keys]``.
        values: Value vectors, their bias included, ``[batch, heads, keys, d_v]``.
        output: W_O and b_O.
    """

    inputs: Tensor
    weights: Tensor
    values: Tensor
    output: Affine

    def projections(self) -> Tensor:
        """``f^h(x_j) = v_j^h W_O^h``, ``[batch, keys, heads, hidden]``."""
        return torch.einsum("bhkv,hvd->bkhd", self.values, self.head_weights())

    def head_weights(self) -> Tensor:
        """W_O's part of each head, ``[heads, d_v, hidden]``."""
        heads, size = self.values.shape[1], self.values.shape[3]
        return self.output.weight.reshape(heads, size, -1)

    def attended(self) -> Tensor:
        """The sum s that leaves the attention block, before any norm, ``[batch, tokens, hidden]``."""
        mixed = (self.weights @ self.values).transpose(1, 2).flatten(2)
        return self.inputs + self.output(mixed)

    @abstractmethod
    def finish(self, states: Tensor) -> Tensor:
        """The layer's output where ``states`` ``[..., hidden]`` leave the attention block."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Numbers per token that `finish` needs at the same time."""


@dataclass(frozen=True, eq=False)
class PostNormBlock(Block):
    """A layer whose norms come after its residual connections.

    Attributes:
        value: W_V and b_V.
        norm: LN1.
        first, activation, second: The feed-forward part.
        last_norm: LN2.
    """

    value: Affine
    norm: Norm
    first: Affine
    activation: Callable[[Tensor], Tensor]
    second: Affine
    last_norm: Norm

    def fed_forward(self, states: Tensor) -> Tensor:
        """``z + FFN(z)``, which LN2 normalises, for states z behind LN1, ``[..., hidden]``."""
        return states + self.second(self.activation(self.first(states)))

    def finish(self, states: Tensor) -> Tensor:
        """LN2 of the feed-forward part and its residual connection; see `Block.finish`."""
        return self.last_norm(self.fed_forward(self.norm(states)))

    @property
    def width(self) -> int:
        """The feed-forward part's; see `Block.width`."""
        return self.first.weight.shape[1]


@dataclass(frozen=True, eq=False)
class PreNormBlock(Block):
    """A layer whose norms come before attention and feed-forward part."""

    norm: nn.Module
    feed_forward: nn.Module

    def finish(self, states: Tensor) -> Tensor:
        """The states and the feed-forward part of their norm; see `Block.finish`."""
        return states + _run(self.feed_forward, _run(self.norm, states))

    @property
    def width(self) -> int:
        """The feed-forward part's widest layer; see `Block.width`."""
        return max(max(weight.shape) for weight in self.feed_forward.parameters())


def chunks(examples: int, tokens: int, width: int) -> Iterator[tuple[slice, slice]]:
    """Slices of examples and of tokens whose ``[examples, tokens, all tokens, width]`` keeps within `BUDGET`."""
    most = max(1, BUDGET // max(1, tokens * width))
    rows, columns = max(1, most // tokens), min(most, tokens)
    for row in range(0, examples, rows):
        for column in range(0, tokens, columns):
            yield slice(row, row + rows), slice(column, column + columns)


def wide(tensor: Tensor) -> Tensor:
    return tensor.detach().to(torch.promote_types(tensor.dtype, torch.float32))


def _run(module: nn.Module, states: Tensor) -> Tensor:
    """The module with its weights in the states' precision; the module itself stays as it is."""
    weights = {name: wide(weight) for name, weight in module.named_parameters()}
    result: Tensor = functional_call(module, weights, (states,))
    return result
