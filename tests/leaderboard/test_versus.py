"""Head to head: the pairs are those of the comparison, and the figures in the page are those of the results."""

import json
from pathlib import Path

import numpy as np
import pytest

from whybench.bench.comparison import compare
from whybench.bench.store import ResultStore
from whybench.leaderboard import versus_page
from whybench.leaderboard.boards import boards
from whybench.leaderboard.columns import numbers
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
    (path,) = (tmp_path / "site/versus").iterdir()
    return parse(path)


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


def test_the_choice_of_two_is_drawn_from_the_figures_of_the_results(store: ResultStore, tmp_path: Path) -> None:
    suite(store)
    data = data_of(built(store, tmp_path))
    view = table(boards(store.read_all(), [])[0])
    assert data["methods"] == [row.name for row in view.methods]
    for row, values in zip(view.methods, data["values"], strict=True):
        expected = numbers(row.stored, "comprehensiveness")
        assert values == pytest.approx([expected[example] for example, _, _ in data["examples"]], abs=5.1e-5)
    low, high = data["ends"]
    assert (low, high) == (min(map(min, data["values"])), max(map(max, data["values"])))
    for _, _, href in data["examples"]:
        assert not href or (tmp_path / "site" / href).is_file()
    assert any(href for _, _, href in data["examples"])


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


def test_what_is_not_ranked_is_named_and_not_compared(store: ResultStore, tmp_path: Path) -> None:
    for name, failed in (("a", {}), ("b", {}), ("partly", {1: "no"})):
        make(store, Made(method=name, failed=failed))
    page = built(store, tmp_path)
    assert set(data_of(page)["methods"]) == {"a", "b"}
    assert "Not ranked, so not compared: partly" in page.text


def test_a_method_alone_has_no_page(store: ResultStore, tmp_path: Path) -> None:
    make(store, Made())
    build_site(store.read_all(), [], tmp_path / "site")
    assert not (tmp_path / "site/versus").exists()


def test_a_page_holds_only_so_many_figures(store: ResultStore, monkeypatch: pytest.MonkeyPatch) -> None:
    suite(store)
    monkeypatch.setattr(versus_page, "MOST_FIGURES", 60)
    found = versus("a", table(boards(store.read_all(), [])[0]), {})
    assert found is not None
    # six methods; the first and the last example are among the ten
    assert (found.examples, found.shown) == (30, 10)
    ids = [one[0] for one in found.data["examples"]]
    assert (len(ids), ids[0], ids[-1]) == (10, "xor_cues-0000", "xor_cues-0029")
    assert all(len(line) == 10 for line in found.data["values"])


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
