"""Simulated disks: what lies on them, what was asked of them, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import contextvars
import errno
import random
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import attrs

from resilient_store.backends.contract import (
    ChangedError,
    CorruptBodyError,
    Family,
    Moves,
    RefusedError,
    RootMissingError,
    Stored,
    Traits,
    Upload,
)
from resilient_store.model.info import Body, Headers, ObjectInfo
from resilient_store.runtime import wall

T = TypeVar("T")

# Which of the workload's calls a request belongs to; tasks inherit it.
CALL: contextvars.ContextVar[str] = contextvars.ContextVar("CALL", default="")

KINDS = (
    "down",  # refuses at once
    "hang",  # never answers
    "slow",  # answers seconds later
    "throttled",  # asks for less
    "denied",  # everything, or one key
    "full",  # takes no bytes
    "blank",  # says of its objects that they are empty
    "lost",  # an act: the objects are gone from then on
    "cut",  # bodies end early, and say so or not
    "unknown",  # does the work, then breaks the connection
    "late",  # does the work some seconds after the caller gave up
    "no-root",  # the root is not there
    "garbled",  # listings cannot be read
)
STORING = ("put", "upload", "write", "finish", "publish")
CHANGING = (*STORING, "abort", "delete", "mkdir", "rmdir")
BYTES_PER_S = 200_000_000


@attrs.frozen
class Fault:
    """What is wrong with a disk, from when to when.

    Attributes
    ----------
    start_s, end_s
        On the loop's clock; for ``lost`` only the start counts.
    kind
        One of `KINDS`.
    key
        The only key that it hits; None: all of them.
    delay_s
        For ``slow`` and ``late``.
    """

    start_s: float
    end_s: float
    kind: str
    key: str | None = None
    delay_s: float = 3.0

    def hits(self, key: str, now_s: float) -> bool:
        """Say whether a request for this key meets it now."""
        return self.start_s <= now_s < self.end_s and self.key in (None, key)


@attrs.define
class Request:
    """One request to one disk."""

    number: int
    disk: str
    verb: str
    key: str
    call: str
    started_s: float
    range: tuple[int | None, int | None] = (None, None)
    ended_s: float | None = None
    outcome: str = "under way"
    fault: str = ""


@attrs.frozen
class Change:
    """What a key held from some time on; `cause` says who changed it."""

    at_s: float
    data: bytes | None = attrs.field(repr=lambda data: "-" if data is None else f"{data[:16]!r}")
    cause: str
    call: str


@attrs.frozen
class _Object:
    data: bytes
    tag: str
    headers: Headers
    modified: Any
    call: str


class World:
    """All disks of a run, and one log of all requests."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(f"world {seed}")
        self.disks: dict[str, SimulatedDisk] = {}
        self.requests: list[Request] = []
        self.injected: dict[str, int] = {}
        self.at_request: dict[int, str] = {}

    def disk(self, name: str, **options: Any) -> SimulatedDisk:
        """Add a disk; the options are those of `SimulatedDisk`."""
        disk = self.disks[name] = SimulatedDisk(self, name, **options)
        return disk

    def fail_request(self, number: int, kind: str) -> None:
        """Plan a fault for one request, counted over all disks from 1."""
        self.at_request[number] = kind


