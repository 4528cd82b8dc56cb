"""Versions of a method: what counts as one, their order, and which steps are marked."""

from pathlib import Path

import numpy as np
import pytest

from whybench.bench.comparison import compare
from whybench.bench.store import ResultStore
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
    expected = compare(np.column_stack((new, old)), ["new", "old"], higher_is_better=True)
    assert track.steps[2] is not None
    assert track.steps[2].text.startswith(f"{expected.differences[0, 1]:.3f}".replace("-", "−"))
    assert track.steps[2].x == pytest.approx((track.marks[1].x + track.marks[2].x) / 2)  # type: ignore[union-attr]


def test_a_small_change_is_no_step(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from whybench.leaderboard import history_page

    version(store, 1, "a", quality=3.0)
    version(store, 2, "b", quality=0.1)
    monkeypatch.setattr(history_page, "LEAST_CHANGE", 10.0)
    assert all(step is None for track in found(store)[0].tracks[:-1] for step in track.steps)


@pytest.mark.parametrize(
    ("milliseconds", "device", "verdict"),
    [(10.0, "A processor", "worse"), (1.2, "A processor", None), (0.1, "A processor", "better"), (10.0, "Other", None)],
)
def test_cost_counts_by_its_factor_in_the_same_environment(
    store: ResultStore, milliseconds: float, device: str, verdict: str | None
) -> None:
    version(store, 1, "a")
    version(store, 2, "b", milliseconds=milliseconds, device=device)
    track = found(store)[0].tracks[-1]
    assert track.column.key == "forward_equivalents"
    assert [step and step.verdict for step in track.steps] == [None, verdict]


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
