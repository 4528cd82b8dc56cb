"""What every built-in task promises: its data, the changes that it knows, and its checkpoint's behaviour on texts.

Each task's own test file has a function ``rule``, which works label, evidence and roles out from the texts alone.
"""

import hashlib
import importlib
import json
import re
import subprocess
import sys
from collections import Counter
from itertools import combinations
from pathlib import Path
from random import Random

import pytest

from whybench import load_task
from whybench.bench.choices import ROLES, TASK_KINDS
from whybench.bench.errors import DataError
from whybench.bench.listing import names
from whybench.tasks.builtin import checkpoint
from whybench.tasks.builtin.base import BuiltinTask
from whybench.tasks.builtin.checks import failures
from whybench.tasks.builtin.train import write
from whybench.tests.tasks.checkpoints import pretrained, probabilities, whole, without

TASKS = [task for task in map(load_task, names("task")) if isinstance(task, BuiltinTask)]


@pytest.fixture(scope="module", params=TASKS, ids=lambda task: task.name)
def task(request):
    return request.param


@pytest.fixture(scope="module")
def data(task):
    return {split: task.load(split=split) for split in task.sizes}


@pytest.fixture(scope="module")
def rule(task):
    return importlib.import_module(f"whybench.tests.tasks.test_{task.name}").rule


@pytest.fixture(scope="module")
def folder(task):
    return Path(task.default_model)


