"""What stands behind the pages: numbers as text, boards, the choice and colours of examples, mean curves, commands."""

import itertools
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from whybench.bench.comparison import compare
from whybench.bench.errors import CorruptResultError
from whybench.bench.schema import Figure
from whybench.bench.statistics import bootstrap_intervals
from whybench.bench.store import ResultStore, StoredResult, read
from whybench.leaderboard import formatting
from whybench.leaderboard.boards import boards
from whybench.leaderboard.columns import numbers
from whybench.leaderboard.command import command
from whybench.leaderboard.curve_plot import GRID, MeanCurves, plot
from whybench.leaderboard.heatmap import UNITS_PER_TEXT, ExampleViews, examples
from whybench.leaderboard.ranks import spelled
from whybench.leaderboard.tables import table
from whybench.tests.leaderboard.causal_factory import causal_suite
from whybench.tests.leaderboard.factory import WORDS, Made, make, suite


@pytest.fixture
def store(tmp_path: Path) -> ResultStore:
    return ResultStore(tmp_path / "results")


def views(store: ResultStore) -> ExampleViews:
    (board,) = boards(store.read_all(), store.read_failures())
    return examples(table(board))


@pytest.mark.parametrize(
    ("function", "value", "text"),
    [
        (formatting.number, -0.1234, "−0.123"),
        (formatting.number, -0.0001, "0.000"),
        (formatting.significant, 0.0, "0"),
        (formatting.significant, 1234.56, "1,235"),
        (formatting.significant, 12.34, "12.3"),
        (formatting.significant, 0.012345, "0.0123"),
        (formatting.significant, 8.4e-9, "8.4e−09"),
        (formatting.count, 50.0, "50"),
        (formatting.count, 27.44, "27.4"),
        (formatting.memory, 0, "0 B"),
        (formatting.memory, 999, "999 B"),
        (formatting.memory, 999_900, "1.00 MB"),
        (formatting.memory, 3_420_000, "3.42 MB"),
        (formatting.memory, 61_900_000_000, "61.9 GB"),
        (formatting.memory, 5_000_000_000_000, "5.00 TB"),
        (formatting.duration, 300.0, "5.0\u00a0min"),
        (formatting.visible, "a\u202eb\n", "a⟨U+202E⟩b⟨U+000A⟩"),
        (formatting.printable, "a\x00\nb", "a⟨U+0000⟩\nb"),
        (formatting.breakable, "a_<b>", "a_<wbr>&lt;b&gt;"),
        (
            formatting.coded,
            "the ``p(x) < 1`` & ``q``\u202e ``",
            "the <code>p(x) &lt; 1</code> &amp; <code>q</code>⟨U+202E⟩ ``",
        ),
    ],
)
def test_how_things_are_written(function, value, text) -> None:
    assert function(value) == text


def test_citations_lead_to_arxiv() -> None:
    assert formatting.cited("A 2020, arXiv:1911.03429; B") == [
        ("A 2020, ", None),
        ("arXiv:1911.03429", "https://arxiv.org/abs/1911.03429"),
        ("; B", None),
    ]


def test_boards_hold_what_can_be_compared(store: ResultStore) -> None:
    for changes in ({}, {"operator": "pad"}, {"weights": "others"}, {"examples": 10}, {"task": "other"}):
        make(store, Made(**changes))
        make(store, Made(method="gradient", **changes))
    found = boards(store.read_all(), [])
    assert [len(board.results) for board in found] == [2] * 5
    assert len({board.key for board in found}) == 5


def test_columns_of_a_metric_that_one_row_lacks(store: ResultStore) -> None:
    make(store, Made())
    stored = make(store, Made(method="gradient"))
    figures = {name: f for name, f in stored.result.figures.items() if name != "sufficiency"}
    part = StoredResult(stored.folder, stored.result.model_copy(update={"figures": figures}))
    view = table(boards([store.read_all()[1], part], [])[0])
    at = [column.key for column in view.columns].index("sufficiency")
    assert {row.name: row.cells[at].text == "–" for row in view.rows} == {"gradient": True, "occlusion": False}


