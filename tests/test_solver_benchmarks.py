"""The solver against quadprog and OSQP on trained attention, for ``make bench``; as plain tests they take few rows.

Every comparison times all solvers in one run, on the same rows, in processor time of one thread: the ratios hold on
other machines, the seconds do not.
"""

import os
import time
from pathlib import Path

import numpy as np
import osqp
import pyarrow.parquet
import pytest
import quadprog
import scipy.sparse
import torch
from transformers import BertConfig, BertForSequenceClassification

from whybench.bench.attention import attention_pass, record_of
from whybench.bench.nullspace import column_basis
from whybench.methods.efficient_attention import solve
from whybench.tests.timer import clock

SHARED = Path(os.environ.get("WHYBENCH_SHARED", "../shared"))

# What is asked of `solve`: at 256 tokens on a processor, and for all heads of a base-sized model on a GPU.
FASTER_THAN_QUADPROG = 30
FASTER_THAN_OSQP = 60
MOST_FORWARD_PASSES = 50

# Random weights of this standard deviation, and queries that give attention scores this one: rows as peaked as trained.
DEVIATION = 0.02
SCORES = 5.0

# Rows that the solvers that go row by row are timed on, drawn from all of them; their time is scaled up.
SAMPLE = 96

OSQP_SETTINGS = {"verbose": False, "polishing": True, "eps_abs": 1e-6, "eps_rel": 1e-6, "max_iter": 20_000}

pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.benchmark(timer=clock)]


def constraints(row, values):
    """Independent rows of ``[V, 1]ᵀx = [V, 1]ᵀa`` for one attention row, as both solvers want them."""
    allowed = torch.ones(1, len(row), dtype=torch.bool)
    basis, _ = column_basis(torch.from_numpy(values)[None], allowed, with_ones=True)
    return basis[0].numpy(), basis[0].numpy().T @ (row / row.sum())


def by_quadprog(basis, goal):
    keys = len(basis)
    sides = np.hstack([basis, np.eye(keys)])
    bounds = np.concatenate([goal, np.zeros(keys)])
    return quadprog.solve_qp(np.eye(keys), np.zeros(keys), sides, bounds, meq=basis.shape[1])[0]


def by_osqp(basis, goal):
    keys = len(basis)
    sides = scipy.sparse.csc_matrix(np.vstack([basis.T, np.eye(keys)]))
    lower = np.concatenate([goal, np.zeros(keys)])
    upper = np.concatenate([goal, np.full(keys, np.inf)])
    problem = osqp.OSQP()
    problem.setup(scipy.sparse.identity(keys, format="csc"), np.zeros(keys), sides, lower, upper, **OSQP_SETTINGS)
    return problem.solve(raise_error=False).x


def timed(work):
    start = time.process_time()
    answer = work()
    return time.process_time() - start, answer


def compare(weights, values, sample=SAMPLE):
    """Seconds per row of each solver, and how far the others' answers are from `solve`'s, at most and in the median.

    What is made once for all solvers, the basis of a head's columns, is on `solve`'s bill only.

    Args:
        weights: ``[heads, queries, keys]``, every key allowed.
        values: ``[heads, keys, d_v]``.
        sample: Rows for the solvers that go row by row, drawn from all.
    """
    solve(weights[:1, :2], values[:1])  # what torch does once is on nobody's bill
    seconds, solution = timed(lambda: solve(weights, values))
    solution.raise_if_uncertified()
    heads, queries, _ = weights.shape
    per_row, distances = {"solve": seconds / (heads * queries)}, {}
    drawn = np.random.default_rng(0).choice(heads * queries, size=min(sample, heads * queries), replace=False)
    places = [divmod(int(index), queries) for index in drawn]
    problems = [constraints(weights[h, q].double().numpy(), values[h].double().numpy()) for h, q in places]
    for name, solver in (("quadprog", by_quadprog), ("osqp", by_osqp)):
        seconds, answers = timed(lambda solver=solver: [solver(*problem) for problem in problems])
        per_row[name] = seconds / len(places)
        rows = [solution.matrix[place].numpy() for place in places]
        distances[name] = [float(np.abs(answer - row).max()) for row, answer in zip(rows, answers, strict=True)]
    return per_row, distances


def report(benchmark, rows, per_row, distances):
    """The ratios of the others' times to `solve`'s; they go into the benchmark's record and are printed."""
    ratios = {name: per_row[name] / per_row["solve"] for name in distances}
    benchmark.extra_info |= {"milliseconds_per_row": {k: 1e3 * v for k, v in per_row.items()}, "ratios": ratios}
    times = ", ".join(f"{name} {1e3 * seconds:.3f} ms" for name, seconds in per_row.items())
    print(f"\n{rows}: {times} per row")
    for name, ratio in ratios.items():
        off = distances[name]
        print(f"  {ratio:.3g}× the speed of {name}, {np.median(off):.0e} from its answers (at most {max(off):.0e})")
    return ratios