class SimulatedDisk:
    """What one backend holds, behind a network of its own.

    Parameters
    ----------
    world, name
        Where it belongs.
    latency_s
        The quickest and the slowest answer; half of it passes before the work is done.
    exclusive
        Whether exclusive creation is kept; None: it is, and nobody says so.
    unique_tags
        Whether tags are unique per write, so that deletions can be bound to them.
    flat
        Whether directories are only prefixes of keys.
    """

    def __init__(
        self,
        world: World,
        name: str,
        *,
        latency_s: tuple[float, float] = (0.01, 0.01),
        exclusive: bool | None = True,
        unique_tags: bool = True,
        flat: bool = True,
    ) -> None:
        self.world = world
        self.name = name
        self.latency_s = latency_s
        self.traits = Traits(
            exclusive_create=exclusive, conditional_delete=unique_tags, directories=not flat
        )
        self.faults: list[Fault] = []
        self.objects: dict[str, _Object] = {}
        self.directories: dict[str, None] = {}
        self.uploads: dict[int, tuple[str, str]] = {}
        self.history: dict[str, list[Change]] = {}
        self._tags = 0

    def new_tag(self) -> str:
        """Return a tag that was never used."""
        self._tags += 1
        return f"{self.name}-{self._tags}"

    def set(self, key: str, data: bytes, headers: Headers, cause: str = "given") -> str:
        """Hold these bytes at a key from now on; return their tag."""
        tag = self.new_tag() if self.traits.conditional_delete else f"sum-{hash_of(data)}"
        self.objects[key] = _Object(data, tag, headers, wall(), CALL.get())
        self._remember(key, data, cause)
        return tag

    def remove(self, key: str, cause: str = "lost") -> None:
        """Hold nothing at a key from now on."""
        if self.objects.pop(key, None) is not None:
            self._remember(key, None, cause)

    def _remember(self, key: str, data: bytes | None, cause: str) -> None:
        now_s = asyncio.get_running_loop().time()
        self.history.setdefault(key, []).append(Change(now_s, data, cause, CALL.get()))

    def held(self, key: str, start_s: float, end_s: float) -> list[bytes | None]:
        """Return everything that a key held at some moment between two times."""
        values: list[bytes | None] = [None]
        for change in self.history.get(key, ()):
            if change.at_s < start_s:
                values = [change.data]
            elif change.at_s <= end_s:
                values.append(change.data)
        return values

    def is_well(self, start_s: float, end_s: float) -> bool:
        """Say whether no fault overlaps this time (a lost object is no fault of the disk)."""
        return not any(
            fault.kind != "lost" and fault.start_s <= end_s and start_s < fault.end_s
            for fault in self.faults
        )

    def fault_for(self, request: Request) -> Fault | None:
        """Return what goes wrong with a request."""
        kind = self.world.at_request.pop(request.number, None)
        if kind is not None:
            return Fault(request.started_s, request.started_s, kind)
        return next(
            (
                fault
                for fault in self.faults
                if fault.kind != "lost" and fault.hits(request.key, request.started_s)
                if matters(fault.kind, request.verb)
            ),
            None,
        )

    @property
    def filesystem(self) -> SimulatedFileSystem:
        """What a `Backend` takes as its target."""
        return SimulatedFileSystem(self)


def matters(kind: str, verb: str) -> bool:
    """Say whether a fault of this kind changes what this request comes to."""
    if kind == "blank":
        return verb in ("info", "get")
    only = {"cut": ("get",), "full": STORING, "garbled": ("list",)}
    return verb in only.get(kind, (verb,))


def hash_of(data: bytes) -> str:
    """Return a short name for bytes, as an ETag is."""
    import hashlib  # noqa: PLC0415 - only disks without unique tags need it

    return hashlib.blake2b(data, digest_size=8).hexdigest()


