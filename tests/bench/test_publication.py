"""Published copies: every figure to the last bit, no text that is not to be there, small, and nothing overwritten."""

import hashlib
import json
import re
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whybench import load_method, load_task
from whybench.bench.attributions import exported
from whybench.bench.choices import Texts
from whybench.bench.cli import main
from whybench.bench.errors import CorruptResultError, ParameterError, StoreError, SubmissionError
from whybench.bench.examples_table import unit_counts
from whybench.bench.matching import sides_of
from whybench.bench.mean_curves import mean_curves
from whybench.bench.publication import is_generated, publish, shortened
from whybench.bench.regression import compare_folders
from whybench.bench.rescore import rescore
from whybench.bench.runner import Plan, run
from whybench.bench.schema import GateOutcome, Randomised
from whybench.bench.store import ResultStore, read
from whybench.bench.submission import Tolerance, draft, write
from whybench.bench.submission_files import read_submission
from whybench.bench.thresholds import read_thresholds
from whybench.tests.bench.submissions import ABOUT, METHOD, contents, lay_out, method_file, results, seal
from whybench.tests.bench.test_store import Silent
from whybench.tests.leaderboard.causal_factory import causal
from whybench.tests.leaderboard.factory import METHODS, Made, make

# of no built-in task's vocabulary
SECRET = ("Zanzibar quokka lumbers tonight", "quixotic Zanzibar bassoons hum again", "no bassoons tonight quokka")
WHY = "line 3: example 'real-0003' has at place 1 'quokka', expected is \"Zanzibar's\" and it's over"
FOREIGN = f"ValueError: no grammar for {SECRET[1]} (parser.py, line 3, in <module>)"


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Results of a task that makes its texts, of a dataset, of the causal suite, a failure and a check."""
    store = ResultStore(tmp_path_factory.mktemp("full"))
    for method in METHODS[:3]:
        make(store, Made(**method))
        make(store, Made(**method, task="real", dataset="a/real", texts=SECRET, failed={3: WHY}, evidence=False))
    make(store, Made(task="local", source="x", texts=SECRET, pairs=True))
    for method in ("raw_attention", "efficient_attention"):
        causal(store, method)
    make(store, Made(method="lime", error="It did not work."))
    make(
        store,
        Made(method="lime", task="real", dataset="a/real", texts=SECRET, error=f"example {SECRET[0]!r} is too long"),
    )
    cells = [stored.result.cell for stored in store.read_all()]
    store.add_check(Randomised(cell=cells[0], outcome=GateOutcome(status="passed", value=0.1, limit=0.5)))
    (real, *_) = (cell for cell in cells if cell.startswith("real--"))
    store.add_check(Randomised(cell=real, outcome=GateOutcome(status="failed", reason=f"after 2 stages: {FOREIGN}")))
    return store


@pytest.fixture
def out(tmp_path):
    return ResultStore(tmp_path / "out")


def by_cell(store):
    return {stored.result.cell: stored for stored in store.read_all()}


def test_figures_are_kept_to_the_last_bit(full, out):
    made = publish(full, out)
    assert len(made.written) == len(full.read_all()) + 2 and not made.kept and made.checks == 2
    before, after = by_cell(full), by_cell(out)
    assert list(before) == list(after)
    for cell, old in before.items():
        new = after[cell]
        for name in ("example_id", "label", "target", "probability", "truncated", *old.result.figures):
            assert new.examples.column(name).equals(old.examples.column(name)), name
            assert new.columns([name]).column(0).equals(old.examples.column(name))
        unsaid = {"published": None, "coverage": old.result.coverage}
        assert new.result.model_copy(update=unsaid) == old.result
        assert {name: gate.status for name, gate in new.gates.items()} == {
            name: gate.status for name, gate in old.gates.items()
        }
        assert unit_counts(new.examples) == unit_counts(old.examples)
        assert set(old.examples.column_names) - {"specimen_layer", "specimen_head", "specimen_matrix"} <= set(
            new.examples.column_names
        )
    for old, new in zip(full.read_failures(), out.read_failures(), strict=True):
        assert new.result.model_copy(update={"error": old.result.error}) == old.result


def test_mean_curves_are_those_of_all_examples(full, out):
    publish(full, out)
    for old, new in zip(full.read_all(), out.read_all(), strict=True):
        for before, after in zip(mean_curves(old), mean_curves(new), strict=True):
            for part in ("mean", "low", "high"):
                np.testing.assert_array_equal(getattr(before, part), getattr(after, part))


def test_maps_of_the_first_examples_are_kept_as_they_are(full, out):
    publish(full, out, maps=5)
    for old, new in zip(full.read_all(), out.read_all(), strict=True):
        published = new.result.published
        generated = old.result.spec.task.dataset is None
        assert (published.texts, published.maps) == (generated, 5 * generated)
        assert published.source == hashlib.sha256((old.folder / "manifest.json").read_bytes()).hexdigest()
        names = ("text", "text_pair", "tokens", "token_scores", "unit_starts", "unit_scores", "removed_k", "kept_p")
        for name in (*names, "evidence", "single_p"):
            column = new.examples.column(name)
            assert column[: published.maps].equals(old.examples.column(name)[: published.maps]), name
            assert column[published.maps :].null_count == len(column) - published.maps, name


def test_compare_sees_no_difference(full, out):
    publish(full, out)
    for one, other in ((full, out), (out, full)):
        found = compare_folders(one, other, read_thresholds(None), [], [])
        assert found.comparable and not found.count("regression") and not found.count("improvement")
    assert list(sides_of(full)) == list(sides_of(out))


def words(folder):
    """All words in the decompressed columns of a folder's tables and in its other files."""
    found = []
    for path in sorted(folder.rglob("*")):
        if path.suffix == ".parquet":
            found.append(json.dumps(pq.read_table(path).to_pylist()))
            found.append(str(pq.read_metadata(path).to_dict()))
        elif path.is_file():
            found.append(path.read_text())
    return set(re.findall(r"\w+", " ".join(found)))


