"""What a process may have under way at once (P6): tasks of one call, and requests to one backend.

A call asks each backend for one thing at a time, so its tasks are a few for each backend; an
operation works on `at_once` objects. A backend has so many places as its `max_concurrency` says.
Of what backends hand out, a process holds at most 64 MiB for each object, whatever its size.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
from collections import Counter
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

import attrs

from tests.model.world import PROCESS, ModelLoop, Process

T = TypeVar("T")

# A request is a task of the driver, one of its deadline, one that must not be interrupted, one
# that is left to finish, and a probe; then the call itself, and what goes on beside it.
OF_A_REQUEST, OF_A_CALL = 6, 8
# What works on several objects at once, and on how many: as the plan says, or as adopt does.
OPERATIONS = ("repair", "scrub", "evacuate")
ADOPTED_AT_ONCE = 3 * 8
HELD_BYTES = 64 << 20  # what tests/resources allow a stream: a few blocks, and copies of parts


class Held(bytes):
    """What a backend has handed out, and any part of it, for as long as somebody holds it."""

    counts: Counter[int]
    whose: int

    @classmethod
    def counted(cls, data: bytes, counts: Counter[int], whose: int) -> Held:
        held = cls(data)
        held.counts, held.whose = counts, whose
        counts[whose] += len(held)
        return held

    def __getitem__(self, part: Any) -> Any:
        found = super().__getitem__(part)
        return self.counted(found, self.counts, self.whose) if isinstance(found, bytes) else found

    def __del__(self) -> None:
        self.counts[self.whose] -= len(self)


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
    _held: Counter[int] = attrs.field(factory=Counter)
    _objects: dict[int, Counter[str]] = attrs.field(factory=dict)
    _of_one_object: int = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._of_one_object = OF_A_CALL + OF_A_REQUEST * self.backends

    def tasks_of(self, verb: str) -> int:
        """Return how many tasks a process may have while it makes such a call."""
        return self._objects_of(verb) * self._of_one_object

    def bytes_of(self, verb: str) -> int:
        """Return how many bytes it may hold."""
        return self._objects_of(verb) * HELD_BYTES

    def _objects_of(self, verb: str) -> int:
        if verb == "adopt":
            return ADOPTED_AT_ONCE
        return self.at_once if verb in OPERATIONS else 1

    def begun(self, process: Process, task: asyncio.Task[Any]) -> None:
        """Count a task; those that have ended are only looked for where there are too many."""
        live = self._tasks.setdefault(id(process), [])
        live.append(task)
        if len(live) <= self._of_one_object:  # as ever, nearly
            return
        most = self.tasks_of(process.doing)
        if len(live) > most:
            live[:] = [one for one in live if not one.done()]
        if len(live) > most:
            self.fail(f"P6: {process.doing} has {len(live)} tasks, and {most} are enough")

    def handed_out(self, data: bytes) -> bytes:
        """Count bytes for as long as anybody holds them; nobody may hold too many."""
        process = PROCESS.get()
        if process is None:
            return data
        held, most = Held.counted(data, self._held, id(process)), self.bytes_of(process.doing)
        if self._held[held.whose] > most:
            gc.collect()  # nobody holds what only holds itself
        if self._held[held.whose] > most:
            count = self._held[held.whose]
            self.fail(f"P6: {process.doing} holds {count} bytes, and {most} are enough")
        return held

    def asked(self, backend: str, key: str) -> _Asked:
        """Count a request to a backend for as long as it lasts."""
        return _Asked(self, PROCESS.get(), backend, key.rpartition("/")[2])

    def _count(self, process: Process, backend: str, path: str, by: int) -> None:
        where, objects = (id(process), backend), self._objects.setdefault(id(process), Counter())
        self._requests[where] += by
        if path in self.paths:
            objects[path] += by
        if by > 0:
            self._look(process, backend, self._requests[where], objects)

    def _look(self, process: Process, backend: str, requests: int, objects: Counter[str]) -> None:
        if requests > self.places:
            self.fail(f"P6: {requests} requests at once to {backend}, of {self.places} places")
        if process.doing in OPERATIONS and len(+objects) > self.at_once:
            self.fail(f"P6: {process.doing} works on {[*+objects]}, and on {self.at_once} at once")


@attrs.frozen
class _Asked:
    """One request; there are so many that a generator would take its time."""

    bounds: Bounds
    process: Process | None
    backend: str
    path: str

    def __enter__(self) -> None:
        if self.process is not None:
            self.bounds._count(self.process, self.backend, self.path, 1)

    def __exit__(self, *_: object) -> None:
        if self.process is not None:
            self.bounds._count(self.process, self.backend, self.path, -1)


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
