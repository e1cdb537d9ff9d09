"""fsspec's memory filesystem: the process's own dictionary, for examples and tests."""

from __future__ import annotations

import datetime as dt
import heapq
import os
import threading
from collections.abc import Sequence
from typing import Any

import attrs

from resilient_store.backends.contract import (
    ChangedError,
    Listed,
    Moves,
    RefusedError,
    Stored,
    Traits,
    Upload,
)
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.model.path import parent

_HEADERS = "resilient_headers"
# One lock for all of them: every MemoryFileSystem of a process shares one dictionary.
_lock = threading.RLock()


def _new_lock() -> None:
    global _lock  # noqa: PLW0603 - a lock that another thread held does not survive a fork
    _lock = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_new_lock)


class MemoryFamily:
    """Objects in the dictionary of ``MemoryFileSystem``, below a root; the root is always there."""

    traits = Traits(exclusive_create=True, conditional_delete=True, directories=True)

    def __init__(self, filesystem: Any, root: str) -> None:
        self._fs = filesystem
        self._root = "/" + root.strip("/") if root.strip("/") else ""

    async def info(self, key: str) -> ObjectInfo:
        """Say what lies at the key."""
        with _lock:
            if not key:
                return ObjectInfo(key="", directory=True)
            return self._info(key)

    async def get(
        self, key: str, start: int | None, end: int | None, moves: Moves, *, check: bool = True
    ) -> Body:
        """Read an object, or a slice of it."""
        with _lock:
            file = self._file(key)
            view = file.getbuffer()
            data = bytes(view[start:end])
            size = len(view)
            view.release()
            return Body(
                data=data, size=size, tag=_tag(file), content_type=_headers(file).content_type
            )

    async def put(self, key: str, data: bytes, *, exclusive: bool, headers: Headers) -> Stored:
        """Store an object."""
        with _lock:
            path = self._path(key)
            if exclusive and path in self._fs.store:
                raise FileExistsError(path)
            self._require_place(key)
            self._fs.pipe_file(path, data)
            file = self._fs.store[path]
            setattr(file, _HEADERS, headers)
            return Stored(_tag(file), headers_kept=True)

    async def upload(self, key: str, *, exclusive: bool, headers: Headers) -> Upload:
        """Begin an object of unknown length; it lies in memory either way."""
        return _MemoryUpload(self, key, exclusive=exclusive, headers=headers)

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
        """Give staged bytes their own key, if nothing but `expected` lies there."""
        with _lock:
            file = self._file(staged)
            found = self._fs.store.get(self._path(key))
            if (None if found is None else _tag(found)) != expected:
                raise ChangedError
            stored = await self.put(key, file.getvalue(), exclusive=False, headers=_headers(file))
            if not keep:
                await self.delete(staged)
            return stored

    async def delete(self, key: str, *, expected: str | None = None, looked: bool = False) -> None:
        """Delete an object; with a tag, only if it is still the one that was written."""
        with _lock:
            if expected is not None and _tag(self._file(key)) != expected:
                raise ChangedError
            self._file(key)
            del self._fs.store[self._path(key)]

    async def list(self, key: str, *, recursive: bool, moves: Moves) -> list[ObjectInfo]:
        """List one level, or everything below."""
        with _lock:
            found: list[ObjectInfo] = []
            waiting = [key]
            while waiting:
                above = waiting.pop()
                try:
                    entries = self._fs.ls(self._path(above), detail=True)
                except FileNotFoundError:
                    if above:
                        raise
                    continue  # an empty root
                for entry in entries:
                    below = entry["name"].removeprefix(self._root).strip("/")
                    info = self._info(below)
                    found.append(info)
                    if recursive and info.directory:
                        waiting.append(below)
            return found

    async def page(self, after: str, cursor: Any, limit: int, moves: Moves) -> Listed:
        """List the next objects of the dictionary."""
        with _lock:
            below = f"{self._root}/"
            names = (name.removeprefix(below) for name in self._fs.store if name.startswith(below))
            keys = heapq.nsmallest(limit, (key for key in names if key > after))
            infos = [self._info(key) for key in keys]
            return Listed(infos, True if len(infos) == limit else None)

    async def mkdir(self, key: str) -> None:
        """Make a directory."""
        with _lock:
            self._require_no_file(key)
            self._fs.makedirs(self._path(key), exist_ok=True)

    async def rmdir(self, key: str) -> None:
        """Remove an empty directory."""
        with _lock:
            self._fs.rmdir(self._path(key))

    async def sign(self, key: str, expiration: int) -> str:
        """Refuse: nobody else can see this process's memory."""
        raise RefusedError("memory cannot sign URLs")

    async def abandon_uploads(self, before: dt.datetime, *, dry_run: bool = False) -> Sequence[str]:
        """Do nothing: an upload lies in memory until it is finished."""
        return ()

    async def close(self) -> None:
        """Do nothing: there is nothing to give back."""

    def drop(self) -> None:
        """Do nothing: there is nothing to give back."""

    def _path(self, key: str) -> str:
        return f"{self._root}/{key}" if key else self._root

    def _require_place(self, key: str) -> None:
        """Refuse a key that is a directory, or lies below a file."""
        self._require_no_file(parent(key))
        if self._fs.isdir(self._path(key)):
            raise IsADirectoryError(key)

    def _require_no_file(self, key: str) -> None:
        """Refuse to have something below a file."""
        while key:
            if self._path(key) in self._fs.store:
                raise NotADirectoryError(key)
            key = parent(key)

    def _file(self, key: str) -> Any:
        file = self._fs.store.get(self._path(key))
        if file is None:
            raise FileNotFoundError(key)
        return file

    def _info(self, key: str) -> ObjectInfo:
        path = self._path(key)
        file = self._fs.store.get(path)
        if file is None:
            self._fs.info(path)  # raises where there is no such directory
            return ObjectInfo(key=key, directory=True)
        return ObjectInfo(
            key=key,
            size=len(file.getbuffer()),
            tag=_tag(file),
            created=file.created,
            modified=file.modified,
            headers=_headers(file),
        )


@attrs.define
class _MemoryUpload:
    _family: MemoryFamily
    _key: str
    exclusive: bool = attrs.field(kw_only=True)
    headers: Headers = attrs.field(kw_only=True)
    _parts: list[bytes] = attrs.field(factory=list, init=False)

    async def write(self, part: bytes) -> None:
        self._parts.append(part)

    async def finish(self) -> Stored:
        data = b"".join(self._parts)
        return await self._family.put(
            self._key, data, exclusive=self.exclusive, headers=self.headers
        )

    async def abort(self) -> None:
        self._parts.clear()


def _tag(file: Any) -> str:
    return f"{id(file):x}-{file.modified.timestamp()}"


def _headers(file: Any) -> Headers:
    headers = getattr(file, _HEADERS, None)
    return headers if isinstance(headers, Headers) else Headers()
