"""Hub datasets: the pinned commit or none, the commit of a branch recorded, and a remedy for every way to fail."""

import json
import re
import shutil
from pathlib import Path

import datasets
import httpx
import huggingface_hub
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets.exceptions import DataFilesNotFoundError, DatasetGenerationError, DatasetNotFoundError
from huggingface_hub import errors

from whybench import load_task
from whybench.bench.data import read_rows
from whybench.bench.errors import DataError, MissingColumnError

PINNED, OTHER = "8d51e7e4887a4caaa95b3fbebbf53c0490b58bbb", "a" * 40
COLUMNS = {"text": ("sentence",), "label": ("label",)}
ROWS = {"sentence": ["Rivers run."], "label": [1]}
FILE = "default/{split}/0000.parquet"


@pytest.fixture
def offline(monkeypatch, tmp_path):
    """No network, and empty caches in a folder of the test's own; returns it."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    return tmp_path


def response(status):
    return httpx.Response(status, request=httpx.Request("GET", "https://huggingface.co/api"))


def hub_error(kind, message, status=404):
    return kind(message, response=response(status))


NETWORK = r"Without a network give local files.*--data TASK=PATH, or fill the cache .*and set HF_HUB_OFFLINE=1"
# What the Hub client and datasets really raise, and what to do then.
FAILURES = {
    "script": (RuntimeError("Dataset scripts are no longer supported, but found x.py"), r"refs/convert/parquet"),
    "split": (ValueError("Unknown split \"x\". Should be one of ['train']."), r"ValueError: Unknown.*with --split"),
    "dataset": (DatasetNotFoundError("Dataset 'x' doesn't exist on the Hub"), r"not there at that revision"),
    "revision": (DatasetNotFoundError("Revision 'x' doesn't exist for dataset"), r"not there at that revision"),
    "network": (ConnectionError("Couldn't reach 'x' on the Hub (ConnectTimeout)"), NETWORK),
    "offline": (errors.OfflineModeIsEnabled("Cannot reach x: offline mode is enabled."), NETWORK),
    "timeout": (httpx.ConnectTimeout("timed out"), NETWORK),
    "files": (DataFilesNotFoundError("No (supported) data files found in x"), NETWORK),
    "generation": (DatasetGenerationError("An error occurred while generating the dataset"), NETWORK),
    "silent": (OSError(), r"OSError: no message"),
}
DOWNLOADS = {
    "file": (hub_error(errors.RemoteEntryNotFoundError, "404 Client Error."), r"no such split.*with --split"),
    "repository": (hub_error(errors.RepositoryNotFoundError, "401 Client Error.", 401), r"hf auth login"),
    "gated": (hub_error(errors.GatedRepoError, "403 Client Error.", 403), r"hf auth login"),
    "revision": (hub_error(errors.RevisionNotFoundError, "404 Client Error."), r"not there at that revision"),
    "cache": (errors.LocalEntryNotFoundError("Cannot find the requested files in the disk cache"), NETWORK),
    "network": (httpx.ConnectError("Name or service not known"), NETWORK),
}


def raiser(error):
    def load(*args, **kwargs):
        raise error

    return load


@pytest.mark.parametrize("kind", FAILURES)
def test_every_failure_of_load_dataset_has_a_remedy(kind, monkeypatch):
    error, remedy = FAILURES[kind]
    monkeypatch.setattr(datasets, "load_dataset", raiser(error))
    with pytest.raises(DataError, match=remedy) as caught:
        read_rows("some/set", PINNED, "x", COLUMNS, None)
    message = str(caught.value)
    assert "some/set (revision 8d51e7e4887a, split 'x') could not be loaded" in message
    assert type(error).__name__ in message
    assert "--data TASK=PATH" in message
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("kind", DOWNLOADS)
def test_every_failure_of_a_download_has_a_remedy(kind, monkeypatch):
    error, remedy = DOWNLOADS[kind]
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", raiser(error))
    with pytest.raises(DataError, match=remedy) as caught:
        read_rows("some/set", None, "x", COLUMNS, None, branch="refs/convert/parquet", file=FILE)
    message = str(caught.value)
    assert "some/set (branch refs/convert/parquet, split 'x') could not be loaded" in message
    assert "--data TASK=PATH" in message
    if remedy is NETWORK:
        command = "hf download --repo-type dataset some/set default/x/0000.parquet --revision refs/convert/parquet"
        assert command in message


def test_the_script_error_names_the_whole_way(monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", raiser(FAILURES["script"][0]))
    command = "hf download --repo-type dataset some/set --revision refs/convert/parquet --local-dir DIR"
    with pytest.raises(DataError, match=re.escape(command)):
        read_rows("some/set", PINNED, "test", COLUMNS, None)


def cached_file(folder, commit, dataset="some--set", file="default/test/0000.parquet", rows=ROWS, branch=None):
    """A file in the Hub client's cache, as a download leaves it there."""
    home = folder / "hub" / f"datasets--{dataset}"
    path = home / "snapshots" / commit / file
    path.parent.mkdir(parents=True)
    pq.write_table(pa.table(rows), path)
    if branch:
        ref = home / "refs" / branch
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(commit)
    return path


