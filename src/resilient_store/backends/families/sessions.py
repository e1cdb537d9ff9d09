"""Sessions of aiohttp that let go: of calls that were given up, and of loops that have ended.

And bodies that stop where they are when their call is given up.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import attrs

_AT_ONCE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


PIECE_BYTES = 64 * 1024


@attrs.define
class Pieces:
    """A body that goes out bit by bit: aiohttp would send a whole one after it was cancelled.

    Not a generator: one that is given up half-way lives on until its loop collects it.
    """

    _pieces: Iterator[memoryview]
    size: int

    @classmethod
    def of(cls, *parts: bytes) -> Pieces:
        """Cut up what follows one another; what is short goes out at once."""
        if sum(map(len, parts)) <= PIECE_BYTES:
            parts = (b"".join(parts),)
        cuts = (
            memoryview(part)[first : first + PIECE_BYTES]
            for part in parts
            for first in range(0, len(part), PIECE_BYTES)
        )
        return cls(cuts, sum(map(len, parts)))

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> memoryview:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


class Connector(aiohttp.TCPConnector):
    """Closes the connection of a call that was given up at once, with what is still to be sent.

    aiohttp and the kernel would go on sending: for as long as the other side hangs, and when it
    wakes up, it would carry out what nobody waits for any more.
    """

    def _release(self, key: Any, protocol: Any, *, should_close: bool = False) -> None:
        transport = protocol.transport
        if should_close and transport is not None:
            with contextlib.suppress(OSError, AttributeError):  # closed, or not a socket's
                transport.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE
                )
            transport.abort()
        super()._release(key, protocol, should_close=should_close)

    def _close(self, *, abort_ssl: bool = False) -> Any:
        if not self._loop.is_closed():
            for protocol in self._acquired:
                protocol.abort()
        return super()._close(abort_ssl=abort_ssl)


def proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for a URL.

    aiohttp, told to look there by itself, does so in a thread for each request, and takes
    passwords from ~/.netrc besides.
    """
    parts = urlsplit(url)
    if not parts.hostname or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def drop_session(session: Any) -> None:
    """Close the sockets of a session, without its loop.

    Nothing warns of them afterwards: neither the session, nor a loop's transport.
    """
    connector = session.connector
    if connector is None or connector.closed:
        return
    idle = [protocol for pool in connector._conns.values() for protocol, _ in pool]
    transports = [protocol.transport for protocol in (*idle, *connector._acquired)]
    connector._close()
    for transport in transports:
        _close_socket(transport, is_for_good=session._loop.is_closed())


def _close_socket(transport: Any, *, is_for_good: bool) -> None:
    plain = getattr(getattr(transport, "_ssl_protocol", None), "_transport", None) or transport
    sock = getattr(plain, "_sock", None)
    if sock is None:  # closed, or of another kind of loop, which sees to it by itself
        return
    sock.close()
    if is_for_good:  # else the loop takes its leave when it runs again
        plain._sock = None
