"""Who drinks what, and one of them again: which word followed the name before?"""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from whybench.tasks.builtin import checkpoint
from whybench.tasks.builtin.base import BuiltinTask, Planted, Recipe

_NAMES = "ada ben cara dan eva finn gus hana ivo jana kai lena max nora otto pia quin rosa sven tara udo vera wim zoe"
NAMES = tuple(_NAMES.split())
DRINKS = ("cider", "cocoa", "coffee", "juice", "milk", "soda", "tea", "water")


class Induction(BuiltinTask):
    """What comes next when a name comes again?

    A text of 8 to 16 names, all different, each followed by a drink, and at the end one of the names once more
    (``ada tea ben milk cara tea ben``). A language model continues it with the drink that followed the name
    (`` milk``); the foil is the drink of another one (`` tea``). All drinks are drawn independently, so that the rest
    of a text says nothing about the answer. What does it is known as induction: Olsson et al. 2022, "In-context
    Learning and Induction Heads", arXiv:2209.11895.

    The evidence is three words: the name and its drink where they stand first, and the name at the end. Together they
    are sufficient, and each is necessary. All other names and drinks are distractors of just the same form.
    """

    name = "induction"
    summary = "8-16 names with a drink each, and one name again; a language model continues with its drink"
    suite = "mini"
    kind = "next_token"
    evidence = "planted"
    labels = ("continuation", "foil")
    default_model = checkpoint("induction")
    operator = "delete"
    sizes = {"train": 20_000, "test": 200}
    roles = ("necessary", "sufficient", "distractor")
    cues = frozenset(NAMES + DRINKS)
    recipe = Recipe(length=40, steps=2400, curriculum=0.5, smoothing=0.1, auxiliary=0.5, blind=0.1)

    def vocabulary(self) -> tuple[str, ...]:
        """The names, then the drinks."""
        return NAMES + DRINKS

    def draw(self, random: Random) -> Planted:
        """Draw the names and their drinks, which one comes again, and whose drink is the foil."""
        names = random.sample(NAMES, random.randint(8, 16))
        drinks = random.choices(DRINKS, k=len(names))
        asked = random.randrange(len(names))
        others = [place for place in range(len(names)) if drinks[place] != drinks[asked]]
        if not others:
            others = [random.choice([place for place in range(len(names)) if place != asked])]
            drinks[others[0]] = another(drinks[asked], random)
        foil = drinks[random.choice(others)]
        return assemble(names, drinks, asked, foil)

    def flip(self, planted: Planted, random: Random) -> Planted:
        """Put the foil in the place of the drink, so that it is what comes next."""
        return planted.with_words({planted.evidence[1]: foil_of(planted)}, label=1 - planted.label)

    def resample(self, planted: Planted, random: Random) -> Planted:
        """Draw the other names and all their drinks anew; one of them has the foil again."""
        key, _, last = planted.evidence
        pairs = last // 2
        places = [place for place in range(pairs) if 2 * place != key]
        names = random.sample([name for name in NAMES if name != planted.words[key]], len(places))
        drinks = random.choices(DRINKS, k=len(places))
        drinks[random.randrange(len(drinks))] = foil_of(planted)
        changes = {2 * place: name for place, name in zip(places, names, strict=True)}
        changes |= {2 * place + 1: drink for place, drink in zip(places, drinks, strict=True)}
        return planted.with_words(changes)

    def answer(self, planted: Planted, left: Collection[int]) -> int | None:
        """Which of the two followed the name; None without the name, either time, or its drink."""
        return planted.label if set(planted.evidence) <= set(left) else None


def assemble(names: list[str], drinks: list[str], asked: int, foil: str) -> Planted:
    """The text with one name again at its end, and what may follow."""
    words = [word for pair in zip(names, drinks, strict=True) for word in pair]
    key = 2 * asked
    return Planted((*words, names[asked]), (key, key + 1, len(words)), 0, contrast=(drinks[asked], foil))


def foil_of(planted: Planted) -> str:
    """The foil's word."""
    assert planted.contrast is not None
    return planted.contrast[1]


def another(drink: str, random: Random) -> str:
    """A drink that is not this one."""
    return random.choice([other for other in DRINKS if other != drink])
