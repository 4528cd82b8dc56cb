"""The board of published copies is that of the full results, and says what is not there."""

import shutil

import pytest
from rich.console import Console

from whybench.bench.publication import publish
from whybench.bench.store import ResultStore
from whybench.bench.verification import BOARD, with_submissions
from whybench.leaderboard.boards import boards
from whybench.leaderboard.published import drawable, left_out
from whybench.leaderboard.site import build_site
from whybench.leaderboard.text_table import print_overview
from whybench.tests.leaderboard.causal_factory import causal_suite
from whybench.tests.leaderboard.factory import METHODS, Made, make, suite
from whybench.tests.leaderboard.page import parse

TEXTS = ("Zanzibar quokka lumbers tonight", "quixotic Zanzibar bassoons hum again", "no bassoons tonight quokka")
REAL = {"task": "real", "dataset": "a/real", "model": "minilm", "texts": TEXTS, "evidence": False}


@pytest.fixture(scope="module")
def sites(tmp_path_factory):
    """Per kind of results, in full and published, the store and the site."""
    home = tmp_path_factory.mktemp("published")
    full, copy = ResultStore(home / "full"), ResultStore(home / "copy")
    suite(full)
    suite(full, **REAL)
    for method in METHODS:
        if method["method"] == "random":
            make(full, Made(**{**method, "parameters": {"seed": 1}}))
    causal_suite(full)
    causal_suite(full, task="made", dataset=None, pairs=True)
    make(full, Made(method="lime", error="It did not work."))
    publish(full, copy)
    for store in (full, copy):
        build_site(store.read_all(), store.read_failures(), home / f"{store.root.name}-site")
    return {store.root.name: (store, home / f"{store.root.name}-site") for store in (full, copy)}


def files(sites, kind):
    root = sites[kind][1]
    return {str(path.relative_to(root)): path for path in sorted(root.rglob("*")) if path.is_file()}


def test_tables_ranks_skill_and_downloads_are_the_same_files(sites):
    full, copy = files(sites, "full"), files(sites, "copy")
    same = [
        name for name in full if name.split("/")[0] in ("index.html", "data", "assets", "tradeoff.html", "truth.html")
    ]
    assert {"index.html", "truth.html", "tradeoff.html"} <= set(same) and any(name.startswith("data/") for name in same)
    for name in same:
        assert full[name].read_bytes() == copy[name].read_bytes(), name


def test_the_terminal_shows_the_same(sites, capsys):
    shown = []
    for store, _ in sites.values():
        print_overview(store.read_all(), store.read_failures(), Console(width=200))
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1] and "occlusion" in shown[0]


def test_curves_of_a_method_are_the_same_and_it_says_that_it_is_a_copy(sites):
    for name in ("methods/occlusion.html", "methods/random.html"):
        full, copy = (parse(files(sites, kind)[name]) for kind in ("full", "copy"))
        drawn = [[one.text for one in page.all("script", type="application/json")] for page in (full, copy)]
        assert drawn[0] == drawn[1] and drawn[0]
        tables = [[table.text for table in page.all("table")] for page in (full, copy)]
        assert tables[0] == tables[1]
        assert "a published copy, with the maps of 12 examples" in copy.text and "published copy" not in full.text


def test_pairs_of_methods_are_compared_on_all_examples(sites):
    found = {name: path for name, path in files(sites, "copy").items() if name.startswith("versus/")}
    assert {name.rpartition(".")[2] for name in found} >= {"html"}
    for name, path in found.items():
        if not name.endswith(".html"):
            # figures of other columns
            assert path.read_bytes() == files(sites, "full")[name].read_bytes(), name
            continue
        full, copy = (parse(files(sites, kind)[name]) for kind in ("full", "copy"))
        matrices = [page.one("table", class_="board matrix").text for page in (full, copy)]
        assert matrices[0] == matrices[1]
        assert "not published here" in copy.text and "not published here" not in full.text


