"""Save what only lies where it may soon be gone: repair away from a failure domain."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from typing import Any

import attrs
from fsspec.callbacks import DEFAULT_CALLBACK

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError, Holding
from resilient_store.errors import ConfigurationError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.repair import repair_path
from resilient_store.io.drive import to_end
from resilient_store.io.paced import Paces, check_limits, work_through
from resilient_store.io.prepare import prepare
from resilient_store.model import naming
from resilient_store.model.domain import platforms, within
from resilient_store.model.state import Record, State
from resilient_store.store import Store, StoreOwner

PAGE = 1000
CHOSEN = 20_000  # so many are ordered at once: its memory is bounded


@attrs.define(kw_only=True)
class EvacuateReport:
    """How far an evacuation has come, and what would be lost if it stopped now.

    Attributes
    ----------
    copied
        Replicas that were made.
    bytes_copied
        Their size.
    at_risk
        Objects of which nothing lies outside yet: they would be lost.
    bytes_at_risk
        Their size.
    left
        All objects that still lack a copy which their placement asks for outside, those at risk
        among them. While it runs, of those that were there when it began; at its end, of all.
    bytes_left
        Their size.
    elapsed_s
        Seconds since it began.
    failed
        Path to reason; what failed is still counted in `left`, unless nobody holds it any more. The
        first 10,000 are named.
    """

    copied: int = 0
    bytes_copied: int = 0
    at_risk: int = 0
    bytes_at_risk: int = 0
    left: int = 0
    bytes_left: int = 0
    elapsed_s: float = 0.0
    failed: dict[str, str] = attrs.field(factory=dict)
    _owed: int = attrs.field(default=0, init=False, repr=False)
    _bytes_owed: int = attrs.field(default=0, init=False, repr=False)

    def begin_count(self) -> None:
        """Forget what is left: it is counted anew."""
        self.left = self.bytes_left = self.at_risk = self.bytes_at_risk = 0
        self._owed = self._bytes_owed = 0

    def owe(self, copies: int, size: int) -> None:
        """Count copies of an object that are to be made, of which `left` says only that any are."""
        self._owed += copies
        self._bytes_owed += copies * size

    def pay(self, copies: int, size: int) -> None:
        """Count copies of an object that were made."""
        self.copied += copies
        self.bytes_copied += copies * size
        self.owe(-copies, size)

    @property
    def remaining_s(self) -> float | None:
        """Seconds until all is copied, at the speed so far; None before the first copy."""
        if not self.left:
            return 0.0
        if not self.copied:
            return None
        if not self.bytes_copied:
            return self.elapsed_s * self._owed / self.copied
        return self.elapsed_s * self._bytes_owed / self.bytes_copied

    @property
    def done(self) -> bool:
        """Whether nothing more would be lost, and nothing is owed outside."""
        return not (self.left or self.failed)

    def __str__(self) -> str:
        """Say it in a sentence."""
        if self.done:
            return f"evacuated: {self.copied} copies ({self.bytes_copied} bytes) were made"
        left_s = self.remaining_s
        estimate = "" if left_s is None else f"; about {left_s:.0f} s to go"
        return (
            f"{self.copied} copies ({self.bytes_copied} bytes) were made; if it stopped now, "
            f"{self.at_risk} objects ({self.bytes_at_risk} bytes) would be lost and "
            f"{self.left - self.at_risk} more would lack a copy; {len(self.failed)} failed"
            f"{estimate}"
        )


@attrs.frozen
class _Plan:
    """Which backends go, and which stay."""

    store: Store
    going: tuple[str, ...]
    staying: tuple[str, ...]

    async def concerned(self) -> AsyncIterator[Holding]:
        """Find what concerns the plan, in the order of paths."""
        known, after = self.store.known, ""
        while page := await known.holdings("", after, runtime.page(PAGE)):
            after = page[-1].path
            doubtful = [o.path for o in page if self.at_risk(o) and not self.concerns(o)]
            records = await known.records(doubtful)
            may_lie_there = {record.path for record in filter(self._may_lie_there, records)}
            for one in page:
                if self.concerns(one) or one.path in may_lie_there:
                    yield one

    def _may_lie_there(self, record: Record) -> bool:
        """Say whether what goes may have the only copy, which nobody has verified yet."""
        rows = (row for name, row in record.replicas.items() if name in self.going)
        return any(row.state is State.UNKNOWN for row in rows)

    async def count(self, report: EvacuateReport) -> None:
        """Count anew what is left, and what is at risk."""
        report.begin_count()
        failed, report.failed = report.failed, {}
        async for one in self.concerned():
            if one.path in failed:
                report.failed[one.path] = failed.pop(one.path)
            report.left += 1
            report.bytes_left += one.size or 0
            report.owe(len(self.wanted(one)), one.size or 0)
            report.at_risk += self.at_risk(one)
            report.bytes_at_risk += (one.size or 0) if self.at_risk(one) else 0
        for record in await self.store.known.records(list(failed)):  # deleted, copied, or lost
            if record.present is not None and not record.holders():
                report.failed[record.path] = failed[record.path]

    def wanted(self, one: Holding) -> tuple[str, ...]:
        """Return the staying backends that should get an object: where it is placed, or any."""
        placed = self.store.placed(one.path)
        outside = tuple(name for name in self.staying if name in placed) or self.staying
        return tuple(name for name in outside if name not in one.backends)

    def concerns(self, one: Holding) -> bool:
        """Say whether an object lies where it may be gone, and lacks a copy outside."""
        return bool(set(one.backends) & set(self.going)) and bool(self.wanted(one))

    def at_risk(self, one: Holding) -> bool:
        """Say whether nothing of it lies outside."""
        return not self._outside(one)

    def _outside(self, one: Holding) -> list[str]:
        return [n for n in one.backends if n in self.store.domains and n not in self.going]

    def urgency(self, one: Holding) -> tuple[int, int, int, str]:
        """Return what orders the work: what has no copy elsewhere comes first."""
        outside = self._outside(one)
        left = len(platforms(outside, self.store.domains))
        return (left, len(outside), one.size or 0, one.path)


def evacuate(
    fs: StoreOwner,
    *,
    from_: str | Sequence[str],
    at_once: int = 8,
    requests_per_s: float | None = None,
    bytes_per_s: float | None = None,
    dry_run: bool = False,
    on_progress: Callable[[EvacuateReport], object] | None = None,
    callback: Any = DEFAULT_CALLBACK,
) -> EvacuateReport:
    """Copy to other backends what a failure domain holds, before it is gone.

    What has no copy elsewhere comes first, the smallest first of those. Each object goes to the
    backends outside on which it is placed, or to all others where its placement names none.
    Nothing is removed from the domain, and it is asked no faster than it takes. May be killed
    and called again.

    Parameters
    ----------
    fs
        The store; it has a catalog.
    from_
        A failure domain, such as ``"aws"`` or ``"aws/us-east-1"``; or several. Name what is gone
        already, too, so that nothing waits for it.
    at_once
        Objects that are copied at one time.
    requests_per_s, bytes_per_s
        What no platform is asked for more than; None: as much as it takes.
    dry_run
        Only count: nothing is copied.
    on_progress
        Called with the report after each object.
    callback
        An fsspec callback, told of objects: how many there are, and how many are done.

    Raises
    ------
    ConfigurationError
        There is no catalog, no such domain, or no backend outside; or a limit is not positive.
    CatalogUnavailableError
        The catalog cannot be had.

    Notes
    -----
    Promises: P1, P6, P7, P8.
    """
    if fs.store.catalog is None:
        raise ConfigurationError("evacuate needs a catalog, which knows what lies where")
    report: EvacuateReport = to_end(
        fs.loop,
        evacuate_all,
        fs.store,
        (from_,) if isinstance(from_, str) else tuple(from_),
        at_once,
        requests_per_s=requests_per_s,
        bytes_per_s=bytes_per_s,
        dry_run=dry_run,
        on_progress=on_progress,
        callback=callback,
    )
    return report


async def evacuate_all(
    store: Store,
    domains: tuple[str, ...],
    at_once: int = 8,
    *,
    requests_per_s: float | None = None,
    bytes_per_s: float | None = None,
    dry_run: bool = False,
    on_progress: Callable[[EvacuateReport], object] | None = None,
    callback: Any = DEFAULT_CALLBACK,
) -> EvacuateReport:
    """Evacuate, as `evacuate` says."""
    limits = {"requests_per_s": requests_per_s, "bytes_per_s": bytes_per_s}
    check_limits("evacuate", at_once=at_once, **limits)
    await prepare(store)
    plan, report = _plan(store, domains), EvacuateReport()
    paces, began_s = Paces(store, **limits), runtime.now_s()

    async def work(one: Holding) -> None:
        wanted, size = plan.wanted(one), one.size or 0
        source = [name for name in one.backends if name in store.clients][:1]
        await paces.wait_for([*source, *wanted], size)
        repaired = await repair_path(store, one.path, wanted)
        got = [name for name in dict.fromkeys(repaired.copied) if name in wanted]
        report.pay(len(got), size)
        report.elapsed_s = runtime.now_s() - began_s
        if got and plan.at_risk(one):
            report.at_risk -= 1
            report.bytes_at_risk -= size
        if len(got) == len(wanted):
            report.left -= 1
            report.bytes_left -= size
        elif repaired.ending != "done":
            naming.name(report.failed, {one.path: repaired.why})
        callback.relative_update(1)
        if on_progress is not None:
            on_progress(report)

    try:
        await plan.count(report)
        callback.set_size(report.left)
        if not dry_run:
            await work_through(_pieces(plan), work, at_once)
            await plan.count(report)  # others have written, deleted and copied meanwhile
    except CatalogDownError as error:
        raise unavailable("", error) from None
    return report


def _plan(store: Store, domains: tuple[str, ...]) -> _Plan:
    for domain in domains:
        if not any(within(mine, domain) for mine in store.domains.values()):
            known = ", ".join(dict.fromkeys(store.domains.values()))
            raise ConfigurationError(f"evacuate: nothing lies in {domain!r}; there are {known}")
    going = [n for n, mine in store.domains.items() if any(within(mine, d) for d in domains)]
    open_ = (name for name in store.writable if not store.is_drained(name))
    staying = tuple(name for name in open_ if name not in going)
    if not staying:
        raise ConfigurationError(
            f"evacuate: there is no backend outside {', '.join(domains)} to write to: add one"
        )
    return _Plan(store, tuple(going), staying)


async def _pieces(plan: _Plan) -> AsyncGenerator[Holding]:
    last: tuple[int, int, int, str] | None = None
    chosen: list[Holding] = []
    while last is None or len(chosen) == CHOSEN:
        chosen = []
        async for one in plan.concerned():
            if last is None or plan.urgency(one) > last:
                chosen.append(one)
            if len(chosen) > 2 * CHOSEN:
                chosen = heapq.nsmallest(CHOSEN, chosen, key=plan.urgency)
        chosen = heapq.nsmallest(CHOSEN, chosen, key=plan.urgency)
        for one in chosen:
            yield one
        if not chosen:
            return
        last = plan.urgency(chosen[-1])
