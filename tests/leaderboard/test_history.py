"""Versions of a row: what counts as one, their order, and which steps are marked."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from whybench.bench.cli import app
from whybench.bench.errors import CorruptResultError, StoreError
from whybench.bench.paired import score_intervals, students_halves
from whybench.bench.store import ResultStore, StoredResult
from whybench.bench.thresholds import read_thresholds
from whybench.leaderboard import formatting
from whybench.leaderboard.columns import numbers
from whybench.leaderboard.history_page import Histories, History, histories
from whybench.leaderboard.steps import Track
from whybench.leaderboard.versions import versions
from whybench.tests.leaderboard.factory import Made, digest, make
from whybench.tests.leaderboard.page import parse

Folder = Callable[..., ResultStore]


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder of results with one version, made by a commit on a day."""

    def made(name: str, day: int, commit: str | None = None, **changes: object) -> ResultStore:
        store = ResultStore(tmp_path / name)
        version(store, day, "a", commit=commit, **changes)
        return store

    return made


def version(store: ResultStore, day: int, source: str, **changes: object) -> None:
    make(store, Made(method="mine", source=source, created=f"2026-01-{day:02d}T09:00:00+00:00", **changes))


def found(store: ResultStore, *earlier: ResultStore) -> list[History]:
    page = page_of(store, *earlier)
    return list(page.all) if page else []


def page_of(store: ResultStore, *earlier: ResultStore) -> Histories | None:
    return histories(store.read_all(), [one.read_all() for one in earlier], {})


def track_of(history: History, key: str) -> Track:
    return next(track for track in history.tracks if track.column.key == key)


def marked(history: History) -> set[str]:
    return {track.column.key for track in history.tracks if track.steps}


def with_figures(stored: StoredResult, names: list[str], **changes: object) -> StoredResult:
    """The same cell as if it had been scored with these metrics alone."""
    result = stored.result
    spec = result.spec.model_copy(update={"metrics": tuple(names)})
    figures = {name: result.figures[name] for name in names}
    update = {"figures": figures, "spec": spec, "cell": spec.cell(), **changes}
    return replace(stored, result=result.model_copy(update=update))


def test_versions_of_one_folder_differ_in_the_source_alone_and_stand_in_the_order_of_their_making(
    store: ResultStore,
) -> None:
    for day, source in ((20, "c"), (3, "a"), (11, "b")):
        version(store, day, source)
    version(store, 5, "d", parameters={"n": 2})
    version(store, 5, "e", dtype="bfloat16")
    version(store, 5, "f", task="other")
    make(store, Made(method="others"))
    (history,) = found(store)
    assert [one.result.spec.method.source for one in history.versions] == [digest(one) for one in "abc"]


def test_a_planted_drop_between_two_folders_is_marked_and_the_same_again_is_not(folder: Folder) -> None:
    first = folder("first", 1, "a" * 40)
    again = folder("again", 2, "b" * 40)
    dropped = folder("dropped", 3, "c" * 40, quality=0.1)
    (history,) = found(again, first)
    assert [one.commit for one in history.versions] == ["a" * 8, "b" * 8]
    assert not marked(history)
    # the folders stand in any order: the day counts
    (history,) = found(dropped, again, first)
    assert [one.earlier for one in history.versions] == [True, True, False]
    track = track_of(history, "comprehensiveness")
    assert [(step.before, step.after, step.verdict) for step in track.steps] == [(1, 2, "worse")]
    assert {"comprehensiveness", "sufficiency", "average_precision"} <= marked(history)
    # what has a step stands first
    assert [bool(track.steps) for track in history.tracks] == sorted(
        (bool(t.steps) for t in history.tracks), reverse=True
    )


def test_a_cell_that_is_in_several_folders_counts_once(folder: Folder, tmp_path: Path) -> None:
    first, second = folder("first", 1), folder("second", 2)
    shutil.copytree(second.root, tmp_path / "copy")
    (history,) = found(second, first, ResultStore(tmp_path / "copy"), first)
    assert [(one.made[:10], one.earlier) for one in history.versions] == [("2026-01-01", True), ("2026-01-02", False)]
    assert found(second, ResultStore(tmp_path / "copy")) == []


def test_a_commit_with_changes_is_named_as_one(folder: Folder) -> None:
    (history,) = found(folder("new", 2, f"{'c' * 40}+changed"), folder("old", 1))
    assert [one.commit for one in history.versions] == ["", "cccccccc+"]


def test_the_history_of_what_these_results_no_longer_have_is_there_without_a_board(folder: Folder) -> None:
    first, second = folder("first", 1), folder("second", 2)
    other = ResultStore(first.root.parent / "other")
    make(other, Made(method="another", task="another"))
    (history,) = found(other, second, first)
    assert history.anchor is None
    assert all(one.earlier for one in history.versions)


