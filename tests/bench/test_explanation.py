import dataclasses
import re

import pytest

from whybench import load_method
from whybench.bench import cli
from whybench.bench.errors import EmptyTextError, InputError
from whybench.bench.explanation import Explanation, explain_text, to_html, to_terminal
from whybench.bench.next_token import NextTokenModel
from whybench.tasks.builtin import checkpoint

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
    assert set(explanation.report) == {"completeness_delta", "completeness_delta_relative", "steps"}
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
    assert "Blue supports the prediction, orange opposes it." in page
    assert "was cut" in page
    assert "http" not in page


def test_what_must_be_said_of_a_method_is_on_the_page(xor_classifier):
    explanation = explain_text(xor_classifier, load_method("efficient_attention"), "red round")
    assert "reconstruction" in explanation.note
    assert "reconstruction of Naim &amp; Asher" in to_html(explanation)
    assert explain_text(xor_classifier, load_method("raw_attention"), "red round").note == ""


def test_scores_that_are_all_zero_have_no_colour():
    flat = Explanation("m", "x", "p", 1.0, "a b", ((0, 1), (2, 3)), (0.0, 0.0), False, {})
    assert flat.shades() == [0.0, 0.0]
    assert not [span for span in to_terminal(flat).spans if span.style]


def test_an_unsigned_method_is_not_said_to_be_for_or_against(xor_classifier):
    assert explain_text(xor_classifier, load_method("occlusion"), "red round").signed
    explanation = explain_text(xor_classifier, load_method("gradient"), "red saddle round")
    assert not explanation.signed
    page = to_html(explanation)
    assert "supports" not in page + explanation.caption
    assert "opposes" not in page + explanation.caption
    assert explanation.caption in page
    colours = re.findall(r"background:rgb\((\d+ \d+ \d+) / [\d.]+\)\" title=\"([^\"]*)\"", page)
    assert {colour for colour, _ in colours} == {"91 79 184"}
    assert not any(title.startswith("+") for _, title in colours)
    shades = [str(span.style) for span in to_terminal(explanation).spans if span.style]
    assert "#ffffff on #5b4fb8" in shades
    for shade in shades:
        red, green, blue = bytes.fromhex(shade[-6:])
        assert red * 2 >= green * 2 - 2
        assert blue >= red


def test_units_that_share_characters_show_each_once():
    """Four byte tokens stand for one emoji; after it two spans overlap, one is empty, and none is in order."""
    text = "a 🙂 bcdef"
    spans = ((0, 1), (2, 3), (2, 3), (2, 3), (2, 3), (6, 9), (4, 7), (9, 9))
    scores = (0.1, 1.0, -0.5, 0.2, 0.3, 0.5, -1.0, 0.7)
    explanation = Explanation("m", "x", "p", 1.0, text, spans, scores, False, {})
    assert [(s.text, s.unit) for s in explanation.stretches()] == [
        *(("a", 0), (" ", None), ("🙂", 1), (" ", None)),
        *(("bcd", 6), ("ef", 5)),
    ]
    assert to_terminal(explanation).plain == text
    shown = re.search(r'<p class="text">(.*)</p>', to_html(explanation))[1]
    assert re.sub(r"<[^>]*>", "", shown) == text
    # the table has a row for every unit all the same
    assert to_html(explanation).count("<tr><td>") == len(spans)


def test_the_command_reads_no_name_as_markup(monkeypatch, capsys):
    hostile = dataclasses.replace(
        HOSTILE, prediction="[/NEG] :heart:", model="[red]x", text="a [/b] :cat:", spans=((0, 1), (2, 6), (7, 12))
    )
    hostile = dataclasses.replace(hostile, report={"[/delta]": 0.5}, method="[/m]")
    monkeypatch.setattr("whybench.bench.explanation.explain_text", lambda *_: hostile)
    monkeypatch.setattr("whybench.bench.classifier.Classifier.from_pretrained", lambda *_, **__: None)
    monkeypatch.setenv("COLUMNS", "120")
    cli.explain(text="a", model="m", method="occlusion", pair=None, revision=None, device=None, html=None)
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert "[/NEG] :heart:  p = 0.750   [/m] · [red]x" in lines
    assert "a [/b] :cat:" in lines
    assert hostile.caption in lines
    assert "[/delta]: 0.5" in lines
    assert any(re.fullmatch(r"\[/b\] +-1", line) for line in lines)
    assert any(re.fullmatch(r":cat: +\+0", line) for line in lines)


@pytest.fixture(scope="module")
def language_model():
    return NextTokenModel.from_pretrained(checkpoint("induction"), device="cpu")


def test_a_next_token_is_explained_against_another(language_model):
    text = "ada tea ben milk cara soda dan tea ben"
    explanation = explain_text(language_model, load_method("occlusion"), text, contrast=(" milk", " tea"))
    assert explanation.prediction == "“ milk” against “ tea”"
    assert explanation.probability > 0.9
    assert [text[start:end] for start, end in explanation.spans] == text.split()
    assert set(sorted(range(9), key=lambda i: -explanation.scores[i])[:3]) == {2, 3, 8}
    page = to_html(explanation)
    assert "<h1>“ milk” against “ tea”" in page
    assert "Blue speaks for “ milk”, orange for “ tea”." in page
    other = explain_text(language_model, load_method("occlusion"), text, contrast=(" tea", " milk"))
    assert other.probability == pytest.approx(1 - explanation.probability, abs=1e-6)
    hostile = dataclasses.replace(explanation, contrast=("<b>", "&"))
    assert "&lt;b&gt;" in to_html(hostile) and "<b>" not in to_html(hostile)


def test_a_contrast_is_for_language_models(language_model, xor_classifier):
    with pytest.raises(InputError, match="is a classifier; a continuation and a foil"):
        explain_text(xor_classifier, load_method("random"), "red round", contrast=(" a", " b"))
    with pytest.raises(InputError, match="give contrasts"):
        explain_text(language_model, load_method("random"), "ada tea")


def explain_command(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["whybench", "explain", *arguments])
    code = 0
    try:
        cli.main()
    except SystemExit as stopped:
        code = stopped.code or 0
    return code, *capsys.readouterr()


def test_next_tokens_on_the_command_line(monkeypatch, capsys):
    given = ["ada tea ben milk cara soda ben", "--model", checkpoint("induction"), "--method", "gradient"]
    code, out, _ = explain_command(monkeypatch, capsys, *given, "--continuation", " milk", "--foil", " tea")
    assert code == 0
    assert out.startswith("“ milk” against “ tea”  p = 0.9")
    code, _, err = explain_command(monkeypatch, capsys, *given, "--continuation", " milk")
    assert code == 2
    assert "--continuation is ' milk' and --foil None" in err
