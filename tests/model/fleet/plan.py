"""What a fleet of processes does in one run, and what goes wrong.

A plan is data, so that a run that breaks a promise can be made smaller: a step, a trouble or a
whole process is left out, and the run is played again.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import TypeVar

import attrs

from resilient_store.model.checksum import CHUNK_BYTES
from tests.model.world import PLACES

T = TypeVar("T")

CHANGES = ("write", "stream", "delete", "move", "derive")
# How often each is called.
OPERATOR = {
    "repair": 5,
    "sweep": 2,
    "adopt": 1,
    "freeze": 1,
    "thaw": 1,
    "rejoin": 2,
    "scrub": 2,
    "evacuate": 1,
    "drain": 1,
    "snapshot": 1,
}

# Objects of two chunks: each is verified by itself.
LARGE, LARGE_BYTES = "large objects", CHUNK_BYTES + 7
# Originals p0 and so on, and of each a derivative d0 and so on: half of what is away is originals.
DERIVED = "derivatives"
# Which bytes a range asks for; of a large object also those on both sides of the border.
SPAN = (1, 3)
ACROSS = (CHUNK_BYTES - 2, CHUNK_BYTES + 3)
SPANS = (SPAN, ACROSS, ACROSS, (CHUNK_BYTES + 1, CHUNK_BYTES + 4))
# How many paths there are, and how often each call is made.
WORKLOADS: dict[str, tuple[int, dict[str, int]]] = {
    "many small": (10, {"write": 5, "read": 5, "delete": 1, "info": 1, "find": 1, "ls": 1}),
    "one hot path": (1, {"write": 4, "stream": 1, "read": 4, "range": 2, "open": 1, "delete": 1}),
    "overwrites": (2, {"write": 7, "stream": 3, "read": 3, "cat": 1, "exists": 1}),
    "delete and create": (3, {"write": 4, "delete": 4, "read": 3, "exists": 1, "find": 1}),
    "move chains": (4, {"write": 2, "move": 5, "read": 3, "delete": 1, "ls": 1}),
    "ranged readers": (3, {"range": 6, "read": 1, "open": 2, "write": 3}),
    "streams": (3, {"stream": 4, "open": 5, "cat": 1, "delete": 1}),
    DERIVED: (4, {"write": 3, "derive": 5, "view": 6, "delete": 1}),
    LARGE: (2, {"write": 3, "stream": 2, "range": 6, "open": 3, "read": 1, "move": 1}),
}
BUSY_S = 400.0

# What is wrong with a backend for a while.
AWAY = ("down", "hang", "slow", "throttled", "denied", "full")
SLY = ("unknown", "late", "twice", "cut", "flip", "stale")
IGNORES = "ignores"  # it states that it knows conditions, and keeps to none
# What is done to what it holds, once.
ACTS = ("rot", "lose", "wipe", "back", "foreign")
CATALOG = ("catalog away", "catalog slow", "catalog unknown")


@functools.lru_cache(maxsize=8)
def _repeated(text: str, size: int) -> bytes:
    return (text.encode() * (size // len(text) + 1))[:size]


@attrs.frozen
class Step:
    """One call of one process, some time after the one before, and perhaps cancelled."""

    verb: str
    path: str = ""
    other: str = ""
    text: str = ""
    wait_s: float = 0.0
    cancel_s: float | None = None
    span: tuple[int, int] = SPAN
    size: int | None = None

    @property
    def data(self) -> bytes:
        """What is written: the text, over and over where a size is given."""
        return self.text.encode() if self.size is None else _repeated(self.text, self.size)

    def __str__(self) -> str:
        cancel = "" if self.cancel_s is None else f"(cancelled after {self.cancel_s:g} s)"
        size = f"x {self.size}" if self.text and self.size else ""
        span = f"{self.span}" if self.verb == "range" else ""
        words = (self.verb, self.path, self.other, self.text, size, span, cancel)
        return " ".join(word for word in words if word)


@attrs.frozen
class Worker:
    """A process, and its successors where it dies: each carries on with the next step.

    Attributes
    ----------
    crashes_at, pauses_at
        For the process and each successor, after how many of its awaits; 0 is never.
    skew_s
        What its machine's clock is wrong by.
    """

    name: str
    steps: tuple[Step, ...]
    crashes_at: tuple[int, ...] = ()
    pauses_at: tuple[int, ...] = ()
    skew_s: float = 0.0


@attrs.frozen
class Trouble:
    """What goes wrong, where, and from when to when; `key` and `verbs` say that it is gray."""

    kind: str
    start_s: float
    end_s: float
    backends: tuple[str, ...]
    key: str | None = None
    verbs: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = ", ".join(self.backends)
        what = " ".join((*self.verbs, self.key or "")).strip()
        return f"{self.start_s:.1f} to {self.end_s:.1f} s: {self.kind} {where} {what}".strip()


@attrs.frozen
class Lying:
    """What an application had stored before it had a catalog."""

    path: str
    data: bytes
    backends: tuple[str, ...]


@attrs.frozen(kw_only=True)
class Plan:
    """One run.

    Attributes
    ----------
    added
        A backend that the store gets when half of all is done.
    restored
        Whether the catalog is lost when half of all is done, and restored.
    away
        A backend that does not answer while the catalog is restored.
    plain
        A backend that keeps no metadata.
    domains
        Where each backend lies; empty: each is a platform of its own.
    min_domains
        On how many platforms a write must be.
    places, at_once
        How many requests a backend takes at once, and how many objects an operation works on.
    """

    seed: int
    workload: str
    paths: tuple[str, ...]
    backends: tuple[str, ...]
    min_copies: int
    conditions: bool
    workers: tuple[Worker, ...]
    troubles: tuple[Trouble, ...]
    lying: tuple[Lying, ...] = ()
    added: str = ""
    restored: bool = False
    away: str = ""
    plain: str = ""
    domains: tuple[str, ...] = ()
    min_domains: int = 1
    places: int = PLACES
    at_once: int = 8

    @property
    def calls(self) -> int:
        """How many calls are made."""
        return sum(len(worker.steps) for worker in self.workers)

    def smaller(self) -> Iterator[Plan]:
        """Return plans that lack something of this one, the largest omissions first."""
        for left in _without_one(self.workers):
            if left:
                yield attrs.evolve(self, workers=left)
        for fewer in _without_one(self.troubles):
            yield attrs.evolve(self, troubles=fewer)
        yield from self._simpler()
        for less in _without_one(self.lying):
            yield attrs.evolve(self, lying=less)
        for at, worker in enumerate(self.workers):
            for one in _smaller_worker(worker):
                rest = (*self.workers[:at], one, *self.workers[at + 1 :])
                yield attrs.evolve(self, workers=rest)

    def _simpler(self) -> Iterator[Plan]:
        if self.added or self.restored:
            yield attrs.evolve(self, added="", restored=False, away="")
        if self.away:
            yield attrs.evolve(self, away="")
        if self.plain:
            yield attrs.evolve(self, plain="")
        if self.min_domains > 1:
            yield attrs.evolve(self, min_domains=1)
        elif self.domains:
            yield attrs.evolve(self, domains=())

    def lines(self) -> Iterator[str]:
        """Say what is done, for people."""
        yield (
            f"{self.workload}: {len(self.backends)} backends, min_copies={self.min_copies}, "
            f"conditions={self.conditions}, {self.places} places, {self.at_once} objects at once"
        )
        for one in self.lying:
            yield f"{one.path} is {one.data.decode()} on {', '.join(one.backends)}, unknown"
        if self.domains:
            where = (
                f"{name} in {lies}" for name, lies in zip(self.backends, self.domains, strict=True)
            )
            yield f"{', '.join(where)}: min_domains={self.min_domains}"
        if self.plain:
            yield f"{self.plain} keeps no metadata"
        if self.added:
            yield f"{self.added} is added when half of all is done"
        if self.restored:
            without = f", without {self.away}" if self.away else ""
            yield f"the catalog is lost when half of all is done, and restored{without}"
        for worker in self.workers:
            unsteady = f" dies at {worker.crashes_at}" if worker.crashes_at else ""
            unsteady += f" stops at {worker.pauses_at}" if worker.pauses_at else ""
            yield f"{worker.name} (clock {worker.skew_s:+g} s){unsteady}"
            for step in worker.steps:
                yield f"    after {step.wait_s:g} s: {step}"
        for trouble in self.troubles:
            yield f"! {trouble}"


def _without_one(items: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
    half = len(items) // 2
    if half > 1:
        yield items[:half]
        yield items[half:]
    for at in range(len(items)):
        yield (*items[:at], *items[at + 1 :])


def _smaller_worker(worker: Worker) -> Iterator[Worker]:
    for steps in _without_one(worker.steps):
        yield attrs.evolve(worker, steps=steps)
    for name in ("crashes_at", "pauses_at"):
        if getattr(worker, name):
            yield attrs.evolve(worker, **{name: ()})
    if worker.skew_s:
        yield attrs.evolve(worker, skew_s=0.0)
