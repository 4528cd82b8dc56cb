"""The rule of xor_cues, worked out from the texts, and what the checkpoint does with one cue alone."""

from collections import Counter
from random import Random

import pytest

from whybench.tasks.xor_cues import XorCues
from whybench.tests.tasks.checkpoints import probabilities, without

TASK = XorCues()
LABELS = {("red", "round"): 0, ("red", "square"): 1, ("blue", "round"): 1, ("blue", "square"): 0}
CUES = {"red", "blue", "round", "square"}


def rule(text, text_pair):
    """The label, the evidence as (segment, word), and the roles: necessary, smallest sufficient sets, distractors."""
    words = text.split(" ")
    assert text_pair is None and 24 <= len(words) <= 44
    found = [place for place, word in enumerate(words) if word in CUES]
    assert len(found) == 2
    colour, shape = sorted((words[place] for place in found), key=("red", "blue", "round", "square").index)
    cues = {(0, place) for place in found}
    return LABELS[colour, shape], cues, (cues, {frozenset(cues)}, set())


def test_all_pairs_are_as_frequent():
    for split in TASK.sizes:
        pairs = Counter(frozenset(one.words[i] for i in one.evidence) for one in TASK.generate(split))
        assert set(pairs) == set(map(frozenset, LABELS))
        assert all(0.15 < count / TASK.sizes[split] < 0.35 for count in pairs.values())


def test_a_flip_changes_one_word_and_the_rest_is_drawn_anew():
    random = Random(0)
    for one in TASK.generate("test"):
        flipped, resampled = TASK.flip(one, random), TASK.resample(one, random)
        assert sum(a != b for a, b in zip(one.words, flipped.words, strict=True)) == 1
        assert sum(a == b for a, b in zip(one.words, resampled.words, strict=True)) < len(one.words) / 2


@pytest.mark.parametrize("which", [0, 1])
def test_both_cues_are_necessary(which):
    p = probabilities(TASK, [without(one, [one.evidence[which]]) for one in TASK.generate("test")[:200]])
    assert (p - 0.5).abs().mean() <= 0.1
