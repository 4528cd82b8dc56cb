"""The task xor_cues: its rule, its checkpoint's behaviour (with plain transformers, on texts), its training."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from whybench.bench.errors import DataError, ModelError, UnknownNameError
from whybench.tasks.builtin import checkpoint
from whybench.tasks.builtin.base import Planted, Recipe
from whybench.tasks.builtin.checks import encode, failures, remove
from whybench.tasks.builtin.train import build_model, build_tokenizer, find, main, train, write
from whybench.tasks.xor_cues import COLOURS, SHAPES, XorCues

TASK = XorCues()
FOLDER = Path(TASK.default_model)
LABELS = {("red", "round"): 0, ("red", "square"): 1, ("blue", "round"): 1, ("blue", "square"): 0}


def cues(example):
    """The evidence's words, the colour first, read through the spans."""
    assert all(span.segment == 0 for span in example.evidence)
    found = [example.text[span.start : span.end] for span in example.evidence]
    return tuple(sorted(found, key=COLOURS.__contains__, reverse=True))


@pytest.mark.parametrize("split", ["train", "test"])
def test_label_follows_from_the_evidence(split):
    examples = TASK.load(split=split).examples
    assert [example.label for example in examples] == [LABELS[cues(example)] for example in examples]
    for example in examples:
        words = example.text.split(" ")
        assert 24 <= len(words) <= 44
        assert sum(word in COLOURS + SHAPES for word in words) == 2
    assert len({example.id for example in examples}) == len(examples) == TASK.sizes[split]
    shares = [sum(cues(example) == pair for example in examples) / len(examples) for pair in LABELS]
    assert all(0.2 < share < 0.3 for share in shares)


def test_splits_are_apart():
    train, test = TASK.load(split="train"), TASK.load(split="test")
    assert TASK.load() == test
    assert not {example.text for example in train.examples} & {example.text for example in test.examples}
    assert train.revision != test.revision


def test_data_is_the_same_in_another_process():
    code = "from whybench.tasks.xor_cues import XorCues; print(XorCues().load().revision)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    card = json.loads((FOLDER / "card.json").read_text())
    assert run.stdout.strip() == TASK.load().revision == card["data"]["test"]
    assert TASK.load(split="train").revision == card["data"]["train"]


def test_task_and_its_name_need_no_torch():
    code = "import sys, whybench.tasks.xor_cues; sys.exit(any(m in sys.modules for m in ('torch', 'transformers')))"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_revision_follows_the_rule(monkeypatch):
    before = TASK.load().revision
    monkeypatch.setattr(XorCues, "labels", ("a", "b"))
    assert TASK.load().revision != before


def test_flip_and_resample_follow_the_rule():
    random = Random(0)
    for planted in TASK.generate("test"):
        flipped, resampled = TASK.flip(planted, random), TASK.resample(planted, random)
        assert flipped.label == 1 - planted.label
        assert sum(a != b for a, b in zip(planted.words, flipped.words, strict=True)) == 1
        assert resampled.label == planted.label and resampled.evidence == planted.evidence
        assert [resampled.words[i] for i in planted.evidence] == [planted.words[i] for i in planted.evidence]
        assert sum(a == b for a, b in zip(planted.words, resampled.words, strict=True)) < len(planted.words) / 2
        for one in (flipped, resampled):
            found = sorted((one.words[i] for i in one.evidence), key=COLOURS.__contains__, reverse=True)
            assert one.label == LABELS[tuple(found)]


def test_spans_of_a_pair():
    planted = Planted(("red", "hat", "big", "square"), (0, 3), 1, second=2)
    texts = planted.texts
    assert texts == ("red hat", "big square")
    assert [texts[span.segment][span.start : span.end] for span in planted.spans] == ["red", "square"]
    inputs = encode(build_tokenizer(TASK), [Planted(("red", "apple", "again", "square"), (0, 3), 1, second=2)])
    assert inputs.segments.tolist() == [[0, 0, 0, 0, 1, 1, 1]]
    assert inputs.units.tolist() == [[False, True, True, False, True, True, False]]
    assert inputs.evidence.nonzero()[:, 1].tolist() == [1, 5]


