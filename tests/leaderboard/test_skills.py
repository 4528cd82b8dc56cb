"""Skill on the board: between the references, by task and over tasks, without the rows that a gate keeps out."""

import io
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from whybench.bench.schema import GateOutcome
from whybench.bench.store import ResultStore
from whybench.leaderboard.boards import boards
from whybench.leaderboard.columns import numbers
from whybench.leaderboard.site import build_site
from whybench.leaderboard.skills import skills
from whybench.leaderboard.tables import table
from whybench.leaderboard.text_table import print_overview
from whybench.tests.leaderboard.factory import Made, make, suite
from whybench.tests.leaderboard.page import parse

FAILED = GateOutcome(status="failed", value=0.4, limit=1e-4, reason="another batch, another map")


def references(store: ResultStore, **changes) -> None:
    for seed in range(3):
        label = f"chance(seed={seed})" if seed else "chance"
        fields = {"method": "chance", "label": label, "family": "reference", "bound": "floor", "quality": 0.0}
        make(store, Made(**{**fields, "signed": False, "parameters": {"seed": seed}, **changes}))
    for metric in ("comprehensiveness", "sufficiency"):
        fields = {"method": "best", "label": f"best(metric={metric})", "family": "reference", "bound": "ceiling"}
        make(store, Made(**{**fields, "quality": 9.0, "parameters": {"metric": metric}, **changes}))


def two_tasks(folder: Path, **changes) -> ResultStore:
    """The default methods and the references on two tasks."""
    made = ResultStore(folder)
    for task in ("xor_cues", "majority"):
        suite(made, task=task, **changes)
        references(made, task=task, **changes)
    return made


def mean(store, task, label, metric):
    (found,) = (one for one in store.read_all() if one.result.label == label and one.result.spec.task.name == task)
    return np.mean(list(numbers(found, metric).values()))


def by_hand(store, task, label):
    found = []
    for metric in ("comprehensiveness", "sufficiency"):
        floor = np.mean([mean(store, task, f"chance(seed={s})" if s else "chance", metric) for s in range(3)])
        ceiling = mean(store, task, f"best(metric={metric})", metric)
        found.append((mean(store, task, label, metric) - floor) / (ceiling - floor))
    return float(np.mean(found))


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    made = ResultStore(tmp_path / "results")
    for task in ("xor_cues", "majority"):
        suite(made, task=task)
        references(made, task=task)
    return made


def test_it_is_the_place_between_the_references(store: ResultStore) -> None:
    found = skills([table(board) for board in boards(store.read_all(), [])])
    assert found is not None
    assert found.several
    tasks = [board.spec.task.name for board in found.boards]
    assert tasks == ["majority", "xor_cues"]
    for one in found.rows:
        values = [by_hand(store, task, one.name) for task in tasks]
        assert [cell.value for cell in one.cells] == pytest.approx(values)
        assert one.overall.value == pytest.approx(np.mean(values))
        assert one.overall.low < one.overall.value < one.overall.high
        assert not one.why
    assert [one.overall.value for one in found.rows] == sorted((o.overall.value for o in found.rows), reverse=True)
    assert found.rows[0].name == "occlusion"
    assert found.rows[0].overall.best
    assert found.rows[0].borda == 1.0
    # references have no line
    assert {"chance", "random"}.isdisjoint(one.name for one in found.rows)


def test_a_failed_gate_keeps_a_method_out_and_says_why(store: ResultStore, tmp_path: Path) -> None:
    make(store, Made(method="spoiled", task="xor_cues", quality=8.0, gates={"batch_invariance": FAILED}))
    make(store, Made(method="spoiled", task="majority", quality=8.0))
    make(store, Made(method="half", task="xor_cues", quality=8.0))
    found = skills([table(board) for board in boards(store.read_all(), [])])
    assert found is not None
    last = {one.name: one for one in found.rows[-2:]}
    assert last["spoiled"].why == "fails batch invariance on xor_cues"
    assert last["half"].why == "no figures on all examples of majority"
    assert last["spoiled"].overall.value is None
    assert last["spoiled"].cells[0].value is not None
    page = parse(build_site(store.read_all(), [], tmp_path / "site"))
    assert "fails batch invariance: not ranked" in page.text
    assert "fails batch invariance on xor_cues: none over all tasks" in page.text
    console = Console(width=160, file=io.StringIO())
    print_overview(store.read_all(), [], console)
    text = console.file.getvalue()
    assert "spoiled (fails batch invariance)" in text
    assert "half: no figures on all examples of majority" in text
    method = parse(tmp_path / "site" / "methods" / "spoiled.html")
    assert "another batch, another map" in method.text


def test_a_narrow_terminal_keeps_names_whole_and_leaves_out_the_tasks(store: ResultStore) -> None:
    printed = {}
    for width in (60, 160):
        console = Console(width=width, file=io.StringIO())
        print_overview(store.read_all(), [], console)
        printed[width] = console.file.getvalue().partition("\nSkill\n")[2]
        assert "integrated_gradients(n_steps=20)" in printed[width]
    assert "majority ↑" in printed[160]
    assert "majority ↑" not in printed[60]
    assert "By each of the 2 tasks: on the page" in printed[60]


def test_without_references_there_is_no_skill(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    suite(store)
    assert skills([table(board) for board in boards(store.read_all(), [])]) is None
    page = parse(build_site(store.read_all(), [], tmp_path / "site"))
    assert not page.all("section", id="skill")
    references(store, task="majority")
    suite(store, task="majority")
    found = skills([table(board) for board in boards(store.read_all(), [])])
    assert found is not None
    assert (len(found.boards), found.bare, found.several) == (1, 1, False)


def test_a_ceiling_below_the_floor_has_no_skill_and_says_so(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    for task in ("xor_cues", "majority"):
        suite(store, task=task)
    references(store, task="majority")
    references(store, task="xor_cues", quality=0.0)
    found = skills([table(board) for board in boards(store.read_all(), [])])
    assert found is not None
    ((title, reason),) = found.undefined
    assert title == "xor_cues with xor_cues"
    assert "the ceiling" in reason


def test_one_board_of_several_operators_counts(store: ResultStore) -> None:
    suite(store, task="majority", operator="delete")
    references(store, task="majority", operator="delete")
    found = skills([table(board) for board in boards(store.read_all(), [])])
    assert found is not None
    assert [board.spec.operator for board in found.boards] == ["mask", "mask"]
