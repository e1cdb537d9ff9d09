"""Refuse every change in every process, and allow it again."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import ConfigurationError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.drive import to_end
from resilient_store.io.prepare import prepare
from resilient_store.model.state import Frozen, StoreState
from resilient_store.store import Store, StoreOwner

NAMED = 1000
SOON_S, LATER_S = 0.02, 0.5


def freeze(fs: StoreOwner, why: str, *, wait: float = 60.0) -> list[str]:
    """Refuse every write, deletion and move from now on, in every process of the store.

    What was begun before may still be committed, and is waited for; not so a change whose lease
    has ended, which is refused. Reads go on, and so does repair, for it changes no object.

    Parameters
    ----------
    fs
        The store; it has a catalog, which every process asks before it changes anything.
    why
        Shown to everybody who is refused.
    wait
        Seconds to wait for what was begun before.

    Returns
    -------
    list of str
        Paths that are being changed all the same when the wait is over, 1,000 at most.

    Raises
    ------
    ConfigurationError
        The store has no catalog, or the wait is negative.
    CatalogUnavailableError
        The catalog cannot be had: it may be frozen, or not.
    """
    _require_catalog(fs)
    if not wait >= 0:
        raise ConfigurationError(f"freeze: wait={wait!r} must be at least 0 seconds")
    left: list[str] = to_end(fs.loop, freeze_store, fs.store, why, wait)
    return left


def thaw(fs: StoreOwner) -> None:
    """Allow changes again; raises as `freeze`."""
    _require_catalog(fs)
    to_end(fs.loop, thaw_store, fs.store)


async def freeze_store(store: Store, why: str, wait_s: float = 0.0) -> list[str]:
    """Freeze, as `freeze` says."""
    await _change(store, lambda state, now_s: _frozen(store, state, now_s, why))
    until_s, pause_s = runtime.now_s() + wait_s, SOON_S
    try:
        while left := await store.known.working(NAMED):
            if runtime.now_s() >= until_s:
                break
            await runtime.pause(min(pause_s, until_s - runtime.now_s()))
            pause_s = min(2 * pause_s, LATER_S)
    except CatalogDownError as error:
        raise unavailable("", error) from None
    return left


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
