"""Texts to batches: units against the tokenizer's own words, and what is not a text."""

import numpy as np
import pytest
import torch
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, processors

from whybench.bench.encoding import encode
from whybench.bench.errors import EmptyTextError, InputError, ParameterError
from whybench.bench.task import Span
from whybench.bench.tiny_models import (
    FAMILIES,
    MAX_LENGTH,
    PAIRS,
    TEXTS,
    build_tokenizer,
    byte_level,
    fresh_classifier,
    tiny_classifier,
    wrap,
)


@pytest.fixture(params=FAMILIES)
def classifier(request):
    return tiny_classifier(request.param)


def encode_with(tokenizer, texts, max_length=64):
    return encode(tokenizer, texts, None, max_length=max_length, pad_id=0, segments=False)


# ---- units ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("texts", [TEXTS, PAIRS], ids=["texts", "pairs"])
def test_units_are_the_tokenizers_words(classifier, texts):
    batch = classifier.encode(texts)
    special = set(classifier.tokenizer.all_special_ids)
    for i, text in enumerate(texts):
        parts = (text,) if isinstance(text, str) else text
        plain = classifier.tokenizer(*parts, return_offsets_mapping=True)
        n = len(plain["input_ids"])
        assert batch.input_ids[i, :n].tolist() == plain["input_ids"]
        assert batch.attention_mask[i].tolist() == [1] * n + [0] * (batch.input_ids.shape[1] - n)
        assert (batch.input_ids[i, n:] == classifier.pad_id).all()
        expected, seen = [], {}
        for token, word, segment in zip(plain["input_ids"], plain.word_ids(), plain.sequence_ids(), strict=True):
            word = None if token in special else (segment, word)
            expected.append(-1 if word is None else seen.setdefault(word, len(seen)))
        assert batch.units[i].tolist() == expected + [-1] * (batch.input_ids.shape[1] - n)
        assert batch.unit_counts()[i] == len(seen) == len(batch.unit_spans[i])
        assert batch.tokens[i] == tuple(classifier.tokenizer.convert_ids_to_tokens(plain["input_ids"]))
        assert batch.texts[i] == parts
        for unit, span, (start, end) in zip(expected, batch.token_spans[i], plain["offset_mapping"], strict=True):
            assert (span is None) == (unit == -1)
            if span is not None:
                stripped = parts[span.segment][start:end].strip()
                assert parts[span.segment][span.start : span.end] == stripped
                whole = batch.unit_spans[i][unit]
                assert stripped == "" or (
                    whole.segment == span.segment and whole.start <= span.start < span.end <= whole.end
                )
    assert batch.truncated == (False,) * len(texts)
    assert (batch.lengths() == batch.attention_mask.sum(1)).all()


def test_unit_texts_are_the_words(classifier):
    batch = classifier.encode(TEXTS)
    assert batch.unit_texts(3) == tuple(TEXTS[3].split())
    assert batch.unit_texts(1) == ("bad",)
    assert batch.unit_texts(0)[:4] == ("an", "unbelievably", "slow", "film")
    assert (batch.units[0] == 1).sum() > 1
    pairs = classifier.encode(PAIRS)
    assert pairs.unit_texts(0) == tuple(" ".join(PAIRS[0]).split())
    assert [span.segment for span in pairs.unit_spans[0]] == [0] * 4 + [1] * 5


def test_segments():
    batch = tiny_classifier("bert").encode(PAIRS)
    for types, units, spans in zip(batch.token_type_ids, batch.units, batch.unit_spans, strict=True):
        for segment, unit in zip(types.tolist(), units.tolist(), strict=True):
            assert unit == -1 or spans[unit].segment == segment
    assert batch.token_type_ids.max() == 1
    for family in ("roberta", "distilbert", "modernbert", "gpt2"):
        assert tiny_classifier(family).encode(PAIRS).token_type_ids is None


def test_token_units(classifier):
    words = classifier.encode(TEXTS)
    tokens = words.with_units("token")
    assert words.with_units("word") is words
    for i in range(len(TEXTS)):
        removable = words.units[i] >= 0
        assert torch.equal(tokens.units[i] >= 0, removable)
        assert tokens.units[i][removable].tolist() == list(range(int(removable.sum())))
        assert tokens.unit_spans[i] == tuple(span for span in words.token_spans[i] if span is not None)
    assert tokens.unit_counts().tolist() == [len(spans) for spans in tokens.unit_spans]
    with pytest.raises(ParameterError, match="'sentence'"):
        words.with_units("sentence")


