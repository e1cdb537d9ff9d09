"""Before the first call in a process: see that the catalog and the backends belong together."""

from __future__ import annotations

from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import BackendsUnavailableError, CatalogUnavailableError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.drive import protected, wait_a_moment
from resilient_store.io.fanout import fan_out
from resilient_store.protocol.write import Demand
from resilient_store.store import Store

NOBODY_KNOWS = "The catalog is new, and no backend can be asked whose it is"
RESTORING = "its restore has not ended: call rs.restore again if nobody is at it"
MEET_S = 1.0  # what a backend that hangs may cost a process at its start


async def prepare(store: Store) -> None:
    """Let backends that the catalog has never met be met, once in a process.

    A backend that does not answer now is met when it does.

    Raises
    ------
    StoreIdentityError
        A backend is another store's, or the catalog that knows it is gone.
    BackendsUnavailableError
        The catalog is new, and no backend answers that could say whose it is; or the catalog
        cannot be had.
    """
    if store.preparing.done:
        return
    try:
        await store.known.prepare()
        state = await store.known.state()
        if state is not None and state.restoring:
            raise CatalogUnavailableError("", note=RESTORING)
        met = () if state is None else tuple(n for n, row in state.backends.items() if row.met)
        fresh = [name for name in store.clients if name not in met]
        meeting = fan_out(store, fresh, lambda c: c.open(), Demand(1))
        if state is not None:
            await wait_a_moment(store.tails, meeting, MEET_S)
        else:
            replies = await protected(meeting)
            state = await store.known.state()
            if state is None:
                raise BackendsUnavailableError("", replies.values(), NOBODY_KNOWS)
    except CatalogDownError as error:
        raise unavailable("", error) from None
    store.preparing.done = True
