"""The one door to time, chance, ids and tasks with a deadline.

Everything that could make two runs of one seed differ comes in through here. A simulated
event loop carries a runtime of its own (``loop.resilient_runtime``), so nothing is patched.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import logging
import os
import random
import socket
import time
import uuid
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from resilient_store.model.step import Step

T = TypeVar("T")

logger = logging.getLogger("resilient_store")

SHORT_PAGE = 2


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


def page(usual: int) -> int:
    """Return how many rows to ask for at once: where runs are simulated, now and then only two."""
    return SHORT_PAGE if rarely("a short page") else usual


_hook: Callable[[Step], None] | None = None


def reach(step: Step) -> None:
    """Pass a named moment of a change; tests end the process there."""
    if _hook is not None:
        _hook(step)


def at_each_step(hook: Callable[[Step], None] | None) -> None:
    """Call `hook` at every named moment, in this process, from now on; None: nobody."""
    global _hook  # noqa: PLW0603 - one process, one hook
    _hook = hook


async def pause(seconds: float) -> None:
    """Wait so long, by the running loop's clock."""
    await asyncio.sleep(seconds)


def steady_s() -> float:
    """Return a clock that never goes back, for threads, which have no loop to ask."""
    return time.monotonic()


def host_s() -> float:
    """Return the host's clock in seconds since 1970, or a simulation's: SQLite has no other."""
    current = _current()
    return time.time() if current is _REAL else current.wall().timestamp()


def has_threads() -> bool:
    """Whether blocking calls go to threads: a simulated loop makes each at its own moment."""
    return _current() is _REAL


def rest(seconds: float) -> None:
    """Let the running thread wait; never to be called in a loop's."""
    time.sleep(seconds)


def who() -> str:
    """Return host and process, for people who look at what is being done."""
    return f"{socket.gethostname()}:{os.getpid()}"


def process_id() -> int:
    """Return the process's id, by which a fork is noticed."""
    return os.getpid()


class OutOfTimeError(Exception):
    """A call did not answer before its deadline."""


class NoThreadError(RuntimeError):
    """The system gives no thread to a call that blocks, so it was not made."""


class Deadline:
    """When a call must have answered; a call that moves on may push it back.

    Parameters
    ----------
    timeout_s
        Seconds from now.
    pullable
        Whether `pull` may bring it forward, of which whoever waits must hear.
    """

    def __init__(self, timeout_s: float, *, pullable: bool = False) -> None:
        self._loop = asyncio.get_running_loop()
        self.when_s = self._loop.time() + timeout_s
        self.pulled = self._loop.create_future() if pullable else None

    def left_s(self) -> float:
        """Return how many seconds are left."""
        return self.when_s - self._loop.time()

    def pull(self, seconds: float) -> None:
        """Let the call have so many seconds from now, if that is less and it is pullable."""
        if self.pulled is not None and not self.pulled.done():
            self.when_s = min(self.when_s, self._loop.time() + seconds)
            self.pulled.set_result(None)

    def push(self, seconds: float) -> None:
        """Let the call have so many seconds from now, if that is more. Safe in any thread."""
        self.when_s = max(self.when_s, self._loop.time() + seconds)


# How long a cancelled call may take to end; one that ignores it is left to itself.
GRACE_S = 0.1

_abandoned: dict[asyncio.Future[Any], None] = {}


async def within(call: Coroutine[Any, Any, T], deadline: Deadline) -> T:
    """Await a call until its deadline, also one that ignores being cancelled.

    Raises
    ------
    OutOfTimeError
        The deadline has passed; the call was cancelled, and given up if it goes on.

    Notes
    -----
    Promises: P6.
    """
    task = asyncio.create_task(call)
    try:
        await _is_done_by(task, deadline)
    except BaseException:
        await end_tasks([task])
        raise
    return task.result()


async def _is_done_by(future: asyncio.Future[Any], deadline: Deadline) -> None:
    """Wait for a future until a deadline, however it ends, and do not cancel it."""
    # `asyncio.wait` does this too, but takes as long again as the task itself, on every call.
    loop = asyncio.get_running_loop()
    while not future.done():
        left_s = deadline.left_s()
        if left_s <= 0:
            raise OutOfTimeError
        waiter = loop.create_future()

        def wake(_: Any = None, waiter: asyncio.Future[None] = waiter) -> None:
            _complete(waiter)

        pulled = deadline.pulled
        waited = [future] if pulled is None or pulled.done() else [future, pulled]
        for one in waited:
            one.add_done_callback(wake)
        timer = loop.call_later(left_s, wake)
        try:
            await waiter
        finally:
            timer.cancel()
            for one in waited:
                one.remove_done_callback(wake)


class BlockingJob(Protocol[T]):
    """A blocking call in a thread of its own."""

    def is_done_within(self, seconds: float) -> bool:
        """Hold the calling thread up for so long, or until it is done."""

    def result(self) -> T:
        """Return its answer, once it is done."""

    def answer(self) -> asyncio.Future[T]:
        """Return its answer to come; who cancels that waits no more."""


class BlockingPool(Protocol):
    """Threads of their own for calls that block."""

    def submit(self, call: Callable[[Any], T]) -> BlockingJob[T]:
        """Begin a call in a thread."""


def is_cancelled() -> bool:
    """Whether it is the running task that was cancelled, and not what it awaits."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


async def run_blocking(
    pool: BlockingPool,
    call: Callable[[], T],
    timeout_s: float | Deadline,
    glance_s: float = 0.0,
) -> T:
    """Run a blocking call in a pool's thread; a simulated loop runs it as an event of its own.

    Parameters
    ----------
    timeout_s
        Seconds from now, or a deadline, which the call itself may push.
    glance_s
        How long the loop's thread itself waits for it first. To be woken through the loop takes
        longer than many a call.

    Raises
    ------
    OutOfTimeError
        It did not answer in time; it goes on in its thread.
    NoThreadError
        It was not made: there is no thread for it.
    """
    runtime = _current()
    if runtime is not _REAL:
        hook = getattr(runtime, "run_blocking", None)
        simulated = in_executor(call) if hook is None else hook(call)
        return await within(simulated, _deadline(timeout_s))
    job = pool.submit(lambda _: call())
    if glance_s and job.is_done_within(glance_s):
        return job.result()
    answer = job.answer()
    try:
        await _is_done_by(answer, _deadline(timeout_s))
        return answer.result()
    finally:
        if not answer.cancel() and not answer.cancelled():
            answer.exception()  # retrieved, also where the caller was cancelled just then


def _deadline(timeout_s: float | Deadline) -> Deadline:
    return timeout_s if isinstance(timeout_s, Deadline) else Deadline(timeout_s)


async def in_executor(call: Callable[[], T]) -> T:
    """Make a blocking call by the running loop's own means, which a simulation replaces."""
    return await asyncio.get_running_loop().run_in_executor(None, call)


async def end_tasks(tasks: Sequence[asyncio.Task[Any]], grace_s: float = GRACE_S) -> None:
    """Cancel tasks and see them end; one that will not is given up, and said so."""
    for task in tasks:
        task.cancel()
    left = [task for task in tasks if not task.done()]
    try:
        if left:
            await asyncio.wait(left, timeout=grace_s)
    finally:
        for task in tasks:
            if not task.done():
                logger.debug("a cancelled call goes on: %s", task.get_name())
                _abandoned[task] = None
                task.add_done_callback(_forget)
            elif not task.cancelled():
                task.exception()  # retrieved: a loser's error is nobody's


def _forget(task: asyncio.Future[Any]) -> None:
    _abandoned.pop(task, None)
    if not task.cancelled():
        task.exception()


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
