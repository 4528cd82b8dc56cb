"""Scores made elsewhere: read strictly, put where they belong, scored as the method that made them would be."""

import json
import re

import pytest
import torch

from whybench import load_method, load_task
from whybench.bench.attributions import MAX_LINE_BYTES, exported, load_attributions, parse
from whybench.bench.cli_methods import attributions_named, unread
from whybench.bench.errors import AttributionsError, ParameterError
from whybench.bench.runner import Plan, run
from whybench.bench.store import ResultStore
from whybench.bench.strict_json import NotStrictError, strict_json
from whybench.leaderboard.boards import boards
from whybench.leaderboard.command import command
from whybench.leaderboard.site import build_site
from whybench.leaderboard.tables import COST, table
from whybench.tests.bench.test_store import Silent
from whybench.tests.command_line import in_this_process


def line(example="1", words=("a", "b"), scores=(0.5, -1), **more):
    return json.dumps({"id": example, "words": words, "scores": scores, **more})


def written(folder, *lines, name="mine.jsonl"):
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


# ---- reading ----


def test_a_file_is_a_method(tmp_path):
    head = json.dumps({"family": "gradient", "signed": False, "summary": "Mine.", "note": "On a Tuesday."})
    one = load_attributions(written(tmp_path, head, "", line(scores=(0.5, 1))))
    assert (one.name, one.family, one.signed, one.elsewhere) == ("mine", "gradient", False, True)
    assert (one.note, type(one).__doc__) == ("Scores made elsewhere. On a Tuesday.", "Mine.")
    assert (one.parameters(), one.label()) == ({}, "mine")
    other = load_attributions(written(tmp_path, line(), name="other.jsonl"), "named")
    assert (other.name, other.family, other.signed) == ("named", "other", True)
    # the classes are each their own
    assert (one.name, other.lines["1"].scores) == ("mine", (0.5, -1.0))
    assert one.source_digest() != other.source_digest()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([], "has no example"),
        (["{}"], "line 1: .*|has no example"),
        (["{"], "line 1: it is not JSON"),
        ([line(), "nonsense"], "line 2: it is not JSON"),
        (["[1, 2]"], "line 1: it is list; every line is an object"),
        ([line(), line()], "line 2: example '1' was on line 1 already"),
        ([line(scores=[1])], "line 1: example '1' has 1 scores for 2 words"),
        ([line(scores=[1, True])], "place 1 is True, no number"),
        ([line(scores=[1, None])], "place 1 is None, no number"),
        ([line(scores=[1, "2"])], "place 1 is '2', no number"),
        (['{"id": "1", "words": ["a"], "scores": [NaN]}'], "holds NaN; numbers must be finite"),
        (['{"id": "1", "words": ["a"], "scores": [1e999]}'], "too large; numbers must be finite"),
        (['{"id": "1", "words": ["a"], "scores": [' + "9" * 5000 + "]}"], "must fit into 64 bits"),
        (['{"id": "1", "words": ["a"], "words": ["b"], "scores": [1]}'], "'words' stands twice"),
        ([line(example=1)], "the id is 1; it must be a text"),
        ([line(tokens=["a", "b"])], "it has words and tokens; give one"),
        (['{"id": "1", "scores": [1]}'], "neither words nor tokens"),
        (['{"id": "1", "words": ["a"]}'], "it has no 'scores'"),
        ([line(colour="red")], "it has 'colour'"),
        ([line(words=["a", 2])], "'words' must be a list of texts"),
        (['{"id": "1", "words": ["a"], "scores": 3}'], "'scores' must be a list"),
        (['{"family": "magic"}', line()], "'family' wrong"),
        (['{"signed": 1}', line()], "'signed' wrong"),
        (['{"colour": "red"}', line()], "it may have family, signed"),
        (['{"family": "reference"}', line()], "a yardstick's"),
        ([line(), '{"family": "gradient"}'], "line 2: it has neither words nor tokens"),
        (['{"signed": false}', line()], "has the score -1, and the first line says"),
        (["[" * 100_000], "nested more than"),
        ([line(words=["a", "\ud800"])], "half of a surrogate"),
        (["x" * (MAX_LINE_BYTES + 1)], "at most 4,194,304 are read"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_wrong_in_a_file_is_said_with_its_line(lines, said, tmp_path):
    with pytest.raises(AttributionsError, match=said) as caught:
        load_attributions(written(tmp_path, *lines))
    assert "mine.jsonl" in str(caught.value)
    assert len(str(caught.value)) < 600


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(AttributionsError, match="No such file"):
        load_attributions(tmp_path / "none.jsonl")
    (tmp_path / "binary.jsonl").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(AttributionsError, match="not UTF-8"):
        load_attributions(tmp_path / "binary.jsonl")
    with pytest.raises(AttributionsError, match="Give one: --attributions NAME="):
        load_attributions(written(tmp_path, line(), name="my-scores.jsonl"))


def test_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path):
    _, lines = parse(b"\xef\xbb\xbf" + line().encode() + b"\r\n" + line("2").encode() + b"\r\n", "x")
    assert sorted(lines) == ["1", "2"]


