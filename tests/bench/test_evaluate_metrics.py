"""The metrics as evaluate.Metric objects."""

import evaluate
import numpy as np
import pytest

from whybench import load_metric
from whybench.bench.errors import UnknownNameError
from whybench.bench.examples_table import curves_from
from whybench.bench.metrics import METRICS

RECORD = {
    "units": [2, 1],
    "removed_k": [[0, 1, 2], [0, 1]],
    "removed_p": [[0.9, 0.4, 0.2], [0.8, 0.7]],
    "removed_flipped": [[False, True, True], [False, False]],
    "kept_k": [[0, 1, 2], [0, 1]],
    "kept_p": [[0.2, 0.8, 0.9], [0.7, 0.8]],
    "unit_scores": [[2.0, 1.0], [1.0]],
    "single_p": [[0.4, 0.3], [0.7]],
    "drawn_units": [[True, False, True, True] * 32, [True] * 64],
    "drawn_p": [[0.4, 0.2] * 32, [0.7] * 64],
    "soft_p": [[0.5, 0.25] * 32, []],
}
UNDEFINED = {name: metric.undefined for name, metric in METRICS.items() if metric.undefined}


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


@pytest.mark.parametrize("name", METRICS)
def test_gives_the_mean_of_the_pure_function(name):
    rows = [dict(zip(RECORD, row, strict=True)) for row in zip(*RECORD.values(), strict=True)]
    values = [METRICS[name].value(curves_from(row, row["units"])) for row in rows]
    known = [value for value in values if value is not None]
    expected = {name: pytest.approx(np.mean(known), abs=1e-12)}
    if name in UNDEFINED:
        expected[f"{name}_undefined"] = len(values) - len(known)
    assert load_metric(name).compute(**RECORD) == expected
    # no more columns than the metric takes are needed
    metric = load_metric(name)
    assert metric.compute(**{column: RECORD[column] for column in metric.features}) == expected


def test_what_is_undefined_everywhere_is_no_number():
    one = {name: column[1:] for name, column in RECORD.items()}
    answer = load_metric("soft_sufficiency").compute(**one)
    assert answer == {"soft_sufficiency": None, "soft_sufficiency_undefined": 1}


@pytest.mark.parametrize("name", METRICS)
def test_documents_itself(name):
    metric, pure = load_metric(name), METRICS[name]
    assert metric.name == name
    assert pure.formula in metric.description
    assert metric.citation == pure.citation
    better = {True: "higher is better", False: "lower is better", None: "neither end is better"}
    assert better[pure.higher_is_better] in metric.inputs_description
    assert pure.undefined in metric.inputs_description
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
        metric.add_batch(**{name: RECORD[name][i : i + 1] for name in metric.features})
    assert metric.compute() == load_metric("comprehensiveness").compute(**RECORD)


def test_unknown():
    with pytest.raises(UnknownNameError, match="comprehensiveness"):
        load_metric("comprehensivness")