def test_rows_are_sorted_by_the_first_figure(store: ResultStore) -> None:
    suite(store)
    view = table(boards(*suite(store))[0])
    values = [row.cells[0].value for row in view.methods]
    assert values == sorted(values, reverse=True)
    assert [row.name for row in view.references] == ["random"]


def test_ranks_and_letters_are_those_of_the_comparison(store: ResultStore) -> None:
    suite(store)
    view = table(boards(*suite(store))[0])
    assert view.ranked_by is not None
    assert view.ranked_by.key == "comprehensiveness"
    values = np.column_stack([row.stored.examples.column("comprehensiveness").to_numpy() for row in view.methods])
    found = compare(values, [row.name for row in view.methods], higher_is_better=True)
    for i, row in enumerate(view.methods):
        standing = row.standing
        assert standing is not None
        assert standing.rank == found.ranks[i] == i + 1
        ends = [float(end) for end in standing.interval.split("\u2013")]
        assert (ends[0], ends[-1]) == tuple(found.rank_intervals[:, i])
        assert standing.letters == spelled(found.letters[i])
        for other, significant in zip(view.methods, found.significant[i], strict=True):
            assert (other.name in standing.tied) == (not significant and other is not row)
        assert standing.help.endswith(", ".join(standing.tied) or "significantly different from all others")
    assert all(row.standing is None for row in view.references)


def test_only_complete_rows_are_ranked_and_do_not_shorten_the_comparison(store: ResultStore) -> None:
    for name, failed in (("a", {}), ("b", {}), ("c", {1: "no"})):
        make(store, Made(method=name, failed=failed))
    standings = {row.name: row.standing for row in table(boards(store.read_all(), [])[0]).methods}
    assert standings["c"] is None
    assert standings["a"] is not None
    assert "of 30 examples" in standings["a"].help
    assert not {"c"} & set(standings["a"].tied)


def test_a_method_alone_has_no_rank(store: ResultStore) -> None:
    make(store, Made())
    view = table(boards(store.read_all(), [])[0])
    assert view.ranked_by is None
    assert view.methods[0].standing is None


def test_examples_are_matched_by_their_id(store: ResultStore) -> None:
    results = suite(store)[0]
    expected = {row.name: row.standing for row in table(boards(results, [])[0]).methods}
    stored = results[2]
    order = np.random.default_rng(0).permutation(30)
    vars(stored)["examples"] = stored.examples.take(order)
    assert {row.name: row.standing for row in table(boards(results, [])[0]).methods} == expected


def test_the_causal_suite_ranks_nobody(store: ResultStore) -> None:
    view = table(boards(causal_suite(store), [])[0])
    assert view.ranked_by is None


def test_only_the_columns_that_are_asked_for_are_read(store: ResultStore) -> None:
    stored = make(store, Made())
    assert stored.columns(["sufficiency"]).column_names == ["sufficiency"]
    assert "examples" not in vars(stored)
    assert stored.columns(["sufficiency"]).equals(stored.examples.select(["sufficiency"]))
    with pytest.raises(CorruptResultError, match="no column nothing"):
        read(stored.folder).columns(["nothing"])


@pytest.mark.parametrize(
    ("groups", "text"),
    [((0,), "a"), ((0, 1), "ab"), ((1, 2, 3, 4), "b\u2013e"), ((0, 2), "a c"), ((0, 1, 2, 26), "a\u2013c aa")],
)
def test_letters_in_a_row_are_written_as_a_stretch(groups: tuple[int, ...], text: str) -> None:
    assert spelled(groups) == text


def test_examples_are_the_first_and_the_most_disputed(store: ResultStore) -> None:
    suite(store)
    chosen = views(store)
    assert [view.id for view in chosen.views[:6]] == [f"xor_cues-{i:04d}" for i in range(6)]
    assert {view.reason for view in chosen.views[:6]} == {"it is among the first of the data"}
    assert {view.reason for view in chosen.views[6:12]} == {"the methods disagree most on it"}
    agreement = [float(view.agreement.replace("−", "-")) for view in chosen.views[6:12]]
    assert agreement == sorted(agreement)


