"""FEVER: does a text support a claim or refute it, and which sentences do?"""

from __future__ import annotations

from pathlib import Path

from whybench.bench.data import label_index, list_of, read_rows, text_of
from whybench.bench.eraser import examples_about, is_release, read_release
from whybench.bench.task import Example, Task, TaskData

UNDECIDED = "NOT ENOUGH INFO"


class Fever(Task):
    """Pairs of a text from Wikipedia and a claim that it supports or refutes.

    Two forms of the data have different texts. ERASER's, with articles in which the deciding sentences are marked, is
    read from a local folder as ERASER released it: no copy of it is known on the Hub. The Hub's has those sentences
    alone, as (page, line, sentence): all of its text is evidence, so that nothing in it can be told apart, and the
    figures that need evidence are left out.

    Claims that nothing decides are no part of ERASER's task; on the Hub they are left out, and counted.

    There is no default model: no public classifier of these pairs with safe weights and a known commit was found.
    """

    name = "fever"
    summary = "Does a text support or refute a claim? With the deciding sentences, in ERASER's data."
    labels = ("SUPPORTS", "REFUTES")
    suite = "rationales"
    evidence = "human"
    dataset = "copenlu/fever_gold_evidence"
    # of the Hub's parquet copy
    dataset_revision = "8037d1d965def7cbc8d22950ca67730ab54fac77"
    default_model = ""
    licence = "CC BY-SA 3.0 and GPL 3.0"
    citation = (
        "Thorne et al. 2018, FEVER: a Large-scale Dataset for Fact Extraction and VERification, arXiv:1803.05355; "
        "DeYoung et al. 2020, ERASER, arXiv:1911.03429"
    )

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the pairs; by default the test split.

        Columns: ``evidence``, a list of (page, line, sentence), ``claim`` and ``label``: ``SUPPORTS``, ``REFUTES`` or
        ``NOT ENOUGH INFO``. Or a folder as ERASER released it, with ``docs/``.
        """
        if data is not None and is_release(data):
            annotations, name, digest = read_release(data, split or "test")
            return TaskData(examples_about(annotations, self.labels), name, digest)
        columns = {"evidence": ("evidence",), "claim": ("claim",), "label": ("label",)}
        rows = read_rows(
            self.dataset,
            self.dataset_revision,
            split or "test",
            columns,
            data,
            file="default/{split}/0000.parquet",
        )
        examples = []
        left_out = 0
        for name, row in rows.rows():
            sentences = [text_of(sentence, name) for *_, sentence in list_of(row["evidence"], name)]
            text = " ".join(sentence for sentence in sentences if sentence.strip())
            if row["label"] == UNDECIDED or not text:
                left_out += 1
                continue
            label = label_index(row["label"], self.labels, name)
            examples.append(Example(name, text, text_of(row["claim"], name), label))
        return TaskData(examples, rows.split, rows.revision, left_out)
