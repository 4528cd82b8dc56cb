"""The table of checks on tasks: each check passes what is right and fails what is wrong, and never raises."""

import json
import subprocess
import textwrap

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score

from whybench import load_task
from whybench.bench.conformance import Found
from whybench.bench.errors import DataError, ModelError, ParameterError, UnknownNameError
from whybench.bench.fewer_rows import fewer_rows
from whybench.bench.task_checks import CHECKS, check_task
from whybench.bench.task_data_checks import other_process, revision
from whybench.bench.task_subject import Subject
from whybench.tasks.builtin import checkpoint
from whybench.tests.tasks.checkpoints import pretrained

XOR = checkpoint("xor_cues")

TASK = """
    from whybench import Example, Span, Task, TaskData
    from whybench.bench.data import examples_of, read_rows
    from whybench.tasks.builtin import checkpoint

    TEXTS = ["red saddle round", "saddle blue round apple", "apple blue square", "square winter red"] * 5
    LABELS = [0, 1, 0, 1] * 5
    CUES = {"red", "blue", "round", "square"}

    def spans(text):
        return tuple(Span(0, text.index(w), text.index(w) + len(w)) for w in text.split() if w in CUES)

    class Mine(Task):
        \"\"\"Two cues.\"\"\"

        name, summary, suite, licence = "mine", "Two cues", "own", "MIT"
        labels = ("match", "mismatch")
        evidence = "planted"
        default_model = checkpoint("xor_cues")

        def load(self, data=None, split=None):
            examples = [Example(str(i), t, None, l, spans(t)) for i, (t, l) in enumerate(zip(TEXTS, LABELS))]
            return TaskData(examples, "test", "1")
"""

NEXT = """
    from whybench import Example, Span, Task, TaskData
    from whybench.tasks.builtin import checkpoint

    TEXTS = [("ada tea ben milk cara soda ada", " tea", " milk"), ("ben tea ada milk cara soda ada", " milk", " tea")]

    class Drinks(Task):
        \"\"\"Who drinks what.\"\"\"

        name, summary, suite, licence, kind = "drinks", "Who drinks what", "own", "MIT", "next_token"
        labels = ("continuation", "foil")
        default_model = checkpoint("induction")

        def load(self, data=None, split=None):
            rows = [(i, text, word, foil) for i, (text, word, foil) in enumerate(TEXTS * 10)]
            examples = [Example(str(i), t, None, 0, continuation=word, foil=foil) for i, t, word, foil in rows]
            return TaskData(examples, "test", "1")
"""

READS = """
    from whybench import Task, TaskData
    from whybench.bench.data import examples_of, read_rows

    class Mine(Task):
        \"\"\"Sentences.\"\"\"

        name, summary, suite, licence, citation = "mine", "Sentences", "own", "MIT", "Nobody"
        labels = ("match", "mismatch")
        dataset, dataset_revision, default_model = "own/sentences", "0" * 39 + "1", ""

        def load(self, data=None, split=None):
            columns = {"text": ("text",), "label": ("label",)}
            rows = read_rows(self.dataset, self.dataset_revision, split or "test", columns, data)
            return TaskData(examples_of(rows, self.labels), rows.split, rows.revision)
"""


@pytest.fixture
def write(tmp_path):
    """Write the task with some of its text replaced; returns its path."""

    def write(*changes, text=TASK):
        for before, after in changes:
            assert before in text, before
            text = text.replace(before, after)
        path = tmp_path / "mine.py"
        path.write_text(textwrap.dedent(text))
        return str(path)

    return write


def statuses(report):
    return {finding.check: finding.status for finding in report.findings}


def reason(report, check):
    (finding,) = [finding for finding in report.findings if finding.check == check]
    return finding.reason


def found_by(check, name, path=None):
    found = Found()
    check.run(Subject(name, path), found)
    return found


def rows(folder, lines):
    path = folder / "test.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_a_good_task_passes_everything(write):
    report = check_task(write())
    assert report.passed
    assert {check for check, status in statuses(report).items() if status != "passed"} == {"revision"}
    assert len({check.name for check in CHECKS}) == len(CHECKS) == len(report.findings)
    assert all(finding.promise.endswith(".") for finding in report.findings)


