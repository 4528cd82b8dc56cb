"""What is known of a method and of a task beside their figures: the cards on their pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from whybench.bench.examples_table import unit_counts
from whybench.bench.listing import Entry, Kind, entries
from whybench.bench.schema import GateOutcome
from whybench.bench.store import StoredResult
from whybench.leaderboard.boards import Board
from whybench.leaderboard.formatting import significant
from whybench.leaderboard.histogram import Histogram, histogram
from whybench.leaderboard.robustness import Robustness

# what the gate of completeness reads, a share; `whybench.bench.gates` names it, and imports torch
COMPLETENESS = "completeness_delta_relative"
# forward equivalents up to which a method is of the class
COST_CLASSES = ((3.0, "about a forward pass"), (10.0, "low"), (100.0, "medium"), (math.inf, "high"))
_EVIDENCE = {
    "planted": "planted: the rule that makes the texts says which words decide",
    "human": "marked by people: what convinces them, not what the model used",
    None: "not known",
}


@dataclass(frozen=True)
class Fact:
    """A line of a card.

    Attributes:
        term: The question.
        answer: The answer in a word or two.
        detail: What stands behind it.
    """

    term: str
    answer: str
    detail: str = ""


def method_card(cells: Sequence[StoredResult]) -> list[Fact]:
    """The card of a method from its cells, finished and failed, all of one label.

    What no result says is asked of the method's file, where it is installed under the same name.
    """
    finished = [stored for stored in cells if stored.result.status == "finished"]
    first = cells[0].result
    facts = [
        Fact("Signed", "yes" if first.signed else "no", _sign(signed=first.signed)),
        _complete(finished),
        _deterministic(finished),
        _needs(finished, first.family),
    ]
    facts += _serves(cells, first.spec.method.name)
    return [*facts, *_cost(finished)]


def _sign(*, signed: bool) -> str:
    return "a negative score speaks against the prediction" if signed else "how much, not in which direction"


def _complete(cells: Sequence[StoredResult]) -> Fact:
    figures = [stored.result.report[COMPLETENESS] for stored in cells if COMPLETENESS in stored.result.report]
    figures = figures or [f for stored in cells for name, f in stored.result.report.items() if "completeness" in name]
    if not figures:
        return Fact("Complete", "no claim", "it reports no sum that its scores should add up to")
    most = max(figure.mean for figure in figures)
    detail = f"reports what is missing from the sum: {significant(most)} on average, at most"
    return Fact("Complete", "claims it", f"{detail} {significant(max(figure.largest for figure in figures))}")


def _deterministic(cells: Sequence[StoredResult]) -> Fact:
    tried: list[GateOutcome] = [stored.gates["determinism"] for stored in cells if "determinism" in stored.gates]
    tried = [outcome for outcome in tried if outcome.status in ("passed", "failed")]
    passed = sum(outcome.status == "passed" for outcome in tried)
    if not tried:
        return Fact("Deterministic", "not tried")
    answer = "yes" if passed == len(tried) else "no"
    return Fact("Deterministic", answer, f"same scores when asked twice: gate passed on {passed} of {_boards(tried)}")


def _boards(found: Sequence[object]) -> str:
    return f"{len(found)} board{'' if len(found) == 1 else 's'}"


def _needs(cells: Sequence[StoredResult], family: str) -> Fact:
    costs = [stored.result.cost for stored in cells if stored.result.cost is not None]
    parts = ["attention matrices"] if family == "attention" else []
    if not costs:
        return Fact("Needs", parts[0] if parts else "not known", "what it cost is not known")
    forward, backward = max(c.forward_passes for c in costs), max(c.backward_passes for c in costs)
    if backward > 0:
        parts.append("gradients")
    elif forward > 1 and family == "perturbation":
        parts.append("predictions on changed texts")
    passes = f"up to {significant(forward)} forward and {significant(backward)} backward passes per example, counted"
    return Fact("Needs", ", ".join(parts) or ("the model's prediction" if forward else "no model"), passes)


def _serves(cells: Sequence[StoredResult], name: str) -> list[Fact]:
    refused = [stored.result for stored in cells if stored.result.status == "skipped"]
    if refused:
        models = ", ".join(dict.fromkeys(result.spec.model.name for result in refused))
        return [Fact("Architectures", "some", f"left out with {models}: {refused[0].error}")]
    entry = _installed("method").get(name)
    if entry is None or entry.source is None or entry.error is not None:
        return []
    named = entry.fact("serves", ())
    if named:
        return [Fact("Architectures", "some", ", ".join(map(str, named)))]
    if "serves" in entry.computed:
        return [Fact("Architectures", "some", "it needs the weights behind the attention; its file names the models")]
    return [Fact("Architectures", "any", "it names none that it does not serve")]


def _cost(cells: Sequence[StoredResult]) -> list[Fact]:
    found = sorted(stored.result.cost.forward_equivalents for stored in cells if stored.result.cost is not None)
    if not found:
        return []
    said = next(name for most, name in COST_CLASSES if found[-1] <= most)
    low, high = significant(found[0]), significant(found[-1])
    times = f"{low}×" if low == high else f"{low}× to {high}×"
    return [Fact("Cost", said, f"{times} a plain forward pass, on {_boards(found)}")]


def task_card(board: Board) -> list[Fact]:
    """The card of a board's task and model.

    Licence and citation are asked of the task's file, where it is installed under the same name with the same dataset.
    """
    spec = board.spec
    task, model = spec.task, spec.model
    dataset = "made by the task itself" if task.dataset is None else task.dataset
    facts = [
        Fact("Data", dataset, f"revision {task.revision[:16]}, split {task.split}, {task.examples:,} examples"),
        Fact("Evidence", board.evidence or "none", _EVIDENCE[board.evidence]),
        Fact("Removal", spec.operator, f"by {spec.unit}"),
    ]
    if board.labels:
        facts.append(Fact("Labels", ", ".join(board.labels)))
    revision = f"revision {model.revision[:16]}, " if model.revision else ""
    facts.append(Fact("Model", model.name, f"{revision}weights {model.weights[:12]}"))
    if board.accuracy is not None:
        facts.append(Fact("Accuracy", f"{board.accuracy:.3f}", "of the model on these examples"))
    entry = _installed("task").get(task.name)
    if entry is not None and entry.error is None and entry.fact("dataset") == task.dataset:
        facts += [
            Fact(term, str(entry.fact(name)))
            for term, name in (("Licence", "licence"), ("Citation", "citation"))
            if entry.fact(name)
        ]
    return facts


@dataclass(frozen=True)
class AboutData:
    """What the page of a task says about a board's data.

    Attributes:
        card: Facts.
        lengths: Units per example; None where no example was read.
        robustness: How far the order of the methods holds under other removals; None with one operator.
    """

    card: tuple[Fact, ...]
    lengths: Histogram | None
    robustness: Robustness | None


def about_data(board: Board, robust: Sequence[Robustness]) -> AboutData:
    """Describe the data of a board; its lengths are those that one of its cells recorded."""
    drawn = histogram(unit_counts(board.results[0].examples) if board.results else [], board.spec.unit)
    spec = board.spec
    same = (
        one for one in robust if (one.spec.task, one.spec.model, one.spec.unit) == (spec.task, spec.model, spec.unit)
    )
    return AboutData(tuple(task_card(board)), drawn, next(same, None))


@cache
def _installed(kind: Kind) -> dict[str, Entry]:
    return {entry.name: entry for entry in entries(kind)}
