"""Play a plan: the processes, then peace, then what must be true at the end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import attrs

import resilient_store as rs
from resilient_store.errors import (
    BackendsUnavailableError,
    CatalogUnavailableError,
    ConfigurationError,
    ObjectError,
)
from resilient_store.operations.adopt import adopt_all
from resilient_store.operations.drain import drain_one
from resilient_store.operations.evacuate import evacuate_all
from resilient_store.operations.freeze import freeze_store, thaw_store
from resilient_store.operations.rejoin import rejoin_one
from resilient_store.operations.repair import RepairReport, repair_all
from resilient_store.operations.restore import restore_all
from resilient_store.operations.scrub import scrub_all
from resilient_store.operations.snapshot import snapshot_all
from resilient_store.operations.sweep import sweep_all
from tests.model.fleet import judges
from tests.model.fleet.drawing import drawn
from tests.model.fleet.judges import Called
from tests.model.fleet.plan import ACTS, BUSY_S, CHANGES, OPERATOR, Plan, Step, Worker
from tests.model.fleet.restored import Before
from tests.model.fleet.world import FleetModel
from tests.model.run import bury, opened
from tests.model.world import LATE_WINDOW_S, LEASE_S, PROCESS, SKEW_S, Process, shown

# How long after each other repair runs when faults have stopped. Most that is left waits for a
# lease and a late window, and then for another late window.
PEACE_S = (
    0.4 * LATE_WINDOW_S,
    LEASE_S + LATE_WINDOW_S + 5,
    *[LATE_WINDOW_S + 5] * 2,
    *[0.4 * LATE_WINDOW_S] * 3,
)
SCRUBS = (1,)
ENDS_WITHIN_S = 1e6
NOTICED_WITHIN_S = 5.0  # that a process is dead
REMEMBERS_EVERY_S = 40.0
PIECE_BYTES = 1 << 20
NEVER_LATER_S = 200 * (LEASE_S + LATE_WINDOW_S) + BUSY_S


class FleetPlay:
    """One run of a plan.

    Attributes
    ----------
    model
        The world; `FleetModel.broken` says what was wrong.
    calls
        How many calls have ended.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.model = FleetModel(plan)
        self.calls = 0
        self._under_way: list[Called] = []
        self._warm: set[str] = set()  # the processes that have changed something before
        self._processes: list[Process] = []
        self._stores: list[rs.ResilientFileSystem] = []

    def run(self) -> FleetModel:
        """Play it."""
        loop = self.model.loop
        loop.run_until_complete(self._all(), until_s=ENDS_WITHIN_S)
        bury(self.model, self._processes, self._stores)
        return self.model

    async def _all(self) -> None:
        model = self.model
        model.put_behind()
        first = self._open()
        await first._exists("nothing")
        model.quiet_world = False
        model.began_s = model.loop.true_s()
        around = [model.loop.create_task(one) for one in (self._accidents(), self._memories())]
        if self.plan.restored:
            await self._snapshot(first)
        begun, later = self._shifts()
        await self._work(begun)
        if later:  # with new processes, and another configuration perhaps
            model.configured = model.names
            first = await self._restored() if self.plan.restored else self._open()
            await self._work(later)
        for task in around:
            if task.done():
                task.result()
            task.cancel()
        await self._peace(first)

    def _shifts(self) -> tuple[Sequence[Worker], Sequence[Worker]]:
        """Return who works before a backend is added or the catalog lost, and who afterwards."""
        workers = self.plan.workers
        if not self.plan.added and not self.plan.restored:
            return workers, ()
        half = [-(-len(one.steps) // 2) for one in workers]
        return [
            attrs.evolve(one, steps=one.steps[:at]) for one, at in zip(workers, half, strict=True)
        ], [
            attrs.evolve(one, name=f"{one.name}-later", steps=one.steps[at:])
            for one, at in zip(workers, half, strict=True)
        ]

    async def _work(self, workers: Sequence[Worker]) -> None:
        live = [self.model.loop.create_task(self._succession(worker)) for worker in workers]
        done, hung = await asyncio.wait(live, timeout=NEVER_LATER_S)
        for task in done:
            task.result()
        if hung:
            self.model.fail("P6: a process never came to its end")
        for task in hung:
            task.cancel()

    def _open(self) -> rs.ResilientFileSystem:
        self._stores.append(opened(self.model))
        return self._stores[-1]

    async def _accidents(self) -> None:
        acts = sorted((t for t in self.plan.troubles if t.kind in ACTS), key=lambda t: t.start_s)
        for act in acts:
            await asyncio.sleep(max(0.0, act.start_s - self.model.now_s()))
            self.model.act(act)

    async def _memories(self) -> None:
        """Keep what each backend held some time ago: a stale listing, or an old state."""
        while True:
            for disk in self.model.disks.values():
                disk.earlier = dict(disk.objects)
            await asyncio.sleep(REMEMBERS_EVERY_S)

    # The processes

    async def _succession(self, worker: Worker) -> None:
        """Run a worker; where its process dies, another takes its place."""
        left = list(worker.steps)
        for life in range(len(worker.crashes_at) + 1):
            process = Process(
                f"{worker.name}.{life}" if life else worker.name,
                number=len(self._processes),
                crashes_at=(*worker.crashes_at, 0)[life],
                pauses_at=worker.pauses_at[life] if life < len(worker.pauses_at) else 0,
            )
            process.died = died = self.model.loop.create_future()
            self._processes.append(process)
            context = contextvars.copy_context()
            context.run(PROCESS.set, process)
            context.run(SKEW_S.set, worker.skew_s)
            task = self.model.loop.create_task(
                self._live(process, self._open(), left), context=context
            )
            try:
                await asyncio.wait([task, died], return_when=asyncio.FIRST_COMPLETED)
            except asyncio.CancelledError:
                task.cancel()
                raise
            if not process.dead:
                task.result()
                return
            await asyncio.sleep(self.model.chance.uniform(0.0, NOTICED_WITHIN_S))

    async def _live(self, process: Process, fs: rs.ResilientFileSystem, left: list[Step]) -> None:
        while left:
            step = left.pop(0)
            await asyncio.sleep(step.wait_s)
            await self._call(process, fs, step)

    async def _call(self, process: Process, fs: rs.ResilientFileSystem, step: Step) -> None:
        model = self.model
        model.say(f"{step} begins")
        process.doing = step.verb
        call = self._begun(process, step)
        made = asyncio.ensure_future(self._made(fs, step))
        try:
            await asyncio.wait([made], timeout=step.cancel_s)
        finally:
            made.cancel()
        await asyncio.wait([made])
        if process.dead:
            return
        call.ended_s = model.loop.true_s()
        if made.cancelled():
            model.say(f"{step} is cancelled")
            model.met["cancelled"] += 1
            await self._cancelled(process, call)
            return
        error = made.exception()
        if error is None:
            call.value = made.result()
        elif isinstance(error, Exception):
            call.error = error
        else:
            raise error
        self.calls += 1
        self._ended(process, call)

    def _begun(self, process: Process, step: Step) -> Called:
        """Note what is true when a call begins."""
        model = self.model
        if step.text:
            model.remember(step.data)
        paths = {step.path, step.other} - {""} or {*model.paths}
        call = Called(
            step,
            model.loop.true_s(),
            holders=judges.holders(model, step.path) if step.path else frozenset(),
            paths=frozenset(paths),
            free=frozenset(path for path in paths if model.record(path).intent is None),
            is_first=process.name not in self._warm,
        )
        self._under_way.append(call)
        return call

    def _no_place(self, step: Step) -> type[Exception]:
        """Return what an evacuation may be refused by: all others may be taken out of use."""
        drained = {one.backends[0] for one in self.model.drained}
        others = {*self.model.configured} - drained
        is_alone = self.model.platforms(others) in ([], [self._going()])
        return ConfigurationError if step.verb == "evacuate" and is_alone else ObjectError

    def _going(self) -> str:
        """Return the platform that is evacuated: the first one."""
        return self.model.platforms(self.model.names[:1])[0]

    def _ended(self, process: Process, call: Called) -> None:
        """Judge a call that came to its end."""
        model, step, error = self.model, call.step, call.error
        said = shown(call.value) if error is None else f"{type(error).__name__}: {error}"
        model.say(f"{step} => {said}"[:200])
        call.was_stopped = process.paused_at_s >= call.started_s
        call.was_alone = self._is_alone(call)
        if step.verb in CHANGES and error is None:
            self._warm.add(process.name)
        if step.verb not in OPERATOR:
            for breach in judges.judge(model, call):
                model.fail(f"{step}: {breach}")
            call.value = None  # it is held no longer
        elif error is not None and not isinstance(error, ObjectError | self._no_place(step)):
            model.fail(f"{step} ended in {type(error).__name__}: {error}")

    async def _cancelled(self, process: Process, call: Called) -> None:
        """See that a cancelled call has left nothing for which others wait."""
        await asyncio.sleep(judges.CLEAN_AFTER_S)
        call.was_stopped = process.paused_at_s >= call.started_s
        if self._is_alone(call):
            for breach in judges.left_behind(self.model, call):
                self.model.fail(f"{call.step}: {breach}")

    def _is_alone(self, call: Called) -> bool:
        """Say whether nobody else was at work on a call's paths; who died there still is."""
        others = (one for one in self._under_way if one is not call and one.paths & call.paths)
        return not any(one.ended_s >= call.started_s for one in others)

    def _made(self, fs: rs.ResilientFileSystem, step: Step) -> Awaitable[Any]:
        path = step.path
        calls: dict[str, Callable[[], Awaitable[Any]]] = {
            "write": lambda: fs._write(path, step.data),
            "stream": lambda: _stream(fs, step),
            "delete": lambda: fs._rm_file(path),
            "move": lambda: fs._mv_file(path, step.other),
            "read": lambda: _read(fs, path),
            "cat": lambda: fs._cat_file(path),
            "range": lambda: fs._cat_file(path, *step.span),
            "open": lambda: _read_by_pieces(fs, path),
            "exists": lambda: fs._exists(path),
            "info": lambda: fs._info(path),
            "find": lambda: fs._find(""),
            "ls": lambda: _listed(fs, path),
            "repair": lambda: repair_all(fs.store, at_once=self.plan.at_once),
            "sweep": lambda: sweep_all(fs.store, 0.0),
            "adopt": lambda: adopt_all(fs.store),
            "rejoin": lambda: self._rejoin(fs),
            "scrub": lambda: scrub_all(fs.store, at_once=self.plan.at_once),
            "evacuate": lambda: evacuate_all(fs.store, (self._going(),), self.plan.at_once),
            "freeze": lambda: self._freeze(fs),
            "thaw": lambda: self._thaw(fs),
            "drain": lambda: self._drain(fs),
            "snapshot": lambda: self._snapshot(fs),
            "derive": lambda: self._derive(fs, step),
            "view": lambda: fs._read(path),
        }
        return calls[step.verb]()

    async def _rejoin(self, fs: rs.ResilientFileSystem) -> None:
        drained = [one.backends[0] for one in self.model.drained if one.end_s == math.inf]
        for name in (*self.model.gone_back, *drained):
            await rejoin_one(fs.store, name)
            self.model.take_back([name])

    async def _drain(self, fs: rs.ResilientFileSystem) -> None:
        name = self.model.chance.choice(list(fs.store.clients))
        self.model.drain(name)
        try:
            await drain_one(fs.store, name)
        except rs.ConfigurationError:  # without it there would be too few
            self.model.take_back([name])

    async def _derive(self, fs: rs.ResilientFileSystem, step: Step) -> None:
        original = await fs._read(step.other, degraded=False)
        origin = self.model.origins[step.data] = step.other, original.version
        await fs._write(step.path, step.data, derived_from=origin)

    async def _freeze(self, fs: rs.ResilientFileSystem) -> None:
        await freeze_store(fs.store, "a drill")
        self.model.frozen_since_s = self.model.loop.true_s()

    async def _thaw(self, fs: rs.ResilientFileSystem) -> None:
        self.model.frozen_since_s = None
        await thaw_store(fs.store)

    async def _snapshot(self, fs: rs.ResilientFileSystem) -> None:
        began_s = self.model.loop.true_s()
        await snapshot_all(fs.store)
        self.model.snapshot_s = began_s

    async def _restored(self) -> rs.ResilientFileSystem:
        """End every process, lose the catalog, and restore it, as the documentation says."""
        model = self.model
        model.quiet_world = True
        for process in self._processes:
            process.dead = True
        for late in list(model.lates):
            model.land(late)
        model.away = self.plan.away
        before = Before.of(model, self._under_way)
        model.say("the catalog is lost")
        model.lose_catalog()
        fs = self._open()
        report = await restore_all(fs.store)
        model.say(f"restored: {report}")
        for breach in before.judge(model, report):
            model.fail(breach)
        model.away = ""
        for path in report.vanished:
            if not await _is_back(fs, path):
                await fs._rm_file(path)
        model.look_again()
        state = await fs.store.known.state()
        assert state is not None
        for name in model.names:  # as the snapshot says
            if state.backend(name).drained:
                model.drain(name)
            else:
                model.take_back([name])
        await self._thaw(fs)
        model.quiet_world = False
        return fs

    # When faults have stopped

    async def _peace(self, fs: rs.ResilientFileSystem) -> None:
        """Late requests land, repair runs until nothing is left; then all must be as it should."""
        model = self.model
        model.quiet_world = True
        for late in list(model.lates):
            model.land(late)
        await thaw_store(fs.store)
        await self._rejoin(fs)
        if self.plan.away:  # what it held alone, nobody has looked at so far
            await adopt_all(fs.store)
        report = None
        for turn, wait_s in enumerate(PEACE_S):
            await asyncio.sleep(wait_s)
            try:
                if turn in SCRUBS and not self.plan.added:  # by itself repair finds what is new
                    await scrub_all(fs.store)
                report = await self._repaired(fs)
            except CatalogUnavailableError as error:
                model.fail(f"P7: {error}")
                return
            if report.done and turn >= max(SCRUBS):
                break
        left = {path for path in model.paths if judges.is_for_people(model, path)}
        if report is not None and not report.done and not (report.failed.keys() <= left):
            model.fail(f"P7: repair does not come to an end: {report}")
        for breach in judges.the_end(model):
            model.fail(breach)
        for path in model.paths:
            await self._call(Process("peace"), fs, Step("read", path))

    async def _repaired(self, fs: rs.ResilientFileSystem) -> RepairReport:
        report = await repair_all(fs.store)
        if self.plan.away and report.failed:  # somebody was at work on it before
            await adopt_all(fs.store)
        await sweep_all(fs.store, 0.0)
        return report


async def _is_back(fs: rs.ResilientFileSystem, path: str) -> bool:
    """Say whether what vanished can be read again: it lies on a backend that was away."""
    try:
        await fs._read(path, degraded=False)
    except BackendsUnavailableError:
        return False
    return True


async def _listed(fs: rs.ResilientFileSystem, path: str) -> list[str]:
    return [one["name"] for one in await fs._ls(path, detail=True)]


async def _read(fs: rs.ResilientFileSystem, path: str) -> bytes:
    return (await fs._read(path, degraded=False)).data


async def _read_by_pieces(fs: rs.ResilientFileSystem, path: str) -> bytes:
    async with await fs.open_async(path) as file:
        read = bytearray(await file.read(1) + await file.read(1))
        while piece := await file.read(PIECE_BYTES):
            read += piece
        return bytes(read)


async def _stream(fs: rs.ResilientFileSystem, step: Step) -> None:
    data = step.data
    piece = 1 if step.size is None else step.size // 3
    async with await fs.open_async(step.path, "wb") as file:
        for at in range(0, len(data), piece):
            await file.write(data[at : at + piece])


def played(plan: Plan) -> FleetPlay:
    """Play a plan without the collector of garbage, which ends what it finds when it likes."""
    gc.disable()
    try:
        play = FleetPlay(plan)
        play.run()
    finally:
        gc.enable()
    return play


def smallest(plan: Plan, broken: str, most: int = 300) -> FleetPlay:
    """Make a plan smaller for as long as the same promise is broken; play what is left."""
    promise = _promise(broken)
    best, tries = played(plan), 0
    is_smaller = True
    while is_smaller and tries < most:
        is_smaller = False
        for one in best.plan.smaller():
            tries += 1
            play = played(one)
            if promise in map(_promise, play.model.broken):
                best, is_smaller = play, True
                break
            if tries >= most:
                break
    return best


def _promise(broken: str) -> str:
    """Return which promise it was: P1 to P9, or liveness."""
    words = broken.replace(":", " ").split()
    known = ("liveness", *(f"P{number}" for number in range(1, 10)))
    return next((word for word in words if word in known), broken)


def play(seed: int) -> FleetPlay:
    """Play a seed."""
    return played(drawn(seed))
