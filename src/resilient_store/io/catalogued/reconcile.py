"""After a restore: look at every suspect, and take from backends what is newer than the snapshot.

Path by path, on all backends. Nothing is written to a backend here.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.io.catalogued import own_key
from resilient_store.io.catalogued.adopt import adopt_path
from resilient_store.io.catalogued.holder import find, key_of, run
from resilient_store.io.catalogued.labels import unlabelled
from resilient_store.io.catalogued.numbers import highest_in, number_in
from resilient_store.io.catalogued.sidecar import described
from resilient_store.io.catalogued.survey import Survey, is_known
from resilient_store.io.catalogued.suspects import Staged
from resilient_store.io.copy import run_local
from resilient_store.io.drive import each
from resilient_store.io.fanout import fan_out
from resilient_store.model.checksum import CHUNK_BYTES
from resilient_store.model.info import ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import OWN, Content, Record, Replica, State
from resilient_store.protocol import reconcile
from resilient_store.protocol.account import described_checksum, described_version
from resilient_store.protocol.reconcile import Looked, Lying, Newer
from resilient_store.store import Store

Infos = Mapping[tuple[str, str], ObjectInfo]

PAGE = 500
AT_ONCE = 8
AGAIN_S = (0.2, 1.0)  # after which who was listed, and did not answer, is asked again


@attrs.frozen
class Reconciled:
    """What became of one path.

    Attributes
    ----------
    newer
        Whether a version was taken that the snapshot did not know.
    doubtful
        Whether fewer backends are seen to hold it than an acknowledged one must be on.
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


async def reconcile_all(
    store: Store, found: Survey, number: int, callback: Any = None
) -> AsyncIterator[Reconciled]:
    """Look at every suspect, and record what is there."""
    after = ""
    while paths := await run_local(
        functools.partial(found.suspects.page, after, runtime.page(PAGE))
    ):
        calls = [
            functools.partial(reconcile_path, store, path, staged, found, number)
            for path, staged in paths.items()
        ]
        for path, one in zip(paths, await each(calls, AT_ONCE), strict=True):
            if isinstance(one, OSError):
                yield Reconciled(path, why=str(one))
            elif isinstance(one, Exception):
                raise one
            else:
                yield one
        if callback is not None:
            callback.relative_update(len(paths))
        after = next(reversed(paths))


async def reconcile_path(
    store: Store, path: str, staged: Staged, found: Survey, number: int
) -> Reconciled:
    """Find the newest version of one path, and record it; or see what is left of the known one."""
    record, _ = await find(store, path)
    infos: dict[tuple[str, str], ObjectInfo] = {}
    look = functools.partial(_look, store, record, staged, found.listed, infos, number=number)
    looked, silence = await _look_patiently(store, look)
    found.highest = max(found.highest, 0, *(one.version for one in looked.lying))
    placed = store.placed(path)
    silent = frozenset(placed) - looked.answered

    def enough(names: frozenset[str]) -> bool:
        return store.demand_of(placed).is_met(set(names), store.domains)

    # Who is silent may hold it too: then it was acknowledged, and counts, though nothing shows it.
    version = reconcile.newest(looked, lambda names: enough(names | silent))
    if version:
        doubtful = bool(silence) or not enough(looked.newer[version])
        return await _taken(store, looked, version, infos, doubtful=doubtful)
    if record.is_empty and looked.lying and not silence:
        if any(one.version or store.came_back(one.backend) for one in looked.lying):
            return Reconciled(path)  # it had come to its end before the snapshot
        listed = {name: info for (name, place), info in infos.items() if place == OWN}
        adopted = await adopt_path(store, path, listed, newest=False)
        return Reconciled(path, newer=adopted.new, unclear=adopted.conflict, why=adopted.why)
    done = await run(store, path, functools.partial(reconcile.stand, looked=looked))
    if silence:  # they may hold what is newer, or all of it
        return Reconciled(path, why="; ".join(silence))
    return _stood(looked, "" if done else "it changed meanwhile")


async def _look_patiently(
    store: Store, look: Callable[[], Awaitable[tuple[Looked, dict[str, Reply[Any]]]]]
) -> tuple[Looked, tuple[str, ...]]:
    """Look; say too what who was listed, and is still silent after some looks, has replied."""
    for wait_s in (*AGAIN_S, None):
        looked, replies = await look()
        silent = {name: reply for name, reply in replies.items() if not reply.ok}
        may_answer = any(store.clients[name].health.is_closed("write") for name in silent)
        if wait_s is None or not may_answer:
            break
        await runtime.pause(wait_s)
    return looked, tuple(reply.words() for reply in silent.values())


async def _look(
    store: Store,
    record: Record,
    staged: Staged,
    listed: Iterable[str],
    infos: dict[tuple[str, str], ObjectInfo],
    *,
    number: int,
) -> tuple[Looked, dict[str, Reply[Any]]]:
    path = record.path
    infos.clear()  # of the look before
    tokens: dict[str, list[str]] = {}
    for name, token in staged:
        tokens.setdefault(name, []).append(token)

    async def look(client: BackendClient) -> Reply[Any]:
        for place in (OWN, *tokens.get(client.name, ())):
            reply = await client.info(key_of(place, path), kind="write")
            if reply.value is not None and place != OWN:
                reply = await described(client, reply.value)
            if reply.value is not None:
                if not reply.value.directory:
                    infos[client.name, place] = reply.value
            elif reply.outcome is not Outcome.NOT_FOUND or not store.believes_absence(client.name):
                return reply
        return Reply(client.name, Outcome.OK)

    replies = await fan_out(store, listed, look)
    answered = frozenset(name for name, reply in replies.items() if reply.ok)
    lying = [
        _lying(record, name, place, info)
        for (name, place), info in infos.items()
        if name in answered
    ]
    return Looked(by=record, lying=tuple(lying), answered=answered, number=number), replies


def _lying(record: Record, name: str, place: str, info: ObjectInfo) -> Lying:
    row = record.replica(name)
    known = is_known(record, row, info) if place == OWN else row.place == place
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
    staged = state is State.UNKNOWN and not own  # nobody else could find it again
    return attrs.evolve(
        row,
        version=one.version,
        state=state,
        place=one.place if state is State.GOOD or staged else None,
        looked=own and state is State.GOOD,
        tag=one.tag if own and state is State.GOOD else None,
        error="",
    )


def _is_better(row: Replica, other: Replica) -> bool:
    """Say which copy of one backend counts: the staged one, which no late request changes (R2)."""
    if (row.state is State.GOOD) != (other.state is State.GOOD):
        return row.state is State.GOOD
    return row.place not in (None, OWN)


def _stood(looked: Looked, why: str) -> Reconciled:
    record = looked.by
    if record.present is None:
        return Reconciled(record.path, why=why)
    size = record.present.content.size if record.present.content is not None else 0
    lacking = tuple(
        name
        for name, row in record.replicas.items()
        if name in looked.answered and row.state is State.GOOD and not _may_hold(looked, name)
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


def _may_hold(looked: Looked, name: str) -> bool:
    """Say whether the known version lies there, or what does not say of which it is."""
    lying = [one for one in looked.lying if one.backend == name]
    return name in looked.current or any(not one.version for one in lying)
