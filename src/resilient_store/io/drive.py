"""The driver: the only place that starts, awaits and cancels tasks.

It knows nothing of outcomes: machines decide, it acts. Tasks are kept in lists and dicts, never
in sets, so that a seed replays a run; for the same reason there are no task groups.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import math
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, NoReturn, ParamSpec, TypeVar

from fsspec.asyn import sync

from resilient_store.model.outcome import Reply
from resilient_store.protocol.machine import Ask, Done, Machine
from resilient_store.runtime import Signal, end_tasks

P = ParamSpec("P")
T = TypeVar("T")
V = TypeVar("V")

logger = logging.getLogger("resilient_store")

# Longer than a call gives what it has cancelled itself.
_GRACE_S = 0.5
# What is interrupted by hand ends its own work first, in so many seconds.
_STOPS_WITHIN_S = 5.0


def to_end(
    loop: Any, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any
) -> T:
    """Run a coroutine in a loop of another thread; Ctrl-C cancels it, and sees it clean up.

    So does a `SystemExit` of a `callback` or of a `priority` among the keywords.

    Notes
    -----
    Promises: P8.
    """
    theirs: dict[str, Callable[[Any], Any]] = {"callback": _Guarded, "priority": _guarded}
    for name, guard in theirs.items():
        if kwargs.get(name) is not None:
            kwargs[name] = guard(kwargs[name])
    running: list[asyncio.Task[Any] | None] = []
    interrupted = threading.Event()

    async def run() -> T | _EndedError:
        running.append(asyncio.current_task())
        if interrupted.is_set():  # before it had begun
            raise asyncio.CancelledError
        try:
            return await function(*args, **kwargs)
        except _EndedError as stopped:
            return stopped  # which fsspec raises there: it catches no more than an `Exception`

    try:
        result: T = sync(loop, run)
    except _EndedError as stopped:
        raise stopped.reason from None
    except KeyboardInterrupt:
        interrupted.set()
        for task in filter(None, running):
            ended = threading.Event()
            loop.call_soon_threadsafe(_cancel, task, ended)
            ended.wait(_STOPS_WITHIN_S)
        raise
    return result


class _EndedError(BaseException):
    """Carries what would end a loop, and every call in it, to the one whose code raised it."""

    def __init__(self, reason: BaseException) -> None:
        self.reason = reason


def _guarded(function: Callable[P, T]) -> Callable[P, T]:
    """Let nothing that a caller's function raises end the loop in which it is called."""

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except (SystemExit, KeyboardInterrupt) as error:
            raise _EndedError(error) from None

    return call


class _Guarded:
    """A caller's callback, the same way."""

    def __init__(self, callback: Any) -> None:
        self.set_size = _guarded(callback.set_size)
        self.relative_update = _guarded(callback.relative_update)


def _cancel(task: asyncio.Task[Any], ended: threading.Event) -> None:
    task.add_done_callback(lambda _: ended.set())
    task.cancel()


async def drive(
    machine: Machine[T, V],
    perform: Callable[[str], Coroutine[Any, Any, Reply[V]]],
    signal: Signal | None = None,
) -> T:
    """Carry out what `machine` decides until it is done; leave no task behind.

    Parameters
    ----------
    machine
        Decides.
    perform
        Sends the request to one backend.
    signal
        Fired when any backend's state changes, for a machine that waits for it.

    Notes
    -----
    Promises: P6.
    """
    clock = asyncio.get_running_loop().time
    running: list[asyncio.Task[Reply[V]]] = []
    try:
        while True:
            step = machine.decide(clock())
            if isinstance(step, Done):
                return step.value
            if isinstance(step, Ask):
                running.append(asyncio.create_task(perform(step.backend)))
                continue
            timeout_s = None if step.until_s == math.inf else max(0.0, step.until_s - clock())
            await _wait(running, timeout_s, signal if step.wake else None)
            for task in [task for task in running if task.done()]:
                running.remove(task)
                machine.observe(task.result(), clock())
    finally:
        await end_tasks(running, _GRACE_S)


async def _wait(
    running: Sequence[asyncio.Task[Any]], timeout_s: float | None, signal: Signal | None
) -> None:
    woken = None if signal is None else signal.wait()
    waited: list[asyncio.Future[Any]] = [*running, *([] if woken is None else [woken])]
    try:
        if waited:
            await asyncio.wait(waited, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        elif timeout_s is not None:
            await asyncio.sleep(timeout_s)
    finally:
        if signal is not None and woken is not None:
            signal.forget(woken)
            woken.cancel()


async def all_of(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Run calls at once and return their results in order; the first error ends the others."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        if tasks:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in tasks:
            if task.done():
                task.result()
        return [task.result() for task in tasks]
    finally:
        await end_tasks(tasks, _GRACE_S)


async def alongside(call: Coroutine[Any, Any, T], other: Coroutine[Any, Any, NoReturn]) -> T:
    """Return what a call returns; `other` goes on meanwhile, and its error ends the call."""
    task, beside = asyncio.create_task(call), asyncio.create_task(other)
    try:
        await asyncio.wait([task, beside], return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else beside.result()
    finally:
        await end_tasks([task, beside], _GRACE_S)


async def each(
    calls: Sequence[Callable[[], Coroutine[Any, Any, T]]], at_once: int
) -> list[T | Exception]:
    """Run many calls, so many at once, and return each one's result or its error, in order."""
    results: list[T | Exception] = [RuntimeError("not run")] * len(calls)
    waiting = iter(range(len(calls)))

    async def work() -> None:
        for index in waiting:
            try:
                results[index] = await calls[index]()
            except Exception as error:
                results[index] = error

    await all_of([work() for _ in range(min(at_once, len(calls)))])
    return results


async def protected(call: Coroutine[Any, Any, T]) -> T:
    """Finish a clean-up although the caller was cancelled; the cancellation follows it.

    The clean-up is bounded by its own calls' deadlines.
    """
    task = asyncio.create_task(call)
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        if not task.cancelled():
            task.exception()
        raise asyncio.CancelledError
    return task.result()


def leave_to_finish(
    tails: dict[asyncio.Task[Any], None], call: Coroutine[Any, Any, None]
) -> asyncio.Task[None]:
    """Let a bounded call outlive the one that began it; `end_all` ends it with the store."""
    task = asyncio.create_task(call)
    _leave(tails, task)
    return task


def _leave(tails: dict[asyncio.Task[Any], None], task: asyncio.Task[Any]) -> None:
    tails[task] = None

    def done(task: asyncio.Task[Any]) -> None:
        tails.pop(task, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a call in the background failed: %s", type(error).__name__)

    task.add_done_callback(done)


async def wait_a_moment(
    tails: dict[asyncio.Task[Any], None], call: Coroutine[Any, Any, object], seconds: float
) -> None:
    """Wait for a bounded call for so long, then leave it to finish by itself."""
    task = asyncio.create_task(call)
    try:
        await asyncio.wait([task], timeout=seconds)
    finally:
        if not task.done():
            _leave(tails, task)
    if task.done():
        task.result()


async def let_finish(tails: dict[asyncio.Task[Any], None], seconds: float) -> None:
    """Wait for what `leave_to_finish` left in this loop, but for no longer than that."""
    loop = asyncio.get_running_loop()
    tasks = [task for task in tails if task.get_loop() is loop]
    if tasks:
        await asyncio.wait(tasks, timeout=seconds)


async def end_all(tails: dict[asyncio.Task[Any], None]) -> None:
    """End what `leave_to_finish` left in this loop."""
    loop = asyncio.get_running_loop()
    await end_tasks([task for task in tails if task.get_loop() is loop])
