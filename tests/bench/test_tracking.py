"""The W&B mirror, read back from the files that W&B itself writes."""

import getpass
import io
import json
import os
import platform
import struct
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from whybench import Method, load_method, load_task
from whybench.bench.errors import ParameterError
from whybench.bench.progress import ProgressObserver
from whybench.bench.regression import compare_folders
from whybench.bench.runner import Plan, run
from whybench.bench.store import ResultStore
from whybench.bench.thresholds import read_thresholds
from whybench.bench.tracking import Mirror, resolve_mode
from whybench.tests.bench.test_store import Silent

BLOCK = 32768


def records_of(path: Path):
    """Records of a .wandb file, up to the run's exit: W&B's process goes on writing after `finish` returned."""
    deadline = time.monotonic() + 60
    while not (records := _records(path.read_bytes())) or not records[-1].HasField("exit"):
        assert time.monotonic() < deadline, f"{path} has no exit record, only {len(records)} others"
        time.sleep(0.02)
    return records


def _records(data: bytes):
    """What is complete of W&B's header and the LevelDB log after it (blocks of 32 KiB; crc, length, type, data)."""
    from wandb.proto import wandb_internal_pb2

    assert b":W&B".startswith(data[:4])
    records, pieces, place = [], b"", 7
    while place + 7 <= len(data):
        if BLOCK - place % BLOCK < 7:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        place += 7 + length
        if kind == 0 or place > len(data):
            break
        pieces += data[place - length : place]
        if kind in (1, 4):  # full, or last
            record = wandb_internal_pb2.Record()
            record.ParseFromString(pieces)
            records.append(record)
            pieces = b""
    return records


class Fails(Method):
    """Fails."""

    name, family, signed = "fails", "reference", True

    def attribute(self, classifier, batch):
        raise RuntimeError("out of luck")


def plan():
    return Plan(tasks=[load_task("xor_cues")], methods=[load_method("gradient"), Fails()], limit=4, device="cpu")


@pytest.fixture(scope="module")
def cells(tmp_path_factory):
    """A finished and a failed cell."""
    return run(plan(), ResultStore(tmp_path_factory.mktemp("results")), Silent())


