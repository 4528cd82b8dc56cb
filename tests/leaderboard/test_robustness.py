"""The order of the methods under several removal operators."""

import io
from pathlib import Path

import pytest
from rich.console import Console
from scipy.stats import kendalltau

from whybench.bench.robustness import order_agreement
from whybench.bench.store import ResultStore
from whybench.leaderboard.boards import boards
from whybench.leaderboard.robustness import TITLE, robustness
from whybench.leaderboard.site import build_site
from whybench.leaderboard.text_table import print_overview
from whybench.tests.leaderboard.factory import Made, make, suite
from whybench.tests.leaderboard.page import parse


def test_by_hand() -> None:
    figures = {
        "mask": {"a": 0.1, "b": 0.2, "c": 0.3},
        "delete": {"c": 0.9, "b": 0.5, "a": 0.4, "d": 1.0},
        # of three pairs one is turned round: (2 − 1) / 3
        "pad": {"a": 0.2, "b": 0.1, "c": 0.3},
        "alone": {"a": 1.0},
    }
    assert order_agreement(figures) == {
        ("mask", "delete"): pytest.approx(1.0),
        ("mask", "pad"): pytest.approx(1 / 3),
        ("delete", "pad"): pytest.approx(1 / 3),
    }
    assert order_agreement({"mask": {"a": 1.0, "b": 1.0}, "pad": {"a": 1.0, "b": 2.0}}) == {("mask", "pad"): 0.0}
    assert order_agreement({"mask": figures["mask"]}) == {}


def test_boards_of_several_operators_are_compared(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    suite(store)
    suite(store, operator="delete", quality=1.0)
    # of other examples, with failures, and a reference: none of them is compared
    suite(store, operator="pad", task="majority")
    make(store, Made(method="lime", failed={1: "no"}))
    make(store, Made(method="lime", failed={1: "no"}, operator="delete"))
    found = boards(store.read_all(), [])
    (one,) = robustness(found)
    assert (one.pairs, one.methods, one.spec.task.name) == ((("delete", "mask"),), 6, "xor_cues")
    means: dict[str, dict[str, float]] = {"mask": {}, "delete": {}}
    for stored in store.read_all():
        result = stored.result
        if result.spec.task.name == "xor_cues" and result.family != "reference" and not result.coverage.failed:
            means[result.spec.operator][result.label] = result.figures["sufficiency"].mean
    labels = sorted(means["mask"])
    expected = kendalltau(*([means[operator][label] for label in labels] for operator in means)).statistic
    assert dict(one.rows)["Sufficiency"] == (pytest.approx(expected),)

    console = Console(width=160, file=io.StringIO())
    print_overview(store.read_all(), [], console)
    assert TITLE.lower() in console.file.getvalue()
    page = parse(build_site(store.read_all(), [], tmp_path / "site"))
    (table,) = page.all("table", class_="robustness")
    assert "delete, mask" in table.text
    assert f"{expected:.3f}".replace("-", "−") in table.text


def test_one_operator_has_nothing_to_compare(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    suite(store)
    assert robustness(boards(store.read_all(), [])) == []
