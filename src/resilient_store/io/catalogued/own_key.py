"""Work at an object's own key: look first, keep what is somebody else's, then publish or remove.

Nothing here is sent unless the intent's lease outlasts the call (R5), and nothing is replaced or
deleted that this store did not write there (R9).
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import attrs

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.backends.upload import UploadClient, seconds_for
from resilient_store.io.catalogued.holder import Holder
from resilient_store.io.drive import protected
from resilient_store.io.stream import BLOCK_BYTES
from resilient_store.model.checksum import ChunkedChecksum
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.path import RESERVED, join
from resilient_store.model.state import OWN, Content, Entry, Record, State
from resilient_store.model.step import Step
from resilient_store.protocol.account import Verdict, verdict, verdict_of_bytes
from resilient_store.protocol.native import NativeChecksum

Notes = dict[str, Any]

QUARANTINE = f"{RESERVED}/quarantine"


def in_place(entry: Entry, tag: str | None) -> Notes:
    """Return what to note of a backend that has the current version at its own key."""
    return {
        "version": entry.version,
        "state": State.GOOD,
        "place": OWN,
        "looked": True,
        "tag": tag,
        "error": "",
    }


@attrs.frozen
class Look:
    """What lies at an own key, judged; or the reply of a backend that could not be asked."""

    verdict: Verdict | None
    info: ObjectInfo | None
    reply: Reply[Any]

    @property
    def tag(self) -> str | None:
        """The tag of what lies there."""
        return None if self.info is None else self.info.tag


async def look(holder: Holder, client: BackendClient) -> Look:
    """Look at an own key under its path's intent; what lies there may be another object's."""
    if client.folds and (others := await holder.folded()):
        detail = f"{others[0]!r} differs only in case or Unicode form: it cannot hold both"
        return Look(None, None, Reply(client.name, Outcome.REFUSED, detail=detail))
    return await judged(holder.record_now, client)


async def judged(record: Record, client: BackendClient) -> Look:
    """Look at an own key, and read what lies there where only its bytes can tell."""
    reply = await client.info(record.path, kind="write")
    if not reply.ok and reply.outcome is not Outcome.NOT_FOUND:
        return Look(None, None, reply)
    info = reply.value
    said = verdict(record, record.replica(client.name), _believed(client, info))
    if said is Verdict.UNSURE and info is not None:
        summed = await checksum_of(client, record.path, info)
        if summed.value is None:
            return Look(None, None, summed)
        said = verdict_of_bytes(record, summed.value)
    return Look(said, info, Reply(client.name, Outcome.OK))


def _believed(client: BackendClient, info: ObjectInfo | None) -> ObjectInfo | None:
    """Leave out what a file says of itself on a disk: who writes into it in place keeps that."""
    on_a_disk = client.traits is not None and client.traits.directories
    return attrs.evolve(info, headers=None) if on_a_disk and info is not None else info


async def checksum_of(client: BackendClient, key: str, info: ObjectInfo) -> Reply[str]:
    """Read an object and return its checksum; not if it changes meanwhile."""
    read = await content_of(client, key, info)
    checksum = None if read.value is None else read.value.checksum
    return Reply(client.name, read.outcome, checksum, read.detail)


async def content_of(
    client: BackendClient, key: str, info: ObjectInfo, native: NativeChecksum | None = None
) -> Reply[Content]:
    """Read an object and return what a catalog keeps of it; not if it changes meanwhile.

    Parameters
    ----------
    native
        Told of the bytes, too.
    """
    found = ChunkedChecksum()
    size = info.size or 0
    while found.size < size:
        block = await block_of(client, key, info, found.size)
        if block.value is None:
            return Reply(client.name, block.outcome, detail=block.detail)
        found.update(block.value.data)
        if native is not None:
            native.update(block.value.data)
    return Reply(client.name, Outcome.OK, found.content())


async def block_of(client: BackendClient, key: str, info: ObjectInfo, start: int) -> Reply[Body]:
    """Read the next bytes of what was looked at; not of what has taken its place meanwhile."""
    reply = await client.get(key, start, min(info.size or 0, start + BLOCK_BYTES))
    body = reply.value
    if body is None:
        return reply
    if not body.data:
        return Reply(client.name, Outcome.CORRUPT, detail="a short body")
    if (body.tag or info.tag) != info.tag:
        return Reply(client.name, Outcome.EXISTS, detail="it changed while it was read")
    return reply


async def quarantine(holder: Holder, client: BackendClient, info: ObjectInfo) -> bool:
    """Keep somebody else's bytes under the store's own prefix; say whether that is confirmed."""
    if info.directory or info.size is None:
        return False
    kept = join(QUARANTINE, runtime.new_id(), holder.path)
    headers = info.headers or Headers()
    size = info.size

    async def copy(upload: UploadClient) -> Reply[Any]:
        done, reply = 0, Reply[Any](client.name, Outcome.OK)
        while reply.ok and done < size:
            block = await block_of(client, holder.path, info, done)
            if block.value is None:
                return block
            reply = await upload.write(block.value.data)
            done += len(block.value.data)
        return reply

    if not (await uploaded(client, kept, headers, copy)).ok:
        return False
    confirmed = await client.info(kept, kind="write")
    return confirmed.value is not None and confirmed.value.size == info.size


async def uploaded(
    client: BackendClient,
    key: str,
    headers: Headers,
    copy: Callable[[UploadClient], Coroutine[Any, Any, Reply[Any]]],
) -> Reply[Any]:
    """Upload what a coroutine copies; where that fails or is cancelled, nothing is left of it."""
    begun = await client.upload(key, exclusive=False, headers=headers)
    if begun.value is None:
        return begun
    try:
        reply = await copy(begun.value)
        if reply.ok:
            reply = await begun.value.finish()
    except BaseException:
        await protected(begun.value.abort())
        raise
    if not reply.ok:
        await begun.value.abort()
    return reply


async def cleared(holder: Holder, client: BackendClient) -> Look:
    """Look, and see that nobody else's bytes would be lost: then anything there may go."""
    found = await look(holder, client)
    if found.verdict is not Verdict.FOREIGN or found.info is None:
        return found
    # Whoever is not the holder any more does not know what was written meanwhile.
    await holder.ready_for(client.backend.timeout)
    if await quarantine(holder, client, found.info):
        runtime.reach(Step.QUARANTINED)
        return attrs.evolve(found, verdict=Verdict.OURS)
    reply = Reply[Any](client.name, Outcome.EXISTS, detail="other bytes lie there, and stay")
    return attrs.evolve(found, reply=reply)


