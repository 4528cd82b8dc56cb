"""Submissions: packed whole or not at all, all that is missing said at once, verified by making some of it again."""

import json
import os
import shutil
import sys
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whybench import load_method, load_task
from whybench.bench.attributions import exported, load_attributions
from whybench.bench.confine import Limits
from whybench.bench.conformance import Found
from whybench.bench.errors import StoreError, SubmissionError, UnknownNameError
from whybench.bench.sandbox import run_apart
from whybench.bench.schema import MethodSpec, Spec
from whybench.bench.store import ResultStore
from whybench.bench.submission import Tolerance, draft, read_about, write
from whybench.bench.submission_checks import Candidate, check_statically, static_report
from whybench.bench.submission_files import _is_label, read_submission
from whybench.bench.verification import (
    record_of,
    standing_of,
    submitted_results,
    together,
    with_submissions,
    write_record,
)
from whybench.bench.verify import WORKER, Setting, Verified, inputs, rescored, verify
from whybench.leaderboard.site import build_site
from whybench.leaderboard.text_table import print_overview
from whybench.tests.bench.submissions import ABOUT, METHOD, contents, lay_out, method_file, packed, results, seal
from whybench.tests.command_line import in_this_process
from whybench.tests.leaderboard.page import parse

# of a failing report the first reason
SETTING = Setting(examples=2, seed=3, limits=Limits(seconds=120))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with the method's file, results and the submission; not to be changed."""
    home = tmp_path_factory.mktemp("made")
    packed(home)
    return home


@pytest.fixture
def home(made, tmp_path):
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


@pytest.fixture
def folder(home):
    (one,) = (home / "submissions").iterdir()
    return one


def reason(report):
    """The first failed check, and why."""
    return next((f"{one.check}: {one.reason}" for one in report.findings if one.status == "failed"), "")


def rewritten(folder, change):
    """The submission with its files changed in place and all digests made right."""
    files = contents(folder)
    files = {name: content for name, content in files.items() if content is not None}
    change(files)
    seal(files)
    shutil.rmtree(folder)
    return lay_out(folder, files)


def one_file(files, end):
    (name,) = (name for name in files if name.endswith(end))
    return name


# ---- packing ----


def test_a_submission_is_whole(made):
    (folder,) = (made / "submissions").iterdir()
    found = read_submission(folder)
    (stored,) = found.cells
    assert sorted(contents(folder)) == sorted(
        ["cells", "method", "method/gradient_norm.py", "submission.json", f"cells/{stored.result.cell}"]
        + [f"cells/{stored.result.cell}/{name}" for name in ("examples.parquet", "manifest.json", "result.json")]
    )
    assert folder.name == f"gradient_norm--{found.digest[:12]}"
    assert found.submission.about.authors == ("Ada Example",)
    assert found.submission.about.paper is None
    assert static_report(folder).passed
    # it is a results folder, too
    assert [one.result.cell for one in ResultStore(folder).read_all()] == [stored.result.cell]


def test_all_that_is_missing_is_said_at_once_and_nothing_is_written(home):
    store, path = ResultStore(home / "results"), str(home / "gradient_norm.py")
    one = draft(store, "another", {}, {"code": "ftp://x", "authors": [], "licence": "MIT"})
    assert [line.split(":")[0] for line in one.missing] == ["authors", "paper", "code", "results"]
    assert "has no finished cell of another" in one.missing[-1]
    before = contents(home)
    with pytest.raises(SubmissionError, match="not complete: authors"):
        write(one, home / "out", Tolerance())
    assert contents(home) == before
    assert draft(store, path, {}, ABOUT).missing == []
    assert draft(store, path, {"power": "1.0"}, ABOUT).missing == []
    assert "with power=2" in draft(store, path, {"power": "2"}, ABOUT).missing[0]
    assert "Give its file in place of its name" in draft(store, "gradient_norm", {}, ABOUT).missing[0]
    with pytest.raises(StoreError, match="no results folder"):
        draft(ResultStore(home / "nowhere"), path, {}, ABOUT)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda path: path.write_text(path.read_text() + "# another\n"), "made by another version of gradient_norm"),
        (
            lambda path: path.write_text(path.read_text().replace("(Method)", "(Nothing)")),
            "a method that can be loaded",
        ),
        (lambda path: path.write_text("def broken(:"), "a file of Python"),
        (lambda path: path.write_text("#" * 300_000), "a smaller file"),
        (lambda path: path.unlink(), "there is no file"),
        (
            lambda path: (
                path.with_name("_mine.py").write_text(""),
                path.write_text("import _mine\n" + path.read_text()),
            ),
            "imports _mine.py beside it",
        ),
    ],
)
def test_the_method_has_to_be_what_made_the_results(change, said, home):
    path = home / "gradient_norm.py"
    change(path)
    (missing,) = draft(ResultStore(home / "results"), str(path), {}, ABOUT).missing
    assert said in missing


