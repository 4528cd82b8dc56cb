"""The page "Is attention explanation?"."""

import itertools
import math
import re
import shlex
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from whybench.bench.causal.metrics import CAUSAL
from whybench.bench.errors import CorruptResultError
from whybench.bench.store import ResultStore, StoredResult
from whybench.leaderboard import formatting
from whybench.leaderboard.attention_page import attention_task, context
from whybench.leaderboard.boards import boards
from whybench.leaderboard.command import command, merged
from whybench.leaderboard.site import build_site
from whybench.leaderboard.specimen import specimen
from whybench.tests.leaderboard import test_site
from whybench.tests.leaderboard.causal_factory import DIMENSION, MATRICES, MOVED, NOTE, causal, causal_suite
from whybench.tests.leaderboard.factory import WORDS, Made, make, suite
from whybench.tests.leaderboard.page import Element, charts, parse

HOSTILE = "<script>alert(1)</script>\"'>{{ 7*7 }}\u202egnp" + "x" * 5_000


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[StoredResult]:
    store = ResultStore(tmp_path_factory.mktemp("results"))
    causal_suite(store)
    causal_suite(store, task="snli", dataset="a/snli", pairs=True)
    make(store, Made(examples=4))
    return store.read_all()


@pytest.fixture(scope="module")
def site(results: list[StoredResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(results, [], tmp_path_factory.mktemp("built") / "site").parent


@pytest.fixture(scope="module")
def page(site: Path) -> Element:
    return parse(site / "attention.html")


def section(page: Element, task: str = "sst2") -> Element:
    return page.one("section", data_task=task)


def cells(part: Element, method: str) -> dict[str, str]:
    """All figures of a method on a part of the page, by the column's title: mean and interval as they are written."""
    found = {}
    for table in part.all("table", class_="board figures"):
        titles = [head.text.split("\u00a0")[0] for head in table.one("thead").all("th")[1:]]
        for row in table.all("tr", data_method=method):
            found |= dict(zip(titles, [cell.text for cell in row.all("td")], strict=True))
    return found


def test_every_figure_is_on_the_page_with_its_interval(page: Element, results: list[StoredResult]) -> None:
    for stored in results:
        if stored.result.spec.measure != "causal":
            continue
        part = section(page, stored.result.spec.task.name)
        shown = cells(part, stored.result.label)
        identifiability = part.text.replace("\n", " ")
        for name, figure in stored.result.figures.items():
            mean = formatting.measured(figure.mean)
            interval = formatting.measured_interval(figure.low, figure.high)
            if CAUSAL[name].group == "Identifiability":
                assert f"{CAUSAL[name].title.lower()} {mean} ({interval})" in identifiability
            elif figure.low == figure.high == 0:
                assert shown[CAUSAL[name].title] == "exactly 0"
            else:
                assert shown[CAUSAL[name].title] == mean + interval, name


def test_what_a_method_does_not_have_is_no_zero(page: Element) -> None:
    for method in MOVED:
        shown = cells(section(page), method)
        control = "Norm" in shown and shown["Norm"] == "–"
        assert control == (method.split("_")[0] in ("uniform", "permuted", "frozen", "adversarial"))
        assert ("Moved inside" in shown) == (method in ("raw_attention", "efficient_attention", "sparsest_attention"))
        assert ("τ with gradient" in shown) == (not control)


def test_kinds_stand_under_their_headings(page: Element) -> None:
    table = section(page).all("table", class_="board figures")[0]
    kinds = {
        body.one("th", scope="rowgroup").text: [
            row.attributes["data-method"] for row in body.all("tr", data_method=None)
        ]
        for body in table.all("tbody")
    }
    assert kinds == {"Same head output by construction": list(MOVED)[:5], "Controls": list(MOVED)[5:]}


def test_an_unknown_method_is_neither_a_control_nor_the_same_by_construction(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(MOVED, "mine", 0.1)
    store = ResultStore(tmp_path)
    causal(store, "mine")
    causal(store, "uniform_attention")
    causal(store, "raw_attention")
    (board,) = boards(store.read_all(), [])
    table = attention_task(board, "a").sufficiency
    assert table is not None
    assert [(kind, [row.name for row in rows]) for kind, rows in table.kinds] == [
        ("Same head output by construction", ["raw_attention"]),
        ("Other matrices", ["mine"]),
        ("Controls", ["uniform_attention"]),
    ]


def test_the_reconstruction_is_named_first(page: Element) -> None:
    assert NOTE in page.one("section", class_="lede attention").text


def test_facts_of_a_task(page: Element, results: list[StoredResult]) -> None:
    stored = next(one for one in results if one.result.spec.task.name == "snli")
    lengths = stored.examples.column("length").to_pylist()
    facts = " ".join(section(page, "snli").one("dl", class_="facts").text.split())
    assert f"pairs, median {np.median(lengths):g} tokens ({min(lengths)}–{max(lengths)})" in facts
    longer = sum(length > DIMENSION + 1 for length in lengths)
    assert f"dv {DIMENSION} ({longer} of 12 texts longer than dv + 1)" in facts
    assert "single, median" in section(page).one("dl", class_="facts").text


def test_context_sets_single_texts_beside_pairs(page: Element, results: list[StoredResult]) -> None:
    table = page.one("section", id="context").one("table")
    titles = [head.text.split("\u00a0")[0] for head in table.one("thead").all("th")]
    assert titles == ["uniform", "permuted", "adversarial", "Task", *["Same decision", "TVD, all replaced"] * 3]
    by_cell = {(one.result.spec.task.name, one.result.label): one.result.figures for one in results}
    for body, task, kind in zip(table.all("tbody"), ("sst2", "snli"), ("Single texts", "Pairs of texts"), strict=True):
        assert body.one("th", scope="rowgroup").text == kind
        values = [cell.attributes["data-v"] for cell in body.all("td")]
        assert values == [
            str(by_cell[task, f"{control}_attention"][name].mean)
            for control in ("uniform", "permuted", "adversarial")
            for name in ("replaced_agreement", "replaced_tvd")
        ]


def test_context_takes_the_row_with_the_usual_parameters(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    usual = causal(store, "uniform_attention")
    for label in ("uniform_attention(a=1)", "uniform_attention(b=1)"):
        causal(store, "uniform_attention", label=label, parameters={"label": label})
    (board,) = boards(store.read_all(), [])
    across = context([attention_task(board, "a")])
    assert across is not None
    ((_, ((_, shown),)),) = across.kinds
    assert shown[1].value == usual.result.figures["replaced_tvd"].mean


def test_context_says_which_kind_is_missing(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    causal(store, "uniform_attention")
    page = parse(build_site(store.read_all(), [], tmp_path / "site").parent / "attention.html")
    part = page.one("section", id="context")
    assert "Only single texts are among these results" in part.text
    assert "whybench run --suite causal" in part.text
    tasks = [attention_task(board, "a") for board in boards([causal(store, "raw_attention")], [])]
    assert context(tasks) is None


def test_a_part_of_the_suite_says_what_is_missing(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    causal_suite(store, ["raw_attention", "uniform_attention"])
    causal(store, "efficient_attention", error="the residual misses the tolerance")
    page = parse(build_site(store.read_all(), store.read_failures(), tmp_path / "site").parent / "attention.html")
    part = section(page)
    note = next(p.text for p in part.all("p", class_="note") if "Not among" in p.text)
    assert {"effective_attention", "frozen_attention"} <= set(re.findall(r"\w+_attention", note))
    # a failed cell is not missing: it says why it failed
    assert "efficient_attention" not in re.findall(r"\w+_attention", note)
    assert "the residual misses the tolerance" in part.one("li", data_row=None).text
    assert cells(part, "efficient_attention") == {}
    assert next(title.text for title in part.all("h3")) == "Without figures"


def test_a_run_that_only_failed_has_a_page(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    causal(store, "raw_attention", error="no memory")
    page = parse(build_site([], store.read_failures(), tmp_path / "site").parent / "attention.html")
    assert "no memory" in section(page).text


def test_without_causal_results_there_is_no_page(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    make(store, Made(examples=3))
    out = build_site(store.read_all(), [], tmp_path / "site").parent
    assert not (out / "attention.html").exists()
    assert "Is attention explanation?" not in (out / "index.html").read_text(encoding="utf-8")


def test_the_overview_leads_to_the_page(site: Path) -> None:
    page = parse(site / "index.html")
    nav = page.one("nav")
    assert "attention.html" in [link.attributes["href"] for link in nav.all("a")]
    part = section(page)
    assert part.one("a", class_="go").attributes["href"] == f"attention.html#{part.attributes['id']}"
    keys = [head.attributes["data-key"] for head in part.one("table", class_="board").all("th", data_key=None)]
    assert 3 < len(keys) < 12
    assert not part.all("td", class_="best")
    assert "10⁻⁹" in part.text
    # the examples of the causal suite have no scores to colour
    assert sorted(path.name for path in (site / "tasks").iterdir()) == ["xor-cues.html"]


def test_definitions_know_figures_without_a_direction(site: Path, page: Element) -> None:
    by_title = {
        entry.one("dt").text.rstrip(" ↑↓"): entry.text for entry in page.one("dl", class_="definitions").all("div")
    }
    assert set(by_title) == {metric.title for metric in CAUSAL.values()}
    for metric in CAUSAL.values():
        text = by_title[metric.title]
        assert ("describes" in text) == (metric.higher_is_better is None)
        assert ("or more" in text) == math.isinf(metric.range[1])
        assert "inf" not in text.replace(metric.formula, "")
    assert "Null dimension" not in parse(site / "index.html").one("dl", class_="definitions").text


def test_a_method_has_all_its_figures_on_its_own_page(site: Path, results: list[StoredResult]) -> None:
    text = parse(site / "methods/efficient-attention.html").text
    for stored in results:
        if stored.result.label == "efficient_attention":
            for figure in stored.result.figures.values():
                assert formatting.measured_interval(figure.low, figure.high) in text
    assert "cost is not measured" in parse(site / "methods/uniform-attention.html").text


def test_the_commands_make_all_rows_again(page: Element, results: list[StoredResult]) -> None:
    lines = [code.text for code in page.one("section", id="again").all("code") if code.text.startswith("whybench")]
    assert len(lines) == 2
    for line, task in zip(lines, ("snli", "sst2"), strict=True):
        words = shlex.split(line)
        assert words[words.index("--suite") + 1] == "causal"
        assert words[words.index("--task") + 1] == task
        assert [b for a, b in itertools.pairwise(words) if a == "--method"] == list(MOVED)


def test_commands_that_differ_elsewhere_are_not_merged(results: list[StoredResult]) -> None:
    first, second = (command(stored.result) for stored in results[:2])
    assert merged([first, f"{second} --seed 3"]) == (first, f"{second} --seed 3")


def test_the_same_results_give_the_same_page(site: Path, results: list[StoredResult], tmp_path: Path) -> None:
    again = build_site(list(reversed(results)), [], tmp_path / "site").parent
    for name in ("index.html", "attention.html"):
        assert (again / name).read_bytes() == (site / name).read_bytes()


def test_links_lead_somewhere_and_ids_are_unique(site: Path, page: Element) -> None:
    test_site.test_ids_are_unique(site)
    ids = {
        name: set(re.findall(r'\bid="([^"]+)"', (site / name).read_text())) for name in ("index.html", "attention.html")
    }
    links = [link.attributes["href"] for tag in ("a", "use", "link") for link in page.all(tag)]
    links += [element.attributes["src"] for tag in ("script", "img") for element in page.all(tag, src=None)]
    assert any(link.endswith("-map1") for link in links)
    for link in links:
        if not link.startswith("https://arxiv.org/abs/"):
            path, _, anchor = link.partition("#")
            assert (site / path).exists(), link
            assert not anchor or anchor in ids[path or "attention.html"], link


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    changes = {"texts": [f"{HOSTILE} a", f"b {HOSTILE}"], "label": HOSTILE, "model": HOSTILE, "summary": HOSTILE}
    causal(store, "raw_attention", **changes)
    causal(store, "efficient_attention", **changes, note=HOSTILE)
    page = parse(build_site(store.read_all(), [], tmp_path / "site").parent / "attention.html")
    assert [script.attributes["src"] for script in page.all("script", src=None)] == [
        f"assets/{name}.js" for name in ("site", "datatables", "tables", "vega", "chart-specs", "charts")
    ]
    assert "alert(1)" in page.text
    assert all("\u202e" not in name.text for tag in ("bdi", "text", "title") for name in page.all(tag))
    drawn = ["".join(part for part in name.children if isinstance(part, str)) for name in page.all("text")]
    assert max(len(text) for text in drawn) < 30
    assert any(text.strip().endswith("…") for text in drawn)
    assert "… (" in page.all("blockquote")[0].text


def test_four_long_specimens_keep_the_page_small(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    text = " ".join((WORDS * 5)[:94])
    for task in ("a", "b", "c", "d"):
        methods = ["raw_attention", "effective_attention", "efficient_attention", "sparsest_attention"]
        causal_suite(store, methods, task=task, texts=[text], examples=3)
    out = build_site(store.read_all(), [], tmp_path / "site").parent
    assert (out / "attention.html").stat().st_size < 1_500_000


def test_the_length_is_marked_at_one_more_than_the_dimension(results: list[StoredResult], page: Element) -> None:
    marked = [content["data"]["marked"] for _, content in charts(section(page), "scatter")]
    assert marked == [[{"length": [DIMENSION + 1], "said": f"dᵥ + 1 = {DIMENSION + 1}"}]] * 2


def test_the_specimen_is_the_one_whose_matrices_differ_most(results: list[StoredResult]) -> None:
    by_method = {one.result.label: one for one in results if one.result.spec.task.name == "sst2"}
    named = [(method, by_method[method]) for method in MATRICES]
    chosen = specimen(named)
    assert chosen is not None
    distance = {}
    for index in (1, 4, 7):
        flat = [np.array(s.examples.column("specimen_matrix")[index].as_py()) for _, s in named]
        rows = math.isqrt(len(flat[0]))
        distance[index] = max(0.5 * np.abs(flat[0] - other).sum() / rows for other in flat[1:])
    index = max(distance, key=distance.__getitem__)
    assert chosen.example == f"sst2-{index:04d}"
    assert (chosen.layer, chosen.head, chosen.of) == (2, index, 3)
    assert len(chosen.maps.maps) == len(named) == 4
    assert chosen.maps.maps[1].below > 0 == chosen.maps.maps[0].below


def test_damaged_tables_are_named(tmp_path: Path) -> None:
    stored = causal(ResultStore(tmp_path), "raw_attention")
    whole = stored.examples
    at = whole.column_names.index("tokens")
    stored.__dict__["examples"] = whole.set_column(at, "tokens", pa.array([["a"]] * len(whole)))
    with pytest.raises(CorruptResultError, match="for the 1 tokens of example"):
        specimen([("raw", stored)])
    stored.__dict__["examples"] = whole.drop_columns(["length"])
    with pytest.raises(CorruptResultError, match="no column 'length'"):
        attention_task(boards([stored], [])[0], "a")


def test_rows_of_other_boards_stay_as_they_were(tmp_path: Path) -> None:
    alone, both = ResultStore(tmp_path / "alone"), ResultStore(tmp_path / "both")
    for store in (alone, both):
        suite(store, examples=3)
    causal(both, "raw_attention", task="xor_cues", dataset=None, model="xor_cues", examples=3)
    sections = []
    for store in (alone, both):
        page = parse(build_site(store.read_all(), [], tmp_path / f"site-{store.root.name}"))
        sections.append(page.all("section", data_task="xor_cues"))
    assert [len(found) for found in sections] == [1, 2]
    tables = [found[0].one("table", class_="board").text for found in sections]
    assert tables[0] == tables[1]
