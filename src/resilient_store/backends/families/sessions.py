"""Sessions of aiohttp that let go: of calls that were given up, and of loops that have ended."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

_AT_ONCE = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


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
