"""e-SNLI: does a sentence follow from another, and which of their words say so?"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from whybench.bench.data import examples_of, label_index, list_of, read_rows, text_of
from whybench.bench.errors import DataError
from whybench.bench.rationales import Rationale, joined, of_majority, of_mask, of_ranges, words_of
from whybench.bench.task import Example, Task, TaskData

NONE_MARKED = "{}"


class Esnli(Task):
    """Pairs of SNLI with the words that annotators marked as reason for the label, in one or both sentences.

    For ``entailment`` they had to mark words of the premise, for ``neutral`` words of the hypothesis alone, for
    ``contradiction`` words of both. The Hub's data is ERASER's, with one annotator's words. The authors' own files have
    three annotators' for the pairs of the test and validation splits: a word is evidence where at least half of them
    marked it.

    The default model is that of snli.
    """

    name = "esnli"
    summary = "Does a sentence follow from another? With the words that annotators marked."
    labels = ("entailment", "neutral", "contradiction")
    suite = "rationales"
    evidence = "human"
    rationale_threshold = 0.5
    dataset = "niurl/eraser_esnli"
    dataset_revision = "d6637e7f8d35af2411424c78bd4972e2097c58c6"
    default_model = "tasksource/ModernBERT-base-nli"
    default_model_revision = "de4ab7e77845098b7fab7f6ab9d370ddff27b19c"
    licence = "MIT (SNLI: CC BY-SA 4.0)"
    citation = (
        "Camburu et al. 2018, e-SNLI: Natural Language Inference with Natural Language Explanations, "
        "arXiv:1812.01193; DeYoung et al. 2020, ERASER, arXiv:1911.03429"
    )

    def load(self, data: Path | None = None, split: str | None = None) -> TaskData:
        """Read the pairs; by default the test split.

        Columns, in one of three layouts. ERASER's: ``premise`` and ``hypothesis`` (tokens), ``premise_evidence_span``
        and ``hypothesis_evidence_span``, ranges of them, and ``classification``. The authors', in files that may be
        named ``esnli_test`` and so on: ``Sentence1``, ``Sentence2``, ``gold_label`` and ``Sentence1_Highlighted_1`` to
        ``Sentence2_Highlighted_3``, or the first of the three alone: numbers of words, with commas, or ``{}``. Without
        marks: ``premise``, ``hypothesis`` and ``label``, and the evidence is not known.
        """
        tokens = {
            "premise": ("premise",),
            "hypothesis": ("hypothesis",),
            "premise_ranges": ("premise_evidence_span",),
            "hypothesis_ranges": ("hypothesis_evidence_span",),
            "label": ("classification",),
        }
        plain = {"text": ("premise",), "text_pair": ("hypothesis",), "label": ("label",)}
        rows = read_rows(
            self.dataset,
            self.dataset_revision,
            split or "test",
            (tokens, highlighted(3), highlighted(1), plain),
            data,
            prefix="esnli_",
        )
        if "text" in rows.columns:
            return TaskData(examples_of(rows, self.labels), rows.split, rows.revision)
        read = self._of_ranges if "premise_ranges" in rows.columns else self._of_highlights
        return TaskData([read(name, row) for name, row in rows.rows()], rows.split, rows.revision)

    def _of_ranges(self, name: str, row: Mapping[str, Any]) -> Example:
        texts: list[str] = []
        evidence: Rationale = ()
        for segment, field in enumerate(("premise", "hypothesis")):
            text, words = joined(list_of(row[field], name), name)
            texts.append(text)
            evidence += of_ranges(words, list_of(row[f"{field}_ranges"], name), name, segment)
        return Example(name, texts[0], texts[1], label_index(row["label"], self.labels, name), evidence)

    def _of_highlights(self, name: str, row: Mapping[str, Any]) -> Example:
        texts = [text_of(row[f"Sentence{number}"], name) for number in (1, 2)]
        evidence: Rationale = ()
        for segment, text in enumerate(texts):
            words = words_of(text)
            marked = [value for key, value in row.items() if key.startswith(f"Sentence{segment + 1}_Highlighted")]
            masks = [mask_of(value, len(words), name) for value in marked]
            evidence += of_mask(words, of_majority(masks, self.rationale_threshold, name), name, segment)
        return Example(name, texts[0], texts[1], label_index(row["gold_label"], self.labels, name), evidence)


def highlighted(annotators: int) -> dict[str, tuple[str]]:
    """The columns of the authors' files with so many annotators."""
    names = ["Sentence1", "Sentence2", "gold_label"]
    names += [f"Sentence{n}_Highlighted_{i}" for n in (1, 2) for i in range(1, annotators + 1)]
    return {name: (name,) for name in names}


def mask_of(numbers: Any, count: int, example: str) -> list[int]:
    """A mask over words from numbers of words with commas between them, or ``{}``.

    Raises:
        DataError: It is neither, or a number is none of a word.
    """
    text = str(numbers).strip()
    try:
        marked = set() if text == NONE_MARKED else {int(number) for number in text.split(",")}
    except ValueError as error:
        raise DataError(f"example {example!r} has {numbers!r} where numbers of words with commas belong.") from error
    if not marked <= set(range(count)):
        raise DataError(f"example {example!r} has the marked words {sorted(marked)}; its text has {count} words.")
    return [int(place in marked) for place in range(count)]
