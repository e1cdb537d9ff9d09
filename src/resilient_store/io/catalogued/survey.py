"""After a restore: what backends list, held against what the catalog remembers of them.

A listing is a hint, as in `adopt`: whatever is not exactly as remembered is suspect, and looked at
again. Listing and catalog are gone through together, in the order of their keys.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
from collections.abc import Iterable
from typing import Any

import attrs

from resilient_store import runtime
from resilient_store.io.catalogued.numbers import RESTORED, STAGING, highest_in, number_in
from resilient_store.io.catalogued.suspects import Suspects
from resilient_store.io.copy import run_local
from resilient_store.io.pages import merged
from resilient_store.model.info import ObjectInfo
from resilient_store.model.outcome import Reply
from resilient_store.model.path import is_hidden, problem
from resilient_store.model.state import OWN, Record, Replica, State
from resilient_store.store import Store

PAGE = 500


@attrs.define
class Survey:
    """What the listings of all backends say.

    Attributes
    ----------
    suspects
        Paths that are not exactly as the catalog remembers them.
    listed
        The backends that were listed, to the end.
    highest
        The highest number that any name says.
    """

    suspects: Suspects
    listed: list[str] = attrs.field(factory=list)
    highest: int = 0


async def survey(store: Store, suspects: Suspects) -> tuple[Survey, list[Reply[Any]]]:
    """List all backends, one after another; return what they say, and who could not be."""
    found, failed = Survey(suspects), dict[str, Reply[Any]]()
    for name in store.clients:
        await _compare(store, found, name, failed)
        if name in failed:
            await run_local(suspects.forget)
        else:
            found.listed.append(name)
            await run_local(suspects.keep)
    after = ""
    while paths := await store.known.owed(after, runtime.page(PAGE)):
        records = await store.known.records(paths)
        await _suspect(found, [one.path for one in records if _is_unsettled(one)])
        after = paths[-1]
    await run_local(suspects.keep)
    return found, list(failed.values())


async def _suspect(
    found: Survey, paths: Iterable[str], staged: Iterable[tuple[str, str, str]] = ()
) -> None:
    await run_local(functools.partial(found.suspects.add, paths, staged))


def _is_unsettled(record: Record) -> bool:
    return record.intent is not None or (record.present is not None and not record.holders())


async def _compare(store: Store, found: Survey, name: str, failed: dict[str, Reply[Any]]) -> None:
    """Hold what a backend lists against what it should hold, in the order of both."""
    held = _Held(store, name)
    async with contextlib.aclosing(merged({name: store.clients[name]}, failed)) as pages:
        async for page in pages:
            own, staged = _sorted_out(found, name, [words[name] for _, words in page])
            others = await held.others(own, page[-1][0])
            await _suspect(found, others, staged)
    if name not in failed:
        await _suspect(found, await held.others({}, None))


def _sorted_out(
    found: Survey, name: str, infos: Iterable[ObjectInfo]
) -> tuple[dict[str, ObjectInfo], list[tuple[str, str, str]]]:
    """Return what lies at own keys, and what is staged: path, backend and token."""
    own, staged = {}, []
    for info in infos:
        if info.key.startswith(STAGING):
            token, _, path = info.key.removeprefix(STAGING).partition("/")
            if path and problem(path) is None and problem(token) is None:
                staged.append((path, name, token))
            found.highest = max(found.highest, highest_in(token))
        elif info.key.startswith(RESTORED):
            found.highest = max(found.highest, number_in(info.key.removeprefix(RESTORED)))
        elif not is_hidden(info.key):
            own[info.key] = info
    return own, staged


class _Held:
    """What the catalog says that a backend holds, in order."""

    def __init__(self, store: Store, name: str) -> None:
        self._store, self._name = store, name
        self._after = ""
        self._waiting: list[str] = []

    async def others(self, listed: dict[str, ObjectInfo], until: str | None) -> list[str]:
        """Return paths up to one that are not as they are remembered; None: all that are left."""
        found: list[str] = []
        while paths := await self._next(until):
            found += [
                record.path
                for record in await self._store.known.records(paths)
                if not _is_as_known(record, self._name, listed.pop(record.path, None))
            ]
        return found + [key for key in listed if problem(key) is None]

    async def _next(self, until: str | None) -> list[str]:
        if not self._waiting:
            self._waiting = await self._store.known.held_by(
                self._name, self._after, runtime.page(PAGE)
            )
            self._after = self._waiting[-1] if self._waiting else self._after
        waiting = self._waiting
        count = len(waiting) if until is None else bisect.bisect_right(waiting, until)
        self._waiting = waiting[count:]
        return waiting[:count]


def _is_as_known(record: Record, name: str, info: ObjectInfo | None) -> bool:
    """Say so; what counts in staging is looked at in any case."""
    row = record.replica(name)
    if info is None and (record.present is None or row.state is not State.GOOD):
        return True
    return is_known(record, row, info)


def is_known(record: Record, row: Replica, info: ObjectInfo | None) -> bool:
    """Say whether what lies at an own key is the very object that counted in the snapshot."""
    current = record.present is not None and row.version == record.present.version
    counted = current and row.state is State.GOOD and row.place == OWN
    return counted and info is not None and row.tag is not None and row.tag == info.tag
