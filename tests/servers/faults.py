"""What `proxy.FaultProxy` can do to a request, and what it remembers of each."""

from __future__ import annotations

import http
import re
from collections.abc import Callable, Mapping
from typing import Literal

import attrs

Mode = Literal[
    "pass",  # forward both ways
    "refuse",  # nobody listens, what was connected is reset
    "blackhole",  # accept, forward nothing, answer nothing, not even "100 Continue"
    "swallow",  # the request is carried out, its answer lost
    "hold",  # forward after `seconds` or at `release`, even if the client has gone by then
    "reset",  # RST after `after` bytes of the answer's body; 0: before its head
    "truncate",  # FIN after `after` bytes of the answer's body, whatever was announced
    "trickle",  # `after` bytes of the answer's body, then silence
    "slow",  # the answer at `rate` bytes a second
    "latency",  # forward after `seconds`
    "status",  # answer `code`, `body` and `headers` here: the server is not asked
    "captive",  # answer every request with 200 and a page to log in at
    "flip",  # one bit wrong in the byte at `at` of the answer's body
    "rewrite",  # whatever `answer` makes of the answer
]

# Gets method and path, head and body of an answer; returns others, or None to let them be.
Rewrite = Callable[[str, bytes, bytes], "tuple[bytes, bytes] | None"]


def with_the_id_that_s3_sends(_: str, head: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Add to an answer what moto leaves out of "not found"."""
    return head.replace(b"\r\n\r\n", b"\r\nx-amz-request-id: 1\r\n\r\n"), body


@attrs.frozen
class Fault:
    """One mode and how it is done; answers that are too short for it pass."""

    mode: Mode = "pass"
    seconds: float = 0.0
    after: int = 0
    rate: int = 10_000
    at: int = 0
    code: int = 503
    body: bytes | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    answer: Rewrite | None = None


@attrs.frozen
class Request:
    """A request as it arrived, without what proves who sent it."""

    time_s: float
    method: str
    path: str
    action: str
    headers: Mapping[str, str]

    @property
    def line(self) -> str:
        """Method and path with query."""
        return f"{self.method} {self.path}"


PROOF = re.compile(r"(?i)([?&](?:sig|access_token|x-amz-(?:signature|credential))=)[^&]*")


def remembered(time_s: float, line: str, headers: Mapping[str, str], action: str) -> Request:
    """Make a log entry; a failing test prints it, so credentials stay out."""
    method, _, path = line.partition(" ")
    kept = {name: PROOF.sub(r"\1-", value) for name, value in headers.items()}
    if "authorization" in kept:
        kept["authorization"] = kept["authorization"].partition(" ")[0]
    return Request(time_s, method, PROOF.sub(r"\1-", path), action, kept)


# --- answers that the proxy gives itself --------------------------------------------------

LOGIN = b"""<!DOCTYPE html>
<html><head><title>Welcome to our network</title></head>
<body><form action="/login" method="post">Please accept our terms to go online.</form></body></html>
"""
S3_CODES = {
    403: "AccessDenied",
    404: "NoSuchKey",
    429: "TooManyRequests",
    500: "InternalError",
    503: "SlowDown",
}


def canned_answer(fault: Fault, *, head_only: bool) -> bytes:
    """Return the whole answer for `status` and `captive`."""
    if fault.mode == "captive":
        return _answer(200, LOGIN, {"Content-Type": "text/html"}, head_only=head_only)
    body = fault.body
    if body is None:
        name = S3_CODES.get(fault.code, "Injected")
        body = f"<?xml version='1.0'?><Error><Code>{name}</Code></Error>".encode()
    headers = {"Content-Type": "application/xml", **fault.headers}
    return _answer(fault.code, body, headers, head_only=head_only)


def _answer(code: int, body: bytes, headers: Mapping[str, str], *, head_only: bool) -> bytes:
    known = {status.value: status.phrase for status in http.HTTPStatus}
    lines = [f"HTTP/1.1 {code} {known.get(code, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + (b"" if head_only else body)
