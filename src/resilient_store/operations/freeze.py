"""Refuse every change in every process, and allow it again."""

from __future__ import annotations

from collections.abc import Callable

import attrs
from fsspec.asyn import sync

from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import ConfigurationError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.prepare import prepare
from resilient_store.model.state import Frozen, StoreState
from resilient_store.store import Store, StoreOwner


def freeze(fs: StoreOwner, why: str) -> None:
    """Refuse every write, deletion and move from now on, in every process of the store.

    What was begun before may still be committed; repair goes on, for it changes no object.

    Parameters
    ----------
    fs
        The store; it has a catalog, which every process asks before it changes anything.
    why
        Shown to everybody who is refused.

    Raises
    ------
    ConfigurationError
        The store has no catalog.
    CatalogUnavailableError
        The catalog cannot be had: it may be frozen, or not.
    """
    _require_catalog(fs)
    sync(fs.loop, freeze_store, fs.store, why)


def thaw(fs: StoreOwner) -> None:
    """Allow changes again; raises as `freeze`."""
    _require_catalog(fs)
    sync(fs.loop, thaw_store, fs.store)


async def freeze_store(store: Store, why: str) -> None:
    """Freeze, as `freeze` says."""
    await _change(store, lambda state, now_s: _frozen(store, state, now_s, why))


async def thaw_store(store: Store) -> None:
    """Thaw, as `thaw` says."""
    await _change(store, lambda state, _: attrs.evolve(state, frozen=None))


def _frozen(store: Store, state: StoreState, now_s: float, why: str) -> StoreState:
    return attrs.evolve(state, frozen=Frozen(why=why, who=store.owner, since_s=now_s))


def _require_catalog(fs: StoreOwner) -> None:
    if fs.store.catalog is None:
        raise ConfigurationError("freeze and thaw need a catalog, by which every process hears")


async def _change(store: Store, change: Callable[[StoreState, float], StoreState]) -> None:
    def of_a_store(state: StoreState | None, now_s: float) -> StoreState:
        assert state is not None, "a store that was prepared has an identity"
        return change(state, now_s)

    await prepare(store)
    try:
        await store.known.change_state(of_a_store)
    except CatalogDownError as error:
        raise unavailable("", error) from None
