"""HTTP/1.1 as bytes on the wire: heads, and bodies in small pieces, unchanged.

No more is understood than a proxy needs to find where a message ends.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import NamedTuple

PIECE_BYTES = 64 * 1024
HEAD_BYTES = 128 * 1024
NO_BODY = (204, 304)


class BrokenMessageError(Exception):
    """The other side ended in the middle of a message, or sent what is none."""


class Piece(NamedTuple):
    """Some bytes of a body: what the sender meant, or how it is cut up."""

    raw: bytes
    is_data: bool


class Head:
    """The first lines of a request or an answer."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        first, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
        self.first = first
        fields = (line.partition(":") for line in lines)
        self.headers = {name.strip().lower(): value.strip() for name, _, value in fields}

    @property
    def line(self) -> str:
        """A request's method and path with query."""
        return self.first.rpartition(" ")[0]

    @property
    def status(self) -> int:
        """An answer's status."""
        return int(self.first.split(" ", 2)[1])

    @property
    def waits_for_continue(self) -> bool:
        """Whether the body is sent only after a "100 Continue"."""
        return self.headers.get("expect", "").lower() == "100-continue"

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this message."""
        old = "HTTP/1.0" in self.first
        default = "close" if old else "keep-alive"
        return self.headers.get("connection", default).lower() == "close"

    def without(self, *names: str) -> Head:
        """Leave headers out."""
        anyone = "|".join(re.escape(name) for name in names)
        return Head(re.sub(rf"(?i)\r\n(?:{anyone}):[^\r\n]*".encode(), b"", self.raw))

    def with_length(self, length: int) -> Head:
        """Announce a body of another length, sent in one go."""
        rest = self.without("content-length", "transfer-encoding").raw[:-2]
        return Head(rest + f"Content-Length: {length}\r\n\r\n".encode())

    def body_of_request(self) -> int | str:
        """Return the length of a request's body, or "chunked"."""
        return "chunked" if self._chunked() else int(self.headers.get("content-length", 0))

    def body_of_answer(self, request: Head) -> int | str:
        """Return the length of an answer's body, "chunked", or "until closed"."""
        if request.line.startswith("HEAD ") or self.status in NO_BODY:
            return 0
        if self._chunked():
            return "chunked"
        length = self.headers.get("content-length")
        return "until closed" if length is None else int(length)

    def _chunked(self) -> bool:
        return "chunked" in self.headers.get("transfer-encoding", "").lower()


async def read_head(reader: asyncio.StreamReader) -> Head | None:
    """Read a head; None where the other side has nothing more to say."""
    try:
        return Head(await reader.readuntil(b"\r\n\r\n"))
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise BrokenMessageError("ended within a head") from error
        return None
    except asyncio.LimitOverrunError as error:
        raise BrokenMessageError("a head without end") from error


async def pieces(reader: asyncio.StreamReader, body: int | str) -> AsyncIterator[Piece]:
    """Read a body as it comes."""
    if body == "chunked":
        async for piece in _chunks(reader):
            yield piece
    elif body == "until closed":
        while data := await reader.read(PIECE_BYTES):
            yield Piece(data, is_data=True)
    else:
        async for piece in _counted(reader, int(body)):
            yield piece


async def _counted(reader: asyncio.StreamReader, length: int) -> AsyncIterator[Piece]:
    while length:
        data = await reader.read(min(length, PIECE_BYTES))
        if not data:
            raise BrokenMessageError(f"{length} bytes are missing")
        length -= len(data)
        yield Piece(data, is_data=True)


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[Piece]:
    while True:
        announcement = await _line(reader)
        yield Piece(announcement, is_data=False)
        length = int(announcement.partition(b";")[0], 16)
        if not length:
            break
        async for piece in _counted(reader, length):
            yield piece
        yield Piece(await _line(reader), is_data=False)
    trailer = None
    while trailer != b"\r\n":
        trailer = await _line(reader)
        yield Piece(trailer, is_data=False)


async def _line(reader: asyncio.StreamReader) -> bytes:
    line = await reader.readline()
    if not line.endswith(b"\n"):
        raise BrokenMessageError("ended within a chunk")
    return line
