"""The outputs of a model's layers, with the graph that they were computed by."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from whybench.bench.errors import UnsupportedArchitectureError


@dataclass(eq=False)
class LayerOutputs:
    """What the members of a model's lists of modules returned, list by list, the outermost list first."""

    model: str
    stacks: list[list[Tensor]] = field(default_factory=list)

    def of(self, layers: int) -> list[Tensor]:
        """The outputs ``[batch, tokens, hidden]`` of this many layers, from the first to the last.

        Raises:
            UnsupportedArchitectureError: No list of modules has run so often.
        """
        for outputs in self.stacks:
            if len(outputs) == layers:
                return outputs
        raise UnsupportedArchitectureError(
            f"{self.model} has {layers} layers of attention, and no list of modules that ran so often, so what its "
            "layers return cannot be told. Use a method that needs no hidden states."
        )


@contextmanager
def layer_outputs(model: PreTrainedModel) -> Iterator[LayerOutputs]:
    """Keep what the layers return in this block; the hooks are gone after it.

    Not transformers' ``output_hidden_states``: it leaves hooks on the model for good.
    """
    kept = LayerOutputs(type(model).__name__)
    handles = []
    for stack in model.modules():
        if isinstance(stack, nn.ModuleList):
            outputs: list[Tensor] = []
            kept.stacks.append(outputs)

            def keep(_: nn.Module, __: Any, output: Any, outputs: list[Tensor] = outputs) -> None:
                hidden = output[0] if isinstance(output, tuple) else output
                if isinstance(hidden, Tensor) and hidden.dim() == 3:
                    outputs.append(hidden)

            # one handle per list member, also where a model shares a layer and runs it several times
            handles += [layer.register_forward_hook(keep) for layer in stack]
    try:
        yield kept
    finally:
        for handle in handles:
            handle.remove()
