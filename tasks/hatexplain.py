"""HateXplain: is a post hate speech, offensive or neither, and which of its words make it so?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whybench.bench.data import label_index, list_of, read_rows
from whybench.bench.hub import PARQUET
from whybench.bench.rationales import joined, of_majority, of_mask
from whybench.bench.task import Example, Task, TaskData


class Hatexplain(Task):
    """Posts of Twitter and Gab, with a label and, where it is not ``normal``, the words that annotators gave as reason.

    The texts hold slurs and abuse of groups of people.

    The label is that of most of the three annotators; posts on which all three disagree are left out, and counted. A
    word is evidence where at least half of the annotators who were asked marked it: one of two, or two of three. Who
    called a post normal was asked for no words, so that normal posts have no known evidence.

    No commit of the Hub's parquet copy is known, so its branch is read as it is and the commit goes into the result.
    There is no default model: the authors' checkpoint is known with safe weights on an unmerged branch only, without
    its commit.
    """

    name = "hatexplain"
    summary = "Posts: hate speech, normal or offensive, with annotators' words. Content warning: slurs."
    labels = ("hatespeech", "normal", "offensive")
    suite = "rationales"
    evidence = "human"
    rationale_threshold = 0.5
    dataset = "Hate-speech-CNERG/hatexplain"
    dataset_revision = None
    default_model = ""
    licence = "MIT (the Hub's card says CC BY 4.0)"
    citation = "Mathew et al. 2021, HateXplain: A Benchmark Dataset for Explainable Hate Speech, arXiv:2012.10289"

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the posts; by default the test split.

        Columns: ``post_tokens``, ``annotators`` (with a ``label`` each) and ``rationales``, a mask over the tokens for
        each annotator who was asked. Or ``tokens``, ``label``, ``n_rationales`` (how many were asked) and
        ``rationale_soft``, the share of them that marked each token.
        """
        single = {"tokens": ("post_tokens",), "annotators": ("annotators",), "masks": ("rationales",)}
        summed = {
            "tokens": ("tokens",),
            "label": ("label",),
            "asked": ("n_rationales",),
            "shares": ("rationale_soft",),
        }
        rows = read_rows(
            self.dataset,
            self.dataset_revision,
            split or "test",
            (single, summed),
            data,
            branch=PARQUET,
            file="plain_text/{split}/0000.parquet",
        )
        examples = []
        for name, row in rows.rows():
            label = self._most(row["annotators"], name) if "annotators" in row else row["label"]
            if label is None:
                continue
            text, words = joined(list_of(row["tokens"], name), name)
            masks = self._masks(row, name)
            evidence = of_mask(words, of_majority(masks, self.rationale_threshold, name), name) if masks else None
            examples.append(Example(name, text, None, label_index(label, self.labels, name), evidence))
        total = len(rows.columns["tokens"])
        return TaskData(examples, rows.split, rows.revision, total - len(examples))

    def _most(self, annotators: Any, example: str) -> int | None:
        """The label of more than half of the annotators; None where there is none."""
        given = annotators["label"] if isinstance(annotators, Mapping) else [one["label"] for one in annotators]
        ((label, count),) = Counter(label_index(one, self.labels, example) for one in given).most_common(1)
        return label if 2 * count > len(given) else None

    def _masks(self, row: Mapping[str, Any], example: str) -> list[list[int]]:
        """A mask for each annotator who was asked; shares of them are as good as the masks."""
        if "masks" in row:
            return [list(mask) for mask in row["masks"] or []]
        marks = [round(share * row["asked"]) for share in row["shares"]]
        return [[int(annotator < count) for count in marks] for annotator in range(row["asked"])]
