"""A directory on a disk: files appear whole, survive a power cut, and never lead out of the root.

A write goes to a temporary file beside its target, is synced, and takes its name in one step:
``os.link`` for an exclusive creation, ``os.replace`` otherwise; then the directory is synced
(fsspec's own local filesystem writes in place and syncs nothing). These are the blocking
calls; `local` runs them in threads.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import errno
import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from typing import Self

import attrs

from resilient_store import runtime
from resilient_store.backends.contract import (
    ChangedError,
    CorruptBodyError,
    Moves,
    RefusedError,
    RootMissingError,
    Stored,
)
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.model.path import PRIVATE, RESERVED, join
from resilient_store.threads import Abandonment

_ATTRIBUTE = "user.resilient.headers"
_ATTEMPTS = 8
_READ_BYTES = 4 * 1024 * 1024


class Disk:
    """The blocking calls of `LocalFamily`. Run in threads only."""

    def __init__(self, root: str) -> None:
        self.root = os.path.abspath(root)

    def place(self, key: str) -> str:
        """Return the file of a key, having made sure that no link leads out of the root.

        Raises
        ------
        RootMissingError
            The root is not there.
        RefusedError
            The key is no path below the root; or a symbolic link leads out of it, or to a
            directory: under a second name everything in it would be deleted with the first.
        """
        root = os.path.realpath(self.root)
        if not os.path.isdir(root):
            raise RootMissingError
        if not key:
            return root
        if any(part in ("", ".", "..") for part in key.split("/")):
            raise RefusedError("a key that is no path below the root")
        full = os.path.join(root, key)
        real = os.path.realpath(full)
        if real == full:
            return full
        if not real.startswith(root.rstrip(os.sep) + os.sep):
            raise RefusedError("a symbolic link leads out of the root")
        above = os.path.dirname(full)
        if os.path.realpath(above) != above or os.path.isdir(real):
            raise RefusedError("a symbolic link to a directory")
        return full

    def existing(self, key: str) -> str:
        """As `place`; what a link leads out of the root to is no object."""
        try:
            return self.place(key)
        except RefusedError:
            raise FileNotFoundError(errno.ENOENT, "a link out of the root") from None

    def info(self, key: str) -> ObjectInfo:
        full = self.existing(key)
        info = _describe(key, os.stat(full))
        return info if info.directory else attrs.evolve(info, headers=_headers(full))

    def read(self, key: str, start: int | None, end: int | None, moves: Moves) -> Body:
        full = self.existing(key)
        with open(full, "rb", buffering=0) as file:
            status = os.fstat(file.fileno())
            first, last, _ = slice(start, end).indices(status.st_size)
            wanted = max(0, last - first)
            if wanted > _READ_BYTES:
                moves(wanted)
            file.seek(first)
            pieces = []
            while wanted and (piece := file.read(min(wanted, _READ_BYTES))):
                pieces.append(piece)
                wanted -= len(piece)
            if wanted:
                raise CorruptBodyError
            headers = _headers(file.fileno())
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return Body(
            data=data, size=status.st_size, tag=_tag(status), content_type=headers.content_type
        )

    def new_file(self, key: str, *, exclusive: bool, headers: Headers) -> NewFile:
        target = self.place(key)
        for attempt in range(_ATTEMPTS):
            try:
                made = self.make_directories(os.path.dirname(target))
                if os.path.isdir(target):
                    raise IsADirectoryError(errno.EISDIR, "a directory has this name")
                return NewFile(target, exclusive=exclusive, headers=headers, made=made)
            except FileNotFoundError:  # the directory was pruned just now
                if attempt == _ATTEMPTS - 1:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def publish(
        self,
        staged: str,
        key: str,
        expected: str | None,
        abandonment: Abandonment,
        *,
        keep: bool = False,
    ) -> Stored:
        source, target = self.place(staged), self.place(key)
        self.make_directories(os.path.dirname(target))
        self._expect(target, expected)
        abandonment.check()
        beside = _beside(target)
        try:
            if keep:  # a second name for the same file, which is then renamed
                os.link(source, beside)
            _take_name(beside if keep else source, target, exclusive=expected is None)
            if keep:  # of two names for one file a rename leaves both, and says nothing
                _discard(beside)
        except OSError as error:
            if error.errno != errno.EXDEV:
                _discard(beside)
                raise
            shutil.copy2(source, beside)
            _sync_file(beside)
            _take_name(beside, target, exclusive=expected is None)
            if not keep:
                os.unlink(source)
        stored = Stored(_tag(os.stat(target)), headers_kept=True)
        sync_directory(os.path.dirname(target))
        self.prune(os.path.dirname(source))
        return stored

    def delete(self, key: str, expected: str | None, abandonment: Abandonment) -> None:
        try:
            full = self.place(key)
        except RefusedError:
            # The link itself may go; what it leads to is none of ours.
            full = os.path.join(self.place(os.path.dirname(key)), os.path.basename(key))
        if expected is not None and os.path.lexists(full):
            self._expect(full, expected)
        if os.path.isdir(full) and not os.path.islink(full):
            raise IsADirectoryError(errno.EISDIR, "a directory has this name")
        abandonment.check()
        os.unlink(full)
        sync_directory(os.path.dirname(full))
        if expected is not None or key.startswith(f"{RESERVED}/"):
            self.prune(os.path.dirname(full))  # what was made for it goes with it

    def walk(self, key: str, *, recursive: bool) -> Iterator[list[ObjectInfo]]:
        """List directory by directory; a link shows only where it leads to a file inside."""
        full = self.existing(key)
        if not os.path.isdir(full):
            yield [_describe(key, os.stat(full))]
            return
        waiting = [(key, full)]
        while waiting:
            above, directory = waiting.pop()
            try:
                with os.scandir(directory) as entries:
                    listed = [(self.listed(join(above, e.name), e.path), e) for e in entries]
            except FileNotFoundError:
                if above == key:
                    raise
                self.place("")  # removed meanwhile, unless everything is gone
                continue
            yield [info for info, _ in listed if info is not None]
            if recursive:
                waiting += [
                    (info.key, entry.path)
                    for info, entry in listed
                    if info is not None and info.directory
                ]

    def listed(self, key: str, path: str) -> ObjectInfo | None:
        """Say what a listing shows of a name; None: no object."""
        try:
            status = os.lstat(path)
            if stat.S_ISLNK(status.st_mode):
                status = os.stat(self.place(key))
            return _describe(key, status)
        except (FileNotFoundError, RefusedError):
            return None  # deleted meanwhile, dangling, or leading elsewhere: no object
        except OSError as error:
            if error.errno == errno.ELOOP:
                return None
            raise

    def remove_directory(self, key: str) -> None:
        full = self.existing(key)
        os.rmdir(full)
        sync_directory(os.path.dirname(full))

    def make_directories(self, directory: str) -> list[str]:
        """Make a directory and those above it, each entry synced; return them, deepest first."""
        missing = []
        while not os.path.isdir(directory):
            missing.append(directory)
            directory = os.path.dirname(directory)
        for path in reversed(missing):
            with contextlib.suppress(FileExistsError):
                os.mkdir(path)
                sync_directory(os.path.dirname(path))
        if missing and not os.path.isdir(missing[0]):
            raise NotADirectoryError(errno.ENOTDIR, "a file has this name")
        return missing

    def _expect(self, target: str, expected: str | None) -> None:
        try:
            found: str | None = _tag(os.lstat(target))
        except FileNotFoundError:
            found = None
        if found != expected:
            raise ChangedError

    def prune(self, directory: str) -> None:
        """Remove the empty directories that a file leaves which is gone again.

        What all writes go through stays, or they would pull it from under each other.
        """
        root = os.path.realpath(self.root)
        shared = os.path.join(root, RESERVED, "staging")
        while directory.startswith(root.rstrip(os.sep) + os.sep) and directory != shared:
            try:
                os.rmdir(directory)
            except OSError:
                return  # not empty, or somebody else was quicker: both are fine
            directory = os.path.dirname(directory)


class NewFile:
    """A file under way beside its target."""

    def __init__(
        self, target: str, *, exclusive: bool, headers: Headers, made: Sequence[str]
    ) -> None:
        self._target = target
        self._made = made
        self._exclusive = exclusive
        self._headers = headers
        self._temporary: str | None = _beside(target)
        self._file = open(self._temporary, "xb", buffering=0)

    def write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]

    def finish(self, abandonment: Abandonment) -> Stored:
        kept = _keep_headers(self._file.fileno(), self._headers)
        os.fsync(self._file.fileno())
        self._file.close()
        abandonment.check()
        temporary = self._temporary
        assert temporary is not None, "finished twice"
        status = os.stat(temporary)
        _take_name(temporary, self._target, exclusive=self._exclusive)
        self._temporary = None
        sync_directory(os.path.dirname(self._target))
        return Stored(_tag(status), kept)

    def abort(self) -> None:
        self._file.close()
        if self._temporary is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._temporary)
            self._temporary = None
            with contextlib.suppress(OSError):  # somebody else may use them by now
                for directory in self._made:
                    os.rmdir(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.abort()


def sync_directory(directory: str) -> None:
    """Make the names in a directory survive a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file(path: str) -> None:
    with open(path, "rb") as file:
        os.fsync(file.fileno())


