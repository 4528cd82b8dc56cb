"""The suite of human rationales: every layout of its data, what is evidence in it, and the real data where it is."""

import re
import time
from pathlib import Path

import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from whybench import Example, Span, Task, TaskData, load_method, load_task
from whybench.bench.errors import DataError, MissingColumnError
from whybench.bench.listing import entries
from whybench.bench.rationales import edited_words, of_quotations
from whybench.bench.runner import Plan, run
from whybench.bench.schema import MethodSpec, ModelSpec, Spec, TaskSpec
from whybench.bench.store import ResultStore
from whybench.tasks import hatexplain, sst_phrases
from whybench.tasks.builtin import checkpoint
from whybench.tests.bench.test_store import Silent

SUITE = sorted(entry.name for entry in entries("task") if entry.fact("suite") == "rationales")

# Per task and layout the data, then per example: number of the row, label, marked passages (None: unknown).
CASES = {
    ("movie_rationales", "hub"): (
        {
            "review": ["a warm film .\nfine songs , fine cast .", "slow , and long ."],
            "label": [1, 0],
            "evidences": [["warm film", "fine songs , fine cast"], []],
        },
        [(0, 1, ["warm film", "fine songs , fine cast"]), (1, 0, [])],
    ),
    ("movie_rationales", "local"): (
        {"text": ["a warm film . fine songs .", "slow ."], "label": [1, 0], "evidence": ["[[4, 6], [1, 3]]", "[]"]},
        [(0, 1, ["warm film", "fine songs"]), (1, 0, [])],
    ),
    ("hatexplain", "hub"): (
        {
            "post_tokens": [["cats", "dislike", "wet", "dogs"], ["good", "morning"], ["well", "well"]],
            "annotators": [{"label": [2, 2, 1]}, {"label": [1, 1, 1]}, {"label": [0, 1, 2]}],
            # two were asked about the first; the third is one that they all see differently
            "rationales": [[[0, 1, 1, 0], [0, 0, 1, 0]], [], [[1, 0], [1, 0]]],
        },
        [(0, 2, ["dislike wet"]), (1, 1, None)],
    ),
    ("hatexplain", "hub, one record for each annotator"): (
        {
            "post_tokens": [["cats", "dislike", "wet", "dogs"], ["hm", "no"]],
            "annotators": [[{"label": "hatespeech"}] * 3, [{"label": "offensive"}] * 2 + [{"label": "normal"}]],
            "rationales": [[[1, 1, 0, 0], [0, 1, 0, 1], [0, 0, 0, 1]], [[0, 0], [0, 0]]],
        },
        [(0, 0, ["dislike", "dogs"]), (1, 2, [])],
    ),
    ("hatexplain", "local"): (
        {
            "tokens": [["cats", "dislike", "wet", "dogs"], ["good", "morning"]],
            "label": [0, 1],
            "n_rationales": [3, 0],
            "rationale_soft": [[0.3333333333333333, 0.6666666666666666, 0.0, 1.0], [0.0, 0.0]],
        },
        [(0, 0, ["dislike", "dogs"]), (1, 1, None)],
    ),
    ("sst_phrases", "hub"): (
        {
            "ptb_tree": [
                "(3 (2 It) (4 (2 is) (3 (2 a) (3 (3 lovely) (2 -LRB-)))))",
                "(2 (2 So) (2 it))",
                "(0 (1 (2 not) (3 fun)) (2 .))",
                "(3 (2 As) (2 ever))",
            ]
        },
        [(0, 1, ["lovely"]), (2, 0, ["not fun"]), (3, 1, ["As ever"])],
    ),
    ("sst_phrases", "local"): (
        {
            "tokens": [["not", "fun", "."], ["a", "b", "c", "d", "e", "f"]],
            "leaf_sentiment": [[2, 3, 2], [2] * 6],
            "phrases": ["[[0, 2, 1], [0, 3, 0]]", "[[0, 6, 4]]"],
            "label": [0, 1],
        },
        [(0, 0, ["not fun"]), (1, 1, [])],
    ),
    ("esnli", "hub"): (
        {
            "premise": [["A", "man", "eats", "."], ["A", "dog", "runs", "."]],
            "hypothesis": [["He", "sleeps", "."], ["An", "animal", "."]],
            "premise_evidence_span": [[[2, 3]], []],
            "hypothesis_evidence_span": [[[1, 2]], []],
            "classification": ["contradiction", "entailment"],
        },
        [(0, 2, ["eats", "sleeps"]), (1, 0, [])],
    ),
    ("esnli", "the authors'"): (
        {
            "gold_label": ["contradiction", "neutral"],
            "Sentence1": ["A man eats fish.", "A dog runs."],
            "Sentence2": ["He sleeps.", "A tall dog."],
            **{
                f"Sentence1_Highlighted_{i}": column
                for i, column in enumerate((["2", "{}"], ["2,3", "{}"], ["1", "{}"]), 1)
            },
            **{
                f"Sentence2_Highlighted_{i}": column
                for i, column in enumerate((["1", "1"], ["1", "{}"], ["{}", "0,1"]), 1)
            },
        },
        [(0, 2, ["eats", "sleeps."]), (1, 1, ["tall"])],
    ),
    ("esnli", "the authors', one annotator"): (
        {
            "gold_label": ["contradiction"],
            "Sentence1": ["A man eats."],
            "Sentence2": ["He sleeps."],
            "Sentence1_Highlighted_1": ["0,1,2"],
            "Sentence2_Highlighted_1": [1],
        },
        [(0, 2, ["A man eats.", "sleeps."])],
    ),
    ("esnli", "local, without marks"): (
        {"premise": ["A man eats.", "A dog."], "hypothesis": ["He sleeps.", "A cat."], "label": [2, 1]},
        [(0, 2, None), (1, 1, None)],
    ),
    ("cad_snli", "hub"): (
        {
            "idx": ["7-orig", "7-cf-0", "7-cf-1", "8-cf-0", "8-orig"],
            "premise": ["A man eats.", "A man naps.", "A man eats.", "A dog runs.", "A dog runs."],
            "hypothesis": ["A man sleeps.", "A man sleeps.", "A tall man sleeps.", "It sits.", "It runs."],
            "label": ["contradiction", "entailment", "contradiction", "contradiction", "entailment"],
        },
        [(1, 2, ["eats."]), (2, 2, []), (3, 0, ["runs."])],
    ),
    ("cad_snli", "local"): (
        {
            "premise": ["A man eats fish.", "A dog runs."],
            "hypothesis": ["A man sleeps.", "It runs."],
            "label": [2, 0],
            "edited_field": ["premise", "hypothesis"],
            "cf_text": ["A man takes a nap.", "It sits."],
            "edited": [[0, 0, 1, 1], [0, 1]],
        },
        [(0, 2, ["eats fish."]), (1, 0, ["runs."])],
    ),
    ("cose", "hub"): (
        {
            "question": [["Where", "do", "fish", "swim", "?"]],
            "query": ["pond [sep] tree [sep] road"],
            "classification": ["A"],
            "evidence_span": [[[2, 4]]],
        },
        [(0, 0, ["fish swim"])],
    ),
    ("cose", "local"): (
        {
            "question": ["Where do fish swim?"],
            "choices": [["tree", "pond", "road"]],
            "label": [1],
            "span_start": [9],
            "span_end": [18],
        },
        [(0, 1, ["fish swim"])],
    ),
    ("cose", "the authors', on the Hub"): (
        {
            "question": ["Where do Fish swim?", "Where do fish swim?", "Where do fish swim?"],
            "choices": [["tree", "pond"]] * 3,
            "answer": ["pond", "tree", "pond"],
            "extractive_explanation": ["fish swim", "birds fly", None],
        },
        [(0, 1, ["Fish swim"]), (1, 0, None), (2, 1, None)],
    ),
    ("toxic_spans", "hub"): (
        {"text_of_post": ["What a silly, silly idea", "Oh dear"], "position": ["[7, 8, 9, 10, 11, 20]", "[]"]},
        [(0, 1, ["silly", "i"]), (1, 1, [])],
    ),
    ("toxic_spans", "SemEval's"): (
        {"text": ["What a silly idea", "Oh dear"], "spans": [[7, 8, 9, 10, 11], []]},
        [(0, 1, ["silly"]), (1, 1, [])],
    ),
    ("toxic_spans", "local"): (
        {"text": ["What a  silly\nidea", "Oh dear"], "rationale": [[0, 0, 1, 1], [0, 0]]},
        [(0, 1, ["silly\nidea"]), (1, 1, [])],
    ),
    ("multirc", "hub"): (
        {
            "passage": ["Rivers run .\nLakes rest .\nHills stand ."],
            "query_and_answer": ["What rests ? || lakes"],
            "label": [1],
            "evidences": [["Lakes rest .", "Rivers run . Lakes rest ."]],
        },
        [(0, 1, ["Rivers run .\nLakes rest ."])],
    ),
    ("boolq", "hub"): (
        {
            "question": ["do lakes run", "do rivers run"],
            "passage": ["Lakes rest.", "Rivers run."],
            "answer": [False, True],
        },
        [(0, 0, None), (1, 1, None)],
    ),
    ("fever", "hub"): (
        {
            "claim": ["Lakes rest.", "Hills run.", "Seas sing.", "Ponds hum."],
            "label": ["SUPPORTS", "REFUTES", "NOT ENOUGH INFO", "REFUTES"],
            "evidence": [
                [["Lake", "0", "Lakes rest ."]],
                [["Hill", "2", "Hills stand ."], ["Hill", "3", "So ."]],
                [],
                [],
            ],
        },
        [(0, 0, None), (1, 1, None)],
    ),
}
IDS = [f"{name}: {layout}" for name, layout in CASES]
HUB = {name: rows for (name, layout), (rows, _) in CASES.items() if layout == "hub"}
LEFT_OUT = {("hatexplain", "hub"): 1, ("sst_phrases", "hub"): 1, ("fever", "hub"): 2}


