"""What decides what becomes of each object when backends are lost: the catalog, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterator
from typing import Any

from fsspec.asyn import sync
from fsspec.callbacks import Callback

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError, Holding
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.model.amount import Amount
from resilient_store.protocol.losses import Fate, Kind, fate
from resilient_store.store import Store

PAGE = 2000
# Records are loaded one by one, and over a network all of a question has to be answered in time.
RECORDS = 200

Plan = Callable[[str], tuple[str, ...]]  # from a path to the backends that would hold it


class Paths:
    """Paths of one fate, iterated as often as wanted, also with ``async for``."""

    def __init__(self, store: Store, loop: Any, gone: frozenset[str], fate: Fate) -> None:
        self._store = store
        self._loop = loop
        self._gone = gone
        self._fate = fate

    def __iter__(self) -> Iterator[str]:
        after: str | None = ""
        while after is not None:
            paths, after = sync(self._loop, self._page, after)
            yield from paths

    async def __aiter__(self) -> AsyncIterator[str]:
        after: str | None = ""
        while after is not None:
            paths, after = await self._page(after)
            for path in paths:
                yield path

    async def _page(self, after: str) -> tuple[list[str], str | None]:
        found = await _page(self._store, after, [self._gone], None)
        paths = [h.path for h, kind in found if fate(kind, self._gone) == self._fate]
        return paths, found[-1][0].path if found else None


async def tally_all(
    store: Store,
    losses_asked: list[frozenset[str]],
    plan: Plan | None,
    callback: Callback,
) -> dict[Kind, Amount]:
    """Count the objects of each kind, in one pass."""
    sums: dict[Kind, list[int]] = {}
    after = ""
    while found := await _page(store, after, losses_asked, plan):
        for holding, kind in found:
            one = sums.setdefault(kind, [0, 0])
            one[0] += 1
            one[1] += holding.size or 0
        after = found[-1][0].path
        callback.relative_update(len(found))
    return {kind: Amount(*one) for kind, one in sums.items()}


async def _page(
    store: Store,
    after: str,
    losses_asked: Collection[frozenset[str]],
    plan: Plan | None,
) -> list[tuple[Holding, Kind]]:
    """Return the next objects with what decides their fate."""
    try:
        page = await store.known.holdings("", after, runtime.page(PAGE))
        endangered = {
            holders
            for holders in {holding.backends for holding in page}
            if any(gone.issuperset(holders) for gone in losses_asked)
        }
        standins = await _standins(store, [h.path for h in page if h.backends in endangered])
    except CatalogDownError as error:
        raise unavailable("", error) from None
    return [
        (
            holding,
            Kind(
                holding.backends,
                standins.get(holding.path, ()),
                () if plan is None else plan(holding.path),
            ),
        )
        for holding in page
    ]


async def _standins(store: Store, paths: list[str]) -> dict[str, tuple[str, ...]]:
    """Return the backends that hold a derivative of each path, good."""
    derived = {path: some for path in paths if (some := store.derivatives(path))}
    wanted = list(dict.fromkeys(name for some in derived.values() for name in some))
    holders: dict[str, set[str]] = {}
    size = runtime.page(RECORDS)
    for begin in range(0, len(wanted), size):
        for record in await store.known.records(wanted[begin : begin + size]):
            holders[record.path] = {row.backend for row in record.holders()}
    return {
        path: tuple(sorted(set().union(*(holders[name] for name in some))))
        for path, some in derived.items()
    }
