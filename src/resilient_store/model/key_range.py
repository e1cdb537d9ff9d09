"""A part of a store's paths, in order, so that many machines can share the work."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs

T = TypeVar("T")


@attrs.frozen
class KeyRange:
    """Paths that come after one and not after another.

    Attributes
    ----------
    after
        Empty: from the first path on.
    until
        None: to the last.
    """

    after: str = ""
    until: str | None = None

    def within(self, page: Sequence[T], path_of: Callable[[T], str]) -> tuple[list[T], str]:
        """Return what of a page lies within, and where to go on; empty: nothing follows."""
        if not page:
            return [], ""
        last = path_of(page[-1])
        if self.until is None or last < self.until:
            return list(page), last
        until = self.until
        return [one for one in page if path_of(one) <= until], ""


EVERYTHING = KeyRange()


def ranges(borders: Sequence[str]) -> list[KeyRange]:
    """Return the ranges between paths, which together are everything."""
    distinct = sorted(set(borders) - {""})
    return [
        KeyRange(after, until)
        for after, until in zip(["", *distinct], [*distinct, None], strict=True)
    ]
