"""After a restore: look at every backend, and take from it what is newer than the snapshot.

A listing is a hint, as in `adopt`: whatever is not exactly as the catalog remembers it is looked at
again, path by path, on all backends. Nothing is written to a backend here.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import Any

import attrs

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.io.catalogued import own_key
from resilient_store.io.catalogued.adopt import adopt_path
from resilient_store.io.catalogued.holder import find, key_of, run
from resilient_store.io.catalogued.labels import unlabelled
from resilient_store.io.catalogued.numbers import RESTORED, STAGING, highest_in, number_in
from resilient_store.io.catalogued.sidecar import described
from resilient_store.io.drive import each
from resilient_store.io.fanout import fan_out
from resilient_store.model.checksum import CHUNK_BYTES
from resilient_store.model.info import ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.path import is_hidden, problem
from resilient_store.model.state import OWN, Content, Record, Replica, State
from resilient_store.protocol import reconcile
from resilient_store.protocol.account import described_checksum, described_version
from resilient_store.protocol.reconcile import Looked, Lying, Newer
from resilient_store.store import Store

Infos = Mapping[tuple[str, str], ObjectInfo]

PAGE = 500
AT_ONCE = 8


@attrs.frozen
class Reconciled:
    """What became of one path.

    Attributes
    ----------
    newer
        Whether a version was taken that the snapshot did not know.
    doubtful
        Whether fewer backends hold it than an acknowledged one must be on.
    vanished
        Whether its version lies on no backend that answered.
    partly
        Backends where it should lie and does not, while others hold it.
    unclear
        Backends with other bytes, at its own key or staged since; nothing says what they are.
    why
        What prevented it.
    """

    path: str
    newer: bool = False
    doubtful: bool = False
    vanished: bool = False
    partly: tuple[str, ...] = ()
    unclear: tuple[str, ...] = ()
    why: str = ""


@attrs.define
class Survey:
    """What the listings of all backends say.

    Attributes
    ----------
    listed
        The backends that were listed, to the end.
    suspects
        Paths that are not exactly as the catalog remembers them.
    staged
        Path to the backends and tokens of what is staged of it.
    highest
        The highest number that any name says.
    """

    listed: list[str] = attrs.field(factory=list)
    suspects: set[str] = attrs.field(factory=set)
    staged: dict[str, list[tuple[str, str]]] = attrs.field(factory=dict)
    highest: int = 0


# --- listings -----------------------------------------------------------------------------


async def survey(store: Store, names: Iterable[str]) -> tuple[Survey, list[Reply[Any]]]:
    """List these backends, one after another; return what they say, and who could not be."""
    found, failed = Survey(), []
    for name in names:
        reply = await store.clients[name].list("", recursive=True)
        if reply.value is None:
            failed.append(reply.bare())
            continue
        own = _sorted_out(found, name, reply.value)
        found.listed.append(name)
        async for record in _held(store, name):
            info = own.pop(record.path, None)
            if not _is_as_known(record, name, info, found.staged.get(record.path, ())):
                found.suspects.add(record.path)
        found.suspects.update(key for key in own if problem(key) is None)
    async for record in _owed(store):
        if record.intent is not None or (record.present is not None and not record.holders()):
            found.suspects.add(record.path)
    return found, failed


def _sorted_out(found: Survey, name: str, infos: Sequence[ObjectInfo]) -> dict[str, ObjectInfo]:
    """Note what is staged on a backend; return what lies at own keys."""
    own = {}
    for info in infos:
        if info.directory:
            continue
        if info.key.startswith(STAGING):
            token, _, path = info.key.removeprefix(STAGING).partition("/")
            if path and problem(path) is None:
                found.staged.setdefault(path, []).append((name, token))
                found.suspects.add(path)
            found.highest = max(found.highest, highest_in(token))
        elif info.key.startswith(RESTORED):
            found.highest = max(found.highest, number_in(info.key.removeprefix(RESTORED)))
        elif not is_hidden(info.key):
            own[info.key] = info
    return own


async def _held(store: Store, name: str) -> AsyncIterator[Record]:
    after = ""
    while paths := await store.known.held_by(name, after, runtime.page(PAGE)):
        for record in await store.known.records(paths):
            yield record
        after = paths[-1]


async def _owed(store: Store) -> AsyncIterator[Record]:
    after = ""
    while paths := await store.known.owed(after, runtime.page(PAGE)):
        for record in await store.known.records(paths):
            yield record
        after = paths[-1]


def _is_as_known(
    record: Record, name: str, info: ObjectInfo | None, staged: Iterable[tuple[str, str]]
) -> bool:
    row = record.replica(name)
    if info is None and (record.present is None or row.state is not State.GOOD):
        return True
    if row.state is State.GOOD and row.place not in (None, OWN):
        return (name, row.place) in staged
    return _is_known(record, row, info)


def _is_known(record: Record, row: Replica, info: ObjectInfo | None) -> bool:
    """Say whether what lies at an own key is the very object that counted in the snapshot."""
    current = record.present is not None and row.version == record.present.version
    counted = current and row.state is State.GOOD and row.place == OWN
    return counted and info is not None and row.tag is not None and row.tag == info.tag


# --- one path -----------------------------------------------------------------------------


async def reconcile_all(
    store: Store, found: Survey, number: int, callback: Any = None
) -> AsyncIterator[Reconciled]:
    """Look at every suspect, and record what is there."""
    suspects = sorted(found.suspects)
    for start in range(0, len(suspects), PAGE):
        paths = suspects[start : start + PAGE]
        calls = [functools.partial(reconcile_path, store, p, found, number) for p in paths]
        for path, one in zip(paths, await each(calls, AT_ONCE), strict=True):
            if isinstance(one, OSError):
                yield Reconciled(path, why=str(one))
            elif isinstance(one, Exception):
                raise one
            else:
                yield one
        if callback is not None:
            callback.relative_update(len(paths))


async def reconcile_path(store: Store, path: str, found: Survey, number: int) -> Reconciled:
    """Find the newest version of one path, and record it; or see what is left of the known one."""
    record, _ = await find(store, path)
    infos: dict[tuple[str, str], ObjectInfo] = {}
    looked = await _look(store, record, found, number, infos)
    found.highest = max(found.highest, 0, *(one.version for one in looked.lying))
    placed = store.placed(path)
    silent = frozenset(placed) - looked.answered

    def enough(names: frozenset[str]) -> bool:
        return store.demand_of(placed).is_met(set(names | silent), store.domains)

    version = reconcile.newest(looked, enough)
    if version:
        doubtful = not enough(looked.newer[version])
        return await _taken(store, looked, version, infos, doubtful=doubtful)
    if record.is_empty and looked.lying:
        if any(one.version or store.came_back(one.backend) for one in looked.lying):
            return Reconciled(path)  # it had come to its end before the snapshot
        adopted = await adopt_path(store, path, newest=False)
        return Reconciled(path, newer=adopted.new, unclear=adopted.conflict, why=adopted.why)
    done = await run(store, path, functools.partial(reconcile.stand, looked=looked))
    return _stood(looked, "" if done else "it changed meanwhile")


async def _look(
    store: Store,
    record: Record,
    found: Survey,
    number: int,
    infos: dict[tuple[str, str], ObjectInfo],
) -> Looked:
    path = record.path
    staged: dict[str, list[str]] = {}
    for name, token in found.staged.get(path, ()):
        staged.setdefault(name, []).append(token)

    async def look(client: BackendClient) -> Reply[Any]:
        for place in (OWN, *staged.get(client.name, ())):
            reply = await client.info(key_of(place, path), kind="write")
            if reply.value is not None and place != OWN:
                reply = await described(client, reply.value)
            if reply.value is not None:
                if not reply.value.directory:
                    infos[client.name, place] = reply.value
            elif reply.outcome is not Outcome.NOT_FOUND or not store.believes_absence(client.name):
                return reply
        return Reply(client.name, Outcome.OK)

    replies = await fan_out(store, found.listed, look)
    answered = frozenset(name for name, reply in replies.items() if reply.ok)
    lying = [
        _lying(record, name, place, info)
        for (name, place), info in infos.items()
        if name in answered
    ]
    return Looked(by=record, lying=tuple(lying), answered=answered, number=number)


def _lying(record: Record, name: str, place: str, info: ObjectInfo) -> Lying:
    row = record.replica(name)
    known = _is_known(record, row, info) if place == OWN else row.place == place
    return Lying(
        backend=name,
        place=place,
        version=number_in(str(described_version(info))),
        checksum=described_checksum(info) or "",
        tag=info.tag,
        size=info.size or 0,
        known=known,
    )


async def _taken(
    store: Store, looked: Looked, version: int, infos: Infos, *, doubtful: bool
) -> Reconciled:
    """Make a version the current one, by its bytes; none that is older may be read in its place."""
    path = looked.by.path
    lying = [one for one in looked.lying if one.version == version and not one.known]
    read = {one: await _content(store, path, one, infos) for one in lying}
    content = _agreed(read)
    differ = content is not None and any(c not in (None, content) for c in read.values())
    why = (
        "its copies differ" if differ else "" if content is not None else "its bytes are not whole"
    )
    newer = _newer(looked, lying, read, content, infos)
    change = functools.partial(
        reconcile.advance, looked=looked, newer=newer, placed=store.placed(path)
    )
    done = await run(store, path, change)
    why = why and f"version {version}: {why}"
    return Reconciled(
        path, newer=done, doubtful=doubtful, why=why if done else "it changed meanwhile"
    )


async def _content(store: Store, path: str, one: Lying, infos: Infos) -> Content | None:
    client, info = store.clients[one.backend], infos[one.backend, one.place]
    return (await own_key.content_of(client, key_of(one.place, path), info)).value


def _agreed(read: Mapping[Lying, Content | None]) -> Content | None:
    """Return what a version's bytes are: what a label proves, or else what most copies say."""
    proven = [c for one, c in read.items() if c is not None and one.checksum == c.checksum]
    labelled = any(one.checksum for one in read)
    said = proven if labelled else [c for c in read.values() if c is not None]
    return max(said, key=said.count) if said else None