def test_solve_against_others_on_the_built_in_checkpoint(benchmark, xor_classifier, xor_examples):
    longest = sorted(xor_examples, key=lambda example: len(example.text))[-1]
    with torch.no_grad():
        record = xor_classifier.attention(xor_classifier.encode([longest.text]))
    weights, values = (torch.cat(part, dim=1)[0] for part in (record.weights, record.values))
    keys = weights.shape[-1]
    per_row, distances = compare(weights, values, sample=8 if benchmark.disabled else SAMPLE)
    report(benchmark, f"xor_cues, {keys} tokens, d_v {values.shape[-1]}", per_row, distances)
    benchmark(solve, weights, values)
    assert max(distances["quadprog"]) < 1e-7
    assert np.median(distances["osqp"]) < 1e-4


@pytest.fixture(scope="module")
def imdb_attention():
    """All heads of minilm-imdb on a text of 256 tokens: weights ``[72, 256, 256]``, values ``[72, 256, 32]``."""
    folder = SHARED / "models" / "minilm-imdb"
    if not folder.is_dir():
        pytest.skip(f"no checkpoint {folder}: set WHYBENCH_SHARED")
    from whybench import Classifier

    table = pyarrow.parquet.read_table(SHARED / "data" / "imdb" / "test.parquet", columns=["text"])
    classifier = Classifier.from_pretrained(folder, device="cpu")
    classifier.max_length = 256  # the length that it was trained on
    batch = classifier.encode([max(table["text"].to_pylist()[:50], key=len)])
    with torch.no_grad():
        record = classifier.attention(batch)
    assert record.weights[0].shape[-1] == 256
    return tuple(torch.cat(part, dim=1)[0] for part in (record.weights, record.values))


def test_solve_against_others_on_trained_attention(benchmark, imdb_attention):
    weights, values = imdb_attention
    if benchmark.disabled:
        weights, values = weights[::24, ::8], values[::24]
    per_row, distances = compare(weights, values, sample=4 if benchmark.disabled else SAMPLE)
    assert max(distances["quadprog"]) < 1e-6
    assert np.median(distances["osqp"]) < 1e-4
    ratios = report(benchmark, "minilm-imdb, 256 tokens, d_v 32", per_row, distances)
    benchmark.pedantic(solve, args=(weights, values), rounds=1)
    if not benchmark.disabled:
        assert ratios["quadprog"] >= FASTER_THAN_QUADPROG
        assert ratios["osqp"] >= FASTER_THAN_OSQP


def test_solve_sparsest_on_trained_attention(benchmark, imdb_attention):
    weights, values = imdb_attention
    every = 24 if benchmark.disabled else 6
    weights, values = weights[::every], values[::every]
    solution = benchmark.pedantic(solve, args=(weights, values, None, "sparsest"), rounds=1)
    assert bool(solution.certified.all())


def base_sized(device, small):
    """A BERT of base size with random weights, and a text of 512 random tokens; or a small one.

    Random weights give flat rows, which are easy. The queries here are scaled up until attention scores spread as they
    do in a trained model.
    """
    size = (
        {"num_hidden_layers": 2, "hidden_size": 32, "num_attention_heads": 4, "intermediate_size": 64} if small else {}
    )
    model = BertForSequenceClassification(BertConfig(vocab_size=1000, **size)).eval().to(device)
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, parameter in sorted(model.named_parameters()):
            if parameter.dim() == 2:
                deviation = SCORES / (DEVIATION * parameter.shape[1]) if "query" in name else DEVIATION
                parameter.copy_(deviation * torch.randn(parameter.shape, generator=generator))
    ids = torch.randint(1000, (1, 48 if small else 512), generator=generator)
    return model, ids.to(device)


@pytest.fixture
def device(request):
    """Where the claim about a GPU is put to the test; without timings the processor does."""
    if request.config.getoption("benchmark_disable") and not request.config.getoption("benchmark_enable"):
        return "cpu"
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device, and the claim is about one")
    return "cuda"


def test_all_heads_of_a_base_model_take_fifty_forward_passes(device, benchmark):
    small = device == "cpu"
    model, ids = base_sized(device, small)
    with torch.no_grad(), attention_pass(model) as running:
        model(input_ids=ids)
    record = record_of(running)
    weights, values = (torch.cat(part, dim=1) for part in (record.weights, record.values))
    entropy = -(weights * weights.clamp_min(1e-30).log()).sum(-1)
    assert float(entropy.exp().median()) < weights.shape[-1] / 8, "the rows are not peaked"

    def synchronised(work):
        answer = work()
        if not small:
            torch.cuda.synchronize()
        return answer

    def forward():
        with torch.no_grad():
            return model(input_ids=ids)

    def seconds(work):
        synchronised(work)
        start = time.perf_counter()
        for _ in range(1 if small else 5):
            synchronised(work)
        return (time.perf_counter() - start) / (1 if small else 5)

    unit, taken = seconds(forward), seconds(lambda: solve(weights, values))
    benchmark.extra_info["forward_passes"] = taken / unit
    solution = benchmark.pedantic(lambda: synchronised(lambda: solve(weights, values)), rounds=1)
    assert bool(solution.certified.all())
    if not small:
        print(f"\n{weights.shape[1]} heads, {ids.shape[1]} tokens: {taken / unit:.1f} forward passes")
        assert taken <= MOST_FORWARD_PASSES * unit
