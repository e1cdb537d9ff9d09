"""What a program does with a store while disks fail: several readers, one writer per path."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import Any

import attrs

import resilient_store as rs
from resilient_store.testing.simulation.loop import SimulatedLoop
from resilient_store.testing.simulation.world import CALL, KINDS, Fault, World

RULES = {"originals/{name}": ["previews/{name}", "thumbs/{name}"]}
PATHS = (
    ("originals/a.jpg", "previews/a.jpg", "notes/c.txt"),
    ("originals/b.jpg", "thumbs/a.jpg", "thumbs/b.jpg"),
)
READERS = 3
BUSY_S = 40.0
# After the last fault: long enough for the longest interval between two probes, twice.
RECOVERY_S = 180
CALL_AT_MOST_S = 1000.0
DRAWN = tuple(kind for kind in KINDS if kind != "ignores")  # by itself, for it may go with all


@attrs.define
class Call:
    """One call of the program, and how it ended."""

    name: str
    kind: str
    path: str
    started_s: float
    facts: dict[str, Any]
    ended_s: float = 0.0
    value: Any = attrs.field(default=None, repr=False)
    error: BaseException | None = None
    cancelled: bool = False
    before: dict[str, bytes | None] = attrs.field(factory=dict, repr=False)

    @property
    def ending(self) -> str:
        """Say how it ended, in a few words."""
        if self.cancelled:
            return "cancelled"
        if self.error is not None:
            return f"{type(self.error).__name__}: {self.error}"
        if isinstance(self.value, bytes):
            return f"{len(self.value)} bytes {self.value[:24]!r}"
        return f"{self.value!r}"[:200]


@attrs.frozen(kw_only=True)
class Setup:
    """A store as the seed draws it."""

    copies: int | None
    once: Any
    rule: bool
    hedge_after_s: float
    timeout_s: float
    holds_all: tuple[str, ...]
    places: int
    calm: bool


@attrs.define
class History:
    """Everything that an oracle may look at."""

    seed: int
    setup: Setup
    world: World
    loop: SimulatedLoop
    calls: list[Call] = attrs.field(factory=list)
    states: list[tuple[float, str, str, str]] = attrs.field(factory=list)
    faults_end_s: float = 0.0
    recovered: bool = False
    left: list[str] = attrs.field(factory=list)

    def is_closed(self, disk: str, kind: str, start_s: float, end_s: float) -> list[bool]:
        """Return each state of a breaker between two times: whether it was closed."""
        values = [True]
        for at_s, name, which, state in self.states:
            if (name, which) != (disk, kind):
                continue
            if at_s < start_s:
                values = [state == "closed"]
            elif at_s <= end_s:
                values.append(state == "closed")
        return values


class Program:
    """One run: draws a store and its faults, works, waits until all is well, and works again."""

    def __init__(self, seed: int) -> None:
        chance = self._chance = random.Random(f"workload {seed}")
        loop = SimulatedLoop(  # type: ignore[abstract] # what nobody here calls is not there
            seed, step_s=chance.choice([0.0, 1e-6, 1e-5]), tick_s=chance.choice([0.0, 1e-7])
        )
        self._loop = loop
        self._world = World(seed)
        count = chance.randint(1, 4)
        self._disks = [self._world.disk(f"d{n}", **self._disk_options()) for n in range(count)]
        setup = self._draw_setup(count)
        self.history = History(seed, setup, self._world, loop)
        self._paths: list[str] = [] if setup.once else [path for own in PATHS for path in own]
        self._fresh = 0

    def _disk_options(self) -> dict[str, Any]:
        chance = self._chance
        quick = chance.uniform(0.001, 0.03)
        return {
            "latency_s": (quick, quick * chance.choice([1, 3, 10])),
            "exclusive": chance.choice([True, True, True, None]),
            "unique_tags": chance.random() < 0.8,
            "flat": chance.random() < 0.8,
        }

    def _draw_setup(self, count: int) -> Setup:
        chance = self._chance
        once = chance.choice([False, False, False, True, "unique-names"])
        copies = None
        if once and chance.random() < 0.7:
            copies = chance.randint(count // 2 + 1 if once is True else 1, count)
        fewer = copies is not None and copies < count
        sure = () if fewer or chance.random() < 0.7 else (f"d{chance.randrange(count)}",)
        return Setup(
            copies=copies,
            once=once,
            rule=chance.random() < 0.5,
            hedge_after_s=chance.choice([0.05, 0.25, 1.0]),
            timeout_s=chance.choice([2.0, 10.0]),
            holds_all=sure,
            places=chance.choice([3, 32, 32, 32]),
            calm=chance.random() < 0.1,
        )

    def _draw_faults(self) -> None:
        """Draw what goes wrong: some kinds on some disks, now and then everything at once."""
        chance = self._chance
        if self.history.setup.calm:
            return
        for _ in range(chance.randint(1, 8)):
            start_s = chance.uniform(0.0, BUSY_S)
            length_s = chance.choice([0.5, 3.0, 12.0, 30.0])
            kind = chance.choice(DRAWN)
            key = chance.choice([None, None, self._a_path()])
            delay_s = chance.choice([0.5, 2.0, 8.0, 25.0])
            everywhere = chance.random() < 0.15
            for disk in self._disks if everywhere else [chance.choice(self._disks)]:
                disk.faults.append(Fault(start_s, start_s + length_s, kind, key, delay_s))
                if kind == "lost":
                    self._loop.call_at(start_s, self._lose, disk, key)
        self._draw_ignorance(random.Random(f"conditions {self.history.seed}"))
        ends_s = [fault.end_s for disk in self._disks for fault in disk.faults]
        self.history.faults_end_s = max(ends_s, default=0.0)

    def _draw_ignorance(self, chance: random.Random) -> None:
        """Let a disk keep to no condition for a while, beside all else that is wrong with it."""
        if chance.random() < 0.3:
            start_s = chance.uniform(0.0, BUSY_S)
            end_s = start_s + chance.choice([3.0, 12.0, BUSY_S])
            chance.choice(self._disks).faults.append(Fault(start_s, end_s, "ignores"))

    def _lose(self, disk: Any, key: str | None) -> None:
        count = self._world.injected
        for name in [name for name in disk.objects if key in (None, name)]:
            if not name.startswith(".resilient/"):
                disk.remove(name)
                count["lost"] = count.get("lost", 0) + 1

    def run(self) -> History:
        """Play it."""
        loop = self._loop
        self._draw_faults()
        loop.run_until_complete(self._main(), until_s=self.history.faults_end_s + 5000.0)
        self.history.left = [task.get_name() for task in loop.tasks_left()]
        return self.history

    def _open(self) -> rs.ResilientFileSystem:
        setup, history = self.history.setup, self.history

        def on_state(state: rs.BackendState) -> None:
            now_s = self._loop.time()
            history.states.append((now_s, state.backend, state.kind, state.state))

        backends = [
            rs.Backend(
                disk.filesystem,
                name=disk.name,
                domain=f"p{number % 3}/{disk.name}",
                holds_all=disk.name in setup.holds_all,
                timeout=setup.timeout_s,
                max_concurrency=setup.places,
            )
            for number, disk in enumerate(self._disks)
        ]
        return rs.ResilientFileSystem(
            backends,
            write=rs.WriteToAll(min_copies=setup.copies),
            read=rs.ReadFromFirstHealthy(hedge_after=setup.hedge_after_s),
            degraded=rs.DegradedRead(RULES) if setup.rule else None,
            write_once=setup.once,
            on_backend_state=on_state,
            asynchronous=True,
        )

    async def _main(self) -> None:
        fs = self._open()
        await self._together(
            *(self._write_for_a_while(fs, number) for number in range(len(PATHS))),
            *(self._read_for_a_while(fs) for _ in range(READERS)),
        )
        now_s = self._loop.time()
        await asyncio.sleep(max(0.0, self.history.faults_end_s - now_s) + 30.0)
        await self._recover(fs)
        await fs._close()

    async def _together(self, *calls: Any) -> None:
        tasks = [self._loop.create_task(call) for call in calls]
        await asyncio.wait(tasks)
        for task in tasks:
            task.result()

    async def call(
        self, kind: str, path: str, run: Callable[[], Awaitable[Any]], **facts: Any
    ) -> Call:
        """Carry out one call, cancel it perhaps, and write down how it ended."""
        history, loop = self.history, self._loop
        call = Call(f"call-{len(history.calls) + 1}", kind, path, loop.time(), facts)
        call.before = {
            d.name: found.data if (found := d.objects.get(path)) else None for d in self._disks
        }
        history.calls.append(call)

        async def work() -> Any:
            CALL.set(call.name)
            return await run()

        task = loop.create_task(work(), name=call.name)
        if self._chance.random() < 0.1 and facts.get("may_cancel", True):
            loop.call_later(
                self._chance.choice([0.02, 0.3, 5.0]) * self._chance.random(), task.cancel
            )
        await asyncio.wait([task], timeout=CALL_AT_MOST_S)
        call.ended_s = loop.time()
        if not task.done():
            call.error = TimeoutError("the call never ended")
        elif task.cancelled():
            call.cancelled = True
        elif (error := task.exception()) is not None:
            call.error = error
        else:
            call.value = task.result()
        loop.note(f"{call.name} {call.kind} {call.path} {call.ending}")
        return call

    # Writing

    def _a_path(self) -> str:
        paths = self._paths if getattr(self, "_paths", None) else ["originals/w0-1.jpg"]
        return self._chance.choice(paths)

    def _next_path(self, number: int) -> str:
        if not self.history.setup.once:
            return self._chance.choice(PATHS[number])
        self._fresh += 1
        folder = self._chance.choice(["originals", "previews", "notes"])
        path = f"{folder}/w{number}-{self._fresh if folder != 'previews' else self._fresh - 1}.jpg"
        if path in self._paths:
            path = f"notes/n{number}-{self._fresh}.jpg"
        self._paths.append(path)
        return path

    def _bytes(self, path: str) -> bytes:
        chance = self._chance
        mark = f"{len(self.history.calls)}:{path}|".encode()
        if chance.random() < 0.03:
            return b""
        if chance.random() < 0.002:
            return mark * (9_000_000 // len(mark))
        return mark + b"." * chance.choice([0, 0, 20, 3000])

    async def _write_for_a_while(self, fs: Any, number: int) -> None:
        chance = self._chance
        while self._loop.time() < BUSY_S:
            path = self._next_path(number)
            if not self.history.setup.once and chance.random() < 0.2:
                await self.call("delete", path, lambda path=path: fs._rm_file(path))  # type: ignore[misc]
            else:
                await self._write_once_or_again(fs, path)
            await asyncio.sleep(chance.expovariate(1.0))

    async def _write_once_or_again(self, fs: Any, path: str) -> None:
        data = self._bytes(path)
        kind = self._chance.choice(["write", "write", "write", "stream-write", "create"])
        for _ in range(3):
            call = await self.write(fs, kind, path, data)
            if (call.error is None and not call.cancelled) or self._chance.random() < 0.3:
                return
            await asyncio.sleep(self._chance.uniform(0.1, 4.0))

    async def write(self, fs: Any, kind: str, path: str, data: bytes, **facts: Any) -> Call:
        """Write in one of the ways that there are."""

        async def stream() -> Any:
            file = await fs.open_async(path, "wb")
            async with file:
                await file.write(data[: len(data) // 2])
                await file.write(data[len(data) // 2 :])
            return file.receipt

        run = {
            "write": lambda: fs._write(path, data),
            "create": lambda: fs._pipe_file(path, data, mode="create"),
            "stream-write": stream,
        }[kind]
        return await self.call(kind, path, run, data=data, **facts)

    # Reading

    async def _read_for_a_while(self, fs: Any) -> None:
        while self._loop.time() < BUSY_S + 10.0:
            if self._paths:
                await self.read(fs, self._chance.choice(self._paths[-12:]))
            await asyncio.sleep(self._chance.expovariate(2.0))

    async def read(self, fs: Any, path: str, kind: str | None = None, **facts: Any) -> Call:
        """Read in one of the ways that there are."""
        chance = self._chance
        kind = kind or chance.choice(
            ["read", "read", "read", "original", "cat", "range", "stream", "exists", "info", "find"]
        )
        start, end = chance.randint(0, 12), chance.choice([None, 9, 17, 2500])

        async def stream() -> bytes:
            async with await fs.open_async(path, "rb") as file:
                first = await file.read(7)
                await asyncio.sleep(chance.uniform(0.0, 0.5))
                rest: bytes = await file.read()
                return bytes(first) + rest

        run = {
            "read": lambda: fs._read(path),
            "original": lambda: fs._read(path, degraded=False),
            "cat": lambda: fs._cat_file(path),
            "range": lambda: fs._cat_file(path, start=start, end=end),
            "stream": stream,
            "exists": lambda: fs._exists(path),
            "info": lambda: fs._info(path),
            "find": lambda: fs._find(""),
        }[kind]
        return await self.call(kind, path, run, start=start, end=end, **facts)

    # When all is well again

    async def _recover(self, fs: Any) -> None:
        """Try until a write is acknowledged everywhere; then what was written must be there."""
        path, data = "notes/at-the-end.txt", b"all is well again"
        for _ in range(RECOVERY_S):
            call = await self.write(fs, "write", path, data, may_cancel=False)
            if call.error is None and not call.value.pending:
                self.history.recovered = True
                break
            await asyncio.sleep(1.0)
        for kind in ("read", "cat", "exists", "find"):
            await self.read(fs, path, kind, may_cancel=False, after_recovery=True)
        if not self.history.setup.once:
            await self.call(
                "delete", path, lambda: fs._rm_file(path), may_cancel=False, after_recovery=True
            )
            await self.read(fs, path, "read", may_cancel=False, after_recovery=True)


def play(seed: int) -> History:
    """Run a seed's program and return its history."""
    return Program(seed).run()
