"""Counterfactual SNLI: does a sentence follow from another, and which words must change to change that?"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whybench.bench.data import SplitColumns, label_index, list_of, read_rows, text_of
from whybench.bench.errors import DataError
from whybench.bench.rationales import Rationale, edited_words, of_mask, words_of
from whybench.bench.task import Example, Task, TaskData

FIELDS = ("premise", "hypothesis")


class CadSnli(Task):
    """Pairs of SNLI that people edited, changing as little as they could, until another label was right.

    An example is a pair as it was, with its own label, and one of its edits; evidence are the words that the edit
    replaced or took out. An edit that only puts words in leaves the evidence empty: what decides is what was not there.
    Most pairs were edited four times, twice in each sentence, and come once for each edit, under ids of their own (the
    row of the edit): such examples are alike in all but their evidence, so that intervals over examples are too narrow.

    The default model is that of snli.
    """

    name = "cad_snli"
    summary = "Pairs of SNLI, with the words that a minimal edit changed to change the label."
    labels = ("entailment", "neutral", "contradiction")
    suite = "rationales"
    evidence = "human"
    dataset = "sagnikrayc/snli-cf-kaushik"
    dataset_revision = "c36b48c2cbb4ff5da614340e614fdc73086d963e"
    default_model = "tasksource/ModernBERT-base-nli"
    default_model_revision = "de4ab7e77845098b7fab7f6ab9d370ddff27b19c"
    licence = "CC BY 4.0 (the authors' release: Apache 2.0; SNLI: CC BY-SA 4.0)"
    citation = (
        "Kaushik, Hovy & Lipton 2020, Learning the Difference that Makes a Difference with "
        "Counterfactually-Augmented Data, arXiv:1909.12434"
    )

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the edits; by default the test split.

        Columns: ``idx``, which ends in ``-orig`` for a pair and in ``-cf-1`` and so on for its edits, ``premise``,
        ``hypothesis`` and ``label`` (a name, or 0 to 2). Or one row for each edit: ``premise``, ``hypothesis`` and
        ``label`` of the pair, ``edited_field`` (``premise`` or ``hypothesis``) and ``edited``, a mark for each of that
        sentence's words between white space. A local folder's files may be named ``pairs_test`` and so on.
        """
        texts = {"premise": ("premise",), "hypothesis": ("hypothesis",), "label": ("label",)}
        rows = read_rows(
            self.dataset,
            self.dataset_revision,
            split or "test",
            ({**texts, "field": ("edited_field",), "edited": ("edited",)}, {**texts, "idx": ("idx",)}),
            data,
            file="{split}.jsonl",
            prefix="pairs_",
        )
        examples = self._of_groups(rows) if "idx" in rows.columns else [self._of_row(*row) for row in rows.rows()]
        return TaskData(examples, rows.split, rows.revision)

    def _of_row(self, name: str, row: Mapping[str, Any]) -> Example:
        """An edit that says of every word whether it was changed."""
        if row["field"] not in FIELDS:
            raise DataError(f"example {name!r} has the edited field {row['field']!r}; it is premise or hypothesis.")
        words = words_of(text_of(row[row["field"]], name))
        evidence = of_mask(words, list_of(row["edited"], name), name, FIELDS.index(row["field"]))
        return self._example(name, row, evidence)

    def _of_groups(self, rows: SplitColumns) -> list[Example]:
        """Edits beside their pairs: what was changed is found by comparing the two."""
        parts = {name: re.fullmatch(r"(.+)-(orig|cf-\d+)", str(row["idx"])) for name, row in rows.rows()}
        pairs = {part[1]: row for name, row in rows.rows() if (part := parts[name]) and part[2] == "orig"}
        examples = []
        for name, edit in rows.rows():
            part = parts[name]
            if part is None or part[1] not in pairs:
                raise DataError(
                    f"example {name!r} has the idx {edit['idx']!r}; it must end in -orig or -cf-NUMBER, and an edit "
                    "needs its pair among the rows."
                )
            if part[2] == "orig":
                continue
            pair = pairs[part[1]]
            evidence: Rationale = ()
            for segment, field in enumerate(FIELDS):
                before = text_of(pair[field], name)
                mask = edited_words(before, text_of(edit[field], name))
                evidence += of_mask(words_of(before), mask, name, segment)
            examples.append(self._example(name, pair, evidence))
        return examples

    def _example(self, name: str, pair: Mapping[str, Any], evidence: Rationale) -> Example:
        premise, hypothesis = (text_of(pair[field], name) for field in FIELDS)
        return Example(name, premise, hypothesis, label_index(pair["label"], self.labels, name), evidence)