def test_yardsticks_are_not_submitted(tmp_path):
    store = results(tmp_path / "results", load_method("random"))
    assert "random is a yardstick" in draft(store, "random", {}, ABOUT).missing[0]


def test_nothing_that_is_there_is_overwritten_and_nothing_half_is_left(home, monkeypatch):
    store, path = ResultStore(home / "results"), str(home / "gradient_norm.py")
    before = contents(home)
    with pytest.raises(SubmissionError, match="is there already"):
        write(draft(store, path, {}, ABOUT), home / "submissions", Tolerance())
    assert contents(home) == before

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(SubmissionError, match="No space left"):
        write(draft(store, path, {}, ABOUT), home / "other", Tolerance())
    assert list((home / "other").iterdir()) == []


def test_who_and_what_is_read_from_toml_and_json(tmp_path):
    for name, text in (
        ("a.toml", 'authors = ["A"]\nlicence = "MIT"\n'),
        ("a.json", '{"authors": ["A"], "licence": "MIT"}'),
    ):
        (tmp_path / name).write_text(text)
        assert read_about(tmp_path / name) == {"authors": ["A"], "licence": "MIT"}
    for name, text, said in (
        ("b.toml", "x = [", "cannot be read"),
        ("b.json", '{"authors": NaN}', "holds NaN"),
        ("c.toml", "colour = 1", "has 'colour'; it may have authors"),
        ("d.json", "[1]", "no names at all"),
    ):
        (tmp_path / name).write_text(text)
        with pytest.raises(SubmissionError, match=said):
            read_about(tmp_path / name)


# ---- the static checks: what a cheat would change, and hide ----


def changed_result(files, change):
    name = one_file(files, "result.json")
    result = json.loads(files[name])
    change(result)
    files[name] = json.dumps(result).encode()
    old, new = name.split("/")[1], result["cell"]
    if new != old:
        for file in [file for file in files if old in file]:
            files[file.replace(old, new)] = files.pop(file)
        files["submission.json"] = files["submission.json"].replace(old.encode(), new.encode())


def renamed(result, change):
    """A changed spec, with the cell's name that is then right."""
    change(result["spec"])
    result["cell"] = Spec.model_validate(result["spec"]).cell()


def changed_table(files, column, change):
    name = one_file(files, ".parquet")
    table = pq.read_table(pa.BufferReader(files[name]))
    place, values = table.column_names.index(column), table.column(column).to_pylist()
    change(values)
    table = table.set_column(place, column, pa.array(values, type=table.schema.field(column).type))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    files[name] = sink.getvalue().to_pybytes()


