"""An inventory of things and their colours, and a claim about one of them: true or false?"""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from whybench.tasks.builtin import checkpoint
from whybench.tasks.builtin.base import BuiltinTask, Planted, Recipe

_THINGS = "bag ball bell book bowl box broom brush cap cart clock coat cup drum fork hat jar lamp pen rug"
THINGS = tuple(_THINGS.split())
COLOURS = ("red", "blue", "green", "black", "white", "yellow")


class KeyLookup(BuiltinTask):
    """Does the inventory bear the claim out?

    The text lists 6 to 14 different things, each followed by its colour (``cup red box blue pen red``); the second text
    claims one colour of one of them (``box blue``). Half of the claims are true. All colours are drawn independently,
    so other things often share the claimed colour, and only the thing's own decides.

    The evidence is four words: the thing and its colour in the inventory, and the claim's two words. Together they are
    sufficient, and each is necessary: without either of the two colours the label is a coin toss; without either
    mention of the thing there is nothing to look up, and all there is to go by is whether the claimed colour occurs.
    The other things and their colours are distractors.
    """

    name = "key_lookup"
    summary = "A claim on the colour of one of 6-14 listed things, as a pair of texts; true or false"
    suite = "mini"
    evidence = "planted"
    labels = ("false", "true")
    default_model = checkpoint("key_lookup")
    sizes = {"train": 20_000, "test": 200}
    roles = ("necessary", "sufficient", "distractor")
    cues = frozenset(THINGS + COLOURS)
    recipe = Recipe(layers=3, length=40, steps=2400, curriculum=0.5, auxiliary=0.5)

    def vocabulary(self) -> tuple[str, ...]:
        """The things, then the colours."""
        return THINGS + COLOURS

    def draw(self, random: Random) -> Planted:
        """Draw the inventory, which of its things is asked for, and whether the claim is true."""
        things = random.sample(THINGS, random.randint(6, 14))
        words = [word for thing in things for word in (thing, random.choice(COLOURS))]
        key, label = 2 * random.randrange(len(things)), random.randrange(2)
        claimed = words[key + 1] if label else another(words[key + 1], random)
        count = len(words)
        return Planted((*words, words[key], claimed), (key, key + 1, count, count + 1), label, second=count)

    def flip(self, planted: Planted, random: Random) -> Planted:
        """Change one of the two colours, drawn at random: to the other one, or away from it where they are the same."""
        listed, claimed = planted.evidence[1], planted.evidence[3]
        place, model = random.choice([(listed, claimed), (claimed, listed)])
        colour = planted.words[model]
        return planted.with_words(
            {place: another(colour, random) if planted.label else colour}, label=1 - planted.label
        )

    def resample(self, planted: Planted, random: Random) -> Planted:
        """Draw the other things and all their colours anew."""
        asked = planted.evidence[0]
        places = [place for place in range(0, planted.evidence[2], 2) if place != asked]
        things = random.sample([thing for thing in THINGS if thing != planted.words[asked]], len(places))
        changes = dict(zip(places, things, strict=True))
        return planted.with_words(changes | {place + 1: random.choice(COLOURS) for place in places})

    def answer(self, planted: Planted, left: Collection[int]) -> int | None:
        """Whether the two colours are the same; None without one of them or one of the mentions."""
        if not set(planted.evidence) <= set(left):
            return None
        _, listed, _, claimed = planted.evidence
        return int(planted.words[listed] == planted.words[claimed])


def another(colour: str, random: Random) -> str:
    """A colour that is not this one."""
    return random.choice([other for other in COLOURS if other != colour])