def test_names_are_those_of_no_other_method(tmp_path):
    path = written(tmp_path, line(), name="lime.jsonl")
    with pytest.raises(ParameterError, match=re.escape(f"--attributions my_lime={path}")):
        attributions_named([str(path)])
    assert [one.name for one in attributions_named([f"a={path}", f"b={path}"])] == ["a", "b"]
    with pytest.raises(ParameterError, match="would be named 'a'"):
        attributions_named([f"a={path}", f"a={path}"])


def test_strict_json_reads_what_json_can_hold():
    value = {"a": [1, -2.5, None, True, "ü😀"], "b": {"c": 2**63 - 1}}
    assert strict_json(json.dumps(value).encode()) == value
    assert strict_json("[" * 24 + "]" * 24)
    with pytest.raises(NotStrictError, match="nested"):
        strict_json("[" * 25 + "]" * 25)


# ---- putting scores where they belong ----


def explained(tmp_path, classifier, batch, *lines):
    return load_attributions(written(tmp_path, *lines)).explain(classifier, batch)


def test_scores_of_words_and_of_tokens_become_those_of_the_units(xor_classifier, xor_batch, tmp_path):
    ids, tokens, expected = xor_batch.ids, xor_batch.tokens, []
    words = xor_batch.unit_texts(0)
    expected.append([0.1 * (place + 1) for place in range(len(words))])
    lines = [line(ids[0], words, expected[0])]
    # all tokens, and those without the special ones around
    for i, cut in ((1, slice(None)), (2, slice(1, -1))):
        scores = [(-1.0) ** place * place for place in range(len(tokens[i]))][cut]
        lines.append(json.dumps({"id": ids[i], "tokens": tokens[i][cut], "scores": scores}))
        whole = torch.zeros(xor_batch.input_ids.shape)
        whole[i, : len(tokens[i])][cut] = torch.tensor(scores)
        expected.append(xor_batch.unit_scores(whole)[i].tolist())
    found = explained(tmp_path, xor_classifier, xor_batch, *lines)
    assert [row.tolist() for row in xor_batch.unit_scores(found.scores)[:3]] == expected
    assert sorted(found.failed) == list(range(3, len(ids)))
    assert found.failed[3] == f"mine.jsonl has no line for it; its first line is for {ids[0]!r}"


def test_the_first_difference_is_named(xor_classifier, xor_batch, tmp_path):
    words = list(xor_batch.unit_texts(1))
    changed = [*words[:3], "strange", *words[4:]]
    with pytest.raises(
        AttributionsError, match=rf"'test-\S+' has at place 3 of its words 'strange', expected is '{words[3]}'"
    ):
        explained(tmp_path, xor_classifier, xor_batch, "", line(xor_batch.ids[1], changed, [1.0] * len(words)))
    with pytest.raises(AttributionsError, match=rf"line 1: .*place {len(words) - 1} .* nothing more, expected is"):
        explained(tmp_path, xor_classifier, xor_batch, line(xor_batch.ids[1], words[:-1], [1.0] * (len(words) - 1)))
    with pytest.raises(AttributionsError, match=rf"place {len(words)} .* 'more', expected is nothing more"):
        explained(
            tmp_path, xor_classifier, xor_batch, line(xor_batch.ids[1], [*words, "more"], [1.0] * (len(words) + 1))
        )


# ---- the round trip ----


@pytest.fixture(scope="module", params=["xor_cues", "induction"])
def ran(request, tmp_path_factory):
    """Two methods on a task, and their scores once more from files."""
    home = tmp_path_factory.mktemp(request.param)
    task, methods = load_task(request.param), [load_method("gradient_x_input"), load_method("raw_attention")]
    first = ResultStore(home / "first")
    run(Plan(tasks=[task], methods=methods, limit=6, device="cpu"), first, Silent())
    files = []
    for stored in first.read_all():
        files.append(written(home, *exported(stored), name=f"my_{stored.result.spec.method.name}.jsonl"))
    again = ResultStore(home / "again")
    given = attributions_named(list(map(str, files)))
    run(Plan(tasks=[task], methods=[*methods, *given], limit=6, device="cpu", randomised_weights=True), again, Silent())
    return {stored.result.label: stored for stored in again.read_all()}, again


