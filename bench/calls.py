"""A filter of system calls (seccomp) for a process that runs a stranger's code: no other process, program or socket.

It needs no rights and no namespaces, and holds for all threads. Linux on x86-64 and 64-bit ARM; standard library only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys

_NO_NEW_PRIVS = 38
_SET_MODE_FILTER, _ALL_THREADS = 1, 1
_ALLOW, _ERROR = 0x7FFF0000, 0x00050000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_THREAD = 0x00010000

# the kernel's name of each machine
_MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
# the calls' numbers on each: processes and programs, sockets, signals, other processes' memory, devices and mounts,
# other names of all these, and keys
_NUMBERS = """
    seccomp 317 277            clone 56 220               clone3 435 435             fork 57 -
    vfork 58 -                 execve 59 221              execveat 322 281           unshare 272 97
    setns 308 268              socket 41 198              kill 62 129                tkill 200 130
    tgkill 234 131             rt_sigqueueinfo 129 138    rt_tgsigqueueinfo 297 240  pidfd_send_signal 424 424
    pidfd_open 434 434         ptrace 101 117             process_vm_readv 310 270   process_vm_writev 311 271
    mknod 133 -                mknodat 259 33             mount 165 40               umount2 166 39
    pivot_root 155 41          chroot 161 51              open_tree 428 428          move_mount 429 429
    fsopen 430 430             mount_setattr 442 442      open_by_handle_at 304 265  bpf 321 280
    perf_event_open 298 241    userfaultfd 323 282        io_uring_setup 425 425     io_uring_enter 426 426
    io_uring_register 427 427  add_key 248 217            request_key 249 218        keyctl 250 219
"""
# not refused outright
_OTHERWISE = ("seccomp", "clone", "clone3", "tgkill")


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def refuse() -> bool:
    """Refuse, in all threads of this process from now on, what only other processes and sockets are made with.

    A thread may be started, and a signal sent to this process alone.

    Returns:
        Whether the kernel has taken the filter.
    """
    if not sys.platform.startswith("linux") or platform.machine() not in _MACHINES or struct.calcsize("P") != 8:
        return False
    numbers = _numbers(platform.machine())
    filtered = _filter(_MACHINES[platform.machine()], numbers, os.getpid())
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    program = _Program(len(filtered) // 8, filtered)
    libc.syscall.restype = ctypes.c_long
    return bool(libc.syscall(numbers["seccomp"], _SET_MODE_FILTER, _ALL_THREADS, ctypes.byref(program)) == 0)


def _numbers(machine: str) -> dict[str, int]:
    column = 1 + list(_MACHINES).index(machine)
    words = _NUMBERS.split()
    rows = [words[i : i + 3] for i in range(0, len(words), 3)]
    return {row[0]: int(row[column]) for row in rows if row[column] != "-"}


def _filter(architecture: int, numbers: dict[str, int], own: int) -> bytes:
    """The filter's instructions. The numbers of a jump say how many are passed over where it holds, and where not."""
    no, unknown = _ERROR | errno.EPERM, _ERROR | errno.ENOSYS
    steps = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, no),
        (_LOAD, 0, 0, _NUMBER),
        # the numbers of x86's third set of calls
        (_AT_LEAST, 0, 1, 0x40000000),
        (_RETURN, 0, 0, no),
    ]
    for number in (number for name, number in numbers.items() if name not in _OTHERWISE):
        steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, no)]
    # its flags are in memory, which a filter does not see; the C library then takes the older call
    steps += [(_EQUAL, 0, 1, numbers["clone3"]), (_RETURN, 0, 0, unknown)]
    for name, test, wanted in (("clone", _ANY_BIT, _THREAD), ("tgkill", _EQUAL, own)):
        steps += [
            (_EQUAL, 0, 4, numbers[name]),
            (_LOAD, 0, 0, _FIRST_ARGUMENT),
            (test, 1, 0, wanted),
            (_RETURN, 0, 0, no),
            (_RETURN, 0, 0, _ALLOW),
        ]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
