"""Sorted listings of several backends made one, as their pages arrive."""

from __future__ import annotations

import bisect
from collections.abc import Iterable, Sequence

import attrs

from resilient_store.model.info import ObjectInfo

Found = tuple[str, dict[str, ObjectInfo]]


@attrs.define
class _Listing:
    """One backend's: what waits for the others, and how far it has come."""

    reach: str
    ended: bool = False
    waiting: list[ObjectInfo] = attrs.field(factory=list)

    def up_to(self, horizon: str | None) -> list[ObjectInfo]:
        """Hand out what lies up to a key; None: all of it."""
        count = len(self.waiting)
        if horizon is not None:
            count = bisect.bisect_right(self.waiting, horizon, key=lambda info: info.key)
        found, self.waiting = self.waiting[:count], self.waiting[count:]
        return found


class Merging:
    """Merge listings, each of which comes in pages in the order of its keys.

    A key is ready once every listing has come as far as it, or to its end; who has come furthest
    waits for the others. So of each listing one page is held, and what its last one left.

    Parameters
    ----------
    names
        The backends; the order in which their words on one key are given.
    after
        The key after which all listings begin.
    """

    def __init__(self, names: Iterable[str], after: str = "") -> None:
        self._listings = {name: _Listing(after) for name in names}

    def wanted(self) -> tuple[str, ...]:
        """Return whose next page the others wait for; nobody's: all have come to their ends."""
        horizon = self._horizon()
        going = ((name, one) for name, one in self._listings.items() if not one.ended)
        return tuple(name for name, one in going if one.reach == horizon)

    def take(self, name: str, infos: Sequence[ObjectInfo], *, ended: bool) -> None:
        """Take a backend's next page; `ended`: it was the last."""
        one = self._listings[name]
        one.waiting += infos
        one.ended = ended
        if infos:
            one.reach = infos[-1].key

    def ready(self) -> list[Found]:
        """Hand out what no listing can add to any more: each key, with who lists it as what."""
        horizon = self._horizon()
        found: dict[str, dict[str, ObjectInfo]] = {}
        for name, one in self._listings.items():
            for info in one.up_to(horizon):
                found.setdefault(info.key, {})[name] = info
        return sorted(found.items())

    def _horizon(self) -> str | None:
        return min((one.reach for one in self._listings.values() if not one.ended), default=None)