def test_a_methods_own_scores_have_its_figures(ran):
    cells, _ = ran
    for name in ("gradient_x_input", "raw_attention"):
        own, read = cells[name], cells[f"my_{name}"]
        assert read.result.figures == own.result.figures
        assert read.result.family == own.result.family
        assert read.examples.column("unit_scores").equals(own.examples.column("unit_scores"))


def test_no_cost_is_shown_and_no_gate_is_said_to_be_passed_that_was_not_tried(ran, tmp_path):
    cells, store = ran
    result = cells["my_raw_attention"].result
    assert (result.elsewhere, result.cost) == (True, None)
    assert {name for name, one in cells["my_raw_attention"].gates.items() if one.status == "passed"} == {"coverage"}
    assert cells["raw_attention"].randomised is not None
    assert cells["my_raw_attention"].randomised is None
    (board,) = boards(store.read_all(), [])
    view = table(board)
    (row,) = [row for row in view.rows if row.name == "my_raw_attention"]
    costs = [cell for cell, column in zip(row.cells, view.columns, strict=True) if column.group == COST]
    assert {cell.text for cell in costs} == {"–"}
    assert row.standing is not None
    assert "--attributions my_raw_attention=FILE.jsonl" in command(result)
    build_site(store.read_all(), [], tmp_path / "site")
    (page,) = (tmp_path / "site" / "methods").glob("my*raw*attention*.html")
    assert "what they cost is not known here" in page.read_text(encoding="utf-8")


def test_examples_that_are_not_there_count_and_those_beyond_are_said(ran, tmp_path):
    cells, _ = ran
    head, *lines = exported(cells["gradient_x_input"])
    path = written(tmp_path, head, *lines[1:], line("nowhere"))
    given = attributions_named([str(path)])
    task = load_task(cells["gradient_x_input"].result.spec.task.name)
    (stored,) = run(Plan(tasks=[task], methods=given, limit=6, device="cpu"), ResultStore(tmp_path / "r"), Silent())
    assert stored.result.coverage.scored == 5
    assert "no line for it" in stored.result.coverage.failed[0].reason
    assert stored.gates["coverage"].status == "failed"
    (said,) = unread(given, [stored])
    assert said.startswith("1 of 6 examples in mine.jsonl are none of those")
    assert "nowhere" in said
    # words of another text: the cell fails, with the place
    wrong = json.loads(lines[0])
    path = written(tmp_path, json.dumps(wrong | {"words": ["?", *wrong["words"][1:]]}), name="wrong.jsonl")
    plan = Plan(tasks=[task], methods=attributions_named([str(path)]), limit=6, device="cpu")
    (stored,) = run(plan, ResultStore(tmp_path / "r"), Silent())
    assert (stored.result.status, list(unread(plan.methods, [stored]))) == ("failed", [])
    assert "at place 0 of its words '?'" in stored.result.error


def test_the_commands(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    usual = ["run", "--task", "xor_cues", "--device", "cpu", "--wandb", "disabled", "--results", "r"]
    assert in_this_process(monkeypatch, *usual, "--limit", 3, "--method", "gradient") == 0
    (cell,) = (tmp_path / "r" / "cells").iterdir()
    assert in_this_process(monkeypatch, "export", cell, "--out", "mine.jsonl") == 0
    assert "3 examples in mine.jsonl" in capsys.readouterr().out
    assert in_this_process(monkeypatch, "export", cell, "--out", "mine.jsonl") == 2
    assert "File exists" in capsys.readouterr().err
    assert in_this_process(monkeypatch, "export", cell) == 0
    assert capsys.readouterr().out == (tmp_path / "mine.jsonl").read_text()
    # alone, and of fewer examples than the file has
    assert in_this_process(monkeypatch, *usual, "--limit", 2, "--attributions", "mine.jsonl", "--twins") == 0
    said = capsys.readouterr()
    assert "mine was made elsewhere, and gets no twin" in said.err
    assert "1 of 3 examples in mine.jsonl are none of those that were scored" in said.err
    assert "gradient" not in said.out
    # what is wrong is said before anything runs
    (tmp_path / "mine.jsonl").write_text("[]")
    monkeypatch.setattr("whybench.bench.cli._run", None)
    assert in_this_process(monkeypatch, *usual, "--attributions", "mine.jsonl") == 2
    assert "mine.jsonl, line 1: it is list" in capsys.readouterr().err
