"""Rationales in all their forms become the right characters, or an error that names the example."""

import random

import pytest

from whybench.bench.errors import DataError
from whybench.bench.rationales import (
    edited_words,
    joined,
    of_characters,
    of_majority,
    of_mask,
    of_quotations,
    of_ranges,
    united,
    words_of,
)
from whybench.bench.task import Span

TEXT = "the  soup was\nnot bad ."


def cut(text, spans):
    return [text[start:end] for _, start, end in spans]


def test_words_are_what_white_space_separates():
    assert [TEXT[start:end] for start, end in words_of(TEXT)] == ["the", "soup", "was", "not", "bad", "."]
    assert words_of(" \n") == []


def test_joined_tokens_are_found_where_they_stand_even_with_space_inside():
    text, places = joined(["a", "b c", "naïve"], "x")
    assert text == "a b c naïve"
    assert [text[start:end] for start, end in places] == ["a", "b c", "naïve"]
    for bad in ("", " ", None, 3):
        with pytest.raises(DataError, match=r"'x' has .* among its tokens"):
            joined(["a", bad], "x")


def test_marked_words_in_a_row_are_one_span():
    words = words_of(TEXT)
    assert cut(TEXT, of_mask(words, [0, 1, 1, 0, 1, 0], "x")) == ["soup was", "bad"]
    assert of_mask(words, [True] * 6, "x", segment=1) == (Span(1, 0, len(TEXT)),)
    assert of_mask(words, [0] * 6, "x") == ()
    with pytest.raises(DataError, match="'x' has 6 words and a rationale of 5 marks"):
        of_mask(words, [0] * 5, "x")
    with pytest.raises(DataError, match=r"'x' has the mark 0\.3"):
        of_mask(words, [0, 0.3, 0, 0, 0, 0], "x")


def test_ranges_have_the_token_after_their_last_as_end():
    words = words_of(TEXT)
    assert cut(TEXT, of_ranges(words, [[3, 5], [0, 2]], "x")) == ["the  soup", "not bad"]
    # ranges that overlap are one, those that only touch stay apart, and an empty one marks nothing
    assert cut(TEXT, of_ranges(words, [[0, 3], [1, 4]], "x")) == ["the  soup was\nnot"]
    assert cut(TEXT, of_ranges(words, [[0, 2], [2, 3]], "x")) == ["the  soup", "was"]
    assert of_ranges(words, [[2, 2], [6, 6]], "x") == of_ranges(words, [], "x") == ()
    for bad in ([3, 2], [-1, 2], [5, 7]):
        with pytest.raises(DataError, match=f"'x' has evidence at the tokens {bad[0]} to {bad[1]} of 6"):
            of_ranges(words, [bad], "x")


def test_masks_and_ranges_agree():
    draw = random.Random(0)
    for _ in range(50):
        mask = [draw.randrange(2) for _ in range(6)]
        ranges = [[i, i + 1] for i in range(6) if mask[i]]
        words = words_of(TEXT)
        marked = [word for span in of_mask(words, mask, "x") for word in cut(TEXT, [span])[0].split()]
        assert marked == [word for word, mark in zip(TEXT.split(), mask, strict=True) if mark]
        assert marked == [word for span in of_ranges(words, ranges, "x") for word in cut(TEXT, [span])]


def test_characters_that_follow_one_another_are_one_span():
    assert of_characters("not so bad", [8, 7, 9, 0, 0], "x") == (Span(0, 0, 1), Span(0, 7, 10))
    assert of_characters("not so bad", [], "x") == ()
    for bad in (-1, 10):
        with pytest.raises(DataError, match=f"'x' has evidence at the character {bad}; its text has 10"):
            of_characters("not so bad", [bad], "x")


def test_quotations_are_found_by_words_whatever_the_white_space():
    assert cut(TEXT, of_quotations(TEXT, ["was not", "the soup"], "x")) == ["the  soup", "was\nnot"]
    assert of_quotations(TEXT, ["", " "], "x") == ()
    # a part of a word is no word
    with pytest.raises(DataError, match="'x' has the evidence 'the so', which is not in its text"):
        of_quotations(TEXT, ["the so"], "x")
    with pytest.raises(DataError, match="which is not in its text"):
        of_quotations(TEXT, ["the soup was not bad . or so"], "x")


def test_the_same_quotation_again_is_the_next_place():
    text = "fun film , fun cast , fun"
    assert of_quotations(text, ["fun"], "x") == (Span(0, 0, 3),)
    assert of_quotations(text, ["fun", "fun"], "x") == (Span(0, 0, 3), Span(0, 11, 14))
    # more of them than places: from the first again
    assert len(of_quotations(text, ["fun"] * 4, "x")) == 3


@pytest.mark.parametrize(
    ("masks", "threshold", "wanted"),
    [
        # two annotators: one of them is half
        ([[1, 0, 1], [1, 0, 0]], 0.5, [1, 0, 1]),
        ([[1, 0, 1], [1, 0, 0]], 0.6, [1, 0, 0]),
        # three: one of them is less than half
        ([[1, 1, 0], [1, 0, 0], [1, 1, 1]], 0.5, [1, 1, 0]),
        ([[1, 1, 0], [1, 0, 0], [1, 1, 1]], 1, [1, 0, 0]),
        ([[1, 1, 0], [1, 0, 0], [1, 1, 1]], 0.1, [1, 1, 1]),
        ([[0, 1]], 0.5, [0, 1]),
        # exactly the share, where floating point would fall short: 3 of 10 at 0.3
        ([[1]] * 3 + [[0]] * 7, 0.3, [1]),
    ],
)
def test_a_word_counts_where_enough_annotators_marked_it(masks, threshold, wanted):
    assert of_majority(masks, threshold, "x") == wanted


def test_annotators_who_do_not_fit_together():
    with pytest.raises(DataError, match="'x' has rationales of 2, 3 marks"):
        of_majority([[1, 0], [1, 0, 0]], 0.5, "x")
    with pytest.raises(DataError, match="'x' has rationales of no marks"):
        of_majority([], 0.5, "x")


def test_edited_words():
    assert edited_words("a man sits on a chair", "a man stands on a chair") == [0, 0, 1, 0, 0, 0]
    assert edited_words("a man sits on a chair", "a man sits") == [0, 0, 0, 1, 1, 1]
    # nothing of the text is gone
    assert edited_words("a man sits", "a tall man sits down") == [0, 0, 0]
    assert edited_words("a man sits", "a man sits") == [0, 0, 0]
    assert edited_words("a man sits", "dogs run") == [1, 1, 1]


def test_spans_of_two_segments_are_never_one():
    assert united([Span(1, 0, 5), Span(0, 3, 6), Span(0, 0, 4)]) == (Span(0, 0, 6), Span(1, 0, 5))
