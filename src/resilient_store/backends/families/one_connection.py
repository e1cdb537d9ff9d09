"""SFTP, FTP and SMB: one connection, calls one after the other, and a new one where that broke.

fsspec's filesystems of these kinds connect when they are made, and are of no use any more when
the connection has ended: `Socket is closed`, for ever.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs
from fsspec.implementations.dirfs import DirFileSystem

from resilient_store import runtime
from resilient_store.backends.classify import classify
from resilient_store.backends.families.calling import innermost
from resilient_store.backends.families.generic import GenericFamily
from resilient_store.model.outcome import Outcome
from resilient_store.threads import Abandonment, DaemonPool

STUCK_AFTER_S = 2.0  # that a call may go on for which nobody waits
MOST_STUCK = 8  # connections with such a call, each of which keeps a thread

_BROKEN = frozenset({Outcome.UNAVAILABLE, Outcome.TIMED_OUT})
_PROTOCOLS = frozenset({"sftp", "ssh", "ftp", "smb"})


def has_one_connection(filesystem: Any) -> bool:
    """Say whether all calls go through one connection, on which two at once get stuck or mixed."""
    protocols = innermost(filesystem).protocol
    names = {protocols} if isinstance(protocols, str) else set(protocols)
    return not names.isdisjoint(_PROTOCOLS)


class OneConnectionFamily(GenericFamily):
    """Such a filesystem, whose calls are not asynchronous.

    That a connection broke is known by an error, by its own word, or by a call that goes on
    though nobody waits for it any more. The next call connects anew, as the first one did.
    """

    def __init__(
        self, filesystem: Any, root: str, name: str, write_options: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(filesystem, root, name, 1, write_options)
        self._name = name
        self._connection = _Connection(DaemonPool(f"{name}-0", 1), filesystem=filesystem)
        self._stuck: list[_Connection] = []

    def drop(self) -> None:
        """Let the threads end."""
        super().drop()
        self._connection.pool.close()

    async def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        if self._connection.is_broken:
            self._hang_up()
        connection = self._connection

        def call(told: Abandonment) -> Any:
            with connection.in_use(told):
                return getattr(connection.opened(), method)(*arguments, **options)

        try:
            return await connection.pool.run(call)
        except asyncio.CancelledError:
            connection.note_given_up()
            raise
        except Exception as error:
            connection.failed = classify(error, changing=False)[0] in _BROKEN
            raise

    def _hang_up(self) -> None:
        """Take another connection from now on."""
        before = self._connection
        self._stuck = [one for one in (*self._stuck, before) if one.told is not None]
        if len(self._stuck) > MOST_STUCK:
            raise ConnectionError("earlier calls do not end, each in a connection of its own")
        before.pool.close()
        is_stuck = before.told is not None and before.pid == os.getpid()  # else the parent's

        def connect() -> Any:
            if is_stuck:
                _end(before.filesystem)
            return _again(self._fs)

        self._connection = _Connection(DaemonPool(f"{self._name}-again", 1), connect)


@attrs.define(eq=False)
class _Connection:
    """A filesystem, the one thread that uses it, and what is known of both."""

    pool: DaemonPool
    _connect: Callable[[], Any] | None = None
    filesystem: Any = None
    failed: bool = False
    told: Abandonment | None = None  # of the call that is under way
    _given_up_s: float | None = None
    pid: int = attrs.field(factory=os.getpid)

    def opened(self) -> Any:
        """Return the filesystem, connected; called in the thread."""
        if self.filesystem is None and self._connect is not None:
            self.filesystem = self._connect()
        return self.filesystem

    @contextlib.contextmanager
    def in_use(self, told: Abandonment) -> Iterator[None]:
        """Remember which call is under way; called in the thread."""
        self.told = told
        try:
            yield
        finally:
            self.told = self._given_up_s = None

    def note_given_up(self) -> None:
        """Remember since when nobody waits for the call that is under way."""
        if self.told is not None and self.told.abandoned and self._given_up_s is None:
            self._given_up_s = runtime.now_s()

    @property
    def is_broken(self) -> bool:
        """Whether no further call must use it."""
        since_s = self._given_up_s
        is_stuck = since_s is not None and runtime.now_s() - since_s >= STUCK_AFTER_S
        return is_stuck or self.failed or self.pid != os.getpid() or _has_ended(self.filesystem)


def _again(filesystem: Any) -> Any:
    """Make such a filesystem once more, which connects it."""
    if isinstance(filesystem, DirFileSystem):
        return DirFileSystem(filesystem.path, _again(filesystem.fs), skip_instance_cache=True)
    options = {**filesystem.storage_options, "skip_instance_cache": True}
    return type(filesystem)(*filesystem.storage_args, **options)


def _has_ended(filesystem: Any) -> bool:
    """Say whether paramiko has noticed that the server is gone."""
    client = _client(filesystem)
    transport = None if client is None else client.get_transport()
    return transport is not None and not transport.is_active()


def _end(filesystem: Any) -> None:
    """Close a connection of paramiko's: a call that is stuck in it ends with an error."""
    client = _client(filesystem)
    if client is not None:
        with contextlib.suppress(Exception):  # it is broken
            client.close()


def _client(filesystem: Any) -> Any:
    client = getattr(innermost(filesystem), "client", None)
    return client if hasattr(client, "get_transport") else None