@pytest.fixture
def no_key(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    return tmp_path / "netrc"


def test_auto_is_online_only_where_a_key_is_configured(no_key, monkeypatch):
    assert resolve_mode("auto") == "offline"
    no_key.write_text("machine api.wandb.ai login user password " + "k" * 40 + "\n")
    no_key.chmod(0o600)
    assert resolve_mode("auto") == "online"
    monkeypatch.setenv("WANDB_BASE_URL", "https://other.example")
    assert resolve_mode("auto") == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    assert resolve_mode("auto") == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert resolve_mode("auto") == "disabled"
    assert [resolve_mode(mode) for mode in ("offline", "online", "disabled")] == ["offline", "online", "disabled"]
    with pytest.raises(ParameterError, match="offlin'"):
        resolve_mode("offlin")


def test_a_cell_is_a_run_with_spec_figures_table_and_artifact(cells, no_key, tmp_path):
    said = []
    mirror = Mirror(tmp_path, "auto", "xor_cues", said.append)
    folder = Path(mirror.add(cells[0]))
    result = cells[0].result
    assert not said
    assert folder.name.startswith("offline-run-")

    records = records_of(next(folder.glob("*.wandb")))
    run_record = next(r.run for r in records if r.HasField("run"))
    assert (run_record.run_group, run_record.job_type, run_record.project) == ("xor_cues", "cell", "whybench")
    assert run_record.display_name == "gradient · xor_cues · xor_cues"
    # the machine's name does not leave it
    assert not run_record.host
    config = {}
    for record in records:
        for update in [record.run.config, record.config] if record.HasField("run") else [record.config]:
            config |= {(item.key or item.nested_key[0]): json.loads(item.value_json) for item in update.update}
    assert config["spec"] == json.loads(result.spec.model_dump_json())
    assert config["spec_hash"] == result.spec.hash()

    summary = {}
    for record in records:
        if record.HasField("summary"):
            summary |= {(i.key or ".".join(i.nested_key)): json.loads(i.value_json) for i in record.summary.update}
    assert summary["status"] == "finished"
    for name, figure in result.figures.items():
        assert summary[f"metric/{name}"] == pytest.approx(figure.mean)
    assert summary["cost/forward_passes"] == 1.0
    assert (summary["gate/determinism"], summary["gate/completeness"]) == ("passed", "not_applicable")

    artifact = next(r.artifact for r in records if r.HasField("artifact") and r.artifact.type == "result")
    assert {entry.path for entry in artifact.manifest.contents} == {
        *("result.json", "examples.parquet", "manifest.json"),
        "examples.table.json",
    }

    (table,) = folder.rglob("*.table.json")
    content = json.loads(table.read_text())
    assert len(content["data"]) == 4
    assert "text" in content["columns"]
    assert "removed_p" not in content["columns"]


def test_a_failed_cell_is_a_failed_run(cells, no_key, tmp_path):
    folder = Path(Mirror(tmp_path, "offline", "g", print).add(cells[1]))
    records = records_of(next(folder.glob("*.wandb")))
    assert next(r.exit.exit_code for r in records if r.HasField("exit")) == 1
    values = {i.key: i.value_json for r in records if r.HasField("summary") for i in r.summary.update}
    assert "out of luck" in values["error"]


def test_a_comparison_is_a_run_with_counts_table_and_reports(cells, no_key, tmp_path):
    store = ResultStore(cells[0].folder.parent.parent)
    found = compare_folders(store, store, read_thresholds(None))
    said = []
    mirror = Mirror(tmp_path, "offline", "compare", said.append)
    folder = Path(mirror.add_comparison(found, Path("base"), Path("new")))
    assert not said
    records = records_of(next(folder.glob("*.wandb")))
    run_record = next(r.run for r in records if r.HasField("run"))
    assert (run_record.run_group, run_record.job_type) == ("compare", "compare")
    assert run_record.display_name == "base → new" and not run_record.host
    values = {}
    for record in records:
        if record.HasField("summary"):
            values |= {(i.key or ".".join(i.nested_key)): json.loads(i.value_json) for i in record.summary.update}
    assert (values["compare/cells"], values["compare/regressions"], values["compare/new"]) == (1, 0, 0)
    assert values["headline"] == "0 regressions, 0 improvements in 1 cell."
    artifact = next(r.artifact for r in records if r.HasField("artifact") and r.artifact.type == "comparison")
    assert {entry.path for entry in artifact.manifest.contents} == {"comparison.json", "comparison.md"}
    (table,) = folder.rglob("*.table.json")
    assert json.loads(table.read_text())["columns"][:2] == ["cell", "figure"]
    assert Mirror(tmp_path / "none", "disabled", "compare", print).add_comparison(found, Path("a"), Path("b")) is None
    assert not (tmp_path / "none").exists()


def test_disabled_writes_nothing(cells, tmp_path):
    assert Mirror(tmp_path, "disabled", "g", print).add(cells[0]) is None
    assert not list(tmp_path.iterdir())


def test_without_a_network_it_says_so_and_goes_on_offline(cells, no_key, tmp_path, monkeypatch):
    monkeypatch.setattr("whybench.bench.tracking.START_TIMEOUT", 2)
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    # nothing listens on the discard port of this machine
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    said = []
    mirror = Mirror(tmp_path, "auto", "g", said.append)
    assert mirror.mode == "online"
    folders = [Path(mirror.add(cell)) for cell in cells]
    assert len(said) == 1
    assert "wandb sync" in said[0]
    assert all(folder.name.startswith("offline-run-") for folder in folders)
    assert len(set(folders)) == 2


def test_nothing_is_written_to_the_home_and_no_record_names_a_place_or_person(cells, no_key, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/dev/null")
    for folder, place in (("results", "a"), (tmp_path / "b" / "results", "b")):
        (tmp_path / place).mkdir()
        monkeypatch.chdir(tmp_path / place)
        before, said = dict(os.environ), []
        mirror = Mirror(Path(folder), "offline", "g", said.append)
        folder = Path(mirror.add(cells[0]))
        assert not said
        assert dict(os.environ) == before
        assert folder.parent == Path("results/wandb")
        records = records_of(next(folder.glob("*.wandb")))
        staged = [
            entry.local_path
            for record in records
            if record.HasField("artifact")
            for entry in record.artifact.manifest.contents
            if entry.local_path
        ]
        assert len(staged) == 4
        written = b"\n".join(record.SerializeToString() for record in records)
        if place == "a":
            # the cell's folder is elsewhere here, so its paths climb; those of the mirror do not
            assert all(not Path(path).is_absolute() and Path(path).is_file() for path in staged)
            assert str(tmp_path).encode() not in written
        assert b"/dev/null" not in written
        # names too short to be told from chance in an identifier say nothing
        for name in {platform.node(), getpass.getuser()} - {"root"}:
            assert len(name) < 6 or name.encode() not in written


def test_what_goes_wrong_in_the_mirror_is_said_and_does_not_end_the_run(cells, no_key, tmp_path, monkeypatch):
    said = []
    (tmp_path / "file").write_text("x")
    mirror = Mirror(tmp_path / "file", "offline", "g", said.append)
    assert mirror.add(cells[0]) is None
    assert not mirror.has(cells[0])

    mirror = Mirror(tmp_path, "offline", "g", said.append)
    with monkeypatch.context() as broken:

        def fail(*arguments, **options):
            raise RuntimeError

        broken.setattr("wandb.Artifact.add_file", fail)
        assert mirror.add(cells[0]) is None
    assert not mirror.has(cells[0])
    assert len(said) == 2
    for message in said:
        assert cells[0].result.cell in message
        assert "--wandb disabled" in message
    assert "Error: " in said[0]
    assert "RuntimeError: no reason given" in said[1]
    # the broken run does not touch the next
    assert mirror.add(cells[0])
    assert mirror.has(cells[0])
    assert len(said) == 2


def test_a_run_without_a_file_is_not_taken_for_a_mirror(cells, no_key, tmp_path, monkeypatch):
    import wandb

    finish = wandb.Run.finish

    def lose(run, exit_code=None):
        finish(run, exit_code)
        for path in Path(run.dir).parent.glob("*.wandb"):
            path.unlink()

    monkeypatch.setattr(wandb.Run, "finish", lose)
    said = []
    mirror = Mirror(tmp_path, "offline", "g", said.append)
    assert mirror.add(cells[0]) is None
    assert len(said) == 1
    assert "W&B wrote no file" in said[0]
    assert not mirror.has(cells[0])


def test_an_upload_that_takes_too_long_is_said(cells, no_key, tmp_path, monkeypatch):
    import wandb

    finish = wandb.Run.finish

    def late(run, exit_code=None):
        finish(run, exit_code)
        raise TimeoutError("Timed out finishing run.")

    monkeypatch.setattr(wandb.Run, "finish", late)
    said = []
    mirror = Mirror(tmp_path, "offline", "g", said.append)
    folder = mirror.add(cells[0])
    assert said == [f"W&B did not take all of {cells[0].result.cell} in 120 s; later: wandb sync {folder}"]
    # what was not taken is in that folder: the next run does not send it a second time
    assert mirror.has(cells[0])


def test_cells_that_the_mirror_missed_are_added_by_the_next_run_and_none_twice(no_key, tmp_path):
    said, printed = [], io.StringIO()

    def runs_after(mode):
        mirror = Mirror(tmp_path, mode, "g", said.append)
        with ProgressObserver(Console(file=printed, width=200), mirror) as observer:
            run(plan(), ResultStore(tmp_path), observer)
        statuses = []
        for path in sorted(tmp_path.glob("wandb/offline-run-*/*.wandb")):
            summaries = [r.summary for r in records_of(path) if r.HasField("summary")]
            values = {item.key: item.value_json for summary in summaries for item in summary.update}
            statuses.append(json.loads(values["status"]))
        return sorted(statuses)

    assert runs_after("disabled") == []
    assert runs_after("offline") == ["failed", "finished"]
    # a cell that fails again has failed once more
    assert runs_after("offline") == ["failed", "failed", "finished"]
    assert [path.name for path in (tmp_path / "wandb" / "mirrored").iterdir()] == [
        path.name for path in (tmp_path / "cells").iterdir()
    ]
    assert not said
    assert "was there already" in printed.getvalue()


def test_names_of_others_are_not_read_as_markup():
    printed = io.StringIO()
    hostile = SimpleNamespace(name="[/NEG] :heart:", device="cpu", label=lambda: "[/NEG]")
    console = Console(file=printed, width=200, force_terminal=True)
    with ProgressObserver(console, SimpleNamespace(add=print)) as observer:
        observer.task_started(hostile, hostile, 4, 1)
        observer.cell_started(hostile, hostile)
        observer.progressed("scoring", 1, 2)
        result = SimpleNamespace(status="failed", label="[/NEG]", error="[/red] at :heart:")
        observer.cell_finished(SimpleNamespace(result=result), reused=False)
    text = printed.getvalue()
    assert "[/NEG] :heart:: 4 examples (rows with nothing to explain, left out: 1), [/NEG] :heart: on cpu" in text
    assert "[/NEG] scoring" in text
    assert "[/NEG] failed: [/red] at :heart:" in text
