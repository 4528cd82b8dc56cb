"""Taking from this process what a stranger's code must not have: network, files, programs, memory, time.

Standard library only. Every function does what the platform offers and returns in words what is now in force; what is
weaker than a rule of the kernel says so.
"""

from __future__ import annotations

import ctypes
import os
import platform
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from whybench.bench import calls

_NEWIPC, _NEWUSER, _NEWPID, _NEWNET = 0x08000000, 0x10000000, 0x20000000, 0x40000000
_PDEATHSIG, _NO_NEW_PRIVS = 1, 38
# the same numbers on every architecture
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1, 2, 4, 8
_MAKE_DEVICES = 1 << 6 | 1 << 11
_TRUNCATE = 1 << 14
# what each version of the interface knows: rights of files, rights of the network, scopes
_ALL_FS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
_ALL_NET, _ALL_SCOPES = 3, 3
_ON_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | (1 << 15)


@dataclass(frozen=True)
class Limits:
    """What a stranger's code may use.

    Attributes:
        seconds: Wall-clock time; the processor's time may be that on each of the threads.
        memory: Bytes of memory of its own.
        file_bytes: Bytes of one file.
        open_files: Open files.
        threads: Threads that the work is meant for.
    """

    seconds: float = 600.0
    memory: int = 8 * 2**30
    file_bytes: int = 64 * 2**20
    open_files: int = 1024
    threads: int = 1


def _libc() -> Any:
    return ctypes.CDLL(None, use_errno=True)


