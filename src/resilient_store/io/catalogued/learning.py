"""What a backend holds of a version that it may hold: found out by the bytes at its own key."""

from __future__ import annotations

import attrs

from resilient_store.backends.client import BackendClient
from resilient_store.io.catalogued import own_key
from resilient_store.io.catalogued import read as versions
from resilient_store.io.catalogued.holder import Holder
from resilient_store.io.stream import BLOCK_BYTES
from resilient_store.model.checksum import ChunkedChecksum
from resilient_store.model.info import ObjectInfo
from resilient_store.model.outcome import Outcome
from resilient_store.model.state import OWN, Content, Entry, Replica, State
from resilient_store.model.step import Step
from resilient_store.protocol.account import Verdict, described_checksum
from resilient_store.protocol.native import NativeChecksum
from resilient_store.runtime import reach

NOTHING: own_key.Notes = {"state": State.GONE, "place": None, "looked": True, "tag": None}


async def found_out(holder: Holder, client: BackendClient, row: Replica, entry: Entry) -> Replica:
    """Look at a quiet own key: what lies there is a copy, or nothing does; else nobody knows."""
    looked = await client.info(holder.path, kind="write")
    is_nowhere = looked.outcome is Outcome.NOT_FOUND and row.place in (None, OWN)
    if is_nowhere and holder.store.believes_absence(client.name):
        changes = {**NOTHING, "version": entry.version, "state": State.MISSING, "error": ""}
    elif looked.value is not None and await is_current(holder, client, looked.value, entry):
        changes = own_key.in_place(entry, looked.value.tag)
    else:
        return row
    return await note_learnt(holder, row, changes)


async def note_learnt(holder: Holder, row: Replica, changes: own_key.Notes) -> Replica:
    """Record what was found out; return the row as it is then."""
    entry = holder.record.present
    assert entry is not None
    if not await holder.note(row.backend, entry.version, changes):
        raise holder.taken()
    reach(Step.REPAIR_TRUSTED)
    return attrs.evolve(row, **changes)


async def is_current(holder: Holder, client: BackendClient, info: ObjectInfo, entry: Entry) -> bool:
    """Say whether what lies at an own key is the current version, by its bytes."""
    content = entry.content
    assert content is not None
    if info.directory or info.size != content.size:
        return False
    native = NativeChecksum(content)
    read = await own_key.content_of(client, holder.path, info, native)
    if read.value is None or not native.verifies:
        return False
    if content.kind == "native":
        return True
    if content.kind == "none" and not holder.record.holders():
        return await _is_all_that_is_left(holder, client, read.value)
    return read.value.checksum == await _checksum(holder, content)


async def _is_all_that_is_left(holder: Holder, client: BackendClient, content: Content) -> bool:
    """Say whether nobody has other bytes of an adopted object without any checksum.

    Then they are the object, on the word on which it was adopted: they lie there.
    """
    for name, row in holder.record.replicas.items():
        if name == client.name or row.state is not State.UNKNOWN:
            continue
        other = holder.store.clients.get(name)
        if other is None or holder.store.is_drained(name):
            return False
        looked = await other.info(holder.path, kind="write")
        if looked.outcome is Outcome.NOT_FOUND and holder.store.believes_absence(name):
            continue
        if looked.value is None or looked.value.size != content.size:
            return False
        read = await own_key.checksum_of(other, holder.path, looked.value)
        if read.value != content.checksum:
            return False
    return True


async def _checksum(holder: Holder, content: Content) -> str | None:
    """Return the checksum of the current bytes; an adopted object has none, so they are read."""
    if content.kind == "chunked":
        return content.checksum
    found, native = ChunkedChecksum(), NativeChecksum(content)
    while found.size < content.size:
        end = min(content.size, found.size + BLOCK_BYTES)
        had, _ = await versions.read_version(holder.store, holder.record, found.size, end)
        if had is None or not had.data:
            return None
        found.update(had.data)
        native.update(had.data)
    return found.content().checksum if native.verifies else None


def is_older(found: own_key.Look, entry: Entry) -> bool:
    """Say whether what lies there is this store's, and is not the current version spoilt."""
    assert found.info is not None
    assert entry.content is not None
    said = described_checksum(found.info)
    differs = found.info.size != entry.content.size or said not in (None, entry.content.checksum)
    return found.verdict is Verdict.OURS and differs
