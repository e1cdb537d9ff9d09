"""The listings of several backends as one, in the order of its keys and in bounded memory."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any

from resilient_store import runtime
from resilient_store.backends.client import BackendClient
from resilient_store.backends.contract import Listed
from resilient_store.io.drive import all_of
from resilient_store.model.key_range import EVERYTHING, KeyRange, ranges
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.model.path import RESERVED
from resilient_store.protocol.merging import Found, Merging

PAGE = 1000  # what S3 and Google Cloud Storage list at most in one answer
# One that has answered before is asked again: a listing of a thousand pages meets some trouble.
ASKED_AGAIN = 4
_FINAL = (Outcome.OK, Outcome.DENIED, Outcome.REFUSED)
FIRST_WAIT_S, LONGEST_WAIT_S = 0.25, 8.0
MOST_LOOKS = 1000  # to find where a listing can be divided


async def merged(
    clients: Mapping[str, BackendClient], failed: dict[str, Reply[Any]], part: KeyRange = EVERYTHING
) -> AsyncGenerator[list[Found]]:
    """List backends at once; yield each key with who lists it, in order. No directories.

    Parameters
    ----------
    failed
        Gets the reply of each backend that could not be listed any further; the others go on
        without it.

    Notes
    -----
    Promises: P6. Rules: R14.
    """
    merging = Merging(clients, part.after)
    sources = {name: _Source(client, part.after) for name, client in clients.items()}
    while wanted := merging.wanted():
        replies = await all_of([sources[name].next() for name in wanted])
        for name, reply in zip(wanted, replies, strict=True):
            infos: Sequence[Any] = () if reply.value is None else reply.value.infos
            merging.take(name, infos, ended=sources[name].cursor is None)
            if reply.value is None:
                failed[name] = reply.bare()
        found = merging.ready()
        within, after = part.within(found, lambda one: one[0])
        if within:
            yield within
        if found and not after:
            return


class _Source:
    """One backend's listing."""

    def __init__(self, client: BackendClient, after: str) -> None:
        self._client = client
        self._after = after
        self.cursor: Any = None

    async def next(self) -> Reply[Listed]:
        """Ask for the next page."""
        goes_on, wait_s = self.cursor is not None, FIRST_WAIT_S
        reply = await self._page()
        for _ in range(ASKED_AGAIN if goes_on else 0):
            if reply.outcome in _FINAL:
                break
            await runtime.pause(wait_s)
            wait_s = min(LONGEST_WAIT_S, 4 * wait_s)
            reply = await self._page()
        return reply

    async def _page(self) -> Reply[Listed]:
        cursor, self.cursor = self.cursor, None  # of no use any more to whom it has failed
        reply = await self._client.page(self._after, cursor, runtime.page(PAGE))
        if reply.value is not None:
            self.cursor = reply.value.cursor
            if reply.value.infos:
                self._after = reply.value.infos[-1].key
        return reply


async def divided(clients: Mapping[str, BackendClient], count: int) -> list[KeyRange]:
    """Divide what backends list into some ranges of keys; together they are everything.

    The first key after each letter is looked for, and after each letter that follows that one,
    until there are so many places. One backend is asked, to which that costs little.
    """
    for client in clients.values():
        await client.open()
        if client.traits is not None and client.traits.begins_anywhere:
            return ranges(await _beginnings(client, count))
    return [EVERYTHING]


async def _beginnings(client: BackendClient, count: int) -> list[str]:
    looks = iter(range(MOST_LOOKS))
    beginnings = [""]
    while len(beginnings) < count:
        longer: list[str] = []
        for beginning in beginnings:
            longer += await _one_longer(client, beginning, looks) or [beginning]
        if longer == beginnings:
            break
        beginnings = longer
    return beginnings


async def _one_longer(client: BackendClient, beginning: str, looks: Any) -> list[str]:
    """Return the beginnings of keys that are longer by one letter than this one."""
    found: list[str] = []
    after: str | None = beginning
    while after is not None and next(looks, None) is not None:
        reply = await client.page(after, None, 1)
        if reply.value is None or not reply.value.infos:
            break
        key = reply.value.infos[0].key
        if key.startswith(f"{RESERVED}/"):
            after = f"{RESERVED}0"  # behind it
            continue
        if not key.startswith(beginning):
            break
        longer = key[: len(beginning) + 1]
        if not _is_surrogate(longer[-1]):  # a name on a disk that is no text: nobody else lists so
            found.append(longer)
        after = _behind(longer)
    return found


def _behind(beginning: str) -> str | None:
    """Return what comes after nearly all keys that begin so."""
    letter = ord(beginning[-1]) + 1
    if letter > sys.maxunicode:  # that was the last of all
        return None
    return beginning[:-1] + ("\ue000" if _is_surrogate(chr(letter)) else chr(letter))


def _is_surrogate(letter: str) -> bool:
    return "\ud800" <= letter <= "\udfff"
