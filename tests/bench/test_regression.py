"""Planted regressions are caught, and unchanged versions raise no alarm."""

import functools
import json
import re
import shutil
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from whybench.bench import cli
from whybench.bench.errors import ComparisonError, ParameterError, UnknownNameError
from whybench.bench.figures import FIGURES
from whybench.bench.matching import identity
from whybench.bench.metrics import METRICS
from whybench.bench.paired import ratio_interval, score_intervals
from whybench.bench.regression import compare_folders
from whybench.bench.regression_report import headline, lists_of, notes_of, rows_of, to_json, to_markdown
from whybench.bench.schema import Failure, GateOutcome, Result
from whybench.bench.store import ResultStore
from whybench.bench.thresholds import DEFAULTS, read_thresholds
from whybench.tests.leaderboard.factory import Made, digest, make

LIMITS = read_thresholds()


@pytest.fixture(autouse=True, scope="module")
def _planted():
    """Planted values stand alone: no curves that they would follow from are planted with them. Nothing is flushed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("whybench.bench.store.broken", lambda *_: None)
        patch.setattr("whybench.bench.store._flush", lambda _: None)
        yield


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Three cells with 200 examples each."""
    store = ResultStore(tmp_path_factory.mktemp("base"))
    for method in ("occlusion", "gradient", "lime"):
        make(store, Made(method=method, examples=200))
    return store


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Two cells with 60 examples each."""
    store = ResultStore(tmp_path_factory.mktemp("small"))
    for method in ("occlusion", "gradient"):
        make(store, Made(method=method, examples=60))
    return store


@functools.cache
def cells_of(store):
    return store.read_all()


def changed(store, root, change=lambda result: {}, values=None, cells=lambda result: True):
    """Another version's results: each result with other fields, each metric's values with something done to them."""
    new = ResultStore(root)
    for stored in cells_of(store):
        result, examples = stored.result, stored.examples
        fields = result.model_dump(mode="json")
        if cells(result):
            fields |= json.loads(json.dumps(change(result)))
            if values is not None:
                for name in result.figures:
                    column = np.array(examples.column(name).to_pylist(), dtype=float)
                    column = np.clip(values(name, column), *FIGURES[name].range)
                    place = examples.column_names.index(name)
                    examples = examples.set_column(place, name, pa.array(column, mask=np.isnan(column)))
                    mean = float(np.nanmean(column))
                    fields["figures"][name] |= {"mean": mean, "low": mean, "high": mean}
        result = Result.model_validate(fields)
        result = result.model_copy(update={"cell": result.spec.cell()})
        new.write(result, examples)
    return new


def source(result, version="another"):
    spec = result.spec.model_dump(mode="json")
    spec["method"]["source"] = digest(version)
    return {"spec": spec, "cell": result.spec.model_validate(spec).cell()}


def costs(**factors):
    def change(result):
        cost = result.cost.model_dump(mode="json")
        return {"cost": cost | {name: cost[name] * factor for name, factor in factors.items()}}

    return change


def verdicts(found):
    return {
        (cell.pair.new.result.spec.method.name, change.name): change.verdict
        for cell in found.cells
        for change in cell.changes
    }


def regressions(found):
    return {key for key, verdict in verdicts(found).items() if verdict == "regression"}


def test_the_same_results_do_not_differ(base):
    found = compare_folders(base, base, LIMITS)
    assert found.comparable
    assert len(found.cells) == 3
    assert found.count("regression") == found.count("improvement") == 0
    assert all(change.change in (0, 1) for cell in found.cells for change in cell.changes)
    assert found.score_tests == sum(len(cell.pair.base.figures()) for cell in found.cells)


def test_a_drop_of_three_points_is_caught_where_it_is(base, tmp_path):
    """Other code, another environment, and a noisy drop of 3 points of one metric of one method."""
    noise = np.random.default_rng(0)

    def drop(name, column):
        return column - 0.03 + noise.normal(0, 0.05, len(column)) if name == "comprehensiveness" else column

    new = changed(base, tmp_path, source, drop, lambda result: result.spec.method.name == "lime")
    found = compare_folders(base, new, LIMITS)
    assert regressions(found) == {("lime", "comprehensiveness")}
    (change,) = [one for cell in found.cells for one in cell.changes if one.verdict == "regression"]
    assert change.change == pytest.approx(-0.03, abs=0.01)
    assert change.low < change.change < change.high < 0
    assert (change.samples, change.left_out) == (200, 0)
    # seen from the other side it is an improvement
    back = compare_folders(new, base, LIMITS)
    assert back.count("regression") == 0
    assert verdicts(back)["lime", "comprehensiveness"] == "improvement"


def test_lower_is_better_is_the_other_way_round(base, tmp_path):
    new = changed(base, tmp_path, source, lambda name, column: column + 0.03 * (name == "sufficiency"))
    found = compare_folders(base, new, LIMITS)
    assert regressions(found) == {(name, "sufficiency") for name in ("occlusion", "gradient", "lime")}


@pytest.mark.parametrize("version", range(20))
def test_an_unchanged_version_raises_no_alarm(small, tmp_path, version):
    """Both versions' scores stray by chance, example by example, by much more than the thresholds."""
    noise = np.random.default_rng(version)

    def stray(name, column):
        return column + noise.normal(0, 0.15, len(column))

    old, new = (changed(small, tmp_path / name, source, stray) for name in ("old", "new"))
    found = compare_folders(old, new, LIMITS)
    strays = [one for cell in found.cells for one in cell.changes if one.kind == "score"]
    assert max(abs(one.change) for one in strays) > 0.01, "the noise is too small to try anything"
    assert found.count("regression") == 0


