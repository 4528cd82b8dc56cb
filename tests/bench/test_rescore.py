"""Metrics from recorded curves: what a run would have given, without a model, and without touching what is there."""

import json
import shutil
import subprocess
import sys

import pyarrow as pa
import pytest

from whybench import load_method, load_task
from whybench.bench.errors import CorruptResultError, StoreError, UnknownNameError
from whybench.bench.metrics import METRICS
from whybench.bench.rescore import rescore
from whybench.bench.runner import Plan, run
from whybench.bench.store import ResultStore
from whybench.tests.bench.test_store import Silent

FEW = ("comprehensiveness", "loo_agreement", "insertion_auc")


def plan(metrics, **options):
    return Plan(
        tasks=[load_task("xor_cues")],
        methods=[load_method("gradient")],
        limit=5,
        device="cpu",
        metrics=metrics,
        **options,
    )


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A cell of three metrics, and one of all; not to be changed."""
    few, everything = (ResultStore(tmp_path_factory.mktemp(name)) for name in ("few", "all"))
    run(plan(FEW), few, Silent())
    run(plan(["all"]), everything, Silent())
    return few, everything


@pytest.fixture
def few(ran, tmp_path):
    shutil.copytree(ran[0].root, tmp_path / "results")
    return ResultStore(tmp_path / "results")


def contents(folder):
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_what_the_curves_suffice_for_is_what_a_run_gives(few, ran):
    before = contents(few.cells)
    (one,) = rescore(few)
    (whole,) = ran[1].read_all()
    (old,) = ran[0].read_all()
    assert one.cell == old.result.cell
    # sizes k for two metrics only: the rest of the curve was not recorded
    assert set(one.added) == {"log_odds", "normalised_comprehensiveness"}
    assert set(one.lacking) == set(METRICS) - set(FEW) - set(one.added)
    assert "'drawn' has 0 of 64 points" in one.lacking["infidelity"]
    assert "no point at k = [" in one.lacking["decision_flip"]
    made = one.made.result
    assert made.rescored_from == old.result.cell
    assert made.spec.metrics == tuple(name for name in METRICS if name in {*FEW, *one.added})
    assert made.cell == made.spec.cell() != old.result.cell
    assert (made.cost, made.environment, made.coverage) == (
        old.result.cost,
        old.result.environment,
        old.result.coverage,
    )
    for name, figure in made.figures.items():
        assert figure.mean == pytest.approx(whole.result.figures[name].mean, abs=1e-6)
        assert figure.low == pytest.approx(whole.result.figures[name].low, abs=1e-6)
    assert "average_precision" in made.figures
    for name in made.spec.metrics:
        assert one.made.examples.column(name).to_pylist() == pytest.approx(
            whole.examples.column(name).to_pylist(), abs=1e-6
        )
    # nothing that was there has changed
    assert before.items() <= contents(few.cells).items()


def test_a_second_time_there_is_nothing_new(few):
    (one,) = rescore(few, ["log_odds"])
    before = contents(few.cells)
    assert all(again.made is None and not again.added for again in rescore(few, ["log_odds"]))
    assert contents(few.cells) == before
    # the newer of the two is taken further, and no cell is made from the older one again
    rescore(few)
    sources = {stored.result.cell: stored.result.rescored_from for stored in few.read_all()}
    assert len(sources) == 3
    assert set(sources.values()) == {None, one.cell, one.made.result.cell}


def test_the_board_shows_the_newest(few):
    from whybench.leaderboard.boards import boards

    (one,) = rescore(few)
    (board,) = boards(few.read_all(), [])
    assert [stored.result.cell for stored in board.results] == [one.made.result.cell]
    assert board.names == {one.made.result.cell: "gradient"}


def test_a_run_of_the_same_metrics_finds_the_rescored_cell(few):
    (one,) = rescore(few)
    observer = Silent()
    run(plan(one.made.result.spec.metrics), few, observer)
    assert (observer.made, observer.reused) == ([], ["gradient"])


def test_a_cell_with_everything_has_nothing_to_gain(ran):
    (one,) = rescore(ran[1])
    assert (one.made, one.added, one.lacking) == (None, (), {})


def test_a_metric_that_is_not_what_the_curves_give(few):
    (stored,) = few.read_all()
    rows = stored.examples.to_pylist()
    # the mean stays, so that only computing it anew shows it
    rows[0]["comprehensiveness"] += 0.01
    rows[1]["comprehensiveness"] -= 0.01
    shutil.rmtree(stored.folder)
    few.write(stored.result, pa.Table.from_pylist(rows, schema=stored.examples.schema))
    with pytest.raises(CorruptResultError, match=f"{stored.result.cell}.*example .* has comprehensiveness = .* give"):
        rescore(few)


def test_a_table_of_an_earlier_version(few):
    (stored,) = few.read_all()
    table = stored.examples
    shutil.rmtree(stored.folder)
    metrics = ("comprehensiveness", "insertion_auc")
    old = stored.result.model_dump(mode="json")
    spec = stored.result.spec.model_copy(update={"metrics": metrics})
    del old["rescored_from"], old["figures"]["loo_agreement"]
    result = type(stored.result).model_validate(old | {"spec": spec.model_dump(mode="json"), "cell": spec.cell()})
    later = ["single_p", "drawn_units", "drawn_p", "soft_p", "loo_agreement"]
    few.write(result, table.drop_columns(later))
    (one,) = rescore(few)
    assert "log_odds" in one.added
    assert "'single' has 0 of" in one.lacking["loo_agreement"]
    assert one.made.examples.num_rows == 5


def test_what_cannot_be(few, tmp_path):
    with pytest.raises(UnknownNameError, match="log_odds"):
        rescore(few, ["log_ods"])
    with pytest.raises(StoreError, match="whybench run"):
        rescore(ResultStore(tmp_path / "nowhere"))
    assert not (tmp_path / "nowhere").exists()


def test_the_causal_suite_needs_the_model(tmp_path):
    store = ResultStore(tmp_path)
    causal = Plan(
        tasks=[load_task("xor_cues")], methods=[load_method("raw_attention")], limit=2, device="cpu", measure="causal"
    )
    run(causal, store, Silent())
    (one,) = rescore(store, ["log_odds"])
    assert one.made is None
    assert "need the model" in one.lacking["log_odds"]


def test_the_command_speaks_and_imports_no_torch(few):
    code = (
        "import sys\nfrom whybench.bench.cli import app\n"
        f"try: app(['rescore', {str(few.root)!r}, '--metric', 'log_odds', '--json'])\n"
        "except SystemExit as stopped: print(stopped.code, file=sys.stderr)\n"
        "print([m for m in ('torch', 'transformers', 'captum', 'datasets') if m in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr.split("\n")[:2] == ["0", "[]"]
    (row,) = json.loads(done.stdout)
    assert row["added"] == ["log_odds"]
    assert (few.cells / row["made"]).is_dir()


def test_a_metric_asked_for_by_name_that_cannot_be_had_is_exit_code_1(few, monkeypatch, capsys):
    from whybench.bench.cli import main

    monkeypatch.setattr(sys, "argv", ["whybench", "rescore", str(few.root), "--metric", "infidelity"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 1
    printed = capsys.readouterr().out
    assert "nothing new" in printed
    assert "no infidelity: example 'test-" in printed
