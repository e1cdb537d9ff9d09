"""Create a copy at a quiet own key where nothing is expected: one request, nothing staged (R17)."""

from __future__ import annotations

from typing import Any

from resilient_store.backends.client import BackendClient
from resilient_store.backends.contract import Stored
from resilient_store.backends.upload import seconds_for
from resilient_store.io.catalogued import own_key, server_side
from resilient_store.io.catalogued import read as versions
from resilient_store.io.catalogued.enrich import enrich
from resilient_store.io.catalogued.holder import Holder
from resilient_store.io.catalogued.labels import labelled
from resilient_store.io.stream import BLOCK_BYTES
from resilient_store.io.taken import tries_exclusive_create
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import Entry, Replica, State
from resilient_store.model.step import Step
from resilient_store.protocol.account import Verdict
from resilient_store.runtime import reach

# Something lies there, a directory has its name or forbids it: a staged copy counts all the same.
_HERE_NEVER = (Outcome.EXISTS, Outcome.REFUSED, Outcome.DENIED)
_UNKNOWN = (Outcome.TIMED_OUT, Outcome.CORRUPT)


async def create(
    holder: Holder, client: BackendClient, row: Replica
) -> tuple[Reply[Any], own_key.Notes] | None:
    """Copy verified bytes to the own key; None where they have to be staged.

    That is where something is expected there, is in its way, or may be under way to it; and where
    the backend seems to be away: what is sent to nobody would make the key busy all the same.

    Returns
    -------
    tuple
        What the backend answered, and what to note of it.
    """
    entry = holder.record.present
    assert entry is not None
    may_send = client.name in holder.quiet and client.health.is_closed("write")
    if not may_send or not _expects_nothing(row, entry):
        return None
    copying = await server_side.copying(holder, client, holder.path, exclusive=True)
    had = await _read_whole(holder) if copying is None else None
    if copying is None and had is None:
        return None
    if not await _is_empty(holder, client) or not await holder.touch(client.name):
        return None
    reply = None if copying is None else await copying()
    if reply is None and (had := had or await _read_whole(holder)) is not None:
        reply = await _put(holder, client, entry, had.data)
    reach(Step.REPAIR_CREATED)
    if reply is None or reply.outcome in _HERE_NEVER:
        return None
    if reply.value is not None:
        return await _confirmed(client, holder.path, entry, reply.value)
    if had := had or await _read_whole(holder):  # what may lie there will have to be recognised
        enrich(holder.store, had, None, None)
    unknown = reply.outcome in _UNKNOWN
    return reply, {"error": reply.words(), **({"state": State.UNKNOWN} if unknown else {})}


def _expects_nothing(row: Replica, entry: Entry) -> bool:
    """Say whether nothing should lie at an own key, so that a short object may go there at once."""
    if entry.content is None or entry.content.size > BLOCK_BYTES:
        return False
    if row.state is State.STALE:  # it was away when the path was new
        return row.version == 0 and row.tag is None
    never_sent = row == Replica(backend=row.backend)  # it was added later
    return never_sent or row.state in (State.MISSING, State.GONE)


async def _read_whole(holder: Holder) -> versions.Had | None:
    had, _ = await versions.read_version(holder.store, holder.record, None, None)
    return had


async def _put(holder: Holder, client: BackendClient, entry: Entry, data: bytes) -> Reply[Stored]:
    assert entry.content is not None
    checksum = entry.content.checksum if entry.content.kind == "chunked" else ""
    await holder.ready_for(client.backend.timeout + seconds_for(len(data)))
    headers = labelled(entry.headers, entry.version, checksum)
    return await client.put(holder.path, data, exclusive=True, headers=headers)


async def _is_empty(holder: Holder, client: BackendClient) -> bool:
    """Say whether a creation can replace nothing: it is exclusive, or nothing lies there (R3)."""
    if client.traits is None or not client.traits.creates_whole:
        return False
    if holder.knows_all and client.name not in holder.record.replicas:
        return True
    if (await tries_exclusive_create(client)).value:
        return True
    return (await own_key.look(holder, client)).verdict is Verdict.EMPTY


async def _confirmed(
    client: BackendClient, path: str, entry: Entry, stored: Stored
) -> tuple[Reply[Any], own_key.Notes]:
    tag = stored.tag
    if tag is None:  # nothing says so far that it has arrived (R20)
        looked = await client.info(path, kind="write")
        info = looked.value
        assert entry.content is not None
        if info is not None and info.size != entry.content.size:
            looked = Reply(client.name, Outcome.CORRUPT, detail="another size than was sent")
        if info is None or not looked.ok:
            return looked, {"state": State.UNKNOWN, "error": looked.words()}
        tag = info.tag
    return Reply(client.name, Outcome.OK), own_key.in_place(entry, tag)
