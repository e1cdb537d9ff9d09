"""What the filesystem calls: each verb as it is with a catalog, or without one."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from resilient_store.errors import (
    BackendsUnavailableError,
    CatalogUnavailableError,
    OriginalMissingError,
)
from resilient_store.io import copy as stateless_copy
from resilient_store.io import delete as stateless_delete
from resilient_store.io import read as stateless_read
from resilient_store.io.catalogued import delete as catalogued_delete
from resilient_store.io.catalogued import objects
from resilient_store.io.catalogued.labels import unlabelled
from resilient_store.io.catalogued.listing import (
    Listed,
    directory,
    list_known,
    names_in,
    names_known,
)
from resilient_store.io.catalogued.move import MoveSession
from resilient_store.io.catalogued.read import read_version
from resilient_store.io.catalogued.stream import VersionReader
from resilient_store.io.catalogued.write import CataloguedWrite
from resilient_store.io.entries import entry, full_entry, missing_entry
from resilient_store.io.listing import list_union
from resilient_store.io.prepare import prepare
from resilient_store.io.stream import PinnedReader
from resilient_store.io.write import WriteSession
from resilient_store.model.info import Headers
from resilient_store.model.result import Listing, ReadResult, Reason, WriteReceipt
from resilient_store.model.state import Record
from resilient_store.policies import DegradedRead
from resilient_store.protocol.listing import best
from resilient_store.store import Store

T = TypeVar("T")

Reader = PinnedReader | VersionReader
Session = WriteSession | CataloguedWrite
Origin = str | tuple[str, int | None]


async def _either(
    store: Store,
    known: Callable[[], Coroutine[Any, Any, T]],
    stateless: Callable[[], Coroutine[Any, Any, T]],
) -> T:
    """Read by the catalog; without one, or where it is away and may be done without, by asking."""
    if store.catalog is None:
        return await stateless()
    try:
        await prepare(store)
        return await known()
    except CatalogUnavailableError:
        if store.configuration.catalog_down != "read":
            raise
    return await stateless()


async def read(
    store: Store, path: str, *, degraded: bool | DegradedRead | None = None
) -> ReadResult:
    """Return the original, or a derivative with the flag."""
    return await _either(
        store,
        lambda: objects.read(store, path, degraded=degraded),
        lambda: stateless_read.read(store, path, degraded=degraded),
    )


async def read_original(
    store: Store, path: str, start: int | None = None, end: int | None = None
) -> bytes:
    """Return the original's bytes, or a range of them."""

    async def known() -> bytes:
        return (await objects.original(store, path, start, end)).data

    async def stateless() -> bytes:
        reply = await stateless_read.read_original(store, path, start, end)
        assert reply.value is not None, "only an OK is returned"
        return reply.value.data

    return await _either(store, known, stateless)


async def info(store: Store, path: str) -> dict[str, Any]:
    """Describe a path; a lost original has no size, and says so."""

    async def known() -> dict[str, Any]:
        try:
            return objects.described(await objects.known(store, path))
        except OriginalMissingError:
            return missing_entry(path)
        except IsADirectoryError:
            return directory(path)

    async def stateless() -> dict[str, Any]:
        try:
            found = await stateless_read.look(store, path)
        except OriginalMissingError:
            return missing_entry(path)
        assert found.value is not None, "only an OK is found"
        return full_entry(path, found.backend, found.value)

    return await _either(store, known, stateless)


async def names(store: Store, path: str, *, recursive: bool, partial: bool) -> Listing:
    """Return the names of what lies under a path: with `recursive` of objects only."""

    async def stateless() -> Listing:
        found = await _asked(store, path, recursive=recursive, partial=partial)
        return names_in(found, recursive=recursive)

    return await _either(
        store,
        lambda: names_known(store, path, recursive=recursive, partial=partial),
        stateless,
    )


async def listing(store: Store, path: str, *, recursive: bool, partial: bool) -> Listed:
    """List what lies under a path."""
    return await _either(
        store,
        lambda: list_known(store, path, recursive=recursive, partial=partial),
        lambda: _asked(store, path, recursive=recursive, partial=partial),
    )


async def _asked(store: Store, path: str, *, recursive: bool, partial: bool) -> Listed:
    """List by asking the backends."""
    merged = await list_union(store, path, recursive=recursive, partial=partial)
    found = {key: entry(key, *best(words)) for key, words in merged.entries.items() if key}
    return Listed(found, merged.missing, merged.absent, merged.strange, merged.twofold)


