"""Cells of the causal suite: their figures, what is left out, what fails, and runs from end to end."""

import numpy as np
import pytest
import torch

from whybench import load_method, load_task
from whybench.bench.causal.cell import run_causal_cell
from whybench.bench.causal.example import DISTRIBUTION_FIGURES, measure
from whybench.bench.causal.metrics import CAUSAL
from whybench.bench.errors import MethodError, ParameterError
from whybench.bench.runner import Plan, run
from whybench.bench.store import ResultStore
from whybench.bench.tiny_models import TEXTS
from whybench.tests.bench.causal.methods import Broken, Doubled, Even, Mixed, Own, Uncertain, shared_of
from whybench.tests.bench.test_store import Silent

CONTROLS_LACK = {name for name, metric in CAUSAL.items() if metric.group in ("Erasure", "Agreement with others")} | {
    "flip_mass",
    "random_flip_mass",
}


def run_one(tmp_path, *methods, limit=4, **options):
    store, observer = ResultStore(tmp_path), Silent()
    plan = Plan(tasks=[load_task("xor_cues")], methods=methods, device="cpu", measure="causal", limit=limit, **options)
    return run(plan, store, observer), store, observer, plan


def test_raw_and_efficient_attention_from_end_to_end(tmp_path):
    methods = [load_method("raw_attention"), load_method("efficient_attention")]
    cells, store, observer, plan = run_one(tmp_path, *methods, limit=3)
    raw, efficient = (cell.result.figures for cell in cells)
    for cell in cells:
        assert cell.result.status == "finished", cell.result.error
        assert cell.result.spec.metrics == tuple(CAUSAL)
        assert set(cell.result.figures) == set(CAUSAL)
        assert cell.result.cost is not None
        assert cell.result.report["constant_scores"].largest == 0
    for figures in (raw, efficient):
        for name in ("replaced_tvd", "layer_replaced_tvd", "head_replaced_tvd", "replaced_logit_change", "inside_tvd"):
            assert figures[name].mean < 1e-9, name
        assert figures["replaced_agreement"].mean == 1
        assert figures["outside_tvd"].mean > 1e-6
        assert 0.01 < figures["moved_distance"].mean < 10
    assert raw["matrix_tvd"].mean == raw["matrix_jsd"].mean == 0
    assert raw["norm_ratio"].mean == 1
    assert raw["moved_rows"].mean == 1
    assert efficient["norm_ratio"].mean < 0.999
    assert efficient["matrix_tvd"].mean > 0.01
    for name in ("null_dimension", "null_share", "replaced_accuracy"):
        assert raw[name] == efficient[name]
    assert raw["null_dimension"].mean > 0

    tables = [cell.examples.to_pylist() for cell in cells]
    for one, other in zip(*tables, strict=True):
        n = one["length"]
        assert n == len(one["tokens"]) == len(one["token_scores"])
        assert one["head_dimension"] == 16
        where = (one["specimen_layer"], one["specimen_head"])
        assert where == (other["specimen_layer"], other["specimen_head"])
        a, m = (np.array(row["specimen_matrix"]).reshape(n, n) for row in (one, other))
        np.testing.assert_allclose(a.sum(axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(m.sum(axis=1), 1, atol=1e-6)
        assert np.square(m).sum() < np.square(a).sum()
        assert (a == a.astype(np.float32)).all()
    # a second run does nothing
    again = run(plan, store, observer)
    assert observer.reused == ["raw_attention", "efficient_attention"]
    assert len(observer.made) == 2
    assert [cell.result for cell in again] == [cell.result for cell in cells]
    # the same methods' faithfulness is another cell
    plain = Plan(tasks=plan.tasks, methods=methods[:1], device="cpu", limit=3)
    (faithful,) = run(plain, store, observer)
    assert faithful.result.spec.measure == "faithfulness"
    assert faithful.result.cell != cells[0].result.cell


def test_a_control_has_no_scores_and_no_cost(tmp_path):
    (cell,), _, _, _ = run_one(tmp_path, Even())
    result = cell.result
    assert result.status == "finished", result.error
    assert result.cost is None
    assert set(result.figures) == set(CAUSAL) - CONTROLS_LACK
    # the values are those that come about, so that it holds for what changes every layer
    assert result.figures["inside_tvd"].mean < 1e-9 < 1e-6 < result.figures["outside_tvd"].mean
    assert result.figures["replaced_tvd"].mean > 0.01
    assert result.figures["norm_ratio"].mean < 1 < result.figures["support_ratio"].mean
    rows = cell.examples.to_pylist()
    assert all(row["token_scores"] is None and row["unit_scores"] is None and row["error"] is None for row in rows)
    assert all(row["probability"] > 0.5 for row in rows)


def test_what_fails_is_recorded_and_the_others_go_on(tmp_path):
    cells, store, observer, plan = run_one(tmp_path, Broken(how="raise"), Own(), Broken(how="nan"))
    assert [cell.result.status for cell in cells] == ["failed", "finished", "failed"]
    assert "IndexError: list index out of range (methods.py, line" in cells[0].result.error
    assert "no example could be measured" in cells[2].result.error
    assert "not finite" in cells[2].result.error
    run(plan, store, observer)
    assert observer.reused == ["own"]
    assert len(observer.made) == 5


class SpecOf:
    """What `run_causal_cell` reads of a spec."""

    metrics, seed = tuple(CAUSAL), 0


def cell_of(method, shared, task_examples=None):
    from whybench.bench.task import Example

    examples = [Example(name, texts[0]) for name, texts in zip(shared.batch.ids, shared.batch.texts, strict=True)]
    return run_causal_cell(method, shared, task_examples or examples, SpecOf, 2, lambda *_: None)


def test_rows_that_are_no_distributions(tmp_path):
    outcome = cell_of(Doubled(), shared_of("bert"))
    assert set(outcome.figures) == set(CAUSAL) - DISTRIBUTION_FIGURES - {"replaced_accuracy"}
    assert outcome.figures["norm_ratio"].mean == pytest.approx(4)
    assert outcome.figures["matrix_tvd"].mean == pytest.approx(0.5)
    assert DISTRIBUTION_FIGURES.isdisjoint(outcome.examples.column_names)


def test_rows_that_miss_their_certificate_fail_their_example():
    shared = shared_of("bert")
    outcome = cell_of(Uncertain(), shared)
    even = [i for i, length in enumerate(shared.batch.lengths().tolist()) if length % 2 == 0]
    assert 0 < len(even) < 4
    assert outcome.coverage.scored == 4 - len(even)
    assert [failure.example for failure in outcome.coverage.failed] == [shared.batch.ids[i] for i in even]
    assert "miss their certificate (residual up to 1.0e+00, allowed 5e-01). Try another one." in (
        outcome.coverage.failed[0].reason
    )
    assert outcome.report["residual"].largest == 0
    rows = outcome.examples.to_pylist()
    assert [row["error"] is not None for row in rows] == [i in even for i in range(4)]
    assert [row["null_share"] is None for row in rows] == [i in even for i in range(4)]


@pytest.mark.parametrize(("how", "reason"), [("nan", "not finite"), ("future", "may not attend to")])
def test_matrices_that_cannot_be_put_in(how, reason):
    assert reason in measure(Broken(how=how), shared_of("gpt2"), 0, None, control=True, distributions=True).failed


def test_matrices_of_another_shape():
    with pytest.raises(MethodError, match="the model's attention has"):
        measure(Broken(how="shape"), shared_of("bert"), 0, None, control=True, distributions=True)


def test_several_draws_give_their_median():
    shared = shared_of("bert", TEXTS[:1])
    found = measure(Mixed(), shared, 0, 1, control=True, distributions=True)
    single = []
    for share in Mixed.shares:
        alone = type("Alone", (Mixed,), {"draws": 1, "shares": (share,)})()
        single.append(measure(alone, shared, 0, 1, control=True, distributions=True).values)
    for name in ("replaced_tvd", "replaced_jsd", "replaced_logit_change", "norm_ratio", "matrix_tvd"):
        assert found.values[name] == pytest.approx(single[2][name], rel=1e-9), name
        assert len({values[name] for values in single}) == 3
    # of the first draw alone
    assert found.values["layer_replaced_tvd"] == pytest.approx(single[0]["layer_replaced_tvd"], rel=1e-9)


@pytest.mark.parametrize("family", ["bert", "gpt2", "modernbert"])
def test_nothing_depends_on_the_batch(family):
    whole, alone = shared_of(family), shared_of(family, TEXTS[::-1][2:])
    wanted, found = cell_of(Own(), whole), cell_of(Own(), alone)
    theirs = {row["example_id"]: row for row in wanted.examples.to_pylist()}
    compared = 0
    for row in found.examples.to_pylist():
        for name in found.figures:
            mine, other = row[name], theirs[row["example_id"]][name]
            assert (mine is None) == (other is None), name
            if mine is not None:
                assert mine == pytest.approx(other, rel=1e-3, abs=1e-6), name
                compared += 1
    assert compared > 30


def test_one_unit_has_no_other():
    outcome = cell_of(Own(), shared_of("bert", ["bad", TEXTS[0]]))
    assert outcome.figures["top_erasure_jsd"].examples == 2
    assert outcome.figures["random_erasure_jsd"].examples == 1
    # the one-word text has no null space, and no row of it moves
    assert outcome.figures["moved_rows"].examples == 2
    assert outcome.figures["inside_tvd"].examples == 1
    assert outcome.report["constant_scores"].mean == 0.5
    assert outcome.examples.to_pylist()[0]["tau_gradient"] == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": [load_method("gradient")]}, "gradient gives token scores only"),
        ({"metrics": ["sufficiency"]}, "the metric 'sufficiency' was asked for"),
        ({"dtype": torch.bfloat16}, "torch.bfloat16"),
        ({"measure": "casual"}, "measure is 'casual'"),
    ],
    ids=["method", "metric", "dtype", "measure"],
)
def test_plans_that_cannot_be(options, message):
    with pytest.raises(ParameterError, match=message):
        Plan(**{"tasks": [load_task("xor_cues")], "methods": [Own()], "measure": "causal", **options})


