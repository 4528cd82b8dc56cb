"""BoolQ: is the answer to a question yes, given a passage or a whole article?"""

from __future__ import annotations

from pathlib import Path

from whybench.bench.data import examples_of, read_rows
from whybench.bench.eraser import examples_about, is_release, read_release
from whybench.bench.task import Task, TaskData


class Boolq(Task):
    """Pairs of a text and a yes-no question about it.

    Two forms of the data have different texts. ERASER's, with whole Wikipedia articles in which the passage that
    answers the question is marked, is read from a local folder as ERASER released it: no copy of it is known on the
    Hub. The Hub's has that passage alone as its text, so that nothing in it is known as evidence, and the figures that
    need evidence are left out.

    There is no default model: no public classifier of these pairs with safe weights and a known commit was found.
    """

    name = "boolq"
    summary = "Yes or no? Questions on a text; with the passage that answers, in ERASER's data."
    labels = ("False", "True")
    suite = "rationales"
    evidence = "human"
    dataset = "google/boolq"
    dataset_revision = "35b264d03638db9f4ce671b711558bf7ff0f80d5"
    default_model = ""
    licence = "CC BY-SA 3.0"
    citation = (
        "Clark et al. 2019, BoolQ: Exploring the Surprising Difficulty of Natural Yes/No Questions, arXiv:1905.10044; "
        "DeYoung et al. 2020, ERASER, arXiv:1911.03429"
    )

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the pairs; by default the Hub's validation split, as it has no other with answers, and ERASER's test.

        Columns: ``passage``, ``question`` and ``answer`` (or ``label``): true or ``True``, false or ``False``. Or a
        folder as ERASER released it, with ``docs/``.
        """
        if data is not None and is_release(data):
            annotations, name, digest = read_release(data, split or "test")
            return TaskData(examples_about(annotations, self.labels), name, digest)
        columns = {"text": ("passage",), "text_pair": ("question",), "label": ("answer", "label")}
        rows = read_rows(self.dataset, self.dataset_revision, split or "validation", columns, data)
        return TaskData(examples_of(rows, self.labels), rows.split, rows.revision)