def test_examples_that_are_published_are_drawn_and_the_page_says_of_the_others(sites):
    page = parse(files(sites, "copy")["tasks/xor-cues.html"])
    (note,) = page.all("p", data_published="12")
    assert "the first 12 examples of 30" in note.text
    commands = [one.text for one in page.all("pre", class_="command")]
    assert any(one.startswith("whybench run --task xor_cues --method ") for one in commands)
    assert [article.one("h3").one("bdi").text for article in page.all("article")] == [
        f"xor_cues-{i:04d}" for i in range(12)
    ]
    examples = [name for name in files(sites, "copy") if name.startswith("examples/xor-cues")]
    assert len(examples) == 12
    full, copy = (parse(files(sites, kind)[examples[0]]) for kind in ("full", "copy"))
    assert [one.text for one in full.all("p", class_="heat")] == [one.text for one in copy.all("p", class_="heat")]
    assert all(heat.text for heat in copy.all("p", class_="heat"))
    curves = [[one.text for one in page.all("script", type="application/json")] for page in (full, copy)]
    assert curves[0] == curves[1] and curves[0]
    assert "whose texts and maps are published" in copy.text


def test_of_a_dataset_there_is_no_word_and_the_page_says_so(sites):
    page = parse(files(sites, "copy")["tasks/real.html"])
    (note,) = page.all("p", data_published="0")
    assert "Texts of this dataset are not published here" in note.text
    assert not page.all("article") and not page.all("form") and page.all("figure")
    assert any("--task real" in one.text for one in page.all("pre", class_="command"))
    assert not [name for name in files(sites, "copy") if name.startswith("examples/real")]
    for name, path in files(sites, "copy").items():
        assert not any(word in path.read_text() for word in ("Zanzibar", "quokka", "bassoons")), name


def test_the_causal_suites_page(sites):
    full, copy = (parse(files(sites, kind)["attention.html"]) for kind in ("full", "copy"))
    tables = [[table.text for table in page.all("table", class_="board figures")] for page in (full, copy)]
    assert tables[0] == tables[1] and tables[0]
    facts = [[one.text for one in page.all("dl", class_="facts")] for page in (full, copy)]
    assert facts[0] == facts[1] and any("pairs" in one for one in facts[0]) and any("single" in one for one in facts[0])
    # the texts of the dataset are withheld, those that the task makes are there
    (note,) = copy.all("p", data_published=None)
    assert "Texts of this dataset are not published here" in note.text
    assert len(copy.all("div", class_="maps")) == 1 < len(full.all("div", class_="maps"))


def test_copies_beside_full_results_are_drawn_where_most_have_maps(sites, tmp_path):
    full, copy = sites["full"][0].read_all(), sites["copy"][0].read_all()
    (before,) = (one for one in boards(full, []) if one.spec.task.name == "real" and one.measure == "faithfulness")
    (after,) = (one for one in boards(copy, []) if one.spec.task.name == "real" and one.measure == "faithfulness")
    assert left_out(before.results) is None and len(drawable(before.results)) == 30
    assert drawable(after.results) == []
    mixed = [*after.results[1:], before.results[0]]
    lacking = left_out(mixed)
    assert lacking is not None and not lacking.texts and len(drawable(mixed)) == 30
    rest = [one for one in copy if one.result.cell != before.results[0].result.cell]
    build_site([*rest, before.results[0]], [], tmp_path / "site")
    page = parse(tmp_path / "site" / "tasks" / "real.html")
    assert page.all("article") and all(len(article.all("h4")) == 1 for article in page.all("article"))


def test_the_board_beside_the_submissions_is_none(sites, tmp_path):
    store = sites["copy"][0]
    submissions = tmp_path / "results"
    shutil.copytree(store.root, submissions / BOARD)
    own = ResultStore(submissions / BOARD)
    rows = with_submissions(own, submissions)
    assert len(rows) == len(store.read_all()) and all(row.standing is None for row in rows)
    assert with_submissions(ResultStore(tmp_path / "none"), submissions) == []
