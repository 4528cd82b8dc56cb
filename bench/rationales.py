"""Human rationales as characters of a text: from masks over words, ranges of tokens, characters, quotations or edits.

Everything here is pure. A rationale is a tuple of spans in the order of the text; empty where an annotator marked
nothing. Where nobody was asked there is no rationale at all: the example's evidence is None, and that is the task's to
say.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction

from whybench.bench.errors import DataError
from whybench.bench.task import Span

Rationale = tuple[Span, ...]
Words = Sequence[tuple[int, int]]


def words_of(text: str) -> list[tuple[int, int]]:
    """Characters ``[start, end)`` of every word of a text, words being what white space separates."""
    return [match.span() for match in re.finditer(r"\S+", text)]


def joined(tokens: Sequence[str], example: str) -> tuple[str, list[tuple[int, int]]]:
    """A text of tokens with one space between them, and the characters of every token.

    Raises:
        DataError: A token is no text, or has nothing in it that could be explained.
    """
    places = []
    start = 0
    for token in tokens:
        if not isinstance(token, str) or not token.strip():
            raise DataError(f"example {example!r} has {token!r} among its tokens. Leave it out, or give it a text.")
        places.append((start, start + len(token)))
        start += len(token) + 1
    return " ".join(tokens), places


def of_mask(words: Words, mask: Sequence[int], example: str, segment: int = 0) -> Rationale:
    """Spans of the marked words; marked words that follow one another are one span.

    Args:
        words: Characters of every word.
        mask: Per word 1 or True where it is marked.
        example: The example's id, for messages.
        segment: Segment of the text (see `Span`).

    Raises:
        DataError: There are not as many marks as words, or a mark is neither 0 nor 1.
    """
    if len(mask) != len(words):
        raise DataError(
            f"example {example!r} has {len(words)} words and a rationale of {len(mask)} marks; there must be one mark "
            "for each word. Correct the rationale, or leave the example out."
        )
    spans: list[Span] = []
    before = False
    for (start, end), mark in zip(words, mask, strict=True):
        if mark not in (0, 1):
            raise DataError(f"example {example!r} has the mark {mark!r} in its rationale; marks are 0 or 1.")
        if mark and before:
            spans[-1] = spans[-1]._replace(end=end)
        elif mark:
            spans.append(Span(segment, start, end))
        before = bool(mark)
    return tuple(spans)


def of_ranges(words: Words, ranges: Iterable[Sequence[int]], example: str, segment: int = 0) -> Rationale:
    """Spans of ranges of tokens ``[start, end)``, ERASER's form; those that overlap become one.

    An empty range marks nothing: ERASER's data has some.

    Raises:
        DataError: A range is not within the text.
    """
    spans = []
    for chosen in ranges:
        start, end = (int(place) for place in chosen)
        if not 0 <= start <= end <= len(words):
            raise DataError(
                f"example {example!r} has evidence at the tokens {start} to {end} of {len(words)}; a range has its "
                "first token and the one after its last."
            )
        if start < end:
            spans.append(Span(segment, words[start][0], words[end - 1][1]))
    return united(spans)


def of_characters(text: str, characters: Iterable[int], example: str, segment: int = 0) -> Rationale:
    """Spans of single characters, given by their offsets; neighbours are one span.

    Raises:
        DataError: An offset lies outside the text.
    """
    spans: list[Span] = []
    for place in sorted(set(characters)):
        if not 0 <= place < len(text):
            raise DataError(f"example {example!r} has evidence at the character {place}; its text has {len(text)}.")
        if spans and spans[-1].end == place:
            spans[-1] = spans[-1]._replace(end=place + 1)
        else:
            spans.append(Span(segment, place, place + 1))
    return tuple(spans)


def of_quotations(text: str, quotations: Iterable[str], example: str, segment: int = 0) -> Rationale:
    """Spans of passages that are quoted from the text, found word by word, whatever white space is between the words.

    Where a passage is in the text several times, its first quotation is taken to be the first of them, the second the
    next, and so on: a quotation does not say which it is.

    Raises:
        DataError: A passage is not in the text.
    """
    words = words_of(text)
    plain = [text[start:end] for start, end in words]
    taken: dict[tuple[str, ...], int] = {}
    spans = []
    for quotation in quotations:
        wanted = tuple(quotation.split())
        if not wanted:
            continue
        place = _find(plain, wanted, taken.get(wanted, -1) + 1)
        if place is None:
            place = _find(plain, wanted, 0)
        if place is None:
            raise DataError(
                f"example {example!r} has the evidence {quotation[:60]!r}, which is not in its text word for word."
            )
        taken[wanted] = place
        spans.append(Span(segment, words[place][0], words[place + len(wanted) - 1][1]))
    return united(spans)


def of_majority(masks: Sequence[Sequence[int]], threshold: float, example: str) -> list[int]:
    """One mask of several annotators': a word is marked where at least a share of them marked it.

    Args:
        masks: Per annotator a mark for each word.
        threshold: The share, above 0 and at most 1. At 0.5 one of two is enough, and two of three are needed.
        example: The example's id, for messages.

    Raises:
        DataError: There is no annotator, or their masks are of different lengths.
    """
    if not masks or len({len(mask) for mask in masks}) != 1:
        raise DataError(
            f"example {example!r} has rationales of {', '.join(str(len(mask)) for mask in masks) or 'no'} marks; the "
            "annotators of a text give as many marks each."
        )
    share = Fraction(str(threshold))
    return [int(Fraction(sum(map(bool, marks)), len(masks)) >= share) for marks in zip(*masks, strict=True)]


def edited_words(before: str, after: str) -> list[int]:
    """Per word of a text 1 where it is not in the edited text: replaced or taken out by the shortest edit.

    An edit that only puts words in leaves every word of the text as it is.
    """
    old, new = before.split(), after.split()
    mask = [0] * len(old)
    # without "autojunk", which would call frequent words of long texts changed
    for kind, start, end, _, _ in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind != "equal":
            mask[start:end] = [1] * (end - start)
    return mask


def united(spans: Iterable[Span]) -> Rationale:
    """The spans in the order of the text, those that overlap as one; spans that only touch stay apart."""
    result: list[Span] = []
    for span in sorted(spans):
        if result and span.segment == result[-1].segment and span.start < result[-1].end:
            result[-1] = result[-1]._replace(end=max(span.end, result[-1].end))
        else:
            result.append(span)
    return tuple(result)


def _find(words: Sequence[str], wanted: Sequence[str], first: int) -> int | None:
    """Number of the first word, from ``first`` on, where all wanted words follow one another."""
    count, wanted = len(wanted), list(wanted)
    for place in range(first, len(words) - count + 1):
        if words[place] == wanted[0] and list(words[place : place + count]) == wanted:
            return place
    return None
