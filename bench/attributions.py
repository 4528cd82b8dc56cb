"""Scores that were made elsewhere: a file of JSON Lines becomes a method like any other.

::

    {"family": "perturbation", "signed": true, "summary": "SHAP's text explainer, 500 evaluations."}
    {"id": "17", "words": ["a", "fine", "film"], "scores": [0.1, 0.7, 0.2]}
    {"id": "18", "tokens": ["[CLS]", "dull", "[SEP]"], "scores": [0, -0.4, 0]}

docs/attributions.md describes it. Whatever can be seen without a model is checked when the file is read.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, cast

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from whybench.bench.batch import Batch
from whybench.bench.choices import UNRANKED, Family
from whybench.bench.classifier import Classifier
from whybench.bench.errors import AttributionsError, StoreError
from whybench.bench.method import Attribution, ReportingMethod
from whybench.bench.store import StoredResult
from whybench.bench.strict_json import NotStrictError, strict_json

MAX_BYTES = 256 * 2**20
MAX_LINE_BYTES = 4 * 2**20
_NAME = re.compile(r"[A-Za-z0-9_]{1,60}")
_SHOWN = 60


class Header(BaseModel):
    """What a file's first line may say of the scores, where it is not yet an example.

    Attributes:
        family: What kind of method made them; ``other`` where it is not said.
        signed: Whether a negative score says "speaks against the prediction".
        summary: The method in a sentence, for its page.
        description: More of it: source, parameters, versions.
        note: What must be said wherever the scores' figures are shown.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    family: Family = "other"
    signed: bool = True
    summary: str = Field(default="", max_length=500)
    description: str = Field(default="", max_length=20_000)
    note: str = Field(default="", max_length=500)


@dataclass(frozen=True)
class Line:
    """One example's scores.

    Attributes:
        number: The line in the file, from 1.
        kind: What is scored, ``words`` or ``tokens``.
        strings: The words or tokens.
        scores: A score for each.
    """

    number: int
    kind: str
    strings: tuple[str, ...]
    scores: tuple[float, ...]


class Precomputed(ReportingMethod):
    """Scores that were made elsewhere, looked up by the examples' ids."""

    name, family, signed = "precomputed", "other", True
    elsewhere = True

    lines: ClassVar[Mapping[str, Line]] = {}
    file: ClassVar[str] = ""
    digest: ClassVar[str] = ""

    def explain(self, classifier: Classifier, batch: Batch) -> Attribution:
        """The file's scores, ``[batch, tokens]``; a word's stands on the first of its tokens, as only sums are read.

        An example that is not in the file has no answer.

        Raises:
            AttributionsError: The file has other words or tokens for an example.
        """
        scores = torch.zeros(batch.input_ids.shape, dtype=torch.float64)
        failed = {}
        for i, example in enumerate(batch.ids):
            line = self.lines.get(example)
            if line is None:
                first_id = next(iter(self.lines), "")[:_SHOWN]
                failed[i] = f"{self.file} has no line for it; its first line is for {first_id!r}"
            elif line.kind == "tokens":
                start = self._start(batch, i, line)
                scores[i, start : start + len(line.scores)] = torch.tensor(line.scores, dtype=torch.float64)
            else:
                self._compare(batch, i, line, batch.unit_texts(i))
                units = batch.units[i].cpu()
                first = torch.tensor([int((units == unit).nonzero()[0]) for unit in range(len(line.scores))])
                scores[i, first] = torch.tensor(line.scores, dtype=torch.float64)
        return Attribution(scores.to(batch.device), failed=failed)

    def source_digest(self) -> str:
        """The digest of the file."""
        return self.digest

    def _start(self, batch: Batch, i: int, line: Line) -> int:
        """Where a line's tokens begin: they may be all of them, or those without the special ones around."""
        tokens = batch.tokens[i]
        if len(line.strings) == len(tokens):
            self._compare(batch, i, line, tokens)
            return 0
        spans = batch.token_spans[i]
        ordinary = [position for position, span in enumerate(spans) if span is not None]
        inner = ordinary[-1] - ordinary[0] + 1 == len(ordinary)
        if inner and len(line.strings) == len(ordinary):
            self._compare(batch, i, line, tokens[ordinary[0] : ordinary[-1] + 1])
            return ordinary[0]
        self._compare(batch, i, line, tokens)
        return 0

    def _compare(self, batch: Batch, i: int, line: Line, expected: Sequence[str]) -> None:
        """Raise with the first difference, if there is one."""
        if tuple(expected) == line.strings:
            return
        pairs = zip(expected, line.strings, strict=False)
        place = next((k for k, (one, two) in enumerate(pairs) if one != two), min(len(expected), len(line.strings)))

        def at(row: Sequence[str]) -> str:
            return repr(row[place][:_SHOWN]) if place < len(row) else "nothing more"

        cut = " The text was longer than the model's limit and was cut." if batch.truncated[i] else ""
        raise AttributionsError(
            f"{self.file}, line {line.number}: example {batch.ids[i]!r} has at place {place} of its {line.kind} "
            f"{at(line.strings)}, expected is {at(expected)} ({len(line.strings)} {line.kind} were given, the "
            f"text has {len(expected)}).{cut} `whybench export` writes a file with the {line.kind} that are expected "
            "from any finished cell of the same task, model and unit."
        )


