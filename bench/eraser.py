"""Data as ERASER released it: a folder of annotations, one file for each split, and of documents.

A line of ``train.jsonl``, ``val.jsonl`` or ``test.jsonl`` is an annotation: ``annotation_id``, ``query``,
``classification`` and ``evidences``, groups of passages with a ``docid``, a ``start_token`` and an ``end_token``. A
document is a file of ``docs/``, its tokens separated by white space, its sentences by line breaks.

Source: DeYoung et al. 2020, ERASER: A Benchmark to Evaluate Rationalized NLP Models, arXiv:1911.03429.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whybench.bench.data import label_index, local_file, split_of
from whybench.bench.errors import DataError
from whybench.bench.rationales import Rationale, of_ranges, united, words_of
from whybench.bench.task import Example

Tokens = list[tuple[int, int]]


@dataclass(frozen=True)
class Annotation:
    """One annotated text.

    Attributes:
        name: Split and number of the line, from 0.
        text: The documents that the annotation names, in its order, a line break between them.
        query: What is asked about them; empty where nothing is.
        classification: The label's name.
        evidence: The passages of all groups, in segment 0; empty where the annotator marked nothing.
    """

    name: str
    text: str
    query: str
    classification: str
    evidence: Rationale


def is_release(data: Path | None) -> bool:
    """Whether local data is such a folder."""
    return data is not None and (data.expanduser() / "docs").is_dir()


def read_release(data: Path, split: str) -> tuple[list[Annotation], str, str]:
    """The annotations of one split, the split's name, and a digest of all that was read for them.

    Raises:
        DataError: A file is not there or not in that form.
    """
    data = data.expanduser()
    path = local_file(data, split)
    split = split_of(path)
    content = path.read_bytes()
    digest = hashlib.sha256(content)
    documents: dict[str, str] = {}
    annotations = []
    for number, line in enumerate(line for line in content.decode("utf-8").splitlines() if line.strip()):
        name = f"{split}-{number}"
        try:
            row = json.loads(line)
            passages = [passage for group in row["evidences"] for passage in group]
            documents_named = list(dict.fromkeys(str(passage["docid"]) for passage in passages)) or _named(row)
            query, classification = str(row.get("query") or ""), str(row["classification"])
            ranges = [(str(p["docid"]), int(p["start_token"]), int(p["end_token"])) for p in passages]
        except (json.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(
                f"{path} has no annotation of ERASER in line {number + 1}: {type(error).__name__}: {error}. A line has "
                "annotation_id, query, classification and evidences."
            ) from error
        for document in documents_named:
            if document not in documents:
                documents[document] = _document(data, document, name)
                digest.update(documents[document].encode())
        text, tokens = _text(documents_named, documents)
        evidence = united(
            span for document, start, end in ranges for span in of_ranges(tokens[document], [(start, end)], name)
        )
        annotations.append(Annotation(name, text, query, classification, evidence))
    if not annotations:
        raise DataError(f"{path} has no annotations.")
    return annotations, split, f"sha256:{digest.hexdigest()}"


def _named(row: Mapping[str, Any]) -> list[str]:
    """The documents of an annotation without evidence: those that it lists, or the one of its own name."""
    return [str(name) for name in row.get("docids") or [row["annotation_id"]]]


def _document(data: Path, name: str, example: str) -> str:
    docs = (data / "docs").resolve()
    path = (docs / name).resolve()
    if not path.is_relative_to(docs) or not path.is_file():
        raise DataError(f"example {example!r} names the document {name!r}, which is not in {docs}.")
    return path.read_text(encoding="utf-8")


def _text(names: list[str], documents: Mapping[str, str]) -> tuple[str, dict[str, Tokens]]:
    """The documents as one text, and the characters of every document's tokens in it."""
    text, tokens = "", {}
    for number, name in enumerate(names):
        text += "\n" if number else ""
        tokens[name] = [(len(text) + start, len(text) + end) for start, end in words_of(documents[name])]
        text += documents[name]
    return text, tokens


def examples_about(annotations: list[Annotation], labels: Sequence[str]) -> list[Example]:
    """Annotations with a query as pairs: the documents, then the query.

    Raises:
        DataError: A classification is none of the labels.
    """
    return [
        Example(a.name, a.text, a.query, label_index(a.classification, labels, a.name), a.evidence) for a in annotations
    ]
