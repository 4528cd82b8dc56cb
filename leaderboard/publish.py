"""Putting a folder of pages where it belongs: whole or not at all, and over nothing but a site of ours."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from whybench.bench.errors import StoreError

MARKER = ".whybench-site.json"


def publish(files: Mapping[str, bytes], out: Path) -> None:
    """Write a site. A site of ours that is there is replaced; files in it that we did not write are carried over.

    Args:
        files: Contents by path within the site.
        out: The site's folder.

    Raises:
        StoreError: ``out`` is something else, or cannot be written. What was there is unharmed.
    """
    # a link stays a link: what it points to is replaced
    out = Path(out).resolve()
    foreign = _foreign(out)
    fresh = out.parent / f".{out.name}-{uuid.uuid4().hex}"
    old = fresh.with_name(f"{fresh.name}-old")
    with _explained(out):
        try:
            _write(files, fresh)
            for path in foreign:
                if path.as_posix() not in files:
                    (fresh / path.parent).mkdir(parents=True, exist_ok=True)
                    shutil.copy2(out / path, fresh / path)
            if out.exists():
                out.rename(old)
            try:
                fresh.rename(out)
            except OSError:
                if old.exists():
                    old.rename(out)
                raise
        finally:
            shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def check(out: Path) -> None:
    """Raise StoreError now, before any work, where `publish` would refuse the folder."""
    out = Path(out).resolve()
    _foreign(out)
    with _explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        probe = out.parent / f".{out.name}-{uuid.uuid4().hex}"
        probe.mkdir()
        probe.rmdir()


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    marker = {"what": "a site made by whybench leaderboard, which replaces it as a whole", "files": sorted(files)}
    for name, content in {**files, MARKER: (json.dumps(marker, indent=1) + "\n").encode()}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _foreign(out: Path) -> list[Path]:
    """Files in a site of ours that we did not write; StoreError where it is no site of ours."""
    if not out.exists():
        return []
    try:
        ours = set(json.loads((out / MARKER).read_bytes())["files"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{str(out)!r} exists and is not a site that whybench made (it has no readable {MARKER}), so it is left "
            "alone. Give another folder with --site, or move this one away."
        ) from error
    paths = (path.relative_to(out) for path in sorted(out.rglob("*")) if not path.is_dir())
    return [path for path in paths if path.as_posix() not in ours and path.name != MARKER]


@contextmanager
def _explained(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"the site {str(out)!r} cannot be written ({error.strerror or error}). "
            "Give another folder with --site, or mend its permissions. What was there is unharmed."
        ) from error
