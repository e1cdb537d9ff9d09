"""Ask the catalog what is damaged, page by page."""

from __future__ import annotations

import functools
import heapq
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from fsspec.callbacks import DEFAULT_CALLBACK

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import ConfigurationError
from resilient_store.io.catalogued.answers import hear
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.read import let_record
from resilient_store.io.drive import to_end
from resilient_store.io.prepare import prepare
from resilient_store.io.sharded import on_workers
from resilient_store.model.damage import KINDS, Kind, moment
from resilient_store.model.grouping import Grouping
from resilient_store.model.key_range import EVERYTHING, KeyRange
from resilient_store.model.outcome import Outcome
from resilient_store.model.pattern import PatternError
from resilient_store.model.state import Record, StoreState
from resilient_store.operations.damage.aside import quarantine_of
from resilient_store.operations.damage.report import DamageReport
from resilient_store.operations.damage.spool import Spool
from resilient_store.protocol.damage import Circumstances, described, kinds_of, stands_in
from resilient_store.store import Store, StoreOwner

PAGE = 1000
RECORDS = 250  # a record may carry the digests of thousands of chunks

Ask = Callable[[str, int], Awaitable[list[str]]]
Damaged = tuple[Record, tuple[str, ...], tuple[Kind, ...]]


def damage_report(
    fs: StoreOwner,
    *,
    group_by: str | None = None,
    quarantine: bool = True,
    client: Any = None,
    callback: Any = None,
) -> DamageReport:
    """Say which objects are lost, unreachable, at risk, or mixed up with somebody else's.

    It is made from the catalog. Each backend is asked whether it answers, and what lies in its
    quarantine; no object is read, and what nobody has noticed yet is not in the report.

    Parameters
    ----------
    fs
        The store; it has a catalog.
    group_by
        A pattern such as ``"originals/{customer}/..."``, in the language of `DegradedRead`; its
        fields make each object's group, but a ``{path...}`` that ends it does not, nor does
        ``...``. A derivative that nothing else groups is in its original's group, where its
        writer said ``derived_from``.
    quarantine
        Whether to list what was kept aside of others' bytes: a listing on each backend.
    client
        A Dask client, on whose workers parts of the store are looked through; what they find is
        put together here. None: all of it here.
    callback
        An fsspec callback: counts the objects that were looked at. Not told of what workers do.

    Raises
    ------
    ConfigurationError
        The store has no catalog, or `group_by` is no pattern to group by.
    CatalogUnavailableError
        The catalog cannot be had.

    Notes
    -----
    Promises: P5.
    """
    if fs.store.catalog is None:
        raise ConfigurationError(
            "damage_report needs a catalog, which remembers what there was: add "
            "catalog='sqlite:///photos.db' to the store, and adopt the objects"
        )
    options: Any = {"group_by": group_by, "quarantine": quarantine, "owner": fs}
    if client is None:
        callback = callback or DEFAULT_CALLBACK
        return to_end(fs.loop, damage_report_all, fs.store, callback=callback, **options)
    report, now = to_end(fs.loop, _begin, fs.store, **options)
    parts: dict[str, dict[Kind, Spool]] = {}
    for after, found in on_workers(client, fs, _find_part, {"group_by": group_by, "now": now}):
        parts[after] = {kind: Spool() for kind in KINDS}
        for kind, lines in found.items():
            parts[after][kind].add_lines(lines)
    for after in sorted(parts):
        for kind, spool in parts[after].items():
            report.found[kind].add_lines(spool.lines())
    return report


def _find_part(
    fs: StoreOwner, part: KeyRange, options: dict[str, Any]
) -> tuple[str, dict[Kind, list[bytes]]]:
    found: dict[Kind, Spool] = {kind: Spool() for kind in KINDS}
    group_of = _grouping(options["group_by"])
    to_end(fs.loop, _find, fs.store, options["now"], group_of, found, part=part)
    return part.after, {kind: list(spool.lines()) for kind, spool in found.items()}


async def damage_report_all(
    store: Store,
    group_by: str | None = None,
    callback: Any = DEFAULT_CALLBACK,
    owner: StoreOwner | None = None,
    *,
    quarantine: bool = True,
) -> DamageReport:
    """Make the report, as `damage_report` says; without an owner it shows no pictures."""
    report, now = await _begin(store, group_by, owner, quarantine=quarantine)
    await _find(store, now, _grouping(group_by), report.found, callback=callback)
    return report


def _grouping(group_by: str | None) -> Callable[[str], str]:
    try:
        return (lambda _: "") if group_by is None else Grouping(group_by).of
    except (PatternError, TypeError, AttributeError) as error:
        raise ConfigurationError(f"damage_report: group_by: {error}") from None


