"""Let a platform copy by itself between two of its buckets, where the copy can be proven (P4).

The source is a replica whose remembered tag was given to bytes that this store wrote or verified:
the request carries that tag. What then has not the source's checksum is read and held against the
catalog's. Whatever the platform will not do is done the usual way, through this process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Container, Mapping
from typing import Any, cast

from resilient_store.backends.client import BackendClient
from resilient_store.backends.contract import Copier, Origin, Stored
from resilient_store.backends.locate import PLATFORMS
from resilient_store.backends.upload import seconds_for
from resilient_store.io.catalogued import own_key
from resilient_store.io.catalogued.holder import Holder
from resilient_store.io.catalogued.labels import labelled
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import OWN, Content, Record, Replica
from resilient_store.store import Store

# What is late or wrong once would be so each time, and no repair would ever end (P7).
_NEVER_AGAIN = (Outcome.REFUSED, Outcome.TIMED_OUT, Outcome.CORRUPT)
_USUAL_WAY = (Outcome.REFUSED, Outcome.EXISTS, Outcome.NOT_FOUND)


def source_for(
    record: Record, target: str, realms: Mapping[str, str], declined: Container[tuple[str, str]]
) -> Replica | None:
    """Return the replica that a platform may copy to the target; None where there is none.

    Parameters
    ----------
    realms
        By backend: of those that can be asked.
    declined
        Pairs, from and to, between which it has refused to.
    """
    content = None if record.present is None else record.present.content
    if content is None or content.kind != "chunked" or not realms.get(target):
        return None
    for row in record.holders():
        is_remembered = row.place == OWN and row.looked and row.tag is not None
        alike = row.backend != target and realms.get(row.backend) == realms[target]
        if is_remembered and alike and (row.backend, target) not in declined:
            return row
    return None


async def copying(
    holder: Holder, client: BackendClient, key: str, *, exclusive: bool = False
) -> Callable[[], Awaitable[Reply[Stored] | None]] | None:
    """Return what lets the platform copy the current version to a key, or None.

    Where that returns None, nothing was copied and nothing is under way.
    """
    store, entry = holder.store, holder.record.present
    realms = await _realms(store, (client.name, *(row.backend for row in holder.record.holders())))
    row = source_for(holder.record, client.name, realms, store.declined)
    if row is None or row.tag is None or entry is None or entry.content is None:
        return None
    there, here = await store.clients[row.backend].open(), await client.open()
    if there.value is None or here.value is None:
        return None
    content, copier, pair = entry.content, cast("Copier", here.value), (row.backend, client.name)
    origin = Origin(family=there.value, key=holder.path, tag=row.tag, size=content.size)
    headers = labelled(entry.headers, entry.version, content.checksum)
    within_s = client.backend.timeout + seconds_for(content.size)

    async def copy() -> Reply[Stored] | None:
        await holder.ready_for(within_s)
        reply: Reply[Any] = await client.step(
            key,
            lambda: copier.copy_from(origin, key, exclusive=exclusive, headers=headers),
            deadline_s=within_s,
        )
        if reply.outcome in _NEVER_AGAIN:
            store.declined.add(pair)
        if reply.outcome in _USUAL_WAY or (reply.ok and reply.value is None):
            return None
        if reply.value is None or reply.value.proven:
            return reply
        await holder.ready_for(within_s)
        wrong = await _wrong_with(client, key, reply.value, content)
        if wrong is not None and wrong.outcome is Outcome.CORRUPT:
            store.declined.add(pair)
        return wrong or reply

    return copy


async def _realms(store: Store, names: tuple[str, ...]) -> dict[str, str]:
    """Return the realms of backends that can be asked; nothing is opened that can have none."""
    platforms = {
        name: spot.domain
        for name, spot in zip(store.configuration.names, store.configuration.spots, strict=True)
        if spot.protocol in PLATFORMS
    }
    realms = {}
    here = platforms.get(names[0])
    for name in names:
        client = store.clients.get(name)
        if client is None or here is None or platforms.get(name) != here or store.is_drained(name):
            continue
        if client.traits is None:
            await client.open()
        if client.traits is not None and client.health.is_closed("read"):
            realms[name] = client.traits.realm
    return realms


async def _wrong_with(
    client: BackendClient, key: str, stored: Stored, content: Content
) -> Reply[Stored] | None:
    """Read a copy that its tag does not prove; None: it has the bytes that the catalog knows."""
    looked = await client.info(key, kind="write")
    info = looked.value
    if info is None:
        return Reply(client.name, looked.outcome, detail=looked.detail)
    summed: Reply[Any] = looked
    if info.size == content.size and stored.tag in (None, info.tag):
        summed = await own_key.checksum_of(client, key, info)
        if summed.value is None:
            return Reply(client.name, summed.outcome, detail=summed.detail)
    if summed.value == content.checksum:
        return None
    return Reply(client.name, Outcome.CORRUPT, detail="the platform copied other bytes")
