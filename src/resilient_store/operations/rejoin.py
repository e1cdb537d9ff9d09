"""Take a backend back that lost its identity, went back in time, or is suspect."""

from __future__ import annotations

import functools

import attrs
from fsspec.asyn import sync

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import (
    BackendsUnavailableError,
    ConfigurationError,
    StoreIdentityError,
)
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.identity import KEY, WAYS_ON, Identity, met
from resilient_store.io.prepare import prepare
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome
from resilient_store.model.state import Record, StoreState
from resilient_store.protocol.findings import doubt
from resilient_store.protocol.moment import Moment
from resilient_store.store import Store, StoreOwner

PAGE = 500


def rejoin(fs: StoreOwner, name: str) -> int:
    """Say that a backend may serve again, whatever became of what it held.

    All of its replicas become *unknown*: nothing there is believed until it was verified, which
    `repair` does. Until then reads come from the others.

    Parameters
    ----------
    fs
        The store; it has a catalog.
    name
        The backend.

    Returns
    -------
    int
        How many replicas are unknown now.

    Raises
    ------
    ConfigurationError
        There is no such backend, or no catalog.
    StoreIdentityError
        It is another store's.
    BackendsUnavailableError
        It does not answer, or the catalog cannot be had.

    Notes
    -----
    Promises: P2, P3, P4. Rules: R19.
    """
    if fs.store.catalog is None:
        raise ConfigurationError("rejoin needs a catalog: without one no backend ever left")
    if name not in fs.store.clients:
        raise ConfigurationError(
            f"there is no backend {name!r}; there are {', '.join(fs.store.clients)}"
        )
    count: int = sync(fs.loop, rejoin_one, fs.store, name)
    return count


async def rejoin_one(store: Store, name: str) -> int:
    """Take one backend back, as `rejoin` says."""
    await prepare(store)
    client = store.clients[name]
    client.trust()
    try:
        return await _taken_back(store, client)
    except BaseException:
        client.doubt()
        raise


async def _taken_back(store: Store, client: BackendClient) -> int:
    name = client.name
    try:
        state = await store.known.state()
        assert state is not None, "a store that was prepared has an identity"
        known = state.backend(name).epoch
        found = await _check(client, state)
        epoch = max(known, found) + 1
        count, after = 0, ""
        while page := await store.known.held_by(name, after, runtime.page(PAGE)):
            await store.known.change(page, functools.partial(_doubt_all, name=name))
            count, after = count + len(page), page[-1]
        mine = Identity(state.identity, epoch)
        written = await client.put(KEY, mine.encode(), exclusive=False, headers=Headers())
        if not written.ok:
            raise BackendsUnavailableError("", [written], "Its identity could not be written")
        await store.known.change_state(
            functools.partial(
                _rejoined,
                client=client,
                epoch=epoch,
                names=tuple(store.clients),
                came_back=found < known,
            )
        )
    except CatalogDownError as error:
        raise unavailable("", error) from None
    return count


async def _check(client: BackendClient, state: StoreState) -> int:
    """Return the epoch that the backend carries; -1 where it carries no whole identity any more."""
    reply = await client.get(KEY)
    if reply.value is None and reply.outcome is not Outcome.NOT_FOUND:
        raise BackendsUnavailableError("", [reply])
    if reply.value is None:
        return -1
    found = Identity.decode(reply.value.data)
    if found.is_damaged and state.backend(client.name).met:
        return -1
    if found.store != state.identity:
        raise StoreIdentityError(f"backend {client.name} belongs to another store: {WAYS_ON}")
    return found.epoch


def _doubt_all(
    records: tuple[Record, ...], moment: Moment, *, name: str
) -> tuple[tuple[Record, ...], None]:
    return tuple(doubt(record, moment, name) for record in records), None


def _rejoined(
    state: StoreState | None,
    now_s: float,
    *,
    client: BackendClient,
    epoch: int,
    names: tuple[str, ...],
    came_back: bool,
) -> StoreState:
    after = met(state, now_s, name=client.name, domain=client.domain, known=False, configured=names)
    before = after.backend(client.name)
    row = attrs.evolve(before, epoch=epoch, suspect=False, came_back=before.came_back or came_back)
    return attrs.evolve(after, backends={**after.backends, client.name: row})
