"""Some paths: what lies in the backends, compared, and recorded if nothing changed meanwhile."""

from __future__ import annotations

import functools
from collections.abc import (
    AsyncGenerator,
    Awaitable,
    Callable,
    Container,
    Iterable,
    Mapping,
    Sequence,
)
from typing import Any

import attrs

from resilient_store.backends.client import BackendClient
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import BackendsUnavailableError, ConcurrentWriteError
from resilient_store.io.catalogued import own_key
from resilient_store.io.catalogued.discover import unexplained
from resilient_store.io.catalogued.holder import Holder, find, unavailable
from resilient_store.io.catalogued.labels import unlabelled
from resilient_store.io.catalogued.numbers import number_in
from resilient_store.io.catalogued.write import CataloguedWrite
from resilient_store.io.copy import send_all
from resilient_store.io.drive import each, protected
from resilient_store.io.fanout import fan_out
from resilient_store.model.info import Headers, ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import Content, Record, State
from resilient_store.model.step import Step
from resilient_store.protocol import findings
from resilient_store.protocol.account import Verdict, described_version, is_all_remembered
from resilient_store.protocol.moment import Moment, Wish
from resilient_store.protocol.native import stated_content, told_apart
from resilient_store.runtime import reach
from resilient_store.store import Store

CHANGED = "it changed meanwhile"
ROUNDED_S = 2.0  # so much of a time a filesystem may leave out


@attrs.frozen
class Adopted:
    """What became of one path.

    Attributes
    ----------
    new
        Whether it was recorded now.
    conflict
        The backends whose bytes differ; nothing was changed.
    why
        What prevented it.
    absent
        Whether no backend has anything there.
    highest
        The highest version that the labels there say.
    """

    path: str
    new: bool = False
    conflict: tuple[str, ...] = ()
    why: str = ""
    absent: bool = False
    highest: int = 0


@attrs.frozen
class _Lying:
    """What lies at one own key; `mark` is the same where the same bytes lie."""

    info: ObjectInfo
    content: Content
    mark: str


@attrs.frozen
class _Found:
    """An object to record, and what became of its path when that is done."""

    said: Adopted
    discovered: findings.Discovered


async def adopt_path(
    store: Store, path: str, listed: Mapping[str, ObjectInfo], *, newest: bool
) -> Adopted:
    """Adopt one path."""
    (adopted,) = await adopt_some(store, {path: listed}, newest=newest)
    return adopted


async def adopt_some(
    store: Store,
    listed: Mapping[str, Mapping[str, ObjectInfo] | None],
    *,
    newest: bool,
    dry_run: bool = False,
    at_once: int = 1,
    above: Callable[[int], Awaitable[None]] | None = None,
) -> list[Adopted]:
    """Adopt some paths; what is found is recorded in one transaction.

    Parameters
    ----------
    listed
        Path to what backends list there, which is no more than a hint (R14): where all of it is
        as the catalog remembers it, nothing is looked at. None: nobody has listed it. Whoever has,
        and else every backend that is not drained, must answer when it is looked at.
    dry_run
        Whether only to say what would become of them.
    at_once
        How many are looked at at one time.
    above
        Called with the highest version that labels say, before anything is recorded.

    Raises
    ------
    CatalogUnavailableError
        The catalog cannot be had.

    Notes
    -----
    Rules: R14.
    """
    if not listed:
        return []
    try:
        records = await store.known.records(list(listed))
    except CatalogDownError as error:
        raise unavailable("", error) from None
    looks = [
        functools.partial(_look, store, record, listed[record.path], newest=newest, dry_run=dry_run)
        for record in records
    ]
    looked: list[Adopted | _Found] = []
    for record, one in zip(records, await each(looks, at_once), strict=True):
        if isinstance(one, Exception) and not isinstance(one, OSError):
            raise one
        looked.append(Adopted(record.path, why=str(one)) if isinstance(one, Exception) else one)
    said = [one.said if isinstance(one, _Found) else one for one in looked]
    if above is not None:
        await above(max((one.highest for one in said), default=0))
    found = [one.discovered for one in looked if isinstance(one, _Found)]
    if dry_run or not found:
        return said
    done = dict(zip((one.by.path for one in found), await _record(store, found), strict=True))
    return [
        one if done.get(one.path, True) else attrs.evolve(one, new=False, why=CHANGED)
        for one in said
    ]


