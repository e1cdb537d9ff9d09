"""A path that an incomplete catalog does not know: found in the backends, it is recorded."""

from __future__ import annotations

import functools

from resilient_store.backends.client import BackendClient
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.io.catalogued.holder import find, run, unavailable
from resilient_store.io.catalogued.labels import unlabelled
from resilient_store.io.catalogued.numbers import go_on_above, number_in
from resilient_store.io.catalogued.own_key import checksum_of
from resilient_store.io.read import ask, without_original
from resilient_store.model.info import ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import Content, Record
from resilient_store.protocol import findings
from resilient_store.protocol.account import described_version
from resilient_store.store import Store


async def discover(store: Store, record: Record) -> Record | None:
    """Look for a path in the backends, and record it, so that it can be looked up again.

    Returns
    -------
    Record or None
        What to read by instead: somebody is at work on the path, so nothing may be recorded.

    Raises
    ------
    FileNotFoundError
        It is certain that there is no such object.
    OriginalMissingError
        It existed: a derivative is left.
    BackendsUnavailableError
        It cannot be known now.

    Notes
    -----
    Rules: R14, R15.
    """
    path = record.path
    nowhere: list[str] = []

    async def perform(client: BackendClient) -> Reply[ObjectInfo]:
        reply = await unexplained(record, client, came_back=store.came_back(client.name))
        if reply.outcome is Outcome.NOT_FOUND:
            if not store.believes_absence(client.name):
                return Reply(client.name, Outcome.UNAVAILABLE, detail="suspect")
            nowhere.append(client.name)
        return reply

    reading = await ask(store, path, perform)
    at_work = record.intent is not None
    if (at_work or reading.found is None) and (await find(store, path))[0] != record:
        return None
    found = reading.found or await without_original(store, path, reading)
    info = found.value
    assert info is not None, "only an OK is found"
    if info.directory:
        raise IsADirectoryError(21, "is a directory", path)
    discovered = findings.Discovered(
        content=Content(size=info.size or 0, kind="none"),
        headers=unlabelled(info.headers),
        holders={found.backend: info.tag},
        others={},
        nowhere=tuple(nowhere),
        by=record,
        created_s=0.0 if info.modified is None else info.modified.timestamp(),
    )
    if at_work:
        return findings.unrecorded(discovered)
    if number := number_in(str(described_version(info))):  # a catalog that was lost had drawn it
        try:
            await go_on_above(store, number)
        except CatalogDownError as error:
            raise unavailable(path, error) from None
    await run(store, path, functools.partial(findings.discover, found=discovered))
    return None


async def unexplained(
    record: Record, client: BackendClient, *, came_back: bool = False
) -> Reply[ObjectInfo]:
    """Look at a key; what an open intent or a void explains is not there (R11, R12, R14).

    Nor does anything count that lies on a backend that `came_back` from an earlier state.
    """
    reply = await client.info(record.path)
    info = reply.value
    if info is None or info.directory:
        return reply
    if came_back:
        detail = "it came back from an earlier state; adopt what lies there"
        return Reply(client.name, Outcome.UNAVAILABLE, detail=detail)
    if record.intent is not None and client.name in record.intent.direct:
        return Reply(client.name, Outcome.NOT_FOUND)
    explained = await _is_explained(record, client, info)
    if explained.value is None:
        return Reply(client.name, explained.outcome, detail=explained.detail)
    return Reply(client.name, Outcome.NOT_FOUND) if explained.value else reply


async def _is_explained(record: Record, client: BackendClient, info: ObjectInfo) -> Reply[bool]:
    """Say whether a creation that failed may have left what lies there."""
    voids = [void for void in record.voids if client.name in void.backends]
    if not voids or not all(void.checksum for void in voids):
        return Reply(client.name, Outcome.OK, bool(voids))
    summed = await checksum_of(client, record.path, info)
    if summed.value is None:
        return Reply(client.name, summed.outcome, detail=summed.detail)
    explains = any(void.explains(client.name, summed.value) for void in voids)
    return Reply(client.name, Outcome.OK, explains)