class SimulatedFileSystem:
    """What a `Backend` takes as its target: it brings a family of its own."""

    protocol = "simulated"

    def __init__(self, disk: SimulatedDisk) -> None:
        self.disk = disk
        self._fs_token = disk.name

    def resilient_family(self, root: str) -> Family:
        """Open the disk; its root is the disk itself."""
        if root:
            raise ValueError("a simulated disk has no root but its own")
        return SimulatedFamily(self.disk)


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
            raise _ERRORS[kind]()
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

    # The verbs

    async def info(self, key: str) -> ObjectInfo:
        """Say what lies at the key."""
        return await self.request("info", key, lambda: self._info(key))

    async def get(self, key: str, start: int | None, end: int | None, moves: Moves) -> Body:
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
            upload = SimulatedUpload(self, key, exclusive, headers, len(self._disk.world.requests))
            self._disk.uploads[upload.number] = (key, CALL.get())
            return upload

        return await self.request("upload", key, work)

    async def publish(self, staged: str, key: str, *, expected: str | None) -> Stored:
        """Bring a staged object to its own key, if nothing but `expected` lies there."""

        def work() -> Stored:
            found = self._found(staged)
            there = self._disk.objects.get(key)
            if (there and there.tag) != expected:
                raise ChangedError
            stored = self.store(key, found.data, found.headers, exclusive=False, cause="publish")
            self._disk.remove(staged, "published")
            return stored

        return await self.request("publish", key, work)

    async def delete(self, key: str, *, expected: str | None = None) -> None:
        """Delete an object; with a tag, only the one that has it."""
        if expected is not None and not self.traits.conditional_delete:
            raise RefusedError("it cannot delete on a condition")

        def work() -> None:
            if expected is not None and self._found(key).tag != expected:
                raise ChangedError
            self._found(key)
            self._disk.remove(key, "undo" if expected else "delete")

        await self.request("delete", key, work)

    async def list(self, key: str, *, recursive: bool, moves: Moves) -> list[ObjectInfo]:
        """List one level, or everything below."""
        return await self.request("list", key, lambda: self._list(key, recursive=recursive))

    async def mkdir(self, key: str) -> None:
        """Make a directory, where there are any."""

        def work() -> None:
            if self.traits.directories:
                self._disk.directories[key] = None

        await self.request("mkdir", key, work)

    async def rmdir(self, key: str) -> None:
        """Remove an empty directory, where there are any."""
        await self.request("rmdir", key, lambda: self._disk.directories.pop(key, None))

    async def sign(self, key: str, expiration: int) -> str:
        """Refuse."""
        raise RefusedError("a simulated disk signs nothing")

    async def close(self) -> None:
        """Give back nothing."""

    # What the disk does

    def store(
        self, key: str, data: bytes, headers: Headers, *, exclusive: bool, cause: str
    ) -> Stored:
        """Put an object on the disk."""
        objects = self._disk.objects
        if exclusive and key in objects and self.traits.exclusive_create is not False:
            raise FileExistsError(errno.EEXIST, "it exists")
        if self.traits.directories:
            if any(above in objects for above in _above(key)):
                raise NotADirectoryError(errno.ENOTDIR, "a file lies above it")
            if key in self._disk.directories or _is_prefix(key, objects):
                raise IsADirectoryError(errno.EISDIR, "it is a directory")
        tag = self._disk.set(key, data, headers, cause)
        return Stored(tag if self.traits.conditional_delete else None, headers_kept=True)

    def _found(self, key: str) -> _Object:
        found = self._disk.objects.get(key)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, "no such object")
        return found

    def _info(self, key: str) -> ObjectInfo:
        found = self._disk.objects.get(key)
        if found is not None:
            size = len(found.data)
            return ObjectInfo(
                key=key, size=size, tag=found.tag, modified=found.modified, headers=found.headers
            )
        if not key or key in self._disk.directories or _is_prefix(key, self._disk.objects):
            return ObjectInfo(key=key, directory=True)
        raise FileNotFoundError(errno.ENOENT, "no such object")

    def _list(self, key: str, *, recursive: bool) -> list[ObjectInfo]:
        prefix = f"{key}/" if key else ""
        below = [k for k in (*self._disk.objects, *self._disk.directories) if k.startswith(prefix)]
        if not below and key and key not in self._disk.directories:
            raise FileNotFoundError(errno.ENOENT, "no such directory")
        names: dict[str, None] = {}
        for name in below:
            above = [part for part in _above(name) if part.startswith(prefix)]
            names |= dict.fromkeys([*above, name])
        depth = prefix.count("/")
        return [self._info(n) for n in names if recursive or n.count("/") == depth]


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
    if kind == "cut" and chance.random() < 0.5:  # noqa: PLR2004 - half of them say so
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
