"""What a stranger's code can do in its own process: nothing to the rest of the machine, and each try is said."""

import os
import socket
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from whybench.bench.confine import Limits
from whybench.bench.errors import MethodError
from whybench.bench.sandbox import run_apart

pytestmark = pytest.mark.skipif(os.name != "posix", reason="limits are those of POSIX")
LINUX = sys.platform.startswith("linux")
LIMITS = Limits(seconds=20, memory=2**29, file_bytes=2**20, open_files=64)


def apart(tmp_path, code, limits=LIMITS, numbers=None, **job):
    path = tmp_path / "strange.py"
    path.write_text(textwrap.dedent(code), encoding="utf-8")
    job["loads"] = [str(Path(__file__).parent.parent)]
    return run_apart("whybench.tests.bench.sandbox_stub:work", job, {"strange.py": path}, limits, numbers)


def test_an_answer_comes_back_with_what_was_in_force(tmp_path):
    found = apart(tmp_path, "answer = {'a': 1}")
    assert (found.value, found.numbers) == ({"a": 1}, b"")
    assert set(found.protections) == {"network", "processes", "memory", "time", "files", "programs"}


def test_it_sees_no_secret_of_the_environment_and_no_home(tmp_path, monkeypatch):
    for name in ("HF_TOKEN", "WANDB_API_KEY", "AWS_SECRET_ACCESS_KEY", "GITHUB_TOKEN", "SOMETHING"):
        monkeypatch.setenv(name, "secret")
    found = apart(tmp_path, "import os; answer = dict(os.environ)")
    assert "secret" not in found.value.values()
    assert found.value["HF_HUB_OFFLINE"] == "1"
    assert not Path(found.value["HF_TOKEN_PATH"]).exists()
    assert found.value["HOME"] != os.environ.get("HOME")
    assert not Path(found.value["HOME"]).exists()


def test_it_has_no_network(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(MethodError, match=r"Error: .*(strange\.py|socket\.py|confine\.py), line"):
            apart(tmp_path, f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)")
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()


@pytest.mark.parametrize(
    "how", ["open(outside, 'w')", "import os; os.mkdir(outside)", "import os; os.symlink('x', outside)"]
)
def test_it_writes_nowhere_else(how, tmp_path):
    outside = tmp_path / "outside"
    with pytest.raises(MethodError, match="PermissionError"):
        apart(tmp_path, how, outside=str(outside))
    assert not os.path.lexists(outside)


def test_it_writes_into_its_own_folder_up_to_a_size(tmp_path):
    assert apart(tmp_path, "open('x', 'w').write('1'); answer = {'x': open('x').read()}").value == {"x": "1"}
    with pytest.raises(MethodError, match="File too large"):
        apart(tmp_path, "open('x', 'wb').write(bytes(2**21))")


@pytest.mark.skipif(not LINUX, reason="Landlock is Linux's")
@pytest.mark.parametrize("how", ["open(outside)", "in_another_thread(lambda: open(outside))"])
def test_it_cannot_read_what_others_left(how, tmp_path):
    """Nor has it someone else read it: libraries have threads that were there before."""
    (tmp_path / "secret").write_text("42")
    with pytest.raises(MethodError, match="PermissionError"):
        apart(tmp_path, how, outside=str(tmp_path / "secret"))


@pytest.mark.skipif(not LINUX, reason="Landlock is Linux's")
@pytest.mark.parametrize("path", ["/etc/shadow", "/etc/hostname", "/dev/shm", "/root", "/home", "/proc/1/cmdline"])
def test_it_reads_of_the_system_what_python_needs(path, tmp_path):
    """As root, too."""
    if not os.access(path, os.R_OK):
        pytest.skip("nobody can read it here")
    with pytest.raises(MethodError, match="PermissionError"):
        apart(tmp_path, f"import os; os.close(os.open({path!r}, os.O_RDONLY))")


@pytest.mark.skipif(not LINUX, reason="Landlock is Linux's")
def test_it_cannot_ask_the_process_that_started_it(tmp_path):
    code = f"""
        found = []
        for name in ("environ", "mem", "fd/0", "fd/1", "maps"):
            try:
                open("/proc/{os.getpid()}/" + name, "rb").read(1)
                found.append(name)
            except OSError:
                pass
        answer = {{"found": found}}
    """
    assert apart(tmp_path, code).value == {"found": []}


@pytest.mark.skipif(not LINUX, reason="the limit of data is Linux's")
@pytest.mark.parametrize("piece", [2**26, 2**16])
def test_it_has_only_so_much_memory(tmp_path, piece):
    """Small pieces leave nothing to say so with, but for what is kept for it."""
    with pytest.raises(MethodError, match=r"may have 0.5 GiB of memory, and needed more. MemoryError"):
        apart(tmp_path, f"x = []\nwhile True: x.append(bytearray({piece}))")


def test_it_has_only_so_much_time(tmp_path):
    began = time.monotonic()
    with pytest.raises(MethodError, match=r"had not finished after 1\.5 s, and was ended"):
        apart(tmp_path, "import time; time.sleep(60)", Limits(seconds=1.5))
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("how", ["subprocess.run(['true'])", "os.execv('/bin/true', ['true'])"])
def test_it_starts_no_program(how, tmp_path):
    with pytest.raises(MethodError, match="PermissionError"):
        apart(tmp_path, f"import os, subprocess; {how}")


@pytest.mark.parametrize(
    "how",
    [
        "os.fork()",
        "os.kill(os.getppid(), 0)",
        "in_another_thread(os.fork)",
        "ctypes.CDLL(None).fork() == -1 and 1 / 0",
        "ctypes.CDLL(None).socket(2, 1, 0) == -1 and 1 / 0",
        "ctypes.CDLL(None).unshare(0) == -1 and 1 / 0",
    ],
)
def test_it_makes_no_process_and_reaches_none(how, tmp_path):
    """Whether it asks Python or the C library, in its own thread or in one that was there before."""
    with pytest.raises(MethodError, match=r"PermissionError|ProcessLookupError|ZeroDivisionError"):
        apart(tmp_path, f"import ctypes, os; {how}")


def test_it_may_start_threads(tmp_path):
    code = """
        import threading
        found = []
        made = [threading.Thread(target=found.append, args=(i,)) for i in range(3)]
        for one in made: one.start()
        for one in made: one.join()
        answer = {"found": sorted(found)}
    """
    assert apart(tmp_path, code).value == {"found": [0, 1, 2]}


@pytest.mark.skipif(not LINUX, reason="namespaces are Linux's")
def test_what_cuts_its_ties_ends_as_well(tmp_path):
    """It leaves its session, and asks not to end with the process above it."""
    code = """
        import ctypes, os, time
        try:
            os.setsid()
        except OSError:
            pass
        ctypes.CDLL(None).prctl(1, 0, 0, 0, 0)
        while True:
            time.sleep(0.1)
            print("x", flush=True)
    """
    threads = threading.active_count()
    with pytest.raises(MethodError, match=r"not finished|without an answer"):
        apart(tmp_path, code, Limits(seconds=1.5))
    # while it lives, someone has to read what it prints
    assert threading.active_count() == threads


def test_it_may_print_as_much_as_it_likes(tmp_path):
    found = apart(tmp_path, "print('x' * 3_000_000); answer = {}")
    assert found.printed > 3_000_000


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import os; print('bye'); os._exit(0)", r"ended without an answer \(exit code 0\). Last printed: 'bye'"),
        ("import os; os._exit(7)", "exit code 7"),
        ("import ctypes; ctypes.string_at(0)", "SIGSEGV"),
        ("raise SystemExit", "SystemExit"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("1 / 0", r"ZeroDivisionError: division by zero \(strange.py, line 1"),
        ("answer = [1]", "it is no object"),
        ("answer = {'a': float('nan')}", "holds NaN"),
        ("answer = {'a': object()}", "ended without an answer|cannot be read"),
        ("answer = {'a': 'x' * 2**20}", "ended without an answer|cannot be read"),
        ("import os; os.symlink('/etc/passwd', 'answer.json'); os._exit(0)", "without an answer"),
        ("import os; os.mkfifo('answer.json'); os._exit(0)", "without an answer|PermissionError"),
        (
            "import os, pickle; open('answer.json', 'wb').write(pickle.dumps(1)); os._exit(0)",
            "cannot be read: it is not",
        ),
        ("f = lambda: f(); f()", "RecursionError"),
    ],
)
def test_every_way_to_end_is_said(code, said, tmp_path):
    with pytest.raises(MethodError, match=said):
        apart(tmp_path, code)


