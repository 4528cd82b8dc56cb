"""Two methods on all tasks: what the page says is what the results say, counted one example at a time."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from whybench.bench.comparison import ALPHA, compare, holm
from whybench.bench.schema import GateOutcome
from whybench.bench.store import ResultStore, StoredResult
from whybench.leaderboard.boards import boards
from whybench.leaderboard.columns import numbers
from whybench.leaderboard.head_to_head import Duels, HeadToHead, duels, head_to_head, lines
from whybench.leaderboard.pairs import affordable, contenders, pairs
from whybench.leaderboard.site import build_site
from whybench.leaderboard.skills import skills
from whybench.leaderboard.tables import table
from whybench.leaderboard.versus_page import p_value
from whybench.tests.leaderboard.factory import METHODS, Made, make, suite
from whybench.tests.leaderboard.page import Element, parse
from whybench.tests.leaderboard.test_skills import references

FAILED = GateOutcome(status="failed", value=0.4, limit=1e-4, reason="another batch, another map")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ResultStore:
    """Three tasks; one method lacks a task, one fails a gate on one, one has no score for some examples of one."""
    made = ResultStore(tmp_path_factory.mktemp("results"))
    for task, examples in (("xor_cues", 30), ("majority", 12), ("key_lookup", 40)):
        for method in METHODS[:4]:
            make(made, Made(**{**method, "task": task, "examples": examples}))
        references(made, task=task, examples=examples)
    make(made, Made(method="two_tasks", task="xor_cues"))
    make(made, Made(method="two_tasks", task="majority", examples=12, gates={"batch_invariance": FAILED}))
    make(made, Made(method="partly", task="xor_cues", failed={2: "no", 7: "no"}))
    make(made, Made(method="nowhere", task="key_lookup", examples=40, error="out of memory"))
    return made


@pytest.fixture(scope="module")
def found(store: ResultStore) -> HeadToHead:
    return head_to_head(
        every(store), skills([table(board) for board in boards(store.read_all(), store.read_failures())])
    )


def every(store: ResultStore) -> list[Duels]:
    made = []
    for board in boards(store.read_all(), store.read_failures()):
        known = contenders(table(board))
        if known:
            all_pairs = [one for column in known.columns if (one := pairs(known, column))]
            made.append(duels(board, f"versus/{board.spec.task.name}.html", all_pairs))
    return made


@pytest.fixture(scope="module")
def cells(store: ResultStore) -> dict[tuple[str, str], StoredResult]:
    """By task and name."""
    return {
        (board.spec.task.name, board.names[stored.result.cell]): stored
        for board in boards(store.read_all(), [])
        for stored in board.results
    }


def read_off(*texts: str) -> list[float]:
    return [float(text.replace("−", "-")) for text in texts]


@pytest.mark.parametrize("figure", ["comprehensiveness", "sufficiency", "average_precision"])
@pytest.mark.parametrize(
    ("first", "second", "missing"),
    [
        ("raw_attention", "gradient", ()),
        ("gradient", "raw_attention", ()),
        ("two_tasks", "gradient", ("key_lookup",)),
        ("partly", "chance", ("key_lookup", "majority")),
        ("gradient", "best(metric=sufficiency)", ()),
        ("nowhere", "gradient", ("key_lookup", "majority", "xor_cues")),
    ],
)
def test_every_line_is_what_two_methods_give_alone(
    cells: dict[tuple[str, str], StoredResult],
    found: HeadToHead,
    figure: str,
    first: str,
    second: str,
    missing: tuple[str, ...],
) -> None:
    shown = dict(
        zip(
            [one.board.spec.task.name for one in found.boards],
            lines(found.boards, figure, first, second),
            strict=True,
        )
    )
    assert tuple(sorted(task for task, line in shown.items() if line is None)) == missing
    there = {task: line for task, line in shown.items() if line is not None}
    p_values, sign = [], -1 if figure == "sufficiency" else 1
    for task, line in there.items():
        x, y = (numbers(cells[task, name], figure) for name in (first, second))
        both = [one for one in x if one in y]
        values = np.array([[x[one], y[one]] for one in both])
        two = compare(values, [first, second], higher_is_better=sign > 0)
        p_values.append(float(two.p_values[0, 1]))
        # the project's test is close to the usual one
        apart = values[:, 0] - values[:, 1]
        if len(both) >= 30 and apart.std() > 0:
            assert p_values[-1] == pytest.approx(stats.ttest_rel(*values.T).pvalue, abs=0.05)
        # a mean may lie just between two numbers of three decimals
        assert read_off(*line.means) == pytest.approx(values.mean(axis=0), abs=5.1e-4)
        assert read_off(line.difference) == pytest.approx([two.differences[0, 1]], abs=5.1e-4)
        assert read_off(*line.interval.split("\u2009–\u2009")) == pytest.approx(
            two.difference_intervals[:, 0, 1], abs=5.1e-4
        )
        better = sum(sign * (x[one] - y[one]) > 1e-12 for one in both)
        worse = sum(sign * (x[one] - y[one]) < -1e-12 for one in both)
        assert line.counts == (better, len(both) - better - worse, worse)
    for (task, line), p in zip(there.items(), holm(np.array(p_values)), strict=True):
        assert line.p == p_value(p)
        x, y = (np.mean(list(numbers(cells[task, name], figure).values())) for name in (first, second))
        winner = ("first" if sign * (x - y) > 0 else "second") if p <= ALPHA else ""
        assert line.winner == winner


def test_who_is_not_ranked_says_so(found: HeadToHead) -> None:
    first, second = "two_tasks", "chance"
    tasks = [one.board.spec.task.name for one in found.boards]
    shown = dict(zip(tasks, lines(found.boards, "comprehensiveness", first, second), strict=True))
    assert {task: line and line.ranked for task, line in shown.items()} == {
        "xor_cues": (True, False),
        "majority": (False, False),
        "key_lookup": None,
    }
    assert set(found.methods[: found.ranked]) == {*(m.get("label") or m["method"] for m in METHODS[:4]), "two_tasks"}
    assert set(found.methods[found.ranked :]) == {
        "partly",
        "chance",
        "best(metric=comprehensiveness)",
        "best(metric=sufficiency)",
    }


def test_the_page_opens_with_the_two_of_most_skill(store: ResultStore, found: HeadToHead) -> None:
    table_of_skill = skills([table(board) for board in boards(store.read_all(), store.read_failures())])
    assert table_of_skill is not None
    best = table_of_skill.rows[:2]
    assert (found.first, found.second) == (best[0].name, best[1].name) == found.methods[:2]
    assert best[0].standing is not None
    tied = best[1].name in best[0].standing.tied
    assert found.skill == (
        f"{best[0].overall.text} against {best[1].overall.text}, {'no ' if tied else 'a '}significant difference"
    )
    by_rank = head_to_head(found.boards, None)
    assert by_rank.skill == ""
    assert by_rank.data["skill"] == [None] * len(by_rank.methods)
    # ranked on all tasks comes before ranked on some
    ranks = {
        name: [one.ranks[one.names.index(name)] for one in found.boards if one.is_ranked(name)]
        for name in by_rank.methods
    }
    order = [(-len(ranks[name]), np.mean(ranks[name])) for name in by_rank.methods[: by_rank.ranked]]
    assert order == sorted(order)


def test_the_page(store: ResultStore, found: HeadToHead, tmp_path: Path) -> None:
    site = build_site(store.read_all(), store.read_failures(), tmp_path / "site").parent
    page = parse(site / "versus.html")
    rows = page.one("table", class_="board duels").one("tbody").all("tr")
    for one, line, row in zip(found.boards, found.lines, rows, strict=True):
        assert line is not None
        assert "hidden" not in row.attributes
        name = row.one("th")
        assert name.all("bdi")[0].text == one.board.spec.task.name
        assert (site / name.one("a").attributes["href"]).is_file()
        difference, p, better, first, second, counts = row.all("td")
        assert [part.text for part in difference.children if isinstance(part, Element)] == [
            line.difference,
            line.interval,
        ]
        assert p.text == line.p
        assert better.text == {"first": found.first, "second": found.second, "": "undecided"}[line.winner]
        assert (first.one("span").text, second.one("span").text) == line.means
        assert counts.text == " / ".join(map(str, line.counts))
    better, worse, open_ = found.tally
    said = " ".join(page.one("p", id="said").text.split())
    assert said.startswith(f"{found.first} is better on {better} of {len(rows)} tasks, {found.second} on {worse};")
    assert f"{open_} undecided" in said
    assert found.skill in said
    assert "An interval is that of its task alone" in page.text
    # every page leads there, and it leads to every board's
    for name, root in (("index.html", ""), ("tasks/majority.html", "../"), ("versus.html", "")):
        assert parse(site / name).one("nav").all("a", href=f"{root}versus.html")
    listed = {link.attributes["href"] for link in page.one("ul", class_="plainlist").all("a")}
    assert listed == {f"versus/{path.name}" for path in (site / "versus").glob("*.html")}
    data = json.loads(page.one("script", type="application/json").text)
    assert data["methods"] == list(found.methods)
    assert list(data["figures"]) == [
        option.attributes["value"] for option in page.one("select", id="figure").all("option")
    ]


def test_tasks_with_several_tables_are_counted_as_tables(tmp_path: Path) -> None:
    made = ResultStore(tmp_path / "results")
    for operator in ("mask", "delete"):
        for method in METHODS[:2]:
            make(made, Made(**{**method, "operator": operator, "examples": 8}))
    page = parse(build_site(made.read_all(), [], tmp_path / "site").parent / "versus.html")
    assert " of 2 tables," in " ".join(page.one("p", id="said").text.split())
    details = [
        row.one("th").one("small").text for row in page.one("table", class_="board duels").one("tbody").all("tr")
    ]
    assert [detail.split(" · ")[1] for detail in details] == ["delete", "mask"]


def test_nothing_to_compare_is_no_page(tmp_path: Path) -> None:
    made = ResultStore(tmp_path / "results")
    make(made, Made(examples=4))
    site = build_site(made.read_all(), [], tmp_path / "site").parent
    assert not (site / "versus.html").exists()
    assert "versus.html" not in (site / "index.html").read_text()


def test_hostile_names_stay_text(tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--\u202e\u2028&a=b#"
    made = ResultStore(tmp_path / "results")
    for name in ("a", "b"):
        make(made, Made(method=name, label=f"{hostile}{name}", texts=[hostile], examples=4))
    page = parse(build_site(made.read_all(), [], tmp_path / "site").parent / "versus.html")
    assert "<" not in page.one("script", type="application/json").text
    assert len(page.all("script")) == 4
    assert "\u202e" not in page.text
    names = [option.text for option in page.one("select", id="first").all("option")]
    assert all(name.startswith("</script><script>alert(1)") for name in names)


def test_figures_are_as_many_as_a_site_has_time_for(tmp_path: Path) -> None:
    made = ResultStore(tmp_path / "results")
    suite(made)
    suite(made, task="majority")
    known = {board.spec.task.name: contenders(table(board)) for board in boards(made.read_all(), [])}
    every_one = {name: one for name, one in known.items() if one}
    all_figures = [column.key for column in every_one["majority"].columns]
    # 15 pairs of ranked methods, and 6 with the reference
    assert every_one["majority"].draws == 21 * 10_000
    kept = affordable(every_one, most=0)
    assert [[column.key for column in one.columns] for one in kept.values()] == [["comprehensiveness"]] * 2
    # those of skill and the first of evidence before all others
    kept = affordable(every_one, most=2 * 2 * 21 * 10_000)
    assert [[column.key for column in one.columns] for one in kept.values()] == [
        ["comprehensiveness", "sufficiency", "average_precision"]
    ] * 2
    kept = affordable(every_one)
    assert [[column.key for column in one.columns] for one in kept.values()] == [all_figures] * 2