def namespaces() -> dict[str, str]:
    """Leave the machine's network and processes; call it before any thread is started.

    Where it works, this process becomes another one, the first of its own processes, all of which end with it; the one
    that was called waits, and ends as that one does.
    """
    weaker = {
        "network": "refused in Python only",
        "processes": "ended with their group only",
    }
    if not sys.platform.startswith("linux"):
        return weaker
    user, group = os.getuid(), os.getgid()
    if _libc().unshare(_NEWUSER | _NEWNET | _NEWPID | _NEWIPC) != 0:
        return weaker
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        try:
            Path(f"/proc/self/{name}").write_text(text, encoding="ascii")
        except OSError:
            # files stay accessible; only their owner's name is not known inside
            break
    # nothing before the handler below is lost
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    inner = os.fork()
    if inner:
        # what runs inside can take back what ties it to this process, and cannot reach this one: it is ended from here
        signal.signal(signal.SIGTERM, lambda *_: os.kill(inner, signal.SIGKILL))
        _libc().prctl(_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
        _, status = os.waitpid(inner, 0)
        code = os.waitstatus_to_exitcode(status)
        os._exit(code if code >= 0 else 128 - code)
    # a group of its own: a signal to all of it does not reach the process that waits
    os.setsid()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    _libc().prctl(_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    return {"network": "none: a namespace of its own", "processes": "all end with it: a namespace of its own"}


def limit(limits: Limits) -> dict[str, str]:
    """Set the limits of this process and all that it starts."""
    # not on every platform; without it no process is started
    import resource

    seconds = int(limits.seconds * (limits.threads + 1)) + 1
    wanted = [
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, limits.file_bytes),
        (resource.RLIMIT_NOFILE, limits.open_files),
        # beyond what is loaded; not the address space, of which libraries reserve far more than they use
        (resource.RLIMIT_DATA, _data_bytes() + limits.memory),
    ]
    known = sys.platform.startswith("linux")
    # macOS refuses some that it does not keep; what is said to be in force elsewhere has to be
    refused = () if known else (ValueError, OSError)
    for which, value in wanted:
        _, hard = resource.getrlimit(which)
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        with suppress(*refused):
            resource.setrlimit(which, (value, value))
    said = f"at most {limits.memory / 2**30:.3g} GiB" if known else "not limited on this platform"
    return {"memory": said, "time": f"{limits.seconds:g} s, then ended"}


def _data_bytes() -> int:
    """What counts as data of this process now."""
    status = Path("/proc/self/status")
    lines = status.read_text(encoding="ascii", errors="replace").splitlines() if status.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmData:")), 0)


class _Ruleset(ctypes.Structure):
    _fields_ = [("fs", ctypes.c_uint64), ("net", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = [("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32)]


def before_threads(readable: Sequence[Path], writable: Sequence[Path]) -> None:
    """The same as `files`, where the kernel has it, for what is loaded; call it before any thread is started.

    A rule is that of the thread that takes it and of those that it starts: libraries keep threads that were started
    before `files`, and a stranger's code can have work done by them.
    """
    _landlock(readable, writable)


def files(readable: Sequence[Path], writable: Sequence[Path], network: str) -> dict[str, str]:
    """Let this thread and all that it starts read and write these folders only, and start no program.

    Args:
        readable: Files and folders that may be read.
        writable: Folders that may be read and written.
        network: What is in force for the network already.

    Returns:
        What is in force for files and programs, and for processes and the network where that is more than before.
    """
    found = _landlock(readable, writable)
    said = {"files": f"Landlock {found}: only its own folder and Python's", "programs": f"Landlock {found}: none"}
    if found is None:
        said = {"files": "those outside refused in Python only", "programs": "refused in Python only"}
    if found is None or "Python only" in network:
        _hook(readable, writable)
    if calls.refuse():
        none = "none: a filter of system calls"
        return said | {"programs": none, "processes": none} | ({"network": none} if "Python only" in network else {})
    if "Python only" in network:
        tcp = f"TCP refused by Landlock {found}, the rest " if found is not None and found >= 4 else ""
        said["network"] = f"{tcp}{network}"
    return said


def _landlock(readable: Sequence[Path], writable: Sequence[Path]) -> int | None:
    """Restrict this thread; returns the interface's version, None where there is none."""
    # the numbers of the calls are the same on all but alpha
    if not sys.platform.startswith("linux") or platform.machine().startswith("alpha"):
        return None
    libc = _libc()
    # without it there is no rule for those who are not root, and a program could have more rights than who starts it
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.syscall.restype = ctypes.c_long
    version = int(libc.syscall(_CREATE_RULESET, None, 0, 1))
    if version < 1:
        return None
    every = _ALL_FS[min(version, max(_ALL_FS))]
    rules = _Ruleset(every, _ALL_NET if version >= 4 else 0, _ALL_SCOPES if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    handle = int(libc.syscall(_CREATE_RULESET, ctypes.byref(rules), size, 0))
    if handle < 0:
        return None
    read = _READ_FILE | _READ_DIR
    # all but the starting of programs, and what a file of a device would open
    own = every & ~_EXECUTE & ~_MAKE_DEVICES
    wanted = [(path, read) for path in readable] + [(path, own) for path in writable]
    wanted.append((Path("/dev/null"), read | _WRITE_FILE | _TRUNCATE))
    for path, rights in wanted:
        try:
            parent = os.open(path, os.O_PATH | os.O_CLOEXEC)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            # what is not there needs no rule
            continue
        try:
            rights &= every if path.is_dir() else every & _ON_FILES
            rule = _PathBeneath(rights, parent)
            if libc.syscall(_ADD_RULE, handle, _PATH_BENEATH, ctypes.byref(rule), 0) != 0:
                return None
        finally:
            os.close(parent)
    restricted = libc.syscall(_RESTRICT_SELF, handle, 0) == 0
    os.close(handle)
    return version if restricted else None


_REFUSED = {
    **dict.fromkeys(
        ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.system", "os.fork", "os.forkpty", "pty.spawn"),
        "starts no program",
    ),
    **dict.fromkeys(("os.kill", "os.killpg", "signal.pthread_kill"), "ends nothing but itself"),
}
# per event the arguments that are paths, and those that are folders that the paths are relative to
_CHANGES: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "os.remove": ((0,), (1,)),
    "os.rename": ((0, 1), (2, 3)),
    "os.rmdir": ((0,), (1,)),
    "os.mkdir": ((0,), (2,)),
    "os.symlink": ((1,), (2,)),
    "os.link": ((0, 1), (2, 3)),
    "os.truncate": ((0,), ()),
    "os.chmod": ((0,), (2,)),
    "os.chown": ((0,), (3,)),
    "os.utime": ((0,), (3,)),
}


def _hook(readable: Sequence[Path], writable: Sequence[Path]) -> None:
    """Refuse in Python what the kernel does not refuse here; native code passes it by."""
    own = [os.devnull, *(os.path.realpath(path) for path in writable)]
    read = [*own, *(os.path.realpath(path) for path in readable)]

    def outside(path: object, inside: Sequence[str]) -> bool:
        if not isinstance(path, (str, bytes, os.PathLike)):
            return False
        real = os.path.realpath(os.fsdecode(path))
        return not any(real == one or real.startswith(one.rstrip(os.sep) + os.sep) for one in inside)

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith("socket.") and event != "socket.gethostname":
            raise PermissionError("a submitted method has no network")
        if event in _REFUSED:
            raise PermissionError(f"a submitted method {_REFUSED[event]}")
        bad: object = None
        if event == "open":
            path, mode, flags = arguments
            changes = bool((flags or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC))
            # os.open, which has no mode, may be relative to any folder, and the event does not say to which
            unknown = mode is None and isinstance(path, (str, bytes)) and not Path(os.fsdecode(path)).is_absolute()
            if unknown or outside(path, own if changes else read):
                bad = path
        elif event in ("os.listdir", "os.scandir") and outside(arguments[0], read):
            bad = arguments[0]
        elif event in _CHANGES:
            paths, folders = _CHANGES[event]
            bad = next((arguments[i] for i in paths if outside(arguments[i], own)), None)
            if any(arguments[i] != -1 for i in folders):
                bad = arguments[paths[0]]
        if bad is not None:
            raise PermissionError(f"a submitted method reads and writes its own folder only, not {bad!r:.200}")

    sys.addaudithook(refuse)
