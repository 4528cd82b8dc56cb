"""Gates: what a row has to pass to be ranked, tried on a few of the cell's own examples.

A figure of a method whose scores depend on the batch, or that leaves another model behind, is no figure of the method.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from whybench.bench.batch import Batch
from whybench.bench.choices import GateName
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Floats
from whybench.bench.errors import reason_of
from whybench.bench.method import Attribution, Method
from whybench.bench.schema import Coverage, GateOutcome

FEW = 4
"""Examples that the gates are tried on, from the shortest to the longest."""
TOLERANCE = 1e-4
"""Largest difference between two maps that count as the same, relative to the larger one's largest score."""
SMALL_SHARE = 0.1
"""A map is held to a difference relative to at least this share of the largest score of all the maps tried."""
MORE_PADDING = 7
COMPLETENESS = "completeness_delta_relative"
"""The report of a method that claims that its scores add up: what is missing, as a share."""
COMPLETENESS_LIMIT = 0.05

Maps = Sequence[Floats | None]


class ModelState:
    """What a method must leave as it was: weights, gradients, modes, hooks and settings of a model, and torch's."""

    def __init__(self, model: torch.nn.Module) -> None:
        self._model = model
        self._before = _state(model)

    def changed(self) -> str:
        """What is not as it was, in words; empty where all is."""
        now = _state(self._model)
        parts = [part for part, before in self._before.items() if before != now[part]]
        return ", ".join(parts)


def _state(model: torch.nn.Module) -> dict[str, Any]:
    parameters, modules = list(model.parameters()), list(model.modules())
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    config = getattr(model, "config", None)
    return {
        "weights": [_sum_of_bits(tensor) for tensor in (*parameters, *model.buffers())],
        "gradients": [parameter.grad is not None for parameter in parameters],
        "requires_grad": [parameter.requires_grad for parameter in parameters],
        "mode": [module.training for module in modules],
        "hooks": [len(getattr(module, name)) for module in modules for name in hooks],
        # a class's own, too: it is all of its modules'
        "forward methods": [(vars(module).get("forward"), type(module).forward) for module in modules],
        "attention implementation": getattr(config, "_attn_implementation", None),
        "configuration": None if config is None else config.to_json_string(use_diff=False),
        "torch's gradient mode": torch.is_grad_enabled(),
        "torch's default precision": torch.get_default_dtype(),
        "torch's deterministic mode": torch.are_deterministic_algorithms_enabled(),
    }


def _sum_of_bits(tensor: Tensor) -> int:
    """A sum over the bits of all numbers, in one pass over the memory: a change of any one of them changes it."""
    flat = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
    whole = flat[: len(flat) // 4 * 4].view(torch.int32)
    return int(whole.sum(dtype=torch.int64)) * 256 + int(flat[len(whole) * 4 :].sum(dtype=torch.int64))


def gates(
    method: Method,
    classifier: Classifier,
    batch: Batch,
    coverage: Coverage,
    report: Mapping[str, Floats],
    state: ModelState,
    seed: int,
) -> dict[GateName, GateOutcome]:
    """The outcome of every gate.

    Args:
        method: The method.
        classifier: The classifier as the method sees it.
        batch: All examples of the cell, with their targets.
        coverage: How many of them have scores.
        report: What the method reported about its answers, ``[examples]`` each, scored examples only.
        state: The model's state before the method ran for the first time.
        seed: Seeds every source of random numbers before each trial.
    """
    if method.elsewhere:
        return _of_scores_made_elsewhere(report, coverage)
    few = batch.select(spread(batch, FEW))
    found: dict[GateName, GateOutcome] = {}
    with random_state_kept():
        try:
            first = unit_maps(method, classifier, few, seed)
            found["determinism"] = _same(first, unit_maps(method, classifier, few, seed))
            alone = [few.select([i]) for i in range(len(few))]
            found["batch_invariance"] = _same(
                first, [row for one in alone for row in unit_maps(method, classifier, one, seed)]
            )
            found["padding_invariance"] = _padding_invariance(method, classifier, few, first, seed)
            found["label_sensitivity"] = _label_sensitivity(method, classifier, few, first, seed)
        except Exception as error:  # noqa: BLE001  a method's own code: what it raises is a gate that it does not pass
            names: tuple[GateName, ...] = (
                "determinism",
                "batch_invariance",
                "padding_invariance",
                "label_sensitivity",
            )
            missing = next(name for name in names if name not in found)
            found[missing] = GateOutcome(status="failed", reason=reason_of(error))
            for name in names:
                found.setdefault(name, GateOutcome(status="not_run", reason=f"{missing} could not be tried"))
    changed = state.changed()
    found["model_unchanged"] = GateOutcome(
        status="failed" if changed else "passed", reason=f"not as before: {changed}" if changed else ""
    )
    found["completeness"] = _completeness(report)
    found["coverage"] = _coverage(coverage)
    return found


def _of_scores_made_elsewhere(report: Mapping[str, Floats], coverage: Coverage) -> dict[GateName, GateOutcome]:
    asked: tuple[GateName, ...] = (
        "determinism",
        "batch_invariance",
        "padding_invariance",
        "label_sensitivity",
        "model_unchanged",
    )
    untried = GateOutcome(status="not_run", reason="the scores were made elsewhere")
    return {
        **dict.fromkeys(asked, untried),
        "completeness": _completeness(report),
        "coverage": _coverage(coverage),
    }


def spread(batch: Batch, count: int) -> list[int]:
    """Indices of so many examples, from the shortest to the longest."""
    order = np.argsort(batch.lengths().cpu().numpy(), kind="stable")
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [int(order[place]) for place in places]


@contextmanager
def random_state_kept() -> Iterator[None]:
    """The global random numbers of Python, numpy and torch go on afterwards as if nothing had been drawn."""
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002  others' code may use the global generator
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002


def seed_everything(seed: int) -> None:
    """Seed the global random numbers of Python, numpy and torch."""
    random.seed(seed)
    # numpy takes 32 bits
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)


