"""Toxic spans: which words make a post toxic?"""

from __future__ import annotations

from pathlib import Path

from whybench.bench.data import list_of, read_rows, text_of
from whybench.bench.rationales import of_characters, of_mask, words_of
from whybench.bench.task import Example, Task, TaskData


class ToxicSpans(Task):
    """Comments on news sites that are all toxic, with the characters that most annotators marked as toxic.

    The texts hold insults and slurs.

    Every post has the label ``toxic``, so that accuracy is the share that a model finds, and says nothing about what it
    would wrongly call toxic. Where annotators could not say which words make a post toxic, its evidence is empty.

    The Hub's data is the second edition of the dataset, of 2022; the first was made for SemEval 2021.

    There is no default model: public models of toxicity have other labels, several at once.
    """

    name = "toxic_spans"
    summary = "Toxic posts, with the characters that make them so. Content warning: insults and slurs."
    labels = ("normal", "toxic")
    suite = "rationales"
    evidence = "human"
    dataset = "heegyu/toxic-spans"
    # of the Hub's parquet copy
    dataset_revision = "9560283569fa1b58ce3567ca3c142db679cf4bfa"
    default_model = ""
    licence = "CC0 1.0"
    citation = (
        "Pavlopoulos et al. 2022, From the Detection of Toxic Spans in Online Discussions to the Analysis of "
        "Toxic-to-Civil Transfer; Pavlopoulos et al. 2021, SemEval-2021 Task 5: Toxic Spans Detection"
    )

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the posts; by default the test split.

        Columns: ``text_of_post`` (or ``text``) and ``position`` (or ``spans``), the offsets of the marked characters as
        a list or as JSON; or ``text`` and ``rationale``, a mark for each word between white space.
        """
        offsets = {"text": ("text_of_post", "text"), "offsets": ("position", "spans")}
        marks = {"text": ("text",), "marks": ("rationale",)}
        rows = read_rows(
            self.dataset,
            self.dataset_revision,
            split or "test",
            (offsets, marks),
            data,
            file="heegyu--toxic-spans/csv-{split}.parquet",
        )
        toxic = self.labels.index("toxic")
        examples = []
        for name, row in rows.rows():
            text = text_of(row["text"], name)
            if "offsets" in row:
                evidence = of_characters(text, list_of(row["offsets"], name), name)
            else:
                evidence = of_mask(words_of(text), list_of(row["marks"], name), name)
            examples.append(Example(name, text, None, toxic, evidence))
        return TaskData(examples, rows.split, rows.revision)