EXAMPLE = "Example(str(i), t, None, l, spans(t))"
BROKEN = {
    "syntax": ([("class Mine", "class class")], "file", "SyntaxError"),
    "raises": ([("CUES = {", "raise RuntimeError('out of luck')\n    CUES = {")], "file", "out of luck"),
    "leaves": ([("CUES = {", "import sys; sys.exit(3)\n    CUES = {")], "file", "SystemExit"),
    "other name": ([('"mine", "Two', '"yours", "Two')], "file", "name = 'mine'"),
    "no labels": ([('labels = ("match", "mismatch")', "")], "file", "labels"),
    "to do": ([('"Two cues", "own"', '"TODO: say it", "own"')], "declarations", "Still to do: summary"),
    "no licence": ([('"MIT"', '""')], "declarations", "licence is empty"),
    "two lines": ([('"Two cues", "own"', '"Two\\ncues", "own"')], "declarations", "one line"),
    "operator": ([('evidence = "planted"', 'evidence = "planted"; operator = "cut"')], "declarations", "'cut'"),
    "evidence kind": ([('evidence = "planted"', 'evidence = "guessed"')], "declarations", "'guessed'"),
    "no docstring": ([('"""Two cues."""', "pass")], "declarations", "docstring"),
    "no citation": (
        [("labels = (", 'dataset, dataset_revision = "a/b", "0" * 40; labels = (')],
        "declarations",
        "citation is empty",
    ),
    "dataset": ([("labels = (", 'dataset, dataset_revision = "a/b", "main"; labels = (')], "pinned", "40 hexadecimal"),
    "no reason": ([("labels = (", 'dataset, dataset_revision = "a/b", None; labels = (')], "pinned", "40 hexadecimal"),
    "Hub model": ([('checkpoint("xor_cues")', '"a/b"')], "pinned", "default_model_revision is None"),
    "folder": ([('checkpoint("xor_cues")', '"/nowhere/model"')], "pinned", "'model', which is not there"),
    "one label": ([('("match", "mismatch")', '("match",)')], "label_names", "two different names"),
    "same label": ([('("match", "mismatch")', '("match", "match")')], "label_names", "two different names"),
    "load raises": ([("examples = [", "raise KeyError('gone'); examples = [")], "data", "KeyError: 'gone' (mine.py"),
    "load gives a list": ([('TaskData(examples, "test", "1")', "examples")], "data", "must be a TaskData"),
    "no examples": ([("TaskData(examples,", "TaskData([],")], "data", "at least one"),
    "texts as examples": ([("TaskData(examples,", "TaskData(TEXTS,")], "data", "'red saddle round'"),
    "no revision": ([('"test", "1"', '"test", ""')], "data", "revision is ''"),
    "same id": ([("Example(str(i)", 'Example("1"')], "ids", "Ids that occur again: '1'"),
    "id with a tab": ([("Example(str(i)", 'Example(f"{i}\\t"')], "ids", "no names"),
    "empty text": ([(EXAMPLE, 'Example(str(i), t if i else " ", None, l, spans(t))')], "texts", "in: 0."),
    "no text": ([(EXAMPLE, "Example(str(i), t if i else None, None, l, spans(t))")], "texts", "in: 0."),
    "some pairs": ([(EXAMPLE, "Example(str(i), t, t if i else None, l, spans(t))")], "texts", "19 of 20"),
    "label beyond": ([(EXAMPLE, "Example(str(i), t, None, l + 1, spans(t))")], "labels", "1 has 2"),
    "label as text": ([(EXAMPLE, "Example(str(i), t, None, str(l), spans(t))")], "labels", "0 has '0'"),
    "undeclared": ([('evidence = "planted"', "")], "evidence", "20 examples have some"),
    "not planted": ([(EXAMPLE, "Example(str(i), t, None, l, spans(t) if i else ())")], "evidence", "in: 0."),
    "behind the end": ([(EXAMPLE, "Example(str(i), t, None, l, (Span(0, 2, 99),))")], "evidence", "(0, 2, 99)"),
    "other segment": ([(EXAMPLE, "Example(str(i), t, None, l, (Span(1, 0, 3),))")], "evidence", "(1, 0, 3)"),
    "blank": (
        [(EXAMPLE, "Example(str(i), t, None, l, (Span(0, t.index(' '), t.index(' ') + 1),))")],
        "evidence",
        "blank",
    ),
    "backwards": ([(EXAMPLE, "Example(str(i), t, None, l, (Span(0, 3, 3),))")], "evidence", "(0, 3, 3)"),
    "everything": ([(EXAMPLE, "Example(str(i), t, None, l, (Span(0, 0, len(t)),))")], "evidence", "any ranking finds"),
    "all units": (
        [(EXAMPLE, "Example(str(i), t, None, l, tuple(Span(0, t.index(w), t.index(w) + 1) for w in t.split()))")],
        "units",
        "All units are evidence",
    ),
    "shuffled": (
        [("return TaskData", "import random; random.shuffle(examples)\n            return TaskData")],
        "repeatable",
        "examples, sample",
    ),
    "new revision": ([('"test", "1"', '"test", str(__import__("time").time_ns())')], "repeatable", "revision"),
    "hashes": (
        [("enumerate(zip(TEXTS, LABELS))", "enumerate(sorted(zip(TEXTS, LABELS), key=hash))")],
        "other_process",
        "examples, sample",
    ),
    "no such model": ([('checkpoint("xor_cues")', 'checkpoint("gone")')], "model", "no model folder"),
    "operator of the model": (
        [('checkpoint("xor_cues")', "MODEL"), ("class Mine", "MODEL = '@model'\n    class Mine")],
        "operator",
        "has no mask token",
    ),
    "other labels": ([('("match", "mismatch")', '("yes", "no")')], "model_labels", "none of the model's"),
    "swapped labels": ([('("match", "mismatch")', '("mismatch", "match")')], "agreement", "in another order?"),
    "guessing": ([("LABELS = [0, 1, 0, 1]", "LABELS = [0, 0, 1, 1]")], "agreement", "does not do this task"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_wrong_is_a_failed_check_with_its_reason(case, write, monkeypatch, tmp_path):
    changes, check, message = BROKEN[case]
    text = TASK
    if case == "operator of the model":
        # the same model with a tokenizer that has no mask token
        tokenizer, model = pretrained(XOR)
        model.save_pretrained(tmp_path / "model")
        kinds = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
        type(tokenizer)(tokenizer_object=tokenizer.backend_tokenizer, **kinds).save_pretrained(tmp_path / "model")
        text = TASK.replace('evidence = "planted"', 'evidence = "planted"; operator = "mask"')
        changes = [(before, after.replace("@model", str(tmp_path / "model"))) for before, after in changes]
    report = check_task(write(*changes, text=text), hub=False)
    assert statuses(report)[check] == "failed", report.findings
    assert message in reason(report, check)
    assert not report.passed
    # what hangs on it is skipped, and says why
    assert all(finding.reason for finding in report.findings if finding.status in ("failed", "skipped", "warned"))


def test_what_depends_on_a_part_that_is_not_there_is_skipped(write):
    report = check_task(write(("examples = [", "raise KeyError('gone'); examples = [")))
    found = statuses(report)
    assert found["ids"] == found["other_process"] == found["agreement"] == "skipped"
    assert reason(report, "agreement") == "See data."
    assert found["model"] == "passed"


WARNED = {
    "class that never occurs": ([('("match", "mismatch")', '("match", "mismatch", "other")')], "labels", "other"),
    "no labels at all": ([(", None, l, spans(t)", ", None, None, spans(t)")], "labels", "No example has a label"),
    "some that are everything": (
        [('"planted"', '"human"'), (EXAMPLE, "Example(str(i), t, None, l, spans(t) if i else (Span(0, 0, len(t)),))")],
        "evidence",
        "in 1 examples",
    ),
    "unpinned with a reason": (
        [("labels = (", 'dataset, dataset_revision = "a/b", None; labels = ('), ("Two cues.", "No commit is known.")],
        "pinned",
        "what the Hub has on the day",
    ),
    "few examples": ([('apple", "apple blue square", "square winter red"] * 5', 'apple"]')], "agreement", "So few"),
}


@pytest.mark.parametrize("case", WARNED)
def test_what_is_seldom_meant_is_a_warning(case, write):
    changes, check, message = WARNED[case]
    report = check_task(write(*changes))
    assert statuses(report)[check] == "warned", reason(report, check)
    assert message in reason(report, check)


def test_many_truncated_texts_are_a_warning(write):
    changes = [(EXAMPLE, 'Example(str(i), t + " apple" * 80, None, l, spans(t))')]
    report = check_task(write(*changes))
    assert statuses(report)["lengths"] == "warned"
    assert "100% of the texts are longer than the model's 64 tokens" in reason(report, "lengths")
    cut = [
        (
            EXAMPLE,
            'Example(str(i), "apple " * 80 + t, None, l, tuple(Span(0, s + 480, e + 480) for _, s, e in spans(t)))',
        )
    ]
    assert statuses(check_task(write(*cut)))["units"] == "failed"
    human = check_task(write(*cut, ('"planted"', '"human"')))
    assert "The evidence of 20 examples is behind the model's limit" in reason(human, "units")


def test_bare_label_numbers_are_a_warning(write, tmp_path):
    tokenizer, model = pretrained.__wrapped__(XOR)
    model.config.id2label = {0: "LABEL_0", 1: "LABEL_1"}
    model.config.label2id = {"LABEL_0": 0, "LABEL_1": 1}
    model.save_pretrained(tmp_path / "bare")
    tokenizer.save_pretrained(tmp_path / "bare")
    report = check_task(write(), model=str(tmp_path / "bare"))
    assert statuses(report)["model_labels"] == "warned"
    assert "bare numbers" in reason(report, "model_labels")


def test_agreement_is_what_others_compute():
    report = check_task("majority", limit=60)
    (facts,) = [finding.facts for finding in report.findings if finding.check == "agreement"]
    task = load_task("majority")
    examples = Subject("majority", limit=60).examples
    tokenizer, model = pretrained(task.default_model)
    encoded = tokenizer([e.text for e in examples], padding=True, return_tensors="pt")
    gold = np.array([e.label for e in examples])
    assert facts["accuracy"] == pytest.approx(accuracy_score(gold, model(**encoded).logits.argmax(-1).numpy()))
    dummy = DummyClassifier(strategy="most_frequent").fit(gold[:, None], gold)
    assert facts["most common label"] == pytest.approx(dummy.score(gold[:, None], gold))
    assert facts["examples"] == 60


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "parquet"])
def test_the_revision_of_local_files_changes_with_a_row(suffix, write, tmp_path):
    import datasets

    table = datasets.Dataset.from_dict({"text": ["red\nround", "blue, round", "red square"], "label": [0, 1, 1]})
    path = tmp_path / f"test.{suffix}"
    if suffix == "parquet":
        table.to_parquet(path)
    elif suffix == "csv":
        table.to_csv(path)
    else:
        table.to_json(path, lines=suffix == "jsonl")
    before = path.read_bytes()
    name = write(text=READS)
    assert found_by(revision, name, path) == found_by(revision, name, tmp_path) == Found()
    assert path.read_bytes() == before
    # the copy has the same rows but the last
    with fewer_rows(path) as fewer:
        whole, less = (load_task(name).load(place).examples for place in (path, fewer))
    assert [(e.text, e.label) for e in less] == [(e.text, e.label) for e in whole][:-1]
    fixed = write(("rows.revision)", '"1")'), text=READS)
    assert "one row fewer" in found_by(revision, fixed, path).failures[0]


