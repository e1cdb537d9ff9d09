"""What a backend's client has in each event loop: the opened family, and places for calls."""

from __future__ import annotations

import asyncio
import contextlib
import math
import weakref
from collections.abc import AsyncIterator

import attrs

from resilient_store import runtime
from resilient_store.backends.closing import was_closed
from resilient_store.backends.contract import Family

# What a backend that hangs while it is opened may cost a call that needs no answer of it.
MEET_S = 1.0
# Who has waited so long by one clock need not have by another.
_NEARLY = 0.9


@attrs.define
class Session:
    """What belongs to one event loop."""

    bulkhead: asyncio.Semaphore
    family: Family | None = None
    _turn: asyncio.Lock = attrs.field(factory=asyncio.Lock)
    _since_s: float = math.inf

    @contextlib.asynccontextmanager
    async def opening(self) -> AsyncIterator[None]:
        """Let one call at a time open the backend, or ask whose it is."""
        async with self._turn:
            self._since_s = runtime.now_s()
            try:
                yield
            finally:
                self._since_s = math.inf

    @property
    def is_slow_to_open(self) -> bool:
        """Say whether a call has been at that for as long as others wait for it."""
        return runtime.now_s() - self._since_s >= _NEARLY * MEET_S


class Sessions:
    """One session for each event loop that uses a backend.

    Parameters
    ----------
    max_concurrency
        How many calls each may have under way.
    """

    def __init__(self, max_concurrency: int) -> None:
        self._places = max_concurrency
        self._by_loop: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Session]
        self._by_loop = weakref.WeakKeyDictionary()

    def current(self) -> Session:
        """Return the running loop's; made where there is none."""
        loop = asyncio.get_running_loop()
        session = self._by_loop.get(loop)
        if session is None:
            self._drop_closed_loops()
            session = self._by_loop[loop] = Session(asyncio.Semaphore(self._places))
        return session

    def take(self) -> Session | None:
        """Return the running loop's, which is forgotten."""
        return self._by_loop.pop(asyncio.get_running_loop(), None)

    def _drop_closed_loops(self) -> None:
        """Give back what belongs to loops that ended without closing the store."""
        for loop, session in list(self._by_loop.items()):
            if loop.is_closed():
                del self._by_loop[loop]
                if session.family is not None:
                    was_closed(session.family)
                    session.family.drop()
