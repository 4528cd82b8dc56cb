"""The cards of methods and tasks, the drawing of lengths, and where every number comes from."""

import hashlib
import json
from pathlib import Path

import pytest

from whybench.bench.errors import CorruptResultError
from whybench.bench.listing import entries
from whybench.bench.schema import GateOutcome, ReportFigure, Result
from whybench.bench.store import RESULT, ResultStore
from whybench.leaderboard.boards import boards
from whybench.leaderboard.cards import Fact, about_data, method_card, task_card
from whybench.leaderboard.histogram import histogram
from whybench.leaderboard.robustness import robustness
from whybench.leaderboard.site import build_site
from whybench.leaderboard.sources import sources
from whybench.tests.leaderboard.factory import Made, make, suite
from whybench.tests.leaderboard.page import charts, parse, rows


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def by_term(facts: list[Fact]) -> dict[str, Fact]:
    return {fact.term: fact for fact in facts}


PASSED, FAILED = GateOutcome(status="passed", value=0.0, limit=0.0), GateOutcome(status="failed", reason="differs")


def test_a_method_that_asks_for_gradients_and_adds_up(store: ResultStore) -> None:
    report = {"completeness_delta_relative": ReportFigure(mean=0.01, largest=0.2)}
    made = {"method": "mine", "family": "gradient", "passes": (20.0, 19.0), "report": report}
    cells = [
        make(store, Made(task=task, milliseconds=ms, gates={"determinism": PASSED}, **made))
        for task, ms in (("a", 1.8), ("b", 18.0))
    ]
    card = by_term(method_card(cells))
    assert {term: fact.answer for term, fact in card.items()} == {
        "Signed": "yes",
        "Complete": "claims it",
        "Deterministic": "yes",
        "Needs": "gradients",
        "Cost": "medium",
    }
    assert "0.0100 on average, at most 0.200" in card["Complete"].detail
    assert "2 of 2 boards" in card["Deterministic"].detail
    assert card["Cost"].detail.startswith("2.00× to 20.0× a plain forward pass")


def test_a_method_that_is_not_deterministic_on_one_board_is_not(store: ResultStore) -> None:
    cells = [
        make(store, Made(method="mine", task=task, gates={"determinism": gate}, signed=False, passes=(30.0, 0.0)))
        for task, gate in (("a", PASSED), ("b", FAILED))
    ]
    card = by_term(method_card(cells))
    assert (card["Signed"].answer, card["Deterministic"].answer) == ("no", "no")
    assert "1 of 2 boards" in card["Deterministic"].detail
    assert card["Complete"].answer == "no claim"
    assert card["Needs"].answer == "predictions on changed texts"


@pytest.mark.parametrize(
    ("milliseconds", "said"), [(0.9, "about a forward pass"), (8.0, "low"), (80.0, "medium"), (900.0, "high")]
)
def test_cost_classes(store: ResultStore, milliseconds: float, said: str) -> None:
    assert by_term(method_card([make(store, Made(milliseconds=milliseconds))]))["Cost"].answer == said


def test_which_architectures_is_asked_of_the_method_that_is_installed(store: ResultStore) -> None:
    def architectures(name: str) -> Fact | None:
        return by_term(method_card([make(store, Made(method=name, family="attention"))])).get("Architectures")

    some = next(e.name for e in entries("method") if "serves" in e.computed)
    every = next(e.name for e in entries("method") if "serves" not in e.computed and not e.fact("serves"))
    assert (architectures(some) or Fact("", "")).answer == "some"
    assert (architectures(every) or Fact("", "")).answer == "any"
    assert architectures("nobody_has_this") is None


def test_a_cell_that_failed_alone_has_a_card(store: ResultStore) -> None:
    card = by_term(method_card([make(store, Made(method="mine", error="no"))]))
    assert (card["Deterministic"].answer, card["Needs"].answer) == ("not tried", "not known")
    assert "Cost" not in card


def test_a_task_has_its_licence_where_the_same_data_is_installed(store: ResultStore) -> None:
    entry = next(e for e in entries("task") if e.fact("dataset") and e.fact("licence") and e.fact("citation"))
    for dataset, known in ((entry.fact("dataset"), True), ("someone/else", False)):
        make(store, Made(task=entry.name, dataset=dataset))
        board = next(b for b in boards(store.read_all(), []) if b.spec.task.dataset == dataset)
        card = by_term(task_card(board))
        assert card["Data"].answer == dataset
        assert ("Licence" in card, "Citation" in card) == (known, known)
    assert card["Accuracy"].answer == f"{board.accuracy:.3f}"


