"""What a fleet of processes does in one run, and what goes wrong: drawn from a seed, all at once.

A plan is data, so that a run that breaks a promise can be made smaller: a step, a trouble or a
whole process is left out, and the run is played again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TypeVar

import attrs

from resilient_store.model.checksum import CHUNK_BYTES
from tests.model.world import LATE_WINDOW_S, LEASE_S, SKEWS_S

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
WAITS_S = (0.0, 0.0, 0.005, 0.05, 0.5, 3.0, LEASE_S + 2, LATE_WINDOW_S + 5)
CANCELLED, OPERATOR_CANCELLED, HALF = 0.08, 0.25, 0.5
ADDED, RESTORED, RESTORED_WITHOUT_ONE = 0.3, 0.15, 0.4
CANCELS_S = (0.0, 0.01, 0.05, 1.0)
CANCELS_WITHIN_S = (0.005, 0.02, 0.2)
STEPS, LARGE_STEPS = (8, 40), (8, 24)
BUSIEST_S, BUSY_S = 40.0, 400.0

# What is wrong with a backend for a while.
AWAY = ("down", "hang", "slow", "throttled", "denied", "full")
SLY = ("unknown", "late", "twice", "cut", "flip", "stale")
# What is done to what it holds, once.
ACTS = ("rot", "lose", "wipe", "back", "foreign")
CATALOG = ("catalog away", "catalog slow", "catalog unknown")
GRAY = (("get",), ("put", "finish"), ("info", "list"), ("publish", "delete"))


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
        if self.size is None:
            return self.text.encode()
        return (self.text.encode() * (self.size // len(self.text) + 1))[: self.size]

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
        if self.added or self.restored:
            yield attrs.evolve(self, added="", restored=False, away="")
        if self.away:
            yield attrs.evolve(self, away="")
        if self.plain:
            yield attrs.evolve(self, plain="")
        for less in _without_one(self.lying):
            yield attrs.evolve(self, lying=less)
        for at, worker in enumerate(self.workers):
            for one in _smaller_worker(worker):
                rest = (*self.workers[:at], one, *self.workers[at + 1 :])
                yield attrs.evolve(self, workers=rest)

    def lines(self) -> Iterator[str]:
        """Say what is done, for people."""
        yield (
            f"{self.workload}: {len(self.backends)} backends, min_copies={self.min_copies}, "
            f"conditions={self.conditions}"
        )
        for one in self.lying:
            yield f"{one.path} is {one.data.decode()} on {', '.join(one.backends)}, unknown"
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


class _Drawing:
    """Draws a plan."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(f"fleet {seed}")
        self.workload = self.chance.choice(list(WORKLOADS))
        count, self.odds = WORKLOADS[self.workload]
        self.paths = tuple(f"p{number}" for number in range(count))
        if self.workload == DERIVED:
            self.paths = tuple(f"{kind}{number}" for kind in "pd" for number in range(count // 2))
        self.backends = tuple("abc"[: self.chance.choice([2, 3, 3])])
        is_added = len(self.backends) > 2 and self.chance.random() < ADDED
        self.added = self.backends[-1] if is_added else ""
        self.victim = self.chance.choice([name for name in self.backends if name != self.added])
        self._written = 0

    def plan(self) -> Plan:
        chance = self.chance
        workers = [self._worker(number) for number in range(chance.randint(1, 4))]
        if chance.random() < 0.5:
            workers.append(self._operator())
        lies = chance.random() < 0.3 and self.workload != DERIVED
        lying = tuple(self._lying()) if lies else ()
        troubles = tuple(self._troubles())
        restored = not self.added and not lying and chance.random() < RESTORED
        if restored:
            workers.append(self._nightly())
        if restored or self.added:
            troubles = tuple(one for one in troubles if one.kind not in ACTS)
        strange = any(one.kind == "foreign" for one in troubles)
        min_copies = chance.choice([1, 2, 2])
        # Without it the catalog does not know all paths: a derivative means that an original was.
        one_may_be_away = restored and min_copies > 1 and self.workload != DERIVED
        if lying or strange:  # nobody has a checksum of what nobody has read before
            troubles = tuple(one for one in troubles if one.kind != "flip")
        return Plan(
            seed=self.seed,
            workload=self.workload,
            paths=self.paths,
            backends=self.backends,
            min_copies=min_copies,
            conditions=chance.random() < 0.5,
            workers=tuple(workers),
            troubles=troubles,
            lying=lying,
            added=self.added,
            restored=restored,
            # After a restore nobody knows what is at the own keys of such a one.
            plain="" if restored else chance.choice(("", "", *self.backends)),
            away=self._away() if one_may_be_away else "",
        )

    def _away(self) -> str:
        is_one = self.chance.random() < RESTORED_WITHOUT_ONE
        return self.chance.choice(self.backends) if is_one else ""

    def _lying(self) -> Iterator[Lying]:
        chance = self.chance
        for number, path in enumerate(self.paths):
            where = tuple(name for name in self.backends if chance.random() < 0.4)
            if where and self.added not in where:
                yield Lying(path, f"<old {number}>".encode(), where)

    def _worker(self, number: int) -> Worker:
        count = self.chance.randint(*(LARGE_STEPS if self.workload == LARGE else STEPS))
        steps = [self._step() for _ in range(count)]
        return self._unsteady(Worker(f"w{number}", tuple(steps)))

    def _operator(self) -> Worker:
        chance = self.chance
        verbs = chance.choices(list(OPERATOR), list(OPERATOR.values()), k=chance.randint(2, 10))
        steps = [
            Step(
                verb,
                wait_s=chance.choice([1.0, 10.0, 60.0]),
                cancel_s=self._cancel_s(OPERATOR_CANCELLED),
            )
            for verb in verbs
        ]
        return self._unsteady(Worker("op", (*steps, Step("thaw"))))

    def _nightly(self) -> Worker:
        chance = self.chance
        waits_s = [chance.choice([1.0, 10.0, 60.0]) for _ in range(chance.randint(0, 5))]
        return Worker("night", tuple(Step("snapshot", wait_s=seconds) for seconds in waits_s))

    def _unsteady(self, worker: Worker) -> Worker:
        chance = self.chance
        return attrs.evolve(
            worker,
            crashes_at=tuple(chance.randint(1, 150) for _ in range(chance.choice([0, 0, 1, 3]))),
            pauses_at=tuple(chance.randint(1, 150) for _ in range(chance.choice([0, 0, 1, 2]))),
            skew_s=chance.choice([0.0, *SKEWS_S]),
        )

    def _step(self) -> Step:
        chance = self.chance
        (verb,) = chance.choices(list(self.odds), list(self.odds.values()))
        path, other = chance.choice(self.paths), ""
        if verb == "move":
            path, other = chance.sample(self.paths, 2)
        elif self.workload == DERIVED and verb != "delete":
            original = chance.choice([path for path in self.paths if path.startswith("p")])
            derivative = original.replace("p", "d")
            path, other = {
                "write": (original, ""),
                "derive": (derivative, original),
                "view": (original, derivative),
            }[verb]
        elif verb == "ls" and chance.random() < HALF:
            path = ""
        text, is_large = "", self.workload == LARGE
        if verb in ("write", "stream", "derive"):
            self._written += 1
            text = f"<{self._written}>" * chance.choice([1, 2, 4])
        return Step(
            verb,
            path,
            other,
            text,
            wait_s=chance.choice(WAITS_S) * chance.random(),
            cancel_s=self._cancel_s(CANCELLED),
            span=chance.choice(SPANS) if is_large else SPAN,
            size=LARGE_BYTES if is_large and text else None,
        )

    def _cancel_s(self, often: float) -> float | None:
        chance = self.chance
        if chance.random() >= often:
            return None
        return chance.choice([*CANCELS_S, *(chance.uniform(0.0, s) for s in CANCELS_WITHIN_S)])

    def _troubles(self) -> Iterator[Trouble]:
        """Draw a few kinds of trouble, and each of them several times: more than one of all."""
        chance = self.chance
        every = [*AWAY, "hang", *SLY, *SLY, *ACTS, *CATALOG]
        theme = chance.sample(every, chance.choice([1, 2, 3, 6]))
        if self.workload == LARGE:
            theme += ["flip"] * len(theme)
        for _ in range(chance.choice([0, 3, 6, 12])):
            yield self._trouble(chance.choice(theme))

    def _trouble(self, kind: str) -> Trouble:
        chance = self.chance
        start_s = chance.uniform(0.0, chance.choice([BUSIEST_S, BUSY_S]))
        end_s = start_s + chance.choice([0.5, 5.0, 30.0, 120.0])
        if kind in CATALOG:
            return Trouble(kind, start_s, end_s, ())
        if kind in ACTS:  # fewer platforms are destroyed than an object has copies
            return Trouble(kind, start_s, start_s, (self.victim,), chance.choice(self.paths))
        if kind in AWAY and self.workload == DERIVED and chance.random() < HALF:
            return Trouble(kind, start_s, end_s, self.backends, chance.choice(self.paths[:2]))
        everywhere = kind in AWAY and chance.random() < 0.2
        where = self.backends if everywhere else (chance.choice(self.backends),)
        key = chance.choice([None, None, chance.choice(self.paths)])
        verbs = chance.choice([(), (), (), *GRAY]) if kind in AWAY else ()
        return Trouble(kind, start_s, end_s, where, key, verbs)


def drawn(seed: int) -> Plan:
    """Return a seed's plan."""
    return _Drawing(seed).plan()