def unit_maps(method: Method, classifier: Classifier, batch: Batch, seed: int) -> Maps:
    """Unit scores per example, ``[units]`` each, with every source of random numbers seeded; None without an answer."""
    seed_everything(seed)
    answer: Attribution = method.explain(classifier, batch)
    rows = batch.unit_scores(answer.scores)
    return [None if i in answer.failed else row.numpy() for i, row in enumerate(rows)]


def difference(one: Floats, other: Floats, least: float = 0.0) -> float:
    """Largest difference of two maps ``[units]``, relative to the largest score of both; infinite where one is NaN.

    Args:
        one: Scores.
        other: Scores of the same units.
        least: Smallest number that the difference is taken relative to.
    """
    scale = max(np.abs(one).max(), np.abs(other).max(), least)
    largest = np.abs(one - other).max()
    if not np.isfinite(scale) or not np.isfinite(largest):
        return float("inf")
    return float(largest / scale) if scale > 0 else 0.0


def _differences(one: Maps, other: Maps) -> list[float]:
    pairs = list(zip(one, other, strict=True))
    if any((a is None) != (b is None) for a, b in pairs):
        return [float("inf")]
    both = [(a, b) for a, b in pairs if a is not None and b is not None]
    # a text that a sure model decides whatever is done to it has scores of mere rounding
    least = SMALL_SHARE * max((float(np.nanmax(np.abs(map_))) for pair in both for map_ in pair), default=0.0)
    return [difference(a, b, least) for a, b in both]


def _same(one: Maps, other: Maps) -> GateOutcome:
    worst = max(_differences(one, other), default=None)
    if worst is None:
        return GateOutcome(status="not_run", reason="none of the examples that were tried has an answer")
    if np.isinf(worst):
        return GateOutcome(status="failed", limit=TOLERANCE, reason="an answer is there one time and not the other")
    return GateOutcome(status="passed" if worst <= TOLERANCE else "failed", value=worst, limit=TOLERANCE)


def _padding_invariance(method: Method, classifier: Classifier, few: Batch, first: Maps, seed: int) -> GateOutcome:
    # an example that fills the model's longest input has no room for padding
    room = [i for i, length in enumerate(few.lengths().tolist()) if length < classifier.max_length]
    if not room:
        return GateOutcome(status="not_run", reason="the examples that were tried fill the model's longest input")
    part = few.select(room)
    more = min(MORE_PADDING, classifier.max_length - part.input_ids.shape[1])
    wider = unit_maps(method, classifier, part.padded(more, classifier.pad_id), seed)
    return _same([first[i] for i in room], wider)


def _label_sensitivity(method: Method, classifier: Classifier, few: Batch, first: Maps, seed: int) -> GateOutcome:
    if not method.label_specific:
        return GateOutcome(status="not_applicable", reason="it says nothing of a particular label")
    if few.contrast is not None and not method.signed:
        reason = "the logits of continuation and foil are each other's opposites, and it has no signs"
        return GateOutcome(status="not_applicable", reason=reason)
    probabilities = classifier.probabilities(few)
    target = classifier.target(few)
    others = probabilities.scatter(1, target[:, None], -1.0).argmax(dim=1)
    apart = max(_differences(first, unit_maps(method, classifier, few.with_target(others), seed)), default=None)
    if apart is None:
        return GateOutcome(status="not_run", reason="none of the examples that were tried has an answer")
    if apart > TOLERANCE:
        return GateOutcome(status="passed", value=None if np.isinf(apart) else apart, limit=TOLERANCE)
    return GateOutcome(status="failed", value=apart, limit=TOLERANCE, reason="another label has the same explanation")


def _completeness(report: Mapping[str, Floats]) -> GateOutcome:
    if COMPLETENESS not in report:
        return GateOutcome(status="not_applicable", reason="it does not claim that its scores add up")
    value = float(np.median(report[COMPLETENESS]))
    passed = value <= COMPLETENESS_LIMIT
    return GateOutcome(
        status="passed" if passed else "failed",
        value=value,
        limit=COMPLETENESS_LIMIT,
        reason="median share that is missing from the sum of the scores",
    )


def _coverage(coverage: Coverage) -> GateOutcome:
    if not coverage.failed:
        return GateOutcome(status="passed")
    reason = f"{len(coverage.failed):,} of {coverage.examples:,} examples have no scores"
    return GateOutcome(status="failed", reason=reason)