def write(folder, rows, name="test.parquet"):
    pq.write_table(pa.table(rows), folder / name)
    return folder


def marked(example):
    if example.evidence is None:
        return None
    return [(example.text, example.text_pair)[segment][start:end] for segment, start, end in example.evidence]


def test_the_suite():
    wanted = "boolq cad_snli cose esnli fever hatexplain movie_rationales multirc sst_phrases toxic_spans"
    assert wanted.split() == SUITE
    assert set(SUITE) == {name for name, _ in CASES} == set(HUB)


@pytest.mark.parametrize(("name", "layout"), CASES, ids=IDS)
def test_what_is_marked(name, layout, tmp_path):
    rows, wanted = CASES[name, layout]
    task = load_task(name)
    data = task.load(write(tmp_path, rows), "test")
    assert [e.id for e in data.examples] == [f"test-{row}" for row, _, _ in wanted]
    assert [e.label for e in data.examples] == [label for _, label, _ in wanted]
    assert [marked(e) for e in data.examples] == [passages for _, _, passages in wanted]
    assert (data.split, data.left_out) == ("test", LEFT_OUT.get((name, layout), 0))
    assert all(0 <= e.label < len(task.labels) for e in data.examples)
    assert re.fullmatch("sha256:[0-9a-f]{64}", data.revision)
    assert task.load(tmp_path, "test").examples == data.examples