async def remove(holder: Holder, client: BackendClient) -> tuple[Reply[Any], Notes]:
    """Remove what lies at an own key; return what to note of it."""
    found = await cleared(holder, client)
    if found.verdict is Verdict.EMPTY:
        return found.reply, {"state": State.GONE, "place": None, "looked": True, "tag": None}
    if found.verdict is not Verdict.OURS:
        if found.verdict is Verdict.FOREIGN:
            return found.reply, {"state": State.FOREIGN, "error": found.reply.words()}
        return found.reply, {"error": found.reply.words()}
    await holder.ready_for(client.backend.timeout)
    conditional = client.traits is not None and client.traits.conditional_delete
    tag = found.tag if conditional else None
    reply = await client.delete(holder.path, expected=tag, looked=True)
    if reply.ok or reply.outcome is Outcome.NOT_FOUND:
        return reply, {"state": State.GONE, "place": None, "looked": True, "tag": None}
    return reply, {"error": reply.words()}


async def publish(
    holder: Holder, client: BackendClient, staged: str, size: int, *, quiet: bool
) -> tuple[Reply[Any], Notes]:
    """Bring staged bytes to the own key, keeping the staged ones; return what to note.

    Only a publish that began on a quiet key moves the place of the replica that counts (R2).
    """
    found = await cleared(holder, client)
    if found.verdict not in (Verdict.EMPTY, Verdict.OURS):
        if found.verdict is Verdict.FOREIGN:
            return found.reply, {"error": found.reply.words()}
        return found.reply, {}
    within_s = client.backend.timeout + seconds_for(size)
    await holder.ready_for(within_s)
    reply = await client.publish(
        staged, holder.path, expected=found.tag, size=size, looked=True, keep=True
    )
    if reply.outcome is Outcome.REFUSED and quiet:  # it can only move what is staged
        await holder.ready_for(within_s)
        reply = await client.publish(
            staged, holder.path, expected=found.tag, size=size, looked=True
        )
    if not reply.ok or reply.value is None:
        return reply, {"error": reply.words()}
    tag = reply.value.tag
    if tag is None:
        confirmed = await client.info(holder.path, kind="write")
        if confirmed.value is None or confirmed.value.size != size:
            return confirmed, {"error": confirmed.words()}
        tag = confirmed.value.tag
    notes: Notes = {"looked": True, "tag": tag, "error": ""}
    return reply, {**notes, "state": State.GOOD, "place": OWN} if quiet else notes
