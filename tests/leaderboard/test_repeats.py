"""Seeds of one method as one row."""

from pathlib import Path

import numpy as np
import pytest

from whybench.bench.schema import GateOutcome
from whybench.bench.statistics import bootstrap_intervals
from whybench.bench.store import ResultStore, StoredResult
from whybench.leaderboard.boards import boards
from whybench.leaderboard.columns import numbers
from whybench.leaderboard.repeats import Repeated, folded
from whybench.leaderboard.site import build_site
from whybench.tests.leaderboard.factory import Made, make
from whybench.tests.leaderboard.page import parse


def seeds(store: ResultStore, given=(0, 1, 2), **changes) -> list[StoredResult]:
    made = []
    for seed in given:
        label = f"random(seed={seed})" if seed else "random"
        fields = {"method": "random", "label": label, "family": "reference", "signed": False, "quality": 0.1}
        made.append(make(store, Made(**{**fields, "parameters": {"seed": seed}, **changes})))
    return made


def test_an_examples_figure_is_the_mean_over_the_seeds(tmp_path: Path) -> None:
    cells = seeds(ResultStore(tmp_path))
    (one,) = folded(cells)
    assert isinstance(one, Repeated)
    assert one.result.label == "random"
    assert "mean of 3 seeds" in one.result.note
    for name in ("comprehensiveness", "average_precision"):
        columns = [numbers(stored, name) for stored in cells]
        means = {example: np.mean([column[example] for column in columns]) for example in columns[0]}
        assert len({column[next(iter(means))] for column in columns}) > 1
        assert numbers(one, name) == pytest.approx(means)
        assert one.examples.column(name).to_pylist() == pytest.approx(list(means.values()))
        figure = one.result.figures[name]
        assert figure.mean == pytest.approx(np.mean(list(means.values())))
        low, high = bootstrap_intervals(np.array(list(means.values()))[:, None])
        assert (figure.low, figure.high) == (pytest.approx(low[0]), pytest.approx(high[0]))
    # the rest is the first one's
    assert one.examples.column("unit_scores") == cells[0].examples.column("unit_scores")
    assert one.result.cost == cells[0].result.cost


def test_what_differs_in_more_than_the_seed_stays(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    cells = [
        *seeds(store, (0, 1)),
        *seeds(store, (0, 1), operator="delete"),
        *seeds(store, (5,), task="majority"),
        *seeds(store, (7,), failed={2: "no"}),
        make(store, Made(method="lime", parameters={"seed": 0, "samples": 5}, label="lime(samples=5)")),
        make(store, Made(method="lime", parameters={"seed": 0, "samples": 9}, label="lime(samples=9)")),
        make(store, Made()),
    ]
    found = folded(cells)
    assert [type(one) for one in found].count(Repeated) == 2
    assert len(found) == len(cells) - 2
    assert [stored.result.label for stored in folded([])] == []


@pytest.mark.parametrize(
    ("labels", "wanted"),
    [
        (("m(seed=1)", "m(seed=2)"), "m"),
        (("m(a=1, seed=1)", "m(a=1, seed=2)"), "m(a=1)"),
        (("m(seed=1, a=1)", "m(seed=2, a=1)"), "m(a=1)"),
        (("m(a=1, seed=1, b=2)", "m(a=1, seed=2, b=2)"), "m(a=1, b=2)"),
    ],
)
def test_the_label_is_without_the_seed(tmp_path: Path, labels, wanted) -> None:
    store = ResultStore(tmp_path)
    cells = [make(store, Made(method="m", label=label, parameters={"seed": seed})) for seed, label in enumerate(labels)]
    assert [one.result.label for one in folded(cells)] == [wanted]


def test_a_gate_that_one_seed_fails_is_failed(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    passed, failed = GateOutcome(status="passed"), GateOutcome(status="failed", reason="it is another map")
    cells = seeds(store, (0,), gates={"determinism": passed, "coverage": passed})
    cells += seeds(store, (1,), gates={"determinism": failed, "coverage": passed})
    (one,) = folded(cells)
    assert one.gates == {"determinism": failed, "coverage": passed}


def test_the_page_shows_one_row(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    seeds(store)
    make(store, Made())
    (board,) = boards(store.read_all(), [])
    assert sorted(board.names.values()) == ["occlusion", "random"]
    page = parse(build_site(store.read_all(), [], tmp_path / "site"))
    assert "The mean of 3 seeds" in page.text
    assert "random(seed" not in page.text
