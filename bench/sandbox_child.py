"""The process that a submitted method runs in: ``python -P -m whybench.bench.sandbox_child JOB REPORT_FD``.

It leaves the machine's network, lets the trusted worker load what it needs, takes its own rights away, says on the
given descriptor what is in force and closes it, and only then lets the worker touch the method.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from whybench.bench import confine

ANSWER = "answer.json"
RESERVE_BYTES = 2**23
# a worker loads what is trusted and returns what is to be done with the stranger's code
Work = Callable[[], dict[str, Any]]


def main() -> None:
    """Do the job in the given folder."""
    folder, report = Path(sys.argv[1]), int(sys.argv[2])
    said = confine.namespaces()
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    limits = confine.Limits(**job["limits"])
    readable = [*_readable(), *_packages(job.get("hidden", ())), *map(Path, job.get("readable", ()))]
    devices = _devices(job.get("device", "cpu"))
    cache = os.environ.get("HF_HUB_CACHE") or Path(os.environ.get("HF_HOME", "")) / "hub"
    confine.before_threads([*readable, Path(cache), *map(Path, job.get("loads", ()))], [folder, *devices])
    module, _, function = job["worker"].partition(":")
    work: Work = getattr(importlib.import_module(module), function)(job, folder)
    said |= confine.limit(limits)
    said |= confine.files(readable, [folder, *devices], said["network"])
    os.write(report, (json.dumps(said) + "\n").encode())
    os.close(report)
    # to say why takes memory, too: of some that is kept for it, and of what the work held
    reserve = bytearray(RESERVE_BYTES)
    try:
        answer = work()
    except BaseException as error:  # noqa: BLE001  a stranger's code: whatever it raises is the answer
        del reserve
        traceback.clear_frames(error.__traceback__)
        answer = {"error": _said(error), "memory": _is_memory(error)}
    (folder / ANSWER).write_text(json.dumps(answer), encoding="utf-8")
    sys.stdout.flush()
    # threads that the method left behind are not waited for
    os._exit(0)


def _readable() -> list[Path]:
    """What Python needs; not the folders around whybench's own, in which results may stand."""
    paths = [Path(sys.prefix), Path(sys.base_prefix), *map(Path, sysconfig.get_paths().values())]
    bench = Path(__file__).resolve().parent
    paths += [bench, bench.parent / "methods", bench.parent / "tasks", bench.parent / "whybench"]
    # shared libraries and their cache, time zones, names of users, and what libraries ask about the processor
    named = (f"/{folder}/{name}" for folder, names in _SYSTEM.items() for name in names.split())
    return paths + [Path(name) for name in ("/usr", "/lib", "/lib64", "/sys", *named)]


# not the command lines of others, which may hold their keys
_SYSTEM = {
    "etc": "ld.so.cache ld.so.conf ld.so.conf.d localtime passwd group nsswitch.conf os-release",
    "dev": "null zero random urandom",
    "proc": "self cpuinfo meminfo stat loadavg filesystems version sys devices driver",
}


def _packages(hidden: Iterable[str]) -> list[Path]:
    """Folders that packages are imported from, but those around whybench's own or around what is hidden."""
    root = Path(__file__).resolve().parent.parent
    found = [Path(path).resolve() for path in sys.path if path]
    secret = [Path(path).resolve() for path in hidden]
    return [path for path in found if path != root and not any(one.is_relative_to(path) for one in secret)]


def _devices(device: str) -> list[Path]:
    """The files of a graphics card, which are written to."""
    return [] if device == "cpu" else [*Path("/dev").glob("nvidia*"), Path("/dev/dri"), Path("/dev/kfd")]


def _said(error: BaseException) -> str:
    from whybench.bench.errors import reason_of

    return reason_of(error)[:2000]


def _is_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "can't allocate memory" in text or "not enough memory" in text


if __name__ == "__main__":
    main()
