"""An event loop without a clock of its own: time jumps, and a seed picks who runs next.

Two runs of one seed do the same, step by step; their traces can be compared. Nothing of
asyncio is patched: tasks, futures, locks, timeouts and waits are its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
import hashlib
import heapq
import itertools
import random
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, TypeVar

import attrs

from resilient_store.testing.simulation.handles import Soon, Timed, label, waits_for

T = TypeVar("T")

MAX_STEPS = 5_000_000
EPOCH = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
# How long a call in an executor takes, at most.
EXECUTOR_S = 0.01
HASHED_AT_ONCE = 1024  # so many notes of a trace
RARELY = 0.05  # how often an unlikely branch is taken


class SimulationError(Exception):
    """The simulated program cannot go on."""


class DeadlockError(SimulationError):
    """Nobody can run and no timer is set; the text names what each task waits for."""


class EndlessError(SimulationError):
    """More steps were run than any honest program needs."""


@attrs.define
class SimulatedRuntime:
    """Time, chance and ids, all of them the seed's (see `resilient_store.runtime`).

    With `run_blocking` set, blocking calls go through it in place of the loop's executor.
    """

    _loop: SimulatedLoop
    _random: random.Random
    _rare: random.Random
    run_blocking: Callable[[Callable[[], Any]], Coroutine[Any, Any, Any]] | None = None

    def wall(self) -> dt.datetime:
        """Return the simulated wall clock."""
        return EPOCH + dt.timedelta(seconds=self._loop.time())

    def new_id(self) -> str:
        """Return 32 hexadecimal digits."""
        return f"{self._random.getrandbits(128):032x}"

    def uniform(self, low: float, high: float) -> float:
        """Draw a number."""
        return self._random.uniform(low, high)

    def rarely(self, what: str) -> bool:
        """Take the unlikely branch, now and then."""
        return self._rare.random() < RARELY


class SimulatedLoop(asyncio.AbstractEventLoop):
    """asyncio with virtual time; the seed picks which ready callback runs next.

    Parameters
    ----------
    seed
        Decides every choice.
    step_s
        Seconds that each step takes; 0 where a test counts time exactly.
    tick_s
        Seconds that each look at the clock takes, so that no two looks see the same time.
    max_steps
        A run of more steps ends in `EndlessError`.

    Attributes
    ----------
    complaints
        What asyncio told the exception handler: must be empty at the end.
    steps
        Callbacks run so far.
    resilient_runtime
        Taken by `resilient_store.runtime` in place of the real one.

    Notes
    -----
    Source: the loop of FoundationDB's simulator, and trio's autojump clock.
    """

    def __init__(
        self, seed: int, *, step_s: float = 0.0, tick_s: float = 0.0, max_steps: int = MAX_STEPS
    ) -> None:
        self.seed = seed
        self.steps = 0
        self.complaints: list[dict[str, Any]] = []
        self.resilient_runtime = SimulatedRuntime(
            self, random.Random(f"runtime {seed}"), random.Random(f"rarely {seed}")
        )
        self._random = random.Random(f"loop {seed}")
        self._step_s = step_s
        self._tick_s = tick_s
        self._max_steps = max_steps
        self._now_s = 0.0
        self._ready: list[asyncio.Handle] = []
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._order = itertools.count()
        self._names = itertools.count(1)
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._later: list[tuple[int, Callable[[], object]]] = []
        self._hash = hashlib.blake2b(digest_size=16)
        self._noted: list[str] = []
        self._closed = False
        self._running = False

    # What asyncio asks of a loop

    def time(self) -> float:
        """Return the virtual time in seconds."""
        self._now_s += self._tick_s
        return self._now_s

    def get_debug(self) -> bool:
        """Say no: debugging asks the real clock."""
        return False

    def is_running(self) -> bool:
        """Say whether `run_until_complete` is at work."""
        return self._running

    def is_closed(self) -> bool:
        """Say whether `close` was called."""
        return self._closed

    def close(self) -> None:
        """End the loop; what was scheduled never runs."""
        self._closed = True
        self._ready.clear()
        self._timers.clear()

    def create_future(self) -> asyncio.Future[Any]:
        """Return a future of this loop."""
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        """Start a task; unnamed ones are numbered, the same in every run of a seed."""
        number = next(self._names)
        label = f"task-{number}" if name is None else str(name)
        task: asyncio.Task[T] = asyncio.Task(coro, loop=self, name=label, context=context)
        self._tasks[task] = None
        return task

    def call_soon(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Make a callback ready; the seed decides when its turn comes."""
        handle = Soon(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_soon_threadsafe(  # type: ignore[override]
        self,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        """Make a callback ready; everything happens in one thread here."""
        return self.call_soon(callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Make a callback ready at a time."""
        return self._put_off(when, callback, args, context)

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Make a callback ready after so many seconds."""
        return self.call_at(self._now_s + delay, callback, *args, context=context)

    def _put_off(
        self,
        when: float,
        callback: Callable[..., object],
        args: tuple[Any, ...],
        context: contextvars.Context | None,
    ) -> asyncio.TimerHandle:
        handle = Timed(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._order), handle))
        return handle

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Run a blocking call as an event of its own, a moment later."""
        future: asyncio.Future[T] = self.create_future()

        def run() -> None:
            if future.cancelled():
                return
            try:
                future.set_result(func(*args))
            except Exception as error:
                future.set_exception(error)

        self.call_later(self._random.uniform(0.0, EXECUTOR_S), run)
        return future

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep a complaint."""
        self.complaints.append(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """Keep a complaint."""
        self.complaints.append(context)

    async def shutdown_asyncgens(self) -> None:
        """Do nothing: generators are closed when they are dropped."""

    # What a simulation adds

    @property
    def trace(self) -> str:
        """A hash of everything that ran so far, and when."""
        self._hash_notes()
        return self._hash.hexdigest()

    def note(self, text: str) -> None:
        """Put something into the trace."""
        self._noted.append(text)
        if len(self._noted) >= HASHED_AT_ONCE:
            self._hash_notes()

    def _hash_notes(self) -> None:
        self._noted.append("")  # each ends its line
        self._hash.update("\n".join(self._noted).encode())
        self._noted.clear()

    def after_steps(self, count: int, callback: Callable[[], object]) -> None:
        """Call something once so many further steps were run."""
        self._later.append((self.steps + count, callback))

    def tasks_left(self) -> list[asyncio.Task[Any]]:
        """Return the tasks that have not ended, in the order they were started."""
        return [task for task in self._tasks if not task.done()]

    def run_until_complete(  # type: ignore[override]
        self, future: Coroutine[Any, Any, T], *, until_s: float | None = None
    ) -> T:
        """Run until a coroutine has ended, and return its result.

        Parameters
        ----------
        future
            What to run.
        until_s
            A virtual time by which it must have ended.

        Raises
        ------
        DeadlockError
            Everybody waits, and nothing will ever happen.
        EndlessError
            It takes more steps, or more virtual time, than allowed.
        """
        with _Running(self):
            task = self.create_task(future, name="main")
            is_done, step = task.done, self._step
            while not is_done():
                step(until_s)
            return task.result()

    def run_for(self, seconds: float) -> None:
        """Let so much virtual time pass."""

        async def wait() -> None:
            await asyncio.sleep(seconds)

        self.run_until_complete(wait())

    def _step(self, until_s: float | None) -> None:
        # Everything else waits for this: what is the same in each step is written out here.
        ready, timers = self._ready, self._timers
        if timers and timers[0][0] <= self._now_s:
            self._take_due_timers()
        if not ready:
            self._jump()
        if until_s is not None and self._now_s > until_s:
            raise EndlessError(f"not done at {self._now_s:.3f} s:\n{self._who_waits()}")
        count = len(ready)
        handle = ready.pop(int(self._random.random() * count)) if count > 1 else ready.pop()
        if handle._cancelled:
            return
        self.steps += 1
        self._now_s += self._step_s
        if self.steps > self._max_steps:
            raise EndlessError(f"more than {self._max_steps} steps:\n{self._who_waits()}")
        owner = getattr(handle._callback, "__self__", None)  # type: ignore[attr-defined]
        task = owner if isinstance(owner, asyncio.Task) else None  # whose next step it is
        noted = self._noted
        noted.append(label(handle) if task is None else task.get_name())
        if len(noted) >= HASHED_AT_ONCE:
            self._hash_notes()
        self._run_handle(handle)
        if task is not None and task.done():
            self._tasks.pop(task, None)
        if self._later:
            self._call_later_ones()

    def _call_later_ones(self) -> None:
        due = [callback for step, callback in self._later if step <= self.steps]
        self._later = [(s, c) for s, c in self._later if s > self.steps]
        for callback in due:
            callback()

    def _run_handle(self, handle: asyncio.Handle) -> None:
        handle._run()

    def _take_due_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self._now_s:
            self._ready.append(heapq.heappop(self._timers)[2])

    def _jump(self) -> None:
        """Let time pass until the next timer: everybody waits."""
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
        if not self._timers:
            raise DeadlockError(f"everybody waits for ever:\n{self._who_waits()}")
        self._now_s = max(self._now_s, self._timers[0][0])
        self.note(repr(self._now_s))
        self._take_due_timers()

    def _who_waits(self) -> str:
        return "\n".join(f"  {task.get_name()}: {waits_for(task)}" for task in self.tasks_left())

    def _first_iteration(self, generator: AsyncGenerator[Any, Any]) -> None:
        """Keep nothing: a dropped generator says so itself."""

    def _finalize(self, generator: AsyncGenerator[Any, Any]) -> None:
        if not self._closed:
            self.create_task(generator.aclose())


class _Running:
    """The loop is the running one of this thread, and closes dropped async generators."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop

    def __enter__(self) -> None:
        self._before = asyncio._get_running_loop()
        asyncio._set_running_loop(self._loop)
        self._loop._running = True
        self._hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(self._loop._first_iteration, self._loop._finalize)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        sys.set_asyncgen_hooks(*self._hooks)
        self._loop._running = False
        asyncio._set_running_loop(self._before)
