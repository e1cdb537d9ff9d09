"""The smallest server and the smallest client that a proxy can be put between."""

from __future__ import annotations

import contextlib
import http.client
import http.server
import threading
from collections.abc import Iterator
from typing import Any

import attrs

from tests.servers.proxy import FaultProxy

BLOCK = bytes(range(256)) * 256
TWICE = BLOCK * 2


@attrs.define
class Seen:
    """What arrived: method, path, headers, and how many bytes of body."""

    method: str
    path: str
    headers: dict[str, str]
    size: int


class Upstream(http.server.ThreadingHTTPServer):
    """Answers `GET /7` with seven bytes, `GET /chunked/7` in pieces, `/status/204` with that."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.seen: list[Seen] = []
        self.arrived = threading.Condition()

    @property
    def port(self) -> int:
        return self.server_address[1]

    def note(self, seen: Seen) -> None:
        """Remember a request whose body is complete."""
        with self.arrived:
            self.seen.append(seen)
            self.arrived.notify_all()

    def wait_for(self, path: str, within_s: float = 5.0) -> bool:
        """Say whether a request for this path arrives in time."""
        with self.arrived:
            return self.arrived.wait_for(lambda: path in [s.path for s in self.seen], within_s)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet: connections break here all the time."""


class Answers(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Upstream

    def do_GET(self) -> None:
        self.server.note(Seen(self.command, self.path, self._headers(), self._take_body()))
        _, kind, *rest = self.path.partition("?")[0].split("/")
        if kind == "status":
            self.send_response(int(rest[0]))
            self.end_headers()
        elif kind == "chunked":
            self._send_chunks(int(rest[0]))
        elif kind == "until-closed":
            self._send_until_closed(int(rest[0]))
        else:
            self._send_counted(int(kind or 0))

    # these names are looked up by `http.server`
    do_HEAD = do_PUT = do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *arguments: Any) -> None:
        pass

    def _headers(self) -> dict[str, str]:
        return {name.lower(): value for name, value in self.headers.items()}

    def _take_body(self) -> int:
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            total = 0
            while length := int(self.rfile.readline(), 16):
                total += self._skip(length)
                self.rfile.readline()
            self.rfile.readline()
            return total
        return self._skip(int(self.headers.get("Content-Length", 0)))

    def _skip(self, length: int) -> int:
        left = length
        while left and (piece := self.rfile.read(min(left, len(BLOCK)))):
            left -= len(piece)
        return length - left

    def _send_counted(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":
            for piece in pieces_of(length):
                self.wfile.write(piece)

    def _send_chunks(self, length: int) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces_of(length, 100):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def _send_until_closed(self, length: int) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(bytes_of(length))
        self.close_connection = True


def pieces_of(length: int, at_most: int = len(BLOCK)) -> Iterator[bytes]:
    """Cut up what is answered to a request for so many bytes."""
    for begins in range(0, length, at_most):
        offset = begins % len(BLOCK)
        yield TWICE[offset : offset + min(at_most, length - begins)]


def bytes_of(length: int) -> bytes:
    """Return what is answered to a request for so many bytes."""
    return (BLOCK * (length // len(BLOCK) + 1))[:length]


@contextlib.contextmanager
def running() -> Iterator[Upstream]:
    """Serve, and end every thread but those of connections that others keep open."""
    with Upstream() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join(5)


# --- and a client as simple ---------------------------------------------------------------


@contextlib.contextmanager
def connected(proxy: FaultProxy, timeout_s: float = 5.0) -> Iterator[http.client.HTTPConnection]:
    """Open one connection that does nothing by itself, and close it."""
    client = http.client.HTTPConnection("127.0.0.1", proxy.port, timeout=timeout_s)
    with contextlib.closing(client):
        yield client


def ask(
    proxy: FaultProxy,
    path: str,
    method: str = "GET",
    body: Any = None,
    headers: dict[str, str] | None = None,
    *,
    timeout_s: float = 5.0,
) -> tuple[int, bytes]:
    """Return status and body of an answer over a connection of its own."""
    with connected(proxy, timeout_s) as client:
        client.request(method, path, body, headers or {})
        answer = client.getresponse()
        return answer.status, answer.read()
