"""Workloads of a few calls, and one fault at each place where one can happen.

A *place* is a request to a backend, a call of the catalog or a statement of one. A first run
without any fault finds the places of a workload; then every fault that can happen at a place
happens there, in a run of its own. Nothing is left to chance.

A process dies before and after each `await` of a request to a backend and each `await` of a call of
the catalog, and stops for longer than its lease after it: nobody else sees where between two of
these it was. Its other awaits are no places: it waits there for time to pass, or for a call of its
own that is one of these. Within a call of the catalog it does not die: until the commit nothing of
it is there, afterwards all of it, which is dying before the call or after it.

The backends know no conditions and create nothing exclusively, where most can go wrong, or know
both, and give every write a tag of its own.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import itertools
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import attrs

from resilient_store.catalog.contract import CatalogDownError
from resilient_store.catalog.sqlite import Handle
from resilient_store.model.info import Body
from tests.model.run import Play
from tests.model.scenarios import WRITES, Scenario
from tests.model.world import (
    LAST_MOMENT_S,
    LATE_WINDOW_S,
    LEASE_S,
    OTHER,
    PATH,
    PROCESS,
    Late,
    Model,
    ModelDisk,
    ModelFamily,
    Process,
    with_its_source,
)

CALLS = ("write", "stream", "read", "open", "delete", "move", "repair", "adopt")
BEGINNINGS: dict[str, dict[str, Any]] = {
    "absent": {},
    "present": {"init": b"aa"},
    "behind": {"init": b"aa", "newer": b"bb", "min_copies": 1},  # a backend has the older one
    "found": {"lying": (b"ff", None), "complete": False},  # no catalog knows of it
}
AWAY_S = 10.0
PAUSES_S = (LEASE_S + 5, LEASE_S + LATE_WINDOW_S + 40)
ALL_IS_QUIET_S = LEASE_S + LATE_WINDOW_S + 6
NEVER_LATER_S = 3 * (LEASE_S + LATE_WINDOW_S) + 600
ENDS_WITHIN_S = 20_000.0
TRACE_LINES = 80

_LATER = ("late", "twice")
_MOMENTS = ("after 1 commit", "after 2 commits", "after 3 commits", "at the last moment")
_LATER_ON = ", the other comes when all is quiet"
_PROCESS = (
    *("dies before", "dies after", f"dies after{_LATER_ON}"),
    *(f"stops for {seconds:g} s" for seconds in PAUSES_S),
    f"stops for {PAUSES_S[-1]:g} s{_LATER_ON}",
)
_ANY = ("refused", "hangs", "is done and not answered", "backend is down", *_PROCESS)
_FLIPS = "a bit flips"
AT_A_READ = (*_ANY, _FLIPS)
AT_A_QUESTION = _ANY
AT_A_CHANGE = (*_ANY, *(f"{how}, {when}" for how in _LATER for when in _MOMENTS))
AT_A_CATALOG_CALL = (*_PROCESS, "away")
AT_A_STATEMENT = ("disk full",)
AT_A_COMMIT = ("disk full", "not done, and not answered", "done, and not answered")


@attrs.frozen
class Workload:
    """One call or more; one begins when the one before has ended, died or stopped, or with it."""

    beginning: str
    calls: tuple[str, ...]
    together: bool = False
    conditions: bool = False  # whether the backends know any

    def __str__(self) -> str:
        between = " with " if self.together else ", then "
        on = ", with conditions" if self.conditions else ""
        return f"{self.beginning}: {between.join(self.calls)}{on}"

    def scenario(self) -> Scenario:
        """Return it as programs."""
        data = iter(("xx", "yy", "zz"))
        programs = tuple((c, next(data)) if c in WRITES else (c,) for c in self.calls)
        paths = (PATH, OTHER) if "move" in self.calls else (PATH,)
        begins = BEGINNINGS[self.beginning]
        return Scenario(programs=programs, paths=paths, conditions=self.conditions, **begins)


def _workloads() -> Iterator[Workload]:
    for beginning in BEGINNINGS:
        for call in CALLS:
            yield Workload(beginning, (call,))
        for pair in itertools.product(CALLS, repeat=2):
            yield Workload(beginning, pair)
            if pair[0] <= pair[1]:  # together is together
                yield Workload(beginning, pair, together=True)


WORKLOADS = tuple(_workloads())
WITH_CONDITIONS = tuple(attrs.evolve(workload, conditions=True) for workload in WORKLOADS)


@attrs.frozen
class Place:
    """Where something can go wrong, and how."""

    number: int
    what: str
    kinds: tuple[str, ...]


class SinglesModel(Model):
    """A late request lands exactly when its fault says so."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.waiting: list[tuple[Late, int]] = []

    def keep(
        self, disk: ModelDisk, verb: str, key: str, work: Callable[[], object], when: str
    ) -> None:
        """Let a request land later, whoever waits for it."""
        dead_s = self.loop.true_s() + LAST_MOMENT_S
        land = with_its_source(disk, work)
        late = Late(disk.name, verb, key, land, dead_s, after_commit=False)
        self.lates.append(late)
        self.loop.call_at_true(dead_s, self.land, late, context=contextvars.Context())
        if when != _MOMENTS[-1]:
            self.waiting.append((late, _MOMENTS.index(when) + 1))

    def after_commit(self) -> None:
        """Let those land whose commit it was."""
        self.waiting = [(late, left - 1) for late, left in self.waiting]
        for late, left in self.waiting:
            if not left:
                self.loop.call_soon(self.land, late, context=contextvars.Context())


