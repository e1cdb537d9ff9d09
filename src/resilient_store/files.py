"""What ``open`` returns: reading pinned and flagged, writing all or nothing.

A writer publishes only when it is closed in an orderly way. When its ``with`` block raises,
when it is closed while an exception passes (by a wrapper that knows no better), or when it is
dropped unclosed, nothing of it becomes visible.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from typing import Any

from fsspec.asyn import sync
from fsspec.compression import compr

from resilient_store import runtime
from resilient_store.io.drive import leave_to_finish
from resilient_store.io.stream import BLOCK_BYTES
from resilient_store.io.verbs import Reader, Session
from resilient_store.model.result import WriteReceipt
from resilient_store.store import Store

logger = logging.getLogger("resilient_store")


class _RawReader(io.RawIOBase):
    """Bytes by position, for Python's own buffering."""

    mode = "rb"

    def __init__(self, fs: Any, reader: Reader) -> None:
        self._fs = fs
        self._reader = reader
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._reader.size}
        if whence not in base:
            raise ValueError(f"whence={whence!r} must be 0, 1 or 2")
        if base[whence] + offset < 0:
            raise ValueError("seek before the beginning of the file")
        self._position = base[whence] + offset
        return self._position

    def readall(self) -> bytes:
        """Read to the end in whole blocks: Python's own version asks for 8 KiB at a time."""
        return self._take(self._reader.size)

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self._take(self._position + min(len(view), BLOCK_BYTES))
        view[: len(data)] = data
        return len(data)

    def _take(self, end: int) -> bytes:
        data: bytes = sync(self._fs.loop, self._reader.read, self._position, end)
        self._position += len(data)
        return data


class ObjectReader(io.BufferedReader):
    """A file open for reading, pinned to one version.

    Attributes
    ----------
    path, size
        The object that was asked for, and how many bytes this file has.
    original_missing, reason, derivative
        As in `ReadResult`: set where a derivative is being read (only with
        ``open(..., degraded=True)``).
    """

    def __init__(self, fs: Any, path: str, reader: Reader, *, block_size: int) -> None:
        super().__init__(_RawReader(fs, reader), buffer_size=max(1, block_size))
        self.fs = fs
        self.path = path
        self.size = reader.size
        self.blocksize = block_size
        self.original_missing = reader.reason is not None
        self.reason = reader.reason
        self.derivative = reader.derivative

    @property
    def full_name(self) -> str:
        """The path with its protocol."""
        return str(self.fs.unstrip_protocol(self.path))

    @property
    def details(self) -> dict[str, Any]:
        """What `info` says now."""
        return self.info()

    def info(self) -> dict[str, Any]:
        """Return what the filesystem's `info` says now."""
        found: dict[str, Any] = self.fs.info(self.path)
        return found


def give_up(path: str, store: Store, session: Session, loop: Any) -> None:
    """End a write from a finalizer, which may run on the loop's own thread: without blocking."""
    logger.warning("%s was dropped without being closed, so it is discarded", path)
    with contextlib.suppress(RuntimeError):  # the loop is gone, and with it what was under way
        loop.call_soon_threadsafe(lambda: leave_to_finish(store.tails, session.abort()))


