"""SST-2: is a sentence of a film review positive or negative?"""

from __future__ import annotations

from pathlib import Path

from whybench.bench.data import examples_of, read_rows
from whybench.bench.task import Task, TaskData


class Sst2(Task):
    """Sentiment of sentences from film reviews (Stanford Sentiment Treebank, binary)."""

    name = "sst2"
    summary = "Sentiment of sentences from film reviews."
    labels = ("negative", "positive")
    suite = "debate"
    dataset = "stanfordnlp/sst2"
    dataset_revision = "8d51e7e4887a4caaa95b3fbebbf53c0490b58bbb"
    default_model = "distilbert/distilbert-base-uncased-finetuned-sst-2-english"
    default_model_revision = "714eb0fa89d2f80546fda750413ed43d93601a13"
    licence = "unknown (research use)"
    citation = "Socher et al. 2013, Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank"

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the sentences; by default the validation split, as the Hub's test split has no labels.

        Columns: ``sentence`` (or ``text``) and ``label``: 0 or ``negative``, 1 or ``positive``, -1 where there is none.
        """
        columns = {"text": ("sentence", "text"), "label": ("label",)}
        rows = read_rows(self.dataset, self.dataset_revision, split or "validation", columns, data)
        return TaskData(examples_of(rows, self.labels), rows.split, rows.revision)
