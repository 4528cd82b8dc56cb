"""Words of praise and of blame among plain ones: which are there more of?"""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from whybench.tasks.builtin import checkpoint
from whybench.tasks.builtin.base import BuiltinTask, Planted, Recipe
from whybench.tasks.builtin.words import FILLERS

CUES = (("bad", "awful", "dreadful", "poor"), ("good", "great", "lovely", "fine"))


class Majority(BuiltinTask):
    """Is there more praise than blame?

    A text of 24 to 44 words holds 3 or 5 cue words at random places, one more of the one kind than of the other;
    all other words are drawn at random and decide nothing. The label is the kind of which there are more.

    The evidence is all cue words: the rule counts every one. Each one of the majority is necessary, as the two kinds
    are even without it. Each one of them is also sufficient: with all else gone, it is one to none. So there are
    several smallest sufficient sets, of one word each. The outvoted ones are neither. They are no distractors though,
    but evidence for the other label, which the necessary ones are needed to outvote.

    The checkpoint keeps its prediction on a single word of the majority, but not its confidence: it is less sure the
    fewer words are ahead (``sufficient_alone_probability`` in its card).
    """

    name = "majority"
    summary = "3 or 5 words of praise and blame among 19-41 plain ones; the label is the kind that has one more"
    suite = "mini"
    evidence = "planted"
    labels = ("blame", "praise")
    default_model = checkpoint("majority")
    sizes = {"train": 20_000, "test": 200}
    cues = frozenset(CUES[0] + CUES[1])
    recipe = Recipe(steps=2000, auxiliary=0.5)

    def vocabulary(self) -> tuple[str, ...]:
        """Blame and praise, then the plain words."""
        return CUES[0] + CUES[1] + FILLERS

    def draw(self, random: Random) -> Planted:
        """Draw the label, the text's length and words, then the cues and their places."""
        label, minority = random.randrange(2), random.randint(1, 2)
        words = random.choices(FILLERS, k=random.randint(24, 44))
        kinds = [label] * (minority + 1) + [1 - label] * minority
        places = random.sample(range(len(words)), len(kinds))
        for place, kind in zip(places, kinds, strict=True):
            words[place] = random.choice(CUES[kind])
        return Planted(tuple(words), tuple(sorted(places)), label)

    def flip(self, planted: Planted, random: Random) -> Planted:
        """Turn one cue of the majority, drawn at random, into one of the other kind."""
        place = random.choice([place for place in planted.evidence if planted.words[place] in CUES[planted.label]])
        return planted.with_words({place: random.choice(CUES[1 - planted.label])}, label=1 - planted.label)

    def resample(self, planted: Planted, random: Random) -> Planted:
        """Draw every plain word anew; the cues keep their places."""
        places = [place for place in range(len(planted.words)) if place not in planted.evidence]
        return planted.with_words(dict(zip(places, random.choices(FILLERS, k=len(places)), strict=True)))

    def answer(self, planted: Planted, left: Collection[int]) -> int | None:
        """The kind of which there are more; None where there are as many."""
        blame, praise = (sum(planted.words[place] in cues for place in left) for cues in CUES)
        return None if blame == praise else int(praise > blame)
