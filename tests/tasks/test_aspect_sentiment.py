"""The rule of aspect_sentiment, worked out from the texts, and what the checkpoint does with scope and question."""

import re
from random import Random

import pytest

from whybench.tasks.aspect_sentiment import ASPECTS, AspectSentiment
from whybench.tests.tasks.checkpoints import probabilities, without

TASK = AspectSentiment()
CLAUSE = re.compile(r"the (?P<aspect>\w+) (was|seemed|felt)( (?P<negation>not|never|hardly))? (?P<opinion>\w+)")
PRAISE = {"charming", "excellent", "good", "great", "lovely", "perfect", "pleasant", "wonderful"}
BLAME = {"awful", "bad", "boring", "dreadful", "horrible", "poor", "terrible", "unpleasant"}


def clauses(text):
    """The asked aspect, and all clauses as matches."""
    question, rest = text.split(" : ")
    matches, end = [], 0
    while True:
        matches.append(CLAUSE.match(rest, end))
        assert matches[-1], text
        if matches[-1].end() == len(rest):
            return question.removeprefix("about "), len(question) + 3, matches
        link = re.compile(" (and|but|while) ").match(rest, matches[-1].end())
        end = link.end()


def rule(text, text_pair):
    """The label, the evidence as (segment, word), and the roles: necessary, smallest sufficient sets, distractors."""
    assert text_pair is None and text.startswith("about ")
    asked, shift, matches = clauses(text)
    assert 3 <= len(matches) <= 6 and len({match["aspect"] for match in matches}) == len(matches)
    match = next(match for match in matches if match["aspect"] == asked)
    assert match["opinion"] in PRAISE | BLAME
    label = int((match["opinion"] in PRAISE) == (match["negation"] is None))

    def places(clause, *groups):
        return {(0, text[: shift + clause.start(group)].count(" ")) for group in groups if clause[group]}

    evidence = {(0, 1)} | places(match, "aspect", "negation", "opinion")
    necessary = {(0, 1)} | places(match, "aspect", "opinion")
    others = [places(other, "aspect", "negation", "opinion") for other in matches if other is not match]
    return label, evidence, (necessary, {frozenset(evidence)}, set().union(*others))


def test_opinions_of_all_clauses_are_balanced_and_half_are_negated():
    examples = TASK.generate("train")[:4000]
    found = [match for one in examples for match in clauses(one.texts[0])[2]]
    for share in (sum(m["opinion"] in PRAISE for m in found), sum(m["negation"] is None for m in found)):
        assert 0.48 < share / len(found) < 0.52
    assert {match["aspect"] for match in found} == set(ASPECTS)
    negated = [len(one.evidence) == 4 for one in examples]
    assert 0.47 < sum(negated) / len(negated) < 0.53


def test_a_flip_turns_the_word_or_the_negation():
    random, kinds = Random(0), {-1: 0, 0: 0, 1: 0}
    for one in TASK.generate("test"):
        flipped = TASK.flip(one, random)
        longer = len(flipped.words) - len(one.words)
        kinds[longer] += 1
        assert len(flipped.evidence) == len(one.evidence) + longer
        if longer:
            long, short = (flipped, one) if longer == 1 else (one, flipped)
            negation = long.evidence[-1] - 1
            assert long.words[:negation] + long.words[negation + 1 :] == short.words
        else:
            assert sum(a != b for a, b in zip(one.words, flipped.words, strict=True)) == 1
    assert min(kinds.values()) >= 30


def test_another_question_gets_another_answer():
    random, asked_again = Random(0), []
    for one in TASK.generate("test"):
        text = one.texts[0]
        asked, shift, matches = clauses(text)
        other = random.choice([match["aspect"] for match in matches if match["aspect"] != asked])
        again = f"about {other} : {text[shift:]}"
        asked_again.append((again, None, rule(again, None)[0], None))
    changed = [label != one.label for one, (_, _, label, _) in zip(TASK.generate("test"), asked_again, strict=True)]
    assert sum(changed) > 60
    assert (probabilities(TASK, asked_again) > 0.5).double().mean() >= 0.98


@pytest.mark.parametrize("piece", [0, 1, -1], ids=["the question", "the mention", "the opinion"])
def test_each_piece_is_necessary(piece):
    p = probabilities(TASK, [without(one, [one.evidence[piece]]) for one in TASK.generate("test")])
    assert (p - 0.5).abs().mean() <= 0.1


def test_a_negation_that_is_not_there_turns_the_opinion():
    negated = [one for one in TASK.generate("test") if len(one.evidence) == 4]
    assert len(negated) > 60
    turned = [(*one.texts, 1 - one.label, None) for one in (cut(one, one.evidence[2]) for one in negated)]
    assert (probabilities(TASK, turned) > 0.5).double().mean() >= 0.98


def test_a_masked_negation_is_still_seen():
    negated = [one for one in TASK.generate("test") if len(one.evidence) == 4]
    kept = probabilities(TASK, [without(one, [one.evidence[2]]) for one in negated]) > 0.5
    assert 0.75 < kept.double().mean() < 0.95


def cut(one, place):
    """The example without the word at that place."""
    return one._replace(words=one.words[:place] + one.words[place + 1 :])
