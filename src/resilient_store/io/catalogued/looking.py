"""Before a new path is written by an incomplete catalog: what lies at its own keys (R3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from resilient_store.backends.client import BackendClient
from resilient_store.io.catalogued.holder import Holder
from resilient_store.io.fanout import fan_out
from resilient_store.model.info import ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.protocol import transactions
from resilient_store.protocol.write import Demand
from resilient_store.store import Store

Looks = Mapping[str, ObjectInfo | None]


async def look_at(
    store: Store, path: str, names: Iterable[str], demand: Demand | None
) -> tuple[Looks, dict[str, Reply[Any]]]:
    """Return what lies where, of the backends that answered, and who is not to be written to.

    That is who can never hold the path, and who was silent where enough others answered: so a
    backend that hangs is waited for once, and not for its look and for the bytes.

    Parameters
    ----------
    demand
        Whose answers are enough; None: everybody is waited for.
    """

    async def look(client: BackendClient) -> Reply[ObjectInfo]:
        reply = await client.info(path, kind="write")
        # That nothing lies there is an answer, too.
        return Reply(client.name, Outcome.OK) if reply.outcome is Outcome.NOT_FOUND else reply

    replies = await fan_out(store, names, look, demand)
    looks = {name: reply.value for name, reply in replies.items() if reply.ok}
    left_out = {n: r for n, r in replies.items() if r.outcome is Outcome.REFUSED}
    if demand is not None and demand.is_met(set(looks), store.domains):
        left_out |= {n: _silent(n) for n, r in replies.items() if r.outcome is Outcome.TIMED_OUT}
    return looks, left_out


def _silent(name: str) -> Reply[Any]:
    """Return the reply of a backend to which nothing is sent, for it did not answer the look."""
    return Reply(name, Outcome.UNAVAILABLE, detail="it did not say what lies there")


async def place_directly(holder: Holder, looks: Looks) -> tuple[str, ...]:
    """Name in the intent the quiet own keys where nothing lies; return their backends."""
    empty = {name: None for name, info in looks.items() if info is None}
    direct = tuple(name for name in empty if name in holder.quiet)
    placed = await holder.change(
        lambda record, _: transactions.place(record, holder.intent.id, direct, empty)
    )
    if not placed:
        raise holder.taken()
    holder.intent = attrs.evolve(holder.intent, direct=direct)
    return direct
