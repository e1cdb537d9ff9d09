"""What a process may have under way at once (P6): tasks of one call, and requests to one backend.

A call asks each backend for one thing at a time, so its tasks are a few for each backend; an
operation works on `at_once` objects. A backend has so many places as its `max_concurrency` says.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections import Counter
from collections.abc import Callable, Coroutine, Generator, Iterator
from typing import Any, TypeVar

import attrs

from tests.model.world import PROCESS, ModelLoop, Process

T = TypeVar("T")

# A request is a task of the driver, one of its deadline, one that must not be interrupted, and
# one that is left to finish; the call itself, what goes on beside it, and what is noted.
OF_A_REQUEST, OF_A_CALL = 4, 4
# What works on several objects at once, and on how many: as the plan says, or as adopt does.
OPERATIONS = ("repair", "scrub", "evacuate")
ADOPTED_AT_ONCE = 3 * 8


@attrs.define
class Bounds:
    """Counts what each process has under way, and says where that is too much."""

    backends: int
    places: int
    at_once: int
    paths: tuple[str, ...]
    fail: Callable[[str], None]
    _tasks: dict[int, list[asyncio.Task[Any]]] = attrs.field(factory=dict)
    _requests: Counter[tuple[int, str]] = attrs.field(factory=Counter)
    _objects: dict[int, Counter[str]] = attrs.field(factory=dict)

    def tasks_of(self, verb: str) -> int:
        """Return how many tasks a process may have while it makes such a call."""
        objects = self.at_once if verb in OPERATIONS else 1
        if verb == "adopt":
            objects = ADOPTED_AT_ONCE
        return objects * (OF_A_CALL + OF_A_REQUEST * self.backends)

    def begun(self, process: Process, task: asyncio.Task[Any]) -> None:
        """Count a task; those that have ended are only looked for where there are too many."""
        live, most = self._tasks.setdefault(id(process), []), self.tasks_of(process.doing)
        live.append(task)
        if len(live) > most:
            live[:] = [one for one in live if not one.done()]
        if len(live) > most:
            self.fail(f"P6: {process.doing} has {len(live)} tasks, and {most} are enough")

    @contextlib.contextmanager
    def asked(self, backend: str, key: str) -> Iterator[None]:
        """Count a request to a backend for as long as it lasts."""
        process = PROCESS.get()
        if process is None:
            yield
            return
        where, path = (id(process), backend), key.rpartition("/")[2]
        objects = self._objects.setdefault(id(process), Counter())
        self._requests[where] += 1
        objects[path] += path in self.paths
        self._look(process, backend, self._requests[where], +objects)
        try:
            yield
        finally:
            self._requests[where] -= 1
            objects[path] -= path in self.paths

    def _look(self, process: Process, backend: str, requests: int, objects: Counter[str]) -> None:
        if requests > self.places:
            self.fail(f"P6: {requests} requests at once to {backend}, of {self.places} places")
        if process.doing in OPERATIONS and len(objects) > self.at_once:
            self.fail(f"P6: {process.doing} works on {[*objects]}, and on {self.at_once} at once")


class FleetLoop(ModelLoop):
    """A loop that counts the tasks of each process."""

    bounds: Bounds | None = None

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: object = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        task = super().create_task(coro, name=name, context=context)
        process = PROCESS.get() if context is None else context.get(PROCESS)
        if process is not None and self.bounds is not None:
            self.bounds.begun(process, task)
        return task