@pytest.fixture(scope="module")
def card(folder):
    return json.loads((folder / "card.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def examples(task):
    return task.generate("test")[:200]


def others(planted):
    """Indices of the words that decide nothing."""
    return [place for place in range(len(planted.words)) if place not in planted.evidence]


def evidence_words(planted):
    return [planted.words[place] for place in planted.evidence]


def places(planted):
    """The evidence as (segment, word)."""
    second = planted.second
    return {(0, i) if second is None or i < second else (1, i - second) for i in planted.evidence}


def ruled(rule, texts, contrast):
    """Label, evidence and roles by the rule; the rule of a next-token task gives the word that comes next."""
    label, evidence, roles = rule(*texts)
    return (label if contrast is None else contrast.index(label)), evidence, roles


def contrast_of(example):
    return None if example.continuation is None else (example.continuation.strip(), example.foil.strip())


def test_there_are_several_and_they_are_the_default_suite():
    assert {"aspect_sentiment", "induction", "key_lookup", "majority", "xor_cues"} <= {task.name for task in TASKS}
    assert {task.suite for task in TASKS} == {"mini"}
    assert any(task.load().examples[0].text_pair for task in TASKS)
    assert {task.kind for task in TASKS} == set(TASK_KINDS)


def test_label_and_evidence_follow_from_the_texts(task, data, rule):
    for split, loaded in data.items():
        for example in loaded.examples:
            texts = (example.text, example.text_pair)
            label, evidence, roles = ruled(rule, texts, contrast_of(example))
            assert example.label == label

            def words_of(spans, texts=texts):
                return {(segment, texts[segment][:start].count(" ")) for segment, start, _ in spans}

            assert words_of(example.evidence) == evidence and len(example.evidence) == len(evidence)
            sets = {frozenset(words_of(spans)) for spans in example.roles.sufficient}
            assert (words_of(example.roles.necessary), sets, words_of(example.roles.distractor)) == roles
            words = [(segment, texts[segment][start:end]) for segment, start, end in example.evidence]
            assert words == [(segment, texts[segment].split(" ")[i]) for segment, i in sorted(evidence)]
        assert len({example.id for example in loaded.examples}) == len(loaded.examples) == task.sizes[split]


def test_labels_are_balanced(task, data):
    examples = data["train"].examples
    if task.kind == "next_token":
        # the label is always the continuation: its words are the classes
        assert {example.label for example in examples} == {0}
        for counts in (Counter(e.continuation for e in examples), Counter(e.foil for e in examples)):
            assert all(abs(count / len(examples) - 1 / len(counts)) < 0.02 for count in counts.values())
        return
    counts = Counter(example.label for example in examples)
    assert set(counts) == set(range(len(task.labels)))
    assert all(abs(count / len(examples) - 1 / len(task.labels)) < 0.02 for count in counts.values())


def test_splits_are_apart(task, data):
    train, test = data["train"], data["test"]
    assert task.load() == test
    assert not {(e.text, e.text_pair) for e in train.examples} & {(e.text, e.text_pair) for e in test.examples}
    assert train.revision != test.revision


def test_data_is_the_same_in_another_process_that_needs_no_torch(task, data, card):
    code = (
        f"import sys; from whybench import load_task; print(load_task({task.name!r}).load().revision); "
        "sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == data["test"].revision
    assert card["data"] == {split: loaded.revision for split, loaded in data.items()}


def test_revision_follows_the_labels_names(task, data, monkeypatch):
    monkeypatch.setattr(type(task), "labels", ("a", "b"))
    assert task.load().revision != data["test"].revision


def test_neither_folder_nor_other_split_is_read(task):
    with pytest.raises(DataError, match=r"generates its own data.*'somewhere'"):
        task.load(data=Path("somewhere"))
    with pytest.raises(DataError, match="no split 'dev'; its splits are train and test"):
        task.load(split="dev")


def test_flip_and_resample_follow_the_rule(task, rule):
    random = Random(0)
    for planted in task.generate("test"):
        flipped, resampled = task.flip(planted, random), task.resample(planted, random)
        assert flipped.label != planted.label and resampled.label == planted.label
        assert evidence_words(flipped) != evidence_words(planted)
        assert [flipped.words[i] for i in others(flipped)] == [planted.words[i] for i in others(planted)]
        assert evidence_words(resampled) == evidence_words(planted)
        assert [resampled.words[i] for i in others(resampled)] != [planted.words[i] for i in others(planted)]
        for one in (flipped, resampled):
            assert ruled(rule, one.texts, one.contrast)[:2] == (one.label, places(one))


def test_roles_are_those_that_the_task_declares(task, data):
    for example in data["test"].examples:
        for role in ROLES:
            assert bool(getattr(example.roles, role)) == (role in task.roles), (example.id, role)


def test_roles_keep_what_they_say_on_any_part_of_a_text(task, examples):
    """The definitions, on random remains of texts: evidence is what the rule reads, and nothing else."""
    random = Random(0)
    for planted in examples:
        roles, everything = task.roles_of(planted), range(len(planted.words))
        assert task.answer(planted, everything) == planted.label
        left = set(random.sample(everything, random.randint(0, len(everything))))
        evidence = set(planted.evidence)
        assert task.answer(planted, left) == task.answer(planted, left & evidence)
        assert not set(roles.distractor) & evidence
        for place in planted.evidence:
            # there is a remainder in which it matters
            parts = [set(part) for k in range(len(evidence)) for part in combinations(evidence - {place}, k)]
            assert any(task.answer(planted, part) != task.answer(planted, part | {place}) for part in parts)
            assert (place in roles.necessary) == (task.answer(planted, {*everything} - {place}) is None)
        for alone in roles.sufficient:
            assert task.answer(planted, alone) == planted.label
            for part in (set(alone) - {place} for place in alone):
                assert task.answer(planted, part) != planted.label


class TestCheckpoint:
    """The shipped weights, held to the task's promises on texts."""

    def test_weights_are_those_of_the_card(self, task, folder, card):
        assert hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest() == card["sha256"]
        assert failures(task, card["figures"]) == []
        assert checkpoint(task.name) == str(folder)

    def test_files_are_small_and_name_no_folder_of_the_author(self, folder):
        files = sorted(folder.iterdir())
        expected = ["card.json", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
        assert [file.name for file in files] == expected
        assert sum(file.stat().st_size for file in files) < 700_000
        for file in files:
            if file.suffix == ".json":
                # a string that begins like an absolute path, of whatever system
                assert not re.search(r'"(/[^"/]|[A-Za-z]:\\\\)', file.read_text())

    def test_labels_and_tokenizer(self, task, examples):
        tokenizer, model = pretrained(task.default_model)
        if task.kind == "classification":
            assert tuple(model.config.id2label[i] for i in range(len(task.labels))) == task.labels
        assert tokenizer.is_fast and tokenizer.model_max_length == task.recipe.length
        for example in examples:
            encoding = tokenizer(*example.texts)
            assert [word for word in encoding.word_ids() if word is not None] == [
                word for text in example.texts if text is not None for word in range(len(text.split(" ")))
            ]
            assert tokenizer.unk_token_id not in encoding["input_ids"]
            assert len(encoding["input_ids"]) <= tokenizer.model_max_length

    def test_accuracy_without_saturation(self, task, examples):
        p = probabilities(task, [whole(e) for e in examples])
        assert (p > 0.5).double().mean() >= 0.99
        assert 0.95 < p.mean() < 0.995

    def test_flip_is_followed(self, task, examples):
        random = Random(1)
        for _ in range(2):
            p = probabilities(task, [whole(task.flip(e, random)) for e in examples])
            assert (p > 0.5).double().mean() >= 0.98

    def test_all_else_can_be_drawn_anew(self, task, examples):
        random = Random(2)
        p = probabilities(task, [whole(task.resample(e, random)) for e in examples])
        assert (p > 0.5).double().mean() >= 0.98

    def test_without_evidence_it_is_chance(self, task, examples):
        p = probabilities(task, [without(e, e.evidence) for e in examples])
        assert (p - 1 / len(task.labels)).abs().mean() <= 0.05

    def test_other_words_are_not_needed(self, task, examples):
        random = Random(3)
        before = probabilities(task, [whole(e) for e in examples])
        after = probabilities(task, [without(e, random.sample(others(e), len(e.evidence))) for e in examples])
        assert ((before > 0.5) == (after > 0.5)).double().mean() >= 0.98
        assert (before - after).abs().mean() <= 0.01
        assert probabilities(task, [without(e, others(e)) for e in examples]).mean() >= 0.95

    def test_roles(self, task, examples):
        """By code of its own, with plain transformers."""
        roles = [task.roles_of(e) for e in examples]
        before = probabilities(task, [whole(e) for e in examples])
        p = probabilities(
            task, [without(e, [place]) for e, one in zip(examples, roles, strict=True) for place in one.necessary]
        )
        assert (p - 1 / len(task.labels)).abs().mean() <= 0.1
        alone = [
            without(e, {*range(len(e.words))} - {*places})
            for e, one in zip(examples, roles, strict=True)
            for places in one.sufficient
        ]
        assert (probabilities(task, alone) > 0.5).double().mean() >= 0.98
        after = probabilities(task, [without(e, one.distractor) for e, one in zip(examples, roles, strict=True)])
        assert ((before > 0.5) == (after > 0.5)).double().mean() >= 0.98

    def test_card_can_be_measured_again(self, task, data, folder, card, tmp_path, monkeypatch):
        # the data's revisions were worked out above
        monkeypatch.setattr(type(task), "load", lambda self, split: data[split])
        tokenizer, model = pretrained.__wrapped__(folder)
        again = write(task, model, tokenizer, card["seed"], tmp_path)
        assert again == json.loads((tmp_path / "card.json").read_text())
        assert again["figures"] == pytest.approx(card["figures"], abs=1e-3)
        assert {**again, "figures": 0, "versions": 0} == {**card, "figures": 0, "versions": 0}
        assert (tmp_path / "tokenizer.json").read_text() == (folder / "tokenizer.json").read_text()


def test_all_checkpoints_together_stay_small():
    files = [file for task in TASKS for file in Path(task.default_model).iterdir()]
    assert sum(file.stat().st_size for file in files) < 8_000_000
