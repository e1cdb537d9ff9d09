"""What is left of missing originals, as pictures that a page can carry in itself."""

from __future__ import annotations

import base64
import functools
from collections.abc import Sequence

from resilient_store.errors import BackendsUnavailableError
from resilient_store.io.catalogued.holder import find
from resilient_store.io.catalogued.objects import stand_in
from resilient_store.io.drive import each, to_end
from resilient_store.model.damage import DamagedObject
from resilient_store.store import Store, StoreOwner

AT_ONCE = 8
LARGEST_BYTES = 1 << 20
ALL_BYTES = 32 << 20
# Pictures only, and none that can hold a program.
TYPES = ("image/avif", "image/gif", "image/jpeg", "image/png", "image/webp")


class Pictures:
    """Reads pictures until there are enough.

    Parameters
    ----------
    owner
        The store; None: there are no pictures.
    limit
        How many are tried at most: while all of them fail, each may take its time.
    """

    def __init__(self, owner: StoreOwner | None, limit: int) -> None:
        self._left_out = 0
        self._failed = 0
        self._owner = owner
        self._left = limit
        self._left_bytes = ALL_BYTES

    def of(self, items: Sequence[DamagedObject]) -> list[str]:
        """Return a ``data:`` URI of the smallest derivative of each; empty where there is none."""
        wanted = [n for n, item in enumerate(items) if item.derivatives]
        within = wanted[: max(0, self._left)] if self._owner is not None else []
        self._left_out += len(wanted) - len(within)
        uris = [""] * len(items)
        if self._owner is None or not within:
            return uris
        self._left -= len(within)
        read = [functools.partial(_read, self._owner.store, items[n]) for n in within]
        for number, uri in zip(within, to_end(self._owner.loop, each, read, AT_ONCE), strict=True):
            if isinstance(uri, BaseException):
                raise uri
            uris[number] = self._taken(uri)
        return uris

    def not_shown(self) -> list[str]:
        """Say what is left and was not shown, and why."""
        if self._owner is None and self._left_out:
            return ["Pictures are left, and not shown: this report was read from a file."]
        said = {
            "are left and not shown, so that this page stays small": self._left_out,
            "are left and could not be shown": self._failed,
        }
        return [f"Pictures that {why}: {number}." for why, number in said.items() if number]

    def _taken(self, uri: str | None) -> str:
        if uri is None or len(uri) > self._left_bytes:
            self._left_out += 1
            return ""
        self._failed += not uri
        self._left_bytes -= len(uri)
        return uri


async def _read(store: Store, item: DamagedObject) -> str | None:
    """Return a picture; None of one that is too large, and "" where there is none to be had."""
    path = item.derivatives[-1]
    try:
        record, _ = await find(store, path)
        content = None if record.present is None else record.present.content
        if content is not None and content.size > LARGEST_BYTES:
            return None
        had = None if content is None else await stand_in(store, path)
    except BackendsUnavailableError:
        return ""
    kind = None if had is None else had.entry.headers.over(None, path).content_type
    if had is None or kind not in TYPES:
        return ""
    return f"data:{kind};base64,{base64.b64encode(had.data).decode('ascii')}"
