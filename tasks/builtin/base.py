"""What a built-in task states: its words, how an example is drawn, and what its rule says about changed examples.

From that alone :mod:`whybench.tasks.builtin.train` makes, measures and writes the task's checkpoint.
"""

from __future__ import annotations

import hashlib
import json
from abc import abstractmethod
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import accumulate, combinations
from pathlib import Path
from random import Random
from typing import ClassVar, NamedTuple

from whybench.bench.choices import Role
from whybench.bench.errors import DataError
from whybench.bench.task import Example, Roles, Span, Task, TaskData


class Planted(NamedTuple):
    """One generated example, in words.

    Attributes:
        words: All words, those of the second text after those of the first.
        evidence: Ascending indices of the words that decide the label.
        label: Index of the label.
        second: Index of the first word of the second text; None where there is one text.
        contrast: In a next-token task the two words that may follow the text, those of the labels 0 and 1.
    """

    words: tuple[str, ...]
    evidence: tuple[int, ...]
    label: int
    second: int | None = None
    contrast: tuple[str, str] | None = None

    @property
    def texts(self) -> tuple[str, str | None]:
        """The text and, in a pair, the second text."""
        if self.second is None:
            return " ".join(self.words), None
        return " ".join(self.words[: self.second]), " ".join(self.words[self.second :])

    @property
    def spans(self) -> tuple[Span, ...]:
        """The evidence as characters of the texts."""
        return self.spans_of(self.evidence)

    def spans_of(self, places: Collection[int]) -> tuple[Span, ...]:
        """Words, given by their indices, as characters of the texts."""
        boundary = len(self.words) if self.second is None else self.second
        starts = [0, *accumulate(len(word) + 1 for word in self.words)]
        spans = []
        for index in places:
            segment, first = (0, 0) if index < boundary else (1, boundary)
            start = starts[index] - starts[first]
            spans.append(Span(segment, start, start + len(self.words[index])))
        return tuple(spans)

    def with_words(self, changes: Mapping[int, str], label: int | None = None) -> Planted:
        """The same example with some words changed, and its label too where one is given."""
        words = tuple(changes.get(index, word) for index, word in enumerate(self.words))
        return self._replace(words=words, label=self.label if label is None else label)


class PlantedRoles(NamedTuple):
    """What single words of an example do, by the rule; see `whybench.bench.task.Roles`.

    Attributes:
        necessary: Ascending indices of the words without any one of which the rule gives no label.
        sufficient: The smallest sets of words that alone give the label, each ascending.
        distractor: Ascending indices of the words that could be evidence and are none.
    """

    necessary: tuple[int, ...]
    sufficient: tuple[tuple[int, ...], ...]
    distractor: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """How a checkpoint is trained.

    Attributes:
        layers: Layers of the model; every one has 4 heads of 16.
        length: Most tokens of an input, special tokens included.
        steps: Optimiser steps.
        batch: Examples in a step.
        learning_rate: Highest learning rate of AdamW, after the warm-up.
        warm_up: Share of the steps in which the learning rate rises.
        curriculum: Share of the steps in which non-evidence is deleted, from almost all of it down to none.
        untouched: Share of the examples, after the curriculum, that lose no word.
        smoothing: Probability that is taken off the label and spread over all labels, so that curves do not saturate.
        auxiliary: Weight of a second loss that only training has: tell each word's part in the evidence from what
            enters the last layer, or in a language model the word before it. 0 for none.
        blind: Share of the examples, after the curriculum, that lose all their evidence besides what else goes.
    """

    layers: int = 2
    length: int = 64
    steps: int = 1200
    batch: int = 64
    learning_rate: float = 2e-3
    warm_up: float = 0.05
    curriculum: float = 0.3
    untouched: float = 0.4
    smoothing: float = 0.04
    auxiliary: float = 0.0
    blind: float = 0.0


