"""Remove what killed processes left in staging."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import AsyncGenerator, Sequence
from typing import Any

import attrs
from fsspec.callbacks import DEFAULT_CALLBACK

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import ConfigurationError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.numbers import STAGING
from resilient_store.io.drive import all_of, to_end
from resilient_store.io.pages import merged
from resilient_store.io.prepare import prepare
from resilient_store.model.info import ObjectInfo
from resilient_store.model.key_range import EVERYTHING, KeyRange
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.path import PRIVATE, RESERVED, problem
from resilient_store.store import Store, StoreOwner

OLDER_THAN_S = 3600.0  # longer than any write may take
OURS = KeyRange(f"{RESERVED}/", f"{RESERVED}0")  # the keys that begin so
NAMED = 10_000  # so many keys are named in a report


@attrs.define(kw_only=True)
class SweepReport:
    """What a sweep did.

    Attributes
    ----------
    removed
        Backend name to the keys removed there, those of unfinished uploads among them. In a dry
        run: those that would be. The first 10,000 of a backend are named.
    failed
        Replies of backends that could not be listed, or where a removal failed; the first 10,000.
    unnamed
        How many more there are of both.
    """

    removed: dict[str, tuple[str, ...]] = attrs.field(factory=dict)
    failed: tuple[Reply[Any], ...] = ()
    unnamed: int = 0

    def add(self, backend: str, keys: Sequence[str] = ()) -> None:
        """Note what was removed on a backend; without keys: that it was swept."""
        named = self.removed.get(backend, ())
        more = tuple(keys[: NAMED - len(named)])
        self.removed[backend] = named + more
        self.unnamed += len(keys) - len(more)

    def add_failed(self, reply: Reply[Any]) -> None:
        """Note what failed."""
        if len(self.failed) < NAMED:
            self.failed += (reply,)
        else:
            self.unnamed += 1


def sweep(
    fs: StoreOwner,
    *,
    older_than: float = OLDER_THAN_S,
    dry_run: bool = False,
    callback: Any = DEFAULT_CALLBACK,
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
    callback
        An fsspec callback, told of files that were looked at, on all backends.

    Returns
    -------
    SweepReport
        What was removed, and which backends could not be swept.
    """
    if not older_than >= 0:
        raise ConfigurationError(f"sweep: older_than={older_than!r} must be at least 0 seconds")
    how: Any = {"dry_run": dry_run, "callback": callback}
    report: SweepReport = to_end(fs.loop, sweep_all, fs.store, older_than, **how)
    return report


async def sweep_all(
    store: Store, older_than: float, *, dry_run: bool = False, callback: Any = DEFAULT_CALLBACK
) -> SweepReport:
    """Sweep every backend that is written to."""
    if store.catalog is not None:
        await prepare(store)
    try:
        before = runtime.wall() - dt.timedelta(seconds=older_than)
    except OverflowError:
        raise ConfigurationError(f"sweep: older_than={older_than!r} is before all time") from None
    report = SweepReport()
    sweeps = [
        _Sweep(store, store.clients[name], report, before, callback, dry_run=dry_run)
        for name in store.writable
    ]
    await all_of([one.run() for one in sweeps])
    removed = report.removed
    report.removed = {name: removed[name] for name in store.writable if name in removed}
    return report


@attrs.frozen
class _Sweep:
    """Sweeps one backend."""

    _store: Store
    _client: BackendClient
    _report: SweepReport
    _before: dt.datetime
    _callback: Any
    _dry_run: bool = attrs.field(kw_only=True)

    async def run(self) -> None:
        """Remove what is left, page by page."""
        failed: dict[str, Reply[Any]] = {}
        async with contextlib.aclosing(self._listed(failed)) as pages:
            async for infos in pages:
                await self._remove([info for info in infos if _is_left_over(info, self._before)])
                self._callback.relative_update(len(infos))
        for reply in failed.values():
            self._report.add_failed(reply)
        if not failed:
            self._report.add(self._client.name)
            abandoned = await self._client.abandon_uploads(self._before, dry_run=self._dry_run)
            if abandoned.ok:
                self._report.add(self._client.name, abandoned.value or ())
            else:
                self._report.add_failed(abandoned)

    async def _listed(self, failed: dict[str, Reply[Any]]) -> AsyncGenerator[Sequence[ObjectInfo]]:
        """List what may be left; only where there are directories does it lie beside objects."""
        client = self._client
        await client.open()  # so that its traits are known
        traits = client.traits
        if traits is not None and not (traits.directories or traits.begins_anywhere):
            reply = await client.list(RESERVED, recursive=True)
            if reply.ok:
                yield reply.value or ()
            elif reply.outcome is not Outcome.NOT_FOUND:
                failed[client.name] = reply.bare()
            return
        part = EVERYTHING if traits is None or traits.directories else OURS
        async with contextlib.aclosing(merged({client.name: client}, failed, part)) as pages:
            async for found in pages:
                yield [words[client.name] for _, words in found]

    async def _remove(self, left: list[ObjectInfo]) -> None:
        keys: list[str] = []
        for info in await _dead(self._store, left):
            answer = None if self._dry_run else await self._client.delete(info.key)
            if answer is None or answer.ok:
                keys.append(info.key)
            else:
                self._report.add_failed(answer)
        if keys:
            self._report.add(self._client.name, keys)


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
        asked = {token for token in tokens.values() if problem(token) is None}  # else nobody's
        alive = await store.known.tokens(sorted(asked))
    except CatalogDownError as error:
        raise unavailable("", error) from None
    return [info for info in left if tokens.get(info.key) not in alive]


async def _was_just_restored(store: Store) -> bool:
    """Say whether the catalog may not know what is staged: it is as of its snapshot (R18)."""
    state = await store.known.state()
    assert state is not None, "a store that was prepared has an identity"
    window_s = store.configuration.late_window
    return state.restored_s > 0 and await store.known.now_s() < state.restored_s + window_s
