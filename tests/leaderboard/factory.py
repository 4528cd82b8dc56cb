"""Valid results on disk, made without a model: texts with two planted words, and rankings that find them or not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from whybench.bench import examples_table
from whybench.bench.curves import Curves
from whybench.bench.metrics import METRICS
from whybench.bench.recovery import RECOVERY, Evidence
from whybench.bench.schema import (
    Cost,
    Coverage,
    Environment,
    Failure,
    Figure,
    GateOutcome,
    MethodSpec,
    ModelSpec,
    ReportFigure,
    Result,
    Spec,
    TaskSpec,
)
from whybench.bench.store import ResultStore, StoredResult, read

DEFAULT = {name: metric for name, metric in METRICS.items() if metric.default}

# fmt: off
WORDS = (
    "table", "window", "garden", "paper", "river", "stone", "candle", "morning", "letter", "bridge", "winter", "basket",
    "corner", "music", "village", "lantern", "pocket", "summer", "harbour", "feather", "kitchen", "thunder", "meadow",
)
# fmt: on


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True)
class Made:
    """What to make; every field can be given."""

    method: str = "occlusion"
    label: str | None = None
    family: str = "perturbation"
    signed: bool = True
    summary: str = "What the probability loses when a word is removed."
    note: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    bound: str | None = None
    gates: Mapping[str, GateOutcome] = field(default_factory=dict)
    quality: float = 2.0
    milliseconds: float = 1.0
    passes: tuple[float, float] = (1.0, 0.0)
    report: Mapping[str, ReportFigure] = field(default_factory=dict)
    task: str = "xor_cues"
    dataset: str | None = None
    labels: tuple[str, ...] = ("match", "mismatch")
    model: str = "xor_cues"
    weights: str = "weights"
    operator: str = "mask"
    evidence: bool = True
    kind: str | None = "planted"
    roles: bool = False
    examples: int = 30
    truncated: int = 0
    failed: Mapping[int, str] = field(default_factory=dict)
    texts: Sequence[str] | None = None
    pairs: bool = False
    unknown_evidence: tuple[int, ...] = ()
    seed: int = 0
    dtype: str = "float32"
    device: str = "A processor"
    commit: str | None = None
    error: str | None = None
    source: str | None = None
    created: str = "2025-11-22T09:00:00+00:00"


def spec_of(made: Made, metrics: tuple[str, ...]) -> Spec:
    return Spec(
        method=MethodSpec(
            name=made.method, parameters=dict(made.parameters), source=digest(made.source or made.method)
        ),
        task=TaskSpec(
            name=made.task,
            dataset=made.dataset,
            revision=digest(made.task),
            split="test",
            examples=made.examples,
            example_ids=digest(f"{made.task} {made.examples}"),
        ),
        model=ModelSpec(
            name=made.model,
            revision=None,
            weights=digest(made.weights),
            config=digest("config"),
            tokenizer=digest("tokenizer"),
        ),
        operator=made.operator,
        unit="word",
        metrics=metrics,
        seed=made.seed,
        dtype=made.dtype,
        attention_implementation="eager",
    )


def common_of(made: Made, spec: Spec) -> dict[str, Any]:
    """What finished and failed results share."""
    return {
        "cell": spec.cell(),
        "spec": spec,
        "label": made.label or made.method,
        "family": made.family,
        "signed": made.signed,
        "summary": made.summary,
        "note": made.note,
        "bound": made.bound,
        "description": f"Source: {made.summary}\n\nAttributes:\n    n: Number of things.",
        "label_names": made.labels,
        "evidence": made.kind if made.evidence else None,
        "environment": Environment(
            whybench="0.1.0",
            commit=made.commit,
            python="3.11.2",
            platform="Linux x86_64",
            torch="2.13.0",
            transformers="5.23.0",
            packages={"captum": "0.9.0", "numpy": "2.4.0"},
            device=made.device,
            driver=None,
            threads=2,
        ),
        "created": made.created,
        "seconds": 12.5,
    }


def make(store: ResultStore, made: Made) -> StoredResult:
    """Write a cell, finished or failed, and read it back."""
    spec = spec_of(made, tuple(DEFAULT))
    common = common_of(made, spec)
    if made.error is not None:
        return read(store.write(Result(status="failed", error=made.error, **common)))
    rows = [_row(made, index) for index in range(made.examples)]
    names = [name for name in (*DEFAULT, *RECOVERY) if any(row.get(name) is not None for row in rows)]
    result = Result(
        status="finished",
        accuracy=float(np.mean([row["label"] == row["target"] for row in rows])),
        coverage=Coverage(
            examples=made.examples,
            scored=made.examples - len(made.failed),
            truncated=made.truncated,
            failed=tuple(Failure(example=f"{made.task}-{i:04d}", reason=why) for i, why in made.failed.items()),
        ),
        figures={name: _figure(name, [row[name] for row in rows if row.get(name) is not None]) for name in names},
        report=dict(made.report),
        gates=dict(made.gates),
        cost=Cost(
            timer="perf_counter",
            examples=made.examples,
            batch_examples=16,
            batch_tokens=704,
            p50_ms=made.milliseconds,
            p95_ms=made.milliseconds * 1.4,
            examples_per_second=1000 / made.milliseconds,
            forward_equivalents=made.milliseconds / 0.9,
            peak_memory_bytes=int(3_400_000 * made.milliseconds),
            counted_examples=4,
            forward_passes=made.passes[0],
            backward_passes=made.passes[1],
            flops=31e6 * (made.passes[0] + 2 * made.passes[1]),
        ),
        **common,
    )
    return read(store.write(result, examples_table.table(rows, names)))


def _figure(name: str, values: list[float]) -> Figure:
    mean = float(np.mean(values))
    half = 1.96 * float(np.std(values)) / len(values) ** 0.5
    smallest, largest = (METRICS.get(name) or RECOVERY[name]).range
    return Figure(mean=mean, low=max(smallest, mean - half), high=min(largest, mean + half), examples=len(values))


def _row(made: Made, index: int) -> dict[str, Any]:
    # the text depends on the task and the example only, the scores on the method as well
    texts = np.random.default_rng([index, len(made.task)])
    noise = np.random.default_rng([index, int(digest(made.label or made.method)[:8], 16)])
    if made.texts is not None:
        words = made.texts[index % len(made.texts)].split(" ")
    else:
        words = [str(word) for word in texts.choice(WORDS, size=int(texts.integers(18, 34)))]
    n = len(words)
    planted = sorted(texts.choice(n, size=min(2, n), replace=False).tolist())
    if made.texts is None:
        for place, word in zip(
            planted, (("red", "blue")[index % 2], ("round", "square")[index // 2 % 2]), strict=False
        ):
            words[place] = word
    ends = np.cumsum([len(word) + 1 for word in words]) - 1
    label = index % 2
    target = 1 - label if index % 9 == 5 else label
    row: dict[str, Any] = {
        "example_id": f"{made.task}-{index:04d}",
        "text": " ".join(words),
        "label": label,
        "target": target,
        "truncated": index < made.truncated,
        "tokens": ["[CLS]", *words, "[SEP]"],
        "unit_segments": [0] * n,
        "unit_starts": [int(end) - len(word) for end, word in zip(ends, words, strict=True)],
        "unit_ends": [int(end) for end in ends],
    }
    known = _evidence(made, planted, n) if made.evidence and index not in made.unknown_evidence else None
    row |= examples_table.evidence_columns(known)
    if made.pairs:
        first = n // 2
        cut = int(ends[first - 1]) + 1
        row |= {
            "text": row["text"][: cut - 1],
            "text_pair": row["text"][cut:],
            "unit_segments": [int(place >= first) for place in range(n)],
            "unit_starts": [start - cut * (place >= first) for place, start in enumerate(row["unit_starts"])],
            "unit_ends": [end - cut * (place >= first) for place, end in enumerate(row["unit_ends"])],
        }
    if index in made.failed:
        return row | {"error": made.failed[index]}
    scores = noise.normal(size=n) * 0.4
    scores[planted] += made.quality * noise.uniform(0.4, 1.0, size=len(planted))
    if not made.signed:
        scores = np.abs(scores)
    rank = np.empty(n, dtype=np.int64)
    rank[np.argsort(-scores, kind="stable")] = np.arange(n)
    curves = _curves(rank, np.array(planted), 0.9 + 0.1 * float(texts.random()), scores)
    row |= {
        "probability": curves.original,
        "token_scores": [0.0, *scores.tolist(), 0.0],
        **examples_table.columns_of(curves),
        **{name: metric.value(curves) for name, metric in DEFAULT.items()},
    }
    if known is not None:
        row |= {name: metric.value(rank, known) for name, metric in RECOVERY.items() if known.has(metric.role)}
    return row


def _evidence(made: Made, planted: Sequence[int], n: int) -> Evidence:
    """The planted words; with roles, the first of them is necessary, and the last word of the text is a distractor."""
    first, last = np.arange(n) == planted[0], (np.arange(n) == n - 1) & ~np.isin(np.arange(n), planted)
    return Evidence(
        segments=((np.arange(n) >= n // 2) & made.pairs).astype(np.int64),
        units=np.isin(np.arange(n), planted),
        necessary=first & made.roles,
        sufficient=(np.isin(np.arange(n), planted),) if made.roles else (),
        distractor=last & made.roles,
        roles=made.roles,
    )


def _curves(rank: np.ndarray, planted: np.ndarray, whole: float, scores: np.ndarray) -> Curves:
    """Half of the probability hangs on the planted words."""
    n = len(rank)
    k = np.arange(n + 1)
    gone = (rank[planted][None, :] < k[:, None]).mean(axis=1)
    removed = whole - 0.5 * gone - 0.08 * k / n
    kept = whole - 0.5 * (1 - gone) - 0.08 * (1 - k / n)
    single = whole - 0.5 * np.isin(np.arange(n), planted) / len(planted) - 0.08 / n
    return Curves(n, k, removed, removed < 0.5, k, kept, scores=scores, single_p=single)


METHODS: tuple[dict[str, Any], ...] = (
    {
        "method": "efficient_attention",
        "family": "attention",
        "signed": False,
        "summary": "The smallest attention weights with the same head output.",
        "note": "A reconstruction of Naim & Asher 2024.",
        "quality": 0.9,
        "milliseconds": 24.0,
        "report": {
            "equality_residual": ReportFigure(mean=2.1e-11, largest=8.4e-9),
            "row_sum_error": ReportFigure(mean=0.0, largest=2.2e-16),
        },
    },
    {
        "method": "raw_attention",
        "family": "attention",
        "signed": False,
        "quality": 0.7,
        "milliseconds": 1.1,
        "summary": "Attention weights as they are.",
    },
    {
        "method": "gradient",
        "family": "gradient",
        "signed": False,
        "quality": 1.2,
        "milliseconds": 2.9,
        "passes": (1.0, 1.0),
        "summary": "L2 norm of the gradient of the target's logit.",
    },
    {
        "method": "gradient_x_input",
        "family": "gradient",
        "quality": 0.5,
        "milliseconds": 3.0,
        "passes": (1.0, 1.0),
        "summary": "Each word embedding's dot product with the gradient of the target's logit.",
    },
    {
        "method": "integrated_gradients",
        "label": "integrated_gradients(n_steps=20)",
        "family": "gradient",
        "parameters": {"n_steps": 20, "baseline": "auto", "internal_batch_size": 128},
        "quality": 2.2,
        "milliseconds": 61.0,
        "passes": (22.0, 20.0),
        "summary": "Gradient, averaged on the straight line from a baseline's word embeddings to the text's.",
        "report": {"completeness_delta": ReportFigure(mean=0.0123, largest=0.31)},
    },
    {"method": "occlusion", "quality": 3.0, "milliseconds": 18.2, "passes": (27.4, 0.0)},
    {
        "method": "random",
        "family": "reference",
        "signed": False,
        "quality": 0.0,
        "milliseconds": 0.02,
        "passes": (0.0, 0.0),
        "parameters": {"seed": 0},
        "summary": "Uniform random scores: the floor.",
    },
)


def suite(store: ResultStore, **changes: Any) -> tuple[list[StoredResult], list[StoredResult]]:
    """The default methods on a task, all of them finished."""
    for method in METHODS:
        make(store, Made(**{**method, **changes}))
    return store.read_all(), store.read_failures()
