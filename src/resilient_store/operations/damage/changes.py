"""What has changed between two damage reports."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter

import attrs

from resilient_store.catalog.contract import CatalogDownError
from resilient_store.io.catalogued.holder import unavailable
from resilient_store.io.drive import to_end
from resilient_store.model.damage import DamagedObject, Kind
from resilient_store.operations.damage.spool import Spool, in_batches
from resilient_store.store import Store, StoreOwner

LOOKED_UP_AT_ONCE = 1000

Found = Mapping[Kind, Spool]
_path = attrgetter("path")


@attrs.frozen(kw_only=True)
class DamageChanges:
    """What has changed since an earlier damage report; each is a sequence of objects, by path.

    Attributes
    ----------
    newly_lost
        Lost now and not then, as they are now.
    newly_unreachable
        Unreachable now and not then, as they are now: what was lost may be among them.
    recovered
        Lost then, and can be read now; as they were then.
    reachable_again
        Unreachable then, and can be read now; as they were then.
    deleted
        Lost or unreachable then, and no object now; as they were then. Empty where the later
        report was read from a file: nobody knows then, and they are among the recovered.
    """

    newly_lost: Sequence[DamagedObject]
    newly_unreachable: Sequence[DamagedObject]
    recovered: Sequence[DamagedObject]
    reachable_again: Sequence[DamagedObject]
    deleted: Sequence[DamagedObject]


def changes(before: Found, after: Found, owner: StoreOwner | None) -> DamageChanges:
    """Compare what was found; the catalog of `owner` says what is still an object."""
    lost, unreachable, gone = Spool(), Spool(), Spool()
    for then, now in _side_by_side(_missing(before), _missing(after)):
        if now is None:
            assert then is not None, "one of the two is there"
            gone.add(then)
        elif then is None or then.kind != now.kind:
            (lost if now.kind == "lost" else unreachable).add(now)
    recovered, reachable, deleted = Spool(), Spool(), Spool()
    for batch in in_batches(gone, LOOKED_UP_AT_ONCE):
        paths = [item.path for item in batch]
        present = set(paths if owner is None else to_end(owner.loop, _present, owner.store, paths))
        for item in batch:
            if item.path not in present:
                deleted.add(item)
            else:
                (recovered if item.kind == "lost" else reachable).add(item)
    return DamageChanges(
        newly_lost=lost,
        newly_unreachable=unreachable,
        recovered=recovered,
        reachable_again=reachable,
        deleted=deleted,
    )


def _missing(found: Found) -> Iterator[DamagedObject]:
    """Yield what could not be read, by path; no path is both lost and unreachable."""
    return heapq.merge(found["lost"], found["unreachable"], key=_path)


def _side_by_side(
    before: Iterator[DamagedObject], after: Iterator[DamagedObject]
) -> Iterator[tuple[DamagedObject | None, DamagedObject | None]]:
    then, now = next(before, None), next(after, None)
    while then is not None or now is not None:
        first = min(item.path for item in (then, now) if item is not None)
        both = tuple(item if item and item.path == first else None for item in (then, now))
        yield both[0], both[1]
        then = next(before, None) if both[0] else then
        now = next(after, None) if both[1] else now


async def _present(store: Store, paths: list[str]) -> list[str]:
    try:
        return await store.known.present(paths)
    except CatalogDownError as error:
        raise unavailable("", error) from None
