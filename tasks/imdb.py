"""IMDb: is a film review positive or negative?"""

from __future__ import annotations

from pathlib import Path

from whybench.bench.data import examples_of, read_rows
from whybench.bench.task import Task, TaskData


class Imdb(Task):
    """Sentiment of whole film reviews (Large Movie Review Dataset).

    About a tenth of the reviews are longer than the 512 tokens that many models take: these are cut, and counted. The
    Hub's texts keep the line breaks of the web page (``<br />``), and are left as they are.
    """

    name = "imdb"
    summary = "Sentiment of whole film reviews."
    labels = ("negative", "positive")
    suite = "debate"
    dataset = "stanfordnlp/imdb"
    dataset_revision = "e6281661ce1c48d982bc483cf8a173c1bbeb5d31"
    default_model = "aychang/roberta-base-imdb"
    default_model_revision = "7a0bd0e61d6a36f1f83273af587f89f536202370"
    licence = "unknown (research use)"
    citation = "Maas et al. 2011, Learning Word Vectors for Sentiment Analysis"

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the reviews; by default the test split.

        Columns: ``text`` and ``label``: 0 or ``negative``, 1 or ``positive``, -1 where there is none.
        """
        columns = {"text": ("text",), "label": ("label",)}
        rows = read_rows(self.dataset, self.dataset_revision, split or "test", columns, data)
        return TaskData(examples_of(rows, self.labels), rows.split, rows.revision)