def test_a_task_that_reads_local_files_is_checked_whole(write, tmp_path):
    lines = [{"text": text, "label": label} for text, label in (("red round", 0), ("blue round", 1), ("red square", 1))]
    rows(tmp_path, lines)
    report = check_task(write(text=READS), data=tmp_path, model=XOR)
    assert report.passed, report.findings
    assert "skipped" not in statuses(report).values()


def test_the_revision_of_a_hub_dataset_is_its_commit(write, monkeypatch):
    import datasets

    loaded = datasets.Dataset.from_dict({"text": ["red round", "blue round"], "label": [0, 1]})
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: loaded)
    assert found_by(revision, write(text=READS)) == Found()
    assert "must be 0000" in found_by(revision, write(("rows.revision)", '"main")'), text=READS)).failures[0]
    loose = [('"0" * 39 + "1"', "None"), ("self.dataset_revision, split", '"main", split')]
    assert "must be the commit" in found_by(revision, write(*loose, text=READS)).failures[0]


def test_without_data_or_model_the_rest_is_skipped_with_the_remedy(write, monkeypatch):
    import datasets

    def nowhere(*_, **__):
        raise ConnectionError("no way to the Hub")

    monkeypatch.setattr(datasets, "load_dataset", nowhere)
    report = check_task(write(text=READS))
    found = statuses(report)
    assert report.passed
    assert found["data"] == found["labels"] == found["model"] == found["agreement"] == "skipped"
    assert "--data" in reason(report, "data")
    assert "--model" in reason(report, "model")
    # a dataset that is not there is another thing
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: 1 / 0)
    assert statuses(check_task(write(text=READS)))["data"] == "failed"


