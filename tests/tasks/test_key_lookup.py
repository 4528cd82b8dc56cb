"""The rule of key_lookup, worked out from the texts, and what the checkpoint does without single pieces of evidence."""

from random import Random

import pytest

from whybench.tasks.key_lookup import KeyLookup
from whybench.tests.tasks.checkpoints import probabilities, without

TASK = KeyLookup()
COLOURS = {"red", "blue", "green", "black", "white", "yellow"}


def rule(text, text_pair):
    """The label, the evidence as (segment, word), and the roles: necessary, smallest sufficient sets, distractors."""
    words, (thing, colour) = text.split(" "), text_pair.split(" ")
    assert set(words[1::2]) | {colour} <= COLOURS and len(words) in range(12, 29, 2)
    listed = dict(zip(words[::2], words[1::2], strict=True))
    assert len(listed) == len(words) // 2 and not COLOURS & set(listed)
    place = words.index(thing)
    found = {(0, place), (0, place + 1), (1, 0), (1, 1)}
    others = {(0, i) for i in range(len(words)) if i not in (place, place + 1)}
    return int(listed[thing] == colour), found, (found, {frozenset(found)}, others)


def test_no_single_piece_tells_the_label():
    train = TASK.generate("train")
    for piece in (1, 3):
        for colour in COLOURS:
            labels = [one.label for one in train if one.words[one.evidence[piece]] == colour]
            assert len(labels) > 3000 and 0.47 < sum(labels) / len(labels) < 0.53
    # most inputs are longer than a head's rank can be, 17: there efficient attention is not the raw one
    assert sum(len(one.words) + 3 > 17 for one in train) / len(train) > 0.85


def test_a_flip_changes_either_colour():
    random, examples = Random(0), TASK.generate("test")
    changed = [TASK.flip(one, random).words[one.evidence[1]] != one.words[one.evidence[1]] for one in examples]
    assert 0.35 < sum(changed) / len(changed) < 0.65


def test_the_rest_is_drawn_anew():
    random, pairs = Random(0), []
    for one in TASK.generate("test"):
        new = TASK.resample(one, random)
        pairs += [(one.words[i], new.words[i]) for i in range(len(one.words)) if i not in one.evidence]
    assert sum(a == b for a, b in pairs) / len(pairs) < 0.2


@pytest.mark.parametrize("pieces", [(0,), (1,), (2,), (3,), (2, 3)], ids=str)
def test_each_piece_is_necessary(pieces):
    p = probabilities(TASK, [without(one, [one.evidence[piece] for piece in pieces]) for one in TASK.generate("test")])
    assert (p - 0.5).abs().mean() <= 0.1
