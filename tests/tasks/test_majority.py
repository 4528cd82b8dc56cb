"""The rule of majority, worked out from the texts, and what the checkpoint makes of each cue."""

from collections import Counter
from random import Random

from whybench.tasks.majority import Majority
from whybench.tests.tasks.checkpoints import probabilities, without

TASK = Majority()
BLAME = {"bad", "awful", "dreadful", "poor"}
PRAISE = {"good", "great", "lovely", "fine"}


def rule(text, text_pair):
    """The label, the evidence as (segment, word), and the roles: necessary, smallest sufficient sets, distractors."""
    words = text.split(" ")
    assert text_pair is None and 24 <= len(words) <= 44
    praise, blame = (sum(word in kind for word in words) for kind in (PRAISE, BLAME))
    assert praise + blame in (3, 5) and abs(praise - blame) == 1
    ahead = {(0, i) for i, word in enumerate(words) if word in (PRAISE if praise > blame else BLAME)}
    cues = {(0, i) for i, word in enumerate(words) if word in PRAISE | BLAME}
    return int(praise > blame), cues, (ahead, {frozenset({cue}) for cue in ahead}, set())


def test_the_number_of_cues_says_nothing():
    counts = Counter((len(one.evidence), one.label) for one in TASK.generate("train"))
    assert set(counts) == {(cues, label) for cues in (3, 5) for label in (0, 1)}
    assert all(0.23 < count / 20_000 < 0.27 for count in counts.values())


def test_a_flip_turns_one_cue_of_the_majority():
    random = Random(0)
    for one in TASK.generate("test"):
        flipped = TASK.flip(one, random)
        (place,) = [i for i, (a, b) in enumerate(zip(one.words, flipped.words, strict=True)) if a != b]
        assert (one.words[place] in PRAISE) == bool(one.label) and place in one.evidence
        assert flipped.evidence == one.evidence


def cue(one, majority):
    """The first cue of the majority, or of the minority."""
    kind = PRAISE if bool(one.label) == majority else BLAME
    return next(place for place in one.evidence if one.words[place] in kind)


def test_each_of_the_majority_is_necessary_and_the_others_are_not():
    examples = TASK.generate("test")
    tied = probabilities(TASK, [without(one, [cue(one, True)]) for one in examples])
    assert (tied - 0.5).abs().mean() <= 0.1
    clear = probabilities(TASK, [without(one, [cue(one, False)]) for one in examples])
    assert (clear > 0.5).double().mean() >= 0.98


def test_a_single_word_of_the_majority_is_enough_though_not_to_be_sure():
    examples = TASK.generate("test")
    alone = [without(one, [i for i in range(len(one.words)) if i != cue(one, True)]) for one in examples]
    p = probabilities(TASK, alone)
    assert (p > 0.5).double().mean() >= 0.98
    assert 0.55 < p.mean() < 0.75


def test_one_kind_alone_speaks_for_itself():
    only = [[place for place in one.evidence if place != cue(one, False)] for one in TASK.generate("test")]
    minority = [without(one, rest) for one, rest in zip(TASK.generate("test"), only, strict=True)]
    assert (probabilities(TASK, minority) < 0.5).double().mean() >= 0.98