def test_byte_level_spaces_are_no_part_of_a_word():
    tokenizer = build_tokenizer("gpt2")
    batch = encode_with(tokenizer, ["the  cast\nwas \u00fcbel \U0001f3ac."])
    assert [text for text in batch.unit_texts(0) if text] == ["the", "cast", "was", "\u00fcbel", "\U0001f3ac."]
    # tokens of white space alone are units too: they can be removed
    assert "" in batch.unit_texts(0)


def test_line_ends_in_a_token_are_no_part_of_a_word():
    """Qwen's pre-tokenizer takes a line's end to the punctuation before it."""
    tokenizer = byte_level({"unk": "<unk>"})
    pattern = r" ?[^\s\p{L}]+[\r\n]*| ?\p{L}+|\s+"
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    rest = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, rest])
    batch = encode_with(tokenizer, ["great film.\n\nslow , bad"])
    assert batch.unit_texts(0) == ("great", "film", ".", "slow", ",", "bad")
    assert batch.unit_spans[0][2] == Span(0, 10, 11)


def test_white_space_within_a_token_is_no_part_of_a_word():
    vocabulary = {"<unk>": 0, "great": 1, " film": 2, ".\n\n": 3, "\t": 4}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r" ?\w+|\.\n*|\t"), "isolated")
    batch = encode_with(wrap(tokenizer, {"unk": "<unk>"}), ["great film.\n\n\tgreat"])
    assert batch.input_ids.tolist() == [[1, 2, 3, 4, 1]]
    assert batch.unit_texts(0) == ("great", "film", ".", "", "great")


def metaspace(scheme):
    """Sentence-piece tokenizers without words: Llama 2's, Gemma's, and one whose pre-tokenizer does not split."""
    scored = [("<unk>", 0.0), ("\u2581", -3.0), ("\u2581the", -2.0), ("\u2581film", -2.0)]
    tokenizer = Tokenizer(
        models.Unigram(scored + [(letter, -5.0) for letter in "abcdefghijklmnopqrstuvwxyz"], unk_id=0)
    )
    if scheme == "no split":
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(split=False)
    else:
        prepend = [normalizers.Prepend("\u2581")] if scheme == "no pre-tokenizer" else []
        tokenizer.normalizer = normalizers.Sequence([*prepend, normalizers.Replace(" ", "\u2581")])
    if scheme == "split too late":
        tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.post_processor = processors.TemplateProcessing(single="<unk> $A", special_tokens=[("<unk>", 0)])
    return wrap(tokenizer, {"unk": "<unk>"})


@pytest.mark.parametrize("scheme", ["no pre-tokenizer", "split too late", "no split"])
def test_tokenizer_without_words_gives_token_units(scheme):
    batch = encode_with(metaspace(scheme), ["the film bad", "bad"])
    for i in range(2):
        n = int(batch.lengths()[i])
        assert n > 3
        assert batch.units[i].tolist() == [-1, *range(n - 1)] + [-1] * (batch.units.shape[1] - n)
    assert "".join(batch.unit_texts(0)) == "thefilmbad"


def test_tokenizer_with_split_metaspace_gives_words():
    tokenizer = metaspace("no split")
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    assert encode_with(tokenizer, ["the film bad"]).unit_texts(0) == ("the", "film", "bad")


# ---- length ---------------------------------------------------------------------------------------------------------


def test_truncation_is_counted(classifier):
    long = "slow joke " * 40
    batch = classifier.encode([TEXTS[3], long, TEXTS[1]])
    assert batch.truncated == (False, True, False)
    assert batch.lengths()[1] == MAX_LENGTH
    pairs = classifier.encode([PAIRS[1], (TEXTS[1], long), (long, long)])
    assert pairs.truncated == (False, True, True)
    assert pairs.lengths()[1:].tolist() == [MAX_LENGTH] * 2
    assert {span.segment for span in pairs.unit_spans[1]} == {0, 1}


def test_a_text_of_exactly_the_limit_is_not_truncated():
    classifier = tiny_classifier("gpt2")
    words = ["film"] * (MAX_LENGTH + 1)
    for count, cut in ((MAX_LENGTH, False), (MAX_LENGTH + 1, True)):
        text = " " + " ".join(words[:count])
        assert classifier.encode([text]).lengths() == MAX_LENGTH
        assert classifier.encode([text]).truncated == (cut,)


def test_padding_that_a_tokenizer_file_asks_for_is_not_used():
    tokenizer = build_tokenizer("bert")
    tokenizer.backend_tokenizer.enable_padding(length=40)
    tokenizer.padding_side = "left"
    batch = fresh_classifier("bert", tokenizer=tokenizer).encode(TEXTS[1:3])
    assert torch.equal(batch.input_ids, tiny_classifier("bert").encode(TEXTS[1:3]).input_ids)