def test_errors():
    with pytest.raises(DataError, match=r"generates its own data.*'somewhere'"):
        TASK.load(data=Path("somewhere"))
    with pytest.raises(DataError, match="no split 'dev'; its splits are train and test"):
        TASK.load(split="dev")
    with pytest.raises(UnknownNameError, match="Did you mean 'xor_cues'"):
        find("xor_cue")
    with pytest.raises(ValueError, match="one token of the vocabulary, got 'red zebra'"):
        encode(build_tokenizer(TASK), [Planted(("red", "zebra"), (0,), 0)])
    with pytest.raises(ValueError, match="has 65 tokens, more than the limit of 64"):
        encode(build_tokenizer(TASK), [Planted(("red",) * 63, (0,), 0)])
    assert main(["xor_cue"]) == 2


def test_remove():
    tokenizer = build_tokenizer(TASK)
    inputs = encode(tokenizer, [Planted(("red", "apple", "square"), (0, 2), 1), Planted(("red", "round"), (0, 1), 0)])
    which = inputs.evidence & (inputs.ids == tokenizer.convert_tokens_to_ids("red"))

    def tokens(changed):
        return [" ".join(tokenizer.convert_ids_to_tokens(row[mask == 1])) for row, mask in zip(*changed, strict=True)]

    def removed(operator):
        changed = remove(tokenizer, inputs, which, operator)
        assert (changed.ids[changed.attention == 0] == tokenizer.pad_token_id).all()
        assert changed.evidence.sum() == inputs.evidence.sum()
        return tokens((changed.ids, changed.attention))

    assert removed("mask") == ["[CLS] [MASK] apple square [SEP]", "[CLS] [MASK] round [SEP]"]
    assert removed("pad") == removed("delete") == ["[CLS] apple square [SEP]", "[CLS] round [SEP]"]
    assert remove(tokenizer, inputs, which, "pad").attention.tolist() == [[1, 0, 1, 1, 1], [1, 0, 1, 1, 0]]
    assert remove(tokenizer, inputs, which, "delete").attention.tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]]


@pytest.fixture(scope="module")
def right():
    """A function: texts and labels to the labels' probabilities, ``[examples]``."""
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    model = AutoModelForSequenceClassification.from_pretrained(FOLDER).eval()

    def probabilities(pairs):
        texts, labels = zip(*pairs, strict=True)
        with torch.no_grad():
            logits = model(**tokenizer(list(texts), padding=True, return_tensors="pt")).logits
        return logits.softmax(-1).gather(1, torch.tensor(labels)[:, None])[:, 0]

    return probabilities


@pytest.fixture(scope="module")
def examples():
    return TASK.generate("test")[:200]


