"""Bring objects that lie in the backends already into the catalog."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, Literal

import attrs
from fsspec.callbacks import DEFAULT_CALLBACK

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import BackendsUnavailableError, ConfigurationError
from resilient_store.io.catalogued.adopt import Adopted, adopt_some
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.numbers import STAGING, go_on_above, highest_in
from resilient_store.io.drive import to_end
from resilient_store.io.paced import work_through
from resilient_store.io.pages import divided, merged
from resilient_store.io.prepare import prepare
from resilient_store.io.sharded import on_workers
from resilient_store.model import naming
from resilient_store.model.info import ObjectInfo
from resilient_store.model.key_range import EVERYTHING, KeyRange
from resilient_store.model.outcome import Reply
from resilient_store.model.path import is_hidden, problem
from resilient_store.model.state import StoreState
from resilient_store.store import Store, StoreOwner

Choice = Literal["report", "newest"]
Listing = dict[str, Mapping[str, ObjectInfo] | None]

GROUP = 200  # paths whose records are read, and written, together
# While one group is recorded and the next is listed, two are looked at; of the 32 calls that a
# backend takes by default some are left for others.
GROUPS_AT_ONCE, LOOKS_AT_ONCE = 3, 8


@attrs.define(kw_only=True)
class AdoptReport:
    """What was adopted, and what was not; after a dry run, what would be.

    Attributes
    ----------
    new
        How many objects the catalog knows now, and did not know before.
    known
        How many it knew already.
    adopted
        The paths of the new ones. The first 10,000 are named.
    conflicts
        Path to the backends whose bytes differ; nothing was changed there. The first 10,000 are
        named.
    failed
        Path to reason: a backend did not answer, none has what was asked for by name, or somebody
        was at work there. The first 10,000 are named.
    refused
        Keys that no object of a store may have, with the reason. The first 10,000 are named.
    unnamed
        How many more conflicts, failures and refused keys there are.
    complete
        Whether the catalog knows all paths of its store now.
    """

    new: int = 0
    known: int = 0
    adopted: list[str] = attrs.field(factory=list)
    conflicts: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    failed: dict[str, str] = attrs.field(factory=dict)
    refused: dict[str, str] = attrs.field(factory=dict)
    unnamed: int = 0
    complete: bool = False

    def add(self, one: Adopted) -> None:
        """Count what became of one path."""
        if one.conflict:
            self.unnamed += naming.name(self.conflicts, {one.path: one.conflict})
        elif one.why:
            self.unnamed += naming.name(self.failed, {one.path: one.why})
        elif one.new:
            self.new += 1
            self.adopted += [one.path][: naming.NAMED - len(self.adopted)]
        else:
            self.known += 1

    def add_refused(self, key: str, why: str) -> None:
        """Note a key that no object may have."""
        self.unnamed += naming.name(self.refused, {key: why})

    def absorb(self, other: AdoptReport) -> None:
        """Add what became of another part of the store."""
        self.new += other.new
        self.known += other.known
        self.unnamed += other.unnamed
        self.adopted += other.adopted[: naming.NAMED - len(self.adopted)]
        for kind in ("conflicts", "failed", "refused"):
            self.unnamed += naming.name(getattr(self, kind), getattr(other, kind))


def adopt(
    fs: StoreOwner,
    *,
    paths: Iterable[str] | None = None,
    backends: Iterable[str] | None = None,
    on_conflict: Choice = "report",
    complete: bool = True,
    dry_run: bool = False,
    client: Any = None,
    callback: Any = DEFAULT_CALLBACK,
) -> AdoptReport:
    """Record what lies in the backends and is not in the catalog; no object is moved or copied.

    Where several backends hold the same bytes they become replicas of one object; `repair`
    brings it to the others. Bytes are read only where neither their sizes nor the checksums that
    the platforms state tell whether they are the same. May be killed and called again: what the
    catalog knows by then is passed over, unless a listing shows another tag or size.

    Parameters
    ----------
    fs
        The store; it has a catalog.
    paths
        Only these; None: whatever the backends list.
    backends
        Only what these list; None: all of them.
    on_conflict
        ``"report"``: where the bytes under one path differ nothing is changed. ``"newest"``: the
        latest written counts, also over what the catalog knows; the others are kept in
        ``.resilient/quarantine/`` by the next repair.
    complete
        Whether the catalog knows all paths afterwards; only with neither `paths` nor `backends`,
        and only if nothing failed. While others write to a backend, say False.
    dry_run
        Only say what would be adopted, and what would be a conflict. A new store gets its identity
        even so, as with any first call.
    client
        A Dask client, on whose workers parts of the listings are gone through. None: all of it
        here.
    callback
        An fsspec callback, told of keys that were gone through. Not told of what workers do.

    Raises
    ------
    ConfigurationError
        There is no catalog, or an argument is wrong.
    BackendsUnavailableError
        A backend could not be listed to its end, or the catalog cannot be had. What was adopted
        until then stays; call again.

    Notes
    -----
    Promises: P6, P7, P9. Rules: R14.
    """
    if fs.store.catalog is None:
        raise ConfigurationError("adopt needs a catalog to bring the objects into")
    if on_conflict not in ("report", "newest"):
        raise ConfigurationError(f"on_conflict={on_conflict!r} must be 'report' or 'newest'")
    if client is not None and paths is not None:
        raise ConfigurationError("adopt: a Dask client shares out listings; give no paths with it")
    chosen = None if backends is None else tuple(backends)
    how: Any = {"backends": chosen, "on_conflict": on_conflict, "dry_run": dry_run}
    if client is None:
        listed = None if paths is None else list(paths)
        more: Any = {"paths": listed, "complete": complete, "callback": callback}
        return to_end(fs.loop, adopt_all, fs.store, **how, **more)
    report = AdoptReport()
    divide = functools.partial(_divided, names=_asked(fs.store, chosen))
    for one in on_workers(client, fs, _adopt_part, how, divide):
        report.absorb(one)
    to_end(fs.loop, _conclude, fs.store, report, chosen, complete=complete, dry_run=dry_run)
    return report


async def _divided(store: Store, count: int, *, names: tuple[str, ...]) -> list[KeyRange]:
    return await divided({name: store.clients[name] for name in names}, count)


def _adopt_part(fs: StoreOwner, part: KeyRange, options: dict[str, Any]) -> AdoptReport:
    return to_end(fs.loop, _gone_through, fs.store, **options, part=part)


async def adopt_all(
    store: Store,
    paths: list[str] | None = None,
    backends: tuple[str, ...] | None = None,
    on_conflict: Choice = "report",
    *,
    complete: bool = True,
    dry_run: bool = False,
    callback: Any = DEFAULT_CALLBACK,
) -> AdoptReport:
    """Adopt, as `adopt` says."""
    report = await _gone_through(
        store, backends, on_conflict, dry_run=dry_run, paths=paths, callback=callback
    )
    whole = paths is None
    await _conclude(store, report, backends, complete=complete, dry_run=dry_run or not whole)
    return report


def _asked(store: Store, backends: tuple[str, ...] | None) -> tuple[str, ...]:
    names = tuple(store.clients) if backends is None else backends
    for name in names:
        if name not in store.clients:
            known = ", ".join(store.clients)
            raise ConfigurationError(f"adopt: there is no backend {name!r}; there are {known}")
    return names


async def _gone_through(
    store: Store,
    backends: tuple[str, ...] | None = None,
    on_conflict: Choice = "report",
    *,
    dry_run: bool = False,
    paths: list[str] | None = None,
    part: KeyRange = EVERYTHING,
    callback: Any = DEFAULT_CALLBACK,
) -> AdoptReport:
    names = _asked(store, backends)
    await prepare(store)
    report, numbers = AdoptReport(), _Numbers(store, dry_run=dry_run)

    async def work(listed: Listing) -> None:
        await numbers.go_on_above(max(map(_number_of, listed), default=0))
        mine = {}
        for key, words in listed.items():
            if (why := problem(key)) is None:
                mine[key] = words
            elif words is None or not is_hidden(key):
                report.add_refused(key, why)
        for one in await adopt_some(
            store,
            mine,
            newest=on_conflict == "newest",
            dry_run=dry_run,
            at_once=LOOKS_AT_ONCE,
            above=numbers.go_on_above,
        ):
            lacks = one.absent and listed[one.path] is None  # and was asked for by name
            report.add(attrs.evolve(one, why="no backend has it") if lacks else one)
        callback.relative_update(len(listed))

    pieces = _given(paths) if paths is not None else _listed(store, names, part)
    await work_through(pieces, work, GROUPS_AT_ONCE)
    return report


def _number_of(key: str) -> int:
    """Return the number in the name of something staged, else 0."""
    if not key.startswith(STAGING):
        return 0
    return highest_in(key.removeprefix(STAGING).partition("/")[0])


class _Numbers:
    """Lets the counter go on above what a catalog that was lost had drawn (R7)."""

    def __init__(self, store: Store, *, dry_run: bool) -> None:
        self._store, self._dry_run = store, dry_run
        self._above = 0

    async def go_on_above(self, highest: int) -> None:
        """See to it before anything is recorded: whoever goes on after us may not see this one."""
        if highest > self._above and not self._dry_run:
            try:
                await go_on_above(self._store, highest)
            except CatalogDownError as error:
                raise unavailable("", error) from None
            self._above = max(self._above, highest)


async def _given(paths: list[str]) -> AsyncGenerator[Listing]:
    size = runtime.page(GROUP)
    for start in range(0, len(paths), size):
        yield dict.fromkeys(paths[start : start + size])


async def _listed(store: Store, names: tuple[str, ...], part: KeyRange) -> AsyncGenerator[Listing]:
    """List the backends: a hint of what to look at, never a fact (R14)."""
    failed: dict[str, Reply[Any]] = {}
    clients: dict[str, BackendClient] = {name: store.clients[name] for name in names}
    async with contextlib.aclosing(merged(clients, failed, part)) as pages:
        async for found in pages:
            if failed:
                break
            size = runtime.page(GROUP)
            for start in range(0, len(found), size):
                yield dict(found[start : start + size])
    if failed:
        raise BackendsUnavailableError("", failed.values(), "The listing is not whole; call again")


async def _conclude(
    store: Store,
    report: AdoptReport,
    backends: tuple[str, ...] | None,
    *,
    complete: bool,
    dry_run: bool,
) -> None:
    names = _asked(store, backends)
    knows_all = complete and backends is None and not report.conflicts
    state: StoreState | None
    try:
        if dry_run or report.failed:
            state = await store.known.state()
        else:
            state = await store.known.change_state(
                functools.partial(_adopted, names=names, knows_all=knows_all)
            )
    except CatalogDownError as error:
        raise unavailable("", error) from None
    report.complete = state is not None and state.complete
    report.adopted.sort()  # whichever group ended first


def _adopted(
    state: StoreState | None, _: float, *, names: tuple[str, ...], knows_all: bool
) -> StoreState:
    assert state is not None, "a store that was prepared has an identity"
    # What a suspect backend did not list is not absent there.
    knows_all = knows_all and not any(state.backend(name).suspect for name in names)
    rows = {}
    for name in names:
        row = attrs.evolve(state.backend(name), came_back=False)
        rows[name] = attrs.evolve(row, known=row.known or knows_all)
    return attrs.evolve(
        state, backends={**state.backends, **rows}, complete=state.complete or knows_all
    )