@pytest.mark.parametrize(("name", "layout"), CASES, ids=IDS)
def test_a_row_more_changes_no_id(name, layout, tmp_path):
    rows, _ = CASES[name, layout]
    once = load_task(name).load(write(tmp_path, rows), "test").examples
    twice = (
        load_task(name).load(write(tmp_path, {key: values + values for key, values in rows.items()}), "test").examples
    )
    assert twice[: len(once)] == once
    assert len({e.id for e in twice}) == len(twice) == 2 * len(once)


@pytest.mark.parametrize(("name", "layout"), CASES, ids=IDS)
def test_a_column_less(name, layout, tmp_path):
    rows, _ = CASES[name, layout]
    for column in set(rows) - {"cf_text"}:
        fewer = {key: values for key, values in rows.items() if key != column} or {"other": ["x"]}
        write(tmp_path, fewer)
        if column.endswith(("_Highlighted_2", "_Highlighted_3")):
            # the first annotator is a layout too
            assert load_task(name).load(tmp_path).examples[0].evidence
        else:
            with pytest.raises(MissingColumnError, match=f"'{column}'"):
                load_task(name).load(tmp_path, "test")


@pytest.mark.parametrize("name", SUITE)
def test_the_hub_is_read_at_the_pinned_commit_or_records_the_branchs(name, monkeypatch, tmp_path):
    import datasets

    asked, commit = [], "c" * 40
    task = load_task(name)
    assert task.dataset_revision is None or re.fullmatch("[0-9a-f]{40}", task.dataset_revision)

    def download(repository, file, *, repo_type, revision):
        asked.append((repository, file, repo_type, revision))
        path = tmp_path / "snapshots" / (task.dataset_revision or commit) / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".jsonl":
            datasets.Dataset.from_dict(HUB[name]).to_json(path)
        else:
            pq.write_table(pa.table(HUB[name]), path)
        return str(path)

    def load(repository, *, revision, split):
        asked.append((repository, split, "load_dataset", revision))
        return datasets.Dataset.from_dict(HUB[name])

    loads = datasets.load_dataset
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    monkeypatch.setattr(
        datasets, "load_dataset", lambda first, **rest: load(first, **rest) if "/" in first else loads(first, **rest)
    )
    data = task.load()
    ((repository, file, _, revision),) = asked
    assert repository == task.dataset
    assert revision == (task.dataset_revision or "refs/convert/parquet")
    assert data.revision == (task.dataset_revision or commit)
    assert ("validation" if name == "boolq" else "test") in file
    assert [marked(e) for e in data.examples] == [passages for _, _, passages in CASES[name, "hub"][1]]