def test_a_spec_has_figures_of_one_kind(tmp_path):
    from pydantic import ValidationError

    from whybench.bench.schema import Result, Spec

    (cell,), _, _, _ = run_one(tmp_path, Even(), limit=1)
    spec = cell.result.spec.model_dump()
    assert Spec(**spec).measure == "causal"
    assert Spec(**{**spec, "metrics": ("sufficiency",)}).measure == "faithfulness"
    with pytest.raises(ValidationError, match="figures of one kind"):
        Spec(**{**spec, "metrics": ("sufficiency", "replaced_tvd")})
    other = Spec(**{**spec, "metrics": ("sufficiency",)})
    with pytest.raises(ValidationError, match="a finished result has a cost"):
        Result(**{**cell.result.model_dump(), "spec": other.model_dump(), "cell": other.cell()})


def test_boards_and_commands_keep_the_two_apart(tmp_path):
    from whybench.leaderboard.boards import boards
    from whybench.leaderboard.command import command
    from whybench.leaderboard.tables import table

    cells, store, observer, plan = run_one(tmp_path, Own(), Even(), limit=2)
    run(Plan(tasks=plan.tasks, methods=[Own()], device="cpu", limit=2), store, observer)
    first, second = boards(store.read_all(), [])
    assert (first.measure, second.measure) == ("faithfulness", "causal")
    assert (len(first.results), len(second.results)) == (1, 2)
    assert first.key != second.key
    assert command(cells[0].result).startswith("whybench run --suite causal --task xor_cues --method own ")
    assert "--metric" not in command(cells[0].result)
    assert "--suite" not in command(first.results[0].result)
    view = table(second)
    assert [row.name for row in view.methods] == ["own"]
    # a control is a yardstick, and costs nothing
    assert [row.name for row in view.references] == ["even"]
    cells_of = dict(zip((column.key for column in view.columns), view.references[0].cells, strict=True))
    assert cells_of["p50_ms"].value is None
    assert cells_of["coverage"].text == "2/2"


