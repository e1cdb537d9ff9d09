"""Connections that are lent to one thread at a time, and never carried over a fork.

In a forked child SQLite would take its parent's locks for its own (they are the process's, and
not inherited) and corrupt the file, and a socket would be read by two. So before a fork nobody is
let in, connections that are lent are waited for, and all are closed; both sides open new ones.
One that is not given back in time is not touched in the child at all, not even freed, and where
that would endanger the file the child is refused.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError

C = TypeVar("C")

FORK_WITHIN_S = 2.0


class Pool(Generic[C]):
    """At most `size` connections, opened when needed.

    Parameters
    ----------
    open_one
        Makes a connection before a moment of `runtime.steady_s`.
    close_one
        Ends one; must not raise.
    """

    def __init__(
        self, open_one: Callable[[float], C], close_one: Callable[[C], None], size: int
    ) -> None:
        self._open_one = open_one
        self._close_one = close_one
        self._size = size
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        self._free: list[C] = []
        self._finalizer = weakref.finalize(self, _close_all, self._free, self._close_one)
        self._lent: set[C] = set()
        self._opening = 0
        self._forking = False
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def lend(self, deadline_s: float, *, fresh: bool = False) -> Iterator[C]:
        """Lend a connection; whoever could not finish with it must `drop` it.

        Parameters
        ----------
        fresh
            Whether it must be a new one: those that wait here may have died meanwhile.
        """
        if fresh:
            self.close()
        connection = self.take(deadline_s)
        try:
            yield connection
        finally:
            self.give_back(connection)

    def take(self, deadline_s: float) -> C:
        """Lend a connection until it is given back, as `lend` does."""
        connection = self._take(deadline_s)
        return self._open(deadline_s) if connection is None else connection

    def drop(self, connection: C) -> None:
        """Close a lent connection; it will not be lent again."""
        self._close_one(connection)
        self._forget([connection])

    def close(self) -> None:
        """Close all that are not lent now; whoever needs one later opens it."""
        with self._changed:
            free, self._free[:] = list(self._free), []
            self._lent.update(free)  # a fork must not fall into their closing
        for connection in free:
            self._close_one(connection)
        self._forget(free)

    def _forget(self, closed: list[C]) -> None:
        with self._changed:
            self._lent.difference_update(closed)
            self._changed.notify_all()

    def _take(self, deadline_s: float) -> C | None:
        with self._changed:
            while self._forking or self.lent >= self._size:
                if not self._changed.wait(deadline_s - runtime.steady_s()):
                    raise CatalogDownError("all connections to the catalog are in use")
            if self._free:
                connection = self._free.pop()
                self._lent.add(connection)
                return connection
            self._opening += 1
            return None

    def _open(self, deadline_s: float) -> C:
        made: list[C] = []
        try:
            made.append(self._open_one(deadline_s))
        finally:
            with self._changed:
                self._opening -= 1
                self._lent.update(made)
                self._changed.notify_all()
        return made[0]

    def give_back(self, connection: C) -> None:
        """End what `take` began."""
        with self._changed:
            if connection in self._lent:
                self._lent.remove(connection)
                self._free.append(connection)
                self._changed.notify_all()

    # --- forks ----------------------------------------------------------------------------

    @property
    def lent(self) -> int:
        """How many connections are lent or being made."""
        return len(self._lent) + self._opening

    def before_fork(self, deadline_s: float) -> None:
        """Let nobody in, and close all connections."""
        with self._changed:
            self._forking = True
            while self.lent and (left_s := deadline_s - runtime.steady_s()) > 0:
                self._changed.wait(left_s)
        self.close()

    def after_fork(self, *, child: bool) -> None:
        """Let everybody in again."""
        if child:
            left = [*self._lent, *self._free]  # free ones: of a pool made during the fork
            _keep_for_ever(left)
            self._finalizer.detach()
            self.carried_over = bool(left) or self._opening > 0
            self._begin()
            return
        with self._changed:
            self._forking = False
            self._changed.notify_all()

    carried_over = False  # whether a connection of the parent's could not be closed


def _close_all(connections: list[Any], close_one: Callable[[Any], None]) -> None:
    for connection in connections:
        close_one(connection)


_pools: weakref.WeakSet[Pool[Any]] = weakref.WeakSet()


def _keep_for_ever(connections: list[Any]) -> None:
    """Keep the parent's connections from being closed, even when this process ends.

    A finalizer closes them, and the descriptor of a database file that is closed gives up the
    locks that the process has on it by others. So each gets a reference that is never let go.
    """
    for connection in connections:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))


class _Fork:
    """Closes all pools before a fork, one fork at a time: no other may fall into the closing."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: list[Pool[Any]] = []

    def before(self) -> None:
        self._lock.acquire(timeout=2 * FORK_WITHIN_S)  # its holder has ended by then
        deadline_s = runtime.steady_s() + FORK_WITHIN_S
        self._pools = list(_pools)
        for pool in self._pools:
            pool.before_fork(deadline_s)

    def in_parent(self) -> None:
        for pool in self._pools:
            pool.after_fork(child=False)
        self._pools = []
        if self._lock.locked():
            self._lock.release()

    def in_child(self) -> None:
        for pool in list(_pools):
            pool.after_fork(child=True)
        self._pools = []
        self._lock = threading.Lock()


_fork = _Fork()

if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_fork.before,
        after_in_parent=_fork.in_parent,
        after_in_child=_fork.in_child,
    )
