"""Head to head: the pairs are those of the comparison, and the figures in the page are those of the results."""

import json
from pathlib import Path

import numpy as np
import pytest

from whybench.bench.comparison import ALPHA, compare
from whybench.bench.schema import GateOutcome
from whybench.bench.store import ResultStore
from whybench.leaderboard import versus_page
from whybench.leaderboard.boards import boards
from whybench.leaderboard.columns import numbers
from whybench.leaderboard.pairs import contenders, pairs, read
from whybench.leaderboard.site import build_site
from whybench.leaderboard.tables import table
from whybench.leaderboard.versus_page import p_value, signed, versus
from whybench.tests.leaderboard.factory import Made, make, suite
from whybench.tests.leaderboard.page import Element, parse


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def built(store: ResultStore, tmp_path: Path) -> Element:
    build_site(store.read_all(), store.read_failures(), tmp_path / "site")
    (path,) = (tmp_path / "site/versus").glob("*.html")
    return parse(path)


def figure_of(tmp_path: Path, key: str) -> dict:
    """A figure that is not the first one, as its script gives it to the page."""
    (path,) = (tmp_path / "site/versus").glob(f"*/{key}.js")
    script = path.read_text()
    assert script.startswith("whybenchFigure(")
    assert script.endswith(");\n")
    return json.loads(script[len("whybenchFigure(") : -3])


def data_of(page: Element) -> dict:
    return json.loads(page.one("script", type="application/json").text)


def test_every_pair_has_the_difference_interval_and_p_value_of_the_comparison(
    store: ResultStore, tmp_path: Path
) -> None:
    suite(store)
    page = built(store, tmp_path)
    view = table(boards(store.read_all(), [])[0])
    values = np.array([list(numbers(row.stored, "comprehensiveness").values()) for row in view.methods]).T
    found = compare(values, [row.name for row in view.methods], higher_is_better=True)
    lines = page.one("table", class_="board matrix").all("tr", data_first=None)
    assert [line.one("bdi").text for line in lines] == list(found.names)
    for i, line in enumerate(lines):
        cells = line.all("td")
        for j, cell in enumerate(cells):
            if i == j:
                assert cell.text == "–"
                continue
            assert float(cell.attributes["data-v"]) == pytest.approx(found.differences[i, j], rel=1e-4, abs=1e-9)
            difference, interval, p = (child.text for child in cell.children if isinstance(child, Element))
            assert difference == signed(found.differences[i, j])
            ends = [float(end.replace("−", "-")) for end in interval.split("\u2009–\u2009")]
            assert ends == pytest.approx(found.difference_intervals[:, i, j], abs=5.1e-4)
            assert p == p_value(found.corrected[i, j])
            won = found.differences[i, j] > 0
            expected = ("won" if won else "lost") if found.significant[i, j] else None
            assert cell.attributes.get("class") == expected
    assert "An interval is always that of its pair alone" in page.text


def test_the_choice_of_two_is_drawn_from_the_figures_of_the_results(store: ResultStore, tmp_path: Path) -> None:
    suite(store)
    page = built(store, tmp_path)
    data = data_of(page)
    view = table(boards(store.read_all(), [])[0])
    # the reference can be compared with, and is not ranked
    assert data["methods"] == [row.name for row in view.methods] + ["random"]
    assert data["ranked"] == len(view.methods)
    assert [option.text for option in page.one("select", id="first").one("optgroup").all("option")] == ["random"]
    keys = [option.attributes["value"] for option in page.one("select", id="figure").all("option")]
    assert keys == [column.key for column in view.figures if column.better]
    assert {path.stem for path in (tmp_path / "site/versus").glob("*/*.js")} == {*keys[1:]}
    for key in keys:
        figure = data if key == keys[0] else figure_of(tmp_path, key)
        assert figure["key"] == key
        for row, values in zip(view.rows, figure["values"], strict=True):
            expected = numbers(row.stored, key)
            known = [expected.get(example) for example, _, _ in data["examples"]]
            assert [value is None for value in values] == [value is None for value in known]
            there = [value for value in values if value is not None]
            assert there == pytest.approx([value for value in known if value is not None], abs=5.1e-5)
        drawn = [value for values in figure["values"] for value in values if value is not None]
        assert figure["ends"] == [min(drawn), max(drawn)]
    for _, _, href in data["examples"]:
        assert not href or (tmp_path / "site" / href).is_file()
    assert any(href for _, _, href in data["examples"])