@pytest.mark.parametrize(("texts", "there"), [("builtin", False), ("none", False), ("all", True)])
def test_no_word_of_a_text_that_is_withheld_is_in_the_bytes(full, out, texts: Texts, there):
    kept = ResultStore(full.root)
    publish(kept, out, texts)
    secret = set(" ".join(SECRET).split()) - {"no", "again"}
    real = [folder for folder in out.cells.iterdir() if folder.name.startswith("real--")]
    assert real
    (failed,) = (folder for folder in out.failures.iterdir() if folder.name.startswith("real--"))
    assert bool(words(failed) & secret) is there
    assert bool(words(out.root / "checks") & secret) is there
    for folder in real:
        assert bool(words(folder) & secret) is there
        reasons = [one.reason for one in read(folder).result.coverage.failed]
        assert reasons == (
            [WHY] if there else ["line 3: example ‘…’ has at place 1 ‘…’, expected is ‘…’ and it's over"]
        )
        assert read(folder).examples.column("error").drop_null().to_pylist() == reasons
    builtin = [words(folder) for folder in out.cells.iterdir() if folder.name.startswith("xor_cues--")]
    assert all(("red" in one) is (texts != "none") for one in builtin)


@pytest.mark.parametrize(
    ("reason", "published"),
    [
        ("it's the model's own, not 'quokka's own'", "it's the model's own, not ‘…’"),
        (
            f"it has {chr(39)}it's \"a quokka\" isn't{chr(39)} at place 3".replace("it's", r"it\'s"),
            "it has ‘…’ at place 3",
        ),
        (f"it has {['quokka', 'a']!r}", "it has [‘…’, ‘…’]"),
        ("last printed: 'the quokka lum", "last printed: ‘…’"),
        ("it isn't “quokka” but \"quokka's", "it isn't ‘…’ but ‘…’"),
        (f"after 2 stages: {FOREIGN}", "after 2 stages: ‘…’ (parser.py, line 3, in <module>)"),
        ("the gradient is not finite", "the gradient is not finite"),
    ],
)
def test_what_may_be_of_a_text_is_cut_from_a_reason(full, tmp_path, reason, published):
    store, out = ResultStore(tmp_path / "one"), ResultStore(tmp_path / "out")
    make(store, Made(task="real", dataset="a/real", error=reason))
    publish(store, out)
    assert [stored.result.error for stored in out.read_failures()] == [published]
    again = publish(store, out)
    assert not again.written and len(again.kept) == 1


