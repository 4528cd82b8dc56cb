"""Texts to batches: token ids, units from the tokenizer's words, and where each stands in the text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import torch
from tokenizers import Encoding, Tokenizer
from transformers import PreTrainedTokenizerBase

from whybench.bench.batch import Batch
from whybench.bench.errors import EmptyTextError, InputError
from whybench.bench.task import Span

Texts = Sequence[str] | Sequence[tuple[str, str]]


def encode(
    tokenizer: PreTrainedTokenizerBase,
    texts: Texts,
    ids: Sequence[str] | None,
    *,
    max_length: int,
    pad_id: int,
    segments: bool,
) -> Batch:
    """Tokenise texts or pairs into a batch on the CPU; see `Classifier.encode`."""
    rows = _as_tuples(texts)
    if ids is None:
        ids = [hashlib.sha256("\0".join(row).encode()).hexdigest()[:16] for row in rows]
    if isinstance(ids, str):
        raise InputError(f"ids is one string ({ids[:40]!r}); give a list with a name for each text.")
    if len(ids) != len(rows):
        raise InputError(f"{len(ids)} ids were given for {len(rows)} texts; give one for each.")
    for name, row in zip(ids, rows, strict=True):
        if not all(text.strip() for text in row):
            raise EmptyTextError(f"example {name!r} has an empty text. Leave it out of the data, or give it a text.")
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise InputError(f"{type(tokenizer).__name__} gives no character offsets; a fast tokenizer is needed.")
    encoded = tokenizer(
        *[list(column) for column in zip(*rows, strict=True)],
        truncation=True,
        max_length=max_length,
        padding=False,
        return_attention_mask=False,
    )
    has_words = _gives_words(backend)

    width = max(len(encoding.ids) for encoding in encoded.encodings)
    shape = (len(rows), width)
    input_ids = torch.full(shape, pad_id)
    mask, types = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    units = torch.full(shape, -1)
    tokens: list[tuple[str, ...]] = []
    token_spans: list[tuple[Span | None, ...]] = []
    unit_spans: list[tuple[Span, ...]] = []
    for i, encoding in enumerate(encoded.encodings):
        length = len(encoding.ids)
        input_ids[i, :length] = torch.tensor(encoding.ids)
        mask[i, :length] = 1
        types[i, :length] = torch.tensor(encoding.type_ids)
        row_units, spans, token_row = _units(encoding, rows[i], has_words)
        if not spans:
            raise EmptyTextError(
                f"example {ids[i]!r} ({rows[i][0][:40]!r}) gives no token that could be removed. Leave it out."
            )
        units[i, :length] = torch.tensor(row_units)
        tokens.append(tuple(encoding.tokens))
        token_spans.append(token_row)
        unit_spans.append(spans)
    return Batch(
        input_ids=input_ids,
        attention_mask=mask,
        token_type_ids=types if segments else None,
        units=units,
        texts=rows,
        tokens=tuple(tokens),
        token_spans=tuple(token_spans),
        unit_spans=tuple(unit_spans),
        ids=tuple(str(name) for name in ids),
        truncated=tuple(bool(encoding.overflowing) for encoding in encoded.encodings),
    )


def _gives_words(backend: Tokenizer) -> bool:
    """Whether the tokenizer knows words: without a pre-tokenizer that splits, it calls the whole text one word.

    Llama 2's kin have no pre-tokenizer; Gemma's splits at spaces, but its normalizer has replaced them before.
    """
    if backend.pre_tokenizer is None:
        return False
    text = "a b" if backend.normalizer is None else backend.normalizer.normalize_str("a b")
    return len(backend.pre_tokenizer.pre_tokenize_str(text)) > 1


def _as_tuples(texts: Texts) -> tuple[tuple[str, ...], ...]:
    if isinstance(texts, str):
        raise InputError(f"texts is one string ({texts[:40]!r}); give a list of texts, or of pairs.")
    if not isinstance(texts, Iterable):
        raise InputError(f"texts is {texts!r:.60}; give a list of texts, or of pairs.")
    texts = list(texts)  # type: ignore[assignment]
    for text in texts:
        if not isinstance(text, Sequence):
            raise InputError(f"an example is {text!r:.60}; it must be a text, or a pair (text, text_pair) of texts.")
    rows = tuple((text,) if isinstance(text, str) else tuple(text) for text in texts)
    if not rows:
        raise InputError("there are no texts to encode; give at least one.")
    sizes = {len(row) for row in rows}
    if len(sizes) != 1 or not sizes <= {1, 2} or not all(isinstance(text, str) for row in rows for text in row):
        raise InputError("every example must be one text, or every example a pair (text, text_pair) of texts.")
    return rows


def _units(
    encoding: Encoding, texts: tuple[str, ...], has_words: bool
) -> tuple[list[int], tuple[Span, ...], tuple[Span | None, ...]]:
    """Unit index per token (-1: special), the units' characters, and the tokens' characters."""
    index: dict[tuple[int, int], int] = {}
    units: list[int] = []
    spans: list[Span] = []
    token_spans: list[Span | None] = []
    columns = (encoding.sequence_ids, encoding.word_ids, encoding.offsets, encoding.special_tokens_mask)
    for position, (segment, word, (start, end), special) in enumerate(zip(*columns, strict=True)):
        if segment is None or special:
            units.append(-1)
            token_spans.append(None)
            continue
        text = texts[segment]
        # byte-level tokenizers count the space before a word in, and some a line's end after it
        while start < end and text[start].isspace():
            start += 1
        while start < end and text[end - 1].isspace():
            end -= 1
        span = Span(segment, start, end)
        # negative keys keep tokens without a word apart from words
        unit = index.setdefault((segment, word if has_words and word is not None else -1 - position), len(spans))
        if unit == len(spans):
            spans.append(span)
        elif start < end:
            old = spans[unit] if spans[unit].start < spans[unit].end else span
            spans[unit] = Span(segment, min(old.start, start), max(old.end, end))
        units.append(unit)
        token_spans.append(span)
    return units, tuple(spans), tuple(token_spans)
