"""Every example in the README and in docs/ runs, and prints what stands below it.

- ```` ```python ```` blocks are run; a ```` ```text ```` block that follows is what they print.
- ```` ```python file=NAME ```` blocks, and those of any other kind, are written to a file of that name.
- ```` ```console ```` blocks are commands of whybench, or of pytest, that succeed, in the same folder, in order. One
  that reads real data is run where that is there.
- A ```` ```text printed ```` block that follows is what the last one prints, white space aside; ``…`` is any word, and
  a line of it alone any lines.
"""

import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

BLOCK = re.compile(r"^```(\w+)(?: (?:file=)?(\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def repository():
    """The source tree, if the tests run from it: docs are not in the wheel."""
    above = Path(__file__).resolve().parent.parent
    return above if (above / "docs" / "protocol.md").is_file() else None


ROOT = repository()
PAGES = [] if ROOT is None else [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

pytestmark = pytest.mark.skipif(ROOT is None, reason="docs/ is not part of the wheel")


def agrees(printed, shown):
    """Whether a command printed what a page shows."""
    lines = [line.split() for line in shown.splitlines() if line.strip()]
    wanted = "".join(
        r"(?:.*\n)*?" if line == ["…"] else " ".join(re.escape(word).replace("…", r"\S+") for word in line) + r"\n"
        for line in lines
    )
    got = "".join(" ".join(line.split()) + "\n" for line in printed.splitlines() if line.strip())
    return re.fullmatch(wanted, got) is not None


def whybench(arguments):
    """Run the command line in this process; returns its exit code."""
    from whybench.bench.cli import main

    before, sys.argv = sys.argv, ["whybench", *arguments]
    try:
        main()
    except SystemExit as stopped:
        return stopped.code or 0
    finally:
        sys.argv = before
    return 0


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_examples_run(page, tmp_path, monkeypatch, capsys):
    shared = Path(os.environ.get("WHYBENCH_SHARED", "../shared")).resolve()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "disabled")
    monkeypatch.setenv("COLUMNS", "120")
    blocks = BLOCK.findall(page.read_text(encoding="utf-8"))
    for i, (kind, file, body) in enumerate(blocks):
        if file and file != "printed":
            (tmp_path / file).write_text(body, encoding="utf-8")
        elif kind == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(body, f"{page.name}:{i}", "exec"), {"__name__": "__main__"})
            if i + 1 < len(blocks) and blocks[i + 1][0] == "text":
                assert printed.getvalue() == blocks[i + 1][2]
        elif kind == "console":
            for line in body.replace("\\\n", " ").splitlines():
                capsys.readouterr()
                if line.startswith("$ python -m pytest "):
                    command = [sys.executable, *shlex.split(line.removeprefix("$ python"))]
                    subprocess.run([*command, "-p", "no:cacheprovider"], check=True)
                if not line.startswith("$ whybench"):
                    continue
                arguments = shlex.split(line.removeprefix("$ whybench"))
                if "../shared" in line:
                    if not shared.is_dir():
                        continue
                    arguments = [a.replace("../shared", str(shared)) for a in arguments]
                    # as written it takes minutes; two examples show that it runs
                    arguments += ["--limit", "2"] if "run" in arguments else []
                # as a shell does
                found = [sorted(map(str, Path().glob(a))) if "*" in a else [] for a in arguments]
                arguments = [name for names, a in zip(found, arguments, strict=True) for name in names or [a]]
                assert whybench(arguments) == 0, line
            if i + 1 < len(blocks) and blocks[i + 1][:2] == ("text", "printed"):
                out = capsys.readouterr().out
                assert agrees(out, blocks[i + 1][2]), out


