"""Versions of a method: what counts as one, their order, and which steps are marked."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whybench.bench.paired import score_intervals
from whybench.bench.store import ResultStore
from whybench.bench.thresholds import read_thresholds
from whybench.leaderboard import formatting
from whybench.leaderboard.boards import boards
from whybench.leaderboard.columns import numbers
from whybench.leaderboard.history_page import History, histories
from whybench.leaderboard.site import build_site
from whybench.leaderboard.tables import table
from whybench.tests.leaderboard.factory import Made, digest, make
from whybench.tests.leaderboard.page import parse


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def found(store: ResultStore) -> list[History]:
    return histories([(board.key, table(board)) for board in boards(store.read_all(), [])])


def version(store: ResultStore, day: int, source: str, **changes: object) -> None:
    make(store, Made(method="mine", source=source, created=f"2026-01-{day:02d}T09:00:00+00:00", **changes))


def test_versions_differ_in_the_source_alone_and_stand_in_the_order_of_their_making(store: ResultStore) -> None:
    for day, source in ((20, "c"), (3, "a"), (11, "b")):
        version(store, day, source)
    version(store, 5, "d", parameters={"n": 2})
    version(store, 5, "e", dtype="bfloat16")
    version(store, 5, "f", task="other")
    make(store, Made(method="others"))
    (history,) = found(store)
    assert [row.result.spec.method.source for row in history.versions] == [digest(one) for one in "abc"]


def test_a_step_needs_size_and_an_interval_without_zero(store: ResultStore) -> None:
    version(store, 1, "a", quality=3.0)
    version(store, 2, "b", quality=3.0)
    version(store, 3, "c", quality=0.1)
    version(store, 4, "d", quality=3.0)
    (history,) = found(store)
    track = history.tracks[0]
    assert track.column.key == "comprehensiveness"
    # the same scores twice, then far worse ones, then the first again
    assert [step and step.verdict for step in track.steps] == [None, None, "worse", "better"]
    old, new = (np.array(list(numbers(row.stored, "comprehensiveness").values())) for row in history.versions[1:3])
    # three steps of every figure are tested
    means, halves = score_intervals((new - old)[:, None], 3 * (len(history.tracks) - 2))
    ends = formatting.interval(means[0] - halves[0], means[0] + halves[0])
    assert track.steps[2] is not None
    assert track.steps[2].text == f"{formatting.number(means[0])} ({ends}), worse"
    assert track.steps[2].x == pytest.approx((track.marks[1].x + track.marks[2].x) / 2)  # type: ignore[union-attr]


def test_a_change_below_the_threshold_of_compare_is_no_step(
    store: ResultStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    version(store, 1, "a", quality=3.0)
    version(store, 2, "b", quality=0.1)
    thresholds = read_thresholds()
    high = replace(thresholds, scores=dict.fromkeys(thresholds.scores, 10.0))
    assert any(step for track in found(store)[0].tracks for step in track.steps)
    monkeypatch.setattr("whybench.leaderboard.history_page.read_thresholds", lambda: high)
    assert not any(step for track in found(store)[0].tracks for step in track.steps)


@pytest.mark.parametrize(("passes", "verdict"), [(20.0, "worse"), (10.2, None), (5.0, "better")])
def test_counts_have_steps_by_their_factor_and_times_have_none(
    store: ResultStore, passes: float, verdict: str | None
) -> None:
    version(store, 1, "a", passes=(10.0, 0.0))
    version(store, 2, "b", passes=(passes, 0.0), milliseconds=50.0)
    counts, times = found(store)[0].tracks[-2:]
    assert (counts.column.key, times.column.key) == ("flops", "forward_equivalents")
    assert [step and step.verdict for step in counts.steps] == [None, verdict]
    assert times.steps == (None, None)


def test_the_page_has_every_version_and_its_steps(store: ResultStore, tmp_path: Path) -> None:
    version(store, 1, "a", quality=3.0)
    version(store, 2, "b", quality=0.1)
    build_site(store.read_all(), [], tmp_path / "site")
    page = parse(tmp_path / "site/history.html")
    (section,) = page.all("section", class_="task history")
    lines = section.all("tr", data_source=None)
    assert [line.attributes["data-source"] for line in lines] == [digest("a"), digest("b")]
    for stored, line in zip(sorted(store.read_all(), key=lambda one: one.result.created), lines, strict=True):
        figure = stored.result.figures["comprehensiveness"]
        assert f"{figure.mean:.3f}" in line.text
        assert (tmp_path / "site" / line.one("a").attributes["href"].partition("#")[0]).is_file()
    assert "worse" in lines[1].text
    assert "worse" not in lines[0].text
    assert section.all("g", class_="step worse")
    assert 'href="history.html"' in (tmp_path / "site/index.html").read_text(encoding="utf-8")


def test_one_version_of_everything_has_no_such_page(store: ResultStore, tmp_path: Path) -> None:
    make(store, Made())
    build_site(store.read_all(), [], tmp_path / "site")
    assert not (tmp_path / "site/history.html").exists()


def test_one_source_with_two_sets_of_metrics_is_one_version(store: ResultStore) -> None:
    version(store, 1, "a")
    version(store, 2, "b")
    (board,) = boards(store.read_all(), [])
    view = table(board)
    first = view.methods[0]
    figures = dict(list(first.result.figures.items())[:1])
    spec = first.result.spec.model_copy(update={"metrics": tuple(figures)})
    part = first.result.model_copy(update={"figures": figures, "spec": spec})
    doubled = replace(view, methods=(replace(first, stored=replace(first.stored, result=part)), *view.methods))
    (history,) = histories([("a", doubled)])
    assert [len(row.result.figures) for row in history.versions] == [len(first.result.figures)] * 2


def test_a_large_change_on_a_handful_of_examples_is_no_step(store: ResultStore) -> None:
    version(store, 1, "a", quality=3.0, examples=3)
    version(store, 2, "b", quality=0.1, examples=3)
    first, second = (row.result.figures["comprehensiveness"].mean for row in found(store)[0].versions)
    assert abs(first - second) > 0.1
    assert not any(step for track in found(store)[0].tracks for step in track.steps)