def test_unchanged_times_raise_no_alarm(small, tmp_path):
    """Twenty comparisons of three runs with three, of 24 runs whose times stray by a fifth by chance."""
    noise = np.random.default_rng(0)

    def times(result):
        return costs(forward_equivalents=np.exp(noise.normal(0, 0.2)))(result)

    pool = [changed(small, tmp_path / str(i), times) for i in range(24)]
    largest = 0.0
    for _ in range(20):
        base, *more_base, new, m, n = (pool[i] for i in noise.choice(24, 6, replace=False))
        found = compare_folders(base, new, LIMITS, more_base, [m, n])
        assert (found.time_tests, found.count("regression")) == (2, 0)
        largest = max(largest, *(one.change for c in found.cells for one in c.changes if one.kind == "time"))
    assert largest > LIMITS.times["forward_equivalents"], "the noise is too small to try anything"


def test_a_change_needs_size_and_significance(base, tmp_path):
    # significant to the last example, and far below the threshold
    tiny = changed(base, tmp_path / "tiny", source, lambda name, column: column - 0.002)
    found = compare_folders(base, tiny, replace(LIMITS, scores=dict.fromkeys(LIMITS.scores, 0.01)))
    assert found.count("regression") == 0
    assert "below the threshold" in {one.reason for cell in found.cells for one in cell.changes}

    # twice the threshold on average, by one example of 200
    def one_example(name, column):
        return column - np.eye(200)[7] * 4 * (name == "loo_agreement")

    large = changed(base, tmp_path / "large", source, one_example)
    found = compare_folders(base, large, replace(LIMITS, scores=dict(LIMITS.scores) | {"loo_agreement": 0.001}))
    assert found.count("regression") == 0
    assert "not significant" in {one.reason for cell in found.cells for one in cell.changes}


def test_counts_need_a_factor_alone(base, tmp_path):
    """A method that burns 1.3 times the forward passes."""
    new = changed(base, tmp_path, lambda result: source(result) | costs(forward_passes=1.3, flops=1.04)(result))
    found = compare_folders(base, new, LIMITS)
    assert regressions(found) == {(name, "forward_passes") for name in ("occlusion", "gradient", "lime")}
    assert compare_folders(new, base, LIMITS).count("improvement") == 3


def test_a_count_from_nothing_is_a_regression(base, tmp_path):
    def backward(result):
        return {"cost": result.cost.model_dump(mode="json") | {"backward_passes": 1.0}}

    found = compare_folders(base, changed(base, tmp_path, backward), LIMITS)
    assert ("occlusion", "backward_passes") in regressions(found)
    assert any(row.texts[4] == "from 0" for row in rows_of(found))
    json.dumps(to_json(found), allow_nan=False)


