"""Reading the blocks of a model's layers, in one forward pass, for the architectures whose parts are known by name."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.errors import UnsupportedArchitectureError
from whybench.methods._blocks import Affine, Block, Norm, PostNormBlock, PreNormBlock, wide

# Where a post-norm layer has: value projection, W_O, LN1, the feed-forward part's first half, activation and second
# half, LN2
_BERT = (
    "attention.self.value",
    "attention.output.dense",
    "attention.output.LayerNorm",
    "intermediate.dense",
    "intermediate.intermediate_act_fn",
    "output.dense",
    "output.LayerNorm",
)
_DISTILBERT = (
    *("attention.v_lin", "attention.out_lin", "sa_layer_norm"),
    *("ffn.lin1", "ffn.activation", "ffn.lin2", "output_layer_norm"),
)
_ALBERT = (
    *("attention.value", "attention.dense", "attention.LayerNorm"),
    *("ffn", "activation", "ffn_output", "full_layer_layer_norm"),
)
_POST_NORM: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("bert", "roberta", "electra", "xlm-roberta", "camembert", "ernie"), _BERT),
    "distilbert": _DISTILBERT,
    "albert": _ALBERT,
}
# Where a pre-norm layer has: W_O, LN2, the feed-forward part
_LLAMA = ("self_attn.o_proj", "post_attention_layernorm", "mlp")
_PRE_NORM: dict[str, tuple[str, ...]] = {
    "modernbert": ("attn.Wo", "mlp_norm", "mlp"),
    "gpt2": ("attn.c_proj", "ln_2", "mlp"),
    **dict.fromkeys(("llama", "qwen3", "mistral", "qwen2"), _LLAMA),
}
POST_NORM = tuple(_POST_NORM)
ALL = (*POST_NORM, *_PRE_NORM)


def blocks(classifier: Classifier, batch: Batch) -> tuple[Block, ...]:
    """Every layer of one forward pass, without gradients.

    Raises:
        UnsupportedArchitectureError: The model's layers are built in another way than its type says.
    """
    layers, inputs = [], []

    def keep(layer: nn.Module, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        layers.append(layer)
        inputs.append(given[0] if given else named["hidden_states"])

    kind = classifier.model.config.model_type
    paths = (_POST_NORM | _PRE_NORM)[kind]
    parts_of = attrgetter(*paths)
    handles = []
    try:
        for module in classifier.model.base_model.modules():
            if _has(module, paths):
                handles.append(module.register_forward_pre_hook(keep, with_kwargs=True))
        with torch.no_grad():
            record = classifier.attention(batch)
    finally:
        for handle in handles:
            handle.remove()
    if len(layers) != len(record.weights):
        raise UnsupportedArchitectureError(
            f"{classifier.name} is of the type {kind!r}, but {len(layers)} of its {len(record.weights)} layers have "
            f"the parts that it stands for ({', '.join(paths)}). Use a method that needs no weights behind attention."
        )
    real = batch.attention_mask.bool()

    def block(layer: nn.Module, states: Tensor, weights: Tensor, values: Tensor) -> Block:
        seen = (
            wide(states).masked_fill(~real[:, :, None], 0),
            wide(weights).masked_fill(~real[:, None, :, None], 0),
            wide(values).masked_fill(~real[:, None, :, None], 0),
        )
        parts = parts_of(layer)
        if kind in _PRE_NORM:
            return PreNormBlock(*seen, affine(parts[0]), *parts[1:])
        value, output, norm, first, activation, second, last = parts
        feed_forward = (affine(first), activation, affine(second))
        return PostNormBlock(*seen, affine(output), affine(value), _norm(norm), *feed_forward, _norm(last))

    with torch.no_grad():
        return tuple(map(block, layers, inputs, record.weights, record.values))


def _has(module: nn.Module, paths: tuple[str, ...]) -> bool:
    try:
        attrgetter(*paths)(module)
    except AttributeError:
        return False
    return True


def affine(module: nn.Module) -> Affine:
    """A projection's weights.

    Raises:
        UnsupportedArchitectureError: They are not known to be those of ``x W + b``.
    """
    if not isinstance(module, nn.Linear | Conv1D):
        raise UnsupportedArchitectureError(
            f"a projection is a {type(module).__name__}, whose weights are not known to be x W + b. Load the model "
            "without adapters and without quantisation."
        )
    weight = wide(module.weight)
    weight = weight.T if isinstance(module, nn.Linear) else weight
    return Affine(weight, weight.new_zeros(weight.shape[1]) if module.bias is None else wide(module.bias))


def _norm(module: nn.LayerNorm) -> Norm:
    weight = wide(module.weight)
    return Norm(weight, torch.zeros_like(weight) if module.bias is None else wide(module.bias), module.eps)
