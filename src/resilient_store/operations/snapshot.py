"""Write what the catalog knows to every backend, so that it can be lost."""

from __future__ import annotations

import tempfile
from typing import Any

import attrs

from resilient_store.backends.client import BackendClient
from resilient_store.catalog.contract import CatalogDownError, Dumped
from resilient_store.catalog.driver import STORE
from resilient_store.errors import BackendsUnavailableError, ConfigurationError
from resilient_store.io.catalogued import snapshots
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.numbers import draw
from resilient_store.io.drive import to_end
from resilient_store.io.fanout import fan_out
from resilient_store.io.identity import raise_epochs
from resilient_store.io.prepare import prepare
from resilient_store.model.outcome import Reply
from resilient_store.store import Store, StoreOwner


@attrs.frozen(kw_only=True)
class SnapshotReport:
    """Where a snapshot is, and where it is not.

    Attributes
    ----------
    key
        Where it lies on each of these backends.
    size
        In bytes.
    objects
        How many it knows.
    backends
        Those that hold it; it was read back from each.
    failed
        Replies of the others.
    removed
        Backend name to the keys of older snapshots that were removed there.
    """

    key: str
    size: int
    objects: int
    backends: tuple[str, ...]
    failed: tuple[Reply[Any], ...]
    removed: dict[str, tuple[str, ...]]


def snapshot(fs: StoreOwner, *, callback: Any = None) -> SnapshotReport:
    """Write a compacted copy of the catalog to every backend, under ``.resilient/snapshots/``.

    It is of one moment, and may be taken while the store is written to. Of the store's snapshots
    each backend keeps the latest three.

    Parameters
    ----------
    fs
        The store; it has a catalog.
    callback
        An fsspec callback; counts the backends that hold it.

    Returns
    -------
    SnapshotReport
        Where it is, and where it is not.

    Raises
    ------
    ConfigurationError
        There is no catalog.
    BackendsUnavailableError
        No backend took it, or the catalog cannot be had.

    Notes
    -----
    Rules: R7, R19. It holds paths, sizes, checksums and metadata; no bytes of objects and no
    credentials.
    """
    if fs.store.catalog is None:
        raise ConfigurationError("snapshot needs a catalog: without one there is nothing to lose")
    report: SnapshotReport = to_end(fs.loop, snapshot_all, fs.store, callback=callback)
    return report


async def snapshot_all(store: Store, callback: Any = None) -> SnapshotReport:
    """Take a snapshot, as `snapshot` says."""
    await prepare(store)
    with tempfile.TemporaryFile(prefix="resilient-") as file:
        try:
            # Before: what the snapshot asks of a backend is what it carries (R19).
            await raise_epochs(store, forgotten=True)
            number = await draw(store, STORE)
            dumped = await store.known.dump(file, number)
            state = await store.known.state()
        except CatalogDownError as error:
            raise unavailable("", error) from None
        assert state is not None, "a store that was prepared has an identity"
        key = snapshots.snapshot_key(state.identity, number)
        if callback is not None:
            callback.set_size(len(store.writable))

        async def send(client: BackendClient) -> Reply[Any]:
            reply = await snapshots.send(client, key, file)
            if callback is not None:
                callback.relative_update(1)
            return reply

        replies = await fan_out(store, store.writable, send)
        return await _report(store, key, file.seek(0, 2), dumped, replies)


async def _report(
    store: Store, key: str, size: int, dumped: Dumped, replies: dict[str, Reply[Any]]
) -> SnapshotReport:
    took = tuple(name for name, reply in replies.items() if reply.ok)
    failed = tuple(reply.bare() for reply in replies.values() if not reply.ok)
    if not took:
        raise BackendsUnavailableError("", failed, "No backend took the snapshot")
    state = store.known.seen
    assert state is not None, "it was read a moment ago"
    removed = {}
    for name in took:
        gone = await snapshots.prune(store.clients[name], state.identity)
        if gone:
            removed[name] = gone
    return SnapshotReport(
        key=key,
        size=size,
        objects=dumped.objects,
        backends=took,
        failed=failed,
        removed=removed,
    )
