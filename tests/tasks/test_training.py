"""Encoding, removing and training for built-in tasks; xor_cues serves as the task."""

import hashlib
import json
import shutil
from types import SimpleNamespace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from whybench.bench.errors import ModelError, UnknownNameError
from whybench.tasks.builtin import train as training
from whybench.tasks.builtin.base import Planted, Recipe
from whybench.tasks.builtin.checks import encode, failures, limits, measure, remove
from whybench.tasks.builtin.train import build_model, build_tokenizer, find, main, train, write
from whybench.tasks.key_lookup import KeyLookup
from whybench.tasks.xor_cues import XorCues

TASK = XorCues()


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
    wanted = len(limits(TASK))
    assert len(failures(TASK, {})) == len(failures(TASK, dict.fromkeys(["accuracy"], float("nan")))) == wanted
    assert "distractors_removed_kept" not in limits(TASK)
    assert "distractors_removed_kept" in limits(KeyLookup())


class ByRule:
    """Answers as xor_cues's rule does where it finds the words that it looks for, and is at chance elsewhere."""

    def __init__(self, tokenizer, *, shapes=True):
        self.red, self.blue, self.round, self.square = tokenizer.convert_tokens_to_ids(
            ["red", "blue", "round", "square"]
        )
        self.shapes = shapes

    def __call__(self, input_ids, token_type_ids, attention_mask):
        def has(word):
            return (input_ids == word).any(1)

        known = has(self.red) | has(self.blue)
        mismatch = has(self.blue)
        if self.shapes:
            known, mismatch = known & (has(self.round) | has(self.square)), mismatch ^ has(self.square)
        says = torch.where(mismatch, 5.0, -5.0) * known
        return SimpleNamespace(logits=torch.stack((torch.zeros_like(says), says), 1))


def test_checks_tell_a_model_that_follows_the_rule_from_one_that_reads_the_colour_alone():
    tokenizer = build_tokenizer(TASK)
    figures = measure(TASK, ByRule(tokenizer), tokenizer)
    assert failures(TASK, figures) == []
    assert figures["necessary_removed_from_chance"] == figures["thinned_from_chance_delete"] == 0
    assert figures["sufficient_alone_kept"] == figures["thinned_kept_pad"] == figures["thinned_accuracy"] == 1
    colours_alone = measure(TASK, ByRule(tokenizer, shapes=False), tokenizer)
    missed = {line.split(" = ")[0] for line in failures(TASK, colours_alone)}
    assert {"necessary_removed_from_chance", "thinned_accuracy", "thinned_kept", "thinned_from_chance"} <= missed


def test_a_card_gets_the_figures_that_it_lacks_and_nothing_else(tmp_path, capsys, monkeypatch):
    folder = tmp_path / "xor_cues"
    shutil.copytree(TASK.default_model, folder)
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    shipped = json.loads(files["card.json"])
    # the data's revisions are held to the card elsewhere
    monkeypatch.setattr(XorCues, "load", lambda self, split: SimpleNamespace(revision=shipped["data"][split]))

    def measured(**changes):
        figures = {k: v for k, v in shipped["figures"].items() if not k.startswith("necessary_")}
        (folder / "card.json").write_text(json.dumps({**shipped, "figures": figures, **changes}))
        return main(["xor_cues", "--measure", "--out", str(folder)])

    assert measured() == 0
    card = json.loads((folder / "card.json").read_text())
    assert card["figures"] == pytest.approx(shipped["figures"], abs=1e-3)
    assert {**card, "figures": 0} == {**shipped, "figures": 0}
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "card.json"} == {
        name: content for name, content in files.items() if name != "card.json"
    }
    # measured once, which is enough
    monkeypatch.setattr(training, "measure", lambda *_: card["figures"])
    for changes, message in (
        ({"figures": {"accuracy": 0.5}}, "accuracy = 1.0 was 0.5"),
        ({"sha256": "0"}, "the weights of 'xor_cues' are"),
        ({"data": {}}, "the data of 'xor_cues' are"),
    ):
        capsys.readouterr()
        assert measured(**changes) == 1
        assert message in capsys.readouterr().err
        assert json.loads((folder / "card.json").read_text()).items() >= changes.items()


class Guided(Short):
    """The same with the second loss."""

    recipe = Recipe(steps=6, batch=8, curriculum=0.3, auxiliary=0.5)


def test_the_second_loss_asks_of_each_word_that_is_left_whether_it_is_evidence(monkeypatch):
    asked, seen = [], []

    def thin(tokenizer, batch, progress, recipe):
        thinned = training_thin(tokenizer, batch, progress, recipe)
        seen.append((tokenizer, thinned))
        return thinned

    def loss(found, wanted):
        asked.append(wanted)
        return binary_cross_entropy_with_logits(found, wanted)

    training_thin = training.thin
    monkeypatch.setattr(training, "thin", thin)
    monkeypatch.setattr(training, "binary_cross_entropy_with_logits", loss)
    train(Short(), 0)
    assert len(seen) == 6 and not asked
    seen.clear()
    train(Guided(), 0)
    assert len(asked) == len(seen) == 6
    cues = {"red", "blue", "round", "square"}
    for wanted, (tokenizer, batch) in zip(asked, seen, strict=True):
        words = [w for row in batch.ids.tolist() for w in tokenizer.convert_ids_to_tokens(row) if not w.startswith("[")]
        assert wanted.tolist() == [word in cues for word in words]


def test_the_second_loss_changes_the_training_and_leaves_nothing_in_the_model():
    tokenizer = build_tokenizer(TASK)
    data = encode(tokenizer, Short().generate("train"))
    states = []
    for recipe in (Short.recipe, Guided.recipe):
        with training.one_core(0):
            model = build_model(TASK, len(tokenizer))
            training.fit(model, tokenizer, data, recipe)
        states.append(model.state_dict())
    assert states[0].keys() == states[1].keys()
    first = "bert.encoder.layer.0.attention.self.query.weight"
    assert not torch.equal(states[0][first], states[1][first])


def test_blind_examples_lose_all_their_evidence_and_the_draws_stay_the_same():
    tokenizer = build_tokenizer(TASK)
    batch = encode(tokenizer, Short().generate("train"))

    def thinned(recipe):
        with training.one_core(0):
            return training.thin(tokenizer, batch, 0.9, recipe)

    plain, blind = thinned(Recipe(untouched=1.0)), thinned(Recipe(untouched=1.0, blind=0.5))
    assert torch.equal(plain.ids, batch.ids)
    cues = torch.tensor(tokenizer.convert_tokens_to_ids(["red", "blue", "round", "square"]))
    left = torch.isin(blind.ids, cues).sum(1)
    assert set(left.tolist()) == {0, 2} and 30 < (left == 0).sum() < 70
    words = [ids[(ids > 4) & ~torch.isin(ids, cues)].tolist() for ids in blind.ids]
    assert words == [ids[(ids > 4) & ~torch.isin(ids, cues)].tolist() for ids in batch.ids]
    assert torch.isin(thinned(Recipe(untouched=0.0, blind=1.0)).ids, cues).sum() == 0