@pytest.mark.parametrize("name", SUITE)
def test_what_a_task_says_of_itself(name):
    task = load_task(name)
    (entry,) = [entry for entry in entries("task") if entry.name == name]
    # what whybench list reads from the source is what the class says
    for fact in ("suite", "evidence", "summary", "licence", "dataset", "dataset_revision"):
        assert entry.fact(fact) == getattr(task, fact), fact
    assert (task.evidence, task.unit, task.operator) == ("human", "word", None)
    assert task.citation
    assert task.licence
    if task.default_model:
        assert re.fullmatch("[0-9a-f]{40}", task.default_model_revision)
        assert task.default_model_revision in {load_task(n).default_model_revision for n in ("sst2", "imdb", "snli")}
    else:
        assert task.default_model_revision is None
        assert "There is no default model" in " ".join(type(task).__doc__.split())
    if task.dataset_revision is None:
        assert "No commit of the Hub's parquet copy" in type(task).__doc__
    words = type(task).__doc__ + task.summary
    assert (name in ("hatexplain", "toxic_spans")) == ("Content warning" in words)


def test_the_page_of_the_tasks_has_them_all():
    page = Path(__file__).resolve().parents[2] / "docs" / "tasks.md"
    if not page.is_file():
        pytest.skip("docs/ is not part of the wheel")
    rows = re.findall(r"^\| `(\w+)` \| `([\w/.-]+)`, (?:`(\w+)`|none known) \|", page.read_text(encoding="utf-8"), re.M)
    wanted = {(name, (task := load_task(name)).dataset, (task.dataset_revision or "")[:12]) for name in SUITE}
    assert set(rows) == wanted


def test_pairs_keep_their_evidence_in_the_right_text(tmp_path):
    rows, _ = CASES["esnli", "hub"]
    first, _ = load_task("esnli").load(write(tmp_path, rows)).examples
    assert [span.segment for span in first.evidence] == [0, 1]
    rows, _ = CASES["cad_snli", "local"]
    first, second = load_task("cad_snli").load(write(tmp_path, rows)).examples
    assert [[span.segment for span in e.evidence] for e in (first, second)] == [[0], [1]]
    rows, _ = CASES["cose", "local"]
    (example,) = load_task("cose").load(write(tmp_path, rows)).examples
    assert (example.text, example.text_pair) == ("Where do fish swim?", "tree [sep] pond [sep] road")


