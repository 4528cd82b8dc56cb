"""Tasks that ask what comes next: texts, continuations and foils, from templates and from files."""

import json
import re
from pathlib import Path

import pytest
import torch

from whybench import NextTokenModel, load_method, load_task
from whybench.bench.errors import DataError, InputError, TaskError
from whybench.bench.labels import in_model_order
from whybench.bench.recovery import average_precision, evidence_units
from whybench.bench.registry import _checked
from whybench.bench.runner import Plan, run
from whybench.bench.scoring import rankings
from whybench.bench.store import ResultStore
from whybench.bench.task import Example, Task, TaskData
from whybench.tests.bench.test_next_token import tiny

SHE = {"girl", "mommy", "queen", "princess", "Lily", "Mia", "Sue", "Anna", "Lucy", "Her"}
HE = {"boy", "daddy", "king", "prince", "Tim", "Ben", "Tom", "Jack", "Max", "His"}

ROWS = [
    {"sentence_good": "Anna could see herself.", "sentence_bad": "Anna could see himself.", "one_prefix_method": True},
    {"sentence_good": "The car parks itself?", "sentence_bad": "The car parks himself?", "one_prefix_method": True},
    {"sentence_good": "Who left Tom?", "sentence_bad": "Who Tom left?", "one_prefix_method": False},
    {"sentence_good": "Dogs bark.", "sentence_bad": "Barks dogs.", "one_prefix_method": True},
]


class Silent:
    """An observer that keeps what it is told of a task."""

    def task_started(self, task, classifier, examples, left_out):
        self.told = (type(classifier).__name__, examples, left_out)

    def cell_started(self, *_):
        pass

    progressed = cell_started

    def cell_finished(self, *_, reused):
        pass


def test_story_pronouns():
    task = load_task("story_pronouns")
    data = task.load()
    assert len(data.examples) == len({e.id for e in data.examples}) == len({e.text for e in data.examples}) == 80
    assert (data.split, task.load(split="test")) == ("test", data)
    for i, example in enumerate(data.examples):
        words, other = ((SHE, HE), (HE, SHE))[i % 2]
        found = {example.text[s.start : s.end] for s in example.evidence}
        assert found == set(re.findall(r"\w+", example.text)) & words
        assert found and not set(re.findall(r"\w+", example.text)) & other
        # each place, not only each word
        assert len(example.evidence) == len(re.findall(rf"\b({'|'.join(found)})\b", example.text))
        assert (example.continuation, example.foil) == ((" she", " he"), (" he", " she"))[i % 2]
        assert not re.search(r"[][]", example.text) and example.label == 0
    with pytest.raises(DataError, match="makes its own texts"):
        task.load(Path("x"))
    with pytest.raises(DataError, match="no split 'train'"):
        task.load(split="train")


def test_story_pronouns_on_a_real_model(shared):
    model = NextTokenModel.from_pretrained(shared / "models" / "stories260K", device="cpu")
    examples = load_task("story_pronouns").load().examples
    assert model.unusable(examples) == {}
    assert (model.probabilities(model.encode_examples(examples))[:, 0] > 0.5).double().mean() > 0.9
    some = examples[:20]
    batch = model.encode_examples(some)
    precision = {}
    for name in ("occlusion", "random"):
        ranks = rankings(batch, [s.numpy() for s in batch.unit_scores(load_method(name).attribute(model, batch))], 0)
        evidence = [evidence_units(batch.unit_spans[i], one.evidence) for i, one in enumerate(some)]
        precision[name] = sum(map(average_precision, ranks, evidence)) / len(some)
    assert precision["occlusion"] > precision["random"] + 0.1


