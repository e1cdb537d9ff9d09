"""Work on parts of a store's paths by the workers of a Dask client, which may die meanwhile.

What two of them do at once does no harm: each path is worked on under its intent, which has one
holder. So a part whose worker died is simply begun again by another.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import MissingExtraError
from resilient_store.importing import import_in_turn
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.drive import to_end
from resilient_store.io.prepare import prepare
from resilient_store.model.key_range import KeyRange, ranges
from resilient_store.store import Store, StoreOwner

T = TypeVar("T")

PAGE = 1000
PARTS_PER_THREAD = 4  # so that one slow part does not keep the others waiting
BEGUN_AGAIN = 3


Divide = Callable[[Store, int], Coroutine[Any, Any, list[KeyRange]]]


async def known_parts(store: Store, count: int) -> list[KeyRange]:
    """Divide the paths that the catalog knows."""
    borders, after = [], ""
    try:
        while page := await store.known.names("", after, runtime.page(PAGE)):
            after = page[-1]
            borders.append(page[len(page) // 2])
    except CatalogDownError as error:
        raise unavailable("", error) from None
    step = max(1, len(borders) // count)
    return ranges(borders[::step])


def on_workers(
    client: Any,
    fs: StoreOwner,
    work: Callable[..., T],
    options: dict[str, Any],
    divide: Divide = known_parts,
) -> Iterator[T]:
    """Call ``work(fs, part, options)`` for each part of a store, on workers; yield what it returns.

    Parameters
    ----------
    client
        A ``distributed.Client``. Its workers import this library, and reach the backends and the
        catalog by the same names.
    work
        A function of a module.
    divide
        Returns about so many parts of a store.

    Raises
    ------
    MissingExtraError
        Dask is not installed here.
    """
    try:
        distributed = import_in_turn("distributed")
    except ImportError:
        raise MissingExtraError(
            'a Dask client needs the package distributed; run: pip install "resilient_store[dask]"'
        ) from None
    threads = sum(client.nthreads().values()) or 1
    parts = to_end(fs.loop, _parts, fs.store, PARTS_PER_THREAD * threads, divide)
    futures = [
        client.submit(_begun, work, fs, part, options, pure=False, retries=BEGUN_AGAIN)
        for part in parts
    ]
    try:
        for future in distributed.as_completed(futures):
            yield future.result()
    finally:
        client.cancel(futures)


def _begun(work: Callable[..., T], fs: Any, part: KeyRange, options: dict[str, Any]) -> T:
    with fs:
        return work(fs, part, options)


async def _parts(store: Store, count: int, divide: Divide) -> list[KeyRange]:
    await prepare(store)
    return await divide(store, count)
