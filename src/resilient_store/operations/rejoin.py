"""Take a backend back that lost its identity, went back in time, or is suspect."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import attrs
from fsspec import AbstractFileSystem
from fsspec.callbacks import DEFAULT_CALLBACK

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.backends.locate import locate
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import (
    BackendsUnavailableError,
    ConfigurationError,
    StoreIdentityError,
)
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.drive import to_end
from resilient_store.io.identity import KEY, WAYS_ON, Identity, met
from resilient_store.io.pages import merged
from resilient_store.io.prepare import prepare
from resilient_store.model.info import Headers, ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.state import OWN, Record, State, StoreState
from resilient_store.policies import Backend
from resilient_store.protocol.account import is_remembered
from resilient_store.protocol.findings import doubt
from resilient_store.protocol.moment import Moment
from resilient_store.store import Store, StoreOwner, overlap

Target: TypeAlias = str | AbstractFileSystem | Backend

PAGE = 500


def rejoin(
    fs: StoreOwner,
    name: str,
    target: Target | None = None,
    *,
    dry_run: bool = False,
    callback: Any = DEFAULT_CALLBACK,
) -> int:
    """Say that a backend may serve again, whatever became of what it held.

    It is compared first: a replica that a listing shows with the size and the tag that the
    catalog remembers is believed, every other one becomes *unknown*: it is not read until it
    was verified, which `repair` does. Where the backend went back in time, or has lost its
    identity, all of them do. An original that is found there is missing no longer.

    Stopped in the middle, it has doubted what it had come to, and changed nothing else: call it
    again, or let `repair` verify that where it lay before.

    Parameters
    ----------
    fs
        The store; it has a catalog.
    name
        The backend.
    target
        Where it is found now, such as a recovered drive that is mounted elsewhere; a `Backend`
        where that needs a root or options. None: where it always was. This store uses it from
        now on; configure it for the others, which leave the old place alone: it carries an older
        epoch.
    dry_run
        Only compare, and say how many would be unknown: it does not serve afterwards.
    callback
        An fsspec callback, told of objects that were compared.

    Returns
    -------
    int
        How many replicas are unknown now.

    Raises
    ------
    ConfigurationError
        There is no such backend, or no catalog; or another backend lies at the target.
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
    how: Any = {"dry_run": dry_run, "callback": callback}
    count: int = to_end(fs.loop, rejoin_one, fs.store, name, target, **how)
    return count


async def rejoin_one(
    store: Store,
    name: str,
    target: Target | None = None,
    *,
    dry_run: bool = False,
    callback: Any = DEFAULT_CALLBACK,
) -> int:
    """Take one backend back, as `rejoin` says."""
    await prepare(store)
    before = client = store.clients[name]
    backend = client.backend
    if target is not None:
        backend = _found_at(backend, target)
        _check_apart(store, backend, name)
    if target is not None or dry_run:
        client = store.make_client(backend, name)
    client.trust()
    try:
        count = await _taken_back(store, client, callback, dry_run=dry_run)
    except BaseException:
        client.doubt()
        if client is not before:
            await client.close()
        raise
    if dry_run:
        await client.close()
    elif client is not before:
        store.clients[name] = client
        await before.close()
    return count


def _found_at(backend: Backend, target: Target) -> Backend:
    if isinstance(target, Backend):
        return target
    return attrs.evolve(backend, target=target, root="", storage_options=None)


def _check_apart(store: Store, moved: Backend, name: str) -> None:
    """Refuse a place where another backend lies: one copy would count as two (P1)."""
    place = locate(moved).place
    for other, client in store.clients.items():
        if other != name and overlap(place, locate(client.backend).place):
            raise ConfigurationError(
                f"rejoin: backend {other!r} lies at the target, or inside it, or around it: two "
                f"copies there are one; give the place where {name!r} is found now"
            )


