"""Results of the causal suite on disk, made without a model: random figures of plausible size, and real projections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from whybench.bench import examples_table
from whybench.bench.causal.metrics import CAUSAL
from whybench.bench.schema import Cost, Coverage, Figure, Result
from whybench.bench.store import ResultStore, StoredResult, read
from whybench.tests.leaderboard.factory import WORDS, Made, common_of, digest, spec_of

# how far the probabilities move with the matrix in place of the model's
MOVED: dict[str, float] = {
    "raw_attention": 0.0,
    "effective_attention": 3e-13,
    "row_sum_attention": 2e-13,
    "efficient_attention": 4e-9,
    "sparsest_attention": 5e-13,
    "uniform_attention": 0.3,
    "permuted_attention": 0.22,
    "frozen_attention": 0.06,
    "adversarial_attention": 0.008,
}
NOTE = "A reconstruction of Naim & Asher 2024."
DISTRIBUTIONS = {"raw_attention", "efficient_attention", "sparsest_attention"}
MATRICES = ("raw_attention", "effective_attention", "efficient_attention", "sparsest_attention")
DIMENSION = 16


def causal(store: ResultStore, method: str, **changes: Any) -> StoredResult:
    """Write a cell of the causal suite, finished or failed, and read it back."""
    control = method.split("_")[0] in ("uniform", "permuted", "frozen", "adversarial")
    usual = {
        "method": method,
        "family": "control" if control else "attention",
        "signed": False,
        "summary": "Attention weights of a kind.",
        "note": NOTE if method == "efficient_attention" else "",
        "examples": 12,
        "task": "sst2",
        "dataset": "a/sst2",
        "model": "minilm",
        "labels": ("negative", "positive"),
    }
    made = Made(**{**usual, **changes})
    spec = spec_of(made, tuple(CAUSAL))
    common = common_of(made, spec)
    if made.error is not None:
        return read(store.write(Result(status="failed", error=made.error, **common)))
    rows = [_row(made, index) for index in range(made.examples)]
    names = [name for name in CAUSAL if any(row.get(name) is not None for row in rows)]
    result = Result(
        status="finished",
        accuracy=float(np.mean([row["label"] == row["target"] for row in rows])),
        coverage=Coverage(examples=made.examples, scored=made.examples, truncated=0),
        figures={name: _figure(name, [row[name] for row in rows if row.get(name) is not None]) for name in names},
        cost=None if control else _COST,
        **common,
    )
    return read(store.write(result, examples_table.causal_table(rows, names)))


def causal_suite(store: ResultStore, methods: Sequence[str] = tuple(MOVED), **changes: Any) -> list[StoredResult]:
    """All methods and controls on a task."""
    return [causal(store, method, **changes) for method in methods]


_COST = Cost(
    timer="perf_counter",
    examples=12,
    batch_examples=16,
    batch_tokens=704,
    p50_ms=1.0,
    p95_ms=1.4,
    examples_per_second=1000.0,
    forward_equivalents=1.0,
    peak_memory_bytes=1000,
    counted_examples=4,
    forward_passes=1.0,
    backward_passes=0.0,
    flops=31e6,
)


def _figure(name: str, values: list[float]) -> Figure:
    mean = float(np.mean(values))
    half = 1.96 * float(np.std(values)) / len(values) ** 0.5
    smallest, largest = CAUSAL[name].range
    return Figure(mean=mean, low=max(smallest, mean - half), high=min(largest, mean + half), examples=len(values))


def _row(made: Made, index: int) -> dict[str, Any]:
    texts = np.random.default_rng([index, len(made.task)])
    if made.texts is not None:
        words = made.texts[index % len(made.texts)].split(" ")
    else:
        words = [str(word) for word in texts.choice(WORDS, size=int(texts.integers(6, 60)))]
    tokens = ["[CLS]", *words, "[SEP]"]
    label = index % 2
    row: dict[str, Any] = {
        "example_id": f"{made.task}-{index:04d}",
        "text": " ".join(words),
        "label": label,
        "target": 1 - label if index % 9 == 5 else label,
        "probability": 0.5 + 0.5 * float(texts.random()),
        "truncated": False,
        "tokens": tokens,
        "length": len(tokens),
        "head_dimension": DIMENSION,
    }
    if made.pairs:
        half = len(words) // 2
        row |= {"text": " ".join(words[:half]), "text_pair": " ".join(words[half:])}
    if index in (1, 4, 7) and made.method in MATRICES:
        matrix = _matrix(made.method, len(tokens), np.random.default_rng([index, 5]))
        row |= {"specimen_layer": 2, "specimen_head": index, "specimen_matrix": matrix.ravel().tolist()}
    return row | _figures(
        made, len(tokens), np.random.default_rng([index, int(digest(made.label or made.method)[:8], 16)])
    )


def _figures(made: Made, length: int, noise: np.random.Generator) -> dict[str, float]:
    moved = MOVED[made.method] * (1.6 if made.pairs else 1.0)
    control = made.family == "control"
    null = float(max(0, length - DIMENSION - 1))
    far = 0.0 if made.method == "raw_attention" else 0.5 * null / length + (0.3 if control else 0.0)
    tvd = moved * noise.uniform(0.4, 1.6)
    agreed = float(noise.random() > tvd)
    known = {
        "replaced_tvd": tvd,
        "replaced_jsd": min(0.69, tvd**1.5),
        "replaced_logit_change": 4 * tvd,
        "replaced_agreement": agreed,
        "replaced_accuracy": agreed,
        "layer_replaced_tvd": tvd / 3,
        "head_replaced_tvd": tvd / 20,
        "matrix_tvd": far * noise.uniform(0.8, 1.2),
        "matrix_jsd": far * 0.6,
        "null_dimension": null,
        "null_share": 0.5 * null / length,
    }
    if control:
        return known
    known |= {
        "distribution_error": noise.uniform(0, 2) * 1e-16,
        "equivalence_error": noise.uniform(0, 2) * 1e-12,
        "norm_ratio": noise.uniform(0.3, 1.0),
        "support_ratio": noise.uniform(0.8, 1.9),
        "flip_mass": noise.uniform(0.1, 1.0),
        "random_flip_mass": noise.uniform(0.4, 1.0),
        "top_erasure_jsd": noise.uniform(0.0, 0.2),
        "random_erasure_jsd": noise.uniform(0.0, 0.05),
        "top_erasure_flips": float(noise.random() < 0.3),
        "random_erasure_flips": float(noise.random() < 0.1),
        "tau_gradient": noise.uniform(-0.2, 0.6),
        "tau_leave_one_out": noise.uniform(-0.3, 0.5),
    }
    if made.method in DISTRIBUTIONS:
        known |= {
            "inside_tvd": noise.uniform(0.5, 3) * 1e-8,
            "outside_tvd": noise.uniform(0.001, 0.05),
            "inside_logit_change": noise.uniform(0.5, 3) * 1e-7,
            "outside_logit_change": noise.uniform(0.01, 0.5),
            "moved_distance": noise.uniform(0.1, 0.4),
            "moved_rows": noise.uniform(0.4, 1.0),
        }
    return known


def _matrix(method: str, length: int, noise: np.random.Generator) -> np.ndarray:
    """A peaked matrix with a sink, and what is left of it when its null space is taken out."""
    scores = noise.normal(size=(length, length)) * 1.4
    scores[:, -1] += 3.0
    raw = np.exp(scores)
    raw /= raw.sum(axis=1, keepdims=True)
    values = noise.normal(size=(length, DIMENSION))
    basis, _ = np.linalg.qr(values if method == "effective_attention" else np.c_[values, np.ones(length)])
    if method == "raw_attention":
        return raw
    projected = raw @ basis @ basis.T
    if method == "effective_attention":
        return projected
    kept = np.maximum(projected, 0.0)
    if method == "sparsest_attention":
        kept[kept < np.sort(kept, axis=1)[:, [-min(DIMENSION, length)]]] = 0.0
    return kept / kept.sum(axis=1, keepdims=True)