def test_whose_texts_they_are_is_in_the_record(full):
    (stored,) = (one for one in full.read_all() if one.result.spec.task.name == "local")
    task = stored.result.spec.task
    assert is_generated(task)
    assert not is_generated(task.model_copy(update={"revision": f"sha256:{'0' * 64}"}))
    assert not is_generated(task.model_copy(update={"dataset": "a/b"}))


def test_pairs_are_still_known(full, out):
    publish(full, out, "none")
    assert {one.result.spec.task.name: one.result.published.pairs for one in out.read_all()} == {
        "xor_cues": False,
        "real": False,
        "local": True,
        "sst2": False,
    }


def test_a_second_time_nothing_is_written_and_what_is_new_is_added(full, tmp_path, out):
    some = ResultStore(tmp_path / "some")
    shutil.copytree(full.root, some.root)
    (lost,) = (folder for folder in some.cells.iterdir() if folder.name.startswith("local--"))
    shutil.move(lost, tmp_path / lost.name)
    publish(some, out)
    before = contents(out.root)
    assert not any(".writing" in name for name in before)
    again = publish(some, out)
    assert contents(out.root) == before and not again.written and not again.checks
    assert len(again.kept) == len(full.read_all()) - 1 + len(full.read_failures())
    shutil.move(tmp_path / lost.name, lost)
    assert publish(some, out).written == [lost.name]
    assert {name: content for name, content in contents(out.root).items() if name in before} == before


def test_another_result_of_the_same_name_is_never_overwritten(full, tmp_path, out):
    publish(full, out)
    before = contents(out.root)
    for options in ({"maps": 3}, {"texts": "none"}, {"texts": "all"}):
        with pytest.raises(StoreError, match="is there, and is not what would be written: it has maps of"):
            publish(full, out, **options)
    other = ResultStore(tmp_path / "other")
    for stored in full.read_all()[-1:]:
        other.write(stored.result.model_copy(update={"seconds": 99.0}), stored.examples)
    make(other, Made(method="new"))
    with pytest.raises(StoreError, match=r"it is a copy of another run\. Delete it"):
        publish(other, out)
    with pytest.raises(StoreError, match="it is no published copy"):
        publish(full, full)
    with pytest.raises(StoreError, match="is a published copy itself"):
        publish(out, ResultStore(tmp_path / "third"))
    assert contents(out.root) == before


def test_a_check_that_was_left_behind_is_of_no_other_result(full, tmp_path, out):
    publish(full, out)
    cell = next(iter((out.root / "checks").iterdir())).stem
    shutil.rmtree(out.cells / cell)
    assert publish(full, out).written == [cell]
    shutil.rmtree(out.cells / cell)
    other = ResultStore(tmp_path / "other")
    shutil.copytree(full.cells / cell, other.cells / cell)
    before = contents(out.root)
    with pytest.raises(StoreError, match="the check of randomised weights of another result"):
        publish(other, out)
    assert contents(out.root) == before


def test_a_failure_goes_where_the_cell_finishes(full, tmp_path, out):
    publish(full, out)
    (failure,) = (stored for stored in out.read_failures() if stored.result.spec.task.name == "xor_cues")
    more = ResultStore(tmp_path / "more")
    make(more, Made(method="lime"))
    publish(more, out)
    assert failure.result.cell in by_cell(out) and len(out.read_failures()) == 1
    # and an older failure of it is left out
    assert failure.result.cell not in publish(full, out).written
    assert len(out.read_failures()) == 1


def test_bytes_per_cell_are_bounded(tmp_path, out):
    full = ResultStore(tmp_path / "full")
    make(full, Made(examples=200, roles=True))
    make(full, Made(examples=200, task="real", dataset="a/real"))
    publish(full, out)
    for folder, most in zip(sorted(out.cells.iterdir()), (26_000, 60_000), strict=True):
        size = sum(path.stat().st_size for path in folder.iterdir())
        assert size < most, folder.name
        assert size * 2.5 < sum(path.stat().st_size for path in (full.cells / folder.name).iterdir())


