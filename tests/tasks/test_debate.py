"""The classic datasets of the debate: read from files with the Hub's columns and with other names for them."""

import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whybench import load_task
from whybench.bench.errors import DataError, MissingColumnError

# What a task's data looks like on the Hub, and the labels that are read from it.
CASES = {
    "imdb": ({"text": ["Bad.<br />Slow.", "Great."], "label": [0, 1]}, [0, 1]),
    "ag_news": ({"text": ["Treaty signed", "New chip", "?"], "label": [0, 3, 1]}, [0, 3, 1]),
    "snli": (
        {"premise": ["A man eats.", "A dog runs."], "hypothesis": ["A man sleeps.", "A dog."], "label": [2, -1]},
        [2, None],
    ),
    "newsgroups20": (
        {"text": ["Orbit.", "Brakes."], "label": [14, 7], "label_text": ["sci.space", "rec.autos"]},
        [14, 7],
    ),
}
NAMES = {"imdb": "positive", "ag_news": "Sci/Tech", "snli": "neutral", "newsgroups20": "talk.religion.misc"}


def label_column(rows):
    return "label_text" if "label_text" in rows else "label"


def write(folder, rows, name="test.parquet"):
    pq.write_table(pa.table(rows), folder / name)
    return folder


@pytest.mark.parametrize("name", CASES)
def test_the_hubs_columns(name, tmp_path):
    rows, labels = CASES[name]
    data = load_task(name).load(write(tmp_path, rows))
    first, second = ("premise", "hypothesis") if name == "snli" else ("text", None)
    assert [e.id for e in data.examples] == [f"test-{i}" for i in range(len(labels))]
    assert [e.text for e in data.examples] == rows[first]
    assert [e.text_pair for e in data.examples] == (rows[second] if second else [None] * len(labels))
    assert [e.label for e in data.examples] == labels
    assert all(e.evidence is None for e in data.examples)
    assert (data.split, data.left_out) == ("test", 0)
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", data.revision)


@pytest.mark.parametrize("name", CASES)
def test_the_hub_is_asked_for_the_pinned_test_split(name, monkeypatch):
    import datasets

    rows, labels = CASES[name]
    asked = []

    def load(*args, **kwargs):
        asked.append((args, kwargs))
        return datasets.Dataset.from_dict(rows)

    monkeypatch.setattr(datasets, "load_dataset", load)
    task = load_task(name)
    data = task.load()
    assert asked == [((task.dataset,), {"revision": task.dataset_revision, "split": "test"})]
    assert re.fullmatch("[0-9a-f]{40}", task.dataset_revision)
    assert data.revision == task.dataset_revision
    assert len(data.examples) == len(labels)


@pytest.mark.parametrize("name", CASES)
def test_other_splits_and_what_is_missing(name, tmp_path):
    rows, labels = CASES[name]
    task = load_task(name)
    data = task.load(write(tmp_path, rows, "dev.parquet"), "validation")
    assert (data.split, data.examples[0].id, len(data.examples)) == ("dev", "dev-0", len(labels))
    with pytest.raises(DataError, match=r"no file for the split 'test'; it has dev.parquet"):
        task.load(tmp_path)
    for column in rows:
        if "label_text" in rows and column == "label":
            # a number says nothing about the group
            continue
        fewer = {key: values for key, values in rows.items() if key != column}
        with pytest.raises(MissingColumnError, match=f"no column '{column}'"):
            task.load(write(tmp_path, fewer))


@pytest.mark.parametrize("name", CASES)
def test_labels_by_name_and_labels_that_are_none(name, tmp_path):
    rows, _ = CASES[name]
    task = load_task(name)
    column = label_column(rows)
    one = {key: values[:1] for key, values in rows.items()}
    (example,) = task.load(write(tmp_path, {**one, column: [NAMES[name]]})).examples
    assert task.labels[example.label] == NAMES[name]
    with pytest.raises(DataError, match="'politics'.*" + re.escape(task.labels[0])):
        task.load(write(tmp_path, {**one, column: ["politics"]}))


@pytest.mark.parametrize("label", [0.5, float("inf"), float("nan")])
def test_a_label_that_is_no_index(label, tmp_path):
    with pytest.raises(DataError, match=f"'test-0' has the label {label}; it must be an index"):
        load_task("imdb").load(write(tmp_path, {"text": ["x"], "label": [label]}))
    assert load_task("imdb").load(write(tmp_path, {"text": ["x"], "label": [1.0]})).examples[0].label == 1


def test_a_pair_without_its_second_text(tmp_path):
    rows = {"premise": ["A man eats.", "A dog."], "hypothesis": ["A man.", None], "label": [0, 1]}
    with pytest.raises(DataError, match="'test-1' has None where its text belongs"):
        load_task("snli").load(write(tmp_path, rows))


def test_groups_are_known_by_name_whatever_their_number(tmp_path):
    task = load_task("newsgroups20")
    rows = {"text": ["Orbit.", "Faith."], "label": [8, 0], "label_name": ["sci.space", "alt.atheism"]}
    assert [e.label for e in task.load(write(tmp_path, rows)).examples] == [14, 0]
    assert sorted(task.labels) == list(task.labels)
    assert len(set(task.labels)) == 20
    for wrong in (["14", "0"], [14, 0], ["sci.space", None]):
        with pytest.raises(DataError, match=r"not among the groups of newsgroups20: alt\.atheism, "):
            task.load(write(tmp_path, {**rows, "label_name": wrong}))


def test_messages_without_text_are_left_out_and_counted(tmp_path):
    rows = {
        "text": ["", "Orbit.", " \n\t ", "Faith."],
        "label_text": ["sci.space", "sci.space", "rec.autos", "sci.med"],
    }
    data = load_task("newsgroups20").load(write(tmp_path, rows))
    assert [(e.id, e.text, e.label) for e in data.examples] == [("test-1", "Orbit.", 14), ("test-3", "Faith.", 13)]
    assert data.left_out == 2


def test_default_models_are_pinned():
    for name in ("sst2", *CASES):
        task = load_task(name)
        assert task.suite == "debate"
        assert (task.unit, task.operator, task.evidence) == ("word", None, None)
        assert task.licence
        assert task.citation
        assert task.options() == {}
        assert bool(task.default_model) == (name != "newsgroups20")
        if task.default_model:
            assert re.fullmatch("[0-9a-f]{40}", task.default_model_revision)
        else:
            assert task.default_model_revision is None


# Rows, the labels that occur, the first text's beginning, all of the samples' test split.
SAMPLES = {
    "imdb": ("imdb", 600, {0, 1}, "I wanted to see this movie ever since the previews"),
    "ag_news": ("ag_news", 800, {0, 1, 2, 3}, "Rapidly expanding Vietnam Airlines"),
    "snli": ("esnli_text", 2000, {0, 1, 2}, "This church choir sings to the masses"),
    "newsgroups20": ("20newsgroups", 720, {0, 1, 4, 6, 7, 10, 11, 13, 14, 15, 16, 17}, "Come again?"),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_real_text(name, shared):
    folder, count, labels, beginning = SAMPLES[name]
    data = load_task(name).load(shared / "data" / folder)
    assert (len(data.examples), data.split, data.left_out) == (count, "test", 0)
    assert {e.label for e in data.examples} == labels
    assert data.examples[0].text.startswith(beginning)
    assert {e.text_pair is None for e in data.examples} == {name != "snli"}
    assert len({e.id for e in data.examples}) == count
