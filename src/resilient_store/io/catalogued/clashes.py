"""Paths that a placed backend cannot hold beside those that are there, refused beforehand."""

from __future__ import annotations

from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import InvalidPathError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.drive import all_of, wait_a_moment
from resilient_store.io.prepare import MEET_S
from resilient_store.model.path import above
from resilient_store.store import Store


async def refuse_clashes(store: Store, path: str, placed: tuple[str, ...]) -> None:
    """Refuse a path where a placed backend has directories and what is there forbids it.

    What a backend has is known once it was opened; one that hangs is not waited for, and need
    not be able to hold the path.

    Raises
    ------
    InvalidPathError
        The text names the object that is in the way.

    Notes
    -----
    Source: design, section 7, "A key that a placed backend cannot hold".
    """
    clients = [store.clients[name] for name in placed]
    fresh = [c for c in clients if c.traits is None and c.health.is_closed("write")]
    if fresh:
        opening = all_of([client.open() for client in fresh])
        await wait_a_moment(store.tails, opening, MEET_S)
    disks = [c for c in clients if c.traits is not None and c.traits.directories]
    if not disks:
        return
    folding = [client.name for client in disks if client.folds]
    try:
        for folder in await store.known.present(above(path)) if above(path) else ():
            raise InvalidPathError(path, note=f"{folder!r} is an object, so nothing lies below it")
        if await store.known.has_below(path):
            raise InvalidPathError(path, note="there are objects below it, so it is a directory")
        for other in await store.known.folded(path) if folding else ():
            note = f"{other!r} differs only in case or Unicode form: {folding[0]} cannot hold both"
            raise InvalidPathError(path, note=note)
    except CatalogDownError as error:
        raise unavailable(path, error) from None
