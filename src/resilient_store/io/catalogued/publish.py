"""After the commit: show the new bytes to other tools, once, and end the intent (R2)."""

from __future__ import annotations

import logging
import math
from collections.abc import Container, Sequence
from typing import Any

from resilient_store.backends.client import BackendClient
from resilient_store.backends.health import PATIENCE_S
from resilient_store.errors import ObjectError
from resilient_store.io.catalogued import own_key
from resilient_store.io.catalogued.holder import Holder, key_of
from resilient_store.io.catalogued.sidecar import drop
from resilient_store.io.fanout import fan_out
from resilient_store.model.outcome import Reply
from resilient_store.model.state import OWN
from resilient_store.model.step import Step
from resilient_store.protocol.write import Demand
from resilient_store.runtime import reach

logger = logging.getLogger("resilient_store")


async def publish_staged(
    holder: Holder, names: Sequence[str], size: int, grace_s: float
) -> tuple[Sequence[str], set[str]]:
    """Bring staged bytes to their own keys; what cannot be published now is repair's to do.

    Whatever goes wrong, the write is acknowledged: it is committed, and its copies count where
    they lie. So who is silent is not waited for, also where nobody else has anything to publish.

    Parameters
    ----------
    grace_s
        How many seconds each request may go unanswered, beside those that its bytes take: by that,
        and not by how long all of it takes, a large object is told from a backend that hangs.

    Returns
    -------
    tuple
        The backends that need what was staged no longer, and those that did not answer.
    """
    store = holder.store
    notes: dict[str, own_key.Notes] = {}
    silent: set[str] = set()

    async def publish(client: BackendClient) -> Reply[Any]:
        PATIENCE_S.set(grace_s)  # for this task alone
        quiet = client.name in holder.quiet
        reply, said = await own_key.publish(holder, client, holder.staging, size, quiet=quiet)
        notes[client.name] = said
        reach(Step.WRITE_PUBLISHING)
        return reply

    try:
        replies = await fan_out(store, names, publish, Demand(1))
        reach(Step.WRITE_PUBLISHED)
        silent = {name for name, reply in replies.items() if not reply.outcome.answers}
        if not await holder.finish(notes, version=holder.intent.version):
            return (), silent  # somebody settled it: what lies in staging goes on counting there
    except ObjectError as error:  # the intent is settled as done, later
        logger.warning("%s is written; publishing it is left to repair: %s", holder.path, error)
        return (), silent
    reach(Step.WRITE_FINISHED)
    return [name for name, said in notes.items() if said.get("place") == OWN], silent


async def drop_staged(
    holder: Holder,
    names: Container[str],
    published: Sequence[str] = (),
    grace_s: float = math.inf,
) -> None:
    """Remove staged copies that no row names any more, on backends that answer.

    Those of the version that was replaced, and, where it is published, of the new one. What
    cannot be removed now is left to `sweep`.
    """
    keys = {name: [holder.staging] for name in published}
    for name, row in holder.record.replicas.items():
        if name in names and row.place not in (None, OWN):
            keys.setdefault(name, []).append(key_of(row.place, holder.path))

    async def drop_all(client: BackendClient) -> Reply[None]:
        PATIENCE_S.set(grace_s)
        first, *others = keys[client.name]
        reply = await drop(client, first)
        for key in others:
            reply = await drop(client, key)
        return reply

    if keys:
        await fan_out(holder.store, keys, drop_all, Demand(1))
