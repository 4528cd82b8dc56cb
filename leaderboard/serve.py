"""The site on localhost: built anew when the results change, and the page in the browser loads itself again.

Nothing of this is in the files of the site: the script that loads a page again is put in as it is sent.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

from whybench.bench.errors import ParameterError, WhybenchError

HOST = "127.0.0.1"
POLL_SECONDS = 1.0
STATE = "/.whybench-state"

# the number of the build is asked for until it is another one; a server that has stopped is left in peace
_RELOAD = f"""<script>
(() => {{
  let known = null;
  const ask = async () => {{
    try {{
      const now = await (await fetch("{STATE}", {{ cache: "no-store" }})).text();
      if (known !== null && now !== known) location.reload();
      known = now;
    }} catch {{ return; }}
    setTimeout(ask, {int(1000 * POLL_SECONDS)});
  }};
  ask();
}})();
</script>
"""


class SiteServer:
    """A server of one site.

    Args:
        build: Builds the site and returns the path of its ``index.html``.
        watched: Folders whose changes ask for another build; they need not be there.
        site: The site's folder; changes within it are its own.
        port: The port; 0 for any that is free.
        say: Told of every build, and of one that fails, in one line.

    Raises:
        ParameterError: The port is taken, or not allowed.
    """

    def __init__(
        self,
        build: Callable[[], Path],
        watched: Sequence[Path],
        site: Path,
        port: int = 0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._build, self._say = build, say
        self._site = Path(site).resolve()
        self._watched = tuple(Path(folder).resolve() for folder in watched)
        self._builds = 0
        # a page is not sent while its folder is replaced
        self._replaced = threading.Lock()
        self._stopping = threading.Event()
        try:
            self._http = ThreadingHTTPServer((HOST, port), self._handler())
        except (OSError, OverflowError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ParameterError(
                f"port {port} of {HOST} cannot be had ({reason}). Give another one with --port, or 0 for any "
                "that is free."
            ) from error
        self._http.daemon_threads = True

    @property
    def address(self) -> str:
        """Where the site is."""
        return f"http://{HOST}:{self._http.server_port}/"

    def run(self) -> None:
        """Serve until `stop`, or the interrupt of the keyboard.

        Raises:
            WhybenchError: The site cannot be built at the start. Later a failed build is said, and the site stays.
        """
        watching = threading.Thread(target=self._watch, args=(self._seen(),), daemon=True)
        try:
            self._make()
            watching.start()
            self._http.serve_forever(poll_interval=0.1)
        except KeyboardInterrupt:
            self._say("stopped")
        finally:
            self._stopping.set()
            self._http.server_close()

    def stop(self) -> None:
        """End `run`, which another thread is in."""
        self._stopping.set()
        self._http.shutdown()

    def _watch(self, seen: dict[str, tuple[int, int]]) -> None:
        while not self._stopping.wait(POLL_SECONDS):
            now = self._seen()
            if now == seen:
                continue
            seen = now
            try:
                self._make()
            except WhybenchError as error:
                self._say(f"not built: {error}")

    def _make(self) -> None:
        with self._replaced:
            self._build()
        self._builds += 1
        self._say(f"built at {self.address}")

    def _seen(self) -> dict[str, tuple[int, int]]:
        """Time and size of every file that is watched; what is being written is none yet."""
        found: dict[str, tuple[int, int]] = {}
        for folder in self._watched:
            for place, folders, files in os.walk(folder):
                folders[:] = [
                    name for name in folders if name != ".writing" and (Path(place) / name).resolve() != self._site
                ]
                for name in files:
                    path = Path(place) / name
                    try:
                        stat = path.stat()
                    except OSError:
                        # it went away in between
                        continue
                    found[str(path)] = (stat.st_mtime_ns, stat.st_size)
        return found

    def _handler(self) -> type[SimpleHTTPRequestHandler]:
        server = self

        class Handler(SimpleHTTPRequestHandler):
            server_version = "whybench"
            sys_version = ""

            def do_GET(self) -> None:
                server._answer(self, body=True)

            def do_HEAD(self) -> None:
                server._answer(self, body=False)

            def log_message(self, format: str, *args: object) -> None:
                """Requests are not logged."""

        return Handler

    def _answer(self, request: SimpleHTTPRequestHandler, *, body: bool) -> None:
        # another site's page must not read this one under a name of its own that leads here
        if request.headers.get("Host", "").rsplit(":", 1)[0] not in (HOST, "localhost"):
            request.send_error(HTTPStatus.FORBIDDEN)
            return
        place = unquote(urlsplit(request.path).path)
        if place == STATE:
            content, kind = str(self._builds).encode(), "text/plain"
        else:
            with self._replaced:
                path = self._path(place)
                if path is None:
                    request.send_error(HTTPStatus.NOT_FOUND)
                    return
                content, kind = path.read_bytes(), request.guess_type(str(path))
            if kind == "text/html":
                content = content.replace(b"</head>", _RELOAD.encode() + b"</head>", 1)
        request.send_response(HTTPStatus.OK)
        charset = "; charset=utf-8" if kind.startswith("text/") else ""
        request.send_header("Content-Type", kind + charset)
        request.send_header("Content-Length", str(len(content)))
        request.send_header("Cache-Control", "no-store")
        request.send_header("X-Content-Type-Options", "nosniff")
        request.end_headers()
        if body:
            request.wfile.write(content)

    def _path(self, place: str) -> Path | None:
        """The file that is asked for; None where it is none of the site's, links out of it among them."""
        if "\0" in place or "\\" in place:
            return None
        try:
            path = (self._site / place.lstrip("/")).resolve()
        except (OSError, ValueError):
            return None
        if path.is_dir():
            path = path / "index.html"
        hidden = any(part.startswith(".") for part in path.parts[len(self._site.parts) :])
        return path if path.is_relative_to(self._site) and path.is_file() and not hidden else None


def serve(
    build: Callable[[], Path], watched: Sequence[Path], site: Path, port: int, say: Callable[[str], None]
) -> None:
    """Serve a site until the keyboard's interrupt; see `SiteServer`.

    Raises:
        ParameterError: The port is taken, or not allowed.
        WhybenchError: The site cannot be built at the start.
    """
    if not 0 <= port <= 65_535:
        raise ParameterError(f"--port is {port}; a port lies between 0 (any that is free) and 65535.")
    SiteServer(build, watched, site, port, say).run()