# ---- names ----------------------------------------------------------------------------------------------------------


def test_ids():
    classifier = tiny_classifier("bert")
    assert classifier.encode(TEXTS, ids=("a", "b", "c", "d")).ids == ("a", "b", "c", "d")
    assert classifier.encode(TEXTS[:2], ids=[7, 8]).ids == ("7", "8")
    digests = classifier.encode(TEXTS).ids
    assert len(set(digests)) == len(TEXTS)
    assert classifier.encode(TEXTS[::-1]).ids == digests[::-1]
    assert classifier.encode([("a film", "bad")]).ids != classifier.encode([("a", "film bad")]).ids
    for wrong in (["a"], ["a"] * 5, [], "abcd"):
        with pytest.raises(InputError, match="ids"):
            classifier.encode(TEXTS, ids=wrong)


# ---- what is not a text ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        ("one text", InputError, "texts is one string"),
        ([], InputError, "no texts"),
        ([""], EmptyTextError, "empty text"),
        (["bad", " \n\t"], EmptyTextError, "'second' has an empty text"),
        ([("bad", "")], EmptyTextError, "empty text"),
        (["bad", ("a", "film")], InputError, "every example"),
        ([("a", "slow", "film")], InputError, "every example"),
        ([()], InputError, "every example"),
        ([("a", 1)], InputError, "every example"),
        ([("a", None)], InputError, "every example"),
        (["bad", 3], InputError, "an example is 3"),
        (["bad", None], InputError, "an example is None"),
        ([{"text": "bad"}], InputError, "an example is {'text': 'bad'}"),
        ([b"bad"], InputError, "every example"),
        (None, InputError, "texts is None"),
        (7, InputError, "texts is 7"),
    ],
)
def test_wrong_texts(texts, error, message):
    names = ["first", "second"][: len(texts)] if isinstance(texts, list) else None
    with pytest.raises(error, match=message):
        tiny_classifier("bert").encode(texts, ids=names)


def test_texts_without_a_token_are_errors():
    """A zero-width space is no white space to Python, but nothing to the tokenizer."""
    with pytest.raises(EmptyTextError, match="no token that could be removed"):
        tiny_classifier("bert").encode(["bad", "\u200b"])


def test_texts_of_other_kinds():
    classifier = tiny_classifier("bert")
    expected = classifier.encode(TEXTS).input_ids
    assert torch.equal(classifier.encode(tuple(TEXTS)).input_ids, expected)
    assert torch.equal(classifier.encode(np.array(TEXTS)).input_ids, expected)
    assert torch.equal(classifier.encode([list(pair) for pair in PAIRS]).input_ids, classifier.encode(PAIRS).input_ids)


def test_slow_tokenizer_is_an_error():
    class Slow:
        def __call__(self, *args, **kwargs):
            raise AssertionError("it should not be asked")

    with pytest.raises(InputError, match="Slow gives no character offsets; a fast tokenizer"):
        encode_with(Slow(), ["bad"])


# ---- batches --------------------------------------------------------------------------------------------------------


def test_select(classifier):
    batch = classifier.encode(PAIRS * 2).with_target(torch.tensor([0, 1, 2, 0]))
    chosen = batch.select([3, 0])
    own = classifier.encode([PAIRS[1], PAIRS[0]])
    for name in ("input_ids", "attention_mask", "token_type_ids", "units"):
        mine, other = getattr(chosen, name), getattr(own, name)
        assert (mine is other is None) or torch.equal(mine, other)
    for name in ("texts", "tokens", "token_spans", "unit_spans", "ids", "truncated"):
        assert getattr(chosen, name) == getattr(own, name)
    assert chosen.target.tolist() == [0, 0]
    assert len(chosen) == 2
    shortest = batch.select([int(batch.lengths().argmin())])
    assert shortest.input_ids.shape[1] == int(batch.lengths().min())


def test_unit_scores_are_sums():
    batch = tiny_classifier("bert").encode(TEXTS)
    scores = torch.randn(batch.input_ids.shape, generator=torch.Generator().manual_seed(0))
    result = batch.unit_scores(scores.requires_grad_())
    for i, row in enumerate(result):
        assert row.dtype == torch.float64
        assert not row.requires_grad
        expected = [
            sum(s for s, u in zip(scores[i].tolist(), batch.units[i].tolist(), strict=True) if u == unit)
            for unit in range(len(batch.unit_spans[i]))
        ]
        assert row.tolist() == pytest.approx(expected)
