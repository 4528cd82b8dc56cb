import re

import pytest

from whybench import load_method
from whybench.bench.errors import EmptyTextError
from whybench.bench.explanation import Explanation, explain_text, to_html, to_terminal

HOSTILE = Explanation(
    method="m<i>",
    model="x&y",
    prediction="<script>alert(1)</script>",
    probability=0.75,
    text="a <b>bold</b> move",
    spans=((0, 1), (2, 13), (14, 18)),
    scores=(0.5, -1.0, 0.0),
    truncated=True,
    report={},
)


def test_the_evidence_is_what_occlusion_shows(xor_classifier):
    text = "saddle red apple round winter"
    explanation = explain_text(xor_classifier, load_method("occlusion"), text)
    assert explanation.prediction == "match"
    assert explanation.probability > 0.9
    assert [text[start:end] for start, end in explanation.spans] == text.split()
    best = sorted(zip(explanation.scores, text.split(), strict=True), reverse=True)[:2]
    assert {word for _, word in best} == {"red", "round"}


def test_a_pair_and_a_report(xor_classifier):
    method = load_method("integrated_gradients", n_steps=4)
    explanation = explain_text(xor_classifier, method, "red saddle", "round apple")
    assert [explanation.text[s:e] for s, e in explanation.spans] == ["red", "saddle", "round", "apple"]
    assert set(explanation.report) == {"completeness_delta", "completeness_delta_relative"}
    with pytest.raises(EmptyTextError):
        explain_text(xor_classifier, load_method("random"), " ")


def test_the_terminal_shows_the_text_as_it_is_with_a_colour_per_unit():
    text = to_terminal(HOSTILE)
    assert text.plain == HOSTILE.text
    colours = {text.plain[span.start : span.end]: str(span.style) for span in text.spans}
    assert colours == {"a": "#ffffff on #003959", "<b>bold</b>": "#ffffff on #d55e00"}


def test_the_page_escapes_everything_and_has_every_score():
    page = to_html(HOSTILE)
    assert "<script>" not in page
    assert "<b>" not in page
    assert "m&lt;i&gt;" in page
    assert "x&amp;y" in page
    marks = re.findall(r'<mark style="background:rgb\(([^)]*)\)" title="([^"]*)">([^<]*)</mark>', page)
    assert marks == [
        ("0 114 178 / 0.375", "+0.5", "a"),
        ("213 94 0 / 0.750", "-1", "&lt;b&gt;bold&lt;/b&gt;"),
        ("0 114 178 / 0.000", "+0", "move"),
    ]
    assert "was cut" in page
    assert "http" not in page


def test_scores_that_are_all_zero_have_no_colour():
    flat = Explanation("m", "x", "p", 1.0, "a b", ((0, 1), (2, 3)), (0.0, 0.0), False, {})
    assert flat.shades() == [0.0, 0.0]
    assert not [span for span in to_terminal(flat).spans if span.style]