def test_a_filled_cache_serves_without_a_network(offline):
    cached_file(offline, PINNED)
    rows = read_rows("some/set", PINNED, "test", COLUMNS, None, file=FILE)
    assert (rows.columns["text"], rows.split, rows.revision) == (["Rivers run."], "test", PINNED)
    with pytest.raises(DataError, match=NETWORK):
        read_rows("some/set", OTHER, "test", COLUMNS, None, file=FILE)
    with pytest.raises(DataError, match=NETWORK):
        read_rows("some/set", PINNED, "train", COLUMNS, None, file=FILE)


def test_without_a_pinned_commit_that_of_the_branch_is_recorded(offline):
    branch = "refs/convert/parquet"
    with pytest.raises(DataError, match=NETWORK):
        read_rows("some/set", None, "test", COLUMNS, None, branch=branch, file=FILE)
    cached_file(offline, OTHER, branch=branch)
    rows = read_rows("some/set", None, "test", COLUMNS, None, branch=branch, file=FILE)
    assert rows.revision == OTHER


def test_a_download_that_is_another_commit_or_says_none(monkeypatch, tmp_path):
    path = cached_file(tmp_path, OTHER)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *args, **kwargs: str(path))
    assert read_rows("some/set", None, "test", COLUMNS, None, file=FILE).revision == OTHER
    with pytest.raises(DataError, match=f"not in the cache, which has the commit {OTHER[:12]}"):
        read_rows("some/set", PINNED, "test", COLUMNS, None, file=FILE)
    moved = Path(shutil.copy(path, tmp_path / "test.parquet"))
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *args, **kwargs: str(moved))
    with pytest.raises(DataError, match="does not say of which commit it is"):
        read_rows("some/set", None, "test", COLUMNS, None, file=FILE)


def test_datasets_gives_another_commit_from_its_cache_and_that_is_an_error(offline):
    """Without a network it takes the latest that it has, whatever revision is asked for."""
    pq.write_table(pa.table(ROWS), offline / "validation.parquet")
    builder = datasets.load_dataset_builder(
        "parquet", data_files={"validation": str(offline / "validation.parquet")}, cache_dir=str(offline / "made")
    )
    builder.download_and_prepare()
    home = offline / "datasets" / "stanfordnlp___sst2" / "default" / "0.0.0"
    for commit in (OTHER, PINNED):
        shutil.copytree(builder.cache_dir, home / commit)
        (home / commit / "parquet-validation.arrow").rename(home / commit / "sst2-validation.arrow")
        info = json.loads((home / commit / "dataset_info.json").read_text())
        (home / commit / "dataset_info.json").write_text(json.dumps({**info, "dataset_name": "sst2"}))
        if commit == OTHER:
            with pytest.raises(DataError, match=f"not in the cache, which has the commit {OTHER[:12]}"):
                load_task("sst2").load()
            shutil.rmtree(home / commit)
    data = load_task("sst2").load()
    assert ([e.text for e in data.examples], data.revision) == (["Rivers run."], PINNED)


def test_a_renamed_column_of_a_hub_dataset(monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *a, **k: datasets.Dataset.from_dict({"words": ["x"]}))
    with pytest.raises(MissingColumnError, match=r"the Hub dataset some/set has no column 'sentence'.*--data"):
        read_rows("some/set", PINNED, "test", COLUMNS, None)
    with pytest.raises(MissingColumnError, match=r"columns words; there must be 'sentence', 'label'; or 'a' or 'b'\."):
        read_rows("some/set", PINNED, "test", (COLUMNS, {"text": ("a", "b")}), None)