def test_lengths_are_counted_once_each() -> None:
    lengths = [3, 3, 4, 17, 96, 97]
    drawn = histogram(lengths, "word")
    assert drawn is not None
    assert (drawn.count, drawn.said) == (6, "3 to 97 words, median 10.5")
    counts = [sum(low <= n < low + 5 for n in lengths) for low in range(0, 100, 5)]
    assert [count for _, count in drawn.numbers] == counts
    assert (drawn.numbers[0][0], drawn.numbers[-1][0]) == ("0–4", "95–99")
    (bars,) = drawn.chart.data["bars"]
    assert bars == {
        "low": [0, 15, 95],
        "high": [5, 20, 100],
        "lengths": ["0–4 words", "15–19 words", "95–99 words"],
        "examples": [3, 1, 2],
    }
    assert histogram([], "word") is None


@pytest.mark.parametrize("longest", [1, 19, 20, 399, 4000])
def test_the_bars_are_few_and_hold_every_length(longest: int) -> None:
    drawn = histogram(list(range(1, longest + 1)), "word")
    assert drawn is not None
    assert len(drawn.numbers) <= 21
    assert sum(count for _, count in drawn.numbers) == sum(drawn.chart.data["bars"][0]["examples"]) == longest


def test_the_page_of_a_task_describes_its_data_and_its_robustness(store: ResultStore, tmp_path: Path) -> None:
    for operator in ("mask", "pad"):
        suite(store, operator=operator)
    found = boards(store.read_all(), [])
    about = about_data(found[0], robustness(found))
    assert about.lengths is not None
    assert about.lengths.count == 30
    assert about.robustness is not None
    build_site(store.read_all(), [], tmp_path / "site")
    page = parse(tmp_path / "site/tasks/xor-cues.html")
    assert len(page.all("dl", aria_label="Data card")) == 2
    assert "mask, pad" in page.text
    assert [content["data"] for _, content in charts(page, "lengths")] == [about.lengths.chart.data] * 2


def test_every_row_leads_to_its_file(store: ResultStore, tmp_path: Path) -> None:
    suite(store)
    make(store, Made(method="lime", error="no"))
    build_site(store.read_all(), store.read_failures(), tmp_path / "site")
    overview = rows(parse(tmp_path / "site/index.html"))
    for stored in [*store.read_all(), *store.read_failures()]:
        result = stored.result
        copy = tmp_path / f"site/cells/{result.cell}.json"
        assert copy.read_bytes() == (stored.folder / RESULT).read_bytes()
        assert Result.from_json(copy.read_bytes()) == result
        digest = hashlib.sha256(copy.read_bytes()).hexdigest()
        manifest = json.loads((stored.folder / "manifest.json").read_text(encoding="utf-8"))
        assert manifest["files"][RESULT] == digest
        pages = [path for path in (tmp_path / "site/methods").iterdir() if result.cell in path.read_text("utf-8")]
        assert len(pages) == 1
        section = parse(pages[0]).one("section", id=result.cell)
        # the file stands in sight, not in what has to be opened
        said = section.one("p", class_="from")
        assert digest in said.text
        assert result.spec.hash()[:12] in said.text
        assert [a.attributes["href"] for a in said.all("a")] == [f"../cells/{result.cell}.json"]
        if result.status == "finished":
            row = overview[result.label]
            assert row.one("a", class_="source").attributes["href"] == f"methods/{pages[0].name}#{result.cell}"
            assert row.one("a", class_="source").text == "source"


def test_a_row_of_several_seeds_leads_to_all_their_files(store: ResultStore) -> None:
    for seed in (0, 1):
        make(store, Made(label=f"occlusion(seed={seed})", parameters={"seed": seed}))
    (row,) = boards(store.read_all(), [])[0].results
    assert [source.name for source in sources(row)] == sorted(
        (stored.result.cell for stored in store.read_all()), key=lambda cell: cell != row.result.cell
    )


def test_a_file_that_is_gone_is_an_error(store: ResultStore) -> None:
    stored = make(store, Made())
    (stored.folder / RESULT).unlink()
    with pytest.raises(CorruptResultError, match="cannot be read any more"):
        sources(stored)