class TestCheckpoint:
    """The shipped weights, held to the task's promises on texts; no code of the training script is used here."""

    @staticmethod
    def masked(example, places):
        return example.with_words(dict.fromkeys(places, "[MASK]")).texts[0], example.label

    def test_weights_are_those_of_the_card(self):
        card = json.loads((FOLDER / "card.json").read_text())
        assert hashlib.sha256((FOLDER / "model.safetensors").read_bytes()).hexdigest() == card["sha256"]
        assert failures(card["figures"]) == []
        assert checkpoint("xor_cues") == str(FOLDER)

    def test_files_are_small_and_name_no_folder_of_the_author(self):
        files = sorted(FOLDER.iterdir())
        names = ["card.json", "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
        assert [file.name for file in files] == names
        assert sum(file.stat().st_size for file in files) < 1_000_000
        for file in files:
            if file.suffix == ".json":
                # a string that begins like an absolute path, of whatever system
                assert not re.search(r'"(/[^"/]|[A-Za-z]:\\\\)', file.read_text())

    def test_labels_and_tokenizer(self, examples):
        model = AutoModelForSequenceClassification.from_pretrained(FOLDER)
        assert tuple(model.config.id2label[i] for i in range(2)) == TASK.labels
        tokenizer = AutoTokenizer.from_pretrained(FOLDER)
        assert tokenizer.is_fast and tokenizer.model_max_length == 64
        for example in examples:
            encoding = tokenizer(example.texts[0])
            assert encoding.word_ids() == [None, *range(len(example.words)), None]
            assert tokenizer.unk_token_id not in encoding["input_ids"]
        assert tokenizer.decode(tokenizer("red hat", "blue").input_ids) == "[CLS] red [UNK] [SEP] blue [SEP]"

    def test_accuracy_without_saturation(self, right, examples):
        p = right([(e.texts[0], e.label) for e in examples])
        assert (p > 0.5).double().mean() >= 0.99
        assert 0.95 < p.mean() < 0.995

    def test_flip_is_followed(self, right, examples):
        random = Random(1)
        for _ in range(2):
            flipped = [TASK.flip(e, random) for e in examples]
            assert (right([(e.texts[0], e.label) for e in flipped]) > 0.5).double().mean() >= 0.98

    def test_all_else_can_be_drawn_anew(self, right, examples):
        resampled = [TASK.resample(e, Random(2)) for e in examples]
        assert (right([(e.texts[0], e.label) for e in resampled]) > 0.5).double().mean() >= 0.98

    def test_without_evidence_it_is_chance(self, right, examples):
        p = right([self.masked(e, e.evidence) for e in examples])
        assert (p - 0.5).abs().mean() <= 0.05

    def test_both_cues_are_necessary(self, right, examples):
        for which in (0, 1):
            p = right([self.masked(e, [e.evidence[which]]) for e in examples])
            assert (p - 0.5).abs().mean() <= 0.1

    def test_other_words_are_not(self, right, examples):
        random = Random(3)
        others = [[i for i in range(len(e.words)) if i not in e.evidence] for e in examples]
        before = right([(e.texts[0], e.label) for e in examples])
        after = right([self.masked(e, random.sample(o, 2)) for e, o in zip(examples, others, strict=True)])
        assert ((before > 0.5) == (after > 0.5)).double().mean() >= 0.98
        assert (before - after).abs().mean() <= 0.01
        assert right([self.masked(e, o) for e, o in zip(examples, others, strict=True)]).mean() >= 0.95


class Short(XorCues):
    """The task with a few examples and steps, to see its training start."""

    sizes = {"train": 100, "test": 20}
    recipe = Recipe(steps=6, batch=8)


def test_training_is_reproducible():
    def weights(seed):
        threads, state = torch.get_num_threads(), torch.get_rng_state()
        model, _ = train(Short(), seed)
        assert torch.get_num_threads() == threads and torch.equal(torch.get_rng_state(), state)
        return hashlib.sha256(b"".join(p.detach().numpy().tobytes() for p in model.parameters())).hexdigest()

    first = weights(0)
    assert weights(0) == first
    assert weights(1) != first


def test_a_checkpoint_that_misses_its_limits_is_not_written(tmp_path):
    tokenizer = build_tokenizer(TASK)
    with pytest.raises(ModelError, match=r"seed 0 is not written: .*accuracy = 0\.\d+ is outside \[0\.99, 1\.0\]"):
        write(Short(), build_model(TASK, len(tokenizer)).eval(), tokenizer, 0, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_figure_that_is_missing_or_nan_fails():
    assert len(failures({})) == len(failures(dict.fromkeys(["accuracy"], float("nan")))) == 6


def test_card_can_be_measured_again(tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    model = AutoModelForSequenceClassification.from_pretrained(FOLDER).eval()
    shipped = json.loads((FOLDER / "card.json").read_text())
    again = write(TASK, model, tokenizer, shipped["seed"], tmp_path)
    assert again == json.loads((tmp_path / "card.json").read_text())
    assert again["figures"] == pytest.approx(shipped["figures"], abs=1e-3)
    assert {**again, "figures": 0, "versions": 0} == {**shipped, "figures": 0, "versions": 0}
    assert (tmp_path / "tokenizer.json").read_text() == (FOLDER / "tokenizer.json").read_text()
