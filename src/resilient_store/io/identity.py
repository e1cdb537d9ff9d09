"""The store's identity on every backend: checked before a backend's first use in a process."""

from __future__ import annotations

import functools
import hashlib
import json

import attrs

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.backends.contract import Family, RootMissingError, Stored
from resilient_store.catalog.catalog import Catalog
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import StoreIdentityError
from resilient_store.io.fanout import fan_out
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Reply
from resilient_store.model.path import RESERVED, join
from resilient_store.model.state import BackendRow, StoreState
from resilient_store.model.step import Step
from resilient_store.protocol.quiet import was_put_back
from resilient_store.store import Admission, Configuration, Store

KEY = join(RESERVED, "store.json")
WAYS_ON = (
    "share the catalog that wrote there, or bring it back into this one with rs.restore where it "
    f"was lost, or adopt the objects into this one after removing {KEY}, or go without a catalog"
)

REMEDY = "bring back what was there, or call rejoin"


# A file that is no identity is read so often before it is called another store's: what was spoilt
# on its way comes otherwise each time.
LOOKS = 4


@attrs.frozen
class Identity:
    """What ``.resilient/store.json`` says; of a damaged one, only its bytes."""

    store: str
    epoch: int = 0
    damaged: bytes = attrs.field(default=b"", repr=False)

    @property
    def is_damaged(self) -> bool:
        """Say whether it could not be read."""
        return not self.store

    @property
    def check(self) -> str:
        """Return what tells the file from one with a wrong bit: no family may have a checksum."""
        return hashlib.blake2b(f"{self.store} {self.epoch}".encode(), digest_size=8).hexdigest()

    def encode(self) -> bytes:
        """Return the file."""
        plain = {"store": self.store, "epoch": self.epoch, "check": self.check}
        return json.dumps(plain).encode()

    @classmethod
    def decode(cls, data: bytes) -> Identity:
        """Read the file; the first release wrote it without a check."""
        try:
            plain = json.loads(data)
            found = cls(str(plain["store"]), int(plain["epoch"]))
            is_whole = plain.get("check", found.check) == found.check
        except (ValueError, KeyError, TypeError):
            return cls("", damaged=data)
        return found if is_whole else cls("", damaged=data)


async def read_identity(family: Family) -> Identity | None:
    """Read a backend's identity; None where it has none."""
    try:
        body = await family.get(KEY, None, None, lambda _: None)
    except FileNotFoundError:
        return None
    return Identity.decode(body.data)


def admission(configuration: Configuration, catalog: Catalog) -> Admission:
    """Make what is asked of every backend of a store before its first use."""
    blind = configuration.catalog_down == "read"
    return functools.partial(admit, catalog, configuration.names, blind=blind)


async def admit(
    catalog: Catalog,
    configured: tuple[str, ...],
    client: BackendClient,
    family: Family,
    *,
    blind: bool,
) -> bool:
    """See that a backend is this store's, and meet one that is new.

    Returns
    -------
    bool
        False: it could not be seen, and is used all the same this once.

    Parameters
    ----------
    configured
        The names of all backends.
    blind
        Whether to go on where the catalog cannot be asked (``catalog_down="read"``).

    Raises
    ------
    StoreIdentityError
        It is another store's.
    RootMissingError
        It has lost its identity, or that is damaged, or it went back in time: nothing it says
        counts until `rejoin`.
    """
    try:
        state = await catalog.state()
        found = await read_identity(family)
        if state is None and found is not None:  # another process may have begun the store since
            state = await catalog.state()
    except CatalogDownError:
        if blind:
            return False
        raise RootMissingError from None
    row = BackendRow(name=client.name) if state is None else state.backend(client.name)
    if found is not None and found.is_damaged and (row.met or not await _stays(family, found)):
        raise RootMissingError(f"its identity is damaged: {REMEDY}")  # and not the store's trouble
    if found is not None and (state is None or found.store != state.identity):
        raise StoreIdentityError(f"backend {client.name} belongs to another store: {WAYS_ON}")
    if row.met:
        if found is None and not client.backend.read_only:
            raise RootMissingError(f"its identity is not there: {REMEDY}")
        if found is not None and found.epoch < row.epoch:
            raise RootMissingError(f"it went back in time: {REMEDY}")
    else:
        await _meet(catalog, configured, client, family, found)
    if client.folds is None and family.traits.directories:
        client.folds = await _folds(family)
    return True


async def _stays(family: Family, damaged: Identity) -> bool:
    """Say whether a file that is no identity is one each time that it is read."""
    for _ in range(LOOKS - 1):
        if await read_identity(family) != damaged:
            return False
    return True


