"""What ``open_async`` returns: files whose ``read``, ``write`` and ``close`` are coroutines."""

from __future__ import annotations

import asyncio
import io
from typing import Self

from fsspec.asyn import AbstractAsyncStreamedFile

from resilient_store.files import give_up
from resilient_store.io.verbs import Reader, Session
from resilient_store.model.result import WriteReceipt
from resilient_store.store import Store


class AsyncObjectReader(AbstractAsyncStreamedFile):
    """What ``open_async(path, "rb")`` returns."""

    def __init__(self, path: str, reader: Reader) -> None:
        self.path = path
        self.mode = "rb"
        self.size = reader.size
        self._reader = reader
        self.loc = 0
        self.closed = False

    async def read(self, length: int = -1) -> bytes:
        """Read so many bytes, or the rest."""
        if self.closed:
            raise ValueError("the file is closed")
        end = self.size if length < 0 else self.loc + length
        data = await self._reader.read(self.loc, end)
        self.loc += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.loc, io.SEEK_END: self.size}[whence]
        if base + offset < 0:
            raise ValueError("seek before the beginning of the file")
        self.loc = base + offset
        return self.loc

    async def close(self) -> None:
        """End; nothing is held."""
        self.closed = True

    def __del__(self) -> None:
        """Do nothing: nothing is held."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()


class AsyncObjectWriter(AbstractAsyncStreamedFile):
    """What ``open_async(path, "wb")`` returns."""

    def __init__(self, store: Store, path: str, session: Session, mode: str) -> None:
        self.path = path
        self.mode = mode
        self.loc = 0
        self.closed = False
        self.receipt: WriteReceipt | None = None
        self._session = session
        self._store = store
        self._loop = asyncio.get_running_loop()

    async def write(self, data: bytes) -> int:
        """Take bytes."""
        if self.closed:
            raise ValueError("the file is closed")
        try:
            await self._session.send(data)
        except BaseException:
            await self.discard()
            raise
        self.loc += len(data)
        return len(data)

    async def flush(self, force: bool = False) -> None:
        """Do nothing: nothing is visible before the file is closed."""

    async def close(self) -> None:
        """Make the object visible."""
        if not self.closed:
            self.closed = True
            try:
                self.receipt = await self._session.commit()
            except BaseException:
                await self._session.abort()
                raise

    async def discard(self) -> None:
        """Give the file up."""
        if not self.closed:
            self.closed = True
            await self._session.abort()

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            give_up(self.path, self._store, self._session, self._loop)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: object, *rest: object) -> None:
        if kind is None:
            await self.close()
        else:
            await self.discard()
