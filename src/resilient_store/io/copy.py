"""Whole objects from here to there: into a write session, or into a local file."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Iterable
from typing import Any, BinaryIO, Protocol

from resilient_store.errors import (
    BackendsUnavailableError,
    OriginalMissingError,
    UnsupportedOperationError,
)
from resilient_store.io.read import ask, look, looker, tell
from resilient_store.io.stream import BLOCK_BYTES, PinnedReader
from resilient_store.model.info import ObjectInfo
from resilient_store.model.result import Reason, WriteReceipt
from resilient_store.store import Store
from resilient_store.threads import DaemonPool

Source = bytes | bytearray | memoryview | BinaryIO | Iterable[bytes]
_TEXT: tuple[type, ...] = (str,)  # to be told apart from what has the right type

# The application's own disk, which may be slow, must not hold up the event loop.
_local_files = DaemonPool("local-files", 8)


async def open_pinned(store: Store, path: str) -> tuple[PinnedReader, ObjectInfo]:
    """Open an object for reading; raises as a read does."""
    found = await look(store, path)
    info = found.value
    assert info is not None, "only an OK is found"
    if info.directory:
        raise IsADirectoryError(21, "is a directory", path)
    if info.size is None:
        raise UnsupportedOperationError(
            f"backend {found.backend} does not say how long {path!r} is, so no file of it can be "
            "opened: take it whole with read() or cat_file()"
        )
    return PinnedReader(store, path, found.backend, info), info


async def open_degraded(store: Store, path: str) -> tuple[PinnedReader, ObjectInfo]:
    """Open an object, or a derivative that stands in for it, flagged."""
    try:
        return await open_pinned(store, path)
    except (OriginalMissingError, BackendsUnavailableError) as error:
        reason: Reason = "lost" if isinstance(error, OriginalMissingError) else "unreachable"
        for derivative in store.derivatives(path):
            reading = await ask(store, derivative, looker(derivative))
            found = reading.found
            if found is not None and found.value is not None and found.value.size is not None:
                tell(store, path, derivative, reason, found.backend)
                reader = PinnedReader(store, derivative, found.backend, found.value, reason)
                return reader, found.value
        raise


def creates(mode: str) -> bool:
    """Say whether a write's mode asks for a new path.

    Raises
    ------
    ValueError
        There is no such mode.
    """
    if mode not in ("overwrite", "create"):
        raise ValueError(f"mode={mode!r} must be 'overwrite' or 'create'")
    return mode == "create"


async def blocks(reader: Reading) -> AsyncGenerator[bytes, None]:
    """Read an object block by block."""
    offset = 0
    while offset < reader.size:
        block = await reader.read(offset, offset + BLOCK_BYTES)
        offset += len(block)
        yield block


class Writing(Protocol):
    """A write under way."""

    async def send(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes."""

    async def commit(self) -> WriteReceipt:
        """Make the object visible."""

    async def abort(self) -> None:
        """Give the write up."""


class Reading(Protocol):
    """A file being read."""

    size: int

    async def read(self, start: int, end: int) -> bytes:
        """Return some bytes."""


async def send_all(
    session: Writing, pieces: AsyncGenerator[bytes | memoryview, None], callback: Any = None
) -> WriteReceipt:
    """Write all pieces and commit; whatever goes wrong, the write is given up."""
    try:
        async with contextlib.aclosing(pieces):
            async for piece in pieces:
                await session.send(piece)
                if callback is not None:
                    callback.relative_update(len(piece))
        return await session.commit()
    except BaseException:
        await session.abort()
        raise


async def source(data: Source) -> AsyncGenerator[bytes | memoryview, None]:
    """Hand out the bytes of whatever a write takes, block by block."""
    if isinstance(data, _TEXT):
        raise TypeError("data is text; encode it to bytes")
    if isinstance(data, (bytes, bytearray, memoryview)):
        view = memoryview(data).cast("B")
        for offset in range(0, len(view), BLOCK_BYTES):
            yield view[offset : offset + BLOCK_BYTES]
        return
    if hasattr(data, "read"):
        file: BinaryIO = data  # type: ignore[assignment]
        while block := await _local_files.run(lambda _: file.read(BLOCK_BYTES)):
            if isinstance(block, _TEXT):
                raise TypeError("the file is open in text mode; open it with 'rb'")
            yield block
        if block is None:
            raise BlockingIOError(11, "the file does not wait for its bytes; make it block")
        return
    pieces = iter(data)
    end = object()
    while (piece := await _local_files.run(lambda _: next(pieces, end))) is not end:
        yield memoryview(piece).cast("B")  # type: ignore[arg-type]


async def run_local(call: Any, dispose: Any = None) -> Any:
    """Run a blocking call on the application's own files; a result that comes late is disposed."""
    return await _local_files.run(lambda _: call(), dispose)
