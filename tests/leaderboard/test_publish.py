import errno
import os
from pathlib import Path

import pytest

from whybench.bench.errors import StoreError
from whybench.leaderboard.publish import MARKER, check, publish

SITE = {"index.html": b"first", "methods/a.html": b"a"}


def listing(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_writes_a_site_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    publish(SITE, tmp_path / "deep" / "site")
    assert SITE.items() <= listing(tmp_path / "deep" / "site").items()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["site"]


def test_replaces_a_site_of_ours_as_a_whole(tmp_path: Path) -> None:
    publish(SITE, tmp_path / "site")
    publish({"index.html": b"second"}, tmp_path / "site")
    assert set(listing(tmp_path / "site")) == {"index.html", MARKER}
    assert (tmp_path / "site/index.html").read_bytes() == b"second"
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_keeps_files_in_the_site_that_are_not_ours(tmp_path: Path) -> None:
    publish(SITE, tmp_path / "site")
    (tmp_path / "site/CNAME").write_text("example.org")
    (tmp_path / "site/notes").mkdir()
    (tmp_path / "site/notes/mine.txt").write_text("mine")
    for _ in range(2):
        publish({"index.html": b"second"}, tmp_path / "site")
    assert set(listing(tmp_path / "site")) == {"index.html", MARKER, "CNAME", "notes/mine.txt"}


@pytest.mark.parametrize("marker", [None, b"", b"not json", b"[]", b'{"files": 3}'])
def test_refuses_and_keeps_a_folder_that_is_not_a_site_of_ours(tmp_path: Path, marker: bytes | None) -> None:
    folder = tmp_path / "thesis"
    folder.mkdir()
    (folder / "index.html").write_text("my thesis")
    if marker is not None:
        (folder / MARKER).write_bytes(marker)
    before = listing(tmp_path)
    for refuse in (lambda: publish(SITE, folder), lambda: check(folder)):
        with pytest.raises(StoreError, match=r"not a site that whybench made.*--site"):
            refuse()
    assert listing(tmp_path) == before


def test_refuses_a_file(tmp_path: Path) -> None:
    (tmp_path / "site").write_text("a file")
    with pytest.raises(StoreError, match="not a site that whybench made"):
        publish(SITE, tmp_path / "site")
    assert (tmp_path / "site").read_text() == "a file"


def test_says_what_to_do_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for attempt in (lambda: publish(SITE, tmp_path / "file/site"), lambda: check(tmp_path / "file/site")):
        with pytest.raises(StoreError, match=r"cannot be written.*--site"):
            attempt()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_says_what_to_do_where_the_folder_is_not_ours_to_write(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o555)
    with pytest.raises(StoreError, match=r"cannot be written.*permissions"):
        publish(SITE, closed / "site")


def test_a_failure_half_way_keeps_the_old_site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(SITE, tmp_path / "site")
    before = listing(tmp_path / "site")
    write = Path.write_bytes

    def full(self: Path, data: bytes) -> int:
        if self.name == "b.html":
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(self, data)

    with monkeypatch.context() as patched, pytest.raises(StoreError, match="No space left on device"):
        patched.setattr(Path, "write_bytes", full)
        publish({"index.html": b"second", "methods/b.html": b"b"}, tmp_path / "site")
    assert listing(tmp_path / "site") == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_swap_that_fails_puts_the_old_site_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(SITE, tmp_path / "site")
    before = listing(tmp_path / "site")
    rename, calls = Path.rename, []

    def second_fails(self: Path, target: Path) -> Path:
        calls.append(target)
        if len(calls) == 2:
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    with monkeypatch.context() as patched, pytest.raises(StoreError, match="Input/output error"):
        patched.setattr(Path, "rename", second_fails)
        publish({"index.html": b"second"}, tmp_path / "site")
    assert listing(tmp_path / "site") == before
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    publish(SITE, tmp_path / "real")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    publish({"index.html": b"second"}, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real/index.html").read_bytes() == b"second"