def runs(base, root, factor, noise, times=3):
    def change(result):
        return costs(forward_equivalents=factor * np.exp(noise.normal(0, 0.02)), p50_ms=factor)(result)

    return [changed(base, root / str(i), change) for i in range(times)]


def test_times_are_judged_over_several_runs(base, tmp_path):
    """1.3 times as slow, with 2 % of noise between runs."""
    noise = np.random.default_rng(0)
    old, slow = runs(base, tmp_path / "old", 1.0, noise), runs(base, tmp_path / "slow", 1.3, noise)
    found = compare_folders(old[0], slow[0], LIMITS, old[1:], slow[1:])
    assert regressions(found) == {(name, "forward_equivalents") for name in ("occlusion", "gradient", "lime")}
    # one run of each has no interval, and says so
    found = compare_folders(old[0], slow[0], LIMITS)
    assert found.count("regression") == 0
    assert verdicts(found)["lime", "forward_equivalents"] == "untested"
    assert any("2 runs or more of both versions" in note for note in notes_of(found))
    assert sum("untested" in row.texts[-1] for row in rows_of(found)) == 3
    # milliseconds are for information, until a factor is given
    assert verdicts(found)["lime", "milliseconds"] == "unchanged"
    given = replace(LIMITS, times={"forward_equivalents": 2.0, "milliseconds": 1.2})
    found = compare_folders(old[0], slow[0], given, old[1:], slow[1:])
    assert regressions(found) == {(name, "milliseconds") for name in ("occlusion", "gradient", "lime")}


def test_times_of_another_environment_are_not_judged(base, tmp_path):
    def elsewhere(result):
        environment = result.environment.model_dump(mode="json") | {"device": "Another one"}
        return {"environment": environment} | costs(forward_equivalents=3, p50_ms=3)(result)

    new = changed(base, tmp_path, elsewhere)
    found = compare_folders(base, new, LIMITS, [base], [new])
    assert found.count("regression") == 0
    assert ("lime", "milliseconds") not in verdicts(found)
    assert all(not cell.same_environment for cell in found.cells)
    # whybench's own version is what is compared
    newer = changed(
        base,
        tmp_path / "newer",
        lambda result: {"environment": result.environment.model_dump(mode="json") | {"whybench": "9.0"}},
    )
    assert all(cell.same_environment for cell in compare_folders(base, newer, LIMITS).cells)


def test_a_cell_is_matched_by_all_that_determines_it_but_the_code(base):
    spec = base.read_all()[0].result.spec
    data = spec.model_dump(mode="json")
    data["method"]["source"] = digest("other")
    data["metrics"] = ["comprehensiveness"]
    assert identity(spec.model_validate(data)) == identity(spec)
    for change in (
        {"operator": "delete"},
        {"unit": "token"},
        {"seed": 1},
        {"dtype": "bfloat16"},
        {"attention_implementation": "sdpa"},
        {"method": data["method"] | {"parameters": {"n": 2}}},
        {"task": data["task"] | {"example_ids": digest("others")}},
        {"model": data["model"] | {"weights": digest("retrained")}},
        {"metrics": ["replaced_tvd"]},
    ):
        assert identity(spec.model_validate(data | change)) != identity(spec), change


def test_vanished_and_new_cells_are_listed_with_the_reason(base, tmp_path):
    def reseeded(result):
        spec = result.spec.model_dump(mode="json") | {"seed": 7}
        return {"spec": spec, "cell": result.spec.model_validate(spec).cell()}

    new = changed(base, tmp_path, reseeded, cells=lambda result: result.spec.method.name == "lime")
    make(new, Made(method="random", examples=200))
    found = compare_folders(base, new, LIMITS)
    lists = lists_of(found)
    assert lists["Vanished"] == ["xor_cues / lime [seed 0] (the nearest one differs in seed)"]
    assert sorted(lists["New"]) == ["xor_cues / lime [seed 7]", "xor_cues / random [seed 0]"]
    assert (len(found.cells), found.count("regression")) == (2, 0)