def test_blimp(tmp_path, monkeypatch):
    task = load_task("blimp")
    path = tmp_path / "anaphor_gender_agreement.jsonl"
    path.write_text("\n".join(map(json.dumps, ROWS)))
    for data, name in ((tmp_path, None), (path, "anything")):
        read = task.load(data, name)
        first, second = read.examples
        assert (first.text, first.continuation, first.foil) == ("Anna could see", " herself", " himself")
        assert (second.text, second.continuation, second.foil) == ("The car parks", " itself", " himself")
        assert first.id == f"{name or 'anaphor_gender_agreement'}-0"
        assert read.left_out == 2
        assert first.label == 0 and first.evidence is None
    with pytest.raises(DataError, match=r"no file for the split 'adjunct_island'"):
        task.load(tmp_path, "adjunct_island")

    import datasets

    asked = []

    def load(*args, **kwargs):
        asked.append((args, kwargs))
        return datasets.Dataset.from_list(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load)
    read = task.load(split="adjunct_island")
    assert asked == [((task.dataset, "adjunct_island"), {"revision": task.dataset_revision, "split": "train"})]
    assert (read.split, read.revision) == ("adjunct_island", task.dataset_revision)
    assert re.fullmatch("[0-9a-f]{40}", task.dataset_revision)
    assert re.fullmatch("[0-9a-f]{40}", task.default_model_revision)


class Asked(Task):
    """Three texts, of which one cannot be asked about."""

    name, summary, suite, labels, default_model = "asked", "", "x", ("continuation", "foil"), "somewhere"
    kind = "next_token"
    examples = (
        Example("a", "the cast was a great", None, 0, continuation=" film", foil=" joke"),
        Example("b", "the cast was a great", None, 0, continuation=" filmography", foil=" joke"),
        Example("c", "the film was a slow and", None, 0, continuation=" bad", foil=" great"),
    )

    def load(self, data=None, split=None):
        return TaskData(self.examples, "test", "1")


def test_a_run_leaves_out_what_the_model_has_no_token_for(tmp_path):
    model = tiny("gpt2")
    model.model.save_pretrained(tmp_path / "model")
    model.tokenizer.save_pretrained(tmp_path / "model")
    observer, store = Silent(), ResultStore(tmp_path / "results")
    methods = [load_method("occlusion"), load_method("gradient")]
    plan = Plan(tasks=[Asked()], methods=methods, model=str(tmp_path / "model"), device="cpu")
    first, second = run(plan, store, observer)
    assert observer.told == ("NextTokenModel", 2, 1)
    assert [one.result.status for one in (first, second)] == ["finished"] * 2
    result = first.result
    assert (result.coverage.scored, result.coverage.left_out, result.spec.operator) == (2, 1, "delete")
    assert result.label_names == ("continuation", "foil")
    rows = first.examples.to_pylist()
    # the continuation is explained, whatever the model prefers; the accuracy says how often that is it
    assert [row["target"] for row in rows] == [0, 0]
    batch = model.encode_examples([Asked.examples[0], Asked.examples[2]])
    own = model.probabilities(batch)[:, 0]
    assert [row["probability"] for row in rows] == pytest.approx(own.tolist(), abs=1e-5)
    assert result.accuracy == float((own > 0.5).double().mean())
    causal = Plan(
        tasks=[Asked()], methods=[load_method("raw_attention")], model=plan.model, device="cpu", measure="causal"
    )
    (cell,) = run(causal, store, observer)
    assert cell.result.status == "finished", cell.result.error
    assert cell.result.figures["replaced_tvd"].mean < 1e-6
    assert cell.result.figures["replaced_agreement"].mean == 1


def test_a_run_with_nothing_to_ask_about(tmp_path, monkeypatch):
    model = tiny("gpt2")
    model.model.save_pretrained(tmp_path / "model")
    model.tokenizer.save_pretrained(tmp_path / "model")
    monkeypatch.setattr(Asked, "examples", Asked.examples[1:2])
    plan = Plan(tasks=[Asked()], methods=[load_method("random")], model=str(tmp_path / "model"), device="cpu")
    with pytest.raises(InputError, match=r"none of the 1 examples of asked; the first, 'b': the continuation ' filmog"):
        run(plan, ResultStore(tmp_path / "results"), Silent())


def test_a_next_token_task_says_what_it_is():
    with pytest.raises(TaskError, match=r"has the kind 'guess'; it must be one of classification, next_token"):
        _checked(type("Odd", (Asked,), {"kind": "guess"}), "task")
    with pytest.raises(TaskError, match=r"its labels must be \('continuation', 'foil'\)"):
        _checked(type("Odd", (Asked,), {"labels": ("she", "he")}), "task")
    assert in_model_order(Asked.examples, Asked.labels, tiny("gpt2").labels, task="asked", model="x") == [
        *Asked.examples
    ]
    assert torch.equal(tiny("gpt2").encode_examples(Asked.examples[:1]).target, torch.tensor([0]))