def test_a_step_needs_size_and_an_interval_without_zero(store: ResultStore) -> None:
    for day, source, quality in ((1, "a", 3.0), (2, "b", 3.0), (3, "c", 0.1), (4, "d", 3.0)):
        version(store, day, source, quality=quality)
    page = page_of(store)
    assert page is not None
    (history,) = page.all
    track = track_of(history, "comprehensiveness")
    # the same scores twice, then far worse ones, then the first again
    assert [(step.after, step.verdict) for step in track.steps] == [(2, "worse"), (3, "better")]
    old, new = (np.array(list(numbers(one.stored, "comprehensiveness").values())) for one in history.versions[1:3])
    # three changes of every figure are tested
    assert page.tests == 3 * sum(track.tested > 0 for track in history.tracks)
    means, halves = score_intervals((new - old)[:, None], page.tests)
    ends = formatting.measured_interval(means[0] - halves[0], means[0] + halves[0])
    assert (track.steps[0].text, track.steps[0].detail) == (formatting.measured(means[0]), ends)


def test_every_figure_with_a_better_end_and_every_cost_is_there(store: ResultStore) -> None:
    version(store, 1, "a", passes=(3.0, 2.0))
    version(store, 2, "b", passes=(3.0, 2.0))
    (history,) = found(store)
    keys = {track.column.key for track in history.tracks}
    scores = read_thresholds().scores
    assert {name for name in history.versions[0].result.figures if name in scores} <= keys
    costs = {"flops", "forward_passes", "backward_passes", "forward_equivalents", "p50_ms", "peak_memory_bytes"}
    assert costs <= keys
    assert len(keys) == len(history.tracks)


def test_a_figure_is_compared_with_the_last_version_that_has_it(store: ResultStore) -> None:
    for day, source, quality in ((1, "a", 3.0), (2, "b", 3.0), (3, "c", 0.1)):
        version(store, day, source, quality=quality)
    first, second, third = sorted(store.read_all(), key=lambda one: one.result.created)
    second = with_figures(second, ["sufficiency"])
    page = histories([first, second, third], [], {})
    assert page is not None
    (step,) = track_of(page.all[0], "comprehensiveness").steps
    assert (step.before, step.after, step.verdict) == (0, 2, "worse")


