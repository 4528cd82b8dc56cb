"""What the workflows promise: no secrets, no more rights than needed, no text of others in a shell.

One job has the repository's own token in its hands: the one that attaches a tag's site to the tag's release.
"""

import re
from pathlib import Path

import pytest
import yaml

from whybench.bench.verification import BOARD

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / ".github" / "workflows"
PATHS = sorted(FOLDER.glob("*.yml")) if FOLDER.is_dir() else []

pytestmark = pytest.mark.skipif(not PATHS, reason=".github/ is not part of the wheel")


def read(path):
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    # YAML 1.1 takes the key `on` for true
    return data | {"on": data.pop(True)}


def steps(workflow):
    return [step for job in workflow["jobs"].values() for step in job["steps"]]


def test_the_workflows_are_these():
    assert [path.name for path in PATHS] == ["ci.yml", "compare.yml", "pages.yml", "verify.yml"]
    assert not list(FOLDER.glob("*.yaml"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_no_secrets_and_no_rights_beyond_reading(path):
    text, workflow = path.read_text(encoding="utf-8"), read(path)
    assert not re.search(r"secrets|GITHUB_TOKEN", text)
    tokens = [job for job in workflow["jobs"].values() if "github.token" in str(job)]
    assert tokens == ([workflow["jobs"]["release"]] if path.name == "pages.yml" else [])
    assert set(workflow["on"]) <= {"push", "pull_request"}
    assert "pull_request_target" not in text
    assert "workflow_run" not in text
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        if "permissions" in job:
            # only what is pushed to main, never a pull request
            assert set(workflow["on"]) == {"push"}, name
            assert job["needs"] == "build"
            if "github.token" in str(job):
                assert job["if"] == "github.ref_type == 'tag'"
                assert job["permissions"] == {"contents": "write"}
                # nothing of the repository is run with it
                assert not any("checkout" in step.get("uses", "") for step in job["steps"])
            else:
                assert job["permissions"] == {"pages": "write", "id-token": "write"}
                assert not any("run" in step for step in job["steps"])
        assert job["timeout-minutes"] <= 120


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_actions_are_githubs_own_and_have_full_versions(path):
    for step in steps(read(path)):
        assert ("uses" in step) != ("run" in step)
        if "uses" in step:
            assert re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", step["uses"]), step["uses"]
        if step.get("uses", "").startswith("actions/checkout@"):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_no_text_of_others_reaches_a_shell(path):
    workflow = read(path)
    for step in steps(workflow):
        assert "${{" not in step.get("run", ""), step
    # a commit's digest is not chosen by anybody, and the token is no text
    values = [*workflow.get("env", {}).values(), *(v for s in steps(workflow) for v in s.get("env", {}).values())]
    assert set(values) <= {"${{ github.event.pull_request.base.sha }}", "${{ github.token }}"}


def test_they_run_on_pull_requests_and_publish_from_main():
    ci, compare, pages, verify = map(read, PATHS)
    assert "pull_request" in ci["on"]
    assert set(compare["on"]) == {"pull_request"}
    assert pages["on"] == {"push": {"branches": ["main"], "tags": ["v*"]}}
    assert pages["jobs"]["deploy"]["if"] == "github.ref_type == 'branch'"
    # the site is made from what is committed: nothing is scored
    assert [step["run"] for step in pages["jobs"]["build"]["steps"] if "run" in step] == ["make board SITE=site"]
    assert all(job["timeout-minutes"] <= 20 for job in pages["jobs"].values())
    # submitted files are checked by the code that they would be merged into, never by their own
    assert verify["on"] == {"pull_request": {"paths": ["leaderboard/results/**", f"!leaderboard/results/{BOARD}/**"]}}
    assert any(f'"$name" != {BOARD}' in step.get("run", "") for step in steps(verify))
    base, head = (step["with"] for step in steps(verify) if step.get("uses", "").startswith("actions/checkout@"))
    assert base["ref"] == "${{ github.event.pull_request.base.sha }}" and "path" not in base
    assert head["path"] == "submitted" and head["sparse-checkout"] == "leaderboard/results"
    assert all(
        "submitted/" not in step["run"] or "whybench verify" in step["run"] for step in steps(verify) if "run" in step
    )
    assert {"lint", "test", "wheel"} == set(ci["jobs"])


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.name)
def test_what_they_call_exists(path):
    from whybench.bench.cli import app

    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    commands = {command.name or command.callback.__name__ for command in app.registered_commands}
    for step in steps(read(path)):
        run = step.get("run", "")
        assert set(re.findall(r"\bmake ([a-z-]+)", run)) <= set(targets)
        assert set(re.findall(r"(?:-m |bin/)whybench ([a-z]+)", run)) <= commands
        for script in re.findall(r"scripts/\w+\.py", run):
            assert (ROOT / script).is_file()


def test_the_board_is_made_from_the_folders_that_are_committed():
    recipe = re.search(r"^board:.*\n\t(.*)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    words = recipe[1].split()
    assert words[1:] == [
        *("leaderboard", "--results", f"leaderboard/results/{BOARD}"),
        *("--submissions", "leaderboard/results", "--site", "$(SITE)"),
    ]
