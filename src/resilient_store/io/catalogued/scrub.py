"""Read one path's replicas and hold each against its checksum, whoever would serve a read (P4)."""

from __future__ import annotations

import functools
from typing import Any

import attrs

from resilient_store.backends.client import BackendClient
from resilient_store.io.catalogued import own_key
from resilient_store.io.catalogued.holder import key_of, run
from resilient_store.io.stream import BLOCK_BYTES
from resilient_store.model.checksum import verifies
from resilient_store.model.info import Body, ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import OWN, Content, Entry, Record, Replica, State
from resilient_store.protocol import findings
from resilient_store.protocol.native import NativeChecksum
from resilient_store.store import Store


@attrs.define
class Scrubbed:
    """What was seen of one path's replicas.

    Attributes
    ----------
    silent
        Replies of backends that could not be asked.
    bytes_read
        Of all replicas.
    seen
        What is to be recorded (R16); none of it counts before that.
    """

    path: str
    silent: list[Reply[Any]] = attrs.field(factory=list)
    bytes_read: int = 0
    seen: list[findings.Seen] = attrs.field(factory=list)


@attrs.frozen
class _Said:
    """What one replica's reading came to; `content` where it now has checksums of its own."""

    reply: Reply[Any]
    bytes_read: int = 0
    content: Content | None = None


async def scrub_path(store: Store, record: Record, names: list[str], *, deep: bool) -> Scrubbed:
    """Verify the replicas that these backends hold of a present object; the caller records it.

    Notes
    -----
    Promises: P4. Rules: R16.
    """
    report = Scrubbed(record.path)
    for name in names:
        entry, row = record.present, record.replica(name)
        assert entry is not None, "only a present object is scrubbed"
        said = await _verified(entry, store.clients[name], row, deep=deep)
        report.bytes_read += said.bytes_read
        state = _state(store, said.reply)
        if state is None:
            report.silent.append(said.reply)
            continue
        error = "" if state is State.GOOD else said.reply.words()
        report.seen.append(findings.Seen(by=row, version=entry.version, state=state, error=error))
        if said.content is not None:  # from now on the others are held against it
            record = attrs.evolve(record, entry=attrs.evolve(entry, content=said.content))
            change = functools.partial(findings.enrich, version=entry.version, content=said.content)
            await run(store, record.path, change)
    return report


def _state(store: Store, reply: Reply[Any]) -> State | None:
    if reply.ok:
        return State.GOOD
    if reply.outcome is Outcome.CORRUPT:
        return State.CORRUPT
    believed = store.believes_absence(reply.backend)
    return State.MISSING if reply.outcome is Outcome.NOT_FOUND and believed else None


async def _verified(entry: Entry, client: BackendClient, row: Replica, *, deep: bool) -> _Said:
    content, key = entry.content, key_of(row.place, entry.path)
    assert content is not None
    if deep and content.size and content.kind == "chunked":
        return await _read_all(client, key, content)
    looked = await client.info(key)
    info = looked.value
    if info is None:
        return _Said(looked)
    tag = row.tag if row.place == OWN else None  # of what lies in staging none is remembered
    adopted, same = content.kind != "chunked", tag is not None and tag == info.tag
    behind_our_back = adopted and not same and None not in (tag, info.tag)
    if info.directory or info.size != content.size or behind_our_back:
        return _Said(Reply(client.name, Outcome.CORRUPT, detail="it was changed"))
    if adopted:
        found = await _first_checksum(client, key, info, content)
        if found.reply.outcome is Outcome.CORRUPT:  # it may have been spoilt on its way
            found = await _first_checksum(client, key, info, content)
        return found
    on_a_disk = client.traits is not None and client.traits.directories
    if content.size and (on_a_disk or not same):
        return await _read_all(client, key, content)
    return _Said(Reply(client.name, Outcome.OK))


async def _first_checksum(
    client: BackendClient, key: str, info: ObjectInfo, stated: Content
) -> _Said:
    """Read an adopted object, which gets checksums of its own if its platform's is that of it."""
    native = NativeChecksum(stated)
    read = await own_key.content_of(client, key, info, native)
    if read.value is None:  # nothing proves its bytes bad
        outcome = read.outcome if read.outcome is Outcome.NOT_FOUND else Outcome.UNAVAILABLE
        return _Said(Reply(client.name, outcome, detail=read.detail))
    if not native.verifies:
        detail = "the bytes differ from the platform's checksum"
        return _Said(Reply(client.name, Outcome.CORRUPT, detail=detail), read.value.size)
    return _Said(Reply(client.name, Outcome.OK), read.value.size, read.value)


async def _read_all(client: BackendClient, key: str, content: Content) -> _Said:
    offset = 0
    while offset < content.size:
        reply = await _block(client, key, content, offset)
        if reply.outcome is Outcome.CORRUPT:  # it may have been spoilt on its way
            reply = await _block(client, key, content, offset)
        if reply.value is None:
            return _Said(attrs.evolve(reply, blank=False), offset)
        offset += len(reply.value.data)
    return _Said(Reply(client.name, Outcome.OK), offset)


async def _block(client: BackendClient, key: str, content: Content, start: int) -> Reply[Body]:
    end = min(content.size, start + BLOCK_BYTES)

    def verify(data: bytes) -> bool:
        return len(data) == end - start and verifies(content, start, data)

    if end - start == content.size:
        return await client.get(key, verify=verify)
    return await client.get(key, start, end, verify)