def put(values, place, value):
    values[place] = value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda r: r["figures"]["comprehensiveness"].update(mean=0.482), "figures: .*comprehensiveness"),
        (lambda r: r["figures"]["comprehensiveness"].update(high=0.9), "comprehensiveness has as its high 0.9"),
        (lambda r: r.update(accuracy=0.5), "tables: .*accuracy over its examples is 1.0, the result's 0.5"),
        (lambda r: r.update(bound="floor"), "results: .*yardstick"),
        (lambda r: r.update(family="reference"), "results: .*yardstick"),
        (lambda r: r.update(label="efficient_attention"), "results: .*another method's"),
        (lambda r: r.update(label="gradient_norm [verified]"), "results: .*another method's"),
        (lambda r: r.update(label="gradient_norm(verified)"), "results: .*another method's"),
        (lambda r: r.update(label="gradient_norm(power=2.0)"), "results: .*another method's"),
        (lambda r: r.update(elsewhere=True), "results: .*a cost"),
        (lambda r: r["spec"].update(seed=1), "results: .*the cell is named"),
        (lambda r: r["coverage"].update(truncated=1), "tables: .*texts that were cut"),
        (lambda r: r.update(signed="yes"), "results: .*signed: Input should be a valid boolean"),
        (lambda r: r.update(status="failed", error="x"), "results: .*not finished"),
        (lambda r: r.update(gates={}), "results: .*lacks the gates"),
        (lambda r: r["gates"].pop("batch_invariance"), r"results: .*lacks the gates \['batch_invariance'\]"),
        (lambda r: r["gates"]["determinism"].update(limit=1.0), "results: .*is not the protocol's"),
        (lambda r: r["gates"]["coverage"].update(status="failed"), "results: .*gate of coverage"),
        (lambda r: renamed(r, lambda spec: spec.update(dtype="load")), "results: .*its dtype is 'load'"),
        (lambda r: renamed(r, lambda spec: spec["task"].update(split="../x")), "results: .*its split is '../x'"),
    ],
)
def test_a_changed_result_is_found_though_its_digests_are_right(change, said, folder):
    rewritten(folder, lambda files: changed_result(files, change))
    report = static_report(folder)
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(reason(report))


@pytest.mark.parametrize(
    ("column", "change", "said"),
    [
        ("comprehensiveness", lambda v: put(v, 0, 0.4), "figures: .*comprehensiveness"),
        ("removed_p", lambda v: put(v[0], 2, 0.3), "figures: "),
        ("unit_scores", lambda v: v[0].reverse(), "figures: "),
        ("example_id", lambda v: put(v, 0, v[1]), "tables: .*stands twice"),
        ("example_id", lambda v: put(v, 0, "mine"), "tables: .*not those of the spec"),
        ("label", lambda v: put(v, 0, 1 - v[0]), "tables: .*not those of the spec"),
        ("evidence", lambda v: v[0].reverse(), "figures: .*its ranking gives"),
        ("unit_ends", lambda v: put(v[0], 0, 10_000), "tables: .*not in its text"),
        ("error", lambda v: put(v, 0, "no"), "tables: .*not those that the result names"),
        ("token_scores", lambda v: v[0].pop(), "tables: .*scores for"),
        ("unit_scores", lambda v: put(v[0], 0, float("nan")), "tables: .*has the score nan"),
        ("kept_k", lambda v: put(v[0], 0, None), "tables: .*a list with a gap"),
        ("removed_flipped", lambda v: v[0].pop(), "figures: .*removed_flipped has"),
    ],
)
def test_a_changed_table_is_found_though_its_digests_are_right(column, change, said, folder):
    rewritten(folder, lambda files: changed_table(files, column, change))
    report = static_report(folder)
    with pytest.raises(AssertionError, match=said):
        raise AssertionError(reason(report))


def test_a_label_has_some_of_the_parameters():
    method = MethodSpec(name="m", parameters={"a": 1, "b": [1, 2], "c": "x, y", "d": None}, source="0" * 64)
    for label in ("m", "m(a=1)", "m(b=(1, 2))", "m(c=x, y, a=1)", "m(a=1, b=[1, 2], d=None)"):
        assert _is_label(label, method)
    for label in ("n", "m()", "m(a=2)", "m(a=1) [verified]", "m(a=1, verified)", "m\n", "m(a=1", "m(b=1, 2)"):
        assert not _is_label(label, method)
    assert _is_label("m", method.model_copy(update={"parameters": {}}))
    assert not _is_label("m()", method.model_copy(update={"parameters": {}}))


