"""Any other fsspec filesystem, asynchronous or not, taken at its weakest.

Nothing is assumed but ``info``, ``cat_file``, ``ls``, ``pipe_file``, ``put_file``, ``rm_file``
and a copy. ``exists``, ``isfile``, ``isdir`` and ``find`` are never called: in fsspec they turn
an outage into "no" or into a shorter answer.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from fsspec.implementations.dirfs import DirFileSystem

from resilient_store import runtime
from resilient_store.backends.contract import (
    ChangedError,
    CorruptBodyError,
    Listed,
    Moves,
    RefusedError,
    RootMissingError,
    Stored,
    Traits,
    Upload,
)
from resilient_store.backends.families.calling import ask, works_asynchronously
from resilient_store.backends.families.levels import OrderedLevels
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.model.path import RESERVED, join, parent
from resilient_store.threads import Abandonment, DaemonPool

_SPOOL_BYTES = 8 * 1024 * 1024


class GenericFamily:
    """An fsspec filesystem of which nothing more is known.

    Parameters
    ----------
    filesystem
        Used as it is.
    root
        Where the objects lie in it.
    name, threads
        For the pool that carries a filesystem that is not asynchronous.
    write_options
        Given to every write.
    """

    traits = Traits(
        exclusive_create=None,
        conditional_delete=False,
        directories=True,
        creates_whole=False,
        begins_anywhere=False,
        keeps_headers=False,
    )

    def __init__(
        self,
        filesystem: Any,
        root: str,
        name: str,
        threads: int,
        write_options: Mapping[str, Any] | None = None,
    ) -> None:
        self._fs = filesystem
        self._root = str(filesystem._strip_protocol(root) if root else root)
        self._root = self._root.rstrip("/") or ("/" if root.startswith("/") else "")
        self._pool = DaemonPool(name, threads)
        self._options = dict(write_options or {})
        self._is_async = works_asynchronously(filesystem)

    async def info(self, key: str) -> ObjectInfo:
        """Say what lies at the key."""
        try:
            found = await self._call("info", self._place(key))
        except FileNotFoundError:
            await self._require_root()
            raise
        return self._object_info(key, found)

    async def get(
        self, key: str, start: int | None, end: int | None, moves: Moves, *, check: bool = True
    ) -> Body:
        """Read an object, or a range of it.

        A whole read asks for the size first: without it there is no telling a short body
        from a whole one, nor how long it may take.
        """
        size = None
        is_forward = end is None or end > (start or 0) >= 0
        if (start is None and end is None) or (start or 0) < 0 or not is_forward:
            info = await self.info(key)
            if info.directory:
                raise FileNotFoundError(key)
            size = info.size
        if size is not None:
            first, last, _ = slice(start, end).indices(size)
            start, end = (None, None) if last - first == size else (first, last)
            moves(max(0, last - first))
            if size and first >= last:
                return Body(data=b"", size=size)
        options = {} if start is None and end is None else {"start": start, "end": end}
        try:
            data = bytes(await self._call("cat_file", self._place(key), **options))
        except FileNotFoundError:
            await self._require_root()
            raise
        if not options and size is not None and len(data) > size:
            raise CorruptBodyError
        if end is not None and len(data) > end - (start or 0):
            raise CorruptBodyError  # a server that ignores ranges hands out everything
        if options and size is None and (end is None or len(data) < end - (start or 0)):
            # Short: the object ends there, or the answer does. Only its size can tell.
            size = (await self.info(key)).size
        return Body(data=data, size=size)

    async def put(self, key: str, data: bytes, *, exclusive: bool, headers: Headers) -> Stored:
        """Store an object: exclusively by the filesystem's own word, else by way of staging."""
        if exclusive:
            await self._make_parent(key)
            await self._require_nothing(key)
            await self._call("pipe_file", self._path(key), data, mode="create", **self._options)
            return Stored()
        if key.startswith(f"{RESERVED}/"):
            await self._make_parent(key)
            await self._call("pipe_file", self._path(key), data, **self._options)
            return Stored()
        staged = join(RESERVED, "staging", runtime.new_id())
        await self.put(staged, data, exclusive=False, headers=Headers())
        return await self._rename_or_discard(staged, key)

    async def upload(self, key: str, *, exclusive: bool, headers: Headers) -> Upload:
        """Begin an object of unknown length: gathered on the local disk, then sent."""
        return _SpooledUpload(self, key, exclusive=exclusive)

    async def send_file(self, local: str, key: str, *, exclusive: bool) -> Stored:
        """Send a local file, so that it appears whole where the filesystem can rename."""
        options = {"mode": "create"} if exclusive else {}
        staged = key
        if not exclusive and not key.startswith(f"{RESERVED}/"):
            staged = join(RESERVED, "staging", runtime.new_id())
        await self._make_parent(staged)
        if exclusive:
            await self._require_nothing(key)
        await self._call("put_file", local, self._path(staged), **options, **self._options)
        return Stored() if staged == key else await self._rename_or_discard(staged, key)

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
        """Bring a staged object to its own key; what lies there is looked at first."""
        if keep:
            raise RefusedError("it can only move a staged object")
        try:
            found: str | None = (await self.info(key)).tag
        except FileNotFoundError:
            found = None
        if found != expected:
            raise ChangedError
        return await self._rename(staged, key)

    async def delete(self, key: str, *, expected: str | None = None, looked: bool = False) -> None:
        """Delete an object; never on a condition, which nothing here can keep."""
        if expected is not None:
            raise RefusedError("it cannot delete on a condition")
        try:
            await self._call("rm_file", self._place(key))
        except FileNotFoundError:
            await self._require_root()
            raise

    async def _level(self, key: str, moves: Moves, *, top: str) -> list[ObjectInfo]:
        """List one directory; below the top one it may have been removed meanwhile."""
        try:
            entries = await self._call("ls", self._place(key), detail=True)
        except FileNotFoundError:
            await self._require_root()
            if key == top:
                raise
            return []
        moves(0)
        infos = [self._object_info(self._key(entry["name"]), entry) for entry in entries]
        # A listing may begin with the directory itself.
        return [info for info in infos if not (info.directory and info.key in (key, ""))]

    async def list(self, key: str, *, recursive: bool, moves: Moves) -> list[ObjectInfo]:
        """List level by level, so that nothing is left out silently."""
        found: list[ObjectInfo] = []
        waiting = [key]
        while waiting:
            above = waiting.pop()
            infos = await self._level(above, moves, top=key)
            found += infos
            waiting += [info.key for info in infos if recursive and info.directory]
        return found

    async def page(self, after: str, cursor: Any, limit: int, moves: Moves) -> Listed:
        """List directory after directory, in an order of our own: nothing is known of theirs."""
        walk: OrderedLevels = cursor or OrderedLevels(after)
        infos = await walk.next(limit, lambda key: self._level(key, moves, top=""))
        return Listed(infos, None if walk.ended else walk)

    async def mkdir(self, key: str) -> None:
        """Make a directory and those above it."""
        await self._require_root()
        if not await self._require_no_file(key):
            await self._call("makedirs", self._path(key), exist_ok=True)

    async def rmdir(self, key: str) -> None:
        """Remove an empty directory."""
        await self._call("rmdir", self._path(key))

    async def sign(self, key: str, expiration: int) -> str:
        """Ask the filesystem for a signed URL."""
        return str(await self._call("sign", self._path(key), expiration))

    async def abandon_uploads(self, before: dt.datetime, *, dry_run: bool = False) -> Sequence[str]:
        """Do nothing: an upload lies on the local disk until it is finished."""
        return ()

    async def close(self) -> None:
        """Let the threads end; the filesystem is its owner's to close."""
        self.drop()

    def drop(self) -> None:
        """Let the threads end."""
        self._pool.close()

    async def _rename_or_discard(self, staged: str, key: str) -> Stored:
        try:
            return await self._rename(staged, key)
        except Exception:
            with contextlib.suppress(Exception):  # the first error is the one to hear of
                await self.delete(staged)
            raise

    async def _rename(self, staged: str, key: str) -> Stored:
        await self._make_parent(key)
        await self._require_no_directory(key)
        source, target = self._path(staged), self._path(key)
        if self._is_async:
            await self._call("mv_file", source, target)
        elif _overrides(self._fs, "mv"):
            await self._call("mv", source, target)
        else:
            await self._call("cp_file", source, target)
            await self._call("rm_file", source)
        try:
            return Stored((await self.info(key)).tag)
        except FileNotFoundError:
            raise ChangedError from None

    async def _make_parent(self, key: str) -> None:
        above = parent(key)
        if above and await self._require_no_file(above):
            return
        await self._require_root()
        if above:
            await self._call("makedirs", self._path(above), exist_ok=True)

    async def _require_root(self) -> None:
        """Let "not found" count only where the root is there, and make no root by writing."""
        if not self._root.strip("/") and not isinstance(self._fs, DirFileSystem):
            return
        try:
            await self._call("info", self._root)
        except FileNotFoundError:
            raise RootMissingError from None

    async def _require_nothing(self, key: str) -> None:
        """Look before an exclusive creation: many filesystems ignore ``mode="create"``."""
        if await self._require_no_directory(key):
            raise FileExistsError(errno.EEXIST, "the key is taken")

    async def _require_no_directory(self, key: str) -> bool:
        """Refuse a directory, into which a rename would move; say whether an object is there."""
        found = await self._look(key)
        if found is not None and found.directory:
            raise IsADirectoryError(errno.EISDIR, "a directory has this name")
        return found is not None

    async def _require_no_file(self, key: str) -> bool:
        """Refuse a file where a directory must be; say whether a directory is there."""
        found = await self._look(key)
        if found is not None and not found.directory:
            raise NotADirectoryError(errno.ENOTDIR, "a file has this name")
        return found is not None

    async def _look(self, key: str) -> ObjectInfo | None:
        try:
            return self._object_info(key, await self._call("info", self._path(key)))
        except FileNotFoundError:
            return None

    def _path(self, key: str) -> str:
        path = f"{self._root.rstrip('/')}/{key}" if key and self._root else key or self._root
        if key and not f"/{self._fs._strip_protocol(path)}".endswith(f"/{key}"):
            raise RefusedError("this filesystem reads that name in another way")
        return path

    def _place(self, key: str) -> str:
        """As `_path`; a name that could never be stored is not found."""
        try:
            return self._path(key)
        except RefusedError:
            raise FileNotFoundError(errno.ENOENT, "no such name") from None

    def _key(self, name: str) -> str:
        stripped = str(self._fs._strip_protocol(name)).strip("/")
        return stripped.removeprefix(self._root.strip("/")).strip("/")

    def _object_info(self, key: str, found: Mapping[str, Any]) -> ObjectInfo:
        if found.get("type") == "directory":
            return ObjectInfo(key=key, directory=True)
        modified = _time(found, "LastModified", "last_modified", "modified", "mtime", "updated")
        mark = found.get("ETag") or found.get("etag") or found.get("generation") or modified
        size = found.get("size")
        return ObjectInfo(
            key=key,
            size=size,
            tag=f"{mark}-{size}" if mark else f"-{size}",
            created=_time(found, "created", "timeCreated", "creation_time"),
            modified=modified,
        )

    async def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        return await ask(self._fs, self._pool, method, arguments, options)

    async def run(self, call: Any) -> Any:
        """Run a blocking call in this backend's own threads."""
        return await self._pool.run(call)