def test_the_examples_that_tell_the_two_best_apart_are_among_them(store: ResultStore) -> None:
    suite(store)
    chosen = {view.id: view.reason for view in views(store).views}
    first, second = table(boards(*suite(store))[0]).methods[:2]
    a, b = (numbers(row.stored, "comprehensiveness") for row in (first, second))
    apart = sorted((one for one in a if round(abs(a[one] - b[one]), 4) > 0), key=lambda one: -abs(a[one] - b[one]))
    assert apart
    assert set(apart[:4]) <= set(chosen)
    said = "the two best methods' figures differ most on it"
    assert {reason for one, reason in chosen.items() if one not in apart[:4]} <= set(chosen.values()) - {said}


def test_agreement_is_the_mean_rank_correlation(store: ResultStore) -> None:
    from scipy.stats import spearmanr

    maps = []
    for name in ("occlusion", "gradient", "other"):
        maps.append(make(store, Made(method=name, examples=3)).examples.column("unit_scores")[0].as_py())
    expected = np.mean([spearmanr(*pair).statistic for pair in itertools.combinations(maps, 2)])
    assert views(store).views[0].agreement == formatting.number(float(expected), 2)


def test_pieces_give_the_text_back(store: ResultStore) -> None:
    made = make(store, Made(texts=["one  two", "три два"], examples=2))
    texts = made.examples.column("text").to_pylist()
    for view, text in zip(views(store).views, texts, strict=True):
        (segment,) = view.heats[0].segments
        assert "".join(piece.text for piece in segment) == text


def test_both_texts_of_a_pair_are_drawn(store: ResultStore) -> None:
    record = make(store, Made(pairs=True, examples=1)).examples.to_pylist()[0]
    first, second = views(store).views[0].heats[0].segments
    assert "".join(piece.text for piece in first) == record["text"]
    assert "".join(piece.text for piece in second) == record["text_pair"]
    units = [piece.text for piece in (*first, *second) if piece.score is not None]
    assert units == [*record["text"].split(), *record["text_pair"].split()]


def test_spans_that_overlap_show_no_character_twice(store: ResultStore) -> None:
    stored = make(store, Made(texts=["abcdef gh"], examples=1))
    for name, values in (("unit_starts", [0, 2]), ("unit_ends", [4, 9])):
        at = stored.examples.column_names.index(name)
        stored.__dict__["examples"] = stored.examples.set_column(at, name, pa.array([values]))
    (board,) = boards([stored], [])
    (segment,) = examples(table(board)).views[0].heats[0].segments
    assert [piece.text for piece in segment] == ["abcd", "ef gh"]


def test_bytes_of_one_character_show_it_once(store: ResultStore) -> None:
    stored = make(store, Made(texts=["🙂 gh"], examples=1))
    for name, values in (("unit_starts", [0, 0]), ("unit_ends", [1, 1])):
        at = stored.examples.column_names.index(name)
        stored.__dict__["examples"] = stored.examples.set_column(at, name, pa.array([values]))
    (board,) = boards([stored], [])
    (segment,) = examples(table(board)).views[0].heats[0].segments
    assert [(piece.text, piece.index) for piece in segment] == [("🙂", 0), (" gh", -1)]


def test_rows_that_look_the_same_are_marked_together(store: ResultStore) -> None:
    stored = [make(store, Made(method=name)) for name in ("a", "b", "c")]
    for one, mean in zip(stored, (0.50001, 0.50002, 0.4), strict=True):
        one.result.figures["comprehensiveness"] = Figure(mean=mean, low=0.3, high=0.6, examples=30)
    view = table(boards(stored, [])[0])
    assert {row.name: row.cells[0].best for row in view.methods} == {"a": True, "b": True, "c": False}


def test_a_figure_of_fewer_examples_says_so(store: ResultStore) -> None:
    make(store, Made(unknown_evidence=(0, 1)))
    view = table(boards(store.read_all(), [])[0])
    notes = {column.key: cell.note for column, cell in zip(view.columns, view.rows[0].cells, strict=True)}
    assert notes["average_precision"] == "of 28 examples"
    assert notes["comprehensiveness"] == ""


