from pathlib import Path
from typing import Any

import pytest

from whybench.bench.errors import CorruptResultError, UnknownNameError
from whybench.bench.recovery import RECOVERY
from whybench.bench.store import ResultStore, StoredResult
from whybench.leaderboard.boards import boards
from whybench.leaderboard.charts import LIBRARY
from whybench.leaderboard.site import build_site
from whybench.leaderboard.tables import table
from whybench.tests.leaderboard.factory import DEFAULT, METHODS, Made, make, suite
from whybench.tests.leaderboard.page import Element, parse, rows

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7*7 }}\u202egnp.exe"


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[StoredResult]:
    return suite(ResultStore(tmp_path_factory.mktemp("results")))[0]


@pytest.fixture(scope="module")
def site(results: list[StoredResult], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_site(results, [], tmp_path_factory.mktemp("built") / "site").parent


def pages(site: Path) -> list[Path]:
    return sorted(site.rglob("*.html"))


def build(store: ResultStore, out: Path) -> Element:
    return parse(build_site(store.read_all(), store.read_failures(), out))


def sorted_by(value: float) -> str:
    return f"{value:.7g}"


def signs(value: float) -> str:
    return f"{value:.3f}".replace("-", "−")


def test_every_figure_is_on_the_overview_with_its_interval(site: Path, results: list[StoredResult]) -> None:
    page = parse(site / "index.html")
    keys = [head.attributes["data-key"] for head in page.all("th", data_key=None)]
    for stored in results:
        row = rows(page)[stored.result.label]
        cells = dict(zip(keys[1:], row.all("td"), strict=True))
        of_all = {name for name, metric in RECOVERY.items() if metric.role is None}
        assert set(stored.result.figures) == {*DEFAULT, *of_all} <= set(cells)
        for name, figure in stored.result.figures.items():
            assert cells[name].attributes["data-v"] == sorted_by(figure.mean)
            assert signs(figure.mean) in cells[name].text
            assert f"{signs(figure.low)}\u2009–\u2009{signs(figure.high)}" in cells[name].text
        cost = stored.result.cost
        assert cost is not None
        assert cells["p50_ms"].attributes["data-v"] == sorted_by(cost.p50_ms)
        assert cells["forward_equivalents"].attributes["data-v"] == sorted_by(cost.forward_equivalents)
        assert cells["coverage"].text == "30/30"


def test_ranks_are_on_the_overview_and_on_the_page_of_the_method(site: Path, results: list[StoredResult]) -> None:
    overview = rows(parse(site / "index.html"))
    by_label = {parse(path).one("h1").text: parse(path) for path in sorted((site / "methods").iterdir())}
    for row in table(boards(results, [])[0]).methods:
        for found in (overview[row.name], rows(by_label[row.result.label])[row.name]):
            cell = found.one("td", class_="rank")
            assert row.standing is not None
            assert cell.text == f"{row.standing.interval} {row.standing.letters}"
            assert cell.attributes["data-v"] == str(row.standing.rank)
            assert cell.attributes["title"] == row.standing.help
    assert overview["random"].one("td", class_="rank").text == "–"


def test_every_figure_is_on_the_page_of_its_method(site: Path, results: list[StoredResult]) -> None:
    by_label = {parse(path).one("h1").text: parse(path) for path in sorted((site / "methods").iterdir())}
    for stored in results:
        page = by_label[stored.result.label]
        for figure in stored.result.figures.values():
            assert f"{signs(figure.low)}\u2009–\u2009{signs(figure.high)}" in page.text
        for name in stored.result.report:
            assert name.replace("_", " ") in page.text
        assert stored.result.spec.hash() in page.text
        assert stored.result.summary in page.text
        for paragraph in stored.result.description.split("\n\n"):
            assert " ".join(paragraph.split()) in page.text
        assert stored.result.environment.torch in page.text


def test_what_must_be_said_of_a_method_is_said_wherever_it_is_shown(site: Path, results: list[StoredResult]) -> None:
    (note,) = {stored.result.note for stored in results if stored.result.note}
    shown = [page for page in pages(site) if "efficient" in page.name or "methods" not in page.parts]
    assert len(shown) > 2
    for page in shown:
        assert note in parse(page).text, page.name


def test_columns_say_their_direction_and_formula(site: Path) -> None:
    heads = {head.attributes["data-key"]: head for head in parse(site / "index.html").all("th", data_key=None)}
    for metric in [*DEFAULT.values(), *(metric for metric in RECOVERY.values() if metric.role is None)]:
        head = heads[metric.name]
        assert metric.formula in head.attributes["title"]
        assert ("↑" if metric.higher_is_better else "↓") in head.text
        assert ("higher is better" if metric.higher_is_better else "lower is better") in head.text


def test_only_the_best_ranked_row_is_marked(site: Path, results: list[StoredResult]) -> None:
    ranked = [stored for stored in results if stored.result.family != "reference"]
    best = max(stored.result.figures["comprehensiveness"].mean for stored in ranked)
    marked = [cell.attributes["data-v"] for cell in parse(site / "index.html").all("td", class_="best")]
    assert sorted_by(best) in marked
    others = {sorted_by(s.result.figures["comprehensiveness"].mean) for s in ranked} - {sorted_by(best)}
    assert not others & set(marked)


def test_references_stand_apart_and_are_never_marked(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    make(store, Made(quality=0.0))
    make(store, Made(method="gradient", family="gradient", quality=0.5))
    # the reference has the best figures and the lowest cost of all
    make(store, Made(method="oracle", family="reference", quality=9.0, milliseconds=0.01, passes=(0, 0)))
    page = build(store, tmp_path / "site")
    reference = page.one("tbody", class_="references")
    assert list(rows(reference)) == ["oracle"]
    assert "not ranked" in reference.text
    assert not reference.all("td", class_="best")
    assert "oracle" not in rows(page.one("tbody", data_ranked=None))


def test_a_row_that_is_not_complete_is_shown_and_never_marked(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    make(store, Made(quality=0.0))
    make(store, Made(method="gradient", family="gradient", quality=0.5))
    make(
        store,
        Made(method="broken", quality=9.0, milliseconds=0.1, failed={2: "1 of 20 scores is not finite"}, truncated=4),
    )
    row = rows(build(store, tmp_path / "site"))["broken"]
    assert "1 of 30 examples failed: not ranked" in row.text
    assert "29/30" in row.text
    assert "4 cut" in row.text
    assert not row.all("td", class_="best")
    assert "1 of 20 scores is not finite" in parse(tmp_path / "site/methods/broken.html").text
    assert "No scores: 1 of 20 scores is not finite" in parse(tmp_path / "site/tasks/xor-cues.html").text


def test_failed_cells_are_shown_with_their_reason(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    make(store, Made())
    make(store, Made(method="lime", error="the residual 4.2e-05 misses the tolerance"))
    page = build(store, tmp_path / "site")
    assert "the residual 4.2e-05 misses the tolerance" in page.one("li", data_row=None).text
    assert "lime" not in rows(page)
    assert "the residual 4.2e-05 misses the tolerance" in parse(tmp_path / "site/methods/lime.html").text


def test_a_board_with_failures_only(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    make(store, Made(method="lime", error="no"))
    page = build_site([], store.read_failures(), tmp_path / "site")
    assert "lime" in parse(page).text
    assert "no" in parse(tmp_path / "site/tasks/xor-cues.html").text


def test_no_results_say_how_to_make_some(tmp_path: Path) -> None:
    assert "whybench run" in parse(build_site([], [], tmp_path / "site")).text


def test_a_figure_that_the_protocol_does_not_know_is_an_error(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    stored = make(store, Made())
    figures = {"comprehensivness": stored.result.figures["comprehensiveness"]}
    odd = StoredResult(stored.folder, stored.result.model_copy(update={"figures": figures}))
    with pytest.raises(UnknownNameError, match="Did you mean 'comprehensiveness'"):
        build_site([odd], [], tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    long = "x" * 10_000
    hostile = {
        "label": HOSTILE,
        "summary": HOSTILE,
        "note": HOSTILE,
        "model": HOSTILE,
        "labels": (HOSTILE, "\u202eright"),
        "texts": [f"{HOSTILE} {long} \u202eword \x00 end", "a quiet text"],
        "device": HOSTILE,
        "examples": 4,
    }
    make(store, Made(**hostile, parameters={HOSTILE: HOSTILE}, failed={1: HOSTILE}))
    make(store, Made(**{**hostile, "label": "other", "method": "other", "error": HOSTILE}))
    build(store, tmp_path / "site")
    for path in pages(tmp_path / "site"):
        page = parse(path)
        root = "../" * (len(path.relative_to(tmp_path / "site").parts) - 1)
        ours = {f"{root}assets/{asset.name}" for asset in (tmp_path / "site/assets").glob("*.js")}
        run = [script for script in page.all("script") if script.attributes.get("type") != "application/json"]
        assert {script.attributes["src"] for script in run} <= ours
        assert not any(script.text for script in run)
        assert not page.all("img", onerror=None)
        assert "49" not in page.one("main").one("h1").text
        assert "alert(1)" in page.text
        # in a name, a sign that turns the direction of writing is spelled out
        assert all("\u202e" not in name.text for name in page.all("bdi"))
    text = parse(tmp_path / "site/tasks/xor-cues.html")
    assert any(long in paragraph.text for paragraph in text.all("p", class_="heat"))


def test_same_names_get_pages_of_their_own(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    for label in ("a b", "a_b", "A (b)", "../../a", "…"):
        make(store, Made(label=label, parameters={"label": label}))
    build(store, tmp_path / "site")
    found = sorted(path.name for path in (tmp_path / "site/methods").iterdir())
    assert found == ["a-b-2.html", "a-b-3.html", "a-b.html", "a.html", "unnamed.html"]
    for name in found:
        assert name.removesuffix(".html") == "unnamed" or parse(tmp_path / "site/methods" / name).one("h1").text


def test_rows_of_one_label_and_boards_of_one_task_are_told_apart(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    make(store, Made(dtype="float32"))
    make(store, Made(dtype="bfloat16"))
    make(store, Made(model="minilm", weights="others"))
    make(store, Made(examples=12))
    page = build(store, tmp_path / "site")
    assert {"occlusion [dtype float32]", "occlusion [dtype bfloat16]"} <= set(rows(page))
    sections = page.all("section", data_task=None)
    assert len({section.attributes["id"] for section in sections}) == len(sections) == 3
    assert "minilm" in page.text


def test_rows_of_different_environments_carry_a_warning(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    make(store, Made())
    make(store, Made(method="gradient", device="Another processor"))
    assert "times and memory do not compare" in build(store, tmp_path / "site").text


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    parsed = {path.resolve(): parse(path) for path in pages(site)}
    for path in pages(site):
        page = parsed[path.resolve()]
        for tag, attribute in (("script", "src"), ("link", "href"), ("img", "src")):
            for element in page.all(tag):
                if element.attributes.get("type") == "application/json":
                    continue
                target = element.attributes[attribute]
                assert (path.parent / target).resolve().is_relative_to(site.resolve()), target
                assert (path.parent / target).is_file(), target
        for element in page.all("a"):
            href, _, anchor = element.attributes["href"].partition("#")
            if href.startswith("https://arxiv.org/abs/"):
                continue
            target = path.parent / href if href else path
            assert target.is_file(), element.attributes["href"]
            if anchor:
                there = parsed[target.resolve()]
                ids = [
                    e.attributes["id"] for tag in ("section", "main", "article", "tr") for e in there.all(tag, id=None)
                ]
                assert anchor in ids, element.attributes["href"]
    for asset in (site / "assets").iterdir():
        # licences and error messages of libraries hold addresses; that they load none is seen in the browser
        if asset.name in (LIBRARY, "datatables.js"):
            continue
        text = asset.read_text(encoding="utf-8").replace('xmlns="http://www.w3.org/2000/svg"', "")
        assert not any(word in text for word in ("http:", "https:", "url(", "@import", "fetch(", "import "))


def test_ids_are_unique(site: Path) -> None:
    for path in pages(site):
        ids: list[str] = []
        pending = [parse(path)]
        while pending:
            element = pending.pop()
            ids += [element.attributes["id"]] if "id" in element.attributes else []
            pending += [child for child in element.children if isinstance(child, Element)]
        assert len(ids) == len(set(ids)), path.name


def test_the_same_results_give_the_same_bytes(results: list[StoredResult], site: Path, tmp_path: Path) -> None:
    again = build_site(list(reversed(results)), [], tmp_path / "site").parent
    files = {path.relative_to(site): path.read_bytes() for path in site.rglob("*") if path.is_file()}
    assert files == {path.relative_to(again): path.read_bytes() for path in again.rglob("*") if path.is_file()}


def test_all_methods_of_the_factory_are_there(site: Path) -> None:
    assert set(rows(parse(site / "index.html"))) == {method.get("label", method["method"]) for method in METHODS}


@pytest.mark.parametrize(
    ("made", "legend"),
    [
        ({"roles": True}, ["double line: necessary evidence", "line: other evidence", "dotted: distractor"]),
        ({}, ["line: evidence"]),
        ({"evidence": False}, []),
    ],
)
def test_the_legend_names_the_lines_that_are_drawn(tmp_path: Path, made: dict[str, Any], legend: list[str]) -> None:
    store = ResultStore(tmp_path / "results")
    make(store, Made(examples=4, **made))
    build(store, tmp_path / "site")
    (path,) = (tmp_path / "site" / "tasks").iterdir()
    page = parse(path)
    said = [span.text for span in page.one("div", _class="legend").all("span") if span.all("u")]
    assert said == legend
    drawn = {word.attributes["data-part"] for word in page.all("u", data_part=None, data_i=None)}
    assert len(drawn) == len(legend)
    style = (tmp_path / "site" / "assets" / "style.css").read_text(encoding="utf-8")
    assert all(f'.heat [data-part="{part}"]' in style for part in drawn - {"evidence"})


def test_several_processes_make_the_same_site(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    for task in ("first", "second"):
        suite(store, task=task)
    suite(store, task="second", operator="delete")
    built = [
        build_site(store.read_all(), store.read_failures(), tmp_path / f"by-{count}", processes=count).parent
        for count in (1, 2)
    ]
    one, two = ({path.relative_to(site): path.read_bytes() for path in site.rglob("*.*")} for site in built)
    assert one.keys() == two.keys()
    assert [path for path in one if one[path] != two[path]] == []


def test_what_fails_in_another_process_is_raised_in_this_one(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    suite(store)
    results = store.read_all()
    (results[3].folder / "examples.parquet").write_bytes(b"damaged")
    with pytest.raises(CorruptResultError, match=results[3].result.cell):
        build_site(results, [], tmp_path / "site", processes=2)
