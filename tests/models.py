"""The tiny models of ``whybench.bench.tiny_models``, and what the tests alone want of them."""

import torch

from whybench.bench.tiny_models import (
    DECODERS,
    ENCODERS,
    FAMILIES,
    HEADS,
    LAYERS,
    MAX_LENGTH,
    PAIRS,
    READOUT,
    TEXTS,
    UNSUPPORTED,
    build_config,
    build_model,
    build_tokenizer,
    byte_level,
    fresh_classifier,
    tiny_classifier,
    wrap,
)

__all__ = [
    "DECODERS",
    "ENCODERS",
    "FAMILIES",
    "HEADS",
    "LAYERS",
    "MAX_LENGTH",
    "PAIRS",
    "READOUT",
    "TEXTS",
    "UNSUPPORTED",
    "build_config",
    "build_model",
    "build_tokenizer",
    "byte_level",
    "fresh_classifier",
    "state_of",
    "tiny_classifier",
    "wrap",
]


def state_of(model) -> dict:
    """Everything that an explanation must leave as it was: to be compared with ``==``."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "weights": {name: hash(tensor.detach().numpy().tobytes()) for name, tensor in model.state_dict().items()},
        "training": [module.training for module in model.modules()],
        "hooks": [len(getattr(module, kind)) for module in model.modules() for kind in hooks],
        "requires_grad": [parameter.requires_grad for parameter in model.parameters()],
        "gradients": [parameter.grad is None for parameter in model.parameters()],
        "attention": model.config._attn_implementation,
        "config": model.config.to_json_string(),
        "modes": (torch.is_grad_enabled(), torch.is_inference_mode_enabled()),
    }