def test_a_cell_that_no_longer_finishes_is_a_regression(base, tmp_path):
    new = changed(base, tmp_path, source, cells=lambda result: result.spec.method.name != "lime")
    shutil.rmtree(next((new.root / "cells").glob("*--lime--*")))
    made = make(new, Made(method="lime", examples=200, error="out of luck"))
    assert made.result.status == "failed"
    found = compare_folders(base, new, LIMITS)
    assert found.count("regression") == 1
    assert lists_of(found)["Finished before, and does not any more"] == ["xor_cues / lime: failed: out of luck"]
    assert lists_of(compare_folders(new, base, LIMITS))["Finishes, and did not before"] == ["xor_cues / lime"]
    assert compare_folders(new, new, LIMITS).count("regression") == 0


def test_a_failure_that_a_later_run_of_the_cell_mended_is_none(base, tmp_path):
    new = changed(base, tmp_path, lambda result: {"created": "2026-01-01T00:00:00+00:00"})
    spec = new.read_all()[0].result.spec.model_dump(mode="json")
    spec["method"]["source"] = digest("broken for a day")
    fields = new.read_all()[0].result.model_dump(mode="json") | {
        "status": "failed",
        "error": "out of luck",
        "spec": spec,
        "cell": new.read_all()[0].result.spec.model_validate(spec).cell(),
    }
    new.write(Result.model_validate(fields | {"created": "2025-12-31T00:00:00+00:00"}))
    assert compare_folders(base, new, LIMITS).count("regression") == 0
    shutil.rmtree(new.root / "failed")
    new.write(Result.model_validate(fields | {"created": "2026-01-02T00:00:00+00:00"}))
    assert compare_folders(base, new, LIMITS).count("regression") == 1


def test_lost_examples_and_failed_gates_are_regressions(base, tmp_path):
    def lost(result):
        failed = (Failure(example="xor_cues-0003", reason="not finite").model_dump(),)
        coverage = result.coverage.model_dump(mode="json") | {"scored": 199, "failed": failed}
        gate = GateOutcome(status="failed", value=1, limit=0, reason="other scores").model_dump()
        return {"coverage": coverage, "gates": {"determinism": gate}}

    passing = changed(base, tmp_path / "a", lambda _: {"gates": {"determinism": {"status": "passed"}}})
    new = changed(base, tmp_path / "b", lost, cells=lambda result: result.spec.method.name == "lime")
    found = compare_folders(passing, new, LIMITS)
    assert found.count("regression") == 2
    texts = [row.texts[1] for row in rows_of(found) if row.verdict == "regression"]
    assert texts == [
        "1 examples fail that were scored, as xor_cues-0003: not finite",
        "gate failed that was passed: determinism. other scores",
    ]
    assert compare_folders(new, passing, LIMITS).count("improvement") == 2
    assert compare_folders(passing, new, replace(LIMITS, lost_examples=0.01)).count("regression") == 1


def test_metrics_added_later_are_looked_up_in_all_cells_of_the_newest_source(base, tmp_path):
    """The folder has a cell for some metrics, a later one for others, and an old one of an older source."""
    new = changed(base, tmp_path, lambda result: source(result, "newest") | {"created": "2026-01-01T00:00:00+00:00"})
    stored = next(one for one in new.read_all() if one.result.spec.method.name == "lime")
    spec = stored.result.spec.model_copy(update={"metrics": ("infidelity",)})
    values = np.full(200, 0.5)
    figure = {"infidelity": {"mean": 0.5, "low": 0.5, "high": 0.5, "examples": 200}}
    fields = stored.result.model_dump(mode="json") | {
        "spec": spec.model_dump(mode="json"),
        "cell": spec.cell(),
        "figures": figure,
        "created": "2026-01-02T00:00:00+00:00",
    }
    rows = stored.examples.drop_columns([name for name in stored.examples.column_names if name in FIGURES])
    new.write(Result.model_validate(fields), rows.append_column("infidelity", pa.array(values)))
    old = next(one for one in base.read_all() if one.result.spec.method.name == "lime")
    new.write(old.result, old.examples)
    found = compare_folders(base, new, LIMITS)
    (lime,) = [cell for cell in found.cells if cell.pair.new.result.spec.method.name == "lime"]
    assert {"comprehensiveness", "average_precision"} <= {change.name for change in lime.changes}
    assert [event.what for event in lime.events] == ["new figures: infidelity"]
    assert lime.pair.new.superseded == 1
    assert any(note.startswith("Left aside: 1 cell ") for note in notes_of(found))