def test_the_threshold_decides_and_is_in_the_spec(tmp_path, monkeypatch):
    rows, _ = CASES["hatexplain", "hub"]
    task = load_task("hatexplain")
    assert task.options() == {"rationale_threshold": 0.5}
    assert marked(task.load(write(tmp_path, rows)).examples[0]) == ["dislike wet"]
    monkeypatch.setattr(hatexplain.Hatexplain, "rationale_threshold", 0.75)
    assert task.options() == {"rationale_threshold": 0.75}
    assert marked(task.load(tmp_path).examples[0]) == ["wet"]


def test_what_agrees_is_in_the_spec_of_sst(tmp_path, monkeypatch):
    rows, _ = CASES["sst_phrases", "hub"]
    task = load_task("sst_phrases")
    assert task.options() == {"least_polarity": 1, "most_words": 5}
    monkeypatch.setattr(sst_phrases.SstPhrases, "least_polarity", 2)
    # "is a lovely (" is very positive, and all of it
    assert [marked(e) for e in task.load(write(tmp_path, rows)).examples] == [["is a lovely ("], ["not fun ."], []]


@pytest.mark.parametrize(
    "tree", ["", "good", "(3 good", "(3 good))", "(3 (2 a)) (3 (2 b))", "(3 ())", "(x good)", "(3)"]
)
def test_what_is_no_tree(tree, tmp_path):
    with pytest.raises(DataError, match=r"'test-0' has .* which is no tree such as"):
        load_task("sst_phrases").load(write(tmp_path, {"ptb_tree": [tree]}))


BAD = {
    "toxic_spans": [("position", "[99]", "'test-0' has evidence at the character 99"), ("position", "x", "no JSON")],
    "cose": [("classification", "Z", "'test-0' has the label 'Z'"), ("evidence_span", [[4, 9]], "tokens 4 to 9 of 5")],
    "cad_snli": [("idx", "7", r"'test-0' has the idx '7'; it must end in -orig"), ("idx", "9-cf-1", "needs its pair")],
    "multirc": [("evidences", ["Clouds drift ."], "'test-0' has the evidence 'Clouds drift .', which is not in its")],
    "hatexplain": [
        ("rationales", [[1, 0]], "4 words and a rationale of 2 marks"),
        ("post_tokens", ["a", ""], "tokens"),
    ],
    "esnli": [("classification", "perhaps", "'test-0' has the label 'perhaps'"), ("premise", ["", "x"], "tokens")],
    "movie_rationales": [("evidences", ["cold film"], "'test-0' has the evidence 'cold film'")],
    "fever": [("label", "MAYBE", "'test-0' has the label 'MAYBE'"), ("evidence", None, "None where a list belongs")],
}


@pytest.mark.parametrize(("name", "number"), [(name, i) for name, bad in BAD.items() for i in range(len(bad))])
def test_bad_values_name_their_example(name, number, tmp_path):
    column, value, message = BAD[name][number]
    rows = HUB[name]
    with pytest.raises(DataError, match=message):
        load_task(name).load(write(tmp_path, {**rows, column: [value, *rows[column][1:]]}))


def test_bad_values_of_other_layouts(tmp_path):
    rows, _ = CASES["cose", "local"]
    with pytest.raises(DataError, match="'test-0' has evidence from 9 to 99; its question has 19 characters"):
        load_task("cose").load(write(tmp_path, {**rows, "span_end": [99]}))
    rows, _ = CASES["cose", "the authors', on the Hub"]
    with pytest.raises(DataError, match="'test-0' has the answer 'sea', which is none of its choices"):
        load_task("cose").load(write(tmp_path, {**rows, "answer": ["sea", "tree", "pond"]}))
    rows, _ = CASES["cad_snli", "local"]
    with pytest.raises(DataError, match="'test-0' has the edited field 'both'"):
        load_task("cad_snli").load(write(tmp_path, {**rows, "edited_field": ["both", "premise"]}))
    rows, _ = CASES["esnli", "the authors', one annotator"]
    for value, message in (
        ("7", r"the marked words \[7\]; its text has 3 words"),
        ("a", "numbers of words with commas"),
    ):
        with pytest.raises(DataError, match=message):
            load_task("esnli").load(write(tmp_path, {**rows, "Sentence1_Highlighted_1": [value]}))