def _beside(target: str) -> str:
    return os.path.join(os.path.dirname(target), PRIVATE + runtime.new_id())


def _discard(path: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)


def _take_name(source: str, target: str, *, exclusive: bool) -> None:
    if exclusive:
        os.link(source, target)
        os.unlink(source)
    else:
        os.replace(source, target)


def _tag(status: os.stat_result) -> str:
    return f"{status.st_ino:x}-{status.st_size:x}-{status.st_mtime_ns:x}"


def _describe(key: str, status: os.stat_result) -> ObjectInfo:
    modified = dt.datetime.fromtimestamp(status.st_mtime, dt.UTC)
    if stat.S_ISDIR(status.st_mode):
        return ObjectInfo(key=key, directory=True, modified=modified)
    return ObjectInfo(
        key=key,
        size=status.st_size,
        tag=_tag(status),
        created=dt.datetime.fromtimestamp(status.st_ctime, dt.UTC),
        modified=modified,
    )


def _keep_headers(descriptor: int, headers: Headers) -> bool:
    """Keep headers in an extended attribute, which copying tools and backups know."""
    if not hasattr(os, "setxattr"):
        return False
    try:
        os.setxattr(descriptor, _ATTRIBUTE, json.dumps(headers.as_dict()).encode())
    except OSError:
        return False  # a filesystem without attributes: the receipt says so
    return True


def _headers(file: int | str) -> Headers:
    try:
        stored = json.loads(os.getxattr(file, _ATTRIBUTE))
        return Headers(**stored)
    except (OSError, AttributeError, TypeError, ValueError):
        return Headers()  # written by another tool, or a filesystem without attributes
