"""Boards of the same examples and model under several removal operators, and how far they agree on the methods."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from whybench.bench.choices import UNRANKED
from whybench.bench.metrics import METRICS
from whybench.bench.robustness import order_agreement
from whybench.bench.schema import Spec
from whybench.leaderboard.boards import Board

TITLE = "The methods' order under other removals"
HELP = "Kendall τ-b of the ranked methods' figures under two operators: 1 is the same order, −1 the opposite one."


@dataclass(frozen=True)
class Robustness:
    """What one task and model has.

    Attributes:
        spec: Of one of the cells.
        methods: Number of ranked methods that all the operators have.
        pairs: Two operators each.
        rows: Per metric its title, and τ-b for each of the pairs; None where they have fewer than two methods with it.
    """

    spec: Spec
    methods: int
    pairs: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[float | None, ...]], ...]


def robustness(boards: Sequence[Board]) -> list[Robustness]:
    """Compare the boards that differ in nothing but the operator; methods with failed examples are left out."""
    groups: dict[str, list[Board]] = {}
    for board in boards:
        if board.measure == "faithfulness":
            key = board.spec.model_dump_json(include={"protocol_version", "task", "model", "unit"})
            groups.setdefault(key, []).append(board)
    found = [_compared(group) for group in groups.values() if len(group) > 1]
    return [one for one in found if one.rows]


def _compared(group: Sequence[Board]) -> Robustness:
    figures: dict[str, dict[str, dict[str, float]]] = {}
    methods: list[set[str]] = []
    for board in group:
        ranked = [
            stored.result
            for stored in board.results
            if stored.result.family not in UNRANKED
            and stored.result.coverage is not None
            and not stored.result.coverage.failed
        ]
        methods.append({board.names[result.cell] for result in ranked})
        for name, metric in METRICS.items():
            if metric.higher_is_better is not None:
                means = {board.names[r.cell]: r.figures[name].mean for r in ranked if name in r.figures}
                figures.setdefault(name, {})[board.spec.operator] = means
    taus = {name: order_agreement(by_operator) for name, by_operator in figures.items()}
    pairs = tuple(dict.fromkeys(pair for by_pair in taus.values() for pair in by_pair))
    rows = tuple(
        (METRICS[name].title, tuple(by_pair.get(p) for p in pairs)) for name, by_pair in taus.items() if by_pair
    )
    return Robustness(group[0].spec, len(set.intersection(*methods)), pairs, rows)
