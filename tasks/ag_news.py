"""AG News: which of four topics is a news item about?"""

from __future__ import annotations

from pathlib import Path

from whybench.bench.data import examples_of, read_rows
from whybench.bench.task import Task, TaskData


class AgNews(Task):
    """Topic of news items: a headline and one or two sentences of description."""

    name = "ag_news"
    summary = "Topic of news items, one of four."
    labels = ("World", "Sports", "Business", "Sci/Tech")
    suite = "debate"
    dataset = "fancyzhx/ag_news"
    dataset_revision = "eb185aade064a813bc0b7f42de02595523103ca4"
    default_model = "mrm8488/bert-mini-finetuned-age_news-classification"
    default_model_revision = "e94b474cce6f842ee5a90daa7352f5152fac4572"
    licence = "unknown (non-commercial research use)"
    citation = (
        "Zhang, Zhao & LeCun 2015, Character-level Convolutional Networks for Text Classification, arXiv:1509.01626"
    )

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the news items; by default the test split.

        Columns: ``text`` and ``label``, an index from 0 to 3 or one of the labels' names.
        """
        columns = {"text": ("text",), "label": ("label",)}
        rows = read_rows(self.dataset, self.dataset_revision, split or "test", columns, data)
        return TaskData(examples_of(rows, self.labels), rows.split, rows.revision)
