"""How findings are told: hostile text stays text, whatever shows it."""

import io
import json

import pytest
from rich.console import Console

from whybench.bench.conformance import Finding, Found, Report, escaped

HOSTILE = "[red]x[/red] | <b>`a`</b> \x1b[31m\u202e\nnext :smile: & *y*"


@pytest.fixture
def report():
    good, bad = Found(), Found()
    good.facts = {"accuracy": 0.123456, "in_a_text": {"least": 1}, "met": ["a → b"]}
    bad.fail(HOSTILE)
    return Report(HOSTILE, [Finding.of("good", "It is good.", good), Finding.of("bad", "It is not.", bad)])


def test_the_worst_decides_and_all_is_told():
    found = Found()
    assert Finding.of("a", "b", found).status == "passed"
    found.warn("Odd.")
    assert Finding.of("a", "b", found).status == "warned"
    found.skip("Not here.")
    assert Finding.of("a", "b", found).status == "skipped"
    found.fail("Wrong.")
    finding = Finding.of("a", "b", found)
    assert (finding.status, finding.reason) == ("failed", "Wrong. Not here. Odd.")


def test_many_places_are_counted():
    found = Found()
    found.fail_each("Empty", [])
    assert found.failures == []
    found.fail_each("Empty", list("abcde"))
    assert found.failures == ["Empty: a, b, c and 2 more."]


def test_a_warning_or_a_skip_passes():
    warned, skipped, failed = Found(warnings=["x"]), Found(skips=["x"]), Found(failures=["x"])
    findings = [Finding.of("a", "b", found) for found in (warned, skipped, Found())]
    assert Report("t", findings).passed
    assert Report("t", findings).summary() == "2 passed (1 with a warning), 0 failed, 1 skipped"
    assert not Report("t", [*findings, Finding.of("a", "b", failed)]).passed


def test_the_terminal_gets_text_as_it_is(report):
    file = io.StringIO()
    report.print(Console(file=file, width=200, force_terminal=True, color_system=None))
    printed = file.getvalue()
    assert "[red]x[/red] | <b>`a`</b> \\u001b[31m\\u202e next :smile: & *y*" in printed
    assert "\x1b[31m" not in printed
    assert "accuracy 0.123, in a text (least 1), met (a → b)" in printed
    assert "1 passed (0 with a warning), 1 failed, 0 skipped." in printed
    # what is promised is said where it is not kept
    kept, broken = report.findings
    assert f"Promised: {broken.promise}" in printed
    assert kept.promise not in printed


def test_markdown_shows_the_same_characters(report):
    lines = report.to_markdown().splitlines()
    (row,) = [line for line in lines if line.startswith("| bad ")]
    assert row.count("|") - row.count("\\|") == 5
    assert "\\[red\\]x\\[/red\\] \\| \\<b\\>\\`a\\`\\</b\\>" in row
    assert "&amp; \\*y\\*" in row
    assert "\x1b" not in report.to_markdown()
    assert lines[0].startswith("### \\[red\\]x")


def test_markdown_calls_nobody():
    assert escaped("\\@someone #1 & me") == "\\\\@&#8203;someone \\#1 &amp; me"


def test_json(report):
    answer = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert (answer["passed"], answer["title"]) == (False, HOSTILE)
    assert [finding["status"] for finding in answer["findings"]] == ["passed", "failed"]
    assert answer["findings"][0]["facts"]["accuracy"] == 0.123456
