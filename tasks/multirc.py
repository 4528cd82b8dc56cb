"""MultiRC: is an answer to a question about a passage right, and which sentences say so?"""

from __future__ import annotations

from pathlib import Path

from whybench.bench.data import examples_of, list_of, read_rows
from whybench.bench.eraser import examples_about, is_release, read_release
from whybench.bench.rationales import of_quotations
from whybench.bench.task import Task, TaskData


class Multirc(Task):
    """Pairs of a passage and a question with one of its answers; evidence are the sentences that are needed to judge.

    The evidence lies in the passage. It is the same for all answers to a question, also for a wrong one.

    There is no default model: no public classifier of these pairs with safe weights and a known commit was found.
    """

    name = "multirc"
    summary = "Is an answer about a passage right? With the sentences that are needed to judge."
    labels = ("False", "True")
    suite = "rationales"
    evidence = "human"
    dataset = "CogComp/eraser_multi_rc"
    # of the Hub's parquet copy; the dataset itself is a script
    dataset_revision = "12f657f0a43cfa04300e53c948e9fe03f128f711"
    default_model = ""
    licence = "other (MultiRC's own research licence)"
    citation = (
        "Khashabi et al. 2018, Looking Beyond the Surface: A Challenge Set for Reading Comprehension over Multiple "
        "Sentences; DeYoung et al. 2020, ERASER, arXiv:1911.03429"
    )

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the pairs; by default the test split.

        Columns: ``passage``, ``query_and_answer``, ``label`` (0 or ``False``, 1 or ``True``) and ``evidences``, a list
        of sentences of the passage. A folder as ERASER released it (with ``docs/``) is read as well.
        """
        if data is not None and is_release(data):
            annotations, name, digest = read_release(data, split or "test")
            return TaskData(examples_about(annotations, self.labels), name, digest)
        columns = {
            "text": ("passage",),
            "text_pair": ("query_and_answer",),
            "label": ("label",),
            "evidences": ("evidences",),
        }
        rows = read_rows(
            self.dataset,
            self.dataset_revision,
            split or "test",
            columns,
            data,
            file="default/eraser_multi_rc-{split}.parquet",
        )
        evidence = [of_quotations(row["text"], list_of(row["evidences"], name), name) for name, row in rows.rows()]
        return TaskData(examples_of(rows, self.labels, evidence), rows.split, rows.revision)