def test_scores_are_paired_by_id_and_not_by_place(base, tmp_path):
    new = ResultStore(tmp_path)
    order = np.random.default_rng(0).permutation(200)
    for stored in base.read_all():
        new.write(stored.result, stored.examples.take(order))
    found = compare_folders(base, new, LIMITS)
    assert all(change.change == pytest.approx(0, abs=1e-12) for c in found.cells for change in c.changes[:5])
    twice = ResultStore(tmp_path / "twice")
    for stored in base.read_all():
        twice.write(stored.result, stored.examples.take([0, *range(199)]))
    with pytest.raises(ComparisonError, match="an example twice"):
        compare_folders(base, twice, LIMITS)


def test_examples_with_the_figure_in_one_version_only_are_left_out_and_counted(base, tmp_path):
    def missing(name, column):
        return np.where((np.arange(len(column)) < 5) & (name == "log_odds"), np.nan, column)

    found = compare_folders(base, changed(base, tmp_path, source, missing), LIMITS)
    (change,) = [one for one in found.cells[0].changes if one.name == "log_odds"]
    assert (change.samples, change.left_out, change.change) == (195, 5, 0)


def test_score_intervals_hold_together():
    """Of 100 families of ten unchanged scores, about one in twenty has an interval without 0, not nearly one in two."""
    noise = np.random.default_rng(0)
    alarms = 0
    for family in range(100):
        # skewed, and with many zeros, as differences of metrics are
        values = noise.exponential(1, (60, 10)) * noise.choice([-1, 1], (60, 10)) * (noise.random((60, 10)) < 0.5)
        means, halves = score_intervals(values, 10, seed=family)
        alarms += bool((np.abs(means) > halves).any())
    assert alarms <= 12


def test_score_intervals_at_their_edges():
    means, halves = score_intervals(np.zeros((5, 2)), 2)
    assert means.tolist() == halves.tolist() == [0, 0]
    means, halves = score_intervals(np.array([[0.5, 0.0]]), 2)
    assert halves.tolist() == [np.inf, 0]
    # five examples that all lose the same: flipping their signs would give as much once in sixteen times
    means, halves = score_intervals(np.full((5, 1), -0.1), 1)
    assert halves[0] >= 0.1
    means, halves = score_intervals(np.full((50, 1), -0.1), 1)
    assert halves[0] < 1e-9


def test_ratio_interval_is_students():
    from scipy import stats

    noise = np.random.default_rng(0)
    base, new = noise.normal(0, 0.1, 6), noise.normal(0.3, 0.1, 4)
    low, high = ratio_interval(base, new, 1)
    reference = stats.ttest_ind(new, base).confidence_interval(0.95)
    assert np.log([low, high]) == pytest.approx([reference.low, reference.high])
    wide = ratio_interval(base, new, 10)
    assert wide[0] < low
    assert wide[1] > high
    equal = np.zeros(3)
    low, high = ratio_interval(equal, equal, 1)
    assert low <= 1 <= high


def test_every_figure_with_a_direction_has_a_threshold():
    assert set(LIMITS.scores) == {name for name, metric in FIGURES.items() if metric.higher_is_better is not None}
    assert set(METRICS) - set(LIMITS.scores) == {"soft_comprehensiveness_twin", "soft_sufficiency_twin"}


