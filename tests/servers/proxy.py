"""A proxy that spoils what passes through it, in the ways in which networks and servers do.

    with FaultProxy(server.port) as proxy:
        proxy.set("truncate", after=1000, match=r"^GET .*photo", times=1)

It understands HTTP/1.1, runs in a thread of its own, and listens on 127.0.0.1 only. Bodies
stream through it both ways; only faults that need a body whole (`hold`, `rewrite`) keep it.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, Self

from tests.servers.faults import Fault, Mode, Request, remembered
from tests.servers.overload import Overload
from tests.servers.ports import LOOPBACK, free_port
from tests.servers.relay import Connection
from tests.servers.wire import HEAD_BYTES, Head

OBEY_WITHIN_S = 10.0
BACKLOG = 1024


class FaultProxy:
    """Stands before the server at a port of 127.0.0.1.

    Attributes
    ----------
    log
        Every request so far, what was done with it, and its headers but for credentials.
    accepted
        How many connections were made so far.
    live
        How many there are.
    deny
        Says of a request's method and path whether it is answered with 403, in every mode.
    overload
        Says whether a request is one too many, and answered with 503, in every mode.
    """

    def __init__(self, upstream_port: int) -> None:
        self.upstream_port = upstream_port
        self.port = free_port()
        self.log: list[Request] = []
        self.accepted = 0
        self.deny: Callable[[str], bool] | None = None
        self.overload: Overload | None = None
        self._fault = Fault()
        self._match: re.Pattern[str] | None = None
        self._times: int | None = None
        self._connections: dict[asyncio.Task[None], Connection] = {}
        self._listening: asyncio.Server | None = None
        self._reserved: socket.socket | None = None

    @property
    def url(self) -> str:
        """The address to give out instead of the server's."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def live(self) -> int:
        return len(self._connections)

    # --- asked from any other thread -----------------------------------------------------

    def start(self) -> Self:
        """Listen; until `set` says otherwise, everything passes."""
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name=f"fault proxy at {self.port}", daemon=True
        )
        self._thread.start()
        self._wait_for(self._open())
        return self

    def set(
        self,
        mode: Mode,
        *,
        match: str | None = None,
        times: int | None = None,
        drop: bool = False,
        **how: Any,
    ) -> None:
        """Do this from now on; requests that an earlier mode has hanging are reset.

        Parameters
        ----------
        mode
            See `faults.Mode`.
        match
            Only to requests whose "METHOD /path?query" this regular expression finds.
        times
            Only to so many of them; later ones pass.
        drop
            Reset all connections first, so that clients make new ones.
        **how
            The other attributes of `faults.Fault`.
        """
        fault = Fault(mode, **how)
        self._wait_for(self._set(fault, re.compile(match) if match else None, times, drop=drop))

    def release(self) -> None:
        """Forward now what is on hold."""
        self._wait_for(self._release())

    def reset(self) -> None:
        """Pass everything, forget what was seen, and drop what hangs or is on hold."""
        self._wait_for(self._reset())

    def stop(self) -> None:
        """End every connection and the thread."""
        self._wait_for(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(OBEY_WITHIN_S)
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def _wait_for(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(OBEY_WITHIN_S)

    # --- in the proxy's own thread -------------------------------------------------------

    def fault_for(self, request: Head) -> Fault:
        """Decide what happens to a request, and write it down."""
        fault, action = self._draw(request.line)
        self.log.append(remembered(time.monotonic(), request.line, request.headers, action))
        return fault

    def _draw(self, line: str) -> tuple[Fault, str]:
        if self.deny is not None and self.deny(line):
            return Fault("status", code=403), "deny"
        if self.overload is not None and self.overload():
            return Fault("status", code=503), "overload"
        if self._times == 0 or (self._match and not self._match.search(line)):
            return Fault(), "pass"
        if self._times is not None:
            self._times -= 1
        return self._fault, self._fault.mode

    async def _open(self) -> None:
        self.changed, self.released = asyncio.Event(), asyncio.Event()
        await self._listen()

    async def _set(
        self, fault: Fault, match: re.Pattern[str] | None, times: int | None, *, drop: bool
    ) -> None:
        self._fault, self._match, self._times = fault, match, times
        self._wake()
        if fault.mode == "refuse":
            await self._refuse()
        else:
            await self._listen()
        if drop or fault.mode == "refuse":
            for connection in self._connections.values():
                connection.reset()

    def _wake(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    async def _release(self) -> None:
        self.released.set()
        self.released = asyncio.Event()

    async def _reset(self) -> None:
        self.deny = self.overload = None
        await self._set(Fault(), None, None, drop=False)
        held = [task for task, connection in self._connections.items() if connection.held]
        await self._cancel(held)
        self.log.clear()
        self.accepted = 0

    async def _listen(self) -> None:
        if self._listening is None:
            ours, self._reserved = self._reserved or self._bind(), None
            self._listening = await asyncio.start_server(
                self._serve, sock=ours, limit=HEAD_BYTES, backlog=BACKLOG
            )

    async def _refuse(self) -> None:
        """Close the port, and keep it: bound but not listened at, it refuses and stays ours."""
        if self._listening is not None:
            await self._stop_listening(self._listening)
            self._listening, self._reserved = None, self._bind()

    async def _stop_listening(self, server: asyncio.Server) -> None:
        for ours in server.sockets:
            self._loop.remove_reader(ours.fileno())
        # asyncio 3.11 leaves a socket open that was accepted and not begun with before `close`.
        await asyncio.sleep(0)
        server.close()

    def _bind(self) -> socket.socket:
        # With its protocol named, or asyncio would not let small pieces go at once.
        ours = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        ours.bind((LOOPBACK, self.port))
        return ours

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.accepted += 1
        connection = self._connections[task] = Connection(self, reader, writer)
        # Nobody waits for this task; asyncio 3.11 takes a cancelled one for an error.
        with contextlib.suppress(asyncio.CancelledError):
            try:
                await connection.serve()
            finally:
                del self._connections[task]

    async def _close(self) -> None:
        if self._listening is not None:
            await self._stop_listening(self._listening)
        if self._reserved is not None:
            self._reserved.close()
        for connection in self._connections.values():
            connection.reset()
        await self._cancel(list(self._connections))

    async def _cancel(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
