"""Each identity is broken by hand, and the break is named; what the engine writes breaks none."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from whybench import load_method, load_task
from whybench.bench.errors import CorruptResultError
from whybench.bench.examples_table import CURVES, curves_of
from whybench.bench.identities import broken
from whybench.bench.metrics import METRICS
from whybench.bench.runner import Plan, run
from whybench.bench.store import ResultStore
from whybench.tests.bench.test_store import Silent


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """A cell with every metric, of four examples."""
    plan = Plan(
        tasks=[load_task("xor_cues")], methods=[load_method("gradient")], limit=4, device="cpu", metrics=["all"]
    )
    (cell,) = run(plan, ResultStore(tmp_path_factory.mktemp("results")), Silent())
    return cell


def changed(table, row, column, change):
    rows = table.to_pylist()
    rows[row][column] = change(rows[row][column])
    return pa.Table.from_pylist(rows, schema=table.schema)


def at(place, value):
    return lambda found: [*found[:place], value, *(found[place + 1 :] if place != -1 else [])]


def test_what_the_engine_writes_breaks_none_and_is_read_back_as_it_was(stored):
    assert broken(stored.result, stored.examples) is None
    assert set(METRICS) < set(stored.result.figures)
    for curves, row in zip(curves_of(stored.examples), stored.examples.to_pylist(), strict=True):
        for name, metric in METRICS.items():
            assert metric.value(curves) == row[name], name


BREAKS = {
    "probability": ("probability", lambda p: p - 0.001, "probability is .* nothing removed"),
    "nothing removed": ("removed_p", at(0, 0.123), "probability is .*0.123"),
    "all removed": ("removed_p", at(-1, 0.987), r"units removed p is 0.987, with 0 of them kept 0\.\d+"),
    "none kept": ("kept_p", at(0, 0.987), "with 0 of them kept 0.987"),
    "all kept": ("kept_p", at(-1, 0.111), r"with 0 of \d+ units removed p is .* kept 0.111"),
    "no probability": ("drawn_p", at(3, 1.5), "drawn_p has 1.5 at place 3"),
    "not a number": ("soft_p", at(0, float("nan")), "soft_p has nan"),
    "sizes": ("removed_k", at(1, 0), "k must ascend"),
    "a size too many": ("kept_p", lambda p: [*p, 0.5], "the curve 'kept' has"),
    "singles": ("single_p", lambda p: p[1:], "single_p has"),
    "the best unit": ("single_p", lambda p: [0.5] * len(p), "with it removed alone"),
    "scores of other units": ("unit_scores", lambda s: [-x for x in s], "with it removed alone"),
    "a score too few": ("unit_scores", lambda s: s[1:], "cannot be read|scores for"),
    "range": ("sufficiency", lambda _: 1.25, "sufficiency is 1.25; its range is -1.0 to 1.0"),
    "value": ("sufficiency", lambda x: x + 1e-6, "sufficiency has the mean .* the result's figure"),
    "value gone": ("loo_agreement", lambda _: None, "loo_agreement has a number for 3 examples, the .* for 4"),
    "value not a number": ("infidelity", lambda _: float("nan"), "infidelity is nan"),
    "failed": ("error", lambda _: "no luck", "3 rows have no error, the result has 4 scored"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_broken_identity_is_named_with_example_and_numbers(stored, name):
    column, change, message = BREAKS[name]
    table = changed(stored.examples, 2, column, change)
    said = broken(stored.result, table)
    assert said is not None
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(said)
    if column in (*CURVES, "probability") and "cannot be read" not in said:
        assert f"example {stored.examples.column('example_id')[2].as_py()!r}" in said


def test_a_row_too_few(stored):
    assert broken(stored.result, stored.examples.slice(1)) == "it has 3 rows, the result has 4 examples"


def test_reading_a_cell_checks_them_and_names_the_cell(stored, tmp_path):
    store = ResultStore(tmp_path)
    store.write(stored.result, changed(stored.examples, 1, "probability", lambda p: p / 2))
    (again,) = store.read_all()
    with pytest.raises(CorruptResultError, match=f"{stored.result.cell}.*is damaged.*probability is"):
        again.examples  # noqa: B018


def test_a_table_of_an_earlier_version_has_no_later_columns_and_is_read(stored):
    later = ["single_p", "drawn_units", "drawn_p", "soft_p"]
    old = ["comprehensiveness", "decision_flip"]
    table = stored.examples.drop_columns([*later, *(name for name in stored.result.figures if name not in old)])
    result = stored.result.model_copy(update={"figures": {name: stored.result.figures[name] for name in old}})
    assert broken(result, table) is None
    for curves, now in zip(curves_of(table), curves_of(stored.examples), strict=True):
        assert len(curves.single_p) == len(curves.drawn_p) == curves.soft_p.size == 0
        for field in dataclasses.fields(curves)[:7]:
            np.testing.assert_array_equal(getattr(curves, field.name), getattr(now, field.name))