async def open_reader(store: Store, path: str, *, degraded: bool = False) -> Reader:
    """Open an object for reading; with `degraded`, a derivative may stand in, flagged."""

    async def known() -> Reader:
        try:
            return VersionReader(store, await _readable(store, path))
        except CatalogUnavailableError:  # of a derivative it knows no more
            raise
        except (OriginalMissingError, BackendsUnavailableError) as error:
            reason: Reason = "lost" if isinstance(error, OriginalMissingError) else "unreachable"
            for derivative in store.derivatives(path) if degraded else ():
                had = await objects.stand_in(store, derivative)
                if had is not None:
                    stateless_read.tell(store, path, derivative, reason, had.reply.backend)
                    return VersionReader(store, await objects.known(store, derivative), reason)
            raise

    async def stateless() -> Reader:
        opened = stateless_copy.open_degraded if degraded else stateless_copy.open_pinned
        return (await opened(store, path))[0]

    return await _either(store, known, stateless)


async def _readable(store: Store, path: str) -> Record:
    """Return a record of which some byte can be read now; raises as a read does."""
    record = await objects.known(store, path)
    had, _ = await read_version(store, record, 0, 1)
    if had is None:
        await objects.original(store, path, 0, 1)  # says why not; or it has changed meanwhile
        record = await objects.known(store, path)
    return record


async def begin_write(
    store: Store,
    path: str,
    headers: Headers | None = None,
    *,
    exact: bool = False,
    create: bool = False,
    derived_from: Origin | None = None,
) -> Session:
    """Begin a write."""
    session: Session
    how: Any = {"headers": unlabelled(headers), "exact": exact, "create": create}
    if store.catalog is None:
        session = WriteSession(store, path, **how)
    else:
        await prepare(store)
        session = CataloguedWrite(store, path, **how, derived_from=derived_from)
    try:
        await session.begin()
    except BaseException:
        await session.abort()
        raise
    return session


async def write(
    store: Store,
    path: str,
    data: stateless_copy.Source,
    headers: Headers | None = None,
    *,
    create: bool = False,
    derived_from: Origin | None = None,
    callback: Any = None,
) -> WriteReceipt:
    """Write bytes, a binary file (from where it stands, left open), or an iterable of bytes."""
    session = await begin_write(store, path, headers, create=create, derived_from=derived_from)
    return await stateless_copy.send_all(session, stateless_copy.source(data), callback)


async def copy(store: Store, source: str, target: str) -> None:
    """Copy an object with its headers."""
    if store.catalog is None:
        reader, found = await stateless_copy.open_pinned(store, source)
        headers = found.headers or await stateless_read.headers_anywhere(store, source)
        session = await begin_write(store, target, headers, exact=True)
        await stateless_copy.send_all(session, stateless_copy.blocks(reader))
        return
    await prepare(store)
    record = await _readable(store, source)
    present = record.present
    assert present is not None, "only a present object is readable"
    session = await begin_write(
        store, target, present.headers, exact=True, derived_from=present.derived_from
    )
    await stateless_copy.send_all(session, stateless_copy.blocks(VersionReader(store, record)))


async def move(store: Store, source: str, target: str) -> None:
    """Move an object: with a catalog both paths change at one moment."""
    if store.catalog is None:
        await stateless_delete.check_deletable(store, source)
        await copy(store, source, target)
        await stateless_delete.delete(store, source)
        return
    await prepare(store)
    record = await _readable(store, source)
    assert record.present is not None, "only a present object is readable"
    session = MoveSession(store, record, target, record.present.headers)
    await session.begin()
    await stateless_copy.send_all(session, stateless_copy.blocks(VersionReader(store, record)))


async def delete(store: Store, path: str) -> None:
    """Delete an object."""
    if store.catalog is None:
        await stateless_delete.delete(store, path)
    else:
        await prepare(store)
        await catalogued_delete.delete(store, path)


async def make_directory(store: Store, path: str) -> None:
    """Make a directory, where directories exist by themselves."""
    if store.catalog is None:
        await stateless_delete.make_directory(store, path)


async def remove_directory(store: Store, path: str) -> None:
    """Remove an empty directory from every backend that has it."""
    if store.catalog is None:
        await stateless_delete.remove_directory(store, path)
    else:
        await catalogued_delete.remove_empty(store, path)