def test_numbers_have_to_be_as_many_as_were_asked_for(tmp_path):
    code = "open('n', 'wb').write(bytes({})); answer = {{}}"
    assert apart(tmp_path, code.format(16), numbers=("n", 16)).numbers == bytes(16)
    for size in (15, 17):
        with pytest.raises(MethodError, match="no 16 bytes of numbers"):
            apart(tmp_path, code.format(size), numbers=("n", 16))


def test_without_the_kernels_help_python_refuses_and_says_that_this_is_weaker(tmp_path):
    """In a process of its own, as a hook stays."""
    import subprocess

    code = f"""
import os, socket, subprocess, sys
from pathlib import Path
from whybench.bench import confine

confine._landlock = lambda *_: None
confine.calls.refuse = lambda: False
inside = Path({str(tmp_path)!r}) / "in"
inside.mkdir()
said = confine.files([], [inside], "refused in Python only")
assert "Python only" in said["files"] and "Python only" in said["programs"], said
(inside / "x").write_text("fine")
assert (inside / "x").read_text() == "fine" and os.listdir(inside) == ["x"]
os.chdir(inside)
folder = os.open(inside, os.O_RDONLY)
open("z", "w").close()
os.remove("z")
for bad in (
    lambda: (inside.parent / "secret").read_text(),
    lambda: os.listdir(inside.parent),
    lambda: os.rename(inside / "x", inside.parent / "x"),
    lambda: os.link(inside / "x", inside.parent / "x"),
    lambda: os.symlink("x", inside.parent / "x"),
    lambda: os.rename("x", "../x"),
    lambda: os.rename("x", "y", src_dir_fd=folder),
    lambda: os.open("x", os.O_RDONLY, dir_fd=folder),
    lambda: os.kill(os.getpid(), 0),
    lambda: (inside.parent / "y").write_text("bad"),
    lambda: os.rename(inside.parent / "there", inside / "here"),
    lambda: socket.socket().connect(("127.0.0.1", 9)),
    lambda: subprocess.run(["true"]),
    lambda: os.fork(),
):
    try:
        bad()
    except PermissionError as error:
        continue
    raise SystemExit("it could")
"""
    (tmp_path / "secret").write_text("42")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "secret"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["x"]