async def _record(store: Store, found: Sequence[findings.Discovered]) -> list[bool]:
    def change(
        records: tuple[Record, ...], moment: Moment
    ) -> tuple[tuple[Record, ...], list[bool]]:
        pairs = [
            findings.discover(record, moment, one)
            for record, one in zip(records, found, strict=True)
        ]
        return tuple(after for after, _ in pairs), [done for _, done in pairs]

    try:
        done = await store.known.change([one.by.path for one in found], change)
    except CatalogDownError as error:
        raise unavailable("", error) from None
    reach(Step.ADOPT_RECORDED)
    return done


async def _look(
    store: Store,
    record: Record,
    listed: Mapping[str, ObjectInfo] | None,
    *,
    newest: bool,
    dry_run: bool,
) -> Adopted | _Found:
    if record.present is not None:
        if listed is not None and is_all_remembered(record, listed):
            return Adopted(record.path)
        return await _adopt_over(store, record, listed, newest=newest, dry_run=dry_run)
    if record.intent is not None:
        return Adopted(record.path, why="somebody is at work on it")
    if record.entry is not None:
        return Adopted(record.path)  # it was deleted
    return await _adopt_unknown(store, record, listed, newest=newest)


def _unheard(
    store: Store,
    listed: Mapping[str, ObjectInfo] | None,
    heard: Container[str],
    replies: Iterable[Reply[Any]],
) -> str:
    """Say who did not answer, and may hold other bytes than those that did."""
    asked = [n for n in store.clients if not store.is_drained(n)] if listed is None else listed
    silent = [one for one in replies if one.backend in asked and one.backend not in heard]
    return "; ".join(reply.words() for reply in silent)


async def _adopt_unknown(
    store: Store, record: Record, listed: Mapping[str, ObjectInfo] | None, *, newest: bool
) -> Adopted | _Found:
    path = record.path
    infos: dict[str, ObjectInfo | None] = {}

    async def look(client: BackendClient) -> Reply[ObjectInfo]:
        reply = await unexplained(record, client)
        if reply.outcome is Outcome.NOT_FOUND and not store.believes_absence(client.name):
            return Reply(client.name, Outcome.UNAVAILABLE, detail="suspect")
        if reply.ok or reply.outcome is Outcome.NOT_FOUND:
            infos[client.name] = reply.value
        return reply

    replies = await fan_out(store, store.clients, look)
    if why := _unheard(store, listed, infos, replies.values()):
        return Adopted(path, why=why)
    lying = await _compared(store, path, infos)
    if not isinstance(lying, dict):
        return Adopted(path, why=lying.words())
    if not lying:
        silent = [reply.words() for name, reply in replies.items() if name not in infos]
        return Adopted(path, why="; ".join(silent), absent=not silent)
    groups: dict[str, list[str]] = {}
    for name, one in lying.items():
        groups.setdefault(one.mark, []).append(name)
    chosen = next(iter(groups.values()))
    if len(groups) > 1:
        if not newest:
            return Adopted(path, conflict=tuple(lying))
        chosen = groups[lying[_newest(lying)].mark]
    return _found(record, infos, lying, chosen)


async def _compared(
    store: Store, path: str, infos: dict[str, ObjectInfo | None]
) -> dict[str, _Lying] | Reply[Content]:
    """Return what lies where; bytes are read only where platforms do not tell already."""
    asked = ((name, infos.get(name)) for name in store.clients)  # in order, whoever was quicker
    there = {name: info for name, info in asked if info is not None and not info.directory}
    marks = told_apart(there)
    if marks is not None:
        return {name: _Lying(one, stated_content(one), marks[name]) for name, one in there.items()}
    lying: dict[str, _Lying] = {}
    for name, info in there.items():
        read = await own_key.content_of(store.clients[name], path, info)
        if read.value is None:
            return read
        lying[name] = _Lying(info, read.value, read.value.checksum)
    return lying


def _newest(lying: dict[str, _Lying]) -> str:
    return max(lying, key=lambda name: _age_key(lying[name].info))


def _age_key(info: ObjectInfo) -> float:
    return 0.0 if info.modified is None else info.modified.timestamp()


