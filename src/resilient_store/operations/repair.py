"""Work the repair queue until nothing more can be done now (P7)."""

from __future__ import annotations

import functools
import heapq
import math
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import attrs
from fsspec.callbacks import DEFAULT_CALLBACK

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError, Holding
from resilient_store.errors import ConfigurationError
from resilient_store.io.catalogued.answers import hear
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.read import let_record
from resilient_store.io.catalogued.repair import Repaired, repair_path
from resilient_store.io.drive import to_end
from resilient_store.io.identity import raise_epochs
from resilient_store.io.paced import Paces, check_limits, work_through
from resilient_store.io.prepare import prepare
from resilient_store.io.sharded import on_workers
from resilient_store.model import naming
from resilient_store.model.domain import platforms
from resilient_store.model.key_range import EVERYTHING, KeyRange
from resilient_store.model.state import Record, State, StoreState
from resilient_store.store import Store, StoreOwner

T = TypeVar("T")

PAGE = 1000
CHOSEN = 20_000  # so many of the queue are ordered at once: its memory is bounded
REFUSED_IN_A_ROW = 5  # passes in which platforms refused all, before it is left for later

Priority = Callable[[str], Any]
Urgency = tuple[int, int, Any, int, str]


@attrs.define(kw_only=True)
class RepairReport:
    """What a repair did, and what is left.

    Attributes
    ----------
    copied
        Replicas brought to the current version, or to their own key.
    removed
        Replicas of deleted objects, and of failed creations, that were removed.
    purged
        Deletions that no backend has to be told of any more.
    waiting
        Path to reason: a late request may still land there, so repair has to come again.
    failed
        Path to reason: a backend that did not answer, or bytes of somebody else's.
    unnamed
        How many more are waiting or failed: of each, the first 10,000 are named.
    """

    copied: int = 0
    removed: int = 0
    purged: int = 0
    waiting: dict[str, str] = attrs.field(factory=dict)
    failed: dict[str, str] = attrs.field(factory=dict)
    unnamed: int = 0

    @property
    def done(self) -> bool:
        """Whether every replica is as it should be."""
        return not self.waiting and not self.failed

    def begin_pass(self) -> None:
        """Forget what was left by the pass before: this one meets it again."""
        self.waiting.clear()
        self.failed.clear()
        self.unnamed = 0

    def add(self, one: Repaired) -> bool:
        """Count what was done for one path; say whether it was anything."""
        self.copied += len(one.copied)
        self.removed += len(one.removed)
        self.purged += one.purged
        if one.ending != "done":
            left = self.failed if one.ending == "failed" else self.waiting
            self.unnamed += naming.name(left, {one.path: one.why})
        return bool(one.copied or one.removed or one.purged)

    def absorb(self, other: RepairReport) -> None:
        """Add what was done for another part of the store."""
        self.copied += other.copied
        self.removed += other.removed
        self.purged += other.purged
        self.unnamed += other.unnamed
        self.unnamed += naming.name(self.waiting, other.waiting)
        self.unnamed += naming.name(self.failed, other.failed)


