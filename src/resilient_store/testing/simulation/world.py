"""Simulated disks: what lies on them, what was asked of them, and what goes wrong with them."""

from __future__ import annotations

import asyncio
import contextvars
import random
from typing import Any

import attrs
from blake3 import blake3

from resilient_store.backends.contract import Family, Traits
from resilient_store.model.info import Headers
from resilient_store.runtime import wall

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
    "ignores",  # states that it knows conditions, and keeps to none
)
HARMLESS = ("lost", "ignores")  # who is asked answers at once, and truly
STORING = ("put", "upload", "write", "finish", "publish")
CHANGING = (*STORING, "abort", "delete", "mkdir", "rmdir")


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
class StoredObject:
    """An object on a disk, and the call that put it there."""

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
    conditions
        Whether a publish is bound to what was looked at.
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
        conditions: bool = True,
    ) -> None:
        self.world = world
        self.name = name
        self.latency_s = latency_s
        self.conditions = conditions
        self.traits = Traits(
            exclusive_create=exclusive, conditional_delete=unique_tags, directories=not flat
        )
        self.faults: list[Fault] = []
        self.objects: dict[str, StoredObject] = {}
        self.directories: dict[str, None] = {}
        self.uploads: dict[int, tuple[str, str]] = {}
        self.heeds = True  # conditions
        self.begun = 0  # uploads so far: of two at one moment each needs a number of its own
        self.history: dict[str, list[Change]] = {}
        self._tags = 0

    def refuses(self, *, broken: bool) -> bool:
        """Say whether a request is refused whose condition is broken, or not."""
        if broken and not self.heeds:
            self.overruled()
        return broken and self.heeds

    def overruled(self) -> None:
        """Note that a condition was ignored which did not hold."""

    def new_tag(self) -> str:
        """Return a tag that was never used."""
        self._tags += 1
        return f"{self.name}-{self._tags}"

    def set(self, key: str, data: bytes, headers: Headers, cause: str = "given") -> str:
        """Hold these bytes at a key from now on; return their tag."""
        tag = self.new_tag() if self.traits.conditional_delete else f"sum-{hash_of(data)}"
        self.objects[key] = StoredObject(data, tag, headers, wall(), CALL.get())
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
        """Say whether no fault overlaps this time that keeps a disk from answering, and truly."""
        return not any(
            fault.kind not in HARMLESS and fault.start_s <= end_s and start_s < fault.end_s
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

    def family(self) -> Family:
        """Open the disk."""
        from resilient_store.testing.simulation.family import SimulatedFamily

        return SimulatedFamily(self)

    @property
    def filesystem(self) -> SimulatedFileSystem:
        """What a `Backend` takes as its target."""
        return SimulatedFileSystem(self)


def matters(kind: str, verb: str) -> bool:
    """Say whether a fault of this kind changes what this request comes to."""
    if kind == "blank":
        return verb in ("info", "get")
    only = {
        "cut": ("get",),
        "full": STORING,
        "garbled": ("list",),
        "ignores": ("put", "finish", "publish", "delete"),
    }
    return verb in only.get(kind, (verb,))


def hash_of(data: bytes) -> str:
    """Return a short name for bytes, as an ETag is."""
    return str(blake3(data).hexdigest()[:16])


class SimulatedFileSystem:
    """What a `Backend` takes as its target: it brings a family of its own."""

    protocol = "simulated"

    def __init__(self, disk: SimulatedDisk) -> None:
        self.disk = disk
        self._fs_token = disk.name

    async def resilient_family(self, root: str) -> Family:
        """Open the disk; its root is the disk itself."""
        if root:
            raise ValueError("a simulated disk has no root but its own")
        return self.disk.family()
