"""A model's layers as transformers runs them, taken apart by hooks of the test's own: what the methods are held to."""

import copy
from dataclasses import dataclass
from operator import attrgetter

import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from whybench import Classifier
from whybench.bench.tiny_models import fresh_classifier
from whybench.tests.methods.test_methods import one

_BERT = {
    "layers": "base_model.encoder.layer",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "norm": "attention.output.LayerNorm",
    "first": "intermediate.dense",
    "activation": "intermediate.intermediate_act_fn",
    "second": "output.dense",
    "last": "output.LayerNorm",
}
_LLAMA = {"layers": "base_model.layers", "value": "self_attn.v_proj", "output": "self_attn.o_proj"}
PARTS = {
    "bert": _BERT,
    "roberta": _BERT,
    "electra": _BERT,
    "distilbert": {
        "layers": "base_model.transformer.layer",
        "value": "attention.v_lin",
        "output": "attention.out_lin",
        "norm": "sa_layer_norm",
        "first": "ffn.lin1",
        "activation": "ffn.activation",
        "second": "ffn.lin2",
        "last": "output_layer_norm",
    },
    "albert": {
        "value": "attention.value",
        "output": "attention.dense",
        "norm": "attention.LayerNorm",
        "first": "ffn",
        "activation": "activation",
        "second": "ffn_output",
        "last": "full_layer_layer_norm",
    },
    # queries, keys and values are one projection, of which values are the last third
    "modernbert": {"layers": "base_model.layers", "value": "attn.Wqkv", "output": "attn.Wo"},
    "gpt2": {"layers": "base_model.h", "value": "attn.c_attn", "output": "attn.c_proj"},
    "llama": _LLAMA,
    "qwen3": _LLAMA,
}
POST_NORM = ("bert", "roberta", "distilbert", "electra", "albert")
# architectures of no tiny model that are built like one of them
LIKE = {"xlm-roberta": "roberta", "camembert": "roberta", "ernie": "bert", "mistral": "llama", "qwen2": "llama"}


@dataclass
class PlainLayer:
    """One layer and one text, without padding.

    Attributes:
        module: The layer.
        inputs, outputs: Its hidden states, ``[tokens, hidden]``.
        attention: ``[heads, queries, keys]``.
        values: ``[heads, keys, d_v]``, repeated where heads share them.
    """

    module: nn.Module
    inputs: Tensor
    outputs: Tensor
    attention: Tensor
    values: Tensor
    family: str

    def part(self, name: str) -> nn.Module:
        return attrgetter(PARTS[self.family][name])(self.module)

    def carried(self, query: int, key: int) -> Tensor:
        """What attention carries from key to query, Σ_h α v W_O, ``[hidden]``."""
        output = self.part("output")
        weight = output.weight.T if isinstance(output, nn.Linear) else output.weight
        heads, _, size = self.values.shape
        total = torch.zeros(weight.shape[1], dtype=weight.dtype)
        for head in range(heads):
            rows = weight[head * size : (head + 1) * size]
            total += self.attention[head, query, key] * (self.values[head, key] @ rows)
        return total


def related_classifier(kind):
    """A classifier of one of the architectures in `LIKE`, in float64, with weights that are drawn."""
    like = fresh_classifier(LIKE[kind])
    settings = like.model.config.to_dict()
    for own in ("model_type", "architectures", "transformers_version", "rope_parameters", "layer_types"):
        settings.pop(own, None)
    model = AutoModelForSequenceClassification.from_config(CONFIG_MAPPING[kind](**settings))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            parameter.copy_(0.3 * noise if parameter.dim() > 1 else 1 + 0.2 * noise)
    return Classifier(model.double(), like.tokenizer, name=f"tiny-{kind}")


def modules_of(model, family):
    """The modules of the layers, in the order in which they run; ALBERT's is one."""
    if family == "albert":
        return [model.base_model.encoder.albert_layer_groups[0].albert_layers[0]] * model.config.num_hidden_layers
    return list(attrgetter(PARTS[family]["layers"])(model))


def plain_layers(classifier, text, *, without=None):
    """All layers of one text; ``without``: a layer and a token whose value vector is zeroed there."""
    family = classifier.model.config.model_type
    model = copy.deepcopy(classifier.model)
    model.set_attn_implementation("eager")
    modules = modules_of(model, family)
    values, states = [], []

    def valued(_, __, output):
        if without is not None and len(values) == without[0]:
            width = output.shape[-1] // (3 if family in ("modernbert", "gpt2") else 1)
            output = output.clone()
            output[:, without[1], -width:] = 0
        values.append(output[0])
        return output

    def ran(_, given, named, output):
        inputs = given[0] if given else named["hidden_states"]
        states.append((inputs[0], (output[0] if isinstance(output, tuple) else output)[0]))

    for module in dict.fromkeys(modules):
        attrgetter(PARTS[family]["value"])(module).register_forward_hook(valued)
        module.register_forward_hook(ran, with_kwargs=True)
    ids, inputs = one(classifier, text)
    with torch.no_grad():
        attentions = model(input_ids=ids, **inputs, output_attentions=True).attentions
    layers = []
    for module, value, (before, after), attention in zip(modules, values, states, attentions, strict=True):
        heads = attention.shape[1]
        if family in ("modernbert", "gpt2"):
            value = value[:, -value.shape[1] // 3 :]
        size = getattr(model.config, "head_dim", None) or before.shape[-1] // heads
        split = value.unflatten(1, (-1, size)).transpose(0, 1)
        split = split.repeat_interleave(heads // len(split), dim=0)
        layers.append(PlainLayer(module, before, after, attention[0], split, family))
    return layers


def plain_aggregate(maps, readout, aggregation, *, residual, stochastic):
    """Token scores from maps ``[queries, keys]``, by products of whole matrices."""
    n = len(readout)
    if stochastic:
        maps = [layer / layer.sum(dim=1, keepdim=True) for layer in maps]
    if aggregation == "readout":
        scores = readout @ maps[-1]
    elif aggregation == "mean":
        scores = torch.stack(maps).mean(dim=(0, 1))
    else:
        rolled = torch.eye(n, dtype=torch.float64)
        for layer in maps:
            rolled = (layer if residual else 0.5 * layer + 0.5 * torch.eye(n)) @ rolled
        scores = readout @ rolled
    return scores / scores.sum()
