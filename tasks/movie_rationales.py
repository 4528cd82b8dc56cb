"""Movie rationales: is a film review positive or negative, and which passages say so?"""

from __future__ import annotations

from pathlib import Path

from whybench.bench.data import examples_of, label_index, list_of, read_rows
from whybench.bench.eraser import is_release, read_release
from whybench.bench.hub import PARQUET
from whybench.bench.rationales import of_quotations, of_ranges, words_of
from whybench.bench.task import Example, Task, TaskData

# ERASER's names of the labels
POLARITY = {"NEG": 0, "POS": 1}


class MovieRationales(Task):
    """Sentiment of whole film reviews, in which an annotator marked the passages that decide it.

    The annotator gave enough passages and not all there are, so that a word outside them may decide too. The reviews
    have some 700 tokens on average: what is beyond a model's longest input is cut, and counted, with its evidence.

    The Hub gives passages as text: one that is in a review several times is taken to be the first of them. In the local
    layout they are ranges of tokens, and exact.

    No commit of the Hub's parquet copy is known, so its branch is read as it is and the commit goes into the result.
    The default model is that of imdb, trained on other reviews.
    """

    name = "movie_rationales"
    summary = "Sentiment of whole film reviews, with the passages that an annotator marked."
    labels = ("negative", "positive")
    suite = "rationales"
    evidence = "human"
    dataset = "eraser-benchmark/movie_rationales"
    dataset_revision = None
    default_model = "aychang/roberta-base-imdb"
    default_model_revision = "7a0bd0e61d6a36f1f83273af587f89f536202370"
    licence = "unknown (research use)"
    citation = (
        "Zaidan, Eisner & Piatko 2007, Using Annotator Rationales to Improve Machine Learning for Text "
        "Categorization; DeYoung et al. 2020, ERASER, arXiv:1911.03429"
    )

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the reviews; by default the test split.

        Columns: ``review``, ``label`` (0 negative, 1 positive) and ``evidences``, a list of passages; or ``text`` with
        tokens between spaces, ``label`` and ``evidence``, ranges of tokens ``[[start, end], …]``, as a list or as JSON.
        A folder as ERASER released it (with ``docs/``) is read as well.
        """
        if data is not None and is_release(data):
            annotations, name, digest = read_release(data, split or "test")
            examples = [
                Example(a.name, a.text, None, self._polarity(a.classification, a.name), a.evidence) for a in annotations
            ]
            return TaskData(examples, name, digest)
        quoted = {"text": ("review",), "label": ("label",), "passages": ("evidences",)}
        ranges = {"text": ("text",), "label": ("label",), "ranges": ("evidence",)}
        rows = read_rows(
            self.dataset,
            self.dataset_revision,
            split or "test",
            (quoted, ranges),
            data,
            branch=PARQUET,
            file="default/{split}/0000.parquet",
        )
        evidence = [
            of_quotations(row["text"], list_of(row["passages"], name), name)
            if "passages" in row
            else of_ranges(words_of(row["text"]), list_of(row["ranges"], name), name)
            for name, row in rows.rows()
        ]
        return TaskData(examples_of(rows, self.labels, evidence), rows.split, rows.revision)

    def _polarity(self, classification: str, example: str) -> int | None:
        return label_index(POLARITY.get(classification, classification), self.labels, example)