def repair(
    fs: StoreOwner,
    *,
    at_once: int = 8,
    requests_per_s: float | None = None,
    bytes_per_s: float | None = None,
    priority: Priority | None = None,
    dry_run: bool = False,
    client: Any = None,
    callback: Any = DEFAULT_CALLBACK,
) -> RepairReport:
    """Bring every backend to what its placement asks, as far as that can be done now.

    Copies what is missing from verified replicas, publishes what waits in staging where no
    late request can land any more, removes what deletions left, and forgets deletions that
    every backend has carried out. What is left on the fewest platforms comes first, then what
    has the fewest copies, then by `priority`, then the smallest.
    What changes while it runs does not make it run on: that is for the next call.

    A platform that says that it is asked too much is asked less, and more again when it is
    content. May be killed and called again at any time, by any number of processes.

    Parameters
    ----------
    fs
        The store; it has a catalog.
    at_once
        Paths that are worked on at one time.
    requests_per_s, bytes_per_s
        What no platform is asked for more than; None: as much as it takes.
    priority
        Called with a path; what returns less comes earlier.
    dry_run
        Only say what is owed, as what is waiting: nothing is copied or removed.
    client
        A Dask client, on whose workers parts of the store are repaired; the limits are each
        worker's. None: all of it here.
    callback
        An fsspec callback, told of paths: how many there are, and how many are done. Not told
        of what workers do.

    Returns
    -------
    RepairReport
        What was done, and what is left for another call.

    Raises
    ------
    ConfigurationError
        The store has no catalog, which is where the queue is; or a limit is not positive.
    CatalogUnavailableError
        The catalog cannot be had.

    Notes
    -----
    Promises: P1, P3, P6, P7, P8.
    """
    if fs.store.catalog is None:
        raise ConfigurationError("repair needs a catalog: without one nobody knows what is owed")
    options = {
        "at_once": at_once,
        "requests_per_s": requests_per_s,
        "bytes_per_s": bytes_per_s,
        "priority": priority,
    }
    if client is None or dry_run:
        how: Any = {**options, "dry_run": dry_run, "callback": callback}
        return to_end(fs.loop, repair_all, fs.store, **how)
    report = RepairReport()
    for one in on_workers(client, fs, _repair_part, options):
        report.absorb(one)
    to_end(fs.loop, _note_maintained, fs.store)
    return report


def _repair_part(fs: StoreOwner, part: KeyRange, options: dict[str, Any]) -> RepairReport:
    return to_end(fs.loop, repair_all, fs.store, **options, part=part)


async def repair_all(
    store: Store,
    at_once: int = 8,
    *,
    requests_per_s: float | None = None,
    bytes_per_s: float | None = None,
    priority: Priority | None = None,
    dry_run: bool = False,
    part: KeyRange = EVERYTHING,
    callback: Any = DEFAULT_CALLBACK,
) -> RepairReport:
    """Repair in passes, until one of them does nothing but for what has changed since it began."""
    limits = {"requests_per_s": requests_per_s, "bytes_per_s": bytes_per_s}
    check_limits("repair", at_once=at_once, **limits)
    await prepare(store)
    await let_record(store)
    report = RepairReport()
    paces = Paces(store, **limits)
    urgency = functools.partial(_urgency, store, priority or (lambda _: 0))
    moved, refused, refusals, began = True, False, 0, math.inf

    async def work(one: Holding) -> None:
        nonlocal moved, refused, began
        await paces.wait_for(_asked(store, one), one.size or 0)
        repaired = await repair_path(store, one.path)
        began = min(began, repaired.begun)
        moved = (report.add(repaired) and repaired.changed < began) or moved
        refused = repaired.throttled or refused
        callback.relative_update(1)

    try:
        if dry_run:
            async for one in _pieces(store, urgency, part, callback, once=True):
                report.add(_owed(store, one))
                callback.relative_update(1)
            return report
        while moved or (refused and refusals < REFUSED_IN_A_ROW):
            await hear(store)  # only while a backend answers do its late requests age
            refusals = 0 if moved else refusals + 1
            moved = refused = False
            report.begin_pass()
            await work_through(_pieces(store, urgency, part, callback), work, at_once)
        await raise_epochs(store, forgotten=report.purged > 0)
    except CatalogDownError as error:
        raise unavailable("", error) from None
    if part == EVERYTHING:
        await _note_maintained(store)
    return report


async def _note_maintained(store: Store) -> None:
    try:
        await store.known.change_state(_maintained)
    except CatalogDownError as error:
        raise unavailable("", error) from None


def _maintained(state: StoreState | None, now_s: float) -> StoreState:
    assert state is not None, "a store that was prepared has an identity"
    return attrs.evolve(state, maintained_s=now_s)


# --- what comes first ---------------------------------------------------------------------


