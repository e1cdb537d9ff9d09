"""A bounded pool of daemon threads for what is not async.

The standard library's executors make process exit wait for their threads, so that one call
that hangs in a dead mount keeps the process alive for ever. These threads do not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import queue
import threading
import weakref
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar, cast

import attrs

from resilient_store import runtime

T = TypeVar("T")

CLEARED_UP_AT = 1000  # calls in a queue


@attrs.define
class Abandonment:
    """Told to a blocking call when its caller has given up: it must change nothing any more."""

    abandoned: bool = False

    def check(self) -> None:
        """Stop here if the caller has given up.

        Raises
        ------
        AbandonedError
            It has.
        """
        if self.abandoned:
            raise AbandonedError


class AbandonedError(Exception):
    """A blocking call noticed that nobody waits for it any more; nobody sees this."""


@attrs.frozen
class _Ended(Generic[T]):
    """What a call came to."""

    value: T | None = None
    error: BaseException | None = None

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return cast(T, self.value)

    def tell(self, future: Future[T]) -> None:
        if self.error is not None:
            future.set_exception(self.error)
        else:
            future.set_result(cast(T, self.value))


class Job(Generic[T]):
    """A blocking call for a thread, and its answer.

    A `Future` is made only for who waits in a loop: with all that belongs to it, it takes longer
    than to look up an object in a catalog.
    """

    def __init__(self, call: Callable[[Abandonment], T]) -> None:
        self._call: Callable[[Abandonment], T] | None = call
        self._abandonment = Abandonment()
        self._lock = threading.Lock()
        self._begun = False
        self._ended: _Ended[T] | None = None
        self._future: Future[T] | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def carry_out(self, then: Callable[[], None] | None = None) -> None:
        """Make the call, unless nobody waits for it any more; `then` runs before that is told."""
        call, self._call = self._call, None
        assert call is not None, "a call is made once"
        with self._lock:
            self._begun = True
            wanted = self._future is None or self._future.set_running_or_notify_cancel()
        if wanted:
            try:
                ended = _Ended(call(self._abandonment))
            except BaseException as error:
                ended = _Ended(error=error)
            with self._lock:
                self._ended, future = ended, self._future
            if future is not None:
                ended.tell(future)
        if then is not None:
            then()
        self._done.release()

    @property
    def is_given_up(self) -> bool:
        """Whether nobody waits for it any more, and it had not begun: it never will."""
        return self._future is not None and self._future.cancelled()

    def is_done_within(self, seconds: float) -> bool:
        """Hold the calling thread up for so long, or until the call is done."""
        return self._done.acquire(timeout=seconds)

    def result(self) -> T:
        """Return what the call returned, or raise what it raised, once it is done."""
        assert self._ended is not None, "it is done"
        return self._ended.result()

    async def wait(self, dispose: Callable[[T], None] | None = None) -> T:
        """Return the call's result.

        Cancelling returns at once; a call that has begun goes on in its thread, told by its
        `Abandonment`, and its result goes to `dispose`.
        """
        if self._ended is not None:
            return self.result()
        try:
            return await self.answer()
        except asyncio.CancelledError:
            self.give_up(dispose)
            raise

    def answer(self) -> asyncio.Future[T]:
        """Return the answer to come; cancelled, a call that has not begun never does."""
        return asyncio.wrap_future(self._waited_for())

    def give_up(self, dispose: Callable[[T], None] | None) -> None:
        """Wait no more: the call is told, and what it still brings goes to `dispose`."""
        self._abandonment.abandoned = True
        if dispose is not None:
            self._waited_for().add_done_callback(lambda done: _dispose(done, dispose))

    def _waited_for(self) -> Future[T]:
        with self._lock:
            if self._future is None:
                self._future = Future()
                if self._begun:
                    self._future.set_running_or_notify_cancel()
                if self._ended is not None:
                    self._ended.tell(self._future)
            return self._future


_Jobs = queue.SimpleQueue[Job[Any] | None]


class DaemonPool:
    """At most `size` threads, started when needed; a call that is given up in the queue never runs.

    Notes
    -----
    Promises: P6.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        self._jobs: _Jobs = queue.SimpleQueue()
        self._idle: deque[None] = deque()  # one for each thread that waits, or is about to
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._most = CLEARED_UP_AT
        self._finalizer = weakref.finalize(self, _dismiss, self._jobs, self._threads)

    async def run(
        self, call: Callable[[Abandonment], T], dispose: Callable[[T], None] | None = None
    ) -> T:
        """Run a blocking call in a thread, as `Job.wait` says."""
        if runtime.has_threads():
            return await self.submit(call).wait(dispose)
        job = Job(call)
        try:
            await runtime.in_executor(job.carry_out)
        except asyncio.CancelledError:
            job.give_up(dispose)
            raise
        return await job.wait(dispose)

    def submit(self, call: Callable[[Abandonment], T]) -> Job[T]:
        """Begin a blocking call in a thread.

        Raises
        ------
        NoThreadError
            The pool has no thread, and the system gives it none. The call is not made.
        """
        job: Job[T] = Job(call)
        if self._jobs.qsize() >= self._most:
            self._clear_up()
        self._start_thread_if_needed()
        self._jobs.put(job)
        return job

    def close(self) -> None:
        """Let idle threads end; those that hang are left to themselves."""
        self._finalizer()

    def _clear_up(self) -> None:
        """Let go of calls that were given up in the queue: threads that hang never come to it."""
        with self._lock:
            waiting = []
            with contextlib.suppress(queue.Empty):
                while True:
                    waiting.append(self._jobs.get_nowait())
            left = [job for job in waiting if job is None or not job.is_given_up]
            for job in left:
                self._jobs.put(job)
            self._most = max(CLEARED_UP_AT, 2 * len(left))

    def _start_thread_if_needed(self) -> None:
        try:
            self._idle.pop()
        except IndexError:
            self._start_thread()

    def _start_thread(self) -> None:
        with self._lock:
            if len(self._threads) < self._size:
                thread = threading.Thread(
                    target=_work,
                    args=(self._jobs, self._idle),
                    name=f"resilient-{self._name}-{len(self._threads)}",
                    daemon=True,
                )
                try:
                    thread.start()
                except RuntimeError as error:  # one that is busy will do; the next call tries again
                    if not self._threads:
                        raise runtime.NoThreadError(str(error)) from None
                else:
                    self._threads.append(thread)


_pools: weakref.WeakSet[DaemonPool] = weakref.WeakSet()


def _begin_anew() -> None:
    """Forget the parent's threads, which do not exist in a forked child."""
    for pool in list(_pools):
        pool._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)


def _work(jobs: _Jobs, idle: deque[None]) -> None:
    def rest() -> None:
        idle.append(None)

    while (job := jobs.get()) is not None:
        # Who waits for the answer also waits for the interpreter's lock: nothing comes after it.
        job.carry_out(rest)
        del job  # its answer may be a large body


def _dispose(done: Future[T], dispose: Callable[[T], None]) -> None:
    if not done.cancelled() and done.exception() is None:
        dispose(done.result())


def _dismiss(jobs: _Jobs, threads: list[threading.Thread]) -> None:
    for _ in threads:
        jobs.put(None)