def test_local_files_with_a_name_before_the_split(tmp_path):
    rows, _ = CASES["cad_snli", "local"]
    write(tmp_path, {"premise": ["x"], "hypothesis": ["y"], "label": [0]})
    data = load_task("cad_snli").load(write(tmp_path, rows, "pairs_test.parquet"))
    assert (data.split, data.examples[0].id, len(data.examples)) == ("test", "test-0", 2)
    rows, _ = CASES["esnli", "the authors'"]
    data = load_task("esnli").load(write(tmp_path, rows, "esnli_dev.parquet"), "validation")
    assert (data.split, data.examples[0].id) == ("dev", "dev-0")


def test_authors_highlights_from_csv(tmp_path):
    (tmp_path / "esnli_test.csv").write_text(
        "pairID,gold_label,Sentence1,Sentence2,Sentence1_Highlighted_1,Sentence2_Highlighted_1\n"
        'a,contradiction,A man eats fish.,He sleeps.,"2,3",1\n'
        "b,neutral,A dog runs.,A tall dog.,{},1\n"
    )
    data = load_task("esnli").load(tmp_path)
    assert [marked(e) for e in data.examples] == [["eats fish.", "sleeps."], ["tall"]]


SPEC_DIGEST = "0" * 64


def spec_of(**options):
    return Spec(
        method=MethodSpec(name="random", parameters={"draws": 3}, source=SPEC_DIGEST),
        task=TaskSpec(
            name="sst2",
            dataset="stanfordnlp/sst2",
            revision="8d51e7e",
            split="validation",
            examples=2,
            example_ids=SPEC_DIGEST,
            **options,
        ),
        model=ModelSpec(name="m", revision=None, weights=SPEC_DIGEST, config=SPEC_DIGEST, tokenizer=SPEC_DIGEST),
        operator="mask",
        unit="word",
        metrics=("comprehensiveness",),
        seed=0,
        dtype="float32",
        attention_implementation="eager",
    )


def test_hashes_from_before_there_were_options_stay():
    # what this spec's hash was then
    assert spec_of().hash() == "0e36ec54ccba422899afd0bf5602439f2c54669ea4a79e6da44d6e958f34cf42"
    assert spec_of(options={"rationale_threshold": 0.5}).hash() != spec_of().hash()
    older = spec_of().model_dump(mode="json")
    del older["task"]["options"]
    assert Spec.model_validate(older) == spec_of()


class Marked(Task):
    """Two texts in which people marked something."""

    name, summary, suite, evidence = "marked", "Marked texts.", "test", "human"
    labels = ("match", "mismatch")
    default_model = checkpoint("xor_cues")
    rationale_threshold = 0.5
    spans: tuple[Span, ...] | None = (Span(0, 2, 5),)

    def load(self, data=None, split=None):
        texts = ("a red saddle and a round apple", "a blue saddle and a square apple")
        return TaskData([Example(str(i), text, None, 0, self.spans) for i, text in enumerate(texts)], "test", "1")


def test_a_run_records_the_threshold_and_a_digest_of_the_evidence(tmp_path):
    def options_of(**changes):
        task = Marked()
        for key, value in changes.items():
            setattr(task, key, value)
        plan = Plan(tasks=[task], methods=[load_method("random")], device="cpu", metrics=["sufficiency"])
        (stored,) = run(plan, ResultStore(tmp_path), Silent())
        assert stored.result.status == "finished", stored.result.error
        assert ("average_precision" in stored.result.figures) == bool(task.spans)
        return stored.result.spec.task.options, stored.result.cell

    options, cell = options_of()
    assert options["rationale_threshold"] == 0.5
    assert re.fullmatch("[0-9a-f]{64}", options["evidence"])
    assert options_of() == (options, cell)
    cells = {cell}
    # nothing marked, and nobody asked, are two things
    for changes in ({"rationale_threshold": 0.6}, {"spans": ()}, {"spans": None}, {"spans": (Span(0, 2, 6),)}):
        other, cell = options_of(**changes)
        assert (other["evidence"] == options["evidence"]) == ("spans" not in changes)
        cells.add(cell)
    assert len(cells) == 5
    bare, _ = options_of(rationale_threshold=None, evidence=None)
    assert bare == {}


