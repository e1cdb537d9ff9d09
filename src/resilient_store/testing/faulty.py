"""A real fsspec filesystem around any other, whose requests meet faults."""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import functools
import itertools
import os
import posixpath
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn, TypeVar, cast

from fsspec.asyn import AsyncFileSystem, sync
from fsspec.implementations.memory import MemoryFileSystem
from fsspec.spec import AbstractBufferedFile

from resilient_store.backends.contract import Family
from resilient_store.backends.families.calling import ask
from resilient_store.backends.families.memory import MemoryFamily
from resilient_store.backends.opening import opener
from resilient_store.errors import ConfigurationError, UnsupportedOperationError
from resilient_store.policies import Backend
from resilient_store.testing.faults import STAGING, Faults
from resilient_store.testing.faulty_family import FaultyFamily
from resilient_store.testing.faulty_request import carry_out, flipped
from resilient_store.threads import DaemonPool

T = TypeVar("T")

_numbers = itertools.count(1)
_NO_TRANSACTIONS = (
    "transactions: a request meets its fault when it is made, and nothing is held back until "
    "later. Write the object as a whole; it is stored when its file is closed"
)


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
    root
        Where the objects lie that the switchboard may damage and lose. A store that is built over
        it says so by itself, and what lies in a memory of its own is all meant.
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
        root: str | None = None,
        asynchronous: bool = False,
        loop: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(asynchronous=asynchronous, loop=loop, **options)
        self.inner = PrivateMemory() if inner is None else inner
        self._number = next(_numbers)
        self.name = name or f"faulty-{self._number}"
        self.domain = domain or self.name
        self.faults = Faults() if faults is None else faults
        self._roots: dict[str, None] = {}
        if root is not None:
            self.resilient_root(root)
        self._pool = DaemonPool(self.name, 4)
        self.faults.register(self)

    # As a backend

    def resilient_root(self, root: str) -> None:
        """Be told by a store that is built over it where its objects lie."""
        if isinstance(self.inner, PrivateMemory) or _is_all(root):
            self._roots[root.strip("/")] = None
        else:  # now, not when something is lost: the process may stand in another directory by then
            self._roots[self.inner._strip_protocol(root)] = None

    async def resilient_family(self, root: str) -> Family:
        """Be asked as the wrapped filesystem would be, and meet faults."""
        return FaultyFamily(self, await opener(Backend(self.inner, root=root), self.name)())

    async def meet(self, verb: str, key: str, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work of one request as its fault has it."""
        fault = self.faults.fault_for(self.name, self.domain, verb, key)
        return await carry_out(fault, self.name, verb, work)

    # Acts of the switchboard

    def everything(self) -> list[str]:
        """List where objects lie, of those that the switchboard may lose.

        Raises
        ------
        ConfigurationError
            Nobody has said below which root they lie.
        """
        return [place for root in self._known_roots() for place in self.inner.find(root)]

    def places(self, path: str) -> list[str]:
        """List where an object lies, wherever a store has put it.

        Raises
        ------
        ConfigurationError
            Nobody has said below which root it lies.
        """
        self.inner.invalidate_cache()
        own = path.strip("/")
        keys = [
            (root, key) for root in self._known_roots() for key in (own, *self._staged(root, own))
        ]
        there = [f"{root.rstrip('/')}/{key}" for root, key in keys]
        return [place for place in there if self.inner.isfile(place)]

    def _staged(self, root: str, path: str) -> list[str]:
        """List the keys in staging at which an object may lie."""
        folder = f"{root.rstrip('/')}/{STAGING}".rstrip("/")
        if not self.inner.isdir(folder):
            return []
        tokens = (name.rpartition("/")[2] for name in self.inner.ls(folder, detail=False))
        return [f"{STAGING}{token}/{path}" for token in tokens]

    def damage(self, place: str) -> None:
        """Change one bit of what lies there."""
        self.inner.pipe_file(place, flipped(self.inner.cat_file(place)))

    def lose(self, place: str) -> None:
        """Lose what lies there."""
        self.inner.rm_file(place)

    def _known_roots(self) -> list[str]:
        """Return the roots below which all is the stores': elsewhere nothing is ever touched."""
        if isinstance(self.inner, PrivateMemory):
            return list(self._roots) or [""]
        if not self._roots or any(_is_all(root) for root in self._roots):
            raise ConfigurationError(
                f"nothing was touched: {self.name} does not know which part of a "
                f"{type(self.inner).__name__} is the store's, and would take all of it. Build the "
                "store before, with Backend(..., root=...), or give FaultyFileSystem(..., root=...)"
            )
        return list(self._roots)

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

    async def _created(self, path: str) -> dt.datetime:
        when: dt.datetime = await self._call("info", "created", path)
        return when

    async def _modified(self, path: str) -> dt.datetime:
        when: dt.datetime = await self._call("info", "modified", path)
        return when

    def created(self, path: str) -> dt.datetime:
        """Return when an object was made, as the wrapped filesystem says."""
        return cast("dt.datetime", sync(self.loop, self._created, path))

    def modified(self, path: str) -> dt.datetime:
        """Return when an object was last changed, as the wrapped filesystem says."""
        return cast("dt.datetime", sync(self.loop, self._modified, path))

    def _open(self, path: str, mode: str = "rb", **options: Any) -> AbstractBufferedFile:
        options = {n: v for n, v in options.items() if n in ("block_size", "cache_options")}
        if mode == "xb" and self.exists(path):
            raise FileExistsError(errno.EEXIST, "it exists", path)
        return _FaultyFile(self, path, mode, cache_type="none", **options)

    # Itself

    @property
    def _fs_token(self) -> str:
        """What tells it from every other: two share neither their objects nor their faults."""
        return f"{self._number:x}"

    def __reduce__(self) -> NoReturn:
        raise UnsupportedOperationError(
            f"{self.name} is not pickled: its faults are switched in this process, and a copy "
            "would not meet them. Let the other process build a FaultyFileSystem of its own"
        )

    @property
    def transaction(self) -> NoReturn:
        """Is refused: what a transaction of the wrapped filesystem does would meet no faults."""
        raise UnsupportedOperationError(_NO_TRANSACTIONS)

    def start_transaction(self) -> NoReturn:
        """Refuse, as `transaction`."""
        raise UnsupportedOperationError(_NO_TRANSACTIONS)

    def end_transaction(self) -> NoReturn:
        """Refuse, as `transaction`."""
        raise UnsupportedOperationError(_NO_TRANSACTIONS)


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
            self.fs.pipe_file(self.path, self._before() + b"".join(self._parts), mode=how)
        return True

    def _before(self) -> bytes:
        """Return what an object that is appended to holds already."""
        with contextlib.suppress(FileNotFoundError):
            return bytes(self.fs.cat_file(self.path)) if self.mode == "ab" else b""
        return b""


def _is_all(root: str) -> bool:
    """Say whether below a root lies all of a filesystem, or whatever the process stands in."""
    return posixpath.normpath(f"/{root.strip('/')}") == "/"


def _write_file(local: str, data: bytes) -> None:
    with open(local, "wb") as file:
        file.write(data)
