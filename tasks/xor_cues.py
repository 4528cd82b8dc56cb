"""Two cue words among plain ones: neither says anything on its own, the two together decide."""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from whybench.tasks.builtin import checkpoint
from whybench.tasks.builtin.base import BuiltinTask, Planted
from whybench.tasks.builtin.words import FILLERS

COLOURS = ("red", "blue")
SHAPES = ("round", "square")


class XorCues(BuiltinTask):
    """Does the colour go with the shape?

    A text of 24 to 44 words holds one colour (red or blue) and one shape (round or square), at random places and in
    either order; all other words are drawn at random and decide nothing. The label is the exclusive or of the two:
    red goes with round and blue with square (``match``), the other two pairs are a ``mismatch``.

    The evidence is the two cue words. Both are necessary (with one alone the label is a coin toss) and together they
    are sufficient. There are no distractors: a text holds no other cue.
    """

    name = "xor_cues"
    summary = "Two cue words among 22-42 plain ones; the label is their exclusive or"
    suite = "mini"
    evidence = "planted"
    labels = ("match", "mismatch")
    default_model = checkpoint("xor_cues")
    sizes = {"train": 20_000, "test": 200}
    cues = frozenset(COLOURS + SHAPES)

    def vocabulary(self) -> tuple[str, ...]:
        """The four cues, then the plain words."""
        return COLOURS + SHAPES + FILLERS

    def draw(self, random: Random) -> Planted:
        """Draw the text's length and words, then the two cues and their places."""
        words = random.choices(FILLERS, k=random.randint(24, 44))
        colour, shape = random.randrange(2), random.randrange(2)
        places = random.sample(range(len(words)), 2)
        words[places[0]], words[places[1]] = COLOURS[colour], SHAPES[shape]
        return Planted(tuple(words), tuple(sorted(places)), colour ^ shape)

    def flip(self, planted: Planted, random: Random) -> Planted:
        """Turn one cue, drawn at random, into its opposite."""
        place = random.choice(planted.evidence)
        cues = next(cues for cues in (COLOURS, SHAPES) if planted.words[place] in cues)
        other = cues[1 - cues.index(planted.words[place])]
        return planted.with_words({place: other}, label=1 - planted.label)

    def resample(self, planted: Planted, random: Random) -> Planted:
        """Draw every plain word anew; the cues keep their places."""
        places = [place for place in range(len(planted.words)) if place not in planted.evidence]
        return planted.with_words(dict(zip(places, random.choices(FILLERS, k=len(places)), strict=True)))

    def answer(self, planted: Planted, left: Collection[int]) -> int | None:
        """The exclusive or of the two cues; None without one of them."""
        if not set(planted.evidence) <= set(left):
            return None
        cues = {planted.words[place] for place in planted.evidence}
        return int((COLOURS[1] in cues) ^ (SHAPES[1] in cues))
