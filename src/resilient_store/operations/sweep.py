"""Remove what killed processes left in staging."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import attrs

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import ConfigurationError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.numbers import STAGING
from resilient_store.io.drive import to_end
from resilient_store.io.fanout import fan_out
from resilient_store.io.prepare import prepare
from resilient_store.model.info import ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.path import PRIVATE, RESERVED
from resilient_store.store import Store, StoreOwner

OLDER_THAN_S = 3600.0  # longer than any write may take


@attrs.frozen(kw_only=True)
class SweepReport:
    """What a sweep did.

    Attributes
    ----------
    removed
        Backend name to the keys removed there, those of unfinished uploads among them. In a dry
        run: those that would be.
    failed
        Replies of backends that could not be listed, or where a removal failed.
    """

    removed: dict[str, tuple[str, ...]]
    failed: tuple[Reply[Any], ...]


def sweep(
    fs: StoreOwner, *, older_than: float = OLDER_THAN_S, dry_run: bool = False
) -> SweepReport:
    """Remove what killed processes left: staged and temporary files, uploads never finished.

    Parameters
    ----------
    fs
        The store.
    older_than
        Seconds since a file was last touched; longer than any write may take.
    dry_run
        Say what would be removed; remove nothing.

    Returns
    -------
    SweepReport
        What was removed, and which backends could not be swept.
    """
    if not older_than >= 0:
        raise ConfigurationError(f"sweep: older_than={older_than!r} must be at least 0 seconds")
    report: SweepReport = to_end(fs.loop, sweep_all, fs.store, older_than, dry_run=dry_run)
    return report


async def sweep_all(store: Store, older_than: float, *, dry_run: bool = False) -> SweepReport:
    """Sweep every backend that is written to."""
    if store.catalog is not None:
        await prepare(store)
    before = runtime.wall() - dt.timedelta(seconds=older_than)
    listed = await fan_out(store, store.writable, _listed)
    removed: dict[str, tuple[str, ...]] = {}
    failed: list[Reply[Any]] = []
    for name, reply in listed.items():
        if not reply.ok:
            failed.append(reply.bare())
            continue
        client, keys = store.clients[name], []
        left = [info for info in reply.value or () if _is_left_over(info, before)]
        for info in await _dead(store, left):
            answer = None if dry_run else await client.delete(info.key)
            (keys.append(info.key) if answer is None or answer.ok else failed.append(answer))
        abandoned = await client.abandon_uploads(before, dry_run=dry_run)
        (keys.extend(abandoned.value or ()) if abandoned.ok else failed.append(abandoned))
        removed[name] = tuple(keys)
    return SweepReport(removed=removed, failed=tuple(failed))


async def _listed(client: BackendClient) -> Reply[Sequence[ObjectInfo]]:
    """List what may be left over; only where there are directories does it lie beside objects."""
    await client.open()  # so that its traits are known
    if client.traits is None or client.traits.directories:
        return await client.list("", recursive=True)
    reply = await client.list(RESERVED, recursive=True)
    return Reply(client.name, Outcome.OK, ()) if reply.outcome is Outcome.NOT_FOUND else reply


def _is_left_over(info: ObjectInfo, before: dt.datetime) -> bool:
    name = info.key.rpartition("/")[2]
    ours = info.key.startswith((STAGING, f"{RESERVED}/probe-"))
    if info.directory or not (ours or name.startswith(PRIVATE)):
        return False
    touched = info.modified or info.created  # such a file is written once
    return touched is not None and touched < before


async def _dead(store: Store, left: list[ObjectInfo]) -> list[ObjectInfo]:
    """Return what nobody needs: the catalog is asked after the listing, never before (R18)."""
    if store.catalog is None:
        return left
    tokens = {info.key: info.key.split("/")[2] for info in left if info.key.startswith(STAGING)}
    try:
        if await _was_just_restored(store):
            return [info for info in left if info.key not in tokens]
        alive = await store.known.tokens(sorted(set(tokens.values())))
    except CatalogDownError as error:
        raise unavailable("", error) from None
    return [info for info in left if tokens.get(info.key) not in alive]


async def _was_just_restored(store: Store) -> bool:
    """Say whether the catalog may not know what is staged: it is as of its snapshot (R18)."""
    state = await store.known.state()
    assert state is not None, "a store that was prepared has an identity"
    window_s = store.configuration.late_window
    return state.restored_s > 0 and await store.known.now_s() < state.restored_s + window_s
