"""Repair, scrub, sweep and take snapshots in rounds that any number of machines share."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import attrs

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import ConfigurationError, ObjectError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.drive import to_end
from resilient_store.io.leased import Note, Shares, note_nothing
from resilient_store.io.paced import check_limits
from resilient_store.io.prepare import prepare
from resilient_store.model.key_range import KeyRange
from resilient_store.model.round import Round
from resilient_store.model.state import Scan, StoreState
from resilient_store.operations.repair import RepairReport, repair_all
from resilient_store.operations.scrub import ScrubReport, scrub_all
from resilient_store.operations.snapshot import SnapshotReport, snapshot_all
from resilient_store.operations.sweep import OLDER_THAN_S, SweepReport, sweep_all
from resilient_store.protocol.rounds import LONGEST_S
from resilient_store.store import Store, StoreOwner

logger = logging.getLogger("resilient_store")

JOBS = ("repair", "sweep", "snapshot", "scrub")  # last what takes longest
WHOLE = ("snapshot", "sweep")  # one machine does them
LONG = "scrub"  # may take weeks: the others fall due again meanwhile
MONTH_S = 30 * 86400.0
LEASE_S = 60.0
OBJECTS = 10_000


@attrs.define(kw_only=True)
class MaintainReport:
    """What this process did of a round, and when the next one is due.

    Attributes
    ----------
    repaired
        What it repaired in all the parts that it had, and what the last round of it left.
    scrubbed
        What it verified in all the parts that it had.
    snapshot
        The snapshot; None: another machine took it, or none is due.
    swept
        What was swept; None: another machine did it, or it is not due.
    parts
        Job to the number of parts that this process worked through.
    next_in_s
        Seconds until the next round is due.
    """

    repaired: RepairReport = attrs.field(factory=RepairReport)
    scrubbed: ScrubReport = attrs.field(factory=ScrubReport)
    snapshot: SnapshotReport | None = None
    swept: SweepReport | None = None
    parts: dict[str, int] = attrs.field(factory=lambda: dict.fromkeys(JOBS, 0))
    next_in_s: float = 0.0

    @property
    def done(self) -> bool:
        """Whether what this process looked at is as it should be, and nothing failed."""
        failed = [one.failed for one in (self.snapshot, self.swept) if one is not None]
        return self.repaired.done and self.scrubbed.clean and not any(failed)


@attrs.frozen(kw_only=True)
class _Plan:
    """How the jobs are done."""

    max_age: float
    at_once: int
    limits: Any
    older_than: float


def maintain(
    fs: StoreOwner,
    *,
    every: float = 0.0,
    max_age: float = MONTH_S,
    older_than: float = OLDER_THAN_S,
    at_once: int = 8,
    requests_per_s: float | None = None,
    bytes_per_s: float | None = None,
    lease: float = LEASE_S,
    objects: int = OBJECTS,
) -> MaintainReport:
    """Repair, scrub, sweep and take a snapshot: one round, which all machines share.

    Call it on as many machines as you like. Each takes parts of the store under a lease in the
    catalog, so that none of it is done twice, and joins a round that is under way. What a killed
    process had is done by another one when its lease has ended. While the store is being scrubbed,
    the other jobs fall due again. Returns when the round has ended on all machines, or at once
    where none is due.

    Parameters
    ----------
    fs
        The store; it has a catalog.
    every
        Seconds from the beginning of one round to that of the next: one that began less than that
        ago is joined or has ended, and none is begun.
    max_age
        Replicas are verified that were not for so many seconds.
    older_than
        As `sweep` takes it.
    at_once, requests_per_s, bytes_per_s
        As `repair` and `scrub` take them; this process's.
    lease
        After so many seconds without a word a process counts as dead; at most a day.
    objects
        How many a part holds. What is most endangered comes first within each part.

    Raises
    ------
    ConfigurationError
        There is no catalog, or an argument is not positive, or the lease longer than a day.
    BackendsUnavailableError
        No backend took the snapshot, and all else was done; or the catalog cannot be had.

    Notes
    -----
    Promises: P4, P6, P7, P8.
    """
    if fs.store.catalog is None:
        raise ConfigurationError("maintain needs a catalog, which says who does what")
    limits = {"requests_per_s": requests_per_s, "bytes_per_s": bytes_per_s}
    check_limits("maintain", max_age=max_age, at_once=at_once, **limits, lease=lease)
    check_limits("maintain", objects=objects)
    if not lease <= LONGEST_S:
        raise ConfigurationError(f"maintain: lease={lease!r} must be at most a day, in seconds")
    if not (every >= 0 and older_than >= 0):
        raise ConfigurationError("maintain: every and older_than must be at least 0 seconds")
    plan = _Plan(max_age=max_age, at_once=at_once, limits=limits, older_than=older_than)
    return to_end(fs.loop, maintain_all, fs.store, plan, every, lease, objects)


async def maintain_all(
    store: Store, plan: _Plan, every_s: float, lease_s: float, objects: int
) -> MaintainReport:
    """Maintain, as `maintain` says."""
    await prepare(store)
    report = MaintainReport()
    failed: dict[str, ObjectError] = {}
    try:
        now_s = await store.known.now_s()
        shares = Shares(store, JOBS, LONG, now_s, every_s, lease_s, objects)
        while True:
            if await _works_on_a_part(store, plan, shares, report, failed):
                continue
            wait_s = await shares.wait_s()
            if wait_s is None:
                break
            await runtime.pause(wait_s)
        report.next_in_s = await shares.due_in_s()
    except CatalogDownError as error:
        raise unavailable("", error) from None
    for first in failed.values():
        raise first
    return report


async def _works_on_a_part(
    store: Store,
    plan: _Plan,
    shares: Shares,
    report: MaintainReport,
    failed: dict[str, ObjectError],
) -> bool:
    """Work on a part of the first job of which one is to be had; say whether there was any.

    A job that fails is set aside, and stops no other.
    """
    for job in shares.at_hand:
        before_s = shares.began_s.get(job)
        lease = await shares.take(job, whole=job in WHOLE)
        if lease is None:
            continue
        if job == "repair" and shares.began_s[job] != before_s:
            report.repaired.begin_pass()  # what is left is met again
        try:
            call = _JOBS[job](store, plan, lease.part, report)
            report.parts[job] += await shares.work(job, lease, call)
        except ObjectError as error:
            logger.warning("maintain: %s failed: %s", job, error)
            failed[job] = error  # raised at the end, unless it goes well by then
            shares.set_aside(job)
        else:
            failed.pop(job, None)
        return True
    return False


# --- the jobs -----------------------------------------------------------------------------


async def _repair(store: Store, plan: _Plan, part: KeyRange, report: MaintainReport) -> Note:
    report.repaired.absorb(await repair_all(store, plan.at_once, **plan.limits, part=part))
    return _note_repair


def _note_repair(state: StoreState, of: Round, now_s: float) -> StoreState:
    return attrs.evolve(state, maintained_s=now_s) if of.ended_s else state


async def _scrub(store: Store, plan: _Plan, part: KeyRange, report: MaintainReport) -> Note:
    found = await scrub_all(
        store, plan.at_once, max_age=plan.max_age, unknown=False, **plan.limits, part=part
    )
    report.scrubbed.absorb(found)
    return functools.partial(_note_scrub, found)


def _note_scrub(found: ScrubReport, state: StoreState, of: Round, _: float) -> StoreState:
    before = state.scan
    if before is None or before.began_s != of.began_s:
        before = Scan(began_s=of.began_s)
    return attrs.evolve(
        state,
        scan=attrs.evolve(
            before,
            at=of.at or "",
            ended_s=of.ended_s,
            checked=before.checked + found.checked,
            bad=before.bad + found.bad,
        ),
    )


async def _snapshot(store: Store, _: _Plan, __: KeyRange, report: MaintainReport) -> Note:
    report.snapshot = await snapshot_all(store)
    return note_nothing


async def _sweep(store: Store, plan: _Plan, _: KeyRange, report: MaintainReport) -> Note:
    report.swept = await sweep_all(store, plan.older_than)
    return note_nothing


_JOBS: dict[str, Callable[[Store, _Plan, KeyRange, MaintainReport], Coroutine[Any, Any, Note]]] = {
    "repair": _repair,
    "scrub": _scrub,
    "sweep": _sweep,
    "snapshot": _snapshot,
}
