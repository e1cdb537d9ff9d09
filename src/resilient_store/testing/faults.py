"""What goes wrong with which backend, from now on: switched by hand, scripted or drawn."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import TracebackType
from typing import Literal, Protocol, Self, get_args

import attrs

from resilient_store import runtime
from resilient_store.errors import ConfigurationError
from resilient_store.model.domain import within
from resilient_store.model.path import RESERVED
from resilient_store.testing.simulation.world import STORING

STAGING = f"{RESERVED}/staging/"
FaultKind = Literal[
    "down",  # refuses at once
    "hang",  # never answers
    "slow",  # answers `seconds` later
    "throttled",  # asks for less
    "denied",  # says that we may not
    "full",  # takes no bytes
    "unknown",  # does the work, and breaks the connection
    "late",  # never answers, and does the work `seconds` after the caller gave up
    "cut",  # sends half of the bytes
    "flip",  # sends one bit wrong
    "blank",  # says of its objects that they are empty
]
_ONLY: dict[str, tuple[str, ...]] = {
    "full": STORING,
    "cut": ("get",),
    "flip": ("get",),
    "blank": ("get", "info"),
}
# Of several faults that hit one request the strongest counts: what is down is not slow as well.
_STRENGTHS: dict[str, int] = {
    kind: strength
    for strength, kinds in enumerate(
        [
            ("slow",),
            ("cut", "flip", "blank"),
            ("late", "unknown"),
            ("throttled", "full"),
            ("down", "hang", "denied"),
        ]
    )
    for kind in kinds
}


def _stripped(path: str | None) -> str | None:
    return None if path is None else path.strip("/")


@attrs.frozen
class Fault:
    """One thing that is wrong.

    Attributes
    ----------
    kind
        ``down``, ``hang``, ``slow``, ``throttled``, ``denied``, ``full``, ``unknown``,
        ``late``, ``cut``, ``flip`` or ``blank``.
    where
        A backend's name, or a failure domain with everything in it.
    path
        The only object that it hits, wherever a store has put it; None: all of them.
    seconds
        For ``slow`` and ``late``.

    Raises
    ------
    ConfigurationError
        There is no such kind.
    """

    kind: FaultKind
    where: str
    path: str | None = attrs.field(default=None, kw_only=True, converter=_stripped)
    seconds: float = attrs.field(default=3.0, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.kind not in get_args(FaultKind):
            known = ", ".join(get_args(FaultKind))
            raise ConfigurationError(f"Fault: there is no kind {self.kind!r}; there are {known}")

    def hits(self, name: str, domain: str, verb: str, key: str) -> bool:
        """Say whether a request of this backend meets it."""
        if not _lies_in(self.where, name, domain):
            return False
        return self.path in (None, path_at(key)) and verb in _ONLY.get(self.kind, (verb,))


def _lies_in(where: str, name: str, domain: str) -> bool:
    """Say whether a backend is meant by a name or a failure domain."""
    return where == name or within(domain, where)


def path_at(key: str) -> str:
    """Return the path of what lies at a key, its own or one in staging."""
    return key.removeprefix(STAGING).partition("/")[2] if key.startswith(STAGING) else key


@attrs.frozen
class Outage:
    """A fault from one moment to another, in seconds from when it was planned."""

    fault: Fault
    start_s: float
    end_s: float


class Switched:
    """A fault that was switched on; ends with `end`, or with the ``with`` it heads."""

    def __init__(self, faults: Faults, fault: Fault) -> None:
        self._faults = faults
        self.fault = fault

    def end(self) -> None:
        """End this fault."""
        self._faults.end(self.fault)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


class Holder(Protocol):
    """What holds objects and can lose them: a `FaultyFileSystem`."""

    name: str
    domain: str

    def everything(self) -> list[str]:
        """List where objects lie."""

    def places(self, path: str) -> list[str]:
        """List where one object lies."""

    def damage(self, place: str) -> None:
        """Change one bit of what lies there."""

    def lose(self, place: str) -> None:
        """Lose what lies there."""


class Faults:
    """The switchboard: every `FaultyFileSystem` that was given it meets its faults.

    A backend is named by its name, or by a failure domain with all that lies in it. What is
    switched on stays on until `heal`, or until the end of the ``with`` that it heads.

    Examples
    --------
    >>> from fsspec.implementations.memory import MemoryFileSystem
    >>> from resilient_store.testing import Faults, FaultyFileSystem
    >>> faults = Faults()
    >>> aws = FaultyFileSystem(MemoryFileSystem(), faults=faults, name="aws")
    >>> with faults.down("aws"):
    ...     aws.exists("/cat.jpg")
    Traceback (most recent call last):
    ...
    ConnectionRefusedError: [Errno 111] aws is down
    """

    def __init__(self) -> None:
        self.active: list[Fault] = []
        self.met: dict[str, int] = {}
        self._holders: dict[str, Holder] = {}
        self._script: list[tuple[int, Fault]] = []
        self._plan: list[Outage] = []
        self._planned_s: float | None = None
        self._requests = 0

    def register(self, holder: Holder) -> None:
        """Let a filesystem be found by its name and its domain.

        Raises
        ------
        ConfigurationError
            Another one has this name.
        """
        if self._holders.setdefault(holder.name, holder) is not holder:
            raise ConfigurationError(f"two filesystems have the name {holder.name!r}; give name=")

    # Switched by hand

    def begin(self, fault: Fault) -> Switched:
        """Switch a fault on."""
        self._named(fault.where)
        self.active.append(fault)
        return Switched(self, fault)

    def end(self, fault: Fault) -> None:
        """Switch a fault off, if it is on."""
        with contextlib.suppress(ValueError):
            self.active.remove(fault)

    def down(self, where: str) -> Switched:
        """Let a backend, or a whole domain, refuse every connection."""
        return self.begin(Fault("down", where))

    def hang(self, where: str) -> Switched:
        """Let a backend, or a whole domain, never answer."""
        return self.begin(Fault("hang", where))

    def slow(self, where: str, seconds: float = 3.0) -> Switched:
        """Let a backend, or a whole domain, answer so much later."""
        return self.begin(Fault("slow", where, seconds=seconds))

    def domain_lost(self, domain: str) -> Switched:
        """Destroy all that a domain holds, and let it refuse every connection.

        Raises
        ------
        ConfigurationError
            A filesystem of it does not know which of its files are the store's: none is lost.
        """
        held = [(holder, holder.everything()) for holder in self._named(domain)]
        for holder, places in held:
            for place in places:
                holder.lose(place)
        return self.down(domain)

    def heal(self, where: str | None = None) -> None:
        """End every fault, or those of one backend or domain; what was lost stays lost."""
        if where is None:
            for faults in (self.active, self._plan, self._script):
                faults.clear()
            return
        names = {holder.name for holder in self._named(where)}

        def goes_on(fault: Fault) -> bool:
            return any(holder.name not in names for holder in self._named(fault.where))

        self.active[:] = [fault for fault in self.active if goes_on(fault)]
        self._plan[:] = [outage for outage in self._plan if goes_on(outage.fault)]
        self._script[:] = [step for step in self._script if goes_on(step[1])]

    # Acts: they happen once

    def corrupt(self, where: str, path: str) -> None:
        """Change one bit of an object as it lies on a backend, or on each of a domain.

        Raises
        ------
        ConfigurationError
            No such object lies there.
        """
        for holder, place in self._lying(where, path):
            holder.damage(place)

    def lose(self, where: str, path: str) -> None:
        """Lose an object of a backend, or of each of a domain.

        Raises
        ------
        ConfigurationError
            No such object lies there.
        """
        for holder, place in self._lying(where, path):
            holder.lose(place)

    # Scripted

    def plan(self, *outages: Outage) -> None:
        """Let faults come and go by the clock of the loop that asks, from its next request on."""
        for outage in outages:
            self._named(outage.fault.where)
        self._plan = list(outages)
        self._planned_s = None

    def script(self, *steps: tuple[int, Fault]) -> None:
        """Plan faults for single requests, counted over all backends from now on, from 1."""
        for _, fault in steps:
            self._named(fault.where)
        self._script.extend((self._requests + number, fault) for number, fault in steps)

    # What a filesystem asks

    def fault_for(self, name: str, domain: str, verb: str, key: str) -> Fault | None:
        """Return what goes wrong with a request, and count it."""
        self._requests += 1
        scripted = [fault for number, fault in self._script if number == self._requests]
        on = (*scripted, *self._due(), *self.active)
        hitting = [fault for fault in on if fault.hits(name, domain, verb, key)]
        if not hitting:
            return None
        met = max(hitting, key=lambda fault: _STRENGTHS[fault.kind])
        self.met[met.kind] = self.met.get(met.kind, 0) + 1
        return met

    def _due(self) -> Iterator[Fault]:
        if not self._plan:
            return
        if self._planned_s is None:
            self._planned_s = runtime.now_s()
        gone_s = runtime.now_s() - self._planned_s
        yield from (o.fault for o in self._plan if o.start_s <= gone_s < o.end_s)

    def _lying(self, where: str, path: str) -> list[tuple[Holder, str]]:
        found = [(holder, place) for holder in self._named(where) for place in holder.places(path)]
        if not found:
            raise ConfigurationError(f"no object {path!r} lies on {where!r}; was it written there?")
        return found

    def _named(self, where: str) -> list[Holder]:
        found = [h for h in self._holders.values() if _lies_in(where, h.name, h.domain)]
        if not found:
            known = ", ".join(f"{h.name} ({h.domain})" for h in self._holders.values())
            raise ConfigurationError(
                f"no backend and no domain is called {where!r}; there are {known or 'none'}"
            )
        return found