def test_what_scripts_read_of_a_pair_is_what_was_compared(store: ResultStore, tmp_path: Path) -> None:
    """By every figure, ranked or not: p-values of the ranked pairs corrected over all of them, the others alone."""
    suite(store)
    make(store, Made(method="lime", failed={3: "no", 8: "no"}))
    page = built(store, tmp_path)
    data = data_of(page)
    view = table(boards(store.read_all(), [])[0])
    rows = {row.name: row for row in view.rows}
    names = data["methods"]
    assert names[data["ranked"] :] == ["lime", "random"]
    for column in [column for column in view.figures if column.better]:
        figure = data if column.key == data["key"] else figure_of(tmp_path, column.key)
        known = [numbers(rows[name].stored, column.key) for name in names]
        common = [one for one in known[0] if all(one in found for found in known[: data["ranked"]])]
        ranked = np.array([[found[one] for one in common] for found in known[: data["ranked"]]]).T
        higher = column.better == "higher"
        whole = compare(ranked, names[: data["ranked"]], higher_is_better=higher)
        for i, first in enumerate(names):
            for j, second in enumerate(names):
                shown = read(figure["pairs"], len(names), i, j)
                if i == j:
                    assert shown is None
                    continue
                assert shown is not None
                both = [one for one in common if one in known[i] and one in known[j]]
                x, y = (np.array([found[one] for one in both]) for found in (known[i], known[j]))
                two = compare(np.column_stack((x, y)), [first, second], higher_is_better=higher)
                inside = max(i, j) < data["ranked"]
                assert shown.examples == len(both)
                assert shown.means == pytest.approx((x.mean(), y.mean()), abs=1e-6)
                assert shown.p == pytest.approx(whole.corrected[i, j] if inside else two.p_values[0, 1], abs=2e-6)
                assert shown.interval == pytest.approx(two.difference_intervals[:, 0, 1], abs=5.1e-4)
                better = x - y if higher else y - x
                same = int((abs(better) < 1e-12).sum())
                assert shown.counts == (int((better > 1e-12).sum()), same, int((better < -1e-12).sum()))
    said = page.one("p", id="said").text
    first, second = (known for known in names[:2])
    assert said.startswith(f"{first} minus {second}")
    assert "uncorrected" not in said


def test_the_best_two_stand_there_without_a_script(store: ResultStore, tmp_path: Path) -> None:
    suite(store)
    page = built(store, tmp_path)
    first, second = table(boards(store.read_all(), [])[0]).methods[:2]
    a, b = (numbers(row.stored, "comprehensiveness") for row in (first, second))
    assert page.one("p", id="said").text.startswith(f"{first.name} minus {second.name}")
    said = page.one("figure", data_chart="versus").one("p").text
    assert said == f"Comprehensiveness of each example under {first.name} and under {second.name}."
    shown = page.one("tbody", id="differing").all("tr")
    apart = [abs(float(row.all("td")[2].text.replace("−", "-"))) for row in shown]
    largest = sorted((abs(a[one] - b[one]) for one in a), reverse=True)[: len(shown)]
    assert apart == pytest.approx(largest, abs=5.1e-4)


def test_what_is_not_ranked_can_be_compared_and_is_in_no_matrix(store: ResultStore, tmp_path: Path) -> None:
    failed = GateOutcome(status="failed", value=0.4, limit=1e-4, reason="another batch, another map")
    for name, fields in (("a", {}), ("b", {}), ("partly", {"failed": {1: "no"}}), ("barred", {"gates": failed})):
        make(store, Made(method=name, **({"gates": {"batch_invariance": failed}} if name == "barred" else fields)))
    make(store, Made(method="nothing", error="out of memory"))
    page = built(store, tmp_path)
    data = data_of(page)
    assert set(data["methods"][:2]) == {"a", "b"}
    assert set(data["methods"][2:]) == {"partly", "barred"}
    matrix = page.one("table", class_="board matrix")
    assert {line.one("bdi").text for line in matrix.all("tr", data_first=None)} == {"a", "b"}
    assert "Each pair is tested alone" in " ".join(page.one("section", class_="lede").text.split())