def test_a_change_below_the_threshold_of_compare_is_no_step(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    version(store, 1, "a", quality=3.0)
    version(store, 2, "b", quality=0.1)
    thresholds = read_thresholds()
    high = replace(thresholds, scores=dict.fromkeys(thresholds.scores, 10.0))
    assert marked(found(store)[0])
    monkeypatch.setattr("whybench.leaderboard.history_page.read_thresholds", lambda: high)
    assert not marked(found(store)[0])


@pytest.mark.parametrize("seed", range(20))
def test_what_is_ruled_out_without_resamples_would_be_ruled_out_with_them(seed: int) -> None:
    generator = np.random.default_rng(seed)
    changes = generator.normal(generator.uniform(0, 0.4), 1.0, size=(2 + seed * 3, 1))
    tests = 1 + seed
    means, halves = score_intervals(changes, tests)
    assert students_halves(changes, tests)[0] <= halves[0]
    assert not (abs(means[0]) > halves[0] and abs(means[0]) <= students_halves(changes, tests)[0])


@pytest.mark.parametrize(
    ("passes", "text", "verdict"),
    [
        ((20.0, 0.0), "× 2.00", "worse"),
        ((10.2, 0.0), None, None),
        ((5.0, 0.0), "× 0.500", "better"),
        ((10.0, 3.0), "0 → 3", "worse"),
    ],
)
def test_counts_have_steps_by_their_factor_and_times_have_none(
    store: ResultStore, passes: tuple[float, float], text: str | None, verdict: str | None
) -> None:
    version(store, 1, "a", passes=(10.0, 0.0))
    version(store, 2, "b", passes=passes, milliseconds=50.0)
    (history,) = found(store)
    key = "backward_passes" if passes[1] else "forward_passes"
    steps = track_of(history, key).steps
    assert [(step.text, step.verdict) for step in steps] == ([(text, verdict)] if verdict else [])
    for time in ("forward_equivalents", "p50_ms", "peak_memory_bytes"):
        assert track_of(history, time).steps == ()


def test_milliseconds_are_those_of_the_last_environment(folder: Folder) -> None:
    new, old, older = folder("new", 3), folder("old", 2, device="Another"), folder("older", 1)
    (history,) = found(new, old, older)
    for key in ("p50_ms", "peak_memory_bytes"):
        assert [value is None for value in track_of(history, key).values] == [False, True, False]
    assert None not in track_of(history, "forward_equivalents").values
    (history,) = found(new, old)
    assert not {"p50_ms", "peak_memory_bytes"} & {track.column.key for track in history.tracks}


def test_one_source_with_two_sets_of_metrics_is_one_version(store: ResultStore) -> None:
    version(store, 1, "a")
    version(store, 2, "b")
    first, second = sorted(store.read_all(), key=lambda one: one.result.created)
    later = with_figures(first, ["comprehensiveness"], created="2026-01-09T09:00:00+00:00")
    several = versions([later, first, second])
    assert [[one.result.cell for one in of_one] for of_one in several] == [[first.result.cell, second.result.cell]]


def test_a_rescored_cell_is_as_old_as_the_one_that_it_was_made_from(folder: Folder) -> None:
    (old,), (new,) = folder("old", 1).read_all(), folder("new", 2).read_all()
    rescored = old.result.model_copy(update={"created": "2026-03-01T09:00:00+00:00", "rescored_from": old.result.cell})
    kept = with_figures(old, ["comprehensiveness"])
    rescored = rescored.model_copy(update={"rescored_from": kept.result.cell})
    ((first, second),) = versions([new], [[kept, replace(old, result=rescored)]])
    assert (first.made, second.made) == (old.result.created, new.result.created)
    assert len(first.result.figures) == len(old.result.figures)
    # a circle of such words ends as well
    circle = rescored.model_copy(update={"rescored_from": rescored.cell})
    assert len(versions([new], [[replace(old, result=circle)]])) in (0, 1)


def test_the_mean_over_seeds_is_compared_with_one_over_the_same_seeds(tmp_path: Path) -> None:
    def seeded(name: str, seeds: range, day: int) -> ResultStore:
        store = ResultStore(tmp_path / name)
        for seed in seeds:
            version(store, day, "a", parameters={"seed": seed}, label=f"mine(seed={seed})")
        return store

    first, second, fewer = seeded("1", range(3), 1), seeded("2", range(3), 2), seeded("3", range(2), 3)
    (history,) = found(second, first)
    assert history.label == "mine"
    assert [len(files) for files in history.sources] == [3, 3]
    assert found(fewer, first) == []


def test_what_was_submitted_is_a_version_of_the_same_authors_alone(folder: Folder) -> None:
    (own,), (first,), (second,) = (folder(str(day), day).read_all() for day in (1, 2, 3))

    def submitted(stored: StoredResult, authors: str) -> StoredResult:
        return replace(stored, standing="self-reported", about={"authors": authors})

    assert versions([submitted(first, "A")], [[own]]) == []
    assert versions([submitted(second, "A")], [[submitted(first, "B")]]) == []
    assert len(versions([submitted(second, "A")], [[submitted(first, "A")]])) == 1


def test_a_large_change_on_a_handful_of_examples_is_no_step(store: ResultStore) -> None:
    version(store, 1, "a", quality=3.0, examples=3)
    version(store, 2, "b", quality=0.1, examples=3)
    (history,) = found(store)
    first, second = track_of(history, "comprehensiveness").values
    assert first is not None
    assert second is not None
    assert abs(first.value - second.value) > 0.1
    assert not marked(history)


def test_the_command_reads_earlier_folders_and_serves_them(
    folder: Folder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, older, new = folder("old", 2), folder("older", 1), folder("new", 3, quality=0.1)
    site = tmp_path / "site"
    given = ["leaderboard", "--results", new.root, "--site", site, "--earlier", old.root, "--earlier", older.root]
    words = [str(word) for word in given]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    page = parse(site / "history.html")
    assert len(page.all("tr", data_made=None)) == 3
    # a board has the rows of --results alone
    assert len(parse(site / "index.html").one("table", class_="board").all("tr", data_row=None)) == 1

    served: list[tuple[Path, ...]] = []

    def serve(build: Callable[[], Path], watched: list[Path], *_: object) -> None:
        served.append(tuple(watched))
        (site / "history.html").unlink()
        build()

    monkeypatch.setattr("whybench.leaderboard.serve.serve", serve)
    done = CliRunner().invoke(app, [*words, "--serve"])
    assert done.exit_code == 0, done.output
    assert served == [(new.root, old.root, older.root)]
    assert (site / "history.html").is_file()


def test_the_command_names_an_earlier_folder_that_is_not_there_or_is_damaged(folder: Folder, tmp_path: Path) -> None:
    new, old = folder("new", 2), folder("old", 1)
    words = ["leaderboard", "--results", str(new.root), "--site", str(tmp_path / "site"), "--earlier"]
    done = CliRunner().invoke(app, [*words, str(tmp_path / "nothing")])
    assert isinstance(done.exception, StoreError)
    assert "nothing" in str(done.exception)
    next(old.cells.iterdir()).joinpath("result.json").write_text("{}")
    done = CliRunner().invoke(app, [*words, str(old.root)])
    assert isinstance(done.exception, CorruptResultError)
    assert str(old.root) in str(done.exception)
    assert not (tmp_path / "site").exists()
