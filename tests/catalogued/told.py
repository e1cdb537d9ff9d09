"""The model's world, in which exactly that goes wrong which a test tells: one trace, step by step.

What is true meanwhile, and when all faults have stopped, is judged as in every run of the model.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import math
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

import resilient_store as rs
from resilient_store.catalog.contract import CommitUnknownError
from resilient_store.model.step import Step
from resilient_store.runtime import at_each_step
from tests.model.run import Play
from tests.model.scenarios import Scenario
from tests.model.world import (
    LAST_MOMENT_S,
    LATE_WINDOW_S,
    LEASE_S,
    PATH,
    PROCESS,
    SKEW_S,
    Late,
    ModelDisk,
    ModelFamily,
    Process,
    with_its_source,
)

OLD, X, Y = b"a", b"x", b"y"
LEASE_IS_OVER_S = LEASE_S + 5
ALL_IS_QUIET_S = LEASE_S + LATE_WINDOW_S + 5
TRACE_LINES = 60
ENDS_WITHIN_S = 5000.0

Send = Callable[[], Awaitable[Any]]
Fate = Callable[["Sending"], Awaitable[Any]]
Story = Callable[["Told"], Awaitable[None]]


@attrs.frozen
class Sending:
    """A request that is about to be sent."""

    told: Told
    disk: str
    verb: str
    key: str
    work: Callable[[], Any]
    send: Send

    def keep(self) -> None:
        """Let it be carried out later, whoever waits for it; a copy has read its source by then."""
        model = self.told.model
        land = with_its_source(model.disks[self.disk], self.work)
        dead_s = model.loop.true_s() + LAST_MOMENT_S
        late = Late(self.disk, self.verb, self.key, land, dead_s, after_commit=False)
        model.lates.append(late)


# What may become of a request


async def times_out(sending: Sending) -> None:
    """Let nobody hear of it; it is still under way."""
    sending.keep()
    await sending.told.model.loop.create_future()


async def is_sent_twice(sending: Sending) -> Any:
    answer = await sending.send()
    sending.keep()
    return answer


async def is_refused(_: Sending) -> None:
    raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")


async def dies_before(_: Sending) -> None:
    """Let its process die just before it is sent."""
    process = PROCESS.get()
    assert process is not None
    process.dead = True
    await asyncio.sleep(0)


async def stops_its_process(sending: Sending) -> Any:
    """Let its process stop as soon as it is answered."""
    try:
        return await sending.send()
    finally:
        await sending.told.stop()


def sets(event: asyncio.Event) -> Fate:
    """Let others know as soon as it is answered."""

    async def becomes(sending: Sending) -> Any:
        answer = await sending.send()
        event.set()
        return answer

    return becomes


def after(action: Callable[[], Awaitable[Any]], fate: Fate | None = None) -> Fate:
    """Let something else happen first."""

    async def becomes(sending: Sending) -> Any:
        await action()
        return await (sending.send() if fate is None else fate(sending))

    return becomes


class ToldDisk(ModelDisk):
    told: Told

    def family(self) -> ToldFamily:
        return ToldFamily(self)


class ToldFamily(ModelFamily):
    async def request(self, verb: str, key: str, work: Callable[[], Any], **options: Any) -> Any:
        def send() -> Awaitable[Any]:
            return ModelFamily.request(self, verb, key, work, **options)

        disk = self._disk
        fate = disk.told.plans.pop((verb, disk.name, key), None)
        if fate is None:
            return await send()
        disk.model.say(f"{verb} {key} @{disk.name}: {fate.__name__}")
        return await fate(Sending(disk.told, disk.name, verb, key, work, send))


class Told(Play):
    """Two backends, and three processes of one store.

    Parameters
    ----------
    scenario
        What it begins with: `init`, `complete`, `min_copies`, `lying`.

    Attributes
    ----------
    plans
        What becomes of the next request of this verb, to this disk, for this key.
    """

    def __init__(self, **scenario: Any) -> None:
        programs = (("write", "x"), ("write", "y"), ("repair",))
        super().__init__(Scenario(programs=programs, **scenario), seed=0)
        model = self.model
        model.disks = {name: ToldDisk(model, name, conditions=False) for name in model.names}
        for disk in model.disks.values():
            disk.told = self
        model.loop.resilient_runtime.run_blocking = self._catalog
        self._processes = [Process(name, number=n) for n, name in enumerate(("W1", "W2", "R"))]
        self.plans: dict[tuple[str, str, str], Fate] = {}
        self._stopped = [asyncio.Event() for _ in self._processes]
        self._loses_an_answer = False
        self._stops_when: Callable[[], object] | None = None

    def play(self, story: Story) -> None:
        """Tell the story; then all faults stop, and everything must be as it should."""
        try:
            self.model.loop.run_until_complete(self._told(story), until_s=ENDS_WITHIN_S)
        finally:
            at_each_step(None)
            self._bury()
        assert self.model.broken == [], "\n".join(self.model.trace[-TRACE_LINES:])

    async def _told(self, story: Story) -> None:
        await self._begin()
        others = self.model.loop.create_task(self._all_along())
        await asyncio.sleep(LATE_WINDOW_S + 1)  # what it begins with is quiet by then
        await story(self)
        others.cancel()
        left = (self.plans, self._loses_an_answer, self._stops_when)
        assert left == ({}, False, None), "not all came about that was told"
        await self._peace()

    # What a story is made of

    def plan(self, verb: str, disks: str, fate: Fate, key: str = PATH) -> None:
        """Say what becomes of the next request of this kind to each of these disks."""
        self.plans |= {(verb, disk, key): fate for disk in disks}

    def is_down(self, name: str, seconds: float = math.inf) -> None:
        """Let a backend refuse everything for so long from now on."""
        self.model.down_until_s[name] = self.model.loop.true_s() + seconds

    def at(self, step: Step, act: Callable[[], object]) -> None:
        """Do something once, when any process passes a step."""

        def hook(reached: Step) -> None:
            if reached is step:
                at_each_step(None)
                act()

        at_each_step(hook)

    def start(
        self, number: int, call: Callable[[rs.ResilientFileSystem], Awaitable[Any]]
    ) -> asyncio.Task[Any]:
        """Let a process make a call."""

        async def run() -> Any:
            PROCESS.set(self._processes[number])
            SKEW_S.set(self._skews_s[number])
            return await call(self._ready[number])

        return self.model.loop.create_task(run(), context=contextvars.Context())

    def write(self, number: int, data: bytes) -> asyncio.Task[Any]:
        return self.start(number, lambda fs: fs._write(PATH, data))

    def delete(self, number: int) -> asyncio.Task[Any]:
        return self.start(number, lambda fs: fs._rm_file(PATH))

    def repair(self, number: int) -> asyncio.Task[Any]:
        return self.start(number, self._repair)

    def read(self, number: int) -> asyncio.Task[Any]:
        """Read, and wait until what was seen is recorded."""

        async def call(fs: rs.ResilientFileSystem) -> bytes:
            try:
                return await fs._cat_file(PATH)
            finally:
                await asyncio.gather(*fs.store.tails)

        return self.start(number, call)

    async def stop(self) -> None:
        """Stop the process that runs, as if its machine was busy; `goes_on` wakes it."""
        self.stop_soon()
        await asyncio.sleep(0)

    def stop_soon(self) -> None:
        """Stop it as soon as it waits for anything."""
        process = PROCESS.get()
        assert process is not None
        self.model.say("is stopped")
        process.paused_until_s = math.inf
        self._stopped[process.number].set()

    def stops_when(self, is_so: Callable[[], object]) -> None:
        """Stop the process after whose question to the catalog something is so."""
        self._stops_when = is_so

    def lose_an_answer(self) -> None:
        """Let the catalog do what it is asked next, and nobody hear of it."""
        self._loses_an_answer = True

    async def is_stopped(self, number: int) -> None:
        """Wait until a process was stopped."""
        await self._stopped[number].wait()

    def goes_on(self, number: int) -> None:
        """Let a process that was stopped go on: first with what it was about to do."""
        process = self._processes[number]
        process.paused_until_s = 0.0
        handles, process.left = process.left, []
        now_s = self.model.loop.true_s()
        for turn, handle in enumerate(handles):
            when_s = now_s + turn * 0.001
            self.model.loop.call_at_true(when_s, _run, handle, context=contextvars.Context())

    def land(self) -> None:
        """Let everything land that is under way."""
        assert self.model.lates
        for late in list(self.model.lates):
            self.model.land(late)

    # What is so

    def held(self) -> list[bytes | None]:
        """Return what lies at the own keys."""
        return [self.model.held(name, PATH) for name in self.model.names]

    def keeps(self, name: str, data: bytes) -> bool:
        """Say whether a disk has these bytes anywhere."""
        return data in [one.data for one in self.model.disks[name].objects.values()]

    def states(self) -> list[str]:
        record = self.model.record()
        return [record.replica(name).state.value for name in self.model.names]

    async def _catalog(self, call: Callable[[], Any]) -> Any:
        if self._loses_an_answer and PROCESS.get() is not None:
            self._loses_an_answer = False
            call()
            self.model.look()
            raise CommitUnknownError("lost")
        answer = await self.model._catalog_call(call)
        if self._stops_when is not None and PROCESS.get() is not None and self._stops_when():
            self._stops_when = None
            await self.stop()
        return answer


def _run(handle: asyncio.Handle) -> None:
    if not handle.cancelled():
        handle._run()
