"""The site on localhost."""

import http.client
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from whybench.bench.errors import ParameterError, StoreError
from whybench.bench.store import ResultStore
from whybench.leaderboard import serve
from whybench.leaderboard.serve import HOST, STATE, SiteServer
from whybench.leaderboard.site import build_site
from whybench.tests.leaderboard.factory import Made, make


def answer(server: SiteServer, path: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
    # not urllib, which would mend a path that leads out
    connection = http.client.HTTPConnection(HOST, int(server.address.rsplit(":", 1)[1].strip("/")), timeout=20)
    connection.request(method, path, headers=headers)
    found = connection.getresponse()
    body = found.read().decode()
    connection.close()
    return found.status, body, dict(found.getheaders())


def until(holds, seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def served(tmp_path: Path, monkeypatch) -> Iterator[tuple[SiteServer, ResultStore, Path, list[str]]]:
    monkeypatch.setattr(serve, "POLL_SECONDS", 0.05)
    store, site = ResultStore(tmp_path / "results"), tmp_path / "results" / "site"
    (tmp_path / "secret.txt").write_text("secret")
    make(store, Made(examples=4))
    said: list[str] = []
    server = SiteServer(
        lambda: build_site(store.read_all(), store.read_failures(), site), [store.root], site, 0, said.append
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: said)
    yield server, store, site, said
    server.stop()
    thread.join(timeout=20)
    assert not thread.is_alive()


def test_it_answers_with_the_site_and_a_script_that_is_in_no_file(served) -> None:
    server, _, site, _ = served
    assert server.address.startswith("http://127.0.0.1:")
    for path in ("/", "/index.html", "/index.html?a=1"):
        status, body, headers = answer(server, path)
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert "occlusion" in body
        assert STATE in body
    assert answer(server, "/", "HEAD")[:2] == (200, "")
    assert STATE not in (site / "index.html").read_text()
    assert answer(server, "/assets/style.css")[1] == (site / "assets" / "style.css").read_text()
    assert answer(server, STATE)[:2] == (200, "1")


def test_a_new_cell_builds_it_again(served) -> None:
    server, store, _, _ = served
    assert "gradient" not in answer(server, "/")[1]
    make(store, Made(method="gradient", family="gradient", examples=4))
    until(lambda: answer(server, STATE)[1] != "1")
    assert "gradient" in answer(server, "/")[1]
    # the site itself lies within what is watched: it does not set off another build
    built = answer(server, STATE)[1]
    time.sleep(0.3)
    assert answer(server, STATE)[1] == built


def test_a_damaged_cell_is_said_and_the_site_stays(served) -> None:
    server, store, _, said = served
    (next(store.cells.iterdir()) / "result.json").write_text("{")
    until(lambda: any(line.startswith("not built: ") for line in said))
    assert answer(server, "/")[0] == 200


def test_what_lies_outside_is_refused(served) -> None:
    server, _, site, _ = served
    (site / "out").symlink_to(site.parent.parent)
    for path in (
        "/../../secret.txt",
        "/%2e%2e/%2e%2e/secret.txt",
        "/assets/../../../secret.txt",
        "/..%5c..%5csecret.txt",
        f"/{site.parent.parent}/secret.txt",
        f"/{str(site.parent.parent).strip('/')}/secret.txt",
        "/out/secret.txt",
        "/.whybench-site.json",
        "/%00",
        "/assets",
        "/nothing.html",
    ):
        status, body, _ = answer(server, path)
        assert status == 404, path
        assert "secret" not in body.replace("secret.txt", "")


def test_another_name_for_this_machine_is_refused(served) -> None:
    assert answer(served[0], "/", Host="evil.example:80")[0] == 403
    assert answer(served[0], "/", Host="localhost:80")[0] == 200


def test_a_port_that_is_taken_is_an_error(served) -> None:
    _, store, site, _ = served
    port = int(served[0].address.rsplit(":", 1)[1].strip("/"))
    with pytest.raises(ParameterError, match=f"port {port} .*--port"):
        SiteServer(lambda: site, [store.root], site, port)
    with pytest.raises(ParameterError, match="65535"):
        serve.serve(lambda: site, [store.root], site, 70_000, print)


def test_results_that_are_not_there_are_an_error_at_the_start(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "none")
    server = SiteServer(lambda: build_site(store.read_all(), [], tmp_path / "site"), [store.root], tmp_path / "site")
    with pytest.raises(StoreError, match="no results folder"):
        server.run()


def test_the_command_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    store = ResultStore(tmp_path / "results")
    make(store, Made(examples=4))
    words = ["-m", "whybench.bench.cli", "leaderboard", "--results", str(store.root), "--serve", "--port", "0"]
    # what runs in a shell's background ignores interrupts, and so would its children
    heeding = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True, **heeding) as running:
        lines = iter(running.stdout.readline, "")
        address = next(line for line in lines if line.startswith("built at ")).split()[-1]
        with urllib.request.urlopen(address, timeout=20) as found:
            assert b"occlusion" in found.read()
        running.send_signal(signal.SIGINT)
        try:
            assert running.wait(timeout=20) == 0
        finally:
            # else leaving the block would wait for ever
            running.kill()
        assert next(lines) == "stopped\n"