def test_a_file_of_thresholds_changes_what_it_names(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text("version = 1\n[scores]\nlog_odds = 0.5\nspan_f1 = inf\n[coverage]\nlost_examples = 0.1\n")
    found = read_thresholds(path)
    assert found.scores == {**LIMITS.scores, "log_odds": 0.5, "span_f1": float("inf")}
    assert (found.counts, found.times, found.lost_examples) == (LIMITS.counts, LIMITS.times, 0.1)


@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        ("[scores]\n", ParameterError, "version None; it must be 1"),
        ("version = 2\n", ParameterError, "version 2; it must be 1"),
        ("version = true\n", ParameterError, "version True"),
        ("version = 1\n[score]\n", UnknownNameError, "no section of thresholds named 'score'. Did you mean 'scores'"),
        ("version = 1\n[scores]\nspan = 1\n", UnknownNameError, "named 'span'"),
        ("version = 1\n[scores]\nmatrix_tvd = 1\n", ParameterError, "the figure has no better end"),
        ("version = 1\n[scores]\nspan_f1 = 0\n", ParameterError, "scores.span_f1 .* is 0; it must be a number above 0"),
        ("version = 1\n[scores]\nspan_f1 = nan\n", ParameterError, "is nan"),
        ("version = 1\n[scores]\nspan_f1 = true\n", ParameterError, "is True"),
        ("version = 1\n[scores]\nspan_f1 = '1'\n", ParameterError, "is '1'"),
        ("version = 1\n[counts]\nflops = 1\n", ParameterError, "is 1; it must be a factor above 1"),
        ("version = 1\n[times]\nseconds = 2\n", UnknownNameError, "named 'seconds'"),
        ("version = 1\n[coverage]\nlost_examples = 2\n", ParameterError, "a share from 0 to 1"),
        ("version = 1\nscores = 3\n", ParameterError, "must be a table"),
        ("version = \n", ParameterError, "are not TOML"),
        ("version = 1\n\udcff", ParameterError, "are not TOML"),
    ],
)
def test_thresholds_are_strict(tmp_path, text, error, what):
    path = tmp_path / "t.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(error, match=what):
        read_thresholds(path)


def test_thresholds_that_are_not_there(tmp_path):
    with pytest.raises(ParameterError, match=r"cannot be read \(No such file"):
        read_thresholds(tmp_path / "none.toml")
    assert DEFAULTS.is_file()


HOSTILE = "x<img src=x>|`a` [red]y[/red] @all\u202e\x1b[31m\n# z"


def test_names_of_others_are_shown_and_never_markup(tmp_path, monkeypatch, capsys):
    old, new = ResultStore(tmp_path / "old"), ResultStore(tmp_path / "new")
    for store, passes in ((old, 1.0), (new, 2.0)):
        make(store, Made(label=HOSTILE, model=HOSTILE, passes=(passes, 0.0)))
        make(store, Made(label=HOSTILE, model=f"{HOSTILE}2", method="gradient", passes=(passes, 0.0)))
    make(old, Made(method="lime", label=HOSTILE))
    make(new, Made(method="lime", label=HOSTILE, error=HOSTILE))
    assert compare(monkeypatch, old.root, new.root, "--markdown") == 1
    text = capsys.readouterr().out
    # every line is a heading, a row of the table, a title, an item or empty
    assert all(re.match(r"(### |\| |\|---|\*\*|- |$)", line) for line in text.splitlines())
    assert not re.search(r"[\u202e\x1b]", text)
    assert not re.search(r"(?<!\\)[<`]|@(?!&#8203;)", text)
    table_rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in table_rows} == {8}
    assert compare(monkeypatch, old.root, new.root) == 1
    text = capsys.readouterr().out
    assert not re.search(r"[\u202e\x1b]", text)
    assert "[red]" in text
    assert compare(monkeypatch, old.root, new.root, "--json") == 1
    assert json.loads(capsys.readouterr().out)["regressions"] == 5