class SinglesDisk(ModelDisk):
    play: SinglesPlay

    def family(self) -> SinglesFamily:
        return SinglesFamily(self)


class SinglesFamily(ModelFamily):
    _disk: SinglesDisk

    async def request(self, verb: str, key: str, work: Callable[[], Any], **options: Any) -> Any:
        disk, play = self._disk, self._disk.play
        kinds = {"get": AT_A_READ, "info": AT_A_QUESTION, "list": AT_A_QUESTION}
        fault = play.reached(f"{verb} {key} @{disk.name}", kinds.get(verb, AT_A_CHANGE))
        kind, _, when = fault.partition(", ")
        if kind == "dies before":
            await play.die()
        if kind == "refused":
            raise ConnectionRefusedError(errno.ECONNREFUSED, "refused")
        if kind == "backend is down":
            play.model.down_until_s[disk.name] = play.model.loop.true_s() + AWAY_S
        if kind in _LATER:
            play.model.keep(disk, verb, key, work, when)
        if kind in ("hangs", "late"):
            await play.model.loop.create_future()
        answer = await super().request(verb, key, work, **options)
        if kind == "is done and not answered":
            raise ConnectionResetError(errno.ECONNRESET, "reset")
        if kind == _FLIPS and isinstance(answer, Body) and answer.data:
            play.model.excused.add(disk.name)
            flipped = bytes([answer.data[0] ^ 1])
            return attrs.evolve(answer, data=flipped + answer.data[1:])
        await play.after(kind)
        return answer