async def _begin(
    store: Store, group_by: str | None, owner: StoreOwner | None, *, quarantine: bool
) -> tuple[DamageReport, Circumstances]:
    """Ask the backends, and make a report that has no objects yet."""
    _grouping(group_by)
    await prepare(store)
    try:
        await let_record(store)
        replies = await hear(store)
        state = await store.known.state()
        assert state is not None, "a store that was prepared has an identity"
        deaf = [n for n, reply in replies.items() if not _can_be_read(reply.outcome)]
        now = _circumstances(store, state, deaf)
        report = DamageReport(
            made_at=moment(await store.known.now_s()) or runtime.wall(),
            complete=store.knows_all(state),
            restored_at=moment(state.restored_s),
            away={name: moment(at_s) for name, at_s in now.away.items()},
            group_by=group_by,
            quarantine=await quarantine_of(store, deaf) if quarantine else None,
            owner=owner,
        )
    except CatalogDownError as error:
        raise unavailable("", error) from None
    return report, now


async def _find(
    store: Store,
    now: Circumstances,
    group_of: Callable[[str], str],
    found: Mapping[Kind, Spool],
    *,
    part: KeyRange = EVERYTHING,
    callback: Any = DEFAULT_CALLBACK,
) -> None:
    await prepare(store)
    try:
        async for paths in _suspects(store, now, part):
            await _look_at(store, now, paths, group_of, found)
            callback.relative_update(len(paths))
    except CatalogDownError as error:
        raise unavailable("", error) from None


def _can_be_read(outcome: Outcome) -> bool:
    return outcome.answers or outcome is Outcome.THROTTLED


def _circumstances(store: Store, state: StoreState, deaf: list[str]) -> Circumstances:
    away, drained = {}, set()
    for name in store.clients:
        row = state.backend(name)
        left = row.away_from_s > 0 and row.back_s <= 0
        if name in deaf or row.suspect or left:
            failed_s = row.failed_s if row.failed_s > row.answered_s else 0.0
            away[name] = row.away_from_s if left else failed_s
        if row.drained:
            drained.add(name)
    return Circumstances(
        domains=store.domains,
        min_domains=store.configuration.write.min_domains,
        away=away,
        drained=frozenset(drained),
    )


async def _suspects(store: Store, now: Circumstances, part: KeyRange) -> AsyncIterator[list[str]]:
    """Yield pages of paths, in order, at which something may be wrong, each once.

    What is good on every backend that it is placed on, and none of them is away, is never
    looked at.
    """
    known = store.known
    sources = [_paths(known.owed, part)]
    sources += [_lacked(store, name, part) for name in store.writable]
    sources += [
        _paths(functools.partial(known.held_by, name), part)
        for name in store.clients
        if name in now.away or name in now.drained
    ]
    page: list[str] = []
    async for path in _merged(sources):
        page.append(path)
        if len(page) == RECORDS:
            yield page
            page = []
    if page:
        yield page


async def _paths(ask: Ask, part: KeyRange) -> AsyncIterator[str]:
    after, ended = part.after, False
    while not ended and (page := await ask(after, runtime.page(PAGE))):
        page, after = part.within(page, str)
        ended = not after
        for path in page:
            yield path


async def _lacked(store: Store, name: str, part: KeyRange) -> AsyncIterator[str]:
    """Yield what a backend should hold and was never sent."""
    async for path in _paths(functools.partial(store.known.without, name), part):
        if name in store.placed_in_all(path):
            yield path


async def _merged(sources: list[AsyncIterator[str]]) -> AsyncIterator[str]:
    """Yield the paths of sources that are in order, in order, each once."""
    heads: list[tuple[str, int]] = []

    async def pull(number: int) -> None:
        path = await anext(sources[number], None)
        if path is not None:
            heapq.heappush(heads, (path, number))

    for number in range(len(sources)):
        await pull(number)
    last = None
    while heads:
        path, number = heapq.heappop(heads)
        await pull(number)
        if path != last:
            yield path
        last = path


async def _look_at(
    store: Store,
    now: Circumstances,
    paths: list[str],
    group_of: Callable[[str], str],
    found: Mapping[Kind, Spool],
) -> None:
    damaged: list[Damaged] = []
    for record in await store.known.records(paths):
        placed = store.placed_in_all(record.path)
        if kinds := kinds_of(record, placed, now):
            damaged.append((record, placed, kinds))
    missing = [r.path for r, _, kinds in damaged if {"lost", "unreachable"} & set(kinds)]
    left = await _derivatives(store, now, missing)
    for record, placed, kinds in damaged:
        origin = record.entry.derived_from if record.entry is not None else None
        group = group_of(record.path) or (group_of(origin[0]) if origin else "")
        for kind in kinds:
            said = described(
                record,
                kind,
                placed,
                now,
                group=group,
                derivatives=left.get(record.path, ()) if kind in ("lost", "unreachable") else (),
            )
            found[kind].add(said)


async def _derivatives(
    store: Store, now: Circumstances, paths: list[str]
) -> dict[str, tuple[str, ...]]:
    """Return which derivatives of these originals are left, as far as the catalog knows."""
    rules = {path: store.derivatives(path) for path in paths}
    wanted = list(dict.fromkeys(one for derived in rules.values() for one in derived))
    left: set[str] = set()
    for start in range(0, len(wanted), RECORDS):
        found = await store.known.records(wanted[start : start + RECORDS])
        left.update(record.path for record in found if stands_in(record, now))
    return {path: tuple(one for one in derived if one in left) for path, derived in rules.items()}
