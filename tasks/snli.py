"""SNLI: does the second sentence follow from the first?"""

from __future__ import annotations

from pathlib import Path

from whybench.bench.data import examples_of, read_rows
from whybench.bench.task import Task, TaskData


class Snli(Task):
    """Pairs of a picture's caption (the premise) and a sentence about it (the hypothesis): entailed, open or false?

    The pair task of the suite: words of one sentence mean something only beside those of the other. The default model
    is trained on this and other inference data.
    """

    name = "snli"
    summary = "Does a sentence follow from another? Entailment, neutral or contradiction."
    labels = ("entailment", "neutral", "contradiction")
    suite = "debate"
    dataset = "stanfordnlp/snli"
    dataset_revision = "cdb5c3d5eed6ead6e5a341c8e56e669bb666725b"
    default_model = "tasksource/ModernBERT-base-nli"
    default_model_revision = "de4ab7e77845098b7fab7f6ab9d370ddff27b19c"
    licence = "CC BY-SA 4.0"
    citation = "Bowman et al. 2015, A large annotated corpus for learning natural language inference, arXiv:1508.05326"

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the pairs; by default the test split.

        Columns: ``premise``, ``hypothesis`` and ``label``: 0 to 2 or a label's name, -1 where the annotators did not
        agree (the pair is explained, and counts for no accuracy).
        """
        columns = {"text": ("premise",), "text_pair": ("hypothesis",), "label": ("label",)}
        rows = read_rows(self.dataset, self.dataset_revision, split or "test", columns, data)
        return TaskData(examples_of(rows, self.labels), rows.split, rows.revision)
