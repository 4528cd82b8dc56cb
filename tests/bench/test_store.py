"""Results on disk: whole or not at all, whatever happens."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import textwrap

import pyarrow.parquet as pq
import pytest

from whybench import load_method, load_task
from whybench.bench.errors import CorruptResultError, StoreError
from whybench.bench.runner import Plan, run
from whybench.bench.schema import Figure, Result
from whybench.bench.store import ResultStore, read


class Silent:
    """An observer that remembers which cells were made."""

    def __init__(self):
        self.made, self.reused = [], []

    def task_started(self, task, classifier, examples, left_out):
        pass

    def cell_started(self, task, method):
        pass

    def progressed(self, stage, done, total):
        pass

    def cell_finished(self, stored, *, reused):
        (self.reused if reused else self.made).append(stored.result.label)


def plan(*names, **options):
    return Plan(
        tasks=[load_task("xor_cues")], methods=[load_method(n) for n in names], limit=4, device="cpu", **options
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A store with one finished cell; not to be changed."""
    store = ResultStore(tmp_path_factory.mktemp("results"))
    run(plan("random"), store, Silent())
    return store


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of it that may be damaged."""
    import shutil

    shutil.copytree(finished.root, tmp_path / "copy")
    return ResultStore(tmp_path / "copy")


def only_cell(store):
    (folder,) = store.cells.iterdir()
    return folder


def test_what_was_written_is_read(finished):
    (stored,) = finished.read_all()
    assert stored.result.label == "random"
    assert stored.result.cell == stored.folder.name == stored.result.spec.cell()
    assert stored.examples.num_rows == 4
    mean = stored.examples.column("comprehensiveness").to_numpy().mean()
    assert stored.result.figures["comprehensiveness"].mean == pytest.approx(mean)
    assert Result.from_json((stored.folder / "result.json").read_bytes()) == stored.result
    assert not any((finished.root / ".writing").iterdir())


def test_a_result_from_before_roles_is_read(copied):
    (cell,) = copied.cells.iterdir()
    now = copied.read_all()[0]
    roles = ["necessary", "sufficient", "distractor"]
    new = ["evidence_iou", "span_f1", "necessary_average_precision", "sufficient_average_precision"]
    record = json.loads((cell / "result.json").read_text())
    assert record.pop("evidence") == "planted" and set(new) <= set(record["figures"])
    for name in new:
        del record["figures"][name]
    (cell / "result.json").write_text(json.dumps(record))
    pq.write_table(now.examples.drop_columns([*roles, *new]), cell / "examples.parquet")
    files = {
        name: hashlib.sha256((cell / name).read_bytes()).hexdigest() for name in ("result.json", "examples.parquet")
    }
    (cell / "manifest.json").write_text(json.dumps({"files": files}))
    (old,) = copied.read_all()
    assert old.result.evidence is None and old.result.spec == now.result.spec
    assert "average_precision" in old.result.figures and "span_f1" not in old.result.figures
    assert all(old.examples.column(name).null_count == len(old.examples) == 4 for name in roles)
    assert old.examples.column("evidence") == now.examples.column("evidence")
    assert [old.examples.schema.field(name) for name in roles] == [now.examples.schema.field(name) for name in roles]


def test_a_second_run_does_only_what_is_missing(copied):
    observer = Silent()
    before = {path: path.stat().st_mtime_ns for path in copied.cells.rglob("*")}
    run(plan("random", "gradient"), copied, observer)
    assert (observer.reused, observer.made) == (["random"], ["gradient"])
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in before.items())


def test_another_spec_is_another_cell(copied):
    observer = Silent()
    run(plan("random", seed=1), copied, observer)
    run(plan("random", operator="delete"), copied, observer)
    run(plan("random", unit="token"), copied, observer)
    run(plan("random", metrics=["sufficiency"]), copied, observer)
    assert observer.made == ["random"] * 4
    assert len(copied.read_all()) == 5


DAMAGE = {
    "manifest.json gone": lambda folder: (folder / "manifest.json").unlink(),
    "result.json gone": lambda folder: (folder / "result.json").unlink(),
    "examples gone": lambda folder: (folder / "examples.parquet").unlink(),
    "number edited": lambda folder: (folder / "result.json").write_text(
        (folder / "result.json").read_text().replace('"mean": ', '"mean": 0', 1)
    ),
    "examples cut": lambda folder: (folder / "examples.parquet").write_bytes(
        (folder / "examples.parquet").read_bytes()[:-20]
    ),
    "manifest empty": lambda folder: (folder / "manifest.json").write_text(""),
    "manifest of something else": lambda folder: (folder / "manifest.json").write_text('{"files": {"../x": "0"}}'),
    "renamed": lambda folder: folder.rename(folder.with_name("xor_cues--random--0000000000000000")),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cell_is_named_and_left_alone(copied, damage):
    DAMAGE[damage](only_cell(copied))
    folder = only_cell(copied)
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(CorruptResultError, match=folder.name):
        copied.read_all()
    if damage != "renamed":
        with pytest.raises(CorruptResultError, match="Move it away"):
            run(plan("random"), copied, Silent())
    assert sorted(path.name for path in folder.iterdir()) == before


def rewritten(folder, change):
    """Change the result and make its manifest match, as a forger or an old bug would."""
    import hashlib

    data = json.loads((folder / "result.json").read_text())
    change(data)
    (folder / "result.json").write_text(json.dumps(data))
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["result.json"] = hashlib.sha256((folder / "result.json").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


CHANGES = {
    "not a number": lambda data: data["figures"]["sufficiency"].update(mean=float("nan")),
    "outside its interval": lambda data: data["figures"]["sufficiency"].update(mean=0.99, high=0.5),
    "outside the metric's range": lambda data: data["figures"]["sufficiency"].update(mean=7.0, low=6.0, high=8.0),
    "unknown figure": lambda data: data["figures"].update(magic=data["figures"]["sufficiency"]),
    "another version": lambda data: data.update(schema_version=2),
    "a field too many": lambda data: data.update(rank=1),
    "counts that do not add up": lambda data: data["coverage"].update(scored=3),
    "another spec under the old name": lambda data: data["spec"].update(seed=9),
    "a path for a name": lambda data: data["spec"]["method"].update(name="../../x"),
    "finished without cost": lambda data: data.update(cost=None),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_result_that_cannot_be_is_refused(copied, change):
    rewritten(only_cell(copied), CHANGES[change])
    with pytest.raises(CorruptResultError, match="not a valid result"):
        read(only_cell(copied))


def test_a_figure_must_lie_in_its_interval():
    with pytest.raises(ValueError, match="outside its interval"):
        Figure(mean=0.5, low=0.6, high=0.7, examples=3)


def test_a_folder_that_is_not_writable(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(StoreError, match="--results"):
        run(plan("random"), ResultStore(blocked / "results"), Silent())
    with pytest.raises(StoreError, match="whybench run"):
        ResultStore(tmp_path / "nowhere").read_all()


KILLED = """
    import os, signal, sys, threading, time
    from pathlib import Path
    import torch
    torch.set_num_threads(1)
    from whybench import load_method, load_task
    from whybench.bench.runner import Plan, run
    from whybench.bench.store import ResultStore
    from whybench.tests.bench.test_store import Silent

    class Loud(Silent):
        def cell_finished(self, stored, *, reused):
            print(stored.result.cell, flush=True)

    methods = [load_method("random", seed=str(seed)) for seed in range(50)]
    plan = Plan(tasks=[load_task("xor_cues")], methods=methods, limit=4, device="cpu", metrics=["sufficiency"])
    print("ready", flush=True)
    run(plan, ResultStore(Path(sys.argv[1])), Loud())
