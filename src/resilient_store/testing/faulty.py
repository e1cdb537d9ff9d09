"""A real fsspec filesystem around any other, whose requests meet faults."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import functools
import itertools
import os
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import attrs
from fsspec.asyn import AsyncFileSystem, sync
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile

from resilient_store.backends.contract import Family, Listed, Moves, Stored, Upload
from resilient_store.backends.families.calling import ask
from resilient_store.backends.families.memory import MemoryFamily
from resilient_store.backends.opening import opener
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.policies import Backend
from resilient_store.testing.faults import Faults, carry_out, flipped
from resilient_store.threads import DaemonPool

T = TypeVar("T")

_numbers = itertools.count(1)


class PrivateMemory(MemoryFileSystem):
    """fsspec's memory filesystem with a dictionary of its own."""

    cachable = False

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.store: dict[str, Any] = {}
        self.pseudo_dirs = [""]

    async def resilient_family(self, root: str) -> Family:
        """Be taken for what it is."""
        return MemoryFamily(self, root)


class FaultyFileSystem(AsyncFileSystem):
    """Any fsspec filesystem, with faults.

    It is a filesystem like every other, for whatever speaks fsspec; as a backend of a store it
    keeps what the wrapped one can do (conditions, exclusive creation).

    Parameters
    ----------
    inner
        The filesystem that holds the objects; None: one in memory, of its own.
    faults
        The switchboard; None: one of its own, `faults`.
    name, domain
        What the switchboard knows it by; the domain is the name where none is given.
    """

    protocol = "faulty"
    cachable = False

    def __init__(
        self,
        inner: Any = None,
        *,
        faults: Faults | None = None,
        name: str | None = None,
        domain: str | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(asynchronous=asynchronous, loop=loop, **options)
        self.inner = PrivateMemory() if inner is None else inner
        self.name = name or f"faulty-{next(_numbers)}"
        self.domain = domain or self.name
        self.faults = Faults() if faults is None else faults
        self._roots: dict[str, None] = {}
        self._pool = DaemonPool(self.name, 4)
        self.faults.register(self)

    # As a backend

    async def resilient_family(self, root: str) -> Family:
        """Be asked as the wrapped filesystem would be, and meet faults."""
        self._roots[root] = None
        return FaultyFamily(self, await opener(Backend(self.inner, root=root), self.name)())

    async def meet(self, verb: str, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work of one request as its fault has it."""
        fault = self.faults.fault_for(self.name, self.domain, verb, key)
        return await carry_out(fault, self.name, verb, work)

    # Acts of the switchboard

    def damage(self, path: str) -> None:
        """Change one bit of a stored object, wherever a store has put it."""
        for place in self._places(path):
            self.inner.pipe_file(place, flipped(self.inner.cat_file(place)))

    def lose(self, path: str) -> None:
        """Lose an object, wherever a store has put it."""
        for place in self._places(path):
            self.inner.rm_file(place)

    def lose_everything(self) -> None:
        """Lose every object."""
        for root in self._roots or {"": None}:
            for place in self.inner.find(root):
                self.inner.rm_file(place)

    def _places(self, path: str) -> list[str]:
        roots = [root.rstrip("/") for root in self._roots] or [""]
        there = [f"{root}/{path.lstrip('/')}" for root in roots]
        return [place for place in there if self.inner.exists(place)]

    # What fsspec asks

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        return path

    async def _call(
        self, verb: str, method: str, path: str, *arguments: Any, **options: Any
    ) -> Any:
        ask = functools.partial(self._inner, method, path, *arguments, **options)
        return await self.meet(verb, path.strip("/"), ask)

    async def _inner(self, method: str, *arguments: Any, **options: Any) -> Any:
        return await ask(self.inner, self._pool, method, arguments, options)

    async def _info(self, path: str, **options: Any) -> dict[str, Any]:
        found: dict[str, Any] = await self._call("info", "info", path, **options)
        return found

    async def _exists(self, path: str, **options: Any) -> bool:
        try:
            await self._info(path, **options)
        except FileNotFoundError:
            return False
        return True

    async def _isfile(self, path: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return bool((await self._info(path))["type"] == "file")
        return False

    async def _isdir(self, path: str) -> bool:
        with contextlib.suppress(FileNotFoundError):
            return bool((await self._info(path))["type"] == "directory")
        return False

    async def _ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        return list(await self._call("list", "ls", path, detail=detail, **options))

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **options: Any
    ) -> bytes:
        return bytes(await self._call("get", "cat_file", path, start=start, end=end, **options))

    async def _pipe_file(
        self, path: str, value: bytes, mode: str = "overwrite", **options: Any
    ) -> None:
        await self._call("put", "pipe_file", path, value, mode=mode, **options)

    async def _put_file(
        self, lpath: str, rpath: str, mode: str = "overwrite", **options: Any
    ) -> None:
        ask = functools.partial(self._inner, "put_file", lpath, rpath, mode=mode, **options)
        await self.meet("put", rpath.strip("/"), ask)

    async def _get_file(self, rpath: str, lpath: str, **options: Any) -> None:
        try:
            data = await self._cat_file(rpath)
        except (FileNotFoundError, IsADirectoryError):
            if not await self._isdir(rpath):
                raise
            await self._pool.run(lambda _: os.makedirs(lpath, exist_ok=True))
            return
        await self._pool.run(lambda _: _write_file(lpath, data))

    async def _rm_file(self, path: str, **options: Any) -> None:
        await self._call("delete", "rm_file", path, **options)

    async def _rm(self, path: Any, recursive: bool = False, **options: Any) -> None:
        for below in reversed(await self._expand_path(path, recursive=recursive)):
            try:
                is_directory = (await self._info(below))["type"] == "directory"
            except FileNotFoundError:
                continue  # a directory that was there by what lay in it
            await (self._rmdir(below) if is_directory else self._rm_file(below))

    async def _cp_file(self, path1: str, path2: str, **options: Any) -> None:
        ask = functools.partial(self._inner, "cp_file", path1, path2, **options)
        await self.meet("put", path2.strip("/"), ask)

    async def _mkdir(self, path: str, create_parents: bool = True, **options: Any) -> None:
        await self._call("mkdir", "mkdir", path, create_parents=create_parents, **options)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        await self._call("mkdir", "makedirs", path, exist_ok=exist_ok)

    async def _rmdir(self, path: str) -> None:
        await self._call("rmdir", "rmdir", path)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        sync(self.loop, self._rmdir, path)

    def created(self, path: str) -> dt.datetime:
        """Return when an object was made, as the wrapped filesystem says."""
        when: dt.datetime = self.inner.created(path)
        return when

    def modified(self, path: str) -> dt.datetime:
        """Return when an object was last changed, as the wrapped filesystem says."""
        when: dt.datetime = self.inner.modified(path)
        return when

    def _open(self, path: str, mode: str = "rb", **options: Any) -> AbstractBufferedFile:
        options = {n: v for n, v in options.items() if n in ("block_size", "cache_options")}
        if mode == "xb" and self.exists(path):
            raise FileExistsError(errno.EEXIST, "it exists", path)
        return _FaultyFile(self, path, mode, cache_type="none", **options)


class _FaultyFile(AbstractBufferedFile):
    """A file whose every read is a request, and whose bytes are stored when it is closed."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        data: bytes = self.fs.cat_file(self.path, start=start, end=end)
        return data

    def _initiate_upload(self) -> None:
        self._parts: list[bytes] = []

    def _upload_chunk(self, final: bool = False) -> bool:
        self._parts.append(self.buffer.getvalue())
        if final:
            how = "create" if self.mode == "xb" else "overwrite"
            self.fs.pipe_file(self.path, b"".join(self._parts), mode=how)
        return True


def _write_file(local: str, data: bytes) -> None:
    with open(local, "wb") as file:
        file.write(data)


class FaultyFamily:
    """The wrapped filesystem's own family, each of whose requests meets faults."""

    def __init__(self, filesystem: FaultyFileSystem, family: Family) -> None:
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
    def __init__(self, filesystem: FaultyFileSystem, key: str, upload: Upload) -> None:
        self._fs = filesystem
        self._key = key
        self._upload = upload

    async def write(self, part: bytes) -> None:
        await self._fs.meet("write", self._key, lambda: self._upload.write(part))

    async def finish(self) -> Stored:
        return await self._fs.meet("finish", self._key, self._upload.finish)

    async def abort(self) -> None:
        await self._fs.meet("abort", self._key, self._upload.abort)
