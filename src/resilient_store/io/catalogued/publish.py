"""After the commit: show the new bytes to other tools, once, and end the intent (R2)."""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from typing import Any

from resilient_store.backends.client import BackendClient
from resilient_store.errors import ObjectError
from resilient_store.io.catalogued import own_key
from resilient_store.io.catalogued.holder import Holder, key_of
from resilient_store.io.fanout import fan_out
from resilient_store.model.outcome import Reply
from resilient_store.model.state import OWN
from resilient_store.model.step import Step
from resilient_store.protocol.write import Demand
from resilient_store.runtime import reach

logger = logging.getLogger("resilient_store")


async def publish_staged(holder: Holder, names: Sequence[str], size: int) -> None:
    """Bring staged bytes to their own keys; what cannot be published now is repair's to do.

    Whatever goes wrong, the write is acknowledged: it is committed, and its copies count where
    they lie.
    """
    store = holder.store
    notes: dict[str, own_key.Notes] = {}

    async def publish(client: BackendClient) -> Reply[Any]:
        quiet = client.name in holder.quiet
        reply, said = await own_key.publish(holder, client, holder.staging, size, quiet=quiet)
        notes[client.name] = said
        reach(Step.WRITE_PUBLISHING)
        return reply

    try:
        await fan_out(store, names, publish, Demand(1))
        reach(Step.WRITE_PUBLISHED)
        if not await holder.finish(notes, version=holder.intent.version):
            return  # somebody settled it meanwhile: what lies in staging goes on counting there
    except ObjectError as error:  # the intent is settled as done, later
        logger.warning("%s is written; publishing it is left to repair: %s", holder.path, error)
        return
    reach(Step.WRITE_FINISHED)
    moved = [name for name, said in notes.items() if said.get("place") == OWN]
    await fan_out(store, moved, lambda c: c.delete(holder.staging, looked=True), Demand(1))


async def drop_replaced(holder: Holder, names: Container[str]) -> None:
    """Remove staged copies of the version that was replaced: no row names them any more."""
    replaced = {
        name: key_of(row.place, holder.path)
        for name, row in holder.record.replicas.items()
        if name in names and row.place not in (None, OWN)
    }
    if replaced:
        await fan_out(
            holder.store, replaced, lambda c: c.delete(replaced[c.name], looked=True), Demand(1)
        )
