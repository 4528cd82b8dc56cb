import io
from itertools import pairwise
from pathlib import Path

import pytest
from rich.console import Console

from whybench.bench.causal.metrics import CAUSAL
from whybench.bench.store import ResultStore
from whybench.leaderboard.attention_page import LEADING
from whybench.leaderboard.boards import boards
from whybench.leaderboard.formatting import measured, number
from whybench.leaderboard.tables import table
from whybench.leaderboard.text_table import _GAP, _names_width, _parts, _ranks_width, _width, print_overview
from whybench.tests.leaderboard.causal_factory import causal_suite
from whybench.tests.leaderboard.factory import Made, make, suite


def printed(store: ResultStore, width: int) -> str:
    console = Console(width=width, file=io.StringIO())
    print_overview(store.read_all(), store.read_failures(), console)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 120, 220])
def test_shows_every_number_at_every_width(tmp_path: Path, width: int) -> None:
    store = ResultStore(tmp_path)
    results, _ = suite(store)
    make(store, Made(method="lime", error="[bold]the residual misses[/] the tolerance"))
    text = printed(store, width)
    assert max(len(line) for line in text.splitlines()) <= width
    for stored in results:
        for figure in stored.result.figures.values():
            assert number(figure.mean) in text
            assert f"±{max(figure.high - figure.mean, figure.mean - figure.low):.3f}" in text
        assert stored.result.label in text
    assert "random (reference)" in text
    assert "lime failed: [bold]the residual misses[/]" in text
    assert "30 examples" in text


def test_a_wide_terminal_gets_one_table(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    suite(store)
    assert printed(store, 300).count("Method") == 1
    assert printed(store, 100).count("Method") > 1


@pytest.mark.parametrize("width", [80, 220])
def test_ranks_stand_beside_the_names_once(tmp_path: Path, width: int) -> None:
    store = ResultStore(tmp_path)
    results, _ = suite(store)
    view = table(boards(results, [])[0])
    text = printed(store, width)
    assert text.count("Rank ") == 1
    assert "Rank: its 95 % interval, by comprehensiveness." in " ".join(text.split())
    first = text[: text.index("random (reference)")]
    for row in view.methods:
        assert row.standing is not None
        (line,) = [line for line in first.splitlines() if line.startswith(f" {row.name} ")]
        assert f" {row.standing.interval} {row.standing.letters} " in line


def test_a_group_of_columns_is_torn_only_where_no_table_has_room_for_it(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    suite(store)
    (board,) = boards(store.read_all(), [])
    view = table(board)
    for width in range(60, 300, 10):
        parts = _parts(view, width)
        assert [index for part in parts for index in part] == list(range(len(view.columns)))
        for part, following in pairwise(parts):
            group = view.columns[following[0]].group
            if view.columns[part[-1]].group == group:
                whole = sum(_width(view, i) + _GAP for i, column in enumerate(view.columns) if column.group == group)
                # the ranks stand in the first table alone
                ranks = _ranks_width(view) + _GAP if part is parts[0] else 0
                assert whole > width - _names_width(view) - 1 - ranks, width


def test_says_how_to_make_results(tmp_path: Path) -> None:
    console = Console(width=80, file=io.StringIO())
    print_overview([], [], console)
    assert "whybench run" in console.file.getvalue()


def test_control_characters_do_not_reach_the_terminal(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    make(store, Made(label="a\x1b[31mred\u202e"))
    text = printed(store, 160)
    assert "\x1b" not in text
    assert "\u202e" not in text


@pytest.mark.parametrize("width", [80, 140])
def test_the_causal_suite_is_cut_to_its_leading_figures(tmp_path: Path, width: int) -> None:
    store = ResultStore(tmp_path)
    results = causal_suite(store)
    text = printed(store, width)
    assert max(len(line) for line in text.splitlines()) <= width
    for stored in results:
        figure = stored.result.figures["replaced_tvd"]
        assert measured(figure.mean) in text
        assert "null_dimension" in stored.result.figures
    assert "Null" not in text
    shown = len(LEADING)
    assert f"{len(CAUSAL) - shown} more figures of each row are on the page “Is attention explanation?”" in text
    assert "uniform_attention (control)" in " ".join(text.split())
    assert "causal suite" in text
