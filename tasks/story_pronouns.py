"""Openings of children's stories: is the one whom they are about a she or a he?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

from whybench.bench.errors import DataError
from whybench.bench.task import Example, Span, Task, TaskData

# The words that tell, and those that tell of a second one, who is of the other kind
GIRL = (("girl", "Lily"), ("girl", "Mia"), ("mommy", "Sue"), ("queen", "Anna"), ("princess", "Lucy"))
BOY = (("boy", "Tim"), ("boy", "Ben"), ("daddy", "Tom"), ("king", "Jack"), ("prince", "Max"))
PRONOUNS = (" she", " he")
FRAMES = (
    "Once upon a time, there was a little [girl] named [Lily]. One day,",
    "Once upon a time, a [girl] named [Lily] had a big red ball. Every day,",
    "[Lily] was a happy [girl] and loved to play in the park with a dog. Then,",
    "There was a [girl]. Her name was [Lily]. The sun was very hot and",
    "[Lily] the [girl] saw a bird in a tree. The bird was sad, so",
    "One day, [Lily] went to the park. The [girl] saw a cat. When it ran away,",
    "A [girl] called [Lily] lived in a small house. It was cold and dark, but",
    "[Lily] and a dog went for a walk. The dog ran fast, and",
)


class StoryPronouns(Task):
    """Does the story go on with ``she`` or with ``he``?

    Eight openings of children's stories with ten girls, boys, mothers, kings and the like: eighty texts, each ending
    where a pronoun can come. The continuation is the one that fits, the foil the other one.

    The evidence is every word that tells: the noun (girl, king), the name, and a pronoun that stands there already
    (her). It is planted, exact for the words, but a model may know of no such name, or go by one of them alone. Each
    word alone is sufficient, so that none is necessary: where one of two goes, a model may not even notice.
    """

    name = "story_pronouns"
    summary = "Openings of children's stories that go on with she or he; the evidence is the words that tell"
    suite = "next_token"
    kind = "next_token"
    evidence = "planted"
    labels = ("continuation", "foil")
    default_model = ""
    licence = "MIT"
    citation = "Written for whybench; the stories' kind is that of Eldan & Li 2023, TinyStories, arXiv:2305.07759"

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Make the openings; ``revision`` is a digest of them.

        Args:
            data: Must be None: there is nothing to read.
            split: ``"test"`` or None.

        Raises:
            DataError: ``data`` was given, or another split.
        """
        if data is not None:
            raise DataError(
                f"the task {self.name!r} makes its own texts and reads none, got {str(data)!r}; "
                f"run it without --data {self.name}=…"
            )
        if split not in (None, "test"):
            raise DataError(f"the task {self.name!r} has no split {split!r}; its split is test.")
        examples = tuple(openings())
        content = json.dumps([(e.text, e.evidence, e.continuation) for e in examples])
        return TaskData(examples, "test", hashlib.sha256(content.encode()).hexdigest()[:16])


def openings() -> Iterator[Example]:
    """All openings, she and he in turns."""
    for number, (frame, (kind, who)) in enumerate(product(FRAMES, zip(GIRL, BOY, strict=True))):
        for gender, (noun, name) in enumerate((kind, who)):
            told = {"girl": noun, "Lily": name}
            text, evidence = "", []
            for part in frame.replace("Her name", f"[{('Her', 'His')[gender]}] name").replace("]", "[").split("["):
                word = told.get(part, part)
                if part in told or part in ("Her", "His"):
                    evidence.append(Span(0, len(text), len(text) + len(word)))
                text += word
            continuation, foil = PRONOUNS[gender], PRONOUNS[1 - gender]
            yield Example(
                f"test-{2 * number + gender}", text, None, 0, tuple(evidence), continuation=continuation, foil=foil
            )