def compare(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["whybench", "compare", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    return stopped.value.code or 0


def test_exit_codes_and_outputs(base, tmp_path, monkeypatch, capsys):
    def drop(name, column):
        return column - 0.03 * (name == "comprehensiveness")

    worse = changed(base, tmp_path / "worse", source, drop)
    assert compare(monkeypatch, base.root, base.root) == 0
    printed = capsys.readouterr().out
    assert printed.endswith("0 regressions, 0 improvements in 3 cells.\n")
    assert "xor_cues / lime: unchanged, 14 scores the same, 3 counts the same, forward equivalents ×1.00, " in printed
    assert compare(monkeypatch, base.root, worse.root) == 1
    printed = capsys.readouterr().out
    assert re.search(r"comprehensiveness +0\.\d{3} +→ +0\.\d{3} +−0\.030 +regression +−0\.030 to −0\.030", printed)
    assert compare(monkeypatch, base.root, worse.root, "--markdown") == 1
    printed = capsys.readouterr().out
    assert printed.startswith("### whybench compare: 3 regressions, 0 improvements in 3 cells.\n\n| cell | figure |")
    assert printed.count("**regression**") == 3
    assert compare(monkeypatch, base.root, worse.root, "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["regressions"], answer["comparable"]) == (3, True)
    (change,) = [one for one in answer["cells"][0]["changes"] if one["verdict"] == "regression"]
    assert (change["name"], round(change["change"], 6), change["threshold"]) == ("comprehensiveness", -0.03, 0.01)
    assert compare(monkeypatch, base.root, worse.root, "--all") == 1
    assert capsys.readouterr().out.count("loo agreement") == 3
    # a laxer file lets it pass
    lax = tmp_path / "lax.toml"
    lax.write_text("version = 1\n[scores]\ncomprehensiveness = 0.05\n")
    assert compare(monkeypatch, base.root, worse.root, "--thresholds", lax) == 0


def test_nothing_to_compare_is_exit_code_3(base, tmp_path, monkeypatch, capsys):
    other = ResultStore(tmp_path / "other")
    make(other, Made(task="majority", examples=200))
    assert compare(monkeypatch, base.root, other.root) == 3
    printed = capsys.readouterr().out
    assert "Nothing to compare" in printed
    assert "majority / occlusion" in printed
    (tmp_path / "empty").mkdir()
    assert compare(monkeypatch, tmp_path / "empty", base.root, "--json") == 3
    assert json.loads(capsys.readouterr().out)["comparable"] is False
    assert compare(monkeypatch, base.root, tmp_path / "empty", "--markdown") == 3
    assert capsys.readouterr().out.startswith("### whybench compare: Nothing to compare")


def test_errors_are_exit_code_2(base, tmp_path, monkeypatch, capsys):
    for arguments, what in (
        ([base.root, tmp_path / "nowhere"], "there is no results folder"),
        ([base.root, base.root, "--json", "--markdown"], "give one of the two"),
        ([base.root, base.root, "--thresholds", tmp_path / "none"], "cannot be read"),
        ([base.root], "Missing argument"),
        ([base.root, base.root, "--more-new", tmp_path / "nowhere"], "there is no results folder"),
    ):
        assert compare(monkeypatch, *arguments) == 2, arguments
        assert what in " ".join(capsys.readouterr().err.split()), what
    damaged = tmp_path / "damaged"
    shutil.copytree(base.root, damaged)
    next(damaged.glob("cells/*/result.json")).write_text("{}")
    assert compare(monkeypatch, base.root, damaged) == 2
    assert "is damaged" in capsys.readouterr().err


def test_a_headline_of_nothing(tmp_path):
    found = compare_folders(*(ResultStore(tmp_path) for _ in range(2)), LIMITS)
    assert headline(found).startswith("Nothing to compare")
    assert to_markdown(found).count("\n") == 2


VERSION = """
from whybench import Method


class Probe(Method):
    \"\"\"Removes one word after the other.\"\"\"

    name, family, signed = "probe", "perturbation", True

    def attribute(self, classifier, batch):
        from whybench import load_method

        scores = load_method("occlusion").attribute(classifier, batch)
        {burn}
        return {scores}
"""
BURN = "[classifier.probabilities(batch) for _ in range(12)]"


def test_two_runs_of_a_method_whose_code_changed(tmp_path, monkeypatch, capsys):
    """As a user does it: one file before and after an edit that burns forward passes and turns the scores round."""
    monkeypatch.chdir(tmp_path)
    for version, burn, scores in (("base", "", "scores"), ("new", BURN, "-scores")):
        (tmp_path / "probe.py").write_text(VERSION.format(burn=burn, scores=scores))
        options = ["--limit", "24", "--device", "cpu", "--wandb", "disabled", "--results", version]
        monkeypatch.setattr(sys, "argv", ["whybench", "run", "--task", "xor_cues", "--method", "probe.py", *options])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        assert not stopped.value.code
    capsys.readouterr()
    assert compare(monkeypatch, "base", "new", "--json") == 1
    (cell,) = json.loads(capsys.readouterr().out)["cells"]
    worse = {change["name"] for change in cell["changes"] if change["verdict"] == "regression"}
    assert {"forward_passes", "flops", "comprehensiveness", "average_precision"} <= worse
    assert compare(monkeypatch, "base", "base") == 0
