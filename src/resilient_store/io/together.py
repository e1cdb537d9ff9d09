"""Calls over many paths: what is called together, and the one error that names all that failed."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence

from resilient_store.errors import ObjectError


def by_depth(paths: Iterable[str]) -> Iterator[list[str]]:
    """Return paths level by level, those above first."""

    def depth(path: str) -> int:
        return path.count("/")

    for _, level in itertools.groupby(sorted(paths, key=depth), key=depth):
        yield list(level)


def raise_together(names: Sequence[str], results: Sequence[object]) -> None:
    """Raise the first error, naming every path that failed."""
    failed = {n: r for n, r in zip(names, results, strict=True) if isinstance(r, Exception)}
    if not failed:
        return
    first = next(iter(failed.values()))
    ours = next((error for error in failed.values() if isinstance(error, ObjectError)), None)
    if len(failed) == 1 or ours is None:
        raise first
    raise type(ours)(ours.path, ours.replies, ours.note, tuple(failed))