def test_colours_follow_sign_and_size(store: ResultStore) -> None:
    signed, unsigned = make(store, Made(examples=3)), make(store, Made(method="gradient", signed=False, examples=3))
    first = {heat.row.name: heat.segments[0] for heat in views(store).views[0].heats}
    for stored, hues in ((signed, "pn"), (unsigned, "u")):
        scores = np.array(stored.examples.column("unit_scores")[0].as_py())
        levels = [piece.level for piece in first[stored.result.label] if piece.score is not None]
        assert {level[0] for level in levels if level} == set(hues)
        assert levels[int(np.abs(scores).argmax())][1:] == "10"
        if hues == "pn":
            assert all((level[0] == "p") == (score > 0) for level, score in zip(levels, scores, strict=True) if level)


def test_evidence_is_marked(store: ResultStore) -> None:
    stored = make(store, Made(examples=1))
    marked = [piece.text for piece in views(store).views[0].heats[0].segments[0] if piece.part == "evidence"]
    record = stored.examples.to_pylist()[0]
    spans = zip(record["unit_starts"], record["unit_ends"], record["evidence"], strict=True)
    assert marked == [record["text"][start:end] for start, end, evidence in spans if evidence]
    assert len(marked) == 2


def test_the_parts_of_words_are_told_apart(store: ResultStore) -> None:
    stored = make(store, Made(examples=4, roles=True))
    shown = views(store)
    assert shown.parts == {"evidence", "necessary", "distractor"}
    for view, record in zip(shown.views, stored.examples.to_pylist(), strict=True):
        pieces = {piece.index: piece for piece in view.heats[0].segments[0] if piece.index >= 0}
        for part, column in (("necessary", "necessary"), ("distractor", "distractor")):
            assert {i for i, p in pieces.items() if p.part == part} == {
                i for i, has in enumerate(record[column]) if has
            }
        evidence = {i for i, has in enumerate(record["evidence"]) if has}
        assert {i for i, p in pieces.items() if p.part in ("evidence", "necessary")} == evidence
        assert all(piece.tag == ("u" if piece.part else "span") for piece in pieces.values())


def test_the_heading_says_whose_evidence_it_is(store: ResultStore) -> None:
    for kind, heading in (
        ("planted", "Recovery of planted evidence"),
        ("human", "Plausibility: agreement with people"),
        (None, "Agreement with evidence"),
    ):
        make(store, Made(task=f"of_{kind}", kind=kind))
        (board,) = [board for board in boards(store.read_all(), []) if board.spec.task.name == f"of_{kind}"]
        assert dict(table(board).groups)[heading] == 4


def test_a_role_that_changes_no_number_has_no_column_of_its_own(store: ResultStore) -> None:
    make(store, Made(roles=True))
    make(store, Made(method="gradient", roles=True, quality=0.5))
    (board,) = boards(store.read_all(), [])
    columns = {column.key: column for column in table(board).columns}
    # the factory's smallest sufficient set is all of the evidence, and only one unit of it is necessary
    assert "sufficient_average_precision" not in columns
    assert {"necessary_average_precision", "distractors_ahead"} <= set(columns)
    assert columns["average_precision"].help.endswith("; on this board also that of a sufficient set")
    assert all("sufficient_average_precision" in stored.result.figures for stored in board.results)
    # one row without it, as an older result has none, and nothing is the same any more
    del board.results[0].result.figures["sufficient_average_precision"]
    assert "sufficient_average_precision" in {column.key for column in table(board).columns}


def test_a_long_text_is_cut_and_says_so(store: ResultStore) -> None:
    make(store, Made(texts=[" ".join(WORDS * 40)], examples=2))
    heat = views(store).views[0].heats[0]
    assert sum(piece.score is not None for piece in heat.segments[0]) == UNITS_PER_TEXT
    assert heat.hidden == len(WORDS) * 40 - UNITS_PER_TEXT


