"""The table of ``whybench check task`` on every task there is: one that is dropped in is covered by that alone.

Without the Hub: a task that ships its data and its checkpoint is checked whole, others as far as that goes here. Where
there are local samples of their data and models (fixture ``shared``), these too.
"""

from pathlib import Path

import pytest

from whybench import load_task
from whybench.bench.listing import names
from whybench.bench.task_checks import CHECKS, check_task

TASKS = names("task")
# samples that are not called like their task, and models that fit one
FOLDERS = {"esnli": "esnli_text", "newsgroups20": "20newsgroups", "snli": "esnli_text"}
MODELS = {"ag_news": "minilm-agnews", "imdb": "minilm-imdb", "sst2": "minilm-sst2"}


def failed(report):
    return [f"{finding.check}: {finding.told()}" for finding in report.findings if finding.status == "failed"]


@pytest.mark.parametrize("name", TASKS)
def test_what_the_package_holds(name):
    report = check_task(name, limit=50, hub=False)
    assert failed(report) == []
    assert [finding.check for finding in report.findings] == [check.name for check in CHECKS]
    by_name = {finding.check: finding for finding in report.findings}
    assert all(by_name[check].status in ("passed", "warned") for check in ("file", "declarations", "pinned"))
    task = load_task(name)
    if task.dataset is None and task.default_model and Path(task.default_model).is_dir():
        # nothing is left out for a task that has all it needs
        assert {finding.check for finding in report.findings if finding.status != "passed"} <= {"revision"}
        assert by_name["agreement"].facts["accuracy"] >= 0.95
    elif task.dataset is not None:
        assert "--data" in by_name["data"].reason


@pytest.mark.parametrize("name", TASKS)
def test_on_local_samples(name, shared):
    folder = shared / "data" / FOLDERS.get(name, name)
    if not folder.is_dir():
        pytest.skip(f"no sample of {name}")
    model = MODELS.get(name)
    report = check_task(name, data=folder, model=model and str(shared / "models" / model), limit=24, hub=False)
    assert failed(report) == []
    by_name = {finding.check: finding.status for finding in report.findings}
    assert by_name["data"] == by_name["repeatable"] == by_name["other_process"] == by_name["revision"] == "passed"
    if model:
        assert by_name["agreement"] in ("passed", "warned")