def test_what_agrees_with_a_page():
    assert agrees("a  1.5 b\n\nlast /x/y\n", "a … b\nlast …\n")
    assert agrees("a\nb\nc\nd\n", "a\n…\nd\n")
    assert not agrees("a 1 b\n", "a 2 b\n")
    assert not agrees("a\nb\n", "a\n")
    assert not agrees("a 1 2 b\n", "a … b\n")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_readme_shows_the_table_of_a_real_run():
    from whybench.bench.listing import entries
    from whybench.bench.metrics import metrics_named

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^```text\n(sst2 .*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert "100 examples" in table
    (command,) = re.findall(r"^\$ whybench run --task sst2 .*?^```$", text, re.MULTILINE | re.DOTALL)
    skipped = set(re.findall(r"--skip (\w+)", command))
    run = {e.name for e in entries("method") if e.fact("family") != "control" and e.fact("default", True)}
    for name in run - skipped:
        # a table that is too wide goes on beneath
        row = " ".join(line for line in table.splitlines() if line.strip().startswith(f"{name} "))
        assert len(re.findall(r"\b\d\.\d{3}\b", row)) >= len(metrics_named(None)), row


def test_the_page_of_methods_has_them_all():
    from whybench.bench.choices import CONTROL, UNRANKED
    from whybench.bench.registry import load_method, names

    text = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    methods = [load_method(name) for name in names("method")]
    rows = dict(re.findall(r"^\| \[`(\w+)`\]\(\S+\)( ¹)? \|", text, re.MULTILINE))
    assert {method.name: " ¹" * (not method.default) for method in methods if method.family not in UNRANKED} == rows
    for method in methods:
        assert f"`{method.name}`" in text
        assert method.family == CONTROL or all(served in text for served in method.serves)


def test_the_protocol_page_says_which_metrics_are_not_computed_by_default():
    from whybench.bench.metrics import METRICS

    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^By name only.*?^(\|.*?)^$", text, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"^\| `(\w+)`", table, re.MULTILINE)) == {m.name for m in METRICS.values() if not m.default}


def test_make_targets_in_the_readme_exist():
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"make ([a-z-]+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert {"leaderboard", "test", "lint", "bench", "help"} <= named <= targets


def test_the_protocol_page_names_every_figure():
    from whybench.bench.figures import FIGURES

    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    for name, figure in FIGURES.items():
        direction = {True: "higher", False: "lower", None: "–"}[figure.higher_is_better]
        assert re.search(rf"^\| `{name}` \|.*\| {direction}", text, re.MULTILINE), name


def test_the_protocol_page_names_every_profile_and_its_figures():
    from whybench.bench.profiles import PROFILES

    text = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
    for profile in PROFILES.values():
        assert re.search(rf"^\| rule \|.*`{profile.name}`", text, re.MULTILINE), profile.name
        for name, metric in profile.metrics.items():
            row = name if profile.name == "whybench" else f"{name}` of `{profile.name}"
            direction = {True: "higher", False: "lower", None: "–"}[metric.higher_is_better]
            assert re.search(rf"^\| `{row}` \|.*\| {direction}", text, re.MULTILINE), row


def test_the_protocol_page_names_the_constants():
    """They are in no spec, so that a change would go unseen beside older results: it is a new protocol version."""
    from whybench.bench import curves, metrics
    from whybench.bench.causal import example, minimality, moves
    from whybench.bench.metrics import PROTOCOL_VERSION

    text = " ".join((ROOT / "docs" / "protocol.md").read_text(encoding="utf-8").split())
    assert PROTOCOL_VERSION == 1
    for value, written in (
        (moves.DRAWS == 4, "four draws and their opposites"),
        (moves.REACH == 0.9, "0.9 times the shorter"),
        (moves.SPREAD == 1000, "1000 times the smallest"),
        (curves.SUBSETS == 64, "64 random subsets"),
        (curves.SOFT_DRAWS == 16, "16 draws"),
        (metrics.SMALLEST_EXPONENT == -1022, "2⁻¹⁰²²"),
        (tuple(i / 20 for i in range(1, 20)) == minimality.MASSES, "q = .05, .10, …, .95"),
        (example.ROW_SUM_TOLERANCE == 1e-5, "not 1 within 1e-5"),
    ):
        assert value, written
        assert written in text


def test_every_command_is_in_the_readme():
    from whybench.bench.cli import app

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    below = [
        (f"{group.name} ", command)
        for group in app.registered_groups
        for command in group.typer_instance.registered_commands
    ]
    for before, command in [("", command) for command in app.registered_commands] + below:
        name = before + (command.name or command.callback.__name__)
        assert f"whybench {name}" in text, name
        assert command.callback.__doc__
