"""A URL by which anybody may read an object for a while."""

from __future__ import annotations

from resilient_store.errors import UnsupportedOperationError
from resilient_store.io.catalogued import objects
from resilient_store.io.prepare import prepare
from resilient_store.io.read import look
from resilient_store.model.state import OWN
from resilient_store.store import Store


async def sign(store: Store, path: str, expiration: int) -> str:
    """Let the first healthy backend that has the object at its own key sign a URL."""
    for name in await _holders(store, path):
        client = store.clients[name]
        if (await client.info(path)).ok and (url := (await client.sign(path, expiration)).value):
            return url
    raise UnsupportedOperationError(f"no backend that holds {path!r} can sign URLs")


async def _holders(store: Store, path: str) -> list[str]:
    if store.catalog is None:
        found = await look(store, path)
        return [found.backend, *(n for n in store.clients if n != found.backend)]
    await prepare(store)
    record = await objects.known(store, path)
    good = {row.backend for row in record.holders() if row.place == OWN}
    return [name for name in store.clients if name in good]
