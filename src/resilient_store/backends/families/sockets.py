"""Closing aiohttp's sessions where no loop runs any more."""

from __future__ import annotations

import contextlib
from typing import Any


def drop_session(session: Any) -> None:
    """Close a session's sockets at once, without waiting for anybody.

    aiohttp can only close in a running loop, and warns when it was not asked to; what belongs to
    a loop that has ended can do no more than be let go.
    """
    connector = session.connector
    if connector is None or connector.closed:
        return
    transports = [
        protocol.transport for kept in connector._conns.values() for protocol, _ in kept
    ] + [protocol.transport for protocol in connector._acquired]
    connector._close()
    for transport in transports:
        with contextlib.suppress(RuntimeError):  # the loop is closed: the socket goes with it
            transport.abort()
