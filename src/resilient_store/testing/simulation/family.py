"""How a simulated disk is asked: every verb takes its time and meets the fault of its moment."""

from __future__ import annotations

import asyncio
import datetime as dt
import errno
import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

import attrs

from resilient_store.backends.contract import (
    ChangedError,
    CorruptBodyError,
    Listed,
    Moves,
    RefusedError,
    RootMissingError,
    Stored,
    Upload,
)
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.testing.simulation.world import (
    CALL,
    CHANGING,
    Fault,
    Request,
    SimulatedDisk,
    StoredObject,
)

T = TypeVar("T")

BYTES_PER_S = 200_000_000


class SimulatedFamily:
    """A disk, asked over a network that takes its time and fails as it is told."""

    def __init__(self, disk: SimulatedDisk) -> None:
        self._disk = disk
        self.traits = disk.traits

    async def request(
        self,
        verb: str,
        key: str,
        work: Callable[[], T],
        *,
        size: int = 0,
        span: tuple[int | None, int | None] = (None, None),
    ) -> T:
        """Send one request: it takes its time, meets its fault, and is written down."""
        loop = asyncio.get_running_loop()
        world = self._disk.world
        number = len(world.requests) + 1
        request = Request(number, self._disk.name, verb, key, CALL.get(), loop.time(), span)
        world.requests.append(request)
        try:
            fault = self._disk.fault_for(request)
            if fault is None:
                result = await self._answer(work, size)
            else:
                request.fault = fault.kind
                world.injected[fault.kind] = world.injected.get(fault.kind, 0) + 1
                result = await self._fail(fault, verb, work, size)
            request.outcome = "ok"
        except asyncio.CancelledError:
            request.outcome = "cancelled"
            raise
        except Exception as error:
            request.outcome = type(error).__name__
            raise
        finally:
            request.ended_s = loop.time()
        return result

    async def _answer(self, work: Callable[[], T], size: int, extra_s: float = 0.0) -> T:
        latency_s = self._disk.world.random.uniform(*self._disk.latency_s) + extra_s
        await asyncio.sleep(latency_s / 2)
        result = work()
        await asyncio.sleep(latency_s / 2 + size / BYTES_PER_S)
        return result

    async def _fail(self, fault: Fault, verb: str, work: Callable[[], T], size: int) -> T:
        kind, changes = fault.kind, verb in CHANGING
        if kind in _ERRORS:
            await asyncio.sleep(self._disk.latency_s[0] / 2)
            error = _ERRORS[kind]()
            raise error
        if kind == "ignores":
            return await self._answer(self.heedless(work), size)
        if kind == "slow":
            return await self._answer(work, size, fault.delay_s)
        if kind == "unknown":
            await self._answer(work, size)
            raise ConnectionResetError(errno.ECONNRESET, "the connection broke")
        if kind in ("cut", "blank"):
            return _spoilt(kind, await self._answer(work, size), self._disk.world.random)
        assert kind in ("hang", "late"), kind
        try:
            return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]
        finally:
            if kind == "late" and changes:
                asyncio.get_running_loop().call_later(fault.delay_s, _land, work)

    def heedless(self, work: Callable[[], T]) -> Callable[[], T]:
        """Return a request's work, for which conditions are nothing."""

        def carried_out() -> T:
            self._disk.heeds = False
            try:
                return work()
            finally:
                self._disk.heeds = True

        return carried_out

    # The verbs

    async def info(self, key: str) -> ObjectInfo:
        """Say what lies at the key."""
        return await self.request("info", key, lambda: self._info(key))

    async def get(
        self, key: str, start: int | None, end: int | None, moves: Moves, *, check: bool = True
    ) -> Body:
        """Read an object, or a slice of it."""

        def work() -> Body:
            found = self._found(key)
            return Body(data=found.data[start:end], size=len(found.data), tag=found.tag)

        return await self.request("get", key, work, span=(start, end))

    async def put(self, key: str, data: bytes, *, exclusive: bool, headers: Headers) -> Stored:
        """Store an object."""

        def work() -> Stored:
            return self.store(key, data, headers, exclusive=exclusive, cause="put")

        return await self.request("put", key, work, size=len(data))

    async def upload(self, key: str, *, exclusive: bool, headers: Headers) -> Upload:
        """Begin an object of unknown length."""

        def work() -> SimulatedUpload:
            self._disk.begun += 1
            upload = SimulatedUpload(self, key, exclusive, headers, self._disk.begun)
            self._disk.uploads[upload.number] = (key, CALL.get())
            return upload

        return await self.request("upload", key, work)

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
        """Bring a staged object to its own key, if nothing but `expected` lies there."""

        def work() -> Stored:
            found = self._found(staged)
            there = self._disk.objects.get(key)
            is_other = (there and there.tag) != expected
            if self._disk.refuses(broken=self._disk.conditions and is_other):
                raise ChangedError
            stored = self.store(key, found.data, found.headers, exclusive=False, cause="publish")
            if not keep:
                self._disk.remove(staged, "published")
            return stored

        return await self.request("publish", key, work)

    async def delete(self, key: str, *, expected: str | None = None, looked: bool = False) -> None:
        """Delete an object; with a tag, only the one that has it."""
        if expected is not None and not self.traits.conditional_delete:
            raise RefusedError("it cannot delete on a condition")

        def work() -> None:
            is_other = expected is not None and self._found(key).tag != expected
            if self._disk.refuses(broken=is_other):
                raise ChangedError
            self._found(key)
            self._disk.remove(key, "undo" if expected else "delete")

        await self.request("delete", key, work)

    async def list(self, key: str, *, recursive: bool, moves: Moves) -> list[ObjectInfo]:
        """List one level, or everything below."""
        return await self.request("list", key, lambda: list(self._listed(key, recursive=recursive)))

    async def page(self, after: str, cursor: Any, limit: int, moves: Moves) -> Listed:
        """List the next objects."""

        def work() -> Listed:
            keys = sorted(key for key in self._disk.objects if key > after)
            more = True if len(keys) > limit else None
            return Listed([self._info(key) for key in keys[:limit]], more)

        return await self.request("list", "", work)

    async def mkdir(self, key: str) -> None:
        """Make a directory, where there are any."""

        def work() -> None:
            for part in (*_above(key), key) if self.traits.directories else ():
                if part in self._disk.objects:
                    raise NotADirectoryError(errno.ENOTDIR, "it is a file")
                self._disk.directories[part] = None

        await self.request("mkdir", key, work)

    async def rmdir(self, key: str) -> None:
        """Remove an empty directory, where there are any."""

        def work() -> None:
            if not self.traits.directories:
                return
            if key in self._disk.objects:
                raise NotADirectoryError(errno.ENOTDIR, "it is a file")
            if _is_prefix(key, (*self._disk.objects, *self._disk.directories)):
                raise OSError(errno.ENOTEMPTY, "it is not empty")
            if key not in self._disk.directories:
                raise FileNotFoundError(errno.ENOENT, "no such directory")
            del self._disk.directories[key]

        await self.request("rmdir", key, work)

    async def sign(self, key: str, expiration: int) -> str:
        """Refuse."""
        raise RefusedError("a simulated disk signs nothing")

    async def abandon_uploads(self, before: dt.datetime, *, dry_run: bool = False) -> Sequence[str]:
        """Do nothing: nobody sweeps a simulated disk."""
        return ()

    async def close(self) -> None:
        """Give back nothing."""

    def drop(self) -> None:
        """Give back nothing."""

    # What the disk does

    def store(
        self, key: str, data: bytes, headers: Headers, *, exclusive: bool, cause: str
    ) -> Stored:
        """Put an object on the disk."""
        objects = self._disk.objects
        is_taken = exclusive and key in objects and self.traits.exclusive_create is not False
        if self._disk.refuses(broken=is_taken):
            raise FileExistsError(errno.EEXIST, "it exists")
        if self.traits.directories:
            if any(above in objects for above in _above(key)):
                raise NotADirectoryError(errno.ENOTDIR, "a file lies above it")
            if key in self._disk.directories or _is_prefix(key, objects):
                raise IsADirectoryError(errno.EISDIR, "it is a directory")
        tag = self._disk.set(key, data, headers, cause)
        known = tag if self.traits.conditional_delete else None
        return Stored(known, headers_kept=self.traits.keeps_headers)

    def _found(self, key: str) -> StoredObject:
        found = self._disk.objects.get(key)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such object")
        return found

    def _info(self, key: str) -> ObjectInfo:
        found = self._disk.objects.get(key)
        if found is not None:
            return ObjectInfo(
                key=key,
                size=len(found.data),
                tag=found.tag,
                modified=found.modified,
                headers=found.headers if self.traits.keeps_headers else None,
            )
        if not key or key in self._disk.directories or _is_prefix(key, self._disk.objects):
            return ObjectInfo(key=key, directory=True)
        raise FileNotFoundError(errno.ENOENT, "no such object")

    def _listed(self, key: str, *, recursive: bool) -> Sequence[ObjectInfo]:
        prefix = f"{key}/" if key else ""
        below = [k for k in (*self._disk.objects, *self._disk.directories) if k.startswith(prefix)]
        if not below and key in self._disk.objects:
            return [self._info(key)]
        if not below and key and key not in self._disk.directories:
            raise FileNotFoundError(errno.ENOENT, "no such directory")
        names: dict[str, None] = {}
        folders: dict[str, None] = {}
        for name in below:
            above = [part for part in _above(name) if part.startswith(prefix)]
            names |= dict.fromkeys([*above, name])
            folders |= dict.fromkeys(above)
        depth = prefix.count("/")
        infos = [
            *(self._info(name) for name in names),
            *(ObjectInfo(key=n, directory=True) for n in folders if n in self._disk.objects),
        ]
        return [info for info in infos if recursive or info.key.count("/") == depth]