def resealed(folder, change):
    """Change a cell's result or table, and make its digests right again."""
    record = json.loads((folder / "result.json").read_text())
    table = change(record, pq.read_table(folder / "examples.parquet"))
    (folder / "result.json").write_text(json.dumps(record))
    if table is not None:
        pq.write_table(table, folder / "examples.parquet")
    files = {
        one: hashlib.sha256((folder / one).read_bytes()).hexdigest() for one in ("result.json", "examples.parquet")
    }
    (folder / "manifest.json").write_text(json.dumps({"files": files}))


def with_column(table, name, change):
    values = change(table.column(name).to_pylist())
    place = table.column_names.index(name)
    return table.set_column(place, name, pa.array(values, table.schema.field(name).type))


DAMAGE = {
    "figure": (lambda r, t: with_column(t, "sufficiency", lambda v: [0.5, *v[1:]]), "sufficiency has the mean"),
    "more maps than are there": (lambda r, t: r["published"].update(maps=6), "5 examples have a text.* first 6 have"),
    "fewer maps": (lambda r, t: r["published"].update(maps=4), "has tokens, the result says that 4 examples have maps"),
    "curve": (lambda r, t: r["published"]["deletion"]["mean"].__setitem__(0, 0.5), "with nothing removed the mean"),
    "other end": (lambda r, t: r["published"]["insertion"]["mean"].__setitem__(0, 0.9), "with all removed and none"),
    "units": (lambda r, t: with_column(t, "units", lambda v: [1, *v[1:]]), "of 1 units"),
    "score": (lambda r, t: with_column(t, "removed_p", lambda v: [[0.1, *v[0][1:]], *v[1:]]), "nothing removed"),
    "no curves": (lambda r, t: r["published"].update(deletion=None), "the result has no mean curves"),
    "another text": (lambda r, t: t.append_column("foil", pa.array(["x"] * len(t))), "has foil, the result says"),
    "words": (
        lambda r, t: t.set_column(t.column_names.index("units"), "units", pa.array(["x"] * len(t))),
        "another units",
    ),
    "twice": (lambda r, t: t.append_column("units", t.column("units")), "another units than such a table has"),
    "no id": (lambda r, t: with_column(t, "example_id", lambda v: [None, *v[1:]]), "row 0 has no example_id"),
    "no probability": (lambda r, t: with_column(t, "probability", lambda v: [None] * len(v)), "probability is None"),
    "no scores": (lambda r, t: t.drop_columns(["unit_scores"]), "the curves cannot be read: 'unit_scores'"),
    "no ends": (lambda r, t: t.drop_columns(["unit_ends"]), "unit_segments and unit_ends are not of the same units"),
    "a column lost": (lambda r, t: t.drop_columns(["units"]), "has no column units"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_tampering_is_found(full, out, damage):
    publish(full, out, maps=5)
    folder = next(folder for folder in sorted(out.cells.iterdir()) if folder.name.startswith("xor_cues--"))
    change, said = DAMAGE[damage]
    resealed(folder, change)
    with pytest.raises(CorruptResultError, match=said):
        _ = read(folder).examples


@pytest.mark.parametrize("change", [{"low": [-1.0] * 21}, {"mean": [1.5] * 21}, {"high": [7.0] * 21}, {"mean": []}])
def test_a_mean_curve_is_one_of_probabilities(full, out, change):
    publish(full, out, maps=5)
    folder = next(folder for folder in sorted(out.cells.iterdir()) if folder.name.startswith("xor_cues--"))
    resealed(folder, lambda r, t: r["published"]["deletion"].update(change))
    with pytest.raises(CorruptResultError, match="a mean curve has"):
        read(folder)


def test_a_changed_file_is_found_by_its_digest(full, out):
    publish(full, out)
    table = next(out.cells.glob("*/examples.parquet"))
    table.write_bytes(table.read_bytes()[:-1] + b"x")
    with pytest.raises(CorruptResultError, match="not the file that was written"):
        out.read_all()


def test_withheld_texts_that_are_there_are_damage(full, out):
    publish(full, out, maps=5)
    folder = next(folder for folder in sorted(out.cells.iterdir()) if folder.name.startswith("xor_cues--"))
    resealed(folder, lambda r, t: r["published"].update(texts=False))
    with pytest.raises(CorruptResultError, match="texts may not be published"):
        read(folder)


def test_nothing_takes_it_for_a_full_result(full, out):
    publish(full, out)
    before = contents(out.root)
    found = rescore(out)
    assert {name: content for name, content in contents(out.root).items() if name != ".writing"} == before
    assert all(one.made is None and any(map(one.lacking.get, one.lacking)) for one in found)
    assert any("published copy" in reason for one in found for reason in one.lacking.values())
    for stored in out.read_all():
        with pytest.raises(StoreError, match="is a published copy, with the scores of"):
            list(exported(stored))


def test_it_is_not_submitted(tmp_path):
    path = method_file(tmp_path, METHOD)
    store = results(tmp_path / "results", load_method(str(path)))
    copy = ResultStore(tmp_path / "copy")
    publish(store, copy)
    (missing,) = draft(copy, str(path), {}, ABOUT).missing
    assert "is a published copy" in missing
    folder = write(draft(store, str(path), {}, ABOUT), tmp_path / "submissions", Tolerance())
    files = contents(folder)
    (cell,) = copy.cells.iterdir()
    files |= {f"cells/{cell.name}/{one.name}": one.read_bytes() for one in cell.iterdir()}
    files = {name: content for name, content in files.items() if content is not None}
    seal(files)
    shutil.rmtree(folder)
    with pytest.raises(SubmissionError, match="it is a published copy"):
        read_submission(lay_out(folder, files))


def test_a_run_keeps_it_and_says_what_it_is(tmp_path, capsys, monkeypatch):
    from rich.console import Console

    from whybench.bench.progress import ProgressObserver
    from whybench.bench.tracking import Mirror

    method = load_method("random")
    copy = ResultStore(tmp_path / "copy")
    publish(results(tmp_path / "results", method), copy, maps=2)
    mirror = Mirror(copy.root, "disabled", "x", print)
    with ProgressObserver(Console(stderr=True, width=200), mirror) as observer:
        run(Plan(tasks=[load_task("xor_cues")], methods=[method], limit=4, device="cpu"), copy, observer)
    assert "a published copy: maps of 2 examples" in capsys.readouterr().err
    assert all(one.result.published for one in copy.read_all())
    silent = Silent()
    run(Plan(tasks=[load_task("xor_cues")], methods=[method], limit=4, device="cpu"), copy, silent)
    assert silent.reused and not silent.made


def test_a_rescored_cell_stands_for_the_one_it_was_made_from(tmp_path, out):
    store = ResultStore(tmp_path / "results")
    tasks, methods, few = [load_task("xor_cues")], [load_method("gradient")], ["comprehensiveness", "loo_agreement"]
    run(Plan(tasks=tasks, methods=methods, limit=3, device="cpu", metrics=few), store, Silent())
    (old,) = rescore(store)
    assert old.made is not None
    made = publish(store, out)
    assert made.replaced == 1 and list(by_cell(out)) == [old.made.result.cell]


def test_the_shortened_table_is_what_is_written(full):
    for stored in full.read_all():
        result, table = shortened(stored, 1000, texts=True)
        assert result.published.maps == len(stored.examples) == len(table)
        for name in table.column_names:
            if name != "units":
                assert table.column(name).to_pylist() == stored.examples.column(name).to_pylist(), name


def test_the_command(full, tmp_path, capsys, monkeypatch):
    def whybench(*arguments):
        monkeypatch.setattr("sys.argv", ["whybench", *map(str, arguments)])
        try:
            main()
        except SystemExit as stopped:
            return stopped.code or 0
        return 0

    assert whybench("publish", full.root, tmp_path / "a") == 0
    said = capsys.readouterr().out
    assert "results published, 0 were there already" in said
    assert "real: without texts and maps (they are of a/real)" in said and "xor_cues" not in said
    assert whybench("publish", full.root, tmp_path / "a", "--json") == 0
    assert json.loads(capsys.readouterr().out)["written"] == []
    assert whybench("publish", full.root, tmp_path / "a", "--maps", "1") == 2
    assert "is not what would be written" in capsys.readouterr().err
    assert whybench("publish", full.root, tmp_path / "b", "--texts", "some") == 2
    assert whybench("publish", tmp_path / "none", tmp_path / "b") == 2
    assert not (tmp_path / "b").exists()
    with pytest.raises(ParameterError):
        publish(full, ResultStore(tmp_path / "b"), maps=-1)