async def _folds(family: Family) -> bool:
    """Say whether spellings that differ in case are one: our own folder is there by then."""
    try:
        await family.info(RESERVED.upper())
    except FileNotFoundError:
        return False
    return True


async def _meet(
    catalog: Catalog,
    configured: tuple[str, ...],
    client: BackendClient,
    family: Family,
    found: Identity | None,
) -> None:
    listed = await family.list("", recursive=False, moves=lambda _: None)
    empty = all(info.key == RESERVED for info in listed)
    fresh = runtime.new_id()
    state = await catalog.change_state(lambda state, _: state or StoreState(identity=fresh))
    if found is None and not client.backend.read_only:
        mine = Identity(state.identity, state.backend(client.name).epoch)
        try:
            await family.put(KEY, mine.encode(), exclusive=True, headers=Headers())
        except FileExistsError:  # another process was quicker
            again = await read_identity(family)
            if again is not None and again.is_damaged:  # on its way, as far as anybody knows
                raise RootMissingError from None
            if again is None or again.store != state.identity:
                raise StoreIdentityError(
                    f"backend {client.name} belongs to another store: {WAYS_ON}"
                ) from None
    await catalog.change_state(
        functools.partial(
            met, name=client.name, domain=client.domain, known=empty, configured=configured
        )
    )


def met(
    state: StoreState | None,
    now_s: float,
    *,
    name: str,
    domain: str,
    known: bool,
    configured: tuple[str, ...],
) -> StoreState:
    """Note that a backend has met the store; the catalog is complete when it knows them all."""
    assert state is not None, "the identity was made before"
    before = state.backend(name)
    row = attrs.evolve(
        before,
        domain=domain,
        met=True,
        known=before.known if before.met else known,
        answered_s=now_s,
    )
    backends = {**state.backends, name: row}
    complete = all(n in backends and backends[n].known for n in configured)
    return attrs.evolve(state, backends=backends, complete=complete)


async def owe_epoch(store: Store) -> None:
    """Write down that epochs have to be raised, before something is forgotten (R19)."""
    seen = store.known.seen
    if seen is not None and all(row.raise_due for row in seen.backends.values() if row.met):
        return

    def owe(state: StoreState | None, _: float) -> StoreState:
        assert state is not None, "a store that was prepared has an identity"
        rows = {n: attrs.evolve(row, raise_due=row.met) for n, row in state.backends.items()}
        return attrs.evolve(state, backends=rows)

    await store.known.change_state(owe)


async def raise_epochs(store: Store, *, forgotten: bool) -> None:
    """Raise the epoch on every backend, so that one which comes back from before is known (R19).

    Parameters
    ----------
    forgotten
        Whether tombstones or voids were purged since the last call; without one, only what is
        still due from earlier is done.
    """
    window_s = store.configuration.late_window
    seen = store.known.seen
    if not forgotten and (seen is None or not any(r.raise_due for r in seen.backends.values())):
        return
    chosen: dict[str, int] = {}

    def choose(state: StoreState | None, now_s: float) -> StoreState:
        assert state is not None, "a store that was prepared has an identity"
        chosen.clear()
        rows = {}
        for name, row in state.backends.items():
            due = row.met and (row.raise_due or forgotten)
            is_late = now_s - row.raised_s >= window_s
            may_send = is_late or was_put_back(row.raised_s, now_s, window_s)
            if due and may_send and name in store.writable:
                chosen[name] = row.epoch + 1
                rows[name] = attrs.evolve(row, raised_s=now_s, raise_due=True)
            else:
                rows[name] = attrs.evolve(row, raise_due=due)
        return attrs.evolve(state, backends=rows)

    state = await store.known.change_state(choose)
    runtime.reach(Step.EPOCH_CHOSEN)

    async def send(client: BackendClient) -> Reply[Stored]:
        mine = Identity(state.identity, chosen[client.name])
        return await client.put(KEY, mine.encode(), exclusive=False, headers=Headers())

    replies = await fan_out(store, chosen, send)
    raised = {name: chosen[name] for name, reply in replies.items() if reply.ok}
    runtime.reach(Step.EPOCH_SENT)

    def note(state: StoreState | None, _: float) -> StoreState:
        assert state is not None, "it was there a moment ago"
        rows = {
            name: attrs.evolve(
                state.backend(name), epoch=max(epoch, state.backend(name).epoch), raise_due=False
            )
            for name, epoch in raised.items()
        }
        return attrs.evolve(state, backends={**state.backends, **rows})

    if raised:
        await store.known.change_state(note)
