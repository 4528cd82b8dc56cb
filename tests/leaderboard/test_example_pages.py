"""A page for every shown example: neighbours, order by disagreement, curves, and what the task's page keeps."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from whybench.bench.store import ResultStore
from whybench.leaderboard.boards import boards
from whybench.leaderboard.example_curves import example_curves
from whybench.leaderboard.example_page import MOST_HEATS, ExamplePage, example_pages
from whybench.leaderboard.heatmap import examples
from whybench.leaderboard.site import build_site
from whybench.leaderboard.tables import table
from whybench.tests.leaderboard.factory import Made, make, suite
from whybench.tests.leaderboard.page import charts, parse


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
        shown = [content["data"] for _, content in charts(drawn, "example")]
        assert shown == [heat.curves.data for heat in page.view.heats]
        words = drawn.all("p", class_="heat")[0]
        assert len(words.all("u", data_part="evidence")) == 2
        for link in own.one("nav", aria_label="Examples").all("a"):
            assert (tmp_path / "site/examples/xor-cues-xor-cues-30" / link.attributes["href"]).is_file()


def test_a_small_curve_lies_where_the_recorded_points_are() -> None:
    record = {"unit_scores": [0.1, 0.2], "removed_k": [0, 1, 2], "removed_p": [1.0, 0.5, 0.0]}
    made = example_curves(record)
    (rows,) = made.data["curves"]
    assert list(rows) == ["t", "deletion"]
    assert rows["t"] == pytest.approx([i / 20 for i in range(21)])
    assert rows["deletion"] == pytest.approx([1 - i / 20 for i in range(21)])
    said = "deletion: 1.00, 0.75, 0.50 and 0.00 with none, a quarter, half and all of the words removed"
    assert made.description == f"Probability of the prediction, {said}."
    assert example_curves({"unit_scores": None, "removed_k": None, "removed_p": None}) is None
    # beyond what is recorded nothing is drawn
    cut = record | {"removed_k": [0, 1], "removed_p": [1.0, 0.5], "kept_k": [1, 2], "kept_p": [0.5, 1.0]}
    (rows,) = example_curves(cut).data["curves"]
    assert [p is None for p in rows["deletion"]] == [i > 10 for i in range(21)]
    assert [p is None for p in rows["insertion"]] == [i < 10 for i in range(21)]
    assert "insertion: unknown, unknown, 0.50 and 1.00 with" in example_curves(cut).description
