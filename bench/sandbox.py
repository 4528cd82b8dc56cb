"""Running a stranger's code in a process of its own, and reading its answer as a stranger's file.

What is in force depends on the platform (`whybench.bench.confine`) and is part of every answer. Nothing is pickled: the
job is JSON, the answer JSON and raw numbers whose count is known beforehand.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

import whybench
from whybench.bench.confine import Limits
from whybench.bench.errors import MethodError
from whybench.bench.sandbox_child import ANSWER
from whybench.bench.strict_json import NotStrictError, strict_json

MAX_ANSWER_BYTES = 2**20
MAX_SAID_BYTES = 2000
_GRACE_SECONDS = 5
# what of this process's environment a stranger's code may know
_KEPT = ("PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "SYSTEMROOT")


@dataclass(frozen=True)
class Answer:
    """What came of a job.

    Attributes:
        value: The answer, as the worker wrote it; not to be trusted.
        numbers: The raw file that was asked for.
        protections: What was in force, in words; said before the stranger's code ran.
        printed: Number of bytes that it printed.
    """

    value: Mapping[str, Any]
    numbers: bytes
    protections: Mapping[str, str]
    printed: int


def run_apart(
    worker: str, job: Mapping[str, Any], files: Mapping[str, Path], limits: Limits, numbers: tuple[str, int] | None
) -> Answer:
    """Run a job in a process of its own, with limits, in a folder that is gone afterwards.

    Args:
        worker: ``module:function`` of the trusted part: it gets the job and the folder, loads what it needs, and
            returns what is to be done after the process has given its rights away.
        job: For it, as JSON; folders under ``readable`` may be read, too, and those under ``loads`` before the
            stranger's code runs; a folder of packages with one of ``hidden`` in it is not read; ``device`` is where a
            model runs.
        files: Files that are copied into the folder, by their path there.
        limits: What it may use.
        numbers: Name and exact size of a file of raw numbers in the answer; None where there is none.

    Raises:
        MethodError: It raised, ran out of time or memory, ended without an answer, or gave one that is not valid.
    """
    if os.name != "posix":
        raise MethodError("a stranger's code is run on Linux and macOS only, as its limits are those of POSIX.")
    folder = Path(tempfile.mkdtemp(prefix="whybench-apart-"))
    try:
        for name, path in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, folder / name)
        whole = {**job, "worker": worker, "limits": asdict(limits)}
        (folder / "job.json").write_text(json.dumps(whole), encoding="utf-8")
        protections, code, printed, tail = _run(folder, limits)
        return _answer(folder, limits, numbers, protections, code, printed, tail)
    finally:
        # the folder is a stranger's: what in it cannot be removed is left
        shutil.rmtree(folder, ignore_errors=True)


def _environment(folder: Path, limits: Limits) -> dict[str, str]:
    """No token, no key, no place of the user's."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    roots = [str(Path(whybench.__file__).parent.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    cache = os.environ.get("HF_HOME") or str(Path("~/.cache/huggingface").expanduser())
    threads = {f"{name}_NUM_THREADS": str(limits.threads) for name in ("OMP", "MKL", "OPENBLAS")}
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": cache}
    places = {"HOME": str(folder), "TMPDIR": str(folder), "PYTHONPATH": os.pathsep.join(roots)}
    rest = {"PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
    # nobody's token is read, not even by the trusted part
    offline["HF_TOKEN_PATH"] = str(folder / "no-token")
    if "HF_HUB_CACHE" in os.environ:
        offline["HF_HUB_CACHE"] = os.environ["HF_HUB_CACHE"]
    return {**kept, **threads, **offline, **places, **rest, "WANDB_MODE": "disabled"}


def _run(folder: Path, limits: Limits) -> tuple[dict[str, str], int | None, int, str]:
    """Protections, exit code (None: out of time), bytes printed, and the end of what was printed."""
    reading, writing = os.pipe()
    command = [sys.executable, "-P", "-m", "whybench.bench.sandbox_child", str(folder), str(writing)]
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=_environment(folder, limits),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(writing,),
            start_new_session=True,
        )
    finally:
        os.close(writing)
    assert process.stdout is not None
    drain = _Drain(process.stdout)
    try:
        code: int | None = process.wait(timeout=limits.seconds)
    except subprocess.TimeoutExpired:
        code = None
    finally:
        # first the process that waits for the namespaces' first one, which it alone can end for certain
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=_GRACE_SECONDS)
        # the group, also after a good end: what it has started ends with it
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        drain.join(timeout=2)
    with os.fdopen(reading, "rb") as report:
        os.set_blocking(report.fileno(), False)
        line = report.read(4096) or b""
    protections = json.loads(line) if line.endswith(b"\n") else {}
    return protections, code, drain.count, drain.tail.decode("utf-8", "replace")


class _Drain(threading.Thread):
    """Reads what a process prints, and keeps its end only."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream, self.count, self.tail = stream, 0, b""
        self.start()

    def run(self) -> None:
        """Until the stream ends."""
        with suppress(OSError, ValueError):
            while part := os.read(self._stream.fileno(), 2**16):
                self.count += len(part)
                self.tail = (self.tail + part)[-MAX_SAID_BYTES:]
        self._stream.close()


def _answer(
    folder: Path,
    limits: Limits,
    numbers: tuple[str, int] | None,
    protections: dict[str, str],
    code: int | None,
    printed: int,
    tail: str,
) -> Answer:
    if code is None:
        raise MethodError(f"it had not finished after {limits.seconds:g} s, and was ended.")
    last = tail.strip().splitlines()[-1:] or [""]
    if not protections:
        raise MethodError(f"the process for it could not be set up: {last[0][:500] or f'exit code {code}'}")
    raw = _read(folder / ANSWER, MAX_ANSWER_BYTES)
    if raw is None:
        raise MethodError(f"it ended without an answer ({_ending(code)}). Last printed: {last[0][:300]!r}")
    try:
        value = strict_json(raw)
        if not isinstance(value, dict):
            raise NotStrictError("it is no object")
    except NotStrictError as error:
        raise MethodError(f"its answer cannot be read: {error}.") from error
    if "error" in value:
        memory = (
            f"It may have {limits.memory / 2**30:.3g} GiB of memory, and needed more. " if value.get("memory") else ""
        )
        raise MethodError(f"{memory}{str(value['error'])[:2000]}")
    found = b""
    if numbers is not None:
        name, size = numbers
        read = _read(folder / name, size)
        if read is None or len(read) != size:
            raise MethodError(f"its answer has no {size:,} bytes of numbers.")
        found = read
    return Answer(value, found, protections, printed)


def _read(path: Path, most: int) -> bytes | None:
    """A file that a stranger wrote, through no link or pipe; None where it is not there, or too large."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_size > most:
            return None
        return file.read(most + 1)


def _ending(code: int) -> str:
    number = -code if code < 0 else code - 128
    names = {signal.SIGXCPU: "out of processor time", signal.SIGKILL: "killed, as for want of memory"}
    with suppress(ValueError):
        if number > 0:
            ended = signal.Signals(number)
            return names.get(ended, f"ended by {ended.name}")
    return f"exit code {code}"
