"""SST with its phrases: is a sentence positive or negative, and which phrases of the treebank say so?"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from whybench.bench.data import label_index, list_of, read_rows
from whybench.bench.errors import DataError
from whybench.bench.hub import PARQUET
from whybench.bench.rationales import Rationale, joined, of_ranges
from whybench.bench.task import Example, Task, TaskData

NEUTRAL = 2
BRACKETS = {"-LRB-": "(", "-RRB-": ")"}
# first word, one after the last, sentiment from 0 (very negative) to 4 (very positive)
Node = tuple[int, int, int]


class SstPhrases(Task):
    """Sentences of film reviews, every phrase of which was given a sentiment from 0 to 4 by people (the treebank).

    A phrase, or a single word, agrees with a sentence's label if its sentiment is at least ``least_polarity`` away from
    neutral (2) towards it. Evidence are the smallest agreeing phrases of at most ``most_words`` words: those that hold
    no other such phrase. Where there is none the evidence is empty. People gave the sentiments without the sentence
    around the phrase, so that a phrase may count whose meaning the sentence turns round.

    Sentences whose own sentiment is neutral are left out, and counted.

    No commit of the Hub's parquet copy is known, so its branch is read as it is and the commit goes into the result.
    """

    name = "sst_phrases"
    summary = "Sentiment of sentences from film reviews, with the phrases of the treebank that agree."
    labels = ("negative", "positive")
    suite = "rationales"
    evidence = "human"
    least_polarity = 1
    most_words = 5
    dataset = "stanfordnlp/sst"
    dataset_revision = None
    default_model = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
    default_model_revision = "714eb0fa89d2f80546fda750413ed43d93601a13"
    licence = "unknown (research use)"
    citation = "Socher et al. 2013, Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank"

    def options(self) -> dict[str, Any]:
        """What makes a phrase evidence."""
        return {**super().options(), "least_polarity": self.least_polarity, "most_words": self.most_words}

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the sentences; by default the test split.

        Columns: ``ptb_tree``, a tree as in ``(3 (2 It) (4 shines))``; or ``tokens``, ``leaf_sentiment`` (of each
        token), ``phrases`` ``[[start, end, sentiment], …]`` (a list or JSON) and ``label``: 0 negative, 1 positive.
        """
        trees = {"tree": ("ptb_tree",)}
        phrases = {
            "tokens": ("tokens",),
            "leaves": ("leaf_sentiment",),
            "phrases": ("phrases",),
            "label": ("label",),
        }
        rows = read_rows(
            self.dataset,
            self.dataset_revision,
            split or "test",
            (trees, phrases),
            data,
            branch=PARQUET,
            file="ptb/{split}/0000.parquet",
        )
        examples = []
        for name, row in rows.rows():
            if "tree" in row:
                tokens, nodes = parse(row["tree"], name)
                root = nodes[-1][2]
                label = None if root == NEUTRAL else int(root > NEUTRAL)
            else:
                tokens, label = list_of(row["tokens"], name), label_index(row["label"], self.labels, name)
                leaves = [(i, i + 1, sentiment) for i, sentiment in enumerate(list_of(row["leaves"], name))]
                nodes = [*leaves, *((start, end, mood) for start, end, mood in list_of(row["phrases"], name))]
            if label is not None:
                text, words = joined(tokens, name)
                examples.append(Example(name, text, None, label, self._evidence(words, nodes, label, name)))
        count = len(next(iter(rows.columns.values())))
        return TaskData(examples, rows.split, rows.revision, count - len(examples))

    def _evidence(self, words: Sequence[tuple[int, int]], nodes: Sequence[Node], label: int, example: str) -> Rationale:
        """The words of the smallest agreeing phrases."""
        towards = 1 if label else -1
        agreeing = {
            (start, end)
            for start, end, sentiment in nodes
            if towards * (sentiment - NEUTRAL) >= self.least_polarity and end - start <= self.most_words
        }
        smallest = [
            (start, end)
            for start, end in agreeing
            if not any(start <= first and last <= end for first, last in agreeing - {(start, end)})
        ]
        return of_ranges(words, smallest, example)


def parse(tree: str, example: str) -> tuple[list[str], list[Node]]:
    """Words and nodes of a tree in brackets, every node after those below it; the last one is the sentence.

    Raises:
        DataError: It is no such tree.
    """
    words: list[str] = []
    nodes: list[Node] = []
    open_nodes: list[tuple[int, int]] = []
    pieces = re.findall(r"\(\s*(\d)|(\))|([^\s()]+)", tree)
    for sentiment, closing, word in pieces:
        if sentiment:
            open_nodes.append((len(words), int(sentiment)))
        elif closing and open_nodes and open_nodes[-1][0] < len(words):
            start, mood = open_nodes.pop()
            nodes.append((start, len(words), mood))
        elif word and open_nodes:
            words.append(BRACKETS.get(word, word))
        else:
            break
    else:
        if nodes and not open_nodes and nodes[-1][:2] == (0, len(words)):
            return words, nodes
    raise DataError(f"example {example!r} has {tree[:60]!r}, which is no tree such as (3 (2 It) (4 shines)).")
