"""One path, a few simulated backends, several processes, and requests that land when they will.

The real code runs on a simulated loop: only time, chance, the backends and the catalog's file are
replaced. A *late request* timed out for its caller, and is carried out at a moment that does
harm: after another process's next commit, or just before the late window ends.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import functools
import random
import reprlib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any, TypeVar

import attrs

import resilient_store as rs
from resilient_store.backends.contract import ChangedError
from resilient_store.catalog.contract import CatalogDownError, CommitUnknownError
from resilient_store.catalog.database import SqlDatabase
from resilient_store.catalog.location import locate
from resilient_store.catalog.sqlite import SqliteDriver
from resilient_store.model.checksum import ChunkedChecksum
from resilient_store.model.path import RESERVED
from resilient_store.model.state import OWN, Record, Replica
from resilient_store.testing.simulation.family import SimulatedFamily
from resilient_store.testing.simulation.loop import SimulatedLoop
from resilient_store.testing.simulation.world import CHANGING, SimulatedDisk, World

PATH, OTHER = "o", "p"  # there is a second one where objects move
TIMEOUT_S = 2.0
LEASE_S = 20.0
LATE_WINDOW_S = 100.0
LATENCY_S = 0.01
PLACES = 32  # of a backend, as by default
LAST_MOMENT_S = LATE_WINDOW_S * 0.95  # no request is under way any longer
OWN_KEY_VERBS = ("put", "finish", "publish", "delete")


@attrs.define(eq=False)
class Process:
    """One program's process; a dead one's requests are never sent, and nothing wakes it."""

    name: str
    dead: bool = False
    paused_until_s: float = 0.0
    number: int = 0
    paused_at_s: float = 0.0
    wakes_on_change: bool = False
    crashes_at: int = 0
    pauses_at: int = 0
    died: asyncio.Future[None] | None = None
    doing: str = ""
    crash_points: int = 0
    pause_points: int = 0
    left: list[asyncio.Handle] = attrs.field(factory=list)


PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("PROCESS", default=None)
T = TypeVar("T")

SKEW_S: contextvars.ContextVar[float] = contextvars.ContextVar("SKEW_S", default=0.0)
RESOLUTION_S = 1e-9
SHOWN = 24
MAX_STEPS = 1_000_000  # fifty times as many as runs take
SKEWS_S = (-86_400.0, -3.0, 0.0, 40.0, 1e6)


class ModelLoop(SimulatedLoop):
    """A loop on which a dead process never runs again, and a paused one not before it wakes.

    Whatever a process has started carries its name in its context, so that no timer, answer or
    clean-up of a dead one does anything; and what its machine's clock is wrong by.
    """

    def time(self) -> float:
        return self._now_s + SKEW_S.get()  # no look takes time here

    def true_s(self) -> float:
        """Return what no process can know."""
        return self._now_s

    def call_at(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        return self._put_off(when - SKEW_S.get(), callback, args, context)

    def call_at_true(
        self,
        when: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        """Call something when it is so late in truth."""
        return self._put_off(when, callback, args, context)

    def call_later(
        self,
        delay: float,
        callback: Callable[..., object],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        # Not less, or a rounded rest of a deadline would never pass.
        return self._put_off(self._now_s + max(delay, RESOLUTION_S), callback, args, context)

    def _run_handle(self, handle: asyncio.Handle) -> None:
        process = handle._context.get(PROCESS)
        if process is not None and (process.dead or self._now_s < process.paused_until_s):
            process.left.append(handle)
        else:
            handle._run()


class _Short(reprlib.Repr):
    """Writes values as a person reads them: of many bytes, the first and how many there are."""

    def repr_bytes(self, data: bytes, _: int) -> str:
        return repr(data) if len(data) <= SHOWN else f"{data[:SHOWN]!r}... ({len(data)} bytes)"


shown = _Short().repr


def checksum(data: bytes) -> str:
    """Return the checksum that a catalog keeps of these bytes."""
    found = ChunkedChecksum()
    found.update(data)
    return found.text


@attrs.define
class Late:
    """A request that is still under way although nobody waits for it."""

    disk: str
    verb: str
    key: str
    work: Callable[[], object]
    dead_s: float
    after_commit: bool


class ModelDatabase(SqlDatabase):
    """The catalog.

    Attributes
    ----------
    changed
        The paths that somebody has asked to change since they were looked at.
    written
        Those of them of which not all rows are as they were when they were read.
    """

    def __init__(self, driver: SqliteDriver) -> None:
        super().__init__(driver)
        self.changed: set[str] = set()
        self.written: set[str] = set()
        assert driver._memory is not None
        self._raw = driver._memory.raw

    def change(self, paths: Sequence[str], *arguments: Any) -> Any:
        self.changed.update(paths)
        before = self._raw.total_changes
        try:
            return super().change(paths, *arguments)
        finally:
            if self._raw.total_changes != before:
                self.written.update(paths)


class Model:
    """The world of one run, and what is true in it.

    Parameters
    ----------
    seed
        Decides every choice.
    budget
        How many faults of each kind: late, dup, crash, pause, unknown-commit, down.
    """

    loop_type = ModelLoop

    def __init__(
        self,
        seed: int,
        budget: dict[str, int],
        *,
        backends: int = 2,
        conditions: bool = False,
        paths: tuple[str, ...] = (PATH,),
    ) -> None:
        self.chance = random.Random(f"model {seed}")
        self.loop = self.loop_type(seed, max_steps=MAX_STEPS)
        self.loop.resilient_runtime.run_blocking = self._catalog_call
        self.world = World(seed)
        self.budget = dict(budget)
        self.names = tuple("abc"[:backends])
        self.configured = self.names  # one may come to them later
        self.places = PLACES
        self.disks = {name: self.disk(name, conditions=conditions) for name in self.names}
        self.down_until_s = dict.fromkeys(self.names, 0.0)
        self.lates: list[Late] = []
        self.trace: list[str] = []
        self.broken: list[str] = []
        self.paths = paths
        self.truths: dict[str, list[tuple[float, bytes | None]]] = {path: [] for path in paths}
        self.contents: dict[str, bytes] = {}
        self.foreign: list[tuple[str, bytes]] = []
        self.excused: set[str] = set()  # what they held may be gone
        self.spoilt: set[str] = set()  # they handed out what is wrong, so replicas count as bad
        self.doubted: set[str] = set()  # they were taken out, so what they hold may be in doubt
        self.destroyed: set[str] = set()  # what others had put there may be gone as well
        self.gone_back: list[str] = []
        self.min_copies = self.min_domains = 1
        self.domains = {name: name for name in self.names}  # each is a platform of its own
        self.over = False
        self.paused: list[Process] = []
        self.unsteady: int | None = None  # the only program that crashes or is paused
        self.skews = random.Random(f"skews {seed}")
        self.quiet_world = True  # nothing goes wrong until the programs run
        self._records: dict[str, Record] = {}
        self.database = self._new_database()
        self.database.prepare()
        self.is_restoring = False
        self._versions = dict.fromkeys(paths, 0)
        self.versions: dict[str, list[tuple[float, int | None]]] = {p: [(0.0, None)] for p in paths}
        self.degraded: rs.DegradedRead | None = None

    def _new_database(self) -> ModelDatabase:
        return ModelDatabase(SqliteDriver(locate("sqlite://"), clock=self.loop.true_s))

    def disk(self, name: str, *, conditions: bool) -> ModelDisk:
        """Make a backend."""
        return ModelDisk(self, name, conditions=conditions)

    # Chance

    def spend(self, kind: str, likely: float) -> bool:
        """Let a fault happen, if the budget has one left and chance says so."""
        if self.quiet_world or not self.budget.get(kind) or self.chance.random() >= likely:
            return False
        self.budget[kind] -= 1
        return True

    def say(self, text: str) -> None:
        """Add a line to the timeline."""
        process = PROCESS.get()
        who = "-" if process is None else process.name
        self.trace.append(f"{self.loop.true_s():8.2f} {who:8} {text}")

    # The catalog

    async def _catalog_call(self, call: Callable[[], Any]) -> Any:
        await self.crash_perhaps("before a catalog call")
        await asyncio.sleep(self.chance.uniform(0.0005, 0.002))
        if self.over:
            raise CatalogDownError("it is over")
        if self.spend("catalog-down", 0.1):
            self.say("catalog: away")
            raise CatalogDownError("the catalog is away")
        self.wake(changed=True)
        if self.spend("unknown-commit", 0.15):
            if self.chance.random() < 0.5:
                call()
                self.say("catalog: done, and the answer lost")
            else:
                self.say("catalog: not done, and the answer lost")
            self.look()
            raise CommitUnknownError("lost")
        answer = call()
        self.look()
        await self.crash_perhaps("after a catalog call")
        self.pause_perhaps()
        return answer

    async def crash_perhaps(self, where: str) -> None:
        """Let the process die here, if its turn has come."""
        process = self._unsteady_process()
        if process is None:
            return
        process.crash_points += 1
        if process.crash_points == process.crashes_at and self.spend("crash", 1.0):
            self.say(f"crashes {where}")
            process.dead = True
            if process.died is not None:
                process.died.set_result(None)
            await asyncio.sleep(0)

    def pause_perhaps(self) -> None:
        """Let the process stop here for longer than its lease, if its turn has come."""
        process = self._unsteady_process()
        if process is None:
            return
        process.pause_points += 1
        if process.pause_points != process.pauses_at or not self.spend("pause", 1.0):
            return
        long_s = LEASE_S + LATE_WINDOW_S + 40
        seconds = self.chance.choice([LEASE_S + 5, long_s, long_s])
        process.wakes_on_change = self.chance.random() < 0.4
        self.pause(process, seconds)

    def pause(self, process: Process, seconds: float) -> None:
        """Let the process stop for so long, just before it hears what it is answered now.

        Stopped while it still waits for the answer, it would find that it came too late.
        """
        self.loop.call_soon(self._stop, process, seconds, context=contextvars.Context())

    def _stop(self, process: Process, seconds: float) -> None:
        now_s = self.loop.true_s()
        process.paused_at_s, process.paused_until_s = now_s, now_s + seconds
        self.loop.call_at_true(
            process.paused_until_s,
            functools.partial(self.wake, changed=False),
            context=contextvars.Context(),
        )
        self.paused.append(process)
        self.say(f"{process.name} is paused for {seconds:g} s")

    def _unsteady_process(self) -> Process | None:
        process = PROCESS.get()
        if process is None or self.unsteady not in (None, process.number):
            return None
        return process

    # Late requests

    def keep_late(self, disk: str, verb: str, key: str, work: Callable[[], object]) -> None:
        """Remember a request that will land, at the latest when the late window ends."""
        late = Late(
            disk,
            verb,
            key,
            work,
            self.loop.true_s() + LAST_MOMENT_S,
            self.chance.random() < 0.6,
        )
        self.lates.append(late)
        if not late.after_commit:
            wait_s = self.chance.choice([0.5, 3.0, 10.0, 40.0, LATE_WINDOW_S * 0.9])
            self._later(wait_s, late)
        else:
            self._later(LATE_WINDOW_S * 0.9, late)

    def _later(self, seconds: float, late: Late) -> None:
        # In nobody's context: it lands although its sender is dead.
        when_s = self.loop.true_s() + seconds
        self.loop.call_at_true(when_s, self.land, late, context=contextvars.Context())

    def land(self, late: Late) -> None:
        """Carry a late request out, once."""
        if late not in self.lates:
            return
        self.lates.remove(late)
        if self.loop.true_s() > late.dead_s:
            return
        try:
            late.work()
            said = "lands"
        except (OSError, ChangedError) as error:
            said = f"is refused: {type(error).__name__}"
        self.say(f"LATE {late.verb} {late.key} @{late.disk} {said}")
        self.check_key(late.key)

    def after_commit(self) -> None:
        """Let those land that wait for a commit."""
        for late in [late for late in self.lates if late.after_commit]:
            if self.chance.random() < 0.7:
                self._later(self.chance.choice([0.0, 0.02, 0.5]), late)

    # What is true

    def record(self, path: str = PATH) -> Record:
        """Return what the catalog says now."""
        if path not in self._records or path in self.database.written:
            (self._records[path],) = self.database.records([path])
            self.database.written.discard(path)
        return self._records[path]

    def remember(self, data: bytes) -> bytes:
        """Know these bytes by their checksum."""
        self.contents[checksum(data)] = data
        return data

    def wake(self, *, changed: bool) -> None:
        """Let paused processes go on whose time has come, or whose lease somebody has taken."""
        now_s = self.loop.true_s()
        for process in list(self.paused):
            early = changed and process.wakes_on_change and now_s - process.paused_at_s > LEASE_S
            if not (early and process is not PROCESS.get()) and now_s < process.paused_until_s:
                continue
            self.paused.remove(process)
            process.paused_until_s = now_s
            handles, process.left = process.left, []
            wait_s = self.chance.choice([0.0, 0.003, 0.02]) if early else 0.0
            for handle in handles:
                self.loop.call_at_true(now_s + wait_s, handle._run, context=contextvars.Context())

    def look(self) -> None:
        """See whether the catalog has changed its mind, and check what must always hold."""
        changed = [path for path in self.paths if path in self.database.changed]
        records = {path: self.record(path) for path in changed}
        self.database.changed.clear()
        if self.is_restoring:
            return
        for path, record in records.items():
            version = 0 if record.entry is None else record.entry.version
            if version == self._versions[path]:
                continue
            self._versions[path] = version
            self.versions[path].append((self.loop.true_s(), version if record.present else None))
            now, truth = self.now(record), self.truths[path]
            if not truth or truth[-1][1] != now:
                truth.append((self.loop.true_s(), now))
            self.say(f"catalog: version {version} of {path} is {shown(now)}")
            self.after_commit()
        self.check(changed)

    def now(self, record: Record) -> bytes | None:
        """Return the bytes of which a record speaks."""
        entry = record.present
        if entry is None or entry.content is None:
            return None
        if entry.content.kind == "chunked":
            return self._bytes_of(entry.content.checksum)
        held = [self.held(row.backend, record.path) for row in record.holders()]
        return next((data for data in held if data is not None), b"?")

    def _bytes_of(self, checksum: str) -> bytes:
        if checksum not in self.contents:
            self.fail("P4: committed is what nobody has written")
        return self.contents.setdefault(checksum, b"?")

    def held(self, name: str, key: str) -> bytes | None:
        """Return what lies on a disk."""
        found = self.disks[name].objects.get(key)
        return None if found is None else found.data

    def check_key(self, key: str) -> None:
        """Check what must hold at every moment, where a key of one backend has changed."""
        if self.is_restoring:
            return
        path = key.rpartition("/")[2]  # its own key, or a staged one
        self.check([path] if path in self.paths else [])
        self._check_foreign()

    def check(self, paths: Sequence[str]) -> None:
        """Check P1, which must hold at every moment, of paths."""
        for path in paths:
            record = self.record(path)
            entry = record.present
            if entry is not None and entry.content is not None and entry.content.kind == "chunked":
                self._check_copies(record, self._bytes_of(entry.content.checksum))

    def _check_foreign(self) -> None:
        """Check that foreign bytes are never destroyed (P9)."""
        if not self.foreign:
            return
        was = {value for truth in self.truths.values() for _, value in truth}
        for name, data in self.foreign:
            everywhere = [one.data for one in self.disks[name].objects.values()]
            known = data in was  # it was an object of the store's
            if data not in everywhere and not known and name not in self.destroyed:
                self.fail(f"P9: foreign bytes {shown(data)} on {name} are destroyed")

    def _check_copies(self, record: Record, data: bytes) -> None:
        good, path = set[str](), record.path
        holders = record.holders()
        for row in holders:
            there = data in (
                self.held(row.backend, key_of(row, path)),
                self.held(row.backend, path),
            )
            if not there and row.backend not in self.excused:
                self.fail(f"P1: a replica recorded good is not on {row.backend}")
            if there:
                good.add(row.backend)
        if not good and self.is_kept(data) and not self._lies_somewhere(data):
            self.fail(f"P1: {shown(data)} is on no backend")
        for name in self.doubted - {row.backend for row in holders}:  # it holds them all the same
            lie = [key for key, one in self.disks[name].objects.items() if one.data == data]
            if any(key.rpartition("/")[2] == path for key in lie):
                good.add(name)
        theirs = data in [foreign for _, foreign in self.foreign]  # adopted as it lay there
        if not theirs:
            self._check_enough(good, data)

    def _lies_somewhere(self, data: bytes) -> bool:
        held = (one.data for disk in self.disks.values() for one in disk.objects.values())
        return data in held

    def _check_enough(self, good: set[str], data: bytes) -> None:
        """Check that bytes are on as many backends, and platforms, as they were acknowledged on."""
        bad, copies = self.excused | self.spoilt, self.copies_of(data)
        if len(good) < copies - len(bad):
            self.fail(f"P1: {len(good)} good copies, acknowledged with {self.min_copies}")
        platforms = min(copies, self.min_domains)
        if platforms <= 1 and good:  # where a good one lies is one
            return
        spanned, lost = self.platforms(good), self.platforms(bad)
        if len(spanned) < platforms - len(lost):
            self.fail(f"P1: good on {spanned}, acknowledged with min_domains={self.min_domains}")

    def copies_of(self, data: bytes) -> int:
        """Return on how many backends bytes lay at least, before anything was destroyed."""
        return self.min_copies

    def platforms_of(self, data: bytes) -> int:
        """Return on how many platforms they lay at least."""
        return min(self.copies_of(data), self.min_domains)

    def platforms(self, names: Iterable[str]) -> list[str]:
        """Return the platforms on which backends lie: the first part of where each is."""
        return sorted({self.domains[name].partition("/")[0] for name in names})

    def is_enough(self, names: Collection[str]) -> bool:
        """Say whether a write may be acknowledged that is on these backends."""
        return len(names) >= self.min_copies and len(self.platforms(names)) >= self.min_domains

    def is_kept(self, data: bytes) -> bool:
        """Say whether a promise was made that bytes survive what was destroyed."""
        are_fewer = len(self.excused) < self.copies_of(data)
        return are_fewer or len(self.platforms(self.excused)) < self.platforms_of(data)

    def window(self, start_s: float, end_s: float, path: str = PATH) -> list[bytes | None]:
        """Return everything that was true at some moment between two times."""
        return between(self.truths[path], start_s, end_s)

    def fail(self, what: str) -> None:
        """Say that a promise is broken; kept, for nobody's task may swallow it."""
        if what not in self.broken:
            self.say(f"VIOLATION {what}")
            self.broken.append(what)