def _found(
    record: Record,
    infos: dict[str, ObjectInfo | None],
    lying: dict[str, _Lying],
    chosen: list[str],
) -> _Found:
    first = lying[chosen[0]]
    found = findings.Discovered(
        content=first.content,
        headers=unlabelled(first.info.headers),
        holders={name: lying[name].info.tag for name in chosen},
        others={name: one.info.tag for name, one in lying.items() if name not in chosen},
        nowhere=tuple(name for name, info in infos.items() if info is None),
        by=record,
        created_s=_age_key(first.info),
    )
    highest = _highest(one.info for one in lying.values())
    return _Found(Adopted(record.path, new=True, highest=highest), found)


async def _adopt_over(
    store: Store,
    record: Record,
    listed: Mapping[str, ObjectInfo] | None,
    *,
    newest: bool,
    dry_run: bool,
) -> Adopted:
    """Make somebody else's bytes the next version of a known path, where that was asked for."""
    looks: dict[str, own_key.Look] = {}

    async def look(client: BackendClient) -> Reply[Any]:
        looks[client.name] = await own_key.judged(record, client)
        return looks[client.name].reply

    replies = await fan_out(store, store.clients, look)
    infos = [found.info for found in looks.values() if found.info is not None]
    known = Adopted(record.path, highest=_highest(infos))
    judged = {name for name, found in looks.items() if found.verdict is not None}
    if why := _unheard(store, listed, judged, replies.values()):
        return attrs.evolve(known, why=why)
    foreign = {
        name: found.info
        for name, found in looks.items()
        if found.verdict is Verdict.FOREIGN and found.info is not None
    }
    foreign = {n: i for n, i in foreign.items() if not i.directory and not _may_be(record, n, i)}
    if not foreign:
        return known
    if (await find(store, record.path))[0] != record:
        return attrs.evolve(known, why=CHANGED)
    if not newest:
        return attrs.evolve(known, conflict=tuple(foreign))
    later = {name: info for name, info in foreign.items() if _is_later(record, name, info)}
    if later and not dry_run:
        name = max(later, key=lambda n: _age_key(later[n]))
        await _copy_over(store, record, store.clients[name], later[name])
    return attrs.evolve(known, new=bool(later))


def _is_later(record: Record, name: str, info: ObjectInfo) -> bool:
    """Say whether bytes came after the version that is known: those that lost to it did not."""
    assert record.entry is not None, "only a known path is adopted over"
    row, since_s = record.replica(name), record.entry.modified_s
    if row.state is State.FOREIGN:
        return _age_key(info) > since_s
    # Where others lay when somebody looked, these came later, whatever a backend's clock says.
    return row.looked or _age_key(info) > since_s - ROUNDED_S


def _highest(infos: Iterable[ObjectInfo]) -> int:
    return max((number_in(str(described_version(info))) for info in infos), default=0)


def _may_be(record: Record, name: str, info: ObjectInfo) -> bool:
    """Say whether an adopted object may be the one that was adopted: nobody knows its bytes."""
    row = record.replica(name)
    counts = row.state is State.GOOD and not record.checksums
    return counts and (row.tag is None or info.tag is None)


class _NextVersion(CataloguedWrite):
    """A write that replaces the version that was looked at, and no other."""

    def __init__(self, store: Store, seen: Record, headers: Headers) -> None:
        super().__init__(store, seen.path, headers, exact=True)
        self._seen = seen

    async def _begin(self, wish: Wish) -> Holder:
        holder = await super()._begin(wish)
        if holder.record.entry != self._seen.entry:
            await protected(holder.finish())
            raise ConcurrentWriteError(holder.path, note="it changed while it was adopted")
        return holder


async def _copy_over(store: Store, seen: Record, client: BackendClient, info: ObjectInfo) -> None:
    session = _NextVersion(store, seen, unlabelled(info.headers))
    await session.begin()
    await send_all(session, _bytes_of(seen.path, client, info))


async def _bytes_of(
    path: str, client: BackendClient, info: ObjectInfo
) -> AsyncGenerator[bytes, None]:
    offset, size = 0, info.size or 0
    while offset < size:
        block = await own_key.block_of(client, path, info, offset)
        if block.value is None:
            raise BackendsUnavailableError(path, [block])
        yield block.value.data
        offset += len(block.value.data)
