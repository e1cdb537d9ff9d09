"""The files below a root in the order of their keys, a page at a time: blocking calls.

Depth first, with names compared as if those of directories ended in "/": so ``a-b`` comes before
``a/b``, and ``a.b`` too, as they do in a listing of keys. Memory is bounded: of a directory no
more than so many names are held, and of a larger one the next are looked for when those are done.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from resilient_store.backends.families.disk import Disk
from resilient_store.backends.families.levels import is_wanted
from resilient_store.model.info import ObjectInfo

NAMES = 100_000
_CHECKED_EVERY = 1000


class _Level:
    """One directory: the next of its names, in order.

    Parameters
    ----------
    prefix
        Of the keys in it: empty, or with a slash at its end.
    after
        Whatever does not come after this key is left out.
    """

    def __init__(self, directory: str, prefix: str, after: str) -> None:
        self.directory = directory
        self.prefix = prefix
        self._after = after
        self._last = ""
        self._names: list[str] = []
        self._are_all = False

    def next(self, goes_on: Callable[[], None]) -> str | None:
        """Return the next name, with a slash where it is a directory's; None: no more."""
        if not self._names and not self._are_all:
            self._look(goes_on)
        if not self._names:
            return None
        self._last = self._names.pop()
        return self._last

    def _look(self, goes_on: Callable[[], None]) -> None:
        names: list[str] = []
        self._are_all = True
        with os.scandir(self.directory) as entries:
            for number, entry in enumerate(entries):
                if number % _CHECKED_EVERY == 0:
                    goes_on()
                name = entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "")
                if name <= self._last or not is_wanted(self.prefix + name, self._after):
                    continue
                names.append(name)
                if len(names) > 2 * NAMES:
                    names = self._least(names)
        self._names = self._least(names)[::-1]

    def _least(self, names: list[str]) -> list[str]:
        names.sort()
        self._are_all = self._are_all and len(names) <= NAMES
        return names[:NAMES]


class OrderedWalk:
    """A walk through a disk, from after a key on. Used by one thread at a time."""

    def __init__(self, disk: Disk, after: str) -> None:
        self._disk = disk
        self._after = after
        self._levels = [_Level(disk.existing(""), "", after)]

    def next(self, limit: int, goes_on: Callable[[], None]) -> list[ObjectInfo]:
        """Return the next files; fewer than `limit` at the end only.

        Parameters
        ----------
        goes_on
            Called now and then; what it raises ends the walk.
        """
        found: list[ObjectInfo] = []
        while self._levels and len(found) < limit:
            goes_on()
            level = self._levels[-1]
            try:
                name = level.next(goes_on)
            except (FileNotFoundError, NotADirectoryError):
                self._disk.existing("")  # raises where everything is gone
                if len(self._levels) == 1:
                    raise
                name = None  # removed meanwhile
            if name is None:
                self._levels.pop()
                continue
            path, key = os.path.join(level.directory, name.rstrip("/")), level.prefix + name
            if name.endswith("/"):
                self._levels.append(_Level(path, key, self._after))
            elif (info := self._disk.listed(key, path)) is not None and not info.directory:
                found.append(info)
        if not self._levels:
            self._disk.existing("")  # what was not there may be all of it
        return found
