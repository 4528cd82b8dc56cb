"""whybench: which explanation of a transformer text model can I trust, and what does it cost?

The public names are loaded when they are first used, so that ``import whybench`` imports no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from whybench.bench.batch import Batch
    from whybench.bench.classifier import Classifier
    from whybench.bench.errors import WhybenchError
    from whybench.bench.evaluate_metrics import load_metric
    from whybench.bench.method import Attribution, Method
    from whybench.bench.next_token import NextTokenModel
    from whybench.bench.registry import load_method, load_task
    from whybench.bench.scoring import score
    from whybench.bench.task import Example, Roles, Span, Task, TaskData
    from whybench.methods._gradient_pass import gradient_maps

_HOMES = {
    "Attribution": "method",
    "Batch": "batch",
    "Classifier": "classifier",
    "Example": "task",
    "Method": "method",
    "NextTokenModel": "next_token",
    "Roles": "task",
    "Span": "task",
    "Task": "task",
    "TaskData": "task",
    "WhybenchError": "errors",
    # the only one outside bench/
    "gradient_maps": ".methods._gradient_pass",
    "load_method": "registry",
    "load_metric": "evaluate_metrics",
    "load_task": "registry",
    "score": "scoring",
}

__all__ = [
    "Attribution",
    "Batch",
    "Classifier",
    "Example",
    "Method",
    "NextTokenModel",
    "Roles",
    "Span",
    "Task",
    "TaskData",
    "WhybenchError",
    "__version__",
    "gradient_maps",
    "load_method",
    "load_metric",
    "load_task",
    "score",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("whybench")
    if name in _HOMES:
        value = getattr(importlib.import_module(f".{_HOMES[name]}", "whybench.bench"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'whybench' has no attribute {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted(__all__)
