"""A folder as ERASER released it: annotations, documents, and what is wrong with them."""

import json

import pytest

from whybench import load_task
from whybench.bench.eraser import is_release, read_release
from whybench.bench.errors import DataError

DOCS = {"a": "Rivers run .\nLakes rest .", "b": "Hills stand still ."}


def passage(document, start, end):
    return {"docid": document, "start_token": start, "end_token": end, "start_sentence": 0, "end_sentence": 1}


ROWS = [
    {"annotation_id": "a", "query": "do lakes run", "classification": "False", "evidences": [[passage("a", 3, 5)]]},
    {"annotation_id": "b", "query": "do hills stand", "classification": "True", "evidences": []},
    {
        "annotation_id": "q3",
        "query": "do hills and rivers run",
        "classification": "False",
        "evidences": [[passage("b", 1, 2)], [passage("a", 0, 2), passage("b", 1, 3)]],
    },
]


def release(folder, rows=ROWS, docs=DOCS, split="test"):
    (folder / "docs").mkdir(parents=True, exist_ok=True)
    for name, text in docs.items():
        (folder / "docs" / name).write_text(text)
    (folder / f"{split}.jsonl").write_text("\n".join(json.dumps(row) for row in rows) + "\n")
    return folder


def marked(example):
    return [(example.text, example.text_pair)[s.segment][s.start : s.end] for s in example.evidence]


def test_documents_are_joined_and_passages_found_in_them(tmp_path):
    annotations, split, digest = read_release(release(tmp_path), "test")
    assert (split, [a.name for a in annotations]) == ("test", ["test-0", "test-1", "test-2"])
    assert [a.text for a in annotations] == [DOCS["a"], DOCS["b"], f"{DOCS['b']}\n{DOCS['a']}"]
    texts = [[a.text[s.start : s.end] for s in a.evidence] for a in annotations]
    assert texts == [["Lakes rest"], [], ["stand still", "Rivers run"]]
    assert digest == read_release(tmp_path, "test")[2]
    release(tmp_path, docs={**DOCS, "b": "Hills stand here ."})
    assert digest != read_release(tmp_path, "test")[2]


def test_val_stands_for_validation(tmp_path):
    annotations, split, _ = read_release(release(tmp_path, split="val"), "validation")
    assert (split, annotations[0].name) == ("val", "val-0")


@pytest.mark.parametrize("name", ["boolq", "multirc"])
def test_pairs(name, tmp_path):
    data = load_task(name).load(release(tmp_path))
    assert data.split == "test"
    assert [e.label for e in data.examples] == [0, 1, 0]
    assert [e.text_pair for e in data.examples] == [row["query"] for row in ROWS]
    assert [marked(e) for e in data.examples] == [["Lakes rest"], [], ["stand still", "Rivers run"]]


def test_reviews_and_claims(tmp_path):
    reviews = [{**row, "classification": c} for row, c in zip(ROWS, ("NEG", "POS", "NEG"), strict=True)]
    data = load_task("movie_rationales").load(release(tmp_path / "movies", reviews))
    assert [(e.label, e.text_pair) for e in data.examples] == [(0, None), (1, None), (0, None)]
    claims = [{**row, "classification": c} for row, c in zip(ROWS, ("SUPPORTS", "REFUTES", "REFUTES"), strict=True)]
    data = load_task("fever").load(release(tmp_path / "fever", claims))
    assert [(e.label, bool(e.evidence)) for e in data.examples] == [(0, True), (1, False), (1, True)]


def test_what_is_no_release(tmp_path):
    assert not is_release(None)
    assert not is_release(tmp_path)
    release(tmp_path)
    assert is_release(tmp_path)
    (tmp_path / "test.jsonl").write_text('{"annotation_id": "a", "query": ""}\n')
    with pytest.raises(DataError, match=r"no annotation of ERASER in line 1: KeyError: 'evidences'"):
        read_release(tmp_path, "test")
    (tmp_path / "test.jsonl").write_text("{")
    with pytest.raises(DataError, match=r"line 1: JSONDecodeError"):
        read_release(tmp_path, "test")
    (tmp_path / "test.jsonl").write_text("\n")
    with pytest.raises(DataError, match="has no annotations"):
        read_release(tmp_path, "test")
    for document in ("gone", "../test.jsonl"):
        release(tmp_path, [{**ROWS[0], "evidences": [[passage(document, 0, 1)]]}])
        with pytest.raises(DataError, match=f"'test-0' names the document '{document}', which is not in"):
            read_release(tmp_path, "test")
    release(tmp_path, [{**ROWS[0], "classification": "Perhaps"}])
    with pytest.raises(DataError, match="'test-0' has the label 'Perhaps'"):
        load_task("boolq").load(tmp_path)
    release(tmp_path, [{**ROWS[0], "evidences": [[passage("a", 3, 9)]]}])
    with pytest.raises(DataError, match="'test-0' has evidence at the tokens 3 to 9 of 6"):
        read_release(tmp_path, "test")