def test_examples_that_would_make_the_page_too_large_are_left_out(store: ResultStore, monkeypatch) -> None:
    monkeypatch.setattr("whybench.leaderboard.heatmap.UNITS_PER_BOARD", 100)
    make(store, Made(texts=[" ".join(WORDS)], examples=12))
    chosen = views(store)
    assert (len(chosen.views), chosen.left_out) == (100 // len(WORDS), 12 - 100 // len(WORDS))


def test_mean_curves_agree_with_the_plain_reference(store: ResultStore) -> None:
    stored = make(store, Made(failed={2: "no"}))
    deletion, insertion = MeanCurves().of(stored)
    for name, curve in (("removed", deletion), ("kept", insertion)):
        heights = []
        for record in stored.examples.to_pylist():
            if record["error"] is None:
                n = len(record["unit_scores"])
                heights.append([np.interp(t * n, record[f"{name}_k"], record[f"{name}_p"]) for t in GRID])
        assert np.allclose(curve.mean, np.mean(heights, axis=0), atol=1e-12)
        low, high = bootstrap_intervals(np.array(heights), resamples=1000)
        assert np.allclose(curve.low, low)
        assert np.allclose(curve.high, high)
        assert (curve.low <= curve.mean).all()
        assert (curve.mean <= curve.high).all()


def test_a_curve_is_not_drawn_where_nothing_was_recorded(store: ResultStore) -> None:
    stored = make(store, Made())
    at = stored.examples.column_names.index("kept_k")
    rows = stored.examples.to_pylist()
    half = [[k for k in row["kept_k"] if 2 * k >= len(row["unit_scores"])] for row in rows]
    heights = [row["kept_p"][-len(k) :] for row, k in zip(rows, half, strict=True)]
    cut = stored.examples.set_column(at, "kept_k", pa.array(half)).set_column(at + 1, "kept_p", pa.array(heights))
    stored.__dict__["examples"] = cut
    drawn = {group["curve"]: group for group in plot(stored, [], MeanCurves()).chart.data["curves"]}
    assert drawn["deletion"]["t"][0] == 0
    assert drawn["insertion"]["t"][0] > 0.4


def test_what_is_drawn_are_the_curves_and_their_bands(store: ResultStore) -> None:
    curves = MeanCurves()
    stored, other = make(store, Made()), make(store, Made(method="floor", family="reference", bound="floor"))
    made = plot(stored, [other], curves)
    assert made.references == ("floor",)
    groups = made.chart.data["curves"]
    assert [(group["of"], group["curve"], group["own"]) for group in groups] == [
        ("floor", "deletion", False),
        ("floor", "insertion", False),
        ("occlusion", "deletion", True),
        ("occlusion", "insertion", True),
    ]
    for group, curve in zip(groups, (*curves.of(other), *curves.of(stored)), strict=True):
        assert np.allclose(group["t"], GRID)
        assert np.allclose(group["mean"], curve.mean, rtol=5e-4)
        if group["own"]:
            assert np.allclose(group["low"], curve.low, rtol=5e-4)
            assert np.allclose(group["high"], curve.high, rtol=5e-4)
    for row, mean in zip(made.numbers, curves.of(stored)[0].mean[::2], strict=True):
        assert row[1].startswith(f"{mean:.3f} (")


def test_the_command_gives_what_is_not_the_default(store: ResultStore) -> None:
    plain = command(make(store, Made(parameters={"steps": 50})).result)
    assert plain == "whybench run --task xor_cues --method occlusion --split test --limit 30 --operator mask"
    made = Made(
        method="ig",
        label="ig(n_steps=20)",
        parameters={"n_steps": 20, "baseline": "auto"},
        dataset="a/b",
        model="it's; a model",
        seed=3,
        dtype="bfloat16",
    )
    words = shlex.split(command(make(store, made).result))
    assert words[5] == "ig:n_steps=20"
    assert words[6:8] == ["--model", "it's; a model"]
    assert words[-4:] == ["--dtype", "bfloat16", "--seed", "3"]


def test_rendering_does_not_import_torch() -> None:
    code = "import sys, whybench.leaderboard.site, whybench.leaderboard.text_table; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_rows_of_one_label_with_other_parameters_are_told_apart(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    make(store, Made(method="ig", label="ig", parameters={"steps": 5}, examples=4))
    make(store, Made(method="ig", label="ig", parameters={"points": 7, "steps": 5}, examples=4))
    (board,) = boards(store.read_all(), [])
    assert set(board.names.values()) == {"ig [points not there]", "ig [points 7]"}
