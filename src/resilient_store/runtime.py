"""The one door to time, chance, ids and threads.

Everything that could make two runs of one seed differ comes in through here. A simulated
event loop carries a runtime of its own (``loop.resilient_runtime``), so nothing is patched.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import os
import random
import uuid
from typing import Protocol


class Runtime(Protocol):
    """What a simulation replaces."""

    def wall(self) -> dt.datetime:
        """Return the wall clock's time, for people only."""

    def new_id(self) -> str:
        """Return a name that is never used twice."""

    def uniform(self, low: float, high: float) -> float:
        """Draw a number."""

    def rarely(self, what: str) -> bool:
        """Whether to take the unlikely branch `what` on purpose."""


class RealRuntime:
    """The real world."""

    def wall(self) -> dt.datetime:
        """Return the wall clock's time in UTC."""
        return dt.datetime.now(dt.UTC)

    def new_id(self) -> str:
        """Return 32 random hexadecimal digits."""
        return uuid.uuid4().hex

    def uniform(self, low: float, high: float) -> float:
        """Draw a number."""
        return random.uniform(low, high)

    def rarely(self, what: str) -> bool:
        """Return False: unlikely branches are taken on purpose in simulations only."""
        return False


_REAL = RealRuntime()


def _current() -> Runtime:
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        return _REAL
    runtime: Runtime = getattr(loop, "resilient_runtime", _REAL)
    return runtime


def now_s() -> float:
    """Return the running loop's clock, in seconds."""
    return asyncio.get_running_loop().time()


def wall() -> dt.datetime:
    """Return the wall clock's time in UTC, for people only: nothing is decided by it."""
    return _current().wall()


def new_id() -> str:
    """Return a name that is never used twice."""
    return _current().new_id()


def uniform(low: float, high: float) -> float:
    """Draw a number, for jitter."""
    return _current().uniform(low, high)


def rarely(what: str) -> bool:
    """Whether to take the unlikely branch `what` on purpose (in simulations only)."""
    return _current().rarely(what)


def process_id() -> int:
    """Return the process's id, by which a fork is noticed."""
    return os.getpid()


class Signal:
    """Wakes everybody who waits, in whatever loop and from whatever thread it is given."""

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], asyncio.AbstractEventLoop] = {}

    def wait(self) -> asyncio.Future[None]:
        """Return a future of the running loop that the next `fire` completes."""
        loop = asyncio.get_running_loop()
        future = loop.create_future()
        self._waiting[future] = loop
        return future

    def forget(self, future: asyncio.Future[None]) -> None:
        """Stop waiting."""
        self._waiting.pop(future, None)

    def fire(self) -> None:
        """Wake everybody who waits now."""
        for future, loop in list(self._waiting.items()):
            self._waiting.pop(future, None)
            if not loop.is_closed():
                loop.call_soon_threadsafe(_complete, future)


def _complete(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
