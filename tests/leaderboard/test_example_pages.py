"""A page for every shown example: neighbours, order by disagreement, curves, and what the task's page keeps."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from whybench.bench.store import ResultStore
from whybench.leaderboard.boards import boards
from whybench.leaderboard.example_page import MOST_HEATS, ExamplePage, example_pages
from whybench.leaderboard.heatmap import examples
from whybench.leaderboard.site import build_site
from whybench.leaderboard.sparkline import EDGE, HEIGHT, WIDTH, sparkline
from whybench.leaderboard.tables import table
from whybench.tests.leaderboard.factory import Made, make, suite
from whybench.tests.leaderboard.page import parse


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def pages_of(store: ResultStore) -> tuple[ExamplePage, ...]:
    return example_pages("a", examples(table(boards(store.read_all(), [])[0])))


def test_disagreement_is_one_minus_the_mean_spearman_correlation_of_all_pairs(store: ResultStore) -> None:
    suite(store)
    maps = {
        row.name: dict(
            zip(
                row.stored.examples.column("example_id").to_pylist(),
                row.stored.examples.column("unit_scores").to_pylist(),
                strict=True,
            )
        )
        for row in table(boards(store.read_all(), [])[0]).methods
    }
    for page in pages_of(store):
        pairs = itertools.combinations([scores[page.view.id] for scores in maps.values()], 2)
        expected = np.mean([1 - spearmanr(a, b).statistic for a, b in pairs])
        assert page.view.disagreement == pytest.approx(expected, abs=1e-9)


def test_neighbours_lead_through_all_examples_in_both_orders(store: ResultStore) -> None:
    suite(store)
    pages = {f"{page.slug}.html": page for page in pages_of(store)}
    (start,) = (page for page in pages.values() if page.previous is None)
    seen = [start]
    while seen[-1].following:
        seen.append(pages[seen[-1].following])
        assert pages[seen[-1].previous or ""] is seen[-2]
    assert [page.place for page in seen] == list(range(1, len(pages) + 1))

    (most,) = (page for page in pages.values() if page.more is None)
    down = [most]
    while down[-1].less:
        down.append(pages[down[-1].less])
        assert pages[down[-1].more or ""] is down[-2]
    assert len(down) == len(pages)
    values = [page.view.disagreement for page in down]
    assert values == sorted(values, reverse=True)
    assert [page.rank for page in down] == list(range(1, len(pages) + 1))


def test_one_method_disagrees_with_nobody(store: ResultStore) -> None:
    make(store, Made())
    assert all((page.rank, page.more, page.less) == (None, None, None) for page in pages_of(store))


def test_addresses_are_those_of_the_ids_whatever_else_there_is(store: ResultStore) -> None:
    make(store, Made())
    before = {page.view.id: page.href for page in pages_of(store)}
    suite(store)
    after = {page.view.id: page.href for page in pages_of(store)}
    assert {before[one] == after[one] for one in before.keys() & after.keys()} == {True}


def test_an_example_has_all_methods_on_its_page_and_some_on_its_tasks(store: ResultStore, tmp_path: Path) -> None:
    suite(store)
    for i in range(4):
        make(store, Made(method=f"more_{i}"))
    build_site(store.read_all(), [], tmp_path / "site")
    task = parse(tmp_path / "site/tasks/xor-cues.html")
    for page in pages_of(store):
        article = task.one("article", id=f"xor-cues-xor-cues-30--{page.slug}")
        assert len(article.all("p", class_="heat")) == MOST_HEATS
        assert float(article.attributes["data-disagreement"]) == pytest.approx(page.view.disagreement, abs=1e-6)
        own = parse(tmp_path / f"site/examples/xor-cues-xor-cues-30/{page.slug}.html")
        drawn = own.one("article")
        assert [h.one("bdi").text for h in drawn.all("h4")] == [heat.row.name for heat in page.view.heats]
        assert len(page.view.heats) == 11
        assert len(drawn.all("polyline", class_="deletion")) == len(drawn.all("polyline", class_="insertion")) == 11
        words = drawn.all("p", class_="heat")[0]
        assert len(words.all("u", data_part="evidence")) == 2
        for link in own.one("nav", aria_label="Examples").all("a"):
            assert (tmp_path / "site/examples/xor-cues-xor-cues-30" / link.attributes["href"]).is_file()


def test_a_small_curve_lies_where_the_recorded_points_are() -> None:
    record = {"unit_scores": [0.1, 0.2], "removed_k": [0, 1, 2], "removed_p": [1.0, 0.5, 0.0]}
    points = [tuple(map(float, point.split(","))) for point in sparkline(record, "removed").split()]
    assert points[0] == (EDGE, EDGE)
    assert points[10] == (WIDTH / 2, HEIGHT / 2)
    assert points[-1] == (WIDTH - EDGE, HEIGHT - EDGE)
    assert sparkline(record, "kept") == ""
    assert sparkline({"unit_scores": None, "removed_k": None, "removed_p": None}, "removed") == ""
    # beyond what is recorded nothing is drawn
    cut = {"unit_scores": [0.1, 0.2], "removed_k": [0, 1], "removed_p": [1.0, 0.5]}
    assert len(sparkline(cut, "removed").split()) == 11