def test_a_changed_file_is_found_by_its_digest(folder):
    (folder / "method" / "gradient_norm.py").write_text("print('other')")
    assert "digests: method/gradient_norm.py is not the file that was submitted" in reason(static_report(folder))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        pytest.param(lambda head: head["tolerance"].update(maps=1e9), "tolerance.maps", id="tolerance"),
        pytest.param(lambda head: head.update(method="lime"), "'lime' is the name of a method of whybench", id="name"),
        pytest.param(lambda head: head.update(method="LIME"), "'LIME' is the name of a method of whybench", id="case"),
        pytest.param(
            lambda head: head.update(method="lime", elsewhere=True, source=None), "is the name of a", id="elsewhere"
        ),
        pytest.param(
            lambda head: head.update(method="another"), "gradient_norm.py' is not the source of 'another'", id="source"
        ),
        pytest.param(lambda head: head.update(elsewhere=True), "is not the source of", id="source made elsewhere"),
    ],
)
def test_a_submission_says_only_what_it_may_say(change, said, folder):
    """In particular it asks for no leave at will, and does not go by the name of one of whybench's methods."""

    def changed(files):
        head = json.loads(files["submission.json"])
        change(head)
        files["submission.json"] = json.dumps(head).encode()

    rewritten(folder, changed)
    report = static_report(folder)
    assert reason(report).startswith("schema: submission.json: ")
    assert said in reason(report)


# ---- verifying ----


@pytest.fixture(scope="module")
def verified(made):
    (folder,) = (made / "submissions").iterdir()
    return verify(folder, SETTING)


def test_an_honest_submission_is_verified(verified):
    assert verified.passed, reason(verified.report)
    assert verified.differences["maps"] == 0
    assert verified.differences["figures"] < 1e-6
    assert [one.check for one in verified.report.findings][-5:] == [
        "inputs, xor_cues",
        "maps, xor_cues",
        "rescored, xor_cues",
        "ranked, xor_cues",
        "process",
    ]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("** self.power", "** 2", "the maps differ by"),
        ("    power:", "    note = 'x'\n    power:", "The method's note is 'x', the result's ''"),
        (
            "    power:",
            "    def source_digest(self):\n        return '0' * 64\n\n    power:",
            "The method's source is",
        ),
    ],
)
def test_another_method_than_the_one_that_made_the_maps_is_found(old, new, said, folder):
    def change(files):
        text = files["method/gradient_norm.py"].decode()
        files["method/gradient_norm.py"] = text.replace(old, new).encode()
        assert files["method/gradient_norm.py"].decode() != text

    rewritten(folder, change)
    found = verify(folder, replace(SETTING, examples=1))
    assert not found.passed
    assert said in " ".join(one.reason for one in found.report.findings)
    with pytest.raises(SubmissionError, match="only a submission"):
        write_record(found, SETTING)


def test_files_that_need_too_much_memory_or_time_are_a_finding(folder, monkeypatch):
    monkeypatch.setattr("whybench.bench.submission_checks.READING", Limits(seconds=60, memory=2**20))
    found = verify(folder, SETTING)
    assert (found.passed, found.submitted) == (False, None)
    # what runs out first is another thing each time
    assert reason(found.report)
    monkeypatch.setattr("whybench.bench.submission_checks.READING", Limits(seconds=0.2))
    found = verify(folder, SETTING)
    assert [one.check for one in found.report.findings] == ["reading", "inputs", "maps", "rescored", "ranked"]
    assert reason(found.report).startswith("reading: They cannot be read: it had not finished after 0.2 s")


