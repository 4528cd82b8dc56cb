"""SST-2 from local files, and what is said when it cannot be had."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whybench import load_task
from whybench.bench.errors import DataError, MissingColumnError

ROWS = {"idx": [0, 1, 2], "sentence": ["good", "bad <b>", "fine"], "label": [1, 0, -1]}


def parquet(folder, name="validation.parquet", rows=ROWS):
    folder.mkdir(exist_ok=True)
    pq.write_table(pa.table(rows), folder / name)
    return folder


def test_a_folder_of_the_hubs_columns(tmp_path):
    data = load_task("sst2").load(parquet(tmp_path))
    assert [(e.id, e.text, e.label) for e in data.examples] == [
        ("validation-0", "good", 1),
        ("validation-1", "bad <b>", 0),
        ("validation-2", "fine", None),
    ]
    assert data.split == "validation"
    assert data.revision.startswith("sha256:")


def test_dev_stands_for_validation_and_text_for_sentence(tmp_path):
    rows = {"text": ["good"], "label": [1]}
    data = load_task("sst2").load(parquet(tmp_path, "dev.parquet", rows))
    assert (data.split, data.examples[0].id) == ("dev", "dev-0")


@pytest.mark.parametrize("kind", ["jsonl", "csv", "json"])
def test_other_formats(tmp_path, kind):
    path = tmp_path / f"x.{kind}"
    rows = [{"sentence": "good, really", "label": 1}, {"sentence": "bad", "label": 0}]
    if kind == "csv":
        path.write_text('sentence,label\n"good, really",1\nbad,0\n')
    else:
        path.write_text("\n".join(json.dumps(row) for row in rows))
    assert [e.text for e in load_task("sst2").load(path).examples] == ["good, really", "bad"]


def test_the_revision_is_the_contents(tmp_path):
    first = load_task("sst2").load(parquet(tmp_path)).revision
    assert load_task("sst2").load(parquet(tmp_path)).revision == first
    changed = {**ROWS, "sentence": ["good", "bad", "fine"]}
    data = load_task("sst2").load(parquet(tmp_path, rows=changed))
    assert data.revision != first
    assert data.examples[1].text == "bad"


def test_bad_data(tmp_path):
    task = load_task("sst2")
    with pytest.raises(MissingColumnError, match=r"no column 'sentence' or 'text'.*its columns are words, label"):
        task.load(parquet(tmp_path / "a", rows={"words": ["x"], "label": [1]}))
    (tmp_path / "empty.csv").write_text("sentence,label\n")
    with pytest.raises(DataError, match="no data"):
        task.load(tmp_path / "empty.csv")
    with pytest.raises(DataError, match="no data file or folder"):
        task.load(tmp_path / "gone")
    with pytest.raises(DataError, match=r"no file for the split 'test'; it has validation.parquet"):
        task.load(parquet(tmp_path / "c"), "test")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(DataError, match=r"broken.parquet cannot be read as parquet: ArrowInvalid: Parquet"):
        task.load(tmp_path / "broken.parquet")
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(DataError, match="is not one of"):
        task.load(tmp_path / "x.txt")


def test_labels_as_words_and_what_is_none(tmp_path):
    path = tmp_path / "x.jsonl"
    rows = [{"text": "good", "label": "positive"}, {"text": "bad", "label": "negative"}, {"text": "x", "label": "-1"}]
    path.write_text("\n".join(json.dumps(row) for row in rows))
    assert [e.label for e in load_task("sst2").load(path).examples] == [1, 0, None]
    path.write_text(json.dumps({"text": "good", "label": "great"}))
    with pytest.raises(DataError, match=r"'validation-0' has the label 'great'; it must be .* negative, positive"):
        load_task("sst2").load(path)
    path.write_text("\n".join(json.dumps({"text": text, "label": 1}) for text in ("good", None)))
    with pytest.raises(DataError, match="-1' has None where its text belongs"):
        load_task("sst2").load(path)


def test_the_hub_is_asked_for_the_pinned_revision(monkeypatch):
    import datasets

    asked = []

    def load(*args, **kwargs):
        asked.append((args, kwargs))
        return datasets.Dataset.from_dict(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load)
    data = load_task("sst2").load()
    task = load_task("sst2")
    assert asked == [(("stanfordnlp/sst2",), {"revision": task.dataset_revision, "split": "validation"})]
    assert data.revision == task.dataset_revision
    assert len(data.examples) == 3


def test_without_a_network_the_remedy_is_named(monkeypatch, tmp_path):
    import datasets
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path)
    with pytest.raises(DataError, match=r"stanfordnlp/sst2.*--data TASK=PATH"):
        load_task("sst2").load()


def test_real_sentences(shared):
    data = load_task("sst2").load(shared / "data" / "sst2")
    assert (len(data.examples), data.split) == (872, "dev")
    assert {e.label for e in data.examples} == {0, 1}
