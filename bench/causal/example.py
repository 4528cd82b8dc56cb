"""One example under one method's matrices: replaced, moved, compared, and taken away until the decision flips."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from whybench.bench.attention import AttentionRecord
from whybench.bench.batch import Batch
from whybench.bench.causal.chance import generator
from whybench.bench.causal.distances import tvd
from whybench.bench.causal.minimality import compared, flip_mass, in_random_order, largest_first, without
from whybench.bench.causal.moves import moves
from whybench.bench.causal.replacement import all_replaced, errors, partly, partly_replaced
from whybench.bench.causal.shared import Shared
from whybench.bench.causal.variants import Variant, everywhere, logits_of, run_with
from whybench.bench.errors import MethodError
from whybench.bench.matrices import Matrices, MatrixMethod, certificate

# Figures that mean something for distributions alone: a method with other rows has none of them
DISTRIBUTION_FIGURES = frozenset(
    {
        "inside_tvd",
        "outside_tvd",
        "inside_logit_change",
        "outside_logit_change",
        "moved_distance",
        "moved_rows",
        "support_ratio",
        "matrix_jsd",
        "flip_mass",
        "random_flip_mass",
    }
)
# Some architectures take their softmax in float32 whatever the model's precision is
ROW_SUM_TOLERANCE = 1e-5


@dataclass(frozen=True, eq=False)
class Measured:
    """What one example gave.

    Attributes:
        values: Figures.
        report: What the method reports about its matrices, the worst over all rows and draws.
        failed: Why there are no figures; None where there are.
        distributions: Whether all rows of M are distributions.
        head_dimension: d_v.
        specimen: The head that is kept to be looked at, ``[queries, keys]``; None where the example is no specimen.
    """

    values: dict[str, float] = field(default_factory=dict)
    report: dict[str, float] = field(default_factory=dict)
    failed: str | None = None
    distributions: bool = True
    head_dimension: int = 0
    specimen: Tensor | None = None


@torch.no_grad()
def measure(
    method: MatrixMethod, shared: Shared, i: int, label: int | None, *, control: bool, distributions: bool
) -> Measured:
    """All figures of an example that follow from matrices.

    With several draws a figure is their median; the figures of a single layer or head, of the moves and of the flips
    are of the first draw alone, as each takes many passes.

    Args:
        method: The fitted method.
        shared: The task's examples.
        i: The example.
        label: Its gold label.
        control: Whether the method is a control; it has no flips.
        distributions: Whether the method's rows have been distributions so far; else what needs that is left out.

    Raises:
        MethodError: The matrices do not fit the model's attention.
    """
    one, record = shared.one(i), shared.record(i)
    identified = shared.identified(i, record)
    own_weights = [weights[0] for weights in record.weights]
    own_values = [values[0] for values in record.values]
    report: dict[str, float] = {}
    first: list[Tensor] = []
    drawn: list[dict[str, float]] = []
    values: dict[str, float] = {
        "null_dimension": float(identified.dimension.mean()),
        "null_share": float(identified.share.mean()),
    }
    for index in range(method.draws):
        layers = method.draw(shared.exact, one, index, record)
        _check(method, layers, record)
        reported, failed = certificate(layers, one.attention_mask > 0)
        if failed:
            return Measured(failed=failed[0])
        matrices = [layer.weights[0].double() for layer in layers]
        if why := _unusable(matrices, record):
            return Measured(failed=why)
        report |= {name: max(float(worst[0]), report.get(name, -np.inf)) for name, worst in reported.items()}
        distributions = distributions and _are_distributions(matrices)
        figures = compared(matrices, own_weights, distributions=distributions)
        figures |= errors(matrices, own_weights, own_values)
        replaced, vectors = run_with(shared.exact, one, matrices)
        if index == 0:
            first = matrices
            values |= _partly(shared, i, one, matrices)
            if distributions:
                values |= _moved(shared, i, one, matrices, replaced, vectors, record.allowed)
        drawn.append(figures | all_replaced(shared.own_logits(i), replaced, shared.decision(i), label))
    values |= {name: float(np.median([figures[name] for figures in drawn])) for name in drawn[-1]}
    if distributions and not control:
        values |= _flips(shared, i, one, first)
    specimen = None
    if i in shared.specimens:
        layer, head = shared.specimens[i]
        specimen = first[layer][head]
    return Measured(
        values, report, distributions=distributions, head_dimension=record.values[0].shape[-1], specimen=specimen
    )


def _check(method: MatrixMethod, layers: Sequence[Matrices], record: AttentionRecord) -> None:
    given = [list(layer.weights.shape) for layer in layers]
    wanted = [list(weights.shape) for weights in record.weights]
    if given != wanted:
        raise MethodError(
            f"{method.label()} gives matrices of the shapes {given}; the model's attention has {wanted} "
            "([batch, heads, queries, keys] per layer)."
        )


def _unusable(matrices: Sequence[Tensor], record: AttentionRecord) -> str | None:
    """Why matrices cannot take the place of the attention."""
    for layer, (rows, allowed) in enumerate(zip(matrices, record.allowed, strict=True)):
        if bad := int((~rows.isfinite()).sum()):
            return f"{bad} entries of its matrices of layer {layer} are not finite (NaN or infinity); all must be."
        if bad := int(((rows != 0) & ~allowed[0]).sum()):
            return (
                f"{bad} entries of its matrices of layer {layer} are on keys that the query may not attend to; they "
                "must be 0 (AttentionRecord.allowed says which keys are open)."
            )
    return None


def _are_distributions(matrices: Sequence[Tensor]) -> bool:
    return all(
        bool((rows >= 0).all()) and float((rows.sum(dim=-1) - 1).abs().max()) <= ROW_SUM_TOLERANCE for rows in matrices
    )


def _partly(shared: Shared, i: int, one: Batch, matrices: Sequence[Tensor]) -> dict[str, float]:
    """Figures of single layers and heads, in one set of passes."""
    random = generator(shared.seed, one.ids[0], "heads")
    heads = random.integers(len(matrices[0]), size=len(matrices)).tolist()
    logits = logits_of(shared.exact, one, partly(matrices, heads), shared.numbers(i))
    return partly_replaced(shared.own_logits(i), logits)


def _moved(
    shared: Shared,
    i: int,
    one: Batch,
    matrices: Sequence[Tensor],
    replaced: Tensor,
    values: Sequence[Tensor],
    allowed: Sequence[Tensor],
) -> dict[str, float]:
    """Figures of the moves, which start from the output and the values with M everywhere."""
    moved = [
        moves(rows, vectors, mask[0], generator(shared.seed, one.ids[0], "moves", layer))
        for layer, (rows, vectors, mask) in enumerate(zip(matrices, values, allowed, strict=True))
    ]
    where = torch.stack([layer.moved for layer in moved])
    figures = {"moved_rows": float(where.double().mean())}
    # an example without a row that moves has no other figures
    if bool(where.any()):
        variants = [everywhere([layer.inside for layer in moved]), everywhere([layer.across for layer in moved])]
        logits = logits_of(shared.exact, one, variants, shared.numbers(i))
        changes = tvd(replaced.softmax(dim=-1)[None], logits.softmax(dim=-1))
        figures["inside_tvd"], figures["outside_tvd"] = changes.tolist()
        largest = (logits - replaced).abs().amax(dim=-1)
        figures["inside_logit_change"], figures["outside_logit_change"] = largest.tolist()
        figures["moved_distance"] = float(torch.stack([layer.distance for layer in moved])[where].mean())
    return figures


def _flips(shared: Shared, i: int, one: Batch, matrices: Sequence[Tensor]) -> dict[str, float]:
    """How much mass has to go until the decision flips, in float32, as decisions are made."""

    def decide(variants: Sequence[Variant]) -> Tensor:
        return logits_of(shared.classifier, one, variants, shared.numbers(i)).argmax(dim=-1)

    def losing(before: Sequence[Tensor]) -> Callable[[float], Variant]:
        return lambda mass: without(matrices, before, mass)

    largest = [largest_first(rows) for rows in matrices]
    chance = [
        in_random_order(rows, generator(shared.seed, one.ids[0], "flip", layer)) for layer, rows in enumerate(matrices)
    ]
    decision = shared.decision(i)
    return {
        "flip_mass": flip_mass(decide, losing(largest), decision),
        "random_flip_mass": flip_mass(decide, losing(chance), decision),
    }
