"""The command line as a user meets it: in a process of its own, reading what it prints."""

import json
import os
import subprocess
import sys

import pytest

from whybench.bench.cli import main
from whybench.bench.listing import entries
from whybench.bench.registry import load_method
from whybench.tasks.builtin import checkpoint
from whybench.tests.command_line import in_this_process

XOR = checkpoint("xor_cues")
MINI = [entry.name for entry in entries("task") if entry.fact("suite") == "mini"]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


def whybench(*arguments, cwd, **environment):
    """Run ``whybench`` without a network; returns the finished process."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("WANDB", "HF_"))}
    return subprocess.run(
        [sys.executable, "-m", "whybench", *map(str, arguments)],
        cwd=cwd,
        env={**clean, "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "160", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


@pytest.fixture(scope="module")
def first_run(home):
    """Two methods on eight examples of one task, mirrored offline."""
    methods = ["--method", "random:seed=0", "--method", "gradient"]
    return whybench("run", "--task", "xor_cues", "--limit", 8, *methods, "--device", "cpu", cwd=home)


def test_run_prints_the_table_and_the_pages_path(first_run, home):
    assert first_run.returncode == 0, first_run.stderr
    assert "xor_cues" in first_run.stdout
    assert "gradient" in first_run.stdout
    index = home / "results" / "site" / "index.html"
    assert f"The page: {index}" in first_run.stdout
    assert "gradient" in index.read_text(encoding="utf-8")
    assert len(list((home / "results" / "wandb").glob("offline-run-*"))) == 2
    assert "Loading weights" not in first_run.stderr


def test_a_second_run_does_only_what_is_missing_and_speaks_json(first_run, home):
    arguments = ["run", "--task", "xor_cues", "--limit", 8, "--device", "cpu", "--wandb", "disabled", "--json"]
    methods = ["--method", "random:seed=0", "--method", "integrated_gradients:n_steps=5,baseline=pad"]
    done = whybench(*arguments, *methods, cwd=home)
    assert done.returncode == 0, done.stderr
    assert "random: was there already" in done.stderr
    answer = json.loads(done.stdout)
    assert [r["label"] for r in answer["results"]] == ["random", "integrated_gradients(n_steps=5, baseline=pad)"]
    assert answer["results"][1]["spec"]["method"]["parameters"]["n_steps"] == 5
    assert len(list((home / "results" / "cells").iterdir())) == 3


def test_leaderboard_renders_what_is_there(first_run, home):
    done = whybench("leaderboard", "--site", "elsewhere", cwd=home)
    assert done.returncode == 0, done.stderr
    assert (home / "elsewhere" / "index.html").is_file()
    assert "gradient" in done.stdout


def test_a_failed_cell_is_exit_code_1_and_on_the_page(home):
    (home / "broken.py").write_text(
        "from whybench import Method\n\n\n"
        "class Broken(Method):\n"
        '    """Fails."""\n\n'
        '    name, family, signed = "broken", "reference", True\n\n'
        "    def attribute(self, classifier, batch):\n"
        '        raise RuntimeError("out of luck")\n'
    )
    options = ["--task", "xor_cues", "--limit", 8, "--results", "failing", "--wandb", "disabled"]
    done = whybench("run", "--method", "broken.py", *options, cwd=home)
    assert done.returncode == 1
    assert "out of luck (broken.py, line 10, in attribute)" in done.stderr
    assert "out of luck" in (home / "failing" / "site" / "index.html").read_text(encoding="utf-8")


def test_one_broken_method_among_all_is_left_out_with_its_reason(home, monkeypatch, capsys):
    from whybench.bench import cli_methods

    monkeypatch.setattr(cli_methods, "_all_methods", lambda *, causal: ["random", str(home / "half.py")])
    (home / "half.py").write_text("import nowhere_to_be_found\n")
    monkeypatch.chdir(home)
    arguments = ["run", "--limit", "8", "--results", "some", "--wandb", "disabled", "--device", "cpu"]
    monkeypatch.setattr(sys, "argv", ["whybench", *arguments])
    with pytest.raises(SystemExit) as stopped:
        main()
    printed = capsys.readouterr()
    assert stopped.value.code == 1
    assert "half.py is left out" in printed.err
    assert "nowhere_to_be_found" in printed.err
    assert "random" in printed.out


def test_explain_shows_tokens_and_writes_a_page(home):
    text = "saddle red <b> round winter"
    done = whybench("explain", text, "--model", XOR, "--method", "occlusion", "--html", "x.html", cwd=home)
    assert done.returncode == 0, done.stderr
    assert "match  p = 0.9" in done.stdout
    assert text in done.stdout
    page = (home / "x.html").read_text(encoding="utf-8")
    assert "&lt;" in page
    assert page.count("<mark") >= 5
    answer = json.loads(whybench("explain", text, "--model", XOR, "--method", "occlusion", "--json", cwd=home).stdout)
    assert (answer["prediction"], answer["text"]) == ("match", text)


def test_explain_colours_the_terminal(home):
    colours = {"FORCE_COLOR": "1", "COLORTERM": "truecolor"}
    done = whybench("explain", "red round", "--model", XOR, "--method", "occlusion", cwd=home, **colours)
    assert "\x1b[38;2;255;255;255;48;2;" in done.stdout


def test_a_plain_list_is_what_the_parser_gives(capsys, monkeypatch):
    """`list` goes past the parser where there is nothing to parse; all else goes through it."""
    from whybench.bench import cli

    monkeypatch.setenv("COLUMNS", "100")
    for arguments in (["list"], ["list", "tasks"], ["list", "--json", "metrics"], ["list", "methods", "--json"]):
        monkeypatch.setattr(sys, "argv", ["whybench", *arguments])
        cli.main()
        plain = capsys.readouterr().out
        with pytest.raises(SystemExit):
            cli.app(arguments)
        assert capsys.readouterr().out == plain != ""
        assert "--json" in arguments or max(map(len, plain.splitlines())) <= 100
    assert [cli._plain_list(["list", *rest]) for rest in (["--help"], ["a", "b"], ["--jsno"])] == [None] * 3
    assert cli._plain_list(["run"]) is None


def test_long_columns_are_wrapped_and_nothing_is_lost():
    from whybench.bench.list_rows import lines_of

    rows = [
        {
            "name": "a_name_that_is_rather_long",
            "signed": True,
            "what": "one two three four five six seven",
            "by": "x " * 30,
        },
        {"name": "b", "signed": "", "what": "", "by": "y"},
    ]
    lines = lines_of(rows, 80)
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["name", "signed", "what", "by"]
    assert lines[1].startswith("a_name_that_is_rather_long  True    one two")
    assert sorted(" ".join(lines[1:]).split()) == sorted(" ".join(str(v) for row in rows for v in row.values()).split())
    # narrower than it can be: long, but whole
    assert "a_name_that_is_rather_long" in lines_of(rows, 10)[1]


def test_list(home):
    assert "efficient_attention" in whybench("list", cwd=home).stdout
    methods = json.loads(whybench("list", "--json", cwd=home).stdout)
    by_default = {row["name"]: row["default"] for row in methods}
    assert (by_default["kernel_shap"], by_default["shapley"]) == ("yes", "no")
    assert by_default["uniform_attention"] == "--suite causal"
    tasks = json.loads(whybench("list", "tasks", "--json", cwd=home).stdout)
    assert {task["name"]: task["suite"] for task in tasks}["xor_cues"] == "mini"
    rows = json.loads(whybench("list", "metrics", "--json", cwd=home).stdout)
    metrics = {row["name"]: row["needs"] for row in rows}
    default = {row["name"]: row["default"] for row in rows}
    assert (default["loo_agreement"], default["infidelity"]) == ("yes", "no")
    assert default["replaced_tvd"] == "--suite causal"
    assert metrics["comprehensiveness"] == "probabilities"
    assert metrics["average_precision"] == "evidence"
    assert metrics["replaced_tvd"] == "attention"


def test_the_causal_suite(home, monkeypatch, capsys):
    (home / "even.py").write_text(
        "from whybench.bench.matrices import Matrices, MatrixMethod\n\n\n"
        "class Even(MatrixMethod):\n"
        '    """The same weight wherever there may be any."""\n\n'
        '    name, family, signed = "even", "control", False\n\n'
        "    def transform(self, weights, values, allowed):\n"
        "        even = allowed.to(weights) / allowed.sum(dim=-1, keepdim=True)\n"
        "        return Matrices(even.expand_as(weights))\n"
    )
    monkeypatch.chdir(home)
    options = ["--limit", 4, "--results", "causal", "--wandb", "disabled", "--device", "cpu"]
    methods = ["--method", "raw_attention", "--method", "even.py"]
    assert in_this_process(monkeypatch, "run", "--suite", "causal", *methods, *options) == 0
    printed = capsys.readouterr()
    assert "raw_attention" in printed.out
    assert (home / "causal" / "site" / "index.html").is_file()
    cells = len(list((home / "causal" / "cells").iterdir()))
    # a task may be given with it; what is there is not measured again
    task = ["--task", "xor_cues", "--json"]
    assert in_this_process(monkeypatch, "run", "--suite", "causal", *task, *methods, *options) == 0
    answer = json.loads(capsys.readouterr().out)
    assert [r["label"] for r in answer["results"]] == ["raw_attention", "even"]
    assert all("replaced_tvd" in r["figures"] for r in answer["results"])
    assert len(list((home / "causal" / "cells").iterdir())) == cells == 2 * len(MINI)


@pytest.mark.parametrize("arguments", [["--suite", "causal"], ["--suite", "mini"], []], ids=str)
def test_the_default_methods_of_a_suite(arguments, home, monkeypatch):
    from whybench.bench import cli
    from whybench.bench.matrices import MatrixMethod

    plans = []
    monkeypatch.chdir(home)
    monkeypatch.setattr(cli, "_run", lambda plan, *_: plans.append(plan) or [])
    assert in_this_process(monkeypatch, "run", *arguments) == 0
    (plan,) = plans
    loaded = [load_method(entry.name) for entry in entries("method")]
    default = {method.name: method for method in loaded if method.default}
    names = {method.name for method in plan.methods}
    assert [task.name for task in plan.tasks] == MINI
    if "causal" in arguments:
        assert plan.measure == "causal"
        assert all(isinstance(method, MatrixMethod) for method in plan.methods)
        assert names == {name for name, method in default.items() if isinstance(method, MatrixMethod)}
    else:
        assert plan.measure == "faithfulness"
        assert names == {name for name, method in default.items() if method.family != "control"}
        assert not names & {"permuted", "rise", "shapley", "shapley_sampling"}
        labels = [method.label() for method in plan.methods]
        assert [label for label in labels if label.startswith("random")] == [
            "random",
            *(f"random(seed={seed})" for seed in range(1, 10)),
        ]
        assert {"oracle", "oracle(metric=sufficiency)"} <= set(labels)
    assert {"raw_attention", "efficient_attention"} <= names


def test_a_default_method_can_be_left_out(home, monkeypatch, capsys):
    from whybench.bench import cli

    plans = []
    monkeypatch.chdir(home)
    monkeypatch.setattr(cli, "_run", lambda plan, *_: plans.append(plan) or [])
    assert in_this_process(monkeypatch, "run") == 0
    assert in_this_process(monkeypatch, "run", "--skip", "oracle", "--skip", "lime") == 0
    whole, part = ([method.label() for method in plan.methods] for plan in plans)
    assert set(whole) - set(part) == {"oracle", "oracle(metric=sufficiency)", "lime"}
    assert in_this_process(monkeypatch, "run", "--skip", "rise") == 2
    assert "--skip rise is none of the methods that would run: " in capsys.readouterr().err


def test_twins_are_of_the_ranked_methods_with_their_parameters(home, monkeypatch, capsys):
    from whybench.bench import cli

    plans = []
    monkeypatch.chdir(home)
    monkeypatch.setattr(cli, "_run", lambda plan, *_: plans.append(plan) or [])
    methods = ["--method", "gradient", "--method", "integrated_gradients:n_steps=5,baseline=pad", "--method", "random"]
    assert in_this_process(monkeypatch, "run", *methods, "--twins") == 0
    (plan,) = plans
    assert [method.label() for method in plan.methods[-2:]] == [
        "permuted(of=gradient)",
        "permuted(of=integrated_gradients, parameters_of=n_steps=5 baseline=pad)",
    ]
    (home / "spaced.py").write_text(
        "from whybench import Method\n\n\nclass Spaced(Method):\n"
        '    """A."""\n\n    name, family, signed = "spaced", "gradient", False\n\n    text: str = "a"\n\n'
        "    def attribute(self, classifier, batch):\n        return batch.input_ids\n"
    )
    assert in_this_process(monkeypatch, "run", "--method", "spaced.py", "--twins") == 2
    assert "spaced is a file of its own" in capsys.readouterr().err


def test_a_suite_leaves_out_what_needs_a_model_and_says_so(home, monkeypatch, capsys):
    from whybench.bench import cli

    plans = []
    monkeypatch.chdir(home)
    monkeypatch.setattr(cli, "_run", lambda plan, *_: plans.append(plan) or [])
    assert in_this_process(monkeypatch, "run", "--suite", "debate") == 0
    assert "newsgroups20 is left out: it has no default model; give one with --model" in capsys.readouterr().err
    assert in_this_process(monkeypatch, "run", "--suite", "debate", "--model", "some") == 0
    assert "left out" not in capsys.readouterr().err
    without, whole = ({task.name for task in plan.tasks} for plan in plans)
    assert whole - without == {"newsgroups20"} and {"sst2", "snli"} <= without
    assert in_this_process(monkeypatch, "run", "--task", "newsgroups20") == 2
    assert "newsgroups20 has no default model" in capsys.readouterr().err


WRONG = {
    "method": (["run", "--method", "gradiant"], "Did you mean 'gradient'"),
    "task": (["run", "--task", "sst"], "Did you mean 'sst2'"),
    "suite": (["run", "--suite", "minni"], "mini"),
    "metric": (["run", "--metric", "sufficency"], "Did you mean 'sufficiency'"),
    "operator": (["run", "--operator", "masks"], "Did you mean 'mask'"),
    "parameter": (["run", "--method", "integrated_gradients:steps=3"], "n_steps"),
    "parameter without value": (["run", "--method", "integrated_gradients:steps"], "key=value"),
    "data": (["run", "--data", "sst2"], "TASK=PATH"),
    "data of another task": (["run", "--data", "sst2=x"], "xor_cues"),
    "missing data": (["run", "--task", "sst2", "--model", XOR, "--data", "sst2=gone"], "no data file or folder 'gone'"),
    "missing column": (["run", "--task", "sst2", "--model", XOR, "--data", "sst2=wrong.csv"], "no column 'sentence'"),
    "empty text": (["run", "--task", "sst2", "--model", XOR, "--data", "sst2=empty.csv"], "has an empty text"),
    "label": (["run", "--task", "sst2", "--model", XOR, "--data", "sst2=label.csv"], "has the label 5"),
    "unit": (["run", "--unit", "sentence"], "word or token"),
    "dtype": (["run", "--dtype", "int4"], "float32"),
    "limit": (["run", "--limit", "0"], "limit is 0"),
    "threads": (["run", "--threads", "0"], "--threads is 0"),
    "wandb": (["run", "--wandb", "on"], "auto, offline, online, disabled"),
    "model": (["run", "--model", "./gone"], "no model folder './gone'"),
    "not writable": (["run", "--results", "wrong.csv/results"], "--results"),
    "no results": (["leaderboard", "--results", "nothing"], "whybench run"),
    "listing": (["list", "models"], "methods, tasks or metrics"),
    "revision of no model": (["run", "--revision", "main"], "without a model"),
    "task and suite": (["run", "--task", "sst2", "--suite", "mini"], "give one of the two"),
    "causal metric": (["run", "--suite", "causal", "--metric", "sufficiency"], "Leave --metric out"),
    "causal method": (["run", "--suite", "causal", "--method", "gradient"], "gradient gives token scores only"),
    "causal dtype": (["run", "--suite", "causal", "--dtype", "bfloat16"], "Leave --dtype out"),
    "recovery metric": (["run", "--metric", "average_precision"], "every task with evidence has it"),
    "site of somebody else": (["run", "--site", "."], "is not a site"),
    "label as a word": (["run", "--task", "sst2", "--model", XOR, "--data", "sst2=words.csv"], "'great'"),
    "explain nothing": (["explain", " ", "--model", XOR, "--method", "random:seed=0"], "empty text"),
    "device": (["run", "--device", "gpu9"], "'gpu9' cannot be used"),
    "no such GPU": (["run", "--device", "cuda:99"], "'cuda:99' cannot be used"),
    "new task's name": (["new", "task", "two words"], "'two words'; it must be letters"),
    "new task's evidence": (["new", "task", "mine", "--evidence", "some"], "planted, human, none"),
    "check of no task": (["check", "task", "xor_cue"], "Did you mean 'xor_cues'"),
    "check of no file": (["check", "task", "gone.py"], "no task file named 'gone.py'"),
    "check of no data": (["check", "task", "sst2", "--data", "gone"], "no data file or folder 'gone'"),
    "check of no model": (["check", "task", "xor_cues", "--model", "./gone"], "no model folder './gone'"),
    "check of none": (["check", "task", "xor_cues", "--limit", "0"], "limit is 0"),
    "new method's family": (["new", "method", "mine", "--family", "control"], "gradient, attention, perturbation"),
    "new method's name": (["new", "method", "occlusion"], "there is a method named 'occlusion' already"),
    "check of no method": (["check", "gradiant"], "Did you mean 'gradient'"),
    "check of no method's file": (["check", "method", "gone.py"], "no method file named 'gone.py'"),
    "check with a wrong parameter": (["check", "integrated_gradients:n_steps=0"], "n_steps is 0"),
    "two reports": (["check", "task", "xor_cues", "--json", "--markdown"], "give one of the two"),
    "unknown option": (["run", "--colour"], "--colour"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_use_is_one_message_and_exit_code_2(case, home, monkeypatch, capsys):
    """In this process, as a new one spends seconds on imports; `test_a_corrupt_result…` has processes of its own."""
    (home / "wrong.csv").write_text("words,label\ngood,1\n")
    (home / "empty.csv").write_text('sentence,label\n" ",-1\n')
    (home / "label.csv").write_text("sentence,label\ngood,5\n")
    (home / "words.csv").write_text("sentence,label\ngood,great\n")
    arguments, message = WRONG[case]
    if arguments[0] == "run" and "--results" not in arguments:
        arguments = [*arguments, "--results", "untouched"]
    monkeypatch.chdir(home)
    monkeypatch.setattr(sys, "argv", ["whybench", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "160")
    with pytest.raises(SystemExit) as stopped:
        main()
    printed = capsys.readouterr()
    assert stopped.value.code == 2
    assert message in " ".join(printed.err.split())
    assert "Traceback" not in printed.err
    assert not (home / "untouched" / "cells").exists()


def test_a_new_task_is_written_checked_and_run(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    assert in_this_process(monkeypatch, "new", "task", "fresh", "--generated") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[:2] == ["fresh.py", "test_fresh.py"]
    assert "whybench check task fresh.py" in printed
    # exit code 1 while something is to do
    assert in_this_process(monkeypatch, "check", "task", "fresh.py", "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert [f["check"] for f in answer["findings"] if f["status"] == "failed"] == ["declarations"]
    text = (home / "fresh.py").read_text().replace("TODO", "Done")
    (home / "fresh.py").write_text(f'{text}\n\nprint("not part of the report")\n')
    assert in_this_process(monkeypatch, "check", "task", "fresh.py", "--json") == 0
    assert json.loads(capsys.readouterr().out)["passed"]
    assert in_this_process(monkeypatch, "check", "task", "fresh.py", "--markdown") == 0
    assert capsys.readouterr().out.startswith("### fresh.py, 200 examples of the split test\n\n| check |")
    assert in_this_process(monkeypatch, "new", "task", "fresh") == 2
    assert "fresh.py is there already" in capsys.readouterr().err


def test_a_new_method_is_written_checked_and_run(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    assert in_this_process(monkeypatch, "new", "method", "newest") == 0
    printed = capsys.readouterr().out
    assert printed.splitlines()[:2] == ["newest.py", "test_newest.py"]
    assert "whybench check newest.py" in printed
    # exit code 1 while something is to do
    assert in_this_process(monkeypatch, "check", "newest.py", "--json") == 1
    answer = json.loads(capsys.readouterr().out)
    assert [f["check"] for f in answer["findings"] if f["status"] == "failed"] == ["declarations"]
    text = (home / "newest.py").read_text().replace("TODO", "Done")
    (home / "newest.py").write_text(f'{text}\n\nprint("not part of the report")\n')
    assert in_this_process(monkeypatch, "check", "method", "newest.py", "--markdown") == 0
    printed = capsys.readouterr().out
    assert printed.startswith("### newest on 12 tiny models and the built-in tasks\n\n| check |")
    assert "not part of the report" not in printed
    (home / "newest.py").write_text(text)
    run = ["run", "--task", "xor_cues", "--limit", "4", "--method", "newest.py", "--results", "newest", "--json"]
    assert in_this_process(monkeypatch, *run) == 0
    assert json.loads(capsys.readouterr().out)["results"][0]["label"] == "newest"


def test_data_for_a_check_may_be_given_as_for_a_run(home, monkeypatch, capsys):
    monkeypatch.chdir(home)
    (home / "good.csv").write_text("sentence,label\nred round,negative\nblue round,positive\n")
    for data in ("good.csv", "sst2=good.csv"):
        in_this_process(monkeypatch, "check", "task", "sst2", "--data", data, "--model", XOR, "--json")
        found = {f["check"]: f["status"] for f in json.loads(capsys.readouterr().out)["findings"]}
        assert (found["data"], found["model"], found["model_labels"]) == ("passed", "passed", "failed")


def test_a_task_that_raises_is_a_finding_and_no_traceback(home):
    (home / "wrecked.py").write_text("raise SystemExit('no')\n")
    done = whybench("check", "task", "wrecked.py", cwd=home)
    assert done.returncode == 1
    assert "SystemExit: no (wrecked.py, line 1, in <module>)" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout + done.stderr


def test_a_method_that_raises_is_a_finding_and_no_traceback(home):
    (home / "wrecked_method.py").write_text("raise SystemExit('no')\n")
    done = whybench("check", "wrecked_method.py", cwd=home)
    assert done.returncode == 1
    assert "SystemExit: no (wrecked_method.py, line 1, in <module>)" in " ".join(done.stdout.split())
    assert "Traceback" not in done.stdout + done.stderr


def test_a_corrupt_result_is_named_and_nothing_is_harmed(first_run, home):
    import shutil

    shutil.copytree(home / "results", home / "damaged")
    victim = next((home / "damaged" / "cells").glob("*gradient*"))
    (victim / "result.json").write_text("{}")
    before = {path: path.read_bytes() for path in (home / "damaged" / "cells").rglob("*") if path.is_file()}
    for command in (["leaderboard"], ["run", "--limit", 8, "--method", "gradient", "--device", "cpu"]):
        done = whybench(*command, "--results", "damaged", cwd=home)
        assert done.returncode == 2
        assert victim.name in done.stderr
        assert "Move it away" in done.stderr
    assert before == {path: path.read_bytes() for path in (home / "damaged" / "cells").rglob("*") if path.is_file()}
