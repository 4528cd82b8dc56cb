"""From token scores to metrics: ranking, the plan of perturbations, and the curves that the engine records."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial

import numpy as np
import torch
from torch import Tensor

from whybench.bench.agreement import subsets
from whybench.bench.batch import Batch
from whybench.bench.choices import OperatorName, UnitKind
from whybench.bench.classifier import Classifier
from whybench.bench.curves import SUBSETS, Bools, Curves, Field, Floats, Ints
from whybench.bench.engine import ForwardEngine, Progress
from whybench.bench.errors import ModelError, NonFiniteScoresError, ScoresError, ScoreShapeError
from whybench.bench.ferret import FerretMetric, ferret_values
from whybench.bench.metric import FaithfulnessMetric
from whybench.bench.operators import Remover, operator_for
from whybench.bench.perturbations import Perturbations
from whybench.bench.profiles import profile_named
from whybench.bench.soft_removal import soft_probabilities

# answered together, so that batches are full; not all at once, as a long text gives hundreds of inputs
PERTURBATIONS_AT_ONCE = 8192
TOKENS_AT_ONCE = 2**21


def score(
    classifier: Classifier,
    batch: Batch,
    token_scores: Tensor,
    metrics: Iterable[str] | None = None,
    operator: str | None = None,
    unit: UnitKind | None = None,
    signed: bool = True,
    seed: int = 0,
    profile: str = "whybench",
) -> dict[str, Tensor]:
    """Score attributions, made with whybench or anywhere else, by protocol version 1 or another package's rules.

    Args:
        classifier: The classifier that they explain, in float32.
        batch: The texts, from `Classifier.encode`. Its target, or else the classifier's prediction, is frozen.
        token_scores: One score per token, ``[batch, tokens]``; higher says more important. Scores of special tokens
            and padding are not read.
        metrics: Names of the profile's metrics, ``all`` for all of them; None computes those that are computed by
            default.
        operator: ``mask``, ``delete`` or ``pad``; None takes the profile's, or the tokenizer's default.
        unit: Remove whole words, or single tokens; None takes the profile's, or words.
        signed: Whether a negative score says "speaks against"; unsigned scores must not be negative.
        seed: Ties are broken by a permutation seeded with it and the example's id; ``ferret`` has an order of its own.
        profile: Whose rules to follow (`whybench.bench.profiles`): ``whybench``, ``eraser`` or ``ferret``.

    Returns:
        Per metric a float64 tensor ``[batch]``, NaN where the metric is undefined for the example (its ``undefined``
        says when); ferret's τ is NaN where ferret's is.

    Raises:
        ScoreShapeError, NonFiniteScoresError, ScoresError: The scores cannot be ranked.
        OperatorError: The tokenizer cannot serve the operator or the profile.
        ParameterError: An operator or unit that the profile pins, or a metric of another profile.
        InputError: Pairs of texts, where the profile knows none.
        LabelError: The batch's target is not a label of the classifier, or not one per text.
        ModelError: The classifier is not in float32.
        UnknownNameError: No such metric, operator or profile.
    """
    rules = profile_named(profile)
    chosen = rules.chosen(metrics)
    operator, unit = rules.settings(operator, unit)
    checked = operator_for(classifier, operator)
    require_float32(classifier)
    if batch.target is not None:
        classifier.target(batch)
    batch = batch.with_units(unit)
    check_scores(batch, token_scores, signed=signed)
    engine = ForwardEngine(classifier)
    through_text = [metric for metric in chosen if isinstance(metric, FerretMetric)]
    values: dict[str, Sequence[float | None]] = {}
    if through_text:
        values |= ferret_values(engine, batch, token_scores, through_text)
    if of_curves := [metric for metric in chosen if isinstance(metric, FaithfulnessMetric)]:
        scores = [row.numpy() for row in batch.unit_scores(token_scores)]
        ranks = rankings(batch, scores, seed)
        recorded = record_curves(engine, batch, checked, range(len(batch)), scores, ranks, of_curves, seed)
        values |= {metric.name: [metric.value(curves) for curves in recorded] for metric in of_curves}
    return {
        metric.name: torch.tensor(
            [math.nan if value is None else value for value in values[metric.name]], dtype=torch.float64
        )
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
    for index, error in unrankable(batch, token_scores, signed=signed).items():
        raise type(error)(f"example {batch.ids[index]!r} (index {index}): {error}")


def unrankable(batch: Batch, token_scores: Tensor, *, signed: bool) -> dict[int, ScoresError]:
    """Examples whose scores cannot be ranked, with the reason; scores of special tokens and padding are not read."""
    scores, units = token_scores.detach().cpu(), batch.units.cpu() >= 0
    reasons: dict[int, ScoresError] = {}
    for i in range(len(batch)):
        row = scores[i][units[i]]
        bad = int((~torch.isfinite(row)).sum())
        if bad:
            reasons[i] = NonFiniteScoresError(
                f"{bad} of {len(row)} scores are not finite (NaN or infinity), so they cannot be ranked."
            )
        elif not signed and (row < 0).any():
            reasons[i] = ScoresError(
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


def record_curves(
    engine: ForwardEngine,
    batch: Batch,
    operator: OperatorName,
    examples: Sequence[int],
    scores: Sequence[Floats],
    ranks: Sequence[Ints],
    metrics: Sequence[FaithfulnessMetric],
    seed: int,
    progress: Progress | None = None,
) -> list[Curves]:
    """Record what the metrics need, for any number of rankings of any methods in one go.

    Args:
        engine: Answers each distinct input once.
        batch: The examples. Their target, or else the engine's prediction, is what the curves are of.
        operator: The checked removal operator.
        examples: The example in the batch that each ranking is about.
        scores: Scores of the units, ``[units]`` each.
        ranks: Rank of every unit by them, ``[units]`` each, 0 for the best.
        metrics: They say what they need.
        seed: Seeds the random subsets, together with the example's id.
        progress: Called with the number of inputs answered and to answer.

    Returns:
        The curves of each ranking.
    """
    remover = Remover(engine.classifier, batch, operator)
    frozen = None if batch.target is None else batch.target.cpu().numpy()
    points = cache(partial(_points, metrics))
    total = sum(points(len(rank)).sets for rank in ranks)
    done = waiting = tokens = 0
    curves: list[Curves] = []
    pending: list[tuple[int, Floats, _Sets]] = []
    rows: list[Perturbations] = []

    def report(new: int, of: int) -> None:
        if progress is not None:
            progress(done + waiting * new // of, total)

    def answer() -> None:
        nonlocal done, waiting, tokens
        answers, start = engine.probabilities(Perturbations.joined(rows), report), 0
        for index, given, sets in pending:
            found = answers[start : start + len(sets.removed)]
            target = int(found[0].argmax()) if frozen is None else int(frozen[index])
            made = sets.curves(given, target, found)
            if sets.points.soft:
                one = batch.select([index])
                soft = soft_probabilities(engine.classifier, one, given, target, seed, engine.token_budget)
                made = replace(made, soft_p=soft)
            curves.append(made)
            start += len(found)
        report(1, 1)
        done, waiting, tokens = done + waiting, 0, 0
        pending.clear()
        rows.clear()

    for index, given, rank in zip(examples, scores, ranks, strict=True):
        sets = _Sets(rank, points(len(rank)), partial(subsets, len(rank), seed, batch.ids[index]))
        rows.append(remover.perturb(index, sets.removed))
        pending.append((index, given, sets))
        waiting, tokens = waiting + len(rows[-1]), tokens + len(rows[-1].tokens)
        if waiting >= PERTURBATIONS_AT_ONCE or tokens >= TOKENS_AT_ONCE:
            answer()
    if pending:
        answer()
    return curves


@dataclass(frozen=True, eq=False)
class _Points:
    """What metrics need of an example, by its number of units alone.

    Attributes:
        units: Number of units.
        removed_k: Sizes k of the best units to remove, ascending, with 0 first.
        kept_k: Sizes k of the best units to leave alone, ascending.
        single: Whether each unit is removed alone.
        drawn: Whether the random subsets are removed.
        soft: Whether there are soft removals.
    """

    units: int
    removed_k: Ints
    kept_k: Ints
    single: bool
    drawn: bool
    soft: bool

    @property
    def sets(self) -> int:
        """Number of sets of units to remove."""
        return len(self.removed_k) + len(self.kept_k) + self.single * self.units + self.drawn * SUBSETS


def _points(metrics: Sequence[FaithfulnessMetric], n: int) -> _Points:
    needed: dict[Field, set[int]] = {"removed": {0}}
    for metric in metrics:
        for part, points in metric.needs(n).items():
            needed.setdefault(part, set()).update(points)
    return _Points(
        n,
        np.array(sorted(needed["removed"])),
        np.array(sorted(needed.get("kept", ())), dtype=np.int64),
        "single" in needed,
        "drawn" in needed,
        "soft" in needed,
    )


class _Sets:
    """The sets of units to remove for one ranking, and the curves that their answers make.

    Attributes:
        points: What the metrics need.
        removed: ``[sets, units]``: nothing first, then what `Curves` has, part by part.
    """

    def __init__(self, rank: Ints, points: _Points, draw: Callable[[], Bools]) -> None:
        self.points = points
        self._drawn = draw() if points.drawn else np.zeros((0, points.units), dtype=bool)
        parts = [
            rank < points.removed_k[:, None],
            rank >= points.kept_k[:, None],
            np.eye(points.units if points.single else 0, points.units, dtype=bool),
            self._drawn,
        ]
        self.removed: Bools = np.concatenate(parts)
        self._ends = np.cumsum([len(part) for part in parts])[:-1]

    def curves(self, scores: Floats, target: int, answers: Floats) -> Curves:
        """Curves from the probabilities ``[sets, labels]`` of the inputs."""
        removed, kept, single, drawn = np.split(answers, self._ends)
        return Curves(
            units=self.points.units,
            removed_k=self.points.removed_k,
            removed_p=removed[:, target],
            # of the first, from which nothing is removed: a given target need not be the prediction
            removed_flipped=removed.argmax(axis=1) != removed[0].argmax(),
            kept_k=self.points.kept_k,
            kept_p=kept[:, target],
            scores=scores,
            single_p=single[:, target],
            drawn_units=self._drawn,
            drawn_p=drawn[:, target],
        )