class ObjectWriter(io.BufferedIOBase):
    """A file open for writing; visible everywhere when closed, or nowhere.

    Attributes
    ----------
    path
        The object being written.
    receipt
        The `WriteReceipt`, once the file is closed.
    """

    def __init__(self, fs: Any, path: str, session: Session, mode: str) -> None:
        self.fs = fs
        self.path = path
        self.mode = mode
        self.receipt: WriteReceipt | None = None
        self._session = session
        self._position = 0
        self._ended = False
        self._at_open = sys.exc_info()[1]
        self._process = runtime.process_id()

    def writable(self) -> bool:
        """Say yes."""
        return True

    def tell(self) -> int:
        """Return how many bytes were written."""
        return self._position

    def write(self, data: Any) -> int:
        """Take bytes; full parts travel to all backends at once."""
        if self._ended:
            raise ValueError("the file is closed")
        view = memoryview(data).cast("B")
        try:
            sync(self.fs.loop, self._session.send, view)
        except BaseException:
            self.discard()
            raise
        self._position += len(view)
        return len(view)

    def flush(self) -> None:
        """Do nothing: nothing is visible before the file is closed."""

    def close(self) -> None:
        """Make the object visible; later calls do nothing.

        Raises
        ------
        InsufficientCopiesError, FileExistsError, ConcurrentWriteError
            As a write raises.
        Exception
            The one that was passing: the file is discarded.
        """
        if self._ended:
            return
        passing = sys.exc_info()[1]
        if passing is not None and passing is not self._at_open:
            # A wrapper closes what it wraps when its block raises; an `except` may close, too.
            logger.warning("%s was closed while an error passed, so it is discarded", self.path)
            self.discard()
            raise passing
        self._ended = True
        try:
            self.receipt = sync(self.fs.loop, self._commit)
        finally:
            super().close()

    async def _commit(self) -> WriteReceipt:
        try:
            return await self._session.commit()
        except BaseException:
            await self._session.abort()
            raise

    def discard(self) -> None:
        """Give the file up: nothing of it becomes visible."""
        if not self._ended:
            self._ended = True
            sync(self.fs.loop, self._session.abort)
            super().close()

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _dealloc_warn(self, source: object) -> None:  # noqa: ARG002 - Python passes the wrapper
        """Python's own wrappers call this when they are dropped unclosed, and then `close`."""
        self.__del__()

    def __del__(self) -> None:
        if getattr(self, "_ended", True):
            return
        self._ended = True
        if self._process == runtime.process_id():  # else it is the parent's to finish
            give_up(self.path, self.fs.store, self._session, self.fs.loop)


class CompressedWriter(io.BufferedIOBase):
    """A compressor over an `ObjectWriter`; closing it closes both, in order."""

    def __init__(self, writer: ObjectWriter, compression: str) -> None:
        self._writer = writer
        self._compressor = compr[compression](writer, mode="w")

    def writable(self) -> bool:
        """Say yes."""
        return True

    def write(self, data: Any) -> int:
        """Take bytes to compress."""
        return int(self._compressor.write(data))

    def close(self) -> None:
        """Finish the compressed stream and make the object visible."""
        if not self.closed:
            self._compressor.close()
            super().close()
            self._writer.close()

    def discard(self) -> None:
        """Give the file up."""
        if not self.closed:
            with contextlib.suppress(OSError, ValueError):  # the writer may have ended already
                self._compressor.close()
            super().close()
            self._writer.discard()

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def __del__(self) -> None:
        if not self.closed:
            super().close()


class TextWriter(io.TextIOWrapper):
    """Text over a writer, which is discarded where the text's block raises."""

    def __exit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            self._discard()

    def __del__(self) -> None:
        """Do nothing, where Python would close: what is under it is dropped in its turn."""

    def _discard(self) -> None:
        """Discard the writer, which closes this too; text that was not sent yet is dropped."""
        self.buffer.discard()  # type: ignore[attr-defined]


def decompressed(file: ObjectReader, compression: str) -> Any:
    """Read through a codec; the flags of a degraded read stay visible."""
    reader = compr[compression](file, mode="r")
    return _Flagged(reader, file)


def text_reader(file: Any, options: dict[str, str | None]) -> io.TextIOWrapper:
    """Read text; the flags of a degraded read stay visible."""
    return _TextReader(file, **options)


class _Flagged(io.BufferedReader):
    """A decompressing reader with the flags of the file under it."""

    def __init__(self, reader: Any, file: ObjectReader) -> None:
        super().__init__(reader)
        self.original_missing = file.original_missing
        self.reason = file.reason
        self.derivative = file.derivative


class _TextReader(io.TextIOWrapper):
    """Text with the flags of the file under it."""

    def __init__(self, file: Any, **options: Any) -> None:
        super().__init__(file, **options)
        self.original_missing = file.original_missing
        self.reason = file.reason
        self.derivative = file.derivative
