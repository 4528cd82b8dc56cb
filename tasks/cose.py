"""CoS-E: which of several answers is right, and which part of the question says so?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whybench.bench.data import label_index, list_of, read_rows, text_of
from whybench.bench.errors import DataError
from whybench.bench.hub import PARQUET
from whybench.bench.rationales import Rationale, joined, of_ranges
from whybench.bench.task import Example, Span, Task, TaskData

BETWEEN = " [sep] "


class Cose(Task):
    """Questions of CommonsenseQA with three or five answers, and the part of the question that an annotator marked.

    As in ERASER a pair is the question and all answers, with ``[sep]`` between them, and a class is the place of the
    right answer. Version 1.0 of the data has three answers, 1.11 has five; the labels go up to five.

    No commit of the Hub's parquet copy of ERASER's data is known, so its branch is read as it is and the commit goes
    into the result. There is no default model: no public classifier of these pairs with safe weights and a known commit
    was found.
    """

    name = "cose"
    summary = "Which answer to a question is right? With the part of the question that an annotator marked."
    labels = ("A", "B", "C", "D", "E")
    suite = "rationales"
    evidence = "human"
    dataset = "niurl/eraser_cose"
    dataset_revision = None
    default_model = ""
    licence = "BSD 3-Clause"
    citation = (
        "Rajani et al. 2019, Explain Yourself! Leveraging Language Models for Commonsense Reasoning, arXiv:1906.02361; "
        "DeYoung et al. 2020, ERASER, arXiv:1911.03429"
    )

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the questions; by default the test split.

        Columns, in one of three layouts. ERASER's: ``question`` (tokens), ``query`` (the answers), ``classification``
        (``A`` to ``E``) and ``evidence_span``, ranges of tokens. With characters: ``question``, ``choices``, ``label``
        (an index or a letter), ``span_start`` and ``span_end``. The authors' on the Hub (``Salesforce/cos_e``):
        ``question``, ``choices``, ``answer`` (its text) and ``extractive_explanation``; where that is not a part of the
        question the evidence is not known.
        """
        question = {"question": ("question",)}
        ranges = {"query": ("query",), "label": ("classification",), "ranges": ("evidence_span",)}
        characters = {"choices": ("choices",), "label": ("label",), "start": ("span_start",), "end": ("span_end",)}
        quoted = {"choices": ("choices",), "answer": ("answer",), "quoted": ("extractive_explanation",)}
        rows = read_rows(
            self.dataset,
            self.dataset_revision,
            split or "test",
            tuple({**question, **layout} for layout in (ranges, characters, quoted)),
            data,
            branch=PARQUET,
            file="default/{split}/0000.parquet",
        )
        examples = [self._example(name, row) for name, row in rows.rows()]
        return TaskData(examples, rows.split, rows.revision)

    def _example(self, name: str, row: Mapping[str, Any]) -> Example:
        if "ranges" in row:
            text, words = joined(list_of(row["question"], name), name)
            evidence: Rationale | None = of_ranges(words, list_of(row["ranges"], name), name)
            return Example(name, text, text_of(row["query"], name), self._label(row["label"], name), evidence)
        text, choices = text_of(row["question"], name), [text_of(one, name) for one in list_of(row["choices"], name)]
        if "quoted" in row:
            if row["answer"] not in choices:
                raise DataError(f"example {name!r} has the answer {row['answer']!r}, which is none of its choices.")
            label: int | None = choices.index(row["answer"])
            evidence = quotation(text, row["quoted"] or "")
        else:
            label = self._label(row["label"], name)
            start, end = row["start"], row["end"]
            if not 0 <= start < end <= len(text):
                raise DataError(
                    f"example {name!r} has evidence from {start} to {end}; its question has {len(text)} characters."
                )
            evidence = (Span(0, start, end),)
        return Example(name, text, BETWEEN.join(choices), label, evidence)

    def _label(self, value: Any, example: str) -> int | None:
        return label_index(value, self.labels, example)


def quotation(text: str, quoted: str) -> Rationale | None:
    """The first place of a part of a text, whatever its case; None where it is none."""
    found = re.search(re.escape(quoted.strip()), text, re.IGNORECASE) if quoted.strip() else None
    return None if found is None else (Span(0, *found.span()),)
