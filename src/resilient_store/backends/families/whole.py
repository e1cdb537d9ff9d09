"""A listing that can only be had at once, handed out page by page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from resilient_store.backends.contract import Listed
from resilient_store.model.info import ObjectInfo


@attrs.frozen
class Whole:
    """Objects in the order of their keys, and how many of them were handed out."""

    infos: Sequence[ObjectInfo]
    start: int = 0

    @classmethod
    def of(cls, infos: Iterable[ObjectInfo], after: str) -> Whole:
        """Take the objects after a key."""
        chosen = [info for info in infos if not info.directory and info.key > after]
        return cls(sorted(chosen, key=lambda info: info.key))

    def page(self, limit: int) -> Listed:
        """Hand out the next objects."""
        end = self.start + limit
        more = Whole(self.infos, end) if end < len(self.infos) else None
        return Listed(self.infos[self.start : end], more)