def _urgency(store: Store, priority: Priority, one: Holding) -> Urgency:
    """Return what orders the queue; a deletion comes before what two platforms hold."""
    if one.size is None:
        return (2, 0, priority(one.path), 0, one.path)
    held = [name for name in one.backends if name in store.domains]
    left = len(platforms(held, store.domains))
    return (left, len(held), priority(one.path), one.size, one.path)


def _asked(store: Store, one: Holding) -> list[str]:
    """Return whom a repair will ask: one that holds it, and those that do not."""
    source = [name for name in one.backends if name in store.clients][:1]
    return source + [name for name in store.placed(one.path) if name not in one.backends]


def _owed(store: Store, one: Holding) -> Repaired:
    """Say what a repair would do."""
    if one.size is None:
        return Repaired(one.path, ending="waiting", why="what its deletion left is to be removed")
    if not one.backends:
        why = "no replica is known to be good: only what a look still finds can be brought back"
        return Repaired(one.path, ending="failed", why=why)
    lacking = [name for name in store.placed(one.path) if name not in one.backends]
    why = "to be published, or removed where it is not placed"
    if lacking:
        why = f"to be brought to {', '.join(lacking)}"
    return Repaired(one.path, ending="waiting", why=why)


async def _pieces(
    store: Store,
    urgency: Callable[[Holding], Urgency],
    part: KeyRange,
    callback: Any,
    *,
    once: bool = False,
) -> AsyncGenerator[Holding]:
    """Return the queue, then what lacks a backend; `once`: nothing twice, if nobody repairs it."""
    last: Urgency | None = None
    rounds = 1
    while rounds > 0:
        chosen, count = await _most_urgent(store, urgency, last, part)
        if last is None:
            callback.set_size(count)
            # A path comes again after each copy that it got, and a priority may change for ever.
            rounds += count * (1 + len(store.clients)) // CHOSEN
        for one in chosen:
            yield one
        if len(chosen) < CHOSEN:
            break
        last, rounds = urgency(chosen[-1]), rounds - 1
    for name in store.writable:  # added to the store, or to a placement, after they were written
        async for page in _pages(part, functools.partial(store.known.without, name), str):
            for record in await store.known.records(
                [path for path in page if name in store.placed(path)]
            ):
                if once and not _comes_first(store, record, name):
                    continue
                if (entry := record.present) is not None and entry.content is not None:
                    held = tuple(row.backend for row in record.holders())
                    yield Holding(record.path, entry.content.size, held)


def _comes_first(store: Store, record: Record, name: str) -> bool:
    """Say whether a path comes because of this backend: not of the queue, nor of an earlier one."""
    placed, rows = store.placed(record.path), record.replicas
    held = [one for one, row in rows.items() if row.state is not State.GONE]
    lacking = (other for other in store.writable if other in placed and other not in held)
    return next(lacking, None) == name and not any(map(record.owes, rows.values()))


async def _most_urgent(
    store: Store,
    urgency: Callable[[Holding], Urgency],
    last: Urgency | None,
    part: KeyRange,
) -> tuple[list[Holding], int]:
    """Return the next of the queue, in order, that come after the last one: as many as fit.

    And how many there are.
    """
    found: list[Holding] = []
    count = 0
    async for page in _pages(part, store.known.queue, lambda one: one.path):
        following = [one for one in page if last is None or urgency(one) > last]
        found, count = found + following, count + len(following)
        if len(found) > 2 * CHOSEN:
            found = heapq.nsmallest(CHOSEN, found, key=urgency)
    return heapq.nsmallest(CHOSEN, found, key=urgency), count


async def _pages(
    part: KeyRange,
    ask: Callable[[str, int], Awaitable[list[T]]],
    path_of: Callable[[T], str],
) -> AsyncIterator[list[T]]:
    after, ended = part.after, False
    while not ended and (page := await ask(after, runtime.page(PAGE))):
        some, after = part.within(page, path_of)
        ended = not after
        yield some