def load_attributions(path: Path, name: str | None = None) -> Precomputed:
    """Read a file of scores as a method.

    Args:
        path: The file.
        name: The method's name; None takes the file's name without its ending.

    Raises:
        AttributionsError: The file cannot be read, or something in it is wrong; the message has the line's number.
    """
    name = path.stem if name is None else name
    if not _NAME.fullmatch(name):
        raise AttributionsError(
            f"the scores of {path.name!r} would be named {name[:_SHOWN]!r}; a name has letters, digits and "
            f"underscores. Give one: --attributions NAME={path}"
        )
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise AttributionsError(f"{path.name} has {size:,} bytes; at most {MAX_BYTES:,} are read.")
        raw = path.read_bytes()
    except OSError as error:
        raise AttributionsError(f"the scores {str(path)!r} cannot be read ({error.strerror or error}).") from error
    header, lines = parse(raw, path.name)
    members = {
        "__doc__": header.summary + ("\n\n" + header.description if header.description else ""),
        "__module__": __name__,
        "name": name,
        "family": header.family,
        "signed": header.signed,
        "note": " ".join(filter(None, ("Scores made elsewhere.", header.note))),
        "lines": lines,
        "file": path.name,
        "digest": hashlib.sha256(raw).hexdigest(),
    }
    return cast(Precomputed, type("Precomputed", (Precomputed,), members)())


def parse(raw: bytes, file: str) -> tuple[Header, dict[str, Line]]:
    """Header and lines by example id.

    Args:
        raw: The file's bytes.
        file: Its name, for messages.

    Raises:
        AttributionsError: Something in it is wrong.
    """
    header = Header()
    lines: dict[str, Line] = {}
    begun = False
    for number, text in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            if len(text) > MAX_LINE_BYTES:
                raise NotStrictError(f"it has {len(text):,} bytes; at most {MAX_LINE_BYTES:,} are read")
            item = strict_json(text)
            if not isinstance(item, dict):
                raise NotStrictError(f"it is {type(item).__name__}; every line is an object {{…}}")
            if not begun and not {"id", "scores", "words", "tokens"} & set(item):
                header = _header(item)
            else:
                example, line = _line(item, number)
                if example in lines:
                    raise NotStrictError(f"example {example[:_SHOWN]!r} was on line {lines[example].number} already")
                if not header.signed and min(line.scores, default=0) < 0:
                    raise NotStrictError(
                        f"example {example[:_SHOWN]!r} has the score {min(line.scores):.3g}, and the first line says "
                        "that scores are not signed; take magnitudes, or say signed"
                    )
                lines[example] = line
        except NotStrictError as error:
            raise AttributionsError(f"{file}, line {number}: {error}.") from error
        begun = True
    if not lines:
        raise AttributionsError(f"{file} has no example. Every line is {{'id': …, 'words': […], 'scores': […]}}.")
    return header, lines


