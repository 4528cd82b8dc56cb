"""The rule of induction, worked out from the texts, and what the checkpoint says on its own."""

from random import Random

import pytest
import torch

from whybench import NextTokenModel
from whybench.tasks.induction import Induction
from whybench.tests.tasks.checkpoints import pretrained, probabilities, whole, without

TASK = Induction()
NAMES = set(TASK.vocabulary()[:24])
DRINKS = set(TASK.vocabulary()[24:])


def rule(text, text_pair):
    """What comes next, the evidence as (segment, word), and the roles: necessary, sufficient sets, distractors."""
    *listed, name = text.split(" ")
    assert text_pair is None and len(listed) % 2 == 0 and 16 <= len(listed) <= 32
    names, drinks = listed[::2], listed[1::2]
    assert len(set(names)) == len(names) and set(names) <= NAMES and set(drinks) <= DRINKS
    at = names.index(name)
    evidence = {(0, 2 * at), (0, 2 * at + 1), (0, len(listed))}
    others = {(0, place) for place in range(len(listed))} - evidence
    return drinks[at], evidence, (evidence, {frozenset(evidence)}, others)


def test_the_foil_is_the_drink_of_another():
    for split in TASK.sizes:
        for one in TASK.generate(split):
            key, value, last = one.evidence
            drinks = [word for place, word in enumerate(one.words[:last]) if place % 2 and place != value]
            assert one.contrast[0] == one.words[value] == one.words[key + 1]
            assert one.contrast[1] != one.contrast[0] and one.contrast[1] in drinks


def test_the_whole_vocabulary_agrees():
    """The continuation is what the model would say, and not only the likelier of the two."""
    tokenizer, model = pretrained(TASK.default_model)
    examples = TASK.generate("test")
    for one in examples[:50]:
        with torch.no_grad():
            logits = model(**tokenizer(one.texts[0], return_tensors="pt", return_token_type_ids=False)).logits[0, -1]
        assert tokenizer.convert_ids_to_tokens(int(logits.argmax())) == one.contrast[0]


def test_texts_are_longer_than_a_head_is_wide():
    assert min(len(one.words) for one in TASK.generate("test")) > 16


@pytest.mark.parametrize("piece", range(3))
def test_each_piece_is_necessary(piece):
    p = probabilities(TASK, [without(one, [one.evidence[piece]]) for one in TASK.generate("test")])
    assert (p - 0.5).abs().mean() <= 0.1


def test_pairs_can_change_places():
    random, examples = Random(0), TASK.generate("test")
    moved = []
    for one in examples:
        pairs = [one.words[place : place + 2] for place in range(0, len(one.words) - 1, 2)]
        random.shuffle(pairs)
        moved.append((" ".join([*(word for pair in pairs for word in pair), one.words[-1]]), None, 0, one.contrast))
    assert (probabilities(TASK, moved) > 0.5).double().mean() >= 0.99
    assert (probabilities(TASK, [whole(one) for one in examples]) > 0.5).all()


def test_the_models_own_wrapper_says_the_same():
    model, examples = NextTokenModel.from_pretrained(TASK.default_model, device="cpu"), TASK.load().examples[:50]
    assert model.unusable(examples) == {}
    batch = model.encode_examples(examples)
    assert [len(batch.unit_spans[i]) for i in range(50)] == [len(one.text.split(" ")) for one in examples]
    own = model.probabilities(batch)[:, 0]
    assert (own - probabilities(TASK, [whole(one) for one in TASK.generate("test")[:50]])).abs().max() < 1e-5