class _SpooledUpload:
    """Gathers an object in a temporary file, so that memory stays bounded."""

    def __init__(self, family: GenericFamily, key: str, *, exclusive: bool) -> None:
        self._family = family
        self._key = key
        self._exclusive = exclusive
        self._file = tempfile.NamedTemporaryFile(prefix="resilient-", buffering=_SPOOL_BYTES)

    async def write(self, part: bytes) -> None:
        await self._family.run(lambda _: self._file.write(part))

    async def finish(self) -> Stored:
        def flush(abandonment: Abandonment) -> None:
            self._file.flush()
            abandonment.check()

        await self._family.run(flush)
        try:
            return await self._family.send_file(
                self._file.name, self._key, exclusive=self._exclusive
            )
        finally:
            self._file.close()

    async def abort(self) -> None:
        self._file.close()


def _overrides(filesystem: Any, method: str) -> bool:
    from fsspec.spec import AbstractFileSystem

    return getattr(type(filesystem), method) is not getattr(AbstractFileSystem, method)


def _time(found: Mapping[str, Any], *names: str) -> dt.datetime | None:
    for name in names:
        value = found.get(name)
        if isinstance(value, dt.datetime):
            return value if value.tzinfo else value.replace(tzinfo=dt.UTC)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return dt.datetime.fromtimestamp(value, dt.UTC)
    return None
