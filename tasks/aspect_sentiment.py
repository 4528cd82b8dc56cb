"""Opinions on several aspects of a place, some negated; one aspect is asked for."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from whybench.tasks.builtin import checkpoint
from whybench.tasks.builtin.base import BuiltinTask, Planted, Recipe

_ASPECTS = "soup waiter music room view coffee pasta terrace bill wine dessert menu service fish bar salad"
_BLAME = "awful bad boring dreadful horrible poor terrible unpleasant"
_PRAISE = "charming excellent good great lovely perfect pleasant wonderful"

ASPECTS = tuple(_ASPECTS.split())
VERBS = ("was", "seemed", "felt")
LINKS = ("and", "but", "while")
NEGATIONS = ("not", "never", "hardly")
OPINIONS = (tuple(_BLAME.split()), tuple(_PRAISE.split()))


class AspectSentiment(BuiltinTask):
    """Is the opinion on the aspect that the text begins with a good one?

    ``about soup : the waiter seemed awful and the soup was not bad but the view felt lovely``: 3 to 6 clauses on
    different aspects, in each of which a word of praise or blame is negated or not, all drawn independently. The label
    is that of the asked aspect's clause, where a negation turns the opinion round.

    The evidence is the asked aspect, at the beginning and in its clause, its opinion word, and the negation where its
    clause has one; only all of it is sufficient. Both mentions and the opinion are necessary. A negation is not, as the
    rule goes on without it, to the other label. The aspects, negations and opinions of the other clauses are
    distractors, of just the same form.

    What a removed negation does to the checkpoint hangs on the operator. Where its place can be seen (``mask``), the
    model mostly keeps its prediction, as nothing but a negation can stand there; where it closes up (``delete``), the
    model follows the rule to the other label.
    """

    name = "aspect_sentiment"
    summary = "3-6 opinions on aspects of a place, some negated; the label is the one on the aspect that is asked for"
    suite = "mini"
    evidence = "planted"
    labels = ("negative", "positive")
    default_model = checkpoint("aspect_sentiment")
    sizes = {"train": 20_000, "test": 200}
    roles = ("necessary", "sufficient", "distractor")
    cues = frozenset(ASPECTS + NEGATIONS + OPINIONS[0] + OPINIONS[1])
    recipe = Recipe(layers=3, length=48, steps=2800, curriculum=0.4, auxiliary=0.5, blind=0.1)

    def vocabulary(self) -> tuple[str, ...]:
        """The frame's words, the aspects, the negations, then blame and praise."""
        return ("about", ":", "the", *VERBS, *LINKS, *ASPECTS, *NEGATIONS, *OPINIONS[0], *OPINIONS[1])

    def draw(self, random: Random) -> Planted:
        """Draw the aspects, which one is asked for, and a clause for each."""
        aspects = random.sample(ASPECTS, random.randint(3, 6))
        asked = random.randrange(len(aspects))
        clauses = [clause(aspect, random) for aspect in aspects]
        return assemble(asked, clauses, random)

    def flip(self, planted: Planted, random: Random) -> Planted:
        """Turn the opinion word into one of the other kind, or take the negation away or put one in."""
        opinion = planted.evidence[-1]
        if random.randrange(2):
            other = random.choice(OPINIONS[planted.words[opinion] in OPINIONS[0]])
            return planted.with_words({opinion: other}, label=1 - planted.label)
        before = planted.evidence[:2]
        if negated(planted):
            words = planted.words[: opinion - 1] + planted.words[opinion:]
            return Planted(words, (*before, opinion - 1), 1 - planted.label)
        words = (*planted.words[:opinion], random.choice(NEGATIONS), *planted.words[opinion:])
        return Planted(words, (*before, opinion, opinion + 1), 1 - planted.label)

    def resample(self, planted: Planted, random: Random) -> Planted:
        """Draw the other clauses, the number of them and all links anew; the asked aspect's clause keeps its words."""
        _, mention, *_, opinion = planted.evidence
        aspect = planted.words[mention]
        others = random.sample([other for other in ASPECTS if other != aspect], random.randint(2, 5))
        clauses = [clause(other, random) for other in others]
        asked = random.randint(0, len(clauses))
        clauses.insert(asked, planted.words[mention - 1 : opinion + 1])
        return assemble(asked, clauses, random)

    def answer(self, planted: Planted, left: Collection[int]) -> int | None:
        """The opinion on the asked aspect, turned round by a negation; None without it or one of the mentions."""
        question, mention, *negation, opinion = planted.evidence
        if not {question, mention, opinion} <= set(left):
            return None
        return int((planted.words[opinion] in OPINIONS[1]) ^ any(place in left for place in negation))


def clause(aspect: str, random: Random) -> tuple[str, ...]:
    """``the soup was not bad``: an opinion on an aspect, negated as often as not."""
    negation = (random.choice(NEGATIONS),) if random.randrange(2) else ()
    return ("the", aspect, random.choice(VERBS), *negation, random.choice(random.choice(OPINIONS)))


def assemble(asked: int, clauses: list[tuple[str, ...]], random: Random) -> Planted:
    """Link clauses after the question for one of them; its label follows from its words."""
    words: list[str] = ["about", clauses[asked][1], ":"]
    evidence = [1]
    for number, one in enumerate(clauses):
        if number:
            words.append(random.choice(LINKS))
        if number == asked:
            evidence += [len(words) + place for place in (1, *range(3, len(one)))]
        words += one
    label = (clauses[asked][-1] in OPINIONS[1]) ^ (len(clauses[asked]) == 5)
    return Planted(tuple(words), tuple(evidence), int(label))


def negated(planted: Planted) -> bool:
    """Whether the asked aspect's clause has a negation."""
    return len(planted.evidence) == 4
