"""What the dead leave: an intent that was taken over is finished, never half undone (R10)."""

from __future__ import annotations

from typing import Any

from resilient_store.backends.client import BackendClient
from resilient_store.errors import ObjectError
from resilient_store.io.catalogued import own_key
from resilient_store.io.catalogued.holder import Holder
from resilient_store.io.catalogued.sidecar import drop
from resilient_store.io.drive import protected
from resilient_store.io.fanout import fan_out
from resilient_store.model.outcome import Reply
from resilient_store.model.state import Phase
from resilient_store.model.step import Step
from resilient_store.runtime import reach


async def settle(holder: Holder) -> None:
    """Finish what a dead holder began. The catalog alone decides what that was.

    Committed is finished: what is still to be published is in the repair queue. Not committed
    did not happen: what it staged goes, and what it may have written at own keys goes by R9.
    """
    intent = holder.intent
    uncommitted = intent.phase is Phase.SETTLING and intent.kind == "write"
    await protected(undo(holder) if uncommitted else holder.finish())
    reach(Step.SETTLE_ENDED)


async def undo(holder: Holder) -> dict[str, Reply[Any]]:
    """Take back an uncommitted write as far as R9 allows, and end its intent with a void."""
    store, intent = holder.store, holder.intent
    notes: dict[str, own_key.Notes] = {}

    async def take_back(client: BackendClient) -> Reply[Any]:
        if client.name not in intent.direct:
            return await drop(client, holder.staging)
        reply, said = await own_key.remove(holder, client)
        notes[client.name] = said
        return reply

    names = [name for name in store.writable if name in holder.touched or name in intent.direct]
    try:
        replies = await fan_out(store, names, take_back)
    except ObjectError:
        return {}  # the lease is over: whoever settles does the rest
    reach(Step.SETTLE_UNDONE)
    current = holder.record.entry
    version = 0 if current is None else current.version
    await holder.finish(notes if current is None else {}, version=version, void=True)
    return replies
