"""Work of an operator's on many paths: so many at once, and no faster than platforms take it."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from typing import TypeVar

from resilient_store import runtime
from resilient_store.backends.health import IN_NO_HURRY
from resilient_store.errors import ConfigurationError
from resilient_store.io.drive import all_of
from resilient_store.model.domain import platform
from resilient_store.protocol.pace import Heard, Pace
from resilient_store.store import Store

T = TypeVar("T")


class Paces:
    """One pace for each platform of a store.

    Parameters
    ----------
    store
        Whose platforms.
    requests_per_s, bytes_per_s
        What no platform is asked for more than; None: as much as it takes without complaint.

    Notes
    -----
    Promises: P6.
    """

    def __init__(
        self, store: Store, requests_per_s: float | None = None, bytes_per_s: float | None = None
    ) -> None:
        self._store = store
        self._platforms = {name: platform(domain) for name, domain in store.domains.items()}
        self._paces = {
            name: Pace(requests_per_s or math.inf, bytes_per_s or math.inf)
            for name in dict.fromkeys(self._platforms.values())
        }

    async def wait_for(self, backends: Iterable[str], size: int) -> None:
        """Wait until so many bytes may be moved from or to these backends."""
        now_s = runtime.now_s()
        asked = dict.fromkeys(self._platforms[name] for name in backends)
        begins_s = now_s
        for name in asked:
            pace = self._paces[name]
            if pace.listens(now_s):
                pace.hear(now_s, self._heard(name))
            begins_s = max(begins_s, pace.begin(now_s, size))
        if begins_s > now_s:
            await runtime.pause(begins_s - now_s)

    def _heard(self, name: str) -> Heard:
        healths = [self._store.clients[n].health for n, p in self._platforms.items() if p == name]
        medians = [median for health in healths if (median := health.median_s) is not None]
        return Heard(
            asked=sum(health.asked for health in healths),
            throttled=sum(health.throttled for health in healths),
            median_s=max(medians, default=None),
            reads={n: client.health.reads for n, client in self._store.clients.items()},
        )


def check_limits(what: str, **limits: float | None) -> None:
    """Refuse limits that nothing could be done under.

    Raises
    ------
    ConfigurationError
        The text names the limit.
    """
    for name, value in limits.items():
        if value is not None and not value > 0:
            raise ConfigurationError(f"{what}: {name}={value!r} must be more than 0")


async def work_through(
    pieces: AsyncGenerator[T], work: Callable[[T], Coroutine[None, None, None]], at_once: int
) -> None:
    """Do work on each piece, so many at once; the first error ends all of it.

    Pieces are drawn one at a time, when somebody is free: what is drawn late is decided late.
    """
    drawing = asyncio.Lock()

    async def draw() -> list[T]:
        async with drawing:
            async for piece in pieces:
                return [piece]
        return []

    async def draw_and_work() -> None:
        IN_NO_HURRY.set(True)  # for this task and those that it starts
        while drawn := await draw():
            await work(drawn[0])

    async with contextlib.aclosing(pieces):
        await all_of([draw_and_work() for _ in range(at_once)])
