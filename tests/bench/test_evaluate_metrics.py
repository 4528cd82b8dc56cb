"""The metrics as evaluate.Metric objects."""

import evaluate
import numpy as np
import pytest

from whybench import load_metric
from whybench.bench.curves import Curves
from whybench.bench.errors import UnknownNameError
from whybench.bench.metrics import METRICS

RECORD = {
    "units": [2, 1],
    "removed_k": [[0, 1, 2], [0, 1]],
    "removed_p": [[0.9, 0.4, 0.2], [0.8, 0.7]],
    "removed_flipped": [[False, True, True], [False, False]],
    "kept_k": [[0, 1, 2], [0, 1]],
    "kept_p": [[0.2, 0.8, 0.9], [0.7, 0.8]],
}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize("name", METRICS)
def test_gives_the_mean_of_the_pure_function(name):
    rows = zip(*RECORD.values(), strict=True)
    expected = np.mean([METRICS[name].value(Curves(r[0], *(np.array(column) for column in r[1:]))) for r in rows])
    assert load_metric(name).compute(**RECORD) == {name: pytest.approx(expected, abs=1e-12)}


@pytest.mark.parametrize("name", METRICS)
def test_documents_itself(name):
    metric, pure = load_metric(name), METRICS[name]
    assert metric.name == name
    assert pure.formula in metric.description
    assert metric.citation == pure.citation
    assert ("higher is better" if pure.higher_is_better else "lower is better") in metric.inputs_description.lower()
    assert metric.higher_is_better == pure.higher_is_better
    for column in metric.features:
        assert column in metric.inputs_description


def test_works_in_combination():
    combined = evaluate.combine([load_metric(name) for name in METRICS])
    alone = {}
    for name in METRICS:
        alone |= load_metric(name).compute(**RECORD)
    assert combined.compute(**RECORD) == alone


def test_takes_batches():
    metric = load_metric("comprehensiveness")
    for i in range(2):
        metric.add_batch(**{name: column[i : i + 1] for name, column in RECORD.items()})
    assert metric.compute() == load_metric("comprehensiveness").compute(**RECORD)


def test_unknown():
    with pytest.raises(UnknownNameError, match="comprehensiveness"):
        load_metric("comprehensivness")
