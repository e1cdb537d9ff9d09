"""A directory as a backend: the calls of `disk`, in threads of its own."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from resilient_store.backends.contract import (
    Listed,
    Moves,
    RefusedError,
    Stored,
    Traits,
    Upload,
)
from resilient_store.backends.families.disk import Disk, NewFile
from resilient_store.backends.families.walk import OrderedWalk
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.threads import Abandonment, DaemonPool

T = TypeVar("T")


class LocalFamily:
    """Objects as plain files below a root directory."""

    traits = Traits(
        exclusive_create=True,
        conditional_delete=True,
        directories=True,
        keeps_headers=hasattr(os, "setxattr"),  # not every filesystem has them; a write shows it
    )

    def __init__(self, root: str, name: str, threads: int) -> None:
        self._disk = Disk(root)
        self._pool = DaemonPool(name, threads)

    async def info(self, key: str) -> ObjectInfo:
        """Say what lies at the key."""
        return await self._run(lambda _: self._disk.info(key))

    async def get(
        self, key: str, start: int | None, end: int | None, moves: Moves, *, check: bool = True
    ) -> Body:
        """Read a file, or a slice of it, through one descriptor."""
        return await self._run(lambda _: self._disk.read(key, start, end, moves))

    async def put(self, key: str, data: bytes, *, exclusive: bool, headers: Headers) -> Stored:
        """Store a file so that it appears whole."""

        def write(abandonment: Abandonment) -> Stored:
            with self._disk.new_file(key, exclusive=exclusive, headers=headers) as file:
                file.write(data)
                return file.finish(abandonment)

        return await self._run(write)

    async def upload(self, key: str, *, exclusive: bool, headers: Headers) -> Upload:
        """Begin a file of unknown length."""
        file = await self._pool.run(
            lambda _: self._disk.new_file(key, exclusive=exclusive, headers=headers),
            dispose=NewFile.abort,
        )
        return _LocalUpload(file, self._run)

    async def publish(
        self,
        staged: str,
        key: str,
        *,
        expected: str | None,
        size: int | None = None,
        looked: bool = False,
        keep: bool = False,
    ) -> Stored:
        """Give a staged file its own name, if nothing but `expected` lies there."""
        return await self._run(
            lambda abandonment: self._disk.publish(staged, key, expected, abandonment, keep=keep)
        )

    async def delete(self, key: str, *, expected: str | None = None, looked: bool = False) -> None:
        """Delete a file; with a tag, only if it is still the file that was written."""
        await self._run(lambda abandonment: self._disk.delete(key, expected, abandonment))

    async def list(self, key: str, *, recursive: bool, moves: Moves) -> list[ObjectInfo]:
        """List a directory, or the whole tree below it."""

        def walk(abandonment: Abandonment) -> list[ObjectInfo]:
            found = []
            for level in self._disk.walk(key, recursive=recursive):
                abandonment.check()
                moves(0)
                found += level
            return found

        return await self._run(walk)

    async def page(self, after: str, cursor: Any, limit: int, moves: Moves) -> Listed:
        """List the next files of a walk that goes on where the last page ended."""

        def walk(abandonment: Abandonment) -> Listed:
            going = cursor or OrderedWalk(self._disk, after)

            def goes_on() -> None:
                abandonment.check()
                moves(0)

            infos = going.next(limit, goes_on)
            return Listed(infos, going if len(infos) == limit else None)

        return await self._run(walk)

    async def mkdir(self, key: str) -> None:
        """Make a directory and those above it."""
        await self._run(lambda _: self._disk.make_directories(self._disk.place(key)))

    async def rmdir(self, key: str) -> None:
        """Remove an empty directory."""
        await self._run(lambda _: self._disk.remove_directory(key))

    async def sign(self, key: str, expiration: int) -> str:
        """Refuse: a file has no URL that a stranger could use."""
        raise RefusedError("a disk cannot sign URLs")

    async def abandon_uploads(self, before: dt.datetime, *, dry_run: bool = False) -> Sequence[str]:
        """Do nothing: a listing shows what uploads left."""
        return ()

    async def close(self) -> None:
        """Let the threads end."""
        self._pool.close()

    def drop(self) -> None:
        """Let the threads end."""
        self._pool.close()

    async def _run(self, call: Callable[[Abandonment], T]) -> T:
        return await self._pool.run(call)


class _LocalUpload:
    """A `NewFile` behind the pool."""

    def __init__(self, file: NewFile, run: Callable[..., object]) -> None:
        self._file = file
        self._run = run

    async def write(self, part: bytes) -> None:
        await self._run(lambda _: self._file.write(part))  # type: ignore[misc]

    async def finish(self) -> Stored:
        return await self._run(self._file.finish)  # type: ignore[misc, no-any-return]

    async def abort(self) -> None:
        await self._run(lambda _: self._file.abort())  # type: ignore[misc]
