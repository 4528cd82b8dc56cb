"""What an explanation must leave as it was of a model; the tiny models are those of ``whybench.bench.tiny_models``."""

import torch


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
