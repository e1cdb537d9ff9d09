"""Deleting with a catalog: the tombstone first, then the bytes wherever they can be reached."""

from __future__ import annotations

import functools
import logging
from typing import Any

from resilient_store.backends.client import BackendClient
from resilient_store.errors import BackendsUnavailableError, ObjectError
from resilient_store.io.catalogued import own_key
from resilient_store.io.catalogued.answers import note_answers, silent_among
from resilient_store.io.catalogued.begin import begin
from resilient_store.io.catalogued.holder import Holder
from resilient_store.io.catalogued.objects import known
from resilient_store.io.catalogued.publish import drop_staged
from resilient_store.io.catalogued.read import STARTED_OVER
from resilient_store.io.catalogued.settle import settle
from resilient_store.io.drive import protected
from resilient_store.io.fanout import away_to_write, fan_out
from resilient_store.model.outcome import Reply
from resilient_store.model.step import Step
from resilient_store.protocol import transactions
from resilient_store.protocol.moment import Wish
from resilient_store.protocol.write import Demand
from resilient_store.runtime import reach
from resilient_store.store import Store

logger = logging.getLogger("resilient_store")


async def delete(store: Store, path: str) -> None:
    """Delete an object: it is gone for everyone from the tombstone on.

    Raises
    ------
    FileNotFoundError
        There is no such object.
    BackendsUnavailableError
        It is not known, nor can it be, whether there is one; or the catalog cannot be had.
    ConcurrentWriteError, StoreFrozenError
        As they say.

    Notes
    -----
    Promises: P2, P3, P8. Source: design, section 6, "Delete"; rules R1, R4, R9.
    """
    wish = Wish(
        kind="delete",
        placed=store.placed(path),
        owner=store.owner,
        lease_s=store.configuration.lease,
    )
    for _ in range(STARTED_OVER):
        await known(store, path)
        holder = await begin(store, path, wish, settle)
        reach(Step.DELETE_BEGUN)
        if holder.record.entry is not None:
            await protected(_bury(holder))
            return
        # Whoever was at work there has kept it from being recorded, or it is forgotten by now.
        await protected(holder.finish())
    raise BackendsUnavailableError(path, note="it changed as often as it was looked at")


async def _bury(holder: Holder) -> None:
    if holder.record.present is None:
        await holder.finish()
        raise FileNotFoundError(2, "no such object", holder.path)
    buried = await holder.certainly(
        functools.partial(transactions.bury, intent_id=holder.intent.id)
    )
    if not buried:
        raise holder.taken()
    reach(Step.DELETE_BURIED)
    await remove_buried(holder)


async def remove_buried(holder: Holder) -> None:
    """Remove the bytes under a tombstone; what cannot be reached stays in the queue."""
    store = holder.store
    notes: dict[str, own_key.Notes] = {}

    async def remove(client: BackendClient) -> Reply[Any]:
        reply, notes[client.name] = await own_key.remove(holder, client)
        return reply

    away = away_to_write(store, store.writable)
    names = [name for name in store.writable if name not in away]
    try:
        replies = await fan_out(store, names, remove, Demand(1))
        reach(Step.DELETE_REMOVED)
        await holder.finish(notes, version=holder.intent.version)
    except ObjectError as error:  # it is deleted all the same: repair removes what is left
        logger.warning("%s was deleted; its bytes are left to repair: %s", holder.path, error)
        return
    reach(Step.DELETE_FINISHED)
    answered = [n for n, reply in replies.items() if reply.outcome.answers]
    await drop_staged(holder, answered)
    await note_answers(store, answered, silent_among(replies))


async def remove_empty(store: Store, path: str) -> None:
    """Remove an empty directory from disks where it can be: it is no object of anybody's."""
    names = [n for n in store.writable if store.clients[n].health.is_closed("write")]
    await fan_out(store, names, lambda client: client.rmdir(path), Demand(1))