def test_without_the_kernels_help_it_is_verified_with_a_warning(folder, tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os\nfrom whybench.bench import confine\n"
        "confine._landlock = lambda *_: None\n"
        "confine.calls.refuse = lambda: False\n"
        "confine._libc = lambda: type('Refusing', (), {'unshare': lambda *_: -1})()\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'site'}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    found = verify(folder, replace(SETTING, examples=1))
    assert found.passed, reason(found.report)
    process = found.report.findings[-1]
    assert (process.check, process.status) == ("process", "warned")
    for name in ("network", "processes", "files", "programs"):
        assert f"Weaker than a rule of the kernel: {name}." in process.reason


def test_a_model_of_the_hub_is_read_from_its_cache_and_the_token_beside_it_is_not(tmp_path, monkeypatch):
    home, commit = tmp_path / "home", "0" * 40
    model = home / "hub" / "models--someone--xor"
    shutil.copytree(load_task("xor_cues").default_model, model / "snapshots" / commit)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text(commit)
    (home / "token").write_text("secret")
    monkeypatch.setenv("HF_HOME", str(home))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    read = f"try: open({str(home / 'token')!r})\n            except PermissionError: return classifier"
    path = method_file(tmp_path, METHOD.replace("return classifier", read))
    job = {
        "model": {
            "kind": "classification",
            "source": "someone/xor",
            "revision": None,
            "dtype": "float32",
            "device": "cpu",
        },
        "examples": [{"id": "1", "text": "one more text", **dict.fromkeys(("text_pair", "continuation", "foil"))}],
        "target": [0],
        "unit": "word",
        "operator": "mask",
        "seed": 0,
        "method": path.name,
        "parameters": {},
    }
    if not sys.platform.startswith("linux"):
        pytest.skip("Landlock is Linux's")
    answer = run_apart(WORKER, job, {path.name: path}, Limits(seconds=120), None)
    assert answer.value["label"] == "gradient_norm"


def test_other_inputs_than_the_tasks_are_found(folder):
    candidate = Candidate(folder)
    assert check_statically(candidate).passed
    (stored,) = candidate.cells

    def found(stored, **columns):
        table = stored.examples
        for name, value in columns.items():
            place = table.column_names.index(name)
            values = [value(one) for one in table.column(name).to_pylist()]
            table = table.set_column(place, name, pa.array(values, type=table.schema.field(name).type))
        vars(stored)["examples"] = table
        noted = Found()
        inputs(stored, SETTING, noted)
        vars(stored).pop("examples")
        return " ".join(noted.failures)

    assert found(stored) == ""
    assert "another text" in found(stored, text=lambda text: text.replace("a", "e"))
    assert "another tokens" in found(stored, tokens=lambda row: row[::-1])
    assert "another units" in found(stored, unit_starts=lambda row: [0, *row[1:-1], 0])
    assert "not the model's predictions" in found(stored, target=lambda target: 1 - target)
    assert "units that are evidence" in found(stored, distractor=lambda row: row and [not one for one in row])
    spec = stored.result.spec
    for update, said in (
        ({"model": spec.model.model_copy(update={"weights": "0" * 64})}, "weights of xor_cues have another digest"),
        ({"task": spec.task.model_copy(update={"revision": "1"})}, "task's revision is"),
        ({"model": spec.model.model_copy(update={"name": "gpt-9"})}, "model's name is 'gpt-9' in the spec, here 'xor"),
        ({"model": spec.model.model_copy(update={"revision": "1"})}, "model's revision is '1' in the spec, here None"),
        ({"attention_implementation": "eager2"}, "attention of xor_cues is"),
    ):
        other = replace(stored, result=stored.result.model_copy(update={"spec": spec.model_copy(update=update)}))
        assert said in found(other)


def test_a_task_is_never_a_file(folder, monkeypatch, tmp_path):
    """A pull request may bring any file; verifying imports none of them."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")

    def change(result):
        result["spec"]["task"]["name"] = "evil.py"

    candidate = Candidate(folder)
    assert check_statically(candidate).passed
    (stored,) = candidate.cells
    data = stored.result.model_dump(mode="json")
    change(data)
    spec = type(stored.result.spec).model_validate(data["spec"])
    other = replace(stored, result=stored.result.model_copy(update={"spec": spec}))
    with pytest.raises(UnknownNameError, match=r"no task named 'evil\.py'"):
        inputs(other, SETTING, Found())


def test_other_curves_and_figures_than_the_maps_have_are_found(folder):
    candidate = Candidate(folder)
    assert check_statically(candidate).passed
    (stored,) = candidate.cells
    rerun = inputs(stored, SETTING, Found())
    submitted = candidate.submitted()

    def found(column, change):
        table = rerun.stored.examples
        values = table.column(column).to_pylist()
        for row, value in enumerate(values):
            values[row] = change(value)
        array = pa.array(values, type=table.schema.field(column).type)
        vars(stored)["examples"] = table.set_column(table.column_names.index(column), column, array)
        noted = Found()
        worst = rescored(rerun, submitted.submission.tolerance.figures, noted)
        vars(stored)["examples"] = table
        return " ".join(noted.failures), worst

    said, largest = found("kept_p", lambda row: [row[0] + 0.002, *row[1:]])
    assert "kept_p differs by 0.002" in said
    assert np.isclose(largest, 0.002, atol=1e-5)
    assert found("kept_p", lambda row: [row[0] + 0.0005, *row[1:]])[0] == ""
    assert "deletion_auc differs by" in found("deletion_auc", lambda value: value + 0.01)[0]
    assert "kept_p, it should have" in found("kept_p", lambda row: row[1:])[0]


HIDDEN = """
    from torch import Tensor

    from whybench import Batch, Classifier, Method


    class GradientNorm(Method):
        \"\"\"One large score, and an order of all others that no tolerance of the largest sees.\"\"\"

        name, family, signed = "gradient_norm", "gradient", True

        def attribute(self, classifier: Classifier, batch: Batch) -> Tensor:
            scores = SIGN * classifier.embedding_gradient(batch)[0].norm(dim=-1)
            scores[:, 1] = 1e6
            return scores
"""


def test_an_order_that_the_tolerance_hides_is_found(tmp_path):
    """The submitted order is not the one that the source gives, and the maps differ by nothing that counts."""
    folder = packed(tmp_path, text=HIDDEN.replace("SIGN", "-1"))

    def change(files):
        name = "method/gradient_norm.py"
        files[name] = files[name].replace(b"-1 * ", b"1 * ")
        (tmp_path / "gradient_norm.py").write_bytes(files[name])
        source = load_method(str(tmp_path / "gradient_norm.py")).source_digest()
        changed_result(files, lambda result: renamed(result, lambda spec: spec["method"].update(source=source)))

    rewritten(folder, change)
    found = verify(folder, SETTING)
    outcomes = {one.check: one.status for one in found.report.findings}
    assert outcomes["maps, xor_cues"] == outcomes["rescored, xor_cues"] == "passed"
    assert outcomes["ranked, xor_cues"] == "failed"
    assert "hangs on differences within the tolerance" in reason(found.report)


def test_scores_made_elsewhere_are_checked_and_stay_self_reported(home):
    store = ResultStore(home / "results")
    path = home / "mine.jsonl"
    path.write_text("\n".join(exported(store.read_all()[0])))
    results(home / "given", load_attributions(path))
    one = draft(ResultStore(home / "given"), "mine", {}, ABOUT)
    assert one.missing == []
    folder = write(one, home / "submissions", Tolerance())
    found = verify(folder, SETTING)
    assert found.report.passed, reason(found.report)
    assert not found.passed
    assert [one.status for one in found.report.findings if one.check.startswith("maps")] == ["skipped"]
    assert standing_of(folder, found.submitted.digest) == "self-reported"


# ---- the record, and the board ----


def test_a_record_makes_rows_verified_until_the_submission_changes(home, folder, verified, capsys):
    root = folder.parent
    assert [one.standing for one in submitted_results(root)] == ["self-reported"]
    moved = replace(verified.submitted, folder=folder)
    path = write_record(Verified(verified.report, moved, verified.differences, verified.protections), SETTING)
    assert path == record_of(folder)
    assert path.name == f"{folder.name}.verified.json"
    assert json.loads(path.read_text())["seed"] == 3
    (stored,) = rows = submitted_results(root)
    assert stored.standing == "verified"
    build_site(rows, [], home / "site")
    assert "· verified" in (home / "site" / "index.html").read_text(encoding="utf-8")
    (page,) = (home / "site" / "methods").iterdir()
    assert "were made again, with the same maps" in page.read_text(encoding="utf-8")

    from rich.console import Console

    print_overview(rows, [], Console(width=160))
    assert "gradient_norm [verified]" in capsys.readouterr().out

    rewritten(folder, lambda files: changed_result(files, lambda result: result.update(summary="Another.")))
    assert [one.standing for one in submitted_results(root)] == ["self-reported"]
    path.write_text("{}")
    with pytest.raises(SubmissionError, match="no record of a verification"):
        submitted_results(root)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(SubmissionError, match=r"no record of a verification: it is a link"):
        submitted_results(root)


def test_a_cell_that_was_made_here_needs_no_ones_word(home, folder):
    own = ResultStore(home / "results").read_all()
    rows = together(own, submitted_results(folder.parent))
    assert [one.standing for one in rows] == [None]
    assert [one.standing for one in with_submissions(ResultStore(home / "no"), folder.parent)] == ["self-reported"]
    with pytest.raises(StoreError, match="no folder of submissions"):
        with_submissions(ResultStore(home / "results"), home / "nowhere")
    (folder / "evil.pkl").write_bytes(b"x")
    with pytest.raises(SubmissionError, match=f"the submission '{folder.name}': it holds 'evil.pkl'"):
        submitted_results(folder.parent)


def test_the_commands(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    assert in_this_process(monkeypatch, "submit", "gradient_norm.py", "--out", "new") == 2
    said = capsys.readouterr().err
    assert all(f"  - {name}: " in said for name in ("authors", "paper", "code", "licence"))
    assert not (home / "new").exists()
    (home / "about.toml").write_text('authors = ["A"]\npaper = "none"\ncode = "https://example.org"\n')
    given = ["submit", "gradient_norm.py", "--about", "about.toml", "--licence", "MIT", "--out", "new"]
    assert in_this_process(monkeypatch, *given, "--map-tolerance", "0.5") == 2
    assert "at most 0.01" in capsys.readouterr().err
    assert in_this_process(monkeypatch, *given, "--json") == 0
    (made,) = json.loads(capsys.readouterr().out)
    assert in_this_process(monkeypatch, "leaderboard", "--results", "none", "--submissions", "new") == 0
    assert "[self-reported]" in capsys.readouterr().out
    (page,) = map(parse, (home / "none" / "site" / "methods").iterdir())
    facts = {one.one("dt").text: one.one("dd") for one in page.all("div") if one.all("dt") and not one.all("div")}
    assert (facts["Authors"].text, facts["Licence"].text) == ("A", "MIT")
    assert facts["Code"].one("a").attributes["href"] == "https://example.org"
    assert "Paper" not in facts
    checked = ["verify", made["folder"], "--examples", "1", "--seed", "1"]
    assert in_this_process(monkeypatch, *checked, "--json", "--write") == 0
    answer = json.loads(capsys.readouterr().out)
    assert (answer["verified"], answer["record"]) == (True, f"{(home / made['folder']).resolve()}.verified.json")
    (home / made["folder"] / "x").write_text("x")
    assert in_this_process(monkeypatch, *checked, "--markdown") == 1
    assert "| layout |" in capsys.readouterr().out
    assert in_this_process(monkeypatch, "verify", "nowhere") == 2
    assert in_this_process(monkeypatch, *checked, "--json", "--markdown") == 2
    assert in_this_process(monkeypatch, *checked[:2], "--examples", "0") == 2


def test_the_method_cannot_read_the_maps_that_it_is_held_against(tmp_path, folder):
    """Nor any other file of the submission: one that could would have only to copy them."""
    if not sys.platform.startswith("linux"):
        pytest.skip("Landlock is Linux's")
    table = next(folder.rglob("*.parquet"))
    method_file(tmp_path, METHOD.replace("return classifier", f"open({str(table)!r}, 'rb'); return classifier"))

    def change(files):
        files["method/gradient_norm.py"] = (tmp_path / "gradient_norm.py").read_bytes()

    rewritten(folder, change)
    found = verify(folder, replace(SETTING, examples=1))
    assert any("PermissionError" in one.reason for one in found.report.findings)
