"""The randomised-weights check: does a map change when what the model learned is taken away?

Source: Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv:1810.03292 (cascading randomisation).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn

from whybench.bench.batch import Batch
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Floats
from whybench.bench.errors import reason_of
from whybench.bench.gates import random_state_kept, spread, unit_maps
from whybench.bench.method import Method
from whybench.bench.schema import GateOutcome, Randomised, RandomisedStage

EXAMPLES = 16
LIMIT = 0.5
"""Largest mean rank correlation with the map of the trained model that still counts as another map."""


def stages(model: nn.Module) -> list[tuple[str, list[nn.Parameter]]]:
    """The weights from the output to the input: the head, each layer from the last to the first, the embeddings.

    Layers are the longest list of modules in the model. A tied weight is drawn where it comes first in the model.
    """
    lists = [module for module in model.modules() if isinstance(module, nn.ModuleList)]
    layers = max(lists, key=len, default=nn.ModuleList())
    of_layer = {id(p): index for index, layer in enumerate(layers) for p in layer.parameters()}
    below: list[nn.Parameter] = []
    head: list[nn.Parameter] = []
    inner: dict[int, list[nn.Parameter]] = {}
    for parameter in model.parameters():
        if (index := of_layer.get(id(parameter))) is not None:
            inner.setdefault(index, []).append(parameter)
        else:
            (head if inner else below).append(parameter)
    found = [("head", head)]
    found += [(f"layer {index + 1}", inner[index]) for index in sorted(inner, reverse=True)]
    return [(name, parameters) for name, parameters in (*found, ("embeddings", below)) if parameters]


def redraw(parameters: list[nn.Parameter], generator: torch.Generator) -> None:
    """Draw every weight anew from the normal distribution with its tensor's own mean and standard deviation."""
    with torch.no_grad():
        for parameter in parameters:
            values = parameter.float()
            drawn = torch.randn(values.shape, generator=generator)
            parameter.copy_((values.mean() + values.std(correction=0) * drawn.to(values.device)).to(parameter.dtype))


def randomised_weights(
    method: Method,
    classifier: Classifier,
    batch: Batch,
    cell: str,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> Randomised:
    """Re-draw the weights layer by layer from the output, on a copy, and compare the maps with those of the model.

    What the method cannot do is a failed gate with its reason.

    Args:
        method: The method.
        classifier: The classifier; it is not changed.
        batch: The cell's examples, with their targets, which stay.
        cell: The cell's name.
        seed: Seeds the weights.
        progress: Called with the number of stages done and to do.
    """
    few = batch.select(spread(batch, EXAMPLES))
    done: list[RandomisedStage] = []
    try:
        with random_state_kept(), _copied(classifier) as other:
            trained = unit_maps(method, classifier, few, seed)
            generator = torch.Generator().manual_seed(seed)
            cascade = stages(other.model)
            for name, parameters in cascade:
                redraw(parameters, generator)
                maps = unit_maps(method, other, few, seed)
                pairs = [
                    correlation(a, b) for a, b in zip(trained, maps, strict=True) if a is not None and b is not None
                ]
                if not pairs:
                    return Randomised(
                        cell=cell,
                        outcome=GateOutcome(status="not_run", reason="none of the examples has an answer"),
                    )
                done.append(RandomisedStage(name=name, correlation=float(np.mean(pairs)), examples=len(pairs)))
                if progress is not None:
                    progress(len(done), len(cascade))
    except Exception as error:  # noqa: BLE001  a method's own code: what it raises is a gate that it does not pass
        outcome = GateOutcome(status="failed", reason=f"after {len(done)} stages: {reason_of(error)}")
        return Randomised(cell=cell, stages=tuple(done), outcome=outcome)
    last = done[-1].correlation
    passed = last <= LIMIT
    return Randomised(
        cell=cell,
        stages=tuple(done),
        outcome=GateOutcome(
            status="passed" if passed else "failed",
            value=max(0.0, last),
            limit=LIMIT,
            reason="" if passed else "with all weights drawn anew it still ranks the units much as before",
        ),
    )


def correlation(one: Floats, other: Floats) -> float:
    """Spearman's ρ of two maps ``[units]``; 0 where one of them is constant, and so ranks nothing."""
    from scipy.stats import spearmanr

    if len(one) < 2 or np.ptp(one) == 0 or np.ptp(other) == 0:
        return 0.0
    return float(spearmanr(one, other).statistic)


@contextmanager
def _copied(classifier: Classifier) -> Iterator[Classifier]:
    """The classifier with a model of its own, the same weight for weight."""
    other = copy.copy(classifier)
    # a digest of weights that it will not have
    vars(other).pop("weights_hash", None)
    other.model = copy.deepcopy(classifier.model)
    try:
        yield other
    finally:
        if classifier.device.type == "cuda":
            # let go of the copy, so that its memory can be given back
            other.model = classifier.model
            torch.cuda.empty_cache()