def test_one_ranked_method_is_compared_with_the_references(store: ResultStore, tmp_path: Path) -> None:
    make(store, Made(method="alone"))
    make(store, Made(method="chance", family="reference", quality=0.0))
    page = built(store, tmp_path)
    assert data_of(page)["methods"] == ["alone", "chance"]
    assert not page.all("table", class_="board matrix")
    assert "uncorrected, as they are not both ranked" in page.one("p", id="said").text
    rows = table(boards(store.read_all(), [])[0]).rows
    x, y = (np.array(list(numbers(row.stored, "comprehensiveness").values())) for row in rows)
    expected = compare(np.column_stack((x, y)), ["alone", "chance"], higher_is_better=True)
    assert p_value(expected.p_values[0, 1]) in page.one("p", id="said").text
    assert page.one("b", data_said="difference").text == signed(x.mean() - y.mean())


def test_two_without_a_common_example_are_not_compared(store: ResultStore, tmp_path: Path) -> None:
    make(store, Made(method="early", failed={2: "no", 3: "no"}, examples=4))
    make(store, Made(method="late", failed={0: "no", 1: "no"}, examples=4))
    page = built(store, tmp_path)
    assert "no example in common" in page.one("p", id="said").text
    data = data_of(page)
    assert (data["ranked"], data["pairs"]["p"]) == (0, [None])
    every = parse(tmp_path / "site/versus.html")
    assert "xor_cues with xor_cues" in every.one("p", id="missing").text
    assert " on 0 of 0 tasks" in " ".join(every.one("p", id="said").text.split())


def test_identical_scores_are_no_difference(store: ResultStore, tmp_path: Path) -> None:
    """Also where no score varies at all."""
    for name in ("a", "b", "c"):
        make(store, Made(method=name, label=name, quality=50.0, examples=5))
    found = contenders(table(boards(store.read_all(), [])[0]))
    assert found is not None
    for column in found.columns:
        made = pairs(found, column)
        assert made is not None
        same = np.array([[(made.values[:, i] == made.values[:, j]).all() for j in range(3)] for i in range(3)])
        assert (made.p_values[same] == 1).all()
        assert (made.corrected[same] == 1).all()
        assert (made.ties[same] == made.examples[same]).all()
        assert np.isfinite(made.intervals).all()
        # five examples prove nothing
        assert (made.p_values > ALPHA).all()
    build_site(store.read_all(), [], tmp_path / "site")


def test_a_method_alone_has_no_page(store: ResultStore, tmp_path: Path) -> None:
    make(store, Made())
    build_site(store.read_all(), [], tmp_path / "site")
    assert not (tmp_path / "site/versus").exists()


def test_a_page_holds_only_so_many_figures(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    suite(store)
    monkeypatch.setattr(versus_page, "MOST_FIGURES", 70)
    known = contenders(table(boards(store.read_all(), [])[0]))
    assert known is not None
    found = versus("a", [one for column in known.columns[:2] if (one := pairs(known, column))], {})
    # seven methods; the first and the last example are among the ten
    assert (found.examples, found.shown) == (30, 10)
    ids = [one[0] for one in found.data["examples"]]
    assert (len(ids), ids[0], ids[-1]) == (10, "xor_cues-0000", "xor_cues-0029")
    assert all(len(line) == 10 for figure in (found.data, *found.figures.values()) for line in figure["values"])


def test_hostile_text_cannot_leave_the_data(store: ResultStore, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><!--\u202e\u2028"
    for name in ("a", "b"):
        make(store, Made(method=name, label=f"{hostile}{name}", texts=[f"{hostile} word"], examples=4))
    page = built(store, tmp_path)
    assert len(page.all("script", type="application/json")) == 1
    raw = page.one("script", type="application/json").text
    assert "<" not in raw
    assert data_of(page)["examples"][0][1].startswith("</script><script>")


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0004, "p\u00a0<\u00a0.001"), (0.0123, "p\u00a0=\u00a0.012"), (1.0, "p\u00a0=\u00a01.000")],
)
def test_p_values(value: float, text: str) -> None:
    assert p_value(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.25, "+0.250"), (-0.25, "−0.250"), (0.0001, "0.000"), (0.0, "0.000")])
def test_signs(value: float, text: str) -> None:
    assert signed(value) == text
