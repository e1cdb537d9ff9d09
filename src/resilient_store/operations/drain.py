"""Take a backend out of reading and writing, before it goes or because it harms."""

from __future__ import annotations

import functools

import attrs

from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import ConfigurationError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.drive import to_end
from resilient_store.io.prepare import prepare
from resilient_store.model.domain import platforms
from resilient_store.model.state import StoreState
from resilient_store.store import Store, StoreOwner


def drain(fs: StoreOwner, name: str, *, force: bool = False, dry_run: bool = False) -> None:
    """Neither read from a backend nor write to it any more, until `rejoin`.

    What it holds counts as a copy all the same, and nothing is copied from it any more: `evacuate`
    first. An object that only it holds is *unreachable*, not lost. Deletions wait for it. Each
    process hears of it with the next thing that it asks the catalog of the store.

    Parameters
    ----------
    fs
        The store; it has a catalog, by which every process hears.
    name
        The backend.
    force
        Whether to drain it though writes cannot reach their `min_copies` without it.
    dry_run
        Only see whether it would be refused; `what_if` says what could not be read.

    Raises
    ------
    ConfigurationError
        There is no catalog or no such backend, or writes would be refused without it.
    CatalogUnavailableError
        The catalog cannot be had: it may be drained, or not.

    Notes
    -----
    Promises: P2, P5.
    """
    if fs.store.catalog is None:
        raise ConfigurationError("drain needs a catalog, by which every process hears")
    to_end(fs.loop, drain_one, fs.store, name, force=force, dry_run=dry_run)


async def drain_one(store: Store, name: str, *, force: bool = False, dry_run: bool = False) -> None:
    """Drain one backend, as `drain` says."""
    if name not in store.clients:
        known = ", ".join(store.clients)
        raise ConfigurationError(f"drain: there is no backend {name!r}; there are {known}")
    await prepare(store)
    try:
        state = await store.known.state()
        assert state is not None, "a store that was prepared has an identity"
        if not force:
            _check_others(store, state, name)
        if not dry_run:
            await store.known.change_state(functools.partial(_drained, name=name))
    except CatalogDownError as error:
        raise unavailable("", error) from None


def _drained(state: StoreState | None, _: float, *, name: str) -> StoreState:
    assert state is not None, "a store that was prepared has an identity"
    row = attrs.evolve(state.backend(name), drained=True)
    return attrs.evolve(state, backends={**state.backends, name: row})


def _check_others(store: Store, state: StoreState, name: str) -> None:
    others = [n for n in store.writable if n != name and not state.backend(n).drained]
    write = store.configuration.write
    sets = [("writes", others)]
    for placement in store.configuration.placements:
        chosen = [n for n in others if n in placement.backends]
        sets.append((f"writes to {placement.pattern!r}", chosen))
    for what, left in sets:
        spanned = len(platforms(left, store.domains))
        if len(left) < max(1, write.min_copies or 1) or spanned < write.min_domains:
            raise ConfigurationError(
                f"drain: without {name!r} {what} would be refused: {len(left)} backends on "
                f"{spanned} platforms would be left. Add a backend, or drain it with force=True"
            )
