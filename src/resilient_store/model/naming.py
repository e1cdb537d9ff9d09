"""So many paths of a kind are named in a report; the others are counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

T = TypeVar("T")

NAMED = 10_000


def name(named: dict[str, T], said: Mapping[str, T]) -> int:
    """Name paths with what is said of each, as far as there is room; return how many are left."""
    left = 0
    for path, what in said.items():
        if path in named or len(named) < NAMED:
            named[path] = what
        else:
            left += 1
    return left