class BuiltinTask(Task):
    """A task that generates its examples and so knows exactly which words decide the label.

    Every example is drawn from a generator of its own, seeded with the task's name, the split and the example's number:
    the same on every machine, and independent of how many others are drawn.

    Attributes:
        sizes: Examples of each split; the checkpoint is trained on ``train`` and nothing else.
        recipe: How the checkpoint is trained.
        roles: The roles that the rule has; the checkpoint is checked in each of them.
        cues: The words that evidence can consist of. One that is no evidence where it stands is a distractor.
    """

    suite = "mini"
    evidence = "planted"
    licence = "MIT"
    sizes: ClassVar[Mapping[str, int]] = {"train": 20_000, "test": 500}
    recipe: ClassVar[Recipe] = Recipe()
    roles: ClassVar[tuple[Role, ...]] = ("necessary", "sufficient")
    cues: ClassVar[frozenset[str]]

    @abstractmethod
    def vocabulary(self) -> tuple[str, ...]:
        """Every word that an example can hold, each once, in a fixed order; each becomes one token."""

    @abstractmethod
    def draw(self, random: Random) -> Planted:
        """Draw one example; all chance comes from ``random``."""

    @abstractmethod
    def flip(self, planted: Planted, random: Random) -> Planted:
        """Change one piece of the evidence so that the rule gives another label, which the answer carries."""

    @abstractmethod
    def resample(self, planted: Planted, random: Random) -> Planted:
        """Draw everything but the evidence anew; the label stays."""

    @abstractmethod
    def answer(self, planted: Planted, left: Collection[int]) -> int | None:
        """The label that the rule gives to what is left of an example; None where it cannot tell.

        Args:
            planted: The example.
            left: Indices of the words that are left; of the others the rule does not even see that they were there.
        """

    def roles_of(self, planted: Planted) -> PlantedRoles:
        """The roles of an example's words, as they follow from `answer` and `cues`."""
        evidence = set(planted.evidence)
        # the rule reads nothing else, so that all other words may as well be gone
        necessary = tuple(place for place in planted.evidence if self.answer(planted, evidence - {place}) is None)
        sufficient: tuple[tuple[int, ...], ...] = ()
        for size in range(len(planted.evidence) + 1):
            sets = combinations(planted.evidence, size)
            sufficient = sufficient or tuple(left for left in sets if self.answer(planted, left) == planted.label)
        distractor = tuple(
            place for place, word in enumerate(planted.words) if word in self.cues and place not in evidence
        )
        return PlantedRoles(necessary, sufficient, distractor)

    def generate(self, split: str) -> tuple[Planted, ...]:
        """All examples of a split, in words.

        Raises:
            DataError: There is no such split.
        """
        if split not in self.sizes:
            known = " and ".join(self.sizes)
            raise DataError(f"the task {self.name!r} has no split {split!r}; its splits are {known}.")
        return tuple(self.draw(Random(f"{self.name}/{split}/{index}")) for index in range(self.sizes[split]))

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Generate the examples of a split; ``revision`` is a digest of them, so a changed rule never keeps the name.

        Roles are not in the digest: they follow from the same words by the same rule.

        Args:
            data: Must be None: there is nothing to read.
            split: ``"train"`` or ``"test"``; None takes ``"test"``.

        Raises:
            DataError: ``data`` was given, or there is no such split.
        """
        if data is not None:
            raise DataError(
                f"the task {self.name!r} generates its own data and reads none, got {str(data)!r}; "
                f"run it without --data {self.name}=…"
            )
        split = "test" if split is None else split
        planted = self.generate(split)
        # without what labels of classes do not have
        content = json.dumps([self.name, split, self.labels, [one if one.contrast else one[:4] for one in planted]])
        examples = tuple(
            Example(
                f"{split}-{index}",
                *one.texts,
                one.label,
                one.spans,
                self._spans(one),
                **({"continuation": f" {one.contrast[0]}", "foil": f" {one.contrast[1]}"} if one.contrast else {}),
            )
            for index, one in enumerate(planted)
        )
        return TaskData(examples, split, hashlib.sha256(content.encode()).hexdigest()[:16])

    def _spans(self, planted: Planted) -> Roles:
        """An example's roles as characters of its texts."""
        roles = self.roles_of(planted)
        return Roles(
            planted.spans_of(roles.necessary),
            tuple(planted.spans_of(places) for places in roles.sufficient),
            planted.spans_of(roles.distractor),
        )