def between(log: Sequence[tuple[float, T]], start_s: float, end_s: float) -> list[T]:
    """Return every value that a log held at some moment between two times."""
    values: list[T] = []
    for at_s, value in log:
        if at_s <= start_s:
            values = [value]
        elif at_s <= end_s:
            values.append(value)
    return values


def key_of(row: Replica, path: str) -> str:
    """Return where a replica lies: at its own key, or staged."""
    return path if row.place == OWN else f"{RESERVED}/staging/{row.place}/{path}"


class ModelDisk(SimulatedDisk):
    """A disk of the model: flat; it keeps to conditions, or knows none, as the scenario asks."""

    def __init__(self, model: Model, name: str, *, conditions: bool) -> None:
        super().__init__(
            model.world,
            name,
            latency_s=(LATENCY_S, LATENCY_S),
            unique_tags=conditions,
            exclusive=conditions,
            conditions=conditions,
        )
        self.model = model

    def family(self) -> ModelFamily:
        """Open the disk."""
        return ModelFamily(self)


def with_its_source(disk: ModelDisk, work: Callable[[], object]) -> Callable[[], object]:
    """Return a request to carry out later, for which a copy has read its source by now."""
    staged = {key: one for key, one in disk.objects.items() if key.startswith(RESERVED)}

    def land() -> object:
        gone = staged.keys() - disk.objects.keys()
        disk.objects |= {key: staged[key] for key in gone}
        try:
            return work()
        finally:
            for key in gone:
                disk.objects.pop(key, None)

    return land