async def _taken_back(store: Store, client: BackendClient, callback: Any, *, dry_run: bool) -> int:
    name = client.name
    try:
        state = await store.known.state()
        assert state is not None, "a store that was prepared has an identity"
        known = state.backend(name).epoch
        found = await _check(client, state)
        read_only = client.backend.read_only
        if read_only:  # it may never have had an identity
            found = max(found, 0)
        epoch = found if read_only else max(known, found) + 1
        how = {"dry_run": dry_run, "is_believed": found >= known}
        count = await _compared(store, client, callback, **how)
        if dry_run:
            return count
        if not read_only:
            await _put_identity(client, Identity(state.identity, epoch))
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


async def _compared(
    store: Store, client: BackendClient, callback: Any, *, dry_run: bool, is_believed: bool
) -> int:
    """Doubt what is not as it is remembered; return how many objects' replicas that are."""
    name, count, after = client.name, 0, ""
    async with contextlib.aclosing(_Listing(client)) as listing:
        while page := await store.known.held_by(name, after, runtime.page(PAGE)):
            listed = await listing.of(page) if is_believed else None
            if dry_run:
                records = await store.known.records(page)
                count += sum(one.present is not None for one in _doubtful(records, name, listed))
            else:
                change = functools.partial(_doubt_others, name=name, listed=listed)
                count += await store.known.change(page, change)
            after = page[-1]
            callback.relative_update(len(page))
    return count


class _Listing:
    """What lies on a backend, asked for in the order in which the catalog goes through paths."""

    def __init__(self, client: BackendClient) -> None:
        self._failed: dict[str, Reply[Any]] = {}
        self._pages = merged({client.name: client}, self._failed)
        self._waiting: dict[str, ObjectInfo] = {}
        self._reach: str | None = ""
        self._is_blank = True

    async def of(self, paths: Sequence[str]) -> dict[str, ObjectInfo] | None:
        """Return what is listed of the next paths; None: it cannot be had, or is blank."""
        wanted, last, found = set(paths), paths[-1], self._waiting
        while self._reach is not None and self._reach < last:
            found = {key: info for key, info in found.items() if key in wanted}
            self._reach = None
            async for page in self._pages:
                found |= {key: info for key, words in page for info in words.values()}
                self._reach, self._is_blank = page[-1][0], False
                break
        self._waiting = {key: info for key, info in found.items() if key > last}
        return None if self._failed or self._is_blank else found

    async def aclose(self) -> None:
        """Ask for no more."""
        await self._pages.aclose()


async def _put_identity(client: BackendClient, mine: Identity) -> None:
    written = await client.put(KEY, mine.encode(), exclusive=False, headers=Headers())
    if not written.ok:
        raise BackendsUnavailableError("", [written], "Its identity could not be written")


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


def _doubt_others(
    records: tuple[Record, ...],
    moment: Moment,
    *,
    name: str,
    listed: Mapping[str, ObjectInfo] | None,
) -> tuple[tuple[Record, ...], int]:
    """Doubt what a backend holds, but for what a listing shows as it is remembered."""
    doubtful = _doubtful(records, name, listed)
    paths = {record.path for record in doubtful}
    after = tuple(doubt(one, moment, name) if one.path in paths else one for one in records)
    return after, sum(record.present is not None for record in doubtful)


def _doubtful(
    records: Iterable[Record], name: str, listed: Mapping[str, ObjectInfo] | None
) -> list[Record]:
    return [record for record in records if not _is_as_remembered(record, name, listed)]


def _is_as_remembered(record: Record, name: str, listed: Mapping[str, ObjectInfo] | None) -> bool:
    """Say so; where no listing can be had, nothing is believed."""
    entry, row = record.present, record.replica(name)
    if listed is None or entry is None or entry.content is None:
        return False
    info = listed.get(record.path)
    if row not in record.holders():  # not read from, and in the queue; but it may be back
        is_missing = row.state is State.MISSING and info is None
        return is_missing or row.state in (State.STALE, State.GOOD)
    if row.place != OWN or info is None:
        return False
    return info.size == entry.content.size and is_remembered(row, info)


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
    came_back = before.came_back or came_back
    row = attrs.evolve(before, epoch=epoch, suspect=False, drained=False, came_back=came_back)
    return attrs.evolve(after, backends={**after.backends, client.name: row})