def _newer(
    looked: Looked,
    lying: Sequence[Lying],
    read: Mapping[Lying, Content | None],
    content: Content | None,
    infos: Infos,
) -> Newer:
    """Describe a version; one whose bytes could not be read by what its label says of them."""
    first = next((one for one in lying if content is not None and read[one] == content), lying[0])
    info = infos[first.backend, first.place]
    rows: dict[str, Replica] = {}
    for one in lying:
        state = State.UNKNOWN
        if content is not None and read[one] is not None:
            state = State.GOOD if read[one] == content else State.CORRUPT
        row = _row(looked.by.replica(one.backend), one, state)
        if one.backend not in rows or _is_better(row, rows[one.backend]):
            rows[one.backend] = row
    if content is None:
        said = next((one.checksum for one in lying if one.checksum), "")
        content = Content(size=first.size, checksum=said, chunk_bytes=CHUNK_BYTES)
    return Newer(
        version=first.version,
        content=content,
        headers=unlabelled(info.headers),
        modified_s=0.0 if info.modified is None else info.modified.timestamp(),
        rows=rows,
    )


def _row(row: Replica, one: Lying, state: State) -> Replica:
    own = one.place == OWN
    return attrs.evolve(
        row,
        version=one.version,
        state=state,
        place=one.place if state is State.GOOD else None,
        looked=own and state is State.GOOD,
        tag=one.tag if own and state is State.GOOD else None,
        error="",
    )