def test_a_hub_model_that_cannot_be_reached_is_skipped(write, monkeypatch):
    from transformers import AutoTokenizer

    def nowhere(*_, **__):
        raise OSError("cannot connect") from ConnectionError("no way to the Hub")

    monkeypatch.setattr(AutoTokenizer, "from_pretrained", nowhere)
    change = ('checkpoint("xor_cues")', '"a/b"; default_model_revision = "0" * 40')
    report = check_task(write(change))
    assert statuses(report)["model"] == "skipped"
    assert report.passed
    monkeypatch.setattr(AutoTokenizer, "from_pretrained", lambda *_, **__: 1 / 0)
    assert statuses(check_task(write(change)))["model"] == "failed"


def test_a_missing_column_is_named(write, tmp_path):
    rows(tmp_path, [{"words": "red round", "label": 0}])
    report = check_task(write(text=READS), data=tmp_path)
    assert statuses(report)["data"] == "failed"
    assert "no column 'text'" in reason(report, "data")
    assert "Rename the column" in reason(report, "data")


def test_people_may_have_marked_other_data_of_the_task(write):
    report = check_task(write(("spans(t)", "None"), ('"planted"', '"human"')))
    assert statuses(report)["evidence"] == "warned"
    assert "no example of this data has any" in reason(report, "evidence")


