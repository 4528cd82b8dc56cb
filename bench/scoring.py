"""From token scores to metrics: ranking, the plan of perturbations, and the curves that the engine records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from whybench.bench.batch import Batch, UnitKind
from whybench.bench.classifier import Classifier
from whybench.bench.curves import Curves, Floats, Ints
from whybench.bench.engine import ForwardEngine, Progress
from whybench.bench.errors import ModelError, NonFiniteScoresError, ScoresError, ScoreShapeError
from whybench.bench.metrics import FaithfulnessMetric, metrics_named
from whybench.bench.operators import OperatorName, Remover, Row, operator_for


def score(
    classifier: Classifier,
    batch: Batch,
    token_scores: Tensor,
    metrics: Iterable[str] | None = None,
    operator: str | None = None,
    unit: UnitKind = "word",
    signed: bool = True,
    seed: int = 0,
) -> dict[str, Tensor]:
    """Score attributions, made with whybench or anywhere else, by protocol version 1.

    Args:
        classifier: The classifier that they explain, in float32.
        batch: The texts, from `Classifier.encode`. Its target, or else the classifier's prediction, is frozen.
        token_scores: One score per token, ``[batch, tokens]``; higher says more important. Scores of special tokens
            and padding are not read.
        metrics: Names of metrics; None computes all.
        operator: ``mask``, ``delete`` or ``pad``; None takes the protocol's default for the tokenizer.
        unit: Remove whole words, or single tokens.
        signed: Whether a negative score says "speaks against"; unsigned scores must not be negative.
        seed: Ties are broken by a permutation seeded with it and the example's id.

    Returns:
        Per metric a float64 tensor ``[batch]``.

    Raises:
        ScoreShapeError, NonFiniteScoresError, ScoresError: The scores cannot be ranked.
        OperatorError: The tokenizer cannot serve the operator.
        ModelError: The classifier is not in float32.
        UnknownNameError: No such metric or operator.
    """
    chosen = metrics_named(metrics)
    checked = operator_for(classifier, operator)
    require_float32(classifier)
    batch = batch.with_units(unit)
    check_scores(batch, token_scores, signed=signed)
    ranks = rankings(batch, [scores.numpy() for scores in batch.unit_scores(token_scores)], seed)
    recorded = record_curves(ForwardEngine(classifier), batch, checked, range(len(batch)), ranks, chosen)
    return {
        metric.name: torch.tensor([metric.value(curves) for curves in recorded.curves], dtype=torch.float64)
        for metric in chosen
    }


def require_float32(classifier: Classifier) -> None:
    """Raise ModelError for any other precision: the protocol scores in float32, whatever a method used."""
    if classifier.dtype != torch.float32:
        raise ModelError(
            f"{classifier.name} is in {classifier.dtype}; the protocol scores in float32. "
            "Load it with dtype=torch.float32 for scoring; a method may use another precision."
        )


def check_shape(batch: Batch, token_scores: Tensor) -> None:
    """Raise ScoreShapeError where there is not one score per token."""
    if token_scores.shape != batch.input_ids.shape:
        raise ScoreShapeError(
            f"token scores have shape {list(token_scores.shape)}; the batch has {list(batch.input_ids.shape)} "
            "([batch, tokens]). Give one score per token, special tokens and padding included."
        )


def check_scores(batch: Batch, token_scores: Tensor, *, signed: bool) -> None:
    """Raise where scores cannot be ranked: another shape, NaN or infinity, negative where they are unsigned."""
    check_shape(batch, token_scores)
    bad = unrankable(batch, token_scores, signed=signed)
    for index, reason in bad.items():
        kind = NonFiniteScoresError if "finite" in reason else ScoresError
        raise kind(f"example {batch.ids[index]!r} (index {index}): {reason}")


def unrankable(batch: Batch, token_scores: Tensor, *, signed: bool) -> dict[int, str]:
    """Examples whose scores cannot be ranked, with the reason; scores of special tokens and padding are not read."""
    scores, units = token_scores.detach().cpu(), batch.units.cpu() >= 0
    reasons: dict[int, str] = {}
    for i in range(len(batch)):
        row = scores[i][units[i]]
        if not torch.isfinite(row).all():
            count = int((~torch.isfinite(row)).sum())
            reasons[i] = f"{count} of {len(row)} scores are not finite (NaN or infinity), so they cannot be ranked."
        elif not signed and (row < 0).any():
            reasons[i] = (
                f"an unsigned score is negative ({float(row.min()):.3g}); take its magnitude, or declare it signed."
            )
    return reasons


def tie_breaker(n: int, seed: int, example_id: str) -> Ints:
    """A permutation of n units, the same for the same seed and example id on every machine."""
    digest = hashlib.sha256(f"{seed}:{example_id}".encode()).digest()
    return np.random.default_rng(np.frombuffer(digest, dtype=np.uint32)).permutation(n)


def rankings(batch: Batch, unit_scores: Sequence[Floats], seed: int) -> list[Ints]:
    """Rank of every unit, 0 for the best; ties are broken by `tie_breaker`."""
    ranks = []
    for scores, example_id in zip(unit_scores, batch.ids, strict=True):
        order = np.lexsort((tie_breaker(len(scores), seed, example_id), -scores))
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(len(order))
        ranks.append(rank)
    return ranks


@dataclass(frozen=True, eq=False)
class Recorded:
    """Curves per ranking, with the frozen targets.

    Attributes:
        curves: One per ranking.
        target: The frozen target of each ranking's example, ``[rankings]``.
        original: Probabilities of all labels on the unperturbed input, ``[rankings, labels]``.
    """

    curves: list[Curves]
    target: Ints
    original: Floats


def record_curves(
    engine: ForwardEngine,
    batch: Batch,
    operator: OperatorName,
    examples: Sequence[int],
    ranks: Sequence[Ints],
    metrics: Sequence[FaithfulnessMetric],
    progress: Progress | None = None,
) -> Recorded:
    """Record what the metrics need, for any number of rankings of any methods in one go.

    Args:
        engine: Answers each distinct input once.
        batch: The examples.
        operator: The checked removal operator.
        examples: The example in the batch that each ranking is about.
        ranks: Rank of every unit, ``[units]`` each, 0 for the best.
        metrics: They say which sizes k they need.
        progress: See `ForwardEngine.probabilities`.
    """
    remover = Remover(engine.classifier, batch, operator)
    rows: list[Row] = []
    sizes: list[tuple[Ints, Ints]] = []
    for index, rank in zip(examples, ranks, strict=True):
        removed_k, kept_k = _sizes(len(rank), metrics)
        sets = np.concatenate((rank[None, :] < removed_k[:, None], rank[None, :] >= kept_k[:, None]))
        rows.extend(remover.rows(index, sets))
        sizes.append((removed_k, kept_k))
    answers = engine.probabilities(rows, progress)

    frozen = None if batch.target is None else batch.target.cpu().numpy()
    curves, targets, originals, start = [], [], [], 0
    for index, rank, (removed_k, kept_k) in zip(examples, ranks, sizes, strict=True):
        middle = start + len(removed_k)
        stop = middle + len(kept_k)
        original = answers[start]
        target = int(original.argmax()) if frozen is None else int(frozen[index])
        curves.append(
            Curves(
                units=len(rank),
                removed_k=removed_k,
                removed_p=answers[start:middle, target],
                removed_flipped=answers[start:middle].argmax(axis=1) != target,
                kept_k=kept_k,
                kept_p=answers[middle:stop, target],
            )
        )
        targets.append(target)
        originals.append(original)
        start = stop
    return Recorded(curves, np.array(targets, dtype=np.int64), np.array(originals))


def _sizes(n: int, metrics: Sequence[FaithfulnessMetric]) -> tuple[Ints, Ints]:
    removed: set[int] = {0}
    kept: set[int] = set()
    for metric in metrics:
        needs = metric.needs(n)
        removed.update(needs.get("removed", ()))
        kept.update(needs.get("kept", ()))
    return np.array(sorted(removed)), np.array(sorted(kept), dtype=np.int64)
