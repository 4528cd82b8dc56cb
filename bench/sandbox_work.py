"""The trusted part of a process that runs a submitted method: it loads the model, and asks for the scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from whybench.bench.errors import MethodError
from whybench.bench.method import Method
from whybench.bench.registry import load_method
from whybench.bench.runner import MODELS
from whybench.bench.scoring import check_shape, unrankable
from whybench.bench.task import Example

SCORES = "scores.bin"


def work(job: Mapping[str, Any], folder: Path) -> Callable[[], dict[str, Any]]:
    """Load the model and encode the examples; what is returned runs the method.

    The job has the ``model`` (``kind``, ``source``, ``revision``, ``device``, ``dtype``), the ``examples``, the
    ``target`` of each, ``unit`` and ``operator``, the ``seed``, and the ``method``, a name or a file in the folder,
    with its ``parameters``. The scores are written as float64, ``[examples, tokens]``.
    """
    model = job["model"]
    kind = MODELS[model["kind"]]
    classifier = kind.from_pretrained(
        model["source"], revision=model["revision"], device=model["device"], dtype=getattr(torch, model["dtype"])
    )
    batch = classifier.encode_examples([Example(**example) for example in job["examples"]])
    batch = batch.with_units(job["unit"]).with_operator(job["operator"]).with_target(torch.tensor(job["target"]))
    # once through, so that what torch loads and starts when it is first used is there
    classifier.probabilities(batch)
    torch.manual_seed(job["seed"])

    def explain() -> dict[str, Any]:
        name = job["method"]
        method = load_method(str(folder / name) if name.endswith(".py") else name, **job["parameters"])
        found = method.explain(classifier, batch)
        check_shape(batch, found.scores)
        reasons = {
            **unrankable(batch, found.scores, signed=method.signed or method.negative),
            **found.failed,
        }
        scores = found.scores.detach().cpu().double().numpy()
        if scores.shape != tuple(batch.input_ids.shape):
            raise MethodError(f"scores have the shape {scores.shape}")
        np.ascontiguousarray(scores).tofile(folder / SCORES)
        return {
            "failed": {str(int(i)): str(reason)[:500] for i, reason in reasons.items()},
            # by whybench's rule, whatever the method says
            "source": Method.source_digest(method),
            "family": method.family,
            "signed": method.signed,
            "note": method.note,
            "label": method.label(),
        }

    return explain