def next_token(tmp_path, *changes):
    text = textwrap.dedent(NEXT)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / "drinks.py").write_text(text)
    return check_task(str(tmp_path / "drinks.py"))


def test_next_token_tasks(tmp_path):
    report = next_token(tmp_path)
    assert report.passed
    found = {finding.check: finding for finding in report.findings}
    assert found["labels"].facts["continuations"] == 2
    assert found["agreement"].status == "passed"
    assert found["agreement"].facts["accuracy"] == 1 and found["agreement"].facts["by chance"] == 0.5


def test_next_token_tasks_have_two_words_and_one_label(tmp_path):
    report = next_token(tmp_path, ('labels = ("continuation", "foil")', 'labels = ("match", "mismatch")'))
    assert statuses(report)["file"] == "failed" and "continuation" in reason(report, "file")
    report = next_token(tmp_path, ("foil=foil", "foil=word"))
    assert "No continuation, or no other foil, in: 0, 1, 2" in reason(report, "labels")
    report = next_token(tmp_path, ("None, 0, ", "None, 1, "))
    assert "Labels other than 0, the continuation's, in: 0, 1, 2" in reason(report, "labels")


def test_what_a_language_model_cannot_be_asked_about_is_counted(tmp_path):
    report = next_token(tmp_path, ('" tea", " milk"), ("ben tea', '" green tea", " milk"), ("ben tea'))
    (units,) = [finding for finding in report.findings if finding.check == "units"]
    assert units.facts["cannot be asked about"] == 10
    report = next_token(
        tmp_path, ("word, foil in", "foil, word in"), ("continuation=word", 'continuation=" green tea"')
    )
    assert "can be asked about no example" in reason(report, "model_labels")


def test_a_kind_that_is_not_known_is_named(write):
    report = check_task(write(('evidence = "planted"', 'evidence = "planted"; kind = "regression"')))
    assert statuses(report)["file"] == "failed"
    assert "'regression'" in reason(report, "file")


def test_wrong_use_raises(write, tmp_path):
    name = write()
    with pytest.raises(ParameterError, match="limit is 0"):
        check_task(name, limit=0)
    with pytest.raises(DataError, match="no data file or folder 'gone'"):
        check_task(name, data=tmp_path.__class__("gone"))
    with pytest.raises(UnknownNameError, match="'mien'"):
        check_task("mien")
    with pytest.raises(UnknownNameError, match=r"'gone\.py'"):
        check_task("gone.py")
    with pytest.raises(ModelError, match="no model folder"):
        check_task(name, model="./gone")


@pytest.mark.parametrize("here", ["1", "2", "random"])
def test_the_other_process_has_another_hash_seed(here, write, monkeypatch):
    seeds = []

    def run(command, *, env, **options):
        seeds.append(env["PYTHONHASHSEED"])
        return subprocess.CompletedProcess(command, 1, "", "not run")

    monkeypatch.setenv("PYTHONHASHSEED", here)
    monkeypatch.setattr(subprocess, "run", run)
    found = Found()
    other_process.run(Subject(write()), found)
    assert seeds[0] in {"1", "2"} - {here}
    assert found.failures == ["It could not read them: not run"]