def _is_better(row: Replica, other: Replica) -> bool:
    """Say which copy of one backend counts: the staged one, which no late request changes (R2)."""
    if (row.state is State.GOOD) != (other.state is State.GOOD):
        return row.state is State.GOOD
    return row.place != OWN


def _stood(looked: Looked, why: str) -> Reconciled:
    record = looked.by
    if record.present is None:
        return Reconciled(record.path, why=why)
    size = record.present.content.size if record.present.content is not None else 0
    lacking = tuple(
        name
        for name, row in record.replicas.items()
        if name in looked.answered and row.state is State.GOOD and not _holds(looked, name)
    )
    silent = [one for one in looked.lying if not one.known and not one.version]
    unclear = tuple(dict.fromkeys(one.backend for one in silent if _is_other(looked, one, size)))
    return Reconciled(
        record.path,
        vanished=not looked.current and not unclear,
        partly=lacking if looked.current else (),
        unclear=unclear,
        why=why,
    )


def _is_other(looked: Looked, one: Lying, size: int) -> bool:
    """Say whether what says nothing of itself may be other bytes than those that are known."""
    if one.place != OWN:  # its key tells when it was staged
        return highest_in(one.place) > looked.number
    tag = looked.by.replica(one.backend).tag  # of what was last known there, whatever counts
    return one.size != size if tag is None else one.tag != tag


def _holds(looked: Looked, name: str) -> bool:
    return any(one.backend == name for one in looked.lying)
