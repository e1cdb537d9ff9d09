"""Objects in the order of their keys, where a filesystem lists one directory at a time.

Depth first, with names compared as if those of directories ended in "/": so ``a-b`` comes before
``a/b``, as in a listing of keys. Held is what the directories list in which the walk is.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from resilient_store.model.info import ObjectInfo


def _order(info: ObjectInfo) -> str:
    return f"{info.key}/" if info.directory else info.key


def is_wanted(key: str, after: str) -> bool:
    """Say whether a key comes after another; of a directory, which ends in "/", whether any may."""
    return key > after or (key.endswith("/") and after.startswith(key))


class OrderedLevels:
    """A walk from after a key on.

    Parameters
    ----------
    after
        Whatever does not come after this key is left out, and no directory of it is listed.
    """

    def __init__(self, after: str) -> None:
        self._after = after
        self._levels: list[list[ObjectInfo]] = []
        self._begun = False
        self._found: list[ObjectInfo] = []

    @property
    def ended(self) -> bool:
        """Whether nothing is left."""
        return self._begun and not self._levels

    async def next(
        self, limit: int, list_one: Callable[[str], Awaitable[Sequence[ObjectInfo]]]
    ) -> list[ObjectInfo]:
        """Return the next objects; fewer than `limit` at the end only.

        Parameters
        ----------
        list_one
            Lists a directory by its key. Where it raises the walk stays where it is.
        """
        if not self._begun:
            self._enter(await list_one(""))
            self._begun = True
        while self._levels and len(self._found) < limit:
            level = self._levels[-1]
            if not level:
                self._levels.pop()
            elif level[-1].directory:
                below = await list_one(level[-1].key)
                level.pop()
                self._enter(below)
            else:
                self._found.append(level.pop())
        found, self._found = self._found, []
        return found

    def _enter(self, infos: Sequence[ObjectInfo]) -> None:
        wanted = [one for one in infos if is_wanted(_order(one), self._after)]
        self._levels.append(sorted(wanted, key=_order, reverse=True))
