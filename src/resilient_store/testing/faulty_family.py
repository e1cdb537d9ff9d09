"""The family of a faulty filesystem: the wrapped one's own, each of whose requests meets faults."""

from __future__ import annotations

import datetime as dt
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol, TypeVar

import attrs

from resilient_store.backends.contract import Family, Listed, Moves, Stored, Upload
from resilient_store.model.info import Body, Headers, ObjectInfo

T = TypeVar("T")


class Meeting(Protocol):
    """What a request meets its fault at: a `FaultyFileSystem`."""

    async def meet(self, verb: str, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work of one request as its fault has it."""


class FaultyFamily:
    """The wrapped filesystem's own family, each of whose requests meets faults."""

    def __init__(self, filesystem: Meeting, family: Family) -> None:
        self._fs = filesystem
        self._family = family
        self.traits = attrs.evolve(family.traits, realm="")  # so that copies meet faults, too

    async def _meet(self, verb: str, key: str, work: Callable[[Family], Awaitable[T]]) -> T:
        return await self._fs.meet(verb, key, lambda: work(self._family))

    async def info(self, key: str) -> ObjectInfo:
        """Say what lies at the key."""
        return await self._meet("info", key, lambda family: family.info(key))

    async def get(
        self, key: str, start: int | None, end: int | None, moves: Moves, *, check: bool = True
    ) -> Body:
        """Read an object, or a slice of it."""
        return await self._meet(
            "get", key, lambda family: family.get(key, start, end, moves, check=check)
        )

    async def put(self, key: str, data: bytes, *, exclusive: bool, headers: Headers) -> Stored:
        """Store an object."""
        return await self._meet(
            "put", key, lambda family: family.put(key, data, exclusive=exclusive, headers=headers)
        )

    async def upload(self, key: str, *, exclusive: bool, headers: Headers) -> Upload:
        """Begin an object of unknown length."""
        upload = await self._meet(
            "upload", key, lambda family: family.upload(key, exclusive=exclusive, headers=headers)
        )
        return _FaultyUpload(self._fs, key, upload)

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
        """Bring a staged object to its own key."""
        return await self._meet(
            "publish",
            key,
            lambda family: family.publish(
                staged, key, expected=expected, size=size, looked=looked, keep=keep
            ),
        )

    async def delete(self, key: str, *, expected: str | None = None, looked: bool = False) -> None:
        """Delete an object."""
        await self._meet(
            "delete", key, lambda family: family.delete(key, expected=expected, looked=looked)
        )

    async def list(self, key: str, *, recursive: bool, moves: Moves) -> list[ObjectInfo]:
        """List one level, or everything below."""
        return await self._meet(
            "list", key, lambda family: family.list(key, recursive=recursive, moves=moves)
        )

    async def page(self, after: str, cursor: Any, limit: int, moves: Moves) -> Listed:
        """List the next objects after a key."""
        return await self._meet("list", "", lambda family: family.page(after, cursor, limit, moves))

    async def mkdir(self, key: str) -> None:
        """Make a directory."""
        await self._meet("mkdir", key, lambda family: family.mkdir(key))

    async def rmdir(self, key: str) -> None:
        """Remove an empty directory."""
        await self._meet("rmdir", key, lambda family: family.rmdir(key))

    async def sign(self, key: str, expiration: int) -> str:
        """Sign a URL."""
        return await self._meet("sign", key, lambda family: family.sign(key, expiration))

    async def abandon_uploads(self, before: dt.datetime, *, dry_run: bool = False) -> Sequence[str]:
        """Abort uploads that were never finished."""
        return await self._meet(
            "abort", "", lambda family: family.abandon_uploads(before, dry_run=dry_run)
        )

    async def close(self) -> None:
        """Close what is wrapped."""
        await self._family.close()

    def drop(self) -> None:
        """Drop what is wrapped."""
        self._family.drop()


class _FaultyUpload:
    def __init__(self, filesystem: Meeting, key: str, upload: Upload) -> None:
        self._fs = filesystem
        self._key = key
        self._upload = upload

    async def write(self, part: bytes) -> None:
        await self._fs.meet("write", self._key, lambda: self._upload.write(part))

    async def finish(self) -> Stored:
        return await self._fs.meet("finish", self._key, self._upload.finish)

    async def abort(self) -> None:
        await self._fs.meet("abort", self._key, self._upload.abort)
