"""What reading verbs end in where a catalog knows the objects: bytes, an entry, or an error."""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any

from resilient_store.catalog.contract import CatalogDownError, Summary
from resilient_store.errors import (
    BackendsUnavailableError,
    CatalogUnavailableError,
    ObjectError,
    OriginalMissingError,
)
from resilient_store.io.catalogued import read as versions
from resilient_store.io.catalogued.discover import discover
from resilient_store.io.catalogued.enrich import enrich
from resilient_store.io.catalogued.holder import find, unavailable
from resilient_store.io.catalogued.read import STARTED_OVER, Had
from resilient_store.io.read import tell
from resilient_store.model.result import ReadResult, Reason
from resilient_store.model.state import Entry, Record
from resilient_store.policies import DegradedRead
from resilient_store.store import Store


async def original(
    store: Store, path: str, start: int | None = None, end: int | None = None
) -> Had:
    """Return the original's bytes, or a range of them; raises as `versions.read` does."""
    for _ in range(STARTED_OVER):
        had = await versions.read(store, path, start, end)
        if isinstance(had, Had):
            enrich(store, had, start, end)
            return had
        passing = await discover(store, had.record)
        if passing is not None:
            found, _ = await versions.read_version(store, passing, start, end)
            if found is not None:
                return found
    raise BackendsUnavailableError(path, note="it changed as often as it was looked at")


async def known(store: Store, path: str) -> Record:
    """Return the record of an object, discovered where it must be; its entry is present.

    Raises
    ------
    FileNotFoundError, OriginalMissingError, BackendsUnavailableError
        As a read does, but for a known object nobody is asked.
    IsADirectoryError
        It is no object, and objects lie below it.
    """
    for _ in range(STARTED_OVER):
        record, complete = await find(store, path)
        if record.present is not None:
            return record
        if record.entry is not None or complete:
            raise await _no_object(store, path)
        try:
            passing = await discover(store, record)
        except FileNotFoundError:
            raise await _no_object(store, path) from None
        if passing is not None:
            return passing
    raise BackendsUnavailableError(path, note="it changed as often as it was looked at")


async def refuse_known(store: Store, path: str) -> None:
    """Refuse to create what is there; who is away, and may have it, keeps nobody from it.

    Raises
    ------
    FileExistsError
        There is an object.
    CatalogUnavailableError
        The catalog cannot be had.
    """
    try:
        await known(store, path)
    except CatalogUnavailableError:
        raise
    except (FileNotFoundError, IsADirectoryError, ObjectError):
        return
    raise FileExistsError(17, "the path exists", path)


async def _no_object(store: Store, path: str) -> OSError:
    """Make the error for a path that is certainly no object: it may be a directory."""
    try:
        if await store.known.has_below(path):
            return IsADirectoryError(21, "is a directory", path)
    except CatalogDownError as error:
        raise unavailable(path, error) from None
    return FileNotFoundError(2, "no such object", path)


async def read(
    store: Store, path: str, *, degraded: bool | DegradedRead | None = None
) -> ReadResult:
    """Return the original, or a derivative with the flag.

    Notes
    -----
    Promises: P4, P5.
    """
    try:
        return _result(path, await original(store, path))
    except CatalogUnavailableError:  # of a derivative it knows no more
        raise
    except (OriginalMissingError, BackendsUnavailableError) as error:
        policy = degraded if isinstance(degraded, DegradedRead) else None
        derivatives = policy.derivatives(path) if policy else store.derivatives(path)
        if degraded is False or not derivatives:
            raise
        reason: Reason = "lost" if isinstance(error, OriginalMissingError) else "unreachable"
        for derivative in derivatives:
            had = await stand_in(store, derivative)
            if had is not None:
                tell(store, path, derivative, reason, had.reply.backend)
                stale = await is_stale(store, path, had.entry)
                return _result(path, had, reason=reason, refusal=error, stale=stale)
        raise


async def stand_in(store: Store, derivative: str) -> Had | None:
    """Return a derivative's bytes, or None where it cannot stand in: an empty one is skipped."""
    try:
        had = await original(store, derivative)
    except (FileNotFoundError, OriginalMissingError, BackendsUnavailableError):
        return None
    return had if had.data else None


async def is_stale(store: Store, path: str, derivative: Entry) -> bool:
    """Say whether a derivative was made from another version of the original than the current."""
    origin = derivative.derived_from
    if origin is None or origin[0] != path or origin[1] is None:
        return False
    try:
        record, _ = await find(store, path)
    except BackendsUnavailableError:
        return False
    return record.present is not None and record.present.version != origin[1]


def _result(
    path: str,
    had: Had,
    *,
    reason: Reason | None = None,
    refusal: Exception | None = None,
    stale: bool = False,
) -> ReadResult:
    return ReadResult(
        data=had.data,
        path=path,
        original_missing=reason is not None,
        reason=reason,
        derivative=had.entry.path if reason is not None else None,
        derivative_stale=stale,
        backend=had.reply.backend,
        version=had.entry.version or None,
        verified=had.verified,
        content_type=had.entry.headers.over(None, had.entry.path).content_type,
        refusal=refusal,
    )


# Entries, as fsspec wants them


def described(record: Record) -> dict[str, Any]:
    """Describe a present object as `info` does; no backend is asked."""
    entry = record.present
    assert entry is not None, "only a present object is described"
    assert entry.content is not None, "it is present"
    content, lost = entry.content, versions.is_lost(record)
    first = next(iter(record.holders()), None)
    return {
        "name": record.path,
        "size": None if lost else content.size,
        "type": "file",
        "created": _time(entry.created_s),
        "modified": _time(entry.modified_s),
        "mtime": entry.modified_s,
        "tag": None if first is None else first.tag,
        "backend": None if first is None else first.backend,
        **entry.headers.over(None, record.path).as_dict(),
        "version": entry.version or None,
        "checksum": content.checksum or None,
        "verified": content.kind == "chunked",
        "replicas": {name: row.state.value for name, row in sorted(record.replicas.items())},
        "derived_from": entry.derived_from,
        "original_missing": lost,
    }


def listed(summary: Summary) -> dict[str, Any]:
    """Describe an object as a listing does."""
    return {
        "name": summary.path,
        "size": summary.size,
        "type": "file",
        "created": _time(summary.created_s),
        "modified": _time(summary.modified_s),
        "mtime": summary.modified_s,
        "version": summary.version,
        "checksum": summary.checksum or None,
        "backend": None,
    }


@functools.lru_cache(maxsize=1024)
def _time(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