def test_tables_for_viewers_leave_the_matrix_out(tmp_path):
    from whybench.bench.examples_table import flat_rows

    (cell,), _, _, _ = run_one(tmp_path, Even(), limit=1)
    columns, rows = flat_rows(cell.examples)
    assert "specimen_matrix" not in columns
    assert "length" in columns
    assert len(rows) == 1


def test_efficient_attention_of_a_trained_model(shared):
    """A real checkpoint, a text with more tokens than a head's output can see."""
    from whybench import Classifier
    from whybench.bench.causal.shared import Shared
    from whybench.bench.engine import ForwardEngine

    classifier = Classifier.from_pretrained(shared / "models" / "minilm-sst2", device="cpu")
    batch = classifier.encode(
        [
            "a slow and often tedious film that finds, in its last minutes, the warmth and the "
            "plain good humour that it had been looking for in all of the wrong places until then"
        ]
    )
    batch = batch.with_target(classifier.probabilities(batch).argmax(dim=-1))
    state = Shared(ForwardEngine(classifier), batch, "mask", 0)
    found = measure(load_method("efficient_attention"), state, 0, None, control=False, distributions=True)
    assert found.failed is None
    assert found.values["null_dimension"] > 0
    assert found.values["replaced_tvd"] < 1e-7
    assert found.values["inside_tvd"] < 1e-9 < 1e-6 < found.values["outside_tvd"]
    assert found.values["norm_ratio"] < 1