@attrs.define
class SimulatedUpload:
    """An object under way, remembered by its disk until it is finished or aborted."""

    _family: SimulatedFamily
    _key: str
    _exclusive: bool
    _headers: Headers
    number: int
    _parts: list[bytes] = attrs.field(factory=list, init=False)

    async def write(self, part: bytes) -> None:
        """Take the next bytes."""
        await self._family.request(
            "write", self._key, lambda: self._parts.append(part), size=len(part)
        )

    async def finish(self) -> Stored:
        """Make the object visible."""

        def work() -> Stored:
            uploads = self._family._disk.uploads
            if self.number not in uploads:
                raise FileNotFoundError(errno.ENOENT, "no such upload")
            stored = self._family.store(
                self._key,
                b"".join(self._parts),
                self._headers,
                exclusive=self._exclusive,
                cause="put",
            )
            del uploads[self.number]
            return stored

        return await self._family.request("finish", self._key, work)

    async def abort(self) -> None:
        """Leave nothing behind."""
        uploads = self._family._disk.uploads
        await self._family.request("abort", self._key, lambda: uploads.pop(self.number, None))


def _above(key: str) -> Iterable[str]:
    parts = key.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _is_prefix(key: str, names: Iterable[str]) -> bool:
    return any(name.startswith(f"{key}/") for name in names)


def _spoilt(kind: str, answer: T, chance: random.Random) -> T:
    """Make a body short, or an object empty."""
    if kind == "cut" and chance.random() < 0.5:
        raise CorruptBodyError
    if isinstance(answer, Body):
        if kind == "cut":
            return attrs.evolve(answer, data=answer.data[: len(answer.data) // 2])
        return attrs.evolve(answer, data=b"", size=0)
    if isinstance(answer, ObjectInfo) and not answer.directory:
        return attrs.evolve(answer, size=0)
    return answer


def _land(work: Callable[[], object]) -> None:
    """Carry out what nobody waits for any more."""
    try:
        work()
    except (OSError, ChangedError):
        return  # refused, and nobody hears of it


_ERRORS: dict[str, Callable[[], Exception]] = {
    "down": lambda: ConnectionRefusedError(errno.ECONNREFUSED, "refused"),
    "throttled": lambda: OSError(errno.EBUSY, "slow down"),
    "denied": lambda: PermissionError(errno.EACCES, "denied"),
    "full": lambda: OSError(errno.ENOSPC, "full"),
    "no-root": RootMissingError,
    "garbled": CorruptBodyError,
}