def test_a_unit_of_the_tasks_own(tmp_path):
    task = Marked()
    task.unit = "token"
    for given, wanted in ((None, "token"), ("word", "word")):
        plan = Plan(tasks=[task], methods=[load_method("random")], device="cpu", unit=given, metrics=["sufficiency"])
        (stored,) = run(plan, ResultStore(tmp_path), Silent())
        assert stored.result.spec.unit == wanted


# Folder, examples, how many have known evidence and how many some, share of the texts' characters, the first passages.
SAMPLES = {
    "movie_rationales": ("movie_rationales", 199, 199, 199, 0.306, "i even giggled"),
    "hatexplain": ("hatexplain", 1924, 1142, 1141, 0.346, None),
    "sst_phrases": ("sst2", 1821, 1821, 1725, 0.235, "go to the movies"),
    "esnli": ("esnli_text", 2000, 0, 0, None, None),
    "cad_snli": ("cad_snli", 1598, 1598, 1464, 0.155, "lying down"),
    "cose": ("cose", 688, 688, 688, 0.185, "social security payments"),
    "toxic_spans": ("toxic_spans", 2000, 2000, 1606, 0.057, None),
}


@pytest.mark.parametrize("name", SAMPLES)
def test_real_texts(name, shared):
    folder, count, known, some, share, first = SAMPLES[name]
    began = time.perf_counter()
    data = load_task(name).load(shared / "data" / folder)
    assert time.perf_counter() - began < 60
    assert (len(data.examples), data.split, data.left_out) == (count, "test", 0)
    assert len({e.id for e in data.examples}) == count
    with_evidence = [e for e in data.examples if e.evidence is not None]
    assert (len(with_evidence), sum(bool(e.evidence) for e in with_evidence)) == (known, some)
    for example in with_evidence:
        for passage in marked(example):
            assert passage == passage.strip() != ""
    if some:
        characters = sum(span.end - span.start for e in with_evidence for span in e.evidence)
        lengths = sum(len(e.text) + len(e.text_pair or "") for e in with_evidence if e.evidence)
        assert characters / lengths == pytest.approx(share, abs=0.001)
    if first:
        assert next(marked(e)[0] for e in with_evidence if e.evidence) == first


def test_real_marks_are_those_of_the_data(shared):
    """The same words as the samples' own columns say, which were made elsewhere by other code."""
    phrases = pq.read_table(shared / "data" / "sst2" / "test.parquet").to_pylist()
    posts = pq.read_table(shared / "data" / "hatexplain" / "test.parquet").to_pylist()
    for name, folder, rows in (("sst_phrases", "sst2", phrases), ("hatexplain", "hatexplain", posts)):
        examples = load_task(name).load(shared / "data" / folder).examples
        for example, row in zip(examples, rows, strict=True):
            wanted = [token for token, mark in zip(row["tokens"], row["rationale"], strict=True) if mark]
            assert [word for passage in marked(example) or [] for word in passage.split()] == wanted


def test_real_passages_by_quotation_and_by_place(shared):
    """The Hub's layout, made of the exact one: what a quotation does not say is which of several places it is."""
    rows = pq.read_table(shared / "data" / "movie_rationales" / "test.parquet").to_pylist()
    examples = load_task("movie_rationales").load(shared / "data" / "movie_rationales").examples
    same = sum(
        set(of_quotations(example.text, [example.text[s.start : s.end] for s in example.evidence], example.id))
        == set(example.evidence)
        for example in examples
    )
    assert len(rows) == len(examples) == 199
    assert same >= 180


def test_real_edits_by_comparing_and_by_mark(shared):
    rows = pq.read_table(shared / "data" / "cad_snli" / "pairs_test.parquet").to_pylist()
    same = sum(edited_words(row[row["edited_field"]], row["cf_text"]) == row["edited"] for row in rows)
    assert same / len(rows) > 0.95
