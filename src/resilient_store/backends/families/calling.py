"""How a method of any fsspec filesystem is called: where its coroutine belongs, or in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from fsspec.implementations.dirfs import DirFileSystem

from resilient_store.threads import DaemonPool


async def ask(
    filesystem: Any,
    pool: DaemonPool,
    method: str,
    arguments: Sequence[Any],
    options: Mapping[str, Any],
) -> Any:
    """Call a filesystem's method: its coroutine where it has one, else in a thread of the pool."""
    coroutine = None
    if works_asynchronously(filesystem):
        coroutine = getattr(filesystem, f"_{method}", None)
    if coroutine is None:
        run = getattr(filesystem, method)
        return await pool.run(lambda _: run(*arguments, **options))
    home = None if filesystem.asynchronous else filesystem.loop
    if home is None or home is asyncio.get_running_loop():
        return await coroutine(*arguments, **options)
    # An instance that belongs to another loop is only ever touched on that loop.
    call = asyncio.run_coroutine_threadsafe(coroutine(*arguments, **options), home)
    return await asyncio.wrap_future(call)


def works_asynchronously(filesystem: Any) -> bool:
    """Say whether the coroutines work: `DirFileSystem` has them whatever it wraps."""
    return bool(innermost(filesystem).async_impl)


def innermost(filesystem: Any) -> Any:
    """Return what a `DirFileSystem` wraps, and anything else as it is."""
    while isinstance(filesystem, DirFileSystem):
        filesystem = filesystem.fs
    return filesystem