def _header(item: Mapping[str, Any]) -> Header:
    try:
        header = Header.model_validate(item)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))[:_SHOWN]
        raise NotStrictError(
            f"it is no example (which has 'id', 'words' or 'tokens', and 'scores') and, as a first line about the "
            f"scores, has {where!r} wrong: {first['msg']}; it may have {', '.join(Header.model_fields)}"
        ) from error
    if header.family in UNRANKED:
        raise NotStrictError(f"family is {header.family!r}, a yardstick's; scores made elsewhere are ranked")
    return header


def _line(item: Mapping[str, Any], number: int) -> tuple[str, Line]:
    """An example's id and scores; NotStrictError where something is wrong."""
    kinds = [kind for kind in ("words", "tokens") if kind in item]
    if len(kinds) != 1:
        raise NotStrictError(f"it has {' and '.join(kinds) or 'neither words nor tokens'}; give one of the two")
    kind = kinds[0]
    missing = [name for name in ("id", "scores") if name not in item]
    extra = sorted(set(item) - {"id", "scores", kind})
    if missing or extra:
        raise NotStrictError(
            f"it has no {missing[0]!r}"
            if missing
            else f"it has {extra[0][:_SHOWN]!r}; an example has 'id', {kind!r} and 'scores'"
        )
    example, strings, scores = item["id"], item[kind], item["scores"]
    if not isinstance(example, str) or not example:
        raise NotStrictError(f"the id is {example!r:.{_SHOWN}}; it must be a text, as the task's examples have it")
    shown = example[:_SHOWN]
    if not isinstance(strings, list) or not all(isinstance(one, str) for one in strings):
        raise NotStrictError(f"example {shown!r}: {kind!r} must be a list of texts")
    if not isinstance(scores, list):
        raise NotStrictError(f"example {shown!r}: 'scores' must be a list of numbers")
    for place, score in enumerate(scores):
        # JSON has no NaN; True would count as a number
        if isinstance(score, bool) or not isinstance(score, (int, float)) or not math.isfinite(score):
            raise NotStrictError(f"example {shown!r}: the score at place {place} is {score!r:.{_SHOWN}}, no number")
    if len(strings) != len(scores):
        raise NotStrictError(f"example {shown!r} has {len(scores)} scores for {len(strings)} {kind}")
    return example, Line(number, kind, tuple(strings), tuple(map(float, scores)))


def exported(stored: StoredResult) -> Iterator[str]:
    """A cell's unit scores as lines of such a file; examples without scores are left out.

    Raises:
        CorruptResultError: The cell's table is damaged.
        StoreError: It is a published copy, which has not the scores of all examples.
    """
    result = stored.result
    if result.published is not None:
        raise StoreError(
            f"the cell {result.cell!r} is a published copy, with the scores of {result.published.maps} of "
            f"{result.spec.task.examples} examples. Export the results that it was made from, or run it again into "
            "another folder."
        )
    rows = stored.examples.select(
        ["example_id", "text", "text_pair", "unit_segments", "unit_starts", "unit_ends", "unit_scores", "error"]
    ).to_pylist()
    scored = [row for row in rows if row["error"] is None]
    # a method that is not signed may have scores below zero that only rank last
    signed = result.signed or any(score < 0 for row in scored for score in row["unit_scores"])
    header = {
        # a yardstick's scores, read again, are anyone's
        "family": "other" if result.family in UNRANKED else result.family,
        "signed": signed,
        "summary": result.summary[:500],
        "description": f"Unit scores of {result.cell}, written by whybench {result.environment.whybench}.",
    }
    yield json.dumps(header, ensure_ascii=False)
    for row in scored:
        texts = (row["text"], row["text_pair"])
        spans = zip(row["unit_segments"], row["unit_starts"], row["unit_ends"], strict=True)
        words = [texts[segment][start:end] for segment, start, end in spans]
        line = {"id": row["example_id"], "words": words, "scores": row["unit_scores"]}
        yield json.dumps(line, ensure_ascii=False, allow_nan=False)
