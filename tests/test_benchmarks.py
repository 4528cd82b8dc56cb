"""The hot paths, for ``make bench``; as plain tests they only check that they run.

Compare medians within one run, never seconds across machines: `test_plain_forward` is the unit. ``make bench-compare``
runs this file on older code as well: what is new is imported in the benchmark that needs it.
"""

import numpy as np
import pytest
import torch

from whybench import Classifier, load_method
from whybench.bench.comparison import compare
from whybench.bench.engine import ForwardEngine
from whybench.bench.listing import entries
from whybench.bench.metrics import metrics_named
from whybench.bench.operators import OPERATORS
from whybench.bench.scoring import rankings, record_curves
from whybench.bench.statistics import bootstrap_intervals
from whybench.bench.store import ResultStore
from whybench.leaderboard.site import build_site
from whybench.tasks.builtin import checkpoint
from whybench.tests import conftest
from whybench.tests.leaderboard.factory import suite
from whybench.tests.timer import clock

pytestmark = pytest.mark.benchmark(timer=clock)


@pytest.fixture(scope="session")
def xor_classifier():
    """The built-in checkpoint, on a GPU where there is one."""
    return Classifier.from_pretrained(checkpoint("xor_cues"), device="cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def bench(benchmark, one_thread):
    """The benchmark, on one thread of the processor."""
    return benchmark


@pytest.fixture
def few(xor_batch):
    """Some examples: the slowest methods take a second for each."""
    return xor_batch.select([0, 1, 2, 3])


def test_the_timer_waits_for_the_gpu(monkeypatch):
    waited = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "synchronize", waited.append)
    assert clock() <= clock()
    assert waited == [0, 1, 0, 1]


def test_the_record_names_torch_gpu_and_driver():
    info = {"node": "x"}
    conftest.pytest_benchmark_update_machine_info(machine_info=info)
    assert info["torch"] == torch.__version__
    assert set(info) == {"node", "torch", "transformers", "gpu", "driver"}
    assert torch.cuda.is_available() == (info["gpu"] is not None)


def test_plain_forward(bench, xor_classifier, few):
    assert bench(xor_classifier.probabilities, few).shape == (4, 2)


# exact Shapley values have no answer for texts of these lengths
METHODS = [e.name for e in entries("method") if e.fact("family") != "control" and e.name != "shapley"]


@pytest.mark.parametrize("name", METHODS)
def test_attribute(bench, xor_classifier, few, name):
    method = load_method(name)
    assert bench(method.attribute, xor_classifier, few).shape == few.input_ids.shape


def curves_of(classifier, batch, engine):
    n = [np.random.default_rng(i).random(count) for i, count in enumerate(batch.unit_counts().tolist())]
    return record_curves(engine, batch, "mask", range(len(batch)), n, rankings(batch, n, 0), metrics_named(None), 0)


def test_score_with_a_new_engine(bench, xor_classifier, xor_batch):
    assert len(bench(lambda: curves_of(xor_classifier, xor_batch, ForwardEngine(xor_classifier)))) == 12


def test_score_with_a_warm_engine(bench, xor_classifier, xor_batch):
    engine = ForwardEngine(xor_classifier)
    curves_of(xor_classifier, xor_batch, engine)
    before = engine.counts.forwarded
    bench(lambda: curves_of(xor_classifier, xor_batch, engine))
    assert engine.counts.forwarded == before


@pytest.mark.parametrize("operator", OPERATORS)
def test_plan(bench, benchmark, xor_classifier, xor_batch, monkeypatch, operator):
    """All but the model: sets, perturbed inputs, keys, known ones, sorting and packing; divide by the inputs."""
    monkeypatch.setattr(xor_classifier, "logits_from_ids", lambda ids, *_: torch.zeros(len(ids), 2))
    batch = xor_batch.select([*range(12)] * 10)
    n = [np.random.default_rng(i).random(count) for i, count in enumerate(batch.unit_counts().tolist())]
    ranks, metrics = rankings(batch, n, 0), metrics_named(None)

    def plan():
        engine = ForwardEngine(xor_classifier)
        record_curves(engine, batch, operator, range(len(batch)), n, ranks, metrics, 0)
        return engine.counts

    counts = bench(plan)
    benchmark.extra_info["inputs"] = counts.asked
    assert counts.asked > 5000


@pytest.fixture(scope="module")
def trained_rows(xor_classifier, xor_examples):
    """One layer of trained attention, with more keys than d_v."""
    batch = xor_classifier.encode([e.text for e in xor_examples[:3]])
    with torch.no_grad():
        record = xor_classifier.attention(batch)
    return record.weights[0].cpu(), record.values[0].cpu(), record.allowed[0].cpu()


def test_solve(bench, trained_rows):
    from whybench.methods.efficient_attention import solve

    assert bool(bench(solve, *trained_rows).certified.all())


def test_solve_row_by_row_with_quadprog(bench, trained_rows):
    """The exact reference, on the same rows."""
    import quadprog

    weights, values, allowed = (tensor.double().numpy() for tensor in trained_rows)

    def rows():
        answers = []
        for example, head, query in np.ndindex(weights.shape[:3]):
            keys = allowed[example, 0, query] > 0
            system = np.column_stack((values[example, head][keys], np.ones(keys.sum())))
            row = weights[example, head, query][keys]
            basis = np.linalg.svd(system, full_matrices=False)[0]
            constraints = np.column_stack((basis, np.eye(len(row))))
            bounds = np.concatenate((basis.T @ (row / row.sum()), np.zeros(len(row))))
            answers.append(
                quadprog.solve_qp(np.eye(len(row)), np.zeros(len(row)), constraints, bounds, basis.shape[1])[0]
            )
        return answers

    from whybench.methods.efficient_attention import solve

    answers = bench(rows)
    fast = solve(*trained_rows).matrix.numpy()
    for place, answer in zip(np.ndindex(weights.shape[:3]), answers, strict=True):
        np.testing.assert_allclose(fast[place][allowed[place[0], 0, place[2]] > 0], answer, atol=1e-7)


def test_bootstrap(bench):
    assert bench(bootstrap_intervals, np.random.default_rng(0).random((500, 30))).shape == (2, 30)


def test_compare(bench):
    """Means, pairs, tests, ranks and groups of 30 methods on 500 examples, from 10,000 resamples."""
    values = np.random.default_rng(0).beta(2, 5, size=(500, 30)) + np.linspace(0, 0.1, 30)
    found = bench(lambda: compare(values, [str(i) for i in range(30)], higher_is_better=True))
    assert found.resamples == 10_000


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A board of all kinds of rows."""
    return suite(ResultStore(tmp_path_factory.mktemp("results")))


def test_site_build(bench, results, tmp_path):
    assert bench(lambda: build_site(*results, tmp_path / "site")).is_file()


def test_compare_two_folders(bench, results):
    """Reading two folders, pairing by example, and the intervals."""
    from whybench.bench.regression import compare_folders
    from whybench.bench.thresholds import read_thresholds

    store = ResultStore(results[0][0].folder.parent.parent)
    assert len(bench(lambda: compare_folders(store, store, read_thresholds())).cells) == len(results[0])
