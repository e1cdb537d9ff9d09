"""Work the repair queue until nothing more can be done now (P7)."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator

import attrs
from fsspec.asyn import sync

from resilient_store import runtime
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.errors import ConfigurationError
from resilient_store.io.catalogued.answers import hear
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.catalogued.repair import Repaired, repair_path
from resilient_store.io.drive import each
from resilient_store.io.identity import raise_epochs
from resilient_store.io.prepare import prepare
from resilient_store.store import Store, StoreOwner

PAGE = 1000


@attrs.define(kw_only=True)
class RepairReport:
    """What a repair did, and what is left.

    Attributes
    ----------
    copied
        Replicas brought to the current version, or to their own key.
    removed
        Replicas of deleted objects, and of failed creations, that were removed.
    purged
        Deletions that no backend has to be told of any more.
    waiting
        Path to reason: a late request may still land there, so repair has to come again.
    failed
        Path to reason: a backend that did not answer, or bytes of somebody else's.
    """

    copied: int = 0
    removed: int = 0
    purged: int = 0
    waiting: dict[str, str] = attrs.field(factory=dict)
    failed: dict[str, str] = attrs.field(factory=dict)

    @property
    def done(self) -> bool:
        """Whether every replica is as it should be."""
        return not self.waiting and not self.failed

    def add(self, one: Repaired) -> bool:
        """Count what was done for one path; say whether it was anything."""
        self.copied += len(one.copied)
        self.removed += len(one.removed)
        self.purged += one.purged
        for left in (self.waiting, self.failed):
            left.pop(one.path, None)
        if one.ending == "failed":
            self.failed[one.path] = one.why
        elif one.ending != "done":
            self.waiting[one.path] = one.why
        return bool(one.copied or one.removed or one.purged)


def repair(fs: StoreOwner, *, at_once: int = 8) -> RepairReport:
    """Bring every backend to what its placement asks, as far as that can be done now.

    Copies what is missing from verified replicas, publishes what waits in staging where no
    late request can land any more, removes what deletions left, and forgets deletions that
    every backend has carried out. May be killed and called again at any time, by any number of
    processes.

    Parameters
    ----------
    fs
        The store; it has a catalog.
    at_once
        Paths that are worked on at one time.

    Returns
    -------
    RepairReport
        What was done, and what is left for another call.

    Raises
    ------
    ConfigurationError
        The store has no catalog, which is where the queue is.
    CatalogUnavailableError
        The catalog cannot be had.

    Notes
    -----
    Promises: P1, P3, P7, P8.
    """
    if fs.store.catalog is None:
        raise ConfigurationError("repair needs a catalog: without one nobody knows what is owed")
    report: RepairReport = sync(fs.loop, repair_all, fs.store, at_once)
    return report


async def repair_all(store: Store, at_once: int = 8) -> RepairReport:
    """Repair in passes, until one of them does nothing."""
    await prepare(store)
    report = RepairReport()
    try:
        moved = True
        while moved:
            await hear(store)  # only while a backend answers do its late requests age
            moved = False
            async for paths in _owed(store):
                done = await each(
                    [functools.partial(repair_path, store, p) for p in paths], at_once
                )
                for one in done:
                    if isinstance(one, BaseException):
                        raise one
                    moved = report.add(one) or moved
        await raise_epochs(store, forgotten=report.purged > 0)
    except CatalogDownError as error:
        raise unavailable("", error) from None
    return report


async def _owed(store: Store) -> AsyncIterator[list[str]]:
    after = ""
    while page := await store.known.owed(after, runtime.page(PAGE)):
        yield page
        after = page[-1]
    for name in store.writable:  # added to the store, or to a placement, after they were written
        after = ""
        while page := await store.known.without(name, after, runtime.page(PAGE)):
            yield [path for path in page if name in store.placed(path)]
            after = page[-1]