"""


@pytest.mark.parametrize("cells", [1, 4])
def test_kill_9_loses_no_finished_cell_and_leaves_nothing_that_reads_as_finished(tmp_path, cells):
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout.readline() == "ready\n"
        announced = [process.stdout.readline().strip() for _ in range(cells)]
        process.send_signal(signal.SIGKILL)
        announced += process.stdout.read().split()
    assert process.returncode == -signal.SIGKILL

    store = ResultStore(tmp_path)
    on_disk = {stored.folder.name for stored in store.read_all()}
    assert set(announced) <= on_disk
    assert len(on_disk) - len(announced) in (0, 1)
    assert 0 < len(on_disk) < 50
    # a run goes on from there
    methods = [load_method("random", seed=str(seed)) for seed in range(cells)]
    observer = Silent()
    options = {"limit": 4, "device": "cpu", "metrics": ["sufficiency"]}
    run(Plan(tasks=[load_task("xor_cues")], methods=methods, **options), store, observer)
    assert not observer.made


@pytest.mark.parametrize("step", ["mkdir", "rename", "write_text", "fsync", "write_table"])
def test_a_crash_at_any_step_of_writing_leaves_nothing_that_reads_as_finished(finished, tmp_path, monkeypatch, step):
    from pathlib import Path

    import pyarrow.parquet

    (stored,) = finished.read_all()
    target = ResultStore(tmp_path)

    class Crash(BaseException):
        pass

    def crash(*args, **kwargs):
        raise Crash

    home, name = {"fsync": (os, "fsync"), "write_table": (pyarrow.parquet, "write_table")}.get(step, (Path, step))
    with monkeypatch.context() as patched:
        patched.setattr(home, name, crash)
        with pytest.raises(Crash):
            target.write(stored.result, stored.examples)
    assert target.read_all() == []
    target.write(stored.result, stored.examples)
    assert [again.result for again in target.read_all()] == [stored.result]


def test_a_race_for_a_cell_leaves_the_first(finished, tmp_path, monkeypatch):
    """Another process puts the cell there between our look and our rename."""
    (stored,) = finished.read_all()
    store = ResultStore(tmp_path)
    first = store.write(stored.result, stored.examples)
    monkeypatch.setattr("pathlib.Path.exists", lambda self: False)
    assert store.write(stored.result, stored.examples) == first
    monkeypatch.undo()
    assert [again.result for again in store.read_all()] == [stored.result]


def test_a_crash_while_a_failure_is_replaced_leaves_none_that_is_half_there(finished, tmp_path, monkeypatch):
    import shutil

    (stored,) = finished.read_all()
    store = ResultStore(tmp_path)
    failure = stored.result.model_copy(update={"status": "failed", "error": "first"})
    store.write(failure)

    class Crash(BaseException):
        pass

    def half(folder, *args, **kwargs):
        next(folder.iterdir()).unlink()
        raise Crash

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", half)
        with pytest.raises(Crash):
            store.write(failure.model_copy(update={"error": "second"}))
    assert store.read_failures() == []
    store.write(failure.model_copy(update={"error": "third"}))
    assert [again.result.error for again in store.read_failures()] == ["third"]


def test_what_a_killed_run_left_is_cleared_after_a_day(tmp_path):
    store = ResultStore(tmp_path)
    store.check_writable()
    old, new = (tmp_path / ".writing" / name for name in ("old", "new"))
    for folder in (old, new):
        folder.mkdir()
        (folder / "result.json").write_text("{}")
    os.utime(old, (0, 0))
    store.check_writable()
    assert (old.exists(), new.exists()) == (False, True)


def test_writing_a_cell_twice_keeps_the_first(finished, tmp_path):
    (stored,) = finished.read_all()
    store = ResultStore(tmp_path)
    folder = store.write(stored.result, stored.examples)
    stamp = (folder / "manifest.json").stat().st_mtime_ns
    later = stored.result.model_copy(update={"created": "2030-01-01T00:00:00+00:00"})
    assert store.write(later, stored.examples) == folder
    assert (folder / "manifest.json").stat().st_mtime_ns == stamp
    assert not any((tmp_path / ".writing").iterdir())
