"""Create a copy at a quiet own key where nothing is expected: one request, nothing staged (R17)."""

from __future__ import annotations

from typing import Any

from resilient_store.backends.client import BackendClient
from resilient_store.backends.contract import Stored
from resilient_store.backends.upload import seconds_for
from resilient_store.io.catalogued import own_key
from resilient_store.io.catalogued.holder import Holder
from resilient_store.io.catalogued.labels import labelled
from resilient_store.io.stream import BLOCK_BYTES
from resilient_store.io.taken import tries_exclusive_create
from resilient_store.model.info import Body
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import Entry, Replica, State
from resilient_store.model.step import Step
from resilient_store.protocol.account import Verdict
from resilient_store.runtime import reach

# Something lies there, a directory has its name or forbids it: a staged copy counts all the same.
_HERE_NEVER = (Outcome.EXISTS, Outcome.REFUSED, Outcome.DENIED)
_UNKNOWN = (Outcome.TIMED_OUT, Outcome.CORRUPT)


def expects_nothing(row: Replica, entry: Entry) -> bool:
    """Say whether nothing should lie at an own key, so that a short object may go there at once."""
    if entry.content is None or entry.content.size > BLOCK_BYTES:
        return False
    if row.state is State.STALE:  # it was away when the path was new
        return row.version == 0 and row.tag is None
    never_sent = row == Replica(backend=row.backend)  # it was added later
    return never_sent or row.state in (State.MISSING, State.GONE)


async def create(
    holder: Holder, client: BackendClient, entry: Entry, source: Body
) -> tuple[Reply[Any], own_key.Notes] | None:
    """Send a copy to the own key; None where something is in its way, or may be under way to it.

    Returns
    -------
    tuple
        What the backend answered, and what to note of it.
    """
    if not await _is_empty(holder, client):
        return None
    if not await holder.touch(client.name):
        return None
    assert entry.content is not None
    checksum = entry.content.checksum if entry.content.kind == "chunked" else ""
    await holder.ready_for(client.backend.timeout + seconds_for(len(source.data)))
    reply = await client.put(
        holder.path,
        source.data,
        exclusive=True,
        headers=labelled(entry.headers, entry.version, checksum),
    )
    reach(Step.REPAIR_CREATED)
    if reply.outcome in _HERE_NEVER:
        return None
    if reply.value is None:
        unknown = reply.outcome in _UNKNOWN
        return reply, {"error": reply.words(), **({"state": State.UNKNOWN} if unknown else {})}
    return await _confirmed(client, holder.path, entry, reply.value)


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
