"""The part of the filesystem that works on one path: reading, writing, looking, directories."""

from __future__ import annotations

import datetime as dt
import hashlib
import os
from collections.abc import Mapping
from typing import Any

from fsspec.asyn import sync, sync_wrapper
from fsspec.callbacks import DEFAULT_CALLBACK
from fsspec.utils import isfilelike, stringify_path

from resilient_store.errors import InvalidPathError, UnsupportedOperationError
from resilient_store.io import copy as copying
from resilient_store.io import verbs
from resilient_store.io.get import get_file
from resilient_store.io.sign import sign
from resilient_store.model import path as paths
from resilient_store.model.info import Headers
from resilient_store.model.result import ReadResult, WriteReceipt
from resilient_store.policies import DegradedRead
from resilient_store.tree import TreeFileSystem


class ObjectFileSystem(TreeFileSystem):
    """Calls about one path. fsspec's names, a few lines each; the work is done in `io`."""

    protocol = paths.PROTOCOL

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return [cls._strip_protocol(one) for one in path]
        text = stringify_path(path)
        if not isinstance(text, str):
            raise InvalidPathError(repr(path), note="a path is text")
        stripped = paths.strip_protocol(text)
        if wrong := paths.problem(stripped):
            raise InvalidPathError(text, note=wrong)
        return stripped

    @classmethod
    def _parent(cls, path: str) -> str:
        return paths.parent(cls._strip_protocol(path))

    def unstrip_protocol(self, name: str) -> str:
        """Return the one spelling of a path with its protocol."""
        return f"{self.protocol}://{self._strip_protocol(name)}"

    def _object_path(self, path: str) -> str:
        key: str = self._strip_protocol(path)
        if not key:
            raise InvalidPathError(str(path), note="it is empty; name an object")
        return key

    # Reading

    async def _read(self, path: str, *, degraded: bool | DegradedRead | None = None) -> ReadResult:
        return await verbs.read(self.store, self._object_path(path), degraded=degraded)

    async def _cat_file(
        self, path: str, start: int | None = None, end: int | None = None, **_: Any
    ) -> bytes:
        return await verbs.read_original(self.store, self._object_path(path), start, end)

    async def _get_file(
        self, rpath: str, lpath: Any, callback: Any = DEFAULT_CALLBACK, **_: Any
    ) -> None:
        key = self._strip_protocol(rpath)
        target = lpath if isfilelike(lpath) else os.fspath(lpath)
        try:
            await get_file(self.store, key, target, callback)
        except IsADirectoryError:
            if target is lpath and not isinstance(lpath, str):
                raise
            await copying.run_local(lambda: os.makedirs(target, exist_ok=True))

    # Writing

    async def _write(
        self,
        path: str,
        data: copying.Source,
        *,
        mode: str = "overwrite",
        derived_from: verbs.Origin | None = None,
        **headers: Any,
    ) -> WriteReceipt:
        return await verbs.write(
            self.store,
            self._object_path(path),
            data,
            Headers.given(headers),
            create=copying.creates(mode),
            derived_from=None if derived_from is None else self._origin(derived_from),
        )

    def _origin(self, given: verbs.Origin) -> verbs.Origin:
        """Return what an object was made from: a path, perhaps with a version."""
        if isinstance(given, str):
            return self._object_path(given)
        path, version = given
        if version is not None and (type(version) is not int or not 0 < version < 1 << 63):
            raise ValueError(f"derived_from={given!r}: a version is a whole number, as info() says")
        return self._object_path(path), version

    async def _pipe_file(
        self, path: str, value: Any, mode: str = "overwrite", **headers: Any
    ) -> WriteReceipt:
        return await self._write(path, value, mode=mode, **headers)

    async def _put_file(
        self,
        lpath: Any,
        rpath: str,
        callback: Any = DEFAULT_CALLBACK,
        mode: str = "overwrite",
        **headers: Any,
    ) -> None:
        if isinstance(lpath, (str, os.PathLike)):
            if await copying.run_local(lambda: os.path.isdir(lpath)):
                await self._makedirs(rpath, exist_ok=True)
                return
            callback.set_size(await copying.run_local(lambda: os.path.getsize(lpath)))
            source = await copying.run_local(
                lambda: open(lpath, "rb"),  # noqa: SIM115
                dispose=lambda file: file.close(),
            )
        else:
            source = lpath
        try:
            await verbs.write(
                self.store,
                self._object_path(rpath),
                source,
                Headers.given(headers),
                create=copying.creates(mode),
                callback=callback,
            )
        finally:
            if source is not lpath:
                source.close()

    async def _cp_file(self, path1: str, path2: str, **_: Any) -> None:
        source = self._strip_protocol(path1)
        try:
            await verbs.copy(self.store, source, self._object_path(path2))
        except IsADirectoryError:
            await self._makedirs(path2, exist_ok=True)

    async def _mv_file(self, path1: str, path2: str) -> None:
        source, target = self._object_path(path1), self._object_path(path2)
        if source != target:
            await verbs.move(self.store, source, target)

    async def _touch(self, path: str, truncate: bool = True, **headers: Any) -> None:
        if not truncate and await self._exists(path):
            raise UnsupportedOperationError(
                "touch(truncate=False) on an object that exists: platforms cannot set times; "
                "write the object again instead"
            )
        await self._write(path, b"", **headers)

    async def _rm_file(self, path: str, **_: Any) -> None:
        await verbs.delete(self.store, self._object_path(path))

    # Directories

    async def _mkdir(self, path: str, create_parents: bool = True, **_: Any) -> None:
        key = self._object_path(path)
        if await self._exists(key):
            raise FileExistsError(17, "the path exists", key)
        above = paths.parent(key)
        if not create_parents and above and not await self._isdir(above):
            raise FileNotFoundError(2, "no such directory", above)
        await verbs.make_directory(self.store, key)

    async def _makedirs(self, path: str, exist_ok: bool = False) -> None:
        key = self._strip_protocol(path)
        kind = await self._type(key) if key else "directory"
        if kind is not None and not (exist_ok and kind == "directory"):
            raise FileExistsError(17, "the path exists", key)
        if kind is None:
            await verbs.make_directory(self.store, key)

    async def _rmdir(self, path: str) -> None:
        key = self._object_path(path)
        if await self._ls(key, detail=False):
            raise OSError(39, "the directory is not empty", key)
        await verbs.remove_directory(self.store, key)

    # Looking

    async def _info(self, path: str, **_: Any) -> dict[str, Any]:
        key = self._strip_protocol(path)
        if not key:
            return {"name": "", "size": 0, "type": "directory", "original_missing": False}
        return await verbs.info(self.store, key)

    async def _exists(self, path: str, **_: Any) -> bool:
        return await self._type(path) is not None

    async def _isfile(self, path: str) -> bool:
        return await self._type(path) == "file"

    async def _isdir(self, path: str) -> bool:
        return await self._type(path) == "directory"

    async def _created(self, path: str) -> dt.datetime:
        return await self._time(path, "created")

    async def _modified(self, path: str) -> dt.datetime:
        return await self._time(path, "modified")

    async def _time(self, path: str, which: str) -> dt.datetime:
        found: dt.datetime | None = (await self._info(path)).get(which)
        if found is None:
            raise UnsupportedOperationError(f"no backend knows when {path!r} was {which}")
        return found

    async def _ukey(self, path: str) -> str:
        found = await self._info(path)
        known = [found.get(name) for name in ("name", "size", "tag", "version", "checksum")]
        return hashlib.sha256(repr(known).encode()).hexdigest()

    async def _checksum(self, path: str) -> int:
        return int(await self._ukey(path), 16)

    async def _sign(self, path: str, expiration: int = 100, **_: Any) -> str:
        return await sign(self.store, self._object_path(path), expiration)

    def read(self, path: str, *, degraded: bool | DegradedRead | None = None) -> ReadResult:
        """Return the original, or a derivative with the flag.

        Parameters
        ----------
        path
            The object.
        degraded
            False: originals only. A policy: instead of the store's.

        Raises
        ------
        FileNotFoundError
            It is certain that there is no such object.
        OriginalMissingError
            The original is lost, and nothing can stand in for it.
        BackendsUnavailableError
            Nothing can be had or known now.

        Notes
        -----
        Promises: P5, P6.
        """
        found: ReadResult = sync(self.loop, self._read, path, degraded=degraded)
        return found

    def write(
        self,
        path: str,
        data: copying.Source,
        *,
        mode: str = "overwrite",
        content_type: str | None = None,
        cache_control: str | None = None,
        content_disposition: str | None = None,
        content_encoding: str | None = None,
        metadata: Mapping[str, str] | None = None,
        derived_from: str | tuple[str, int | None] | None = None,
    ) -> WriteReceipt:
        """Store bytes, a binary file or an iterable of bytes, on as many backends as was asked for.

        Parameters
        ----------
        path
            The object.
        data
            A file is read from where it stands, and left open.
        mode
            ``"create"``: the path must be new.
        content_type, cache_control, content_disposition, content_encoding, metadata
            Travel with the object; what is not given is kept from an earlier version, and the
            content type is guessed from the path's ending.
        derived_from
            Of a preview or thumbnail: the path of its original, or path and version; a degraded
            read then says whether it was made from the current one. Only a catalog keeps it.

        Returns
        -------
        WriteReceipt
            Which backends hold it.

        Raises
        ------
        InsufficientCopiesError
            Too few backends took it; the text says what was left where.
        FileExistsError, ConcurrentWriteError, InvalidPathError, BlankObjectError
            As they say.

        Notes
        -----
        Promises: P1.
        """
        headers = Headers(
            content_type=content_type,
            cache_control=cache_control,
            content_disposition=content_disposition,
            content_encoding=content_encoding,
            metadata=metadata or {},
        ).as_dict()
        receipt: WriteReceipt = sync(
            self.loop, self._write, path, data, mode=mode, derived_from=derived_from, **headers
        )
        return receipt

    mv = sync_wrapper(TreeFileSystem._mv)
    touch = sync_wrapper(_touch)
    rmdir = sync_wrapper(_rmdir)
    created = sync_wrapper(_created)
    modified = sync_wrapper(_modified)
    ukey = sync_wrapper(_ukey)
    checksum = sync_wrapper(_checksum)
    sign = sync_wrapper(_sign)
    url = sync_wrapper(_sign)