def by_the_disks_clock(work: Callable[[], T]) -> Callable[[], T]:
    """Return a request's work, which is dated by the disk and not by who asks."""

    def carried_out() -> T:
        token = SKEW_S.set(0.0)
        try:
            return work()
        finally:
            SKEW_S.reset(token)

    return carried_out


class ModelFamily(SimulatedFamily):
    """A disk asked by a process that may die, over a network that may be late."""

    async def request(self, verb: str, key: str, work: Callable[[], Any], **_: Any) -> Any:
        disk: ModelDisk = self._disk
        model, work = disk.model, by_the_disks_clock(work)
        await model.crash_perhaps(f"before {verb} {key} @{disk.name}")
        sent_s = model.loop.true_s()
        await asyncio.sleep(model.chance.choice([0.1, 0.5, 1.0, 3.0]) * LATENCY_S)
        if model.loop.true_s() - sent_s > LATE_WINDOW_S:  # its process was stopped meanwhile
            raise ConnectionResetError(errno.ECONNRESET, "later than any request may land")
        if model.over:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "it is over")
        if model.loop.true_s() < model.down_until_s[disk.name]:
            model.say(f"{verb} {key} @{disk.name}: down")
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        if verb in OWN_KEY_VERBS and model.spend("late", 0.3):
            model.say(f"{verb} {key} @{disk.name}: times out, still under way")
            model.keep_late(disk.name, verb, key, work)
            await model.loop.create_future()
        try:
            result = work()
        except Exception as error:
            model.say(f"{verb} {key} @{disk.name}: {type(error).__name__}")
            raise
        else:
            model.say(f"{verb} {key} @{disk.name}: ok")
        finally:
            if verb in CHANGING:
                model.check_key(key)
        if verb in ("put", "finish") and model.spend("dup", 0.3):
            model.say(f"{verb} {key} @{disk.name}: sent twice")
            model.keep_late(disk.name, verb, key, work)
        if verb in ("put", "finish") and model.spend("swallow", 0.2):
            model.say(f"{verb} {key} @{disk.name}: the answer is lost")
            raise ConnectionResetError(errno.ECONNRESET, "reset")
        await asyncio.sleep(LATENCY_S / 2)
        await model.crash_perhaps(f"after {verb} {key} @{disk.name}")
        model.pause_perhaps()
        return result
