"""Virtual time for synchronous callers: the loop runs in the thread of whoever waits for it."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
import threading
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any, TypeVar

import fsspec.asyn

from resilient_store.testing.simulation.loop import SimulatedLoop, _Running

T = TypeVar("T")

logger = logging.getLogger("asyncio")


class InlineLoop(SimulatedLoop):
    """A simulated loop that is driven by what other loops are woken by.

    Whoever hands it a coroutine from outside (``fsspec.asyn.sync``, for one) finds it done when
    the call returns: everything up to there has happened in the caller's thread, and the time
    that it took has passed on the loop's clock only. Threads take turns: whoever runs the loop
    runs it alone, to the end of what it asked for.
    """

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._turn = threading.RLock()
        self._asked_for: list[asyncio.Task[Any]] | None = None

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """Start a task, and remember it if somebody outside waits for it."""
        task = super().create_task(coro, name=name, context=context)
        if self._asked_for is not None:
            self._asked_for.append(task)
        return task

    def call_soon_threadsafe(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Make a callback ready; from outside, carry it out with all that it begins."""
        if asyncio._get_running_loop() is self:
            return self.call_soon(callback, *args, context=context)
        with self._turn, _Running(self):
            if self.is_closed():
                raise RuntimeError("the virtual time is over, and its loop is closed")
            handle = asyncio.Handle(callback, args, self, context)
            self._asked_for = []
            try:
                self._run_handle(handle)
            finally:
                begun, self._asked_for = self._asked_for, None
            while not all(task.done() for task in begun):
                self._step(None)
        return handle

    def run_until_complete(  # type: ignore[override]
        self, future: Coroutine[Any, Any, T], *, until_s: float | None = None
    ) -> T:
        """Run until a coroutine has ended, when it is this thread's turn."""
        with self._turn:
            return super().run_until_complete(future, until_s=until_s)

    def end(self) -> None:
        """Cancel what still runs, wait for it, and close, when it is this thread's turn."""
        with self._turn:
            left = asyncio.all_tasks(self)
            for task in left:
                task.cancel()
            if left:
                self.run_until_complete(asyncio.wait(left))
            self.close()

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Log a complaint, as every loop does: here nobody looks at what is kept."""
        logger.error("%s", context.get("message"), exc_info=context.get("exception"))


class VirtualTime:
    """Time that passes when everybody waits, and takes none.

    Attributes
    ----------
    loop
        The event loop whose clock it is.
    """

    def __init__(self, seed: int = 0) -> None:
        self.loop = InlineLoop(seed)  # type: ignore[abstract] # what nobody calls is not there

    @property
    def now_s(self) -> float:
        """Seconds that have passed since it began."""
        return self.loop.time()

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, with all that is due in them."""
        self.loop.run_for(seconds)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, for stores that are asynchronous."""
        return self.loop.run_until_complete(coroutine)

    def end(self) -> None:
        """Cancel what still runs, wait for it, and close the loop."""
        self.loop.end()


@contextlib.contextmanager
def virtual_time(seed: int = 0) -> Iterator[VirtualTime]:
    """Give virtual time to every fsspec filesystem that is made inside.

    A read of a backend that hangs comes back at once, with its time-out gone by. What was made
    before keeps the real clock, and so do sockets and threads: filesystems in memory have
    neither.

    Parameters
    ----------
    seed
        Decides in which order what could happen at one moment happens.

    Examples
    --------
    >>> from resilient_store import testing
    >>> with testing.virtual_time() as clock:
    ...     clock.advance(3600)
    ...     clock.now_s
    3600.0
    """
    clock = VirtualTime(seed)
    holder = fsspec.asyn.loop
    before, holder[0] = holder[0], clock.loop
    try:
        yield clock
    finally:
        holder[0] = before
        clock.end()
