"""Which results stand in one table: those whose numbers can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from whybench.bench.choices import OPERATORS, EvidenceKind, Measure
from whybench.bench.schema import Spec
from whybench.bench.store import StoredResult
from whybench.leaderboard.repeats import folded


@dataclass
class Board:
    """Results of one kind of measurement on the same examples, model, operator, unit and protocol version.

    Attributes:
        spec: Spec of one of them; what is measured, its task, model, operator, unit and protocol version are those of
            all.
        results: Finished cells.
        failures: Cells that failed.
        names: Per cell the method's label, with what sets it apart where another row has the same label.
    """

    spec: Spec
    results: list[StoredResult] = field(default_factory=list)
    failures: list[StoredResult] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[StoredResult]:
        yield from self.results
        yield from self.failures

    @property
    def key(self) -> str:
        """What all its rows share."""
        return _key(self.spec)

    @property
    def measure(self) -> Measure:
        """What was measured: faithfulness, or the causal suite."""
        return self.spec.measure

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the model's labels."""
        return next((stored.result.label_names for stored in self if stored.result.label_names), ())

    @property
    def notes(self) -> dict[str, str]:
        """Per name what must be said about its method wherever it is shown, where there is something."""
        return {self.names[stored.result.cell]: stored.result.note for stored in self if stored.result.note}

    @property
    def accuracy(self) -> float | None:
        """The model's accuracy on these examples."""
        return next((s.result.accuracy for s in self.results if s.result.accuracy is not None), None)

    @property
    def evidence(self) -> EvidenceKind | None:
        """Where the task's evidence comes from; None where no result says."""
        return next((s.result.evidence for s in self if s.result.evidence is not None), None)

    @property
    def environments(self) -> int:
        """In how many different environments the finished cells were made; times compare only within one."""
        return len({machine(stored) for stored in self.results})


def machine(stored: StoredResult) -> tuple[str | int | None, ...]:
    """What a cell's times hold for: device, driver, torch, transformers, threads."""
    made_in = stored.result.environment
    return (made_in.device, made_in.driver, made_in.torch, made_in.transformers, made_in.threads)


def boards(results: Sequence[StoredResult], failures: Sequence[StoredResult]) -> list[Board]:
    """Sort results into boards: by task, model, the larger number of examples first, the causal suite last.

    A cell that was rescored has all figures of the one that it was made from, and stands in its place.
    """
    found: dict[str, Board] = {}
    replaced = {stored.result.rescored_from for stored in results}
    # by name, so that the same results give the same pages whatever order they come in
    for stored in sorted(results, key=lambda stored: stored.result.cell):
        if stored.result.cell in replaced:
            continue
        found.setdefault(_key(stored.result.spec), Board(stored.result.spec)).results.append(stored)
    for stored in sorted(failures, key=lambda stored: stored.result.cell):
        found.setdefault(_key(stored.result.spec), Board(stored.result.spec)).failures.append(stored)
    for board in found.values():
        board.results = folded(board.results)
        board.names = _names(list(board))
    return sorted(
        found.values(),
        key=lambda b: (
            b.spec.task.name,
            b.spec.model.name,
            -b.spec.task.examples,
            b.measure == "causal",
            b.spec.operator,
            b.key,
        ),
    )


def one_per_task(boards: Sequence[Board]) -> list[Board]:
    """One board of faithfulness for each task and model: that with most examples, and of its operators the first."""
    chosen: dict[tuple[str, str], Board] = {}
    for board in sorted(boards, key=lambda b: (-b.spec.task.examples, OPERATORS.index(b.spec.operator), b.key)):
        if board.measure == "faithfulness" and board.results:
            chosen.setdefault((board.spec.task.name, board.spec.model.name), board)
    return [board for _, board in sorted(chosen.items())]


def _key(spec: Spec) -> str:
    shared = spec.model_dump_json(include={"protocol_version", "task", "model", "operator", "unit"})
    return shared if spec.measure == "faithfulness" else f"{spec.measure} {shared}"


def _names(rows: Sequence[StoredResult]) -> dict[str, str]:
    by_label: dict[str, list[StoredResult]] = {}
    for stored in rows:
        by_label.setdefault(stored.result.label, []).append(stored)
    names = {}
    for label, group in by_label.items():
        # what the rows of one label differ in; the hash always differs, and is the last resort
        facts = [_facts(stored.result.spec) for stored in group]
        every = dict.fromkeys(name for fact in facts for name in fact)
        # versions of a method need not have the same parameters
        facts = [{name: fact.get(name, "not there") for name in every} for fact in facts]
        telling = [name for name in every if len({fact[name] for fact in facts}) > 1]
        for stored, fact in zip(group, facts, strict=True):
            parts = [f"{name} {fact[name]}" for name in telling]
            if len(group) > 1 and not _tells_apart(facts, telling):
                parts.append(f"spec {stored.result.spec.hash()[:8]}")
            names[stored.result.cell] = f"{label} [{', '.join(parts)}]" if parts else label
    return names


def _facts(spec: Spec) -> dict[str, str]:
    parameters = {name: str(value) for name, value in spec.method.parameters.items()}
    return {
        **parameters,
        "seed": str(spec.seed),
        "dtype": spec.dtype,
        "attention": spec.attention_implementation,
        "metrics": str(len(spec.metrics)),
        "source": spec.method.source[:8],
    }


def _tells_apart(facts: Sequence[dict[str, str]], telling: Sequence[str]) -> bool:
    return len({tuple(fact[name] for name in telling) for fact in facts}) == len(facts)