class SinglesPlay(Play):
    """One run of a workload, with one fault or none.

    Attributes
    ----------
    places
        Where something could have gone wrong.
    """

    model: SinglesModel
    model_type = SinglesModel
    rounds_at_least = 4  # longer than a late window and a lease

    def __init__(self, workload: Workload, number: int | None = None, kind: str = "") -> None:
        super().__init__(workload.scenario(), seed=0)
        self.workload = workload
        self.places: list[Place] = []
        self._fault = (number, kind)
        model = self.model
        conditions = workload.conditions
        model.disks = {n: SinglesDisk(model, n, conditions=conditions) for n in model.names}
        for disk in model.disks.values():
            disk.play = self
        self._processes = [Process(call, number=n) for n, call in enumerate(workload.calls)]
        self._stopped = asyncio.Event()
        self._away_until_s = 0.0
        self._in_a_call = False
        driver = model.database.driver
        assert driver._memory is not None
        driver._memory = Handle(_Connection(driver._memory.raw, self), None)
        model.loop.resilient_runtime.run_blocking = self._catalog

    def run(self) -> SinglesModel:
        """Play it; `Model.broken` says what was wrong."""
        self.model.loop.run_until_complete(self._all(), until_s=ENDS_WITHIN_S)
        self._bury()
        return self.model

    async def _all(self) -> None:
        await self._begin()
        self.model.quiet_world = False
        began = []
        for process, program in zip(self._processes, self.scenario.programs, strict=True):
            if began and not self.workload.together:
                stopped = self.model.loop.create_task(self._stopped.wait())
                await asyncio.wait([*began, stopped], return_when=asyncio.FIRST_COMPLETED)
                stopped.cancel()
                if self._stopped.is_set() and self._fault[1].endswith(_LATER_ON):
                    await self._until_all_is_quiet()
            # Whose process lives on makes the second call itself.
            mine = process if self._stopped.is_set() else self._processes[0]
            mine = process if self.workload.together else mine
            call = self._program(mine, program, 0.0)
            began.append(self.model.loop.create_task(call, context=contextvars.Context()))
        await asyncio.wait(began, timeout=NEVER_LATER_S)
        self._away_until_s = 0.0
        await self._peace()

    async def _until_all_is_quiet(self) -> None:
        others = self.model.loop.create_task(self._all_along())
        await asyncio.sleep(ALL_IS_QUIET_S)
        others.cancel()

    def reached(self, what: str, kinds: tuple[str, ...]) -> str:
        """Note a place; return which fault happens there."""
        if PROCESS.get() is None or self.model.quiet_world:
            return ""
        self.places.append(Place(len(self.places), what, kinds))
        number, kind = self._fault
        if number != self.places[-1].number:
            return ""
        self.model.say(f"{what}: {kind}")
        return kind

    async def die(self) -> None:
        process = PROCESS.get()
        assert process is not None
        process.dead = True
        self._stopped.set()
        await asyncio.sleep(0)

    async def after(self, kind: str) -> None:
        """Let the process that was answered die or stop."""
        process = PROCESS.get()
        if kind.startswith("dies after"):
            await self.die()
        if kind.startswith("stops"):
            assert process is not None
            self._stopped.set()
            self.model.pause(process, float(kind.split()[2]))

    async def _catalog(self, call: Callable[[], Any]) -> Any:
        kind = self.reached("catalog", AT_A_CATALOG_CALL)
        if kind == "away":
            self._away_until_s = self.model.loop.true_s() + AWAY_S
        if kind == "dies before":
            await self.die()
        if self.model.loop.true_s() < self._away_until_s and not self.model.over:
            raise CatalogDownError("the catalog is away")

        def counted() -> Any:
            self._in_a_call = True
            try:
                return call()
            finally:
                self._in_a_call = False
                self.model.look()  # the answer may have been lost

        answer = await self.model._catalog_call(counted)
        await self.after(kind)
        return answer

    def statement(self, text: str, carry_out: Callable[[], Any]) -> Any:
        """Carry a statement of the catalog out, unless its fault is another."""
        if not self._in_a_call:
            return carry_out()
        commits = text == "COMMIT"
        kind = self.reached(text.split(maxsplit=1)[0], AT_A_COMMIT if commits else AT_A_STATEMENT)
        if kind == "disk full":
            raise _error(sqlite3.SQLITE_FULL)
        if kind.startswith("not done"):
            raise _error(sqlite3.SQLITE_IOERR)
        answer = carry_out()
        if kind.startswith("done"):
            raise _error(sqlite3.SQLITE_IOERR)
        return answer


class _Connection:
    """A connection of which every statement may fail."""

    def __init__(self, raw: sqlite3.Connection, play: SinglesPlay) -> None:
        self._raw = raw
        self._play = play

    @property
    def in_transaction(self) -> bool:
        return self._raw.in_transaction

    @property
    def total_changes(self) -> int:
        return self._raw.total_changes

    def execute(self, text: str, *parameters: Any) -> sqlite3.Cursor:
        return self._play.statement(text, lambda: self._raw.execute(text, *parameters))

    def executemany(self, text: str, many: Sequence[Any]) -> sqlite3.Cursor:
        return self._play.statement(text, lambda: self._raw.executemany(text, many))


def _error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("planned")
    error.sqlite_errorcode = code
    return error


def places(workload: Workload) -> list[Place]:
    """Return where something can go wrong in a workload; without a fault nothing does."""
    play = SinglesPlay(workload)
    assert play.run().broken == [], (str(workload), play.model.broken)
    return play.places


def faults(workload: Workload) -> Iterator[tuple[Place, str]]:
    """Return every fault at every place of a workload."""
    # Nobody has a checksum of what nobody has read before.
    none = (_FLIPS,) if workload.beginning == "found" else ()
    return ((p, kind) for p in places(workload) for kind in p.kinds if kind not in none)


def broken(workload: Workload, place: Place, kind: str) -> str:
    """Play a workload with one fault; return its timeline if a promise is broken."""
    model = SinglesPlay(workload, place.number, kind).run()
    return shown(workload, place, kind, model) if model.broken else ""


def shown(workload: Workload, place: Place, kind: str, model: Model) -> str:
    """Return what happened as text."""
    lines = "\n".join(model.trace[-TRACE_LINES:])
    return f"{workload}; {place.number} {place.what}: {kind}: {model.broken}\n{lines}"
