"""Draws a plan from a seed, all at once, before anything happens."""

from __future__ import annotations

import random
from collections.abc import Iterator

import attrs

from tests.model.fleet.plan import (
    ACTS,
    AWAY,
    BUSY_S,
    CATALOG,
    DERIVED,
    IGNORES,
    LARGE,
    LARGE_BYTES,
    OPERATOR,
    SLY,
    SPAN,
    SPANS,
    WORKLOADS,
    Lying,
    Plan,
    Step,
    Trouble,
    Worker,
)
from tests.model.world import LATE_WINDOW_S, LEASE_S, PLACES, SKEWS_S

WAITS_S = (0.0, 0.0, 0.005, 0.05, 0.5, 3.0, LEASE_S + 2, LATE_WINDOW_S + 5)
CANCELLED, OPERATOR_CANCELLED, HALF = 0.08, 0.25, 0.5
ADDED, RESTORED, RESTORED_WITHOUT_ONE = 0.3, 0.15, 0.4
# How often two of three backends share a platform; how often writes ask for two platforms then;
# and how often what goes wrong with one of the two does so with both.
SHARED, APART, TOGETHER = 0.5, 0.8, 0.5
FEW, AT_ONCE = (2, 3, PLACES), (1, 2, 8)
IGNORANT = 0.4  # how often a backend that knows conditions keeps to none for a while
CANCELS_S = (0.0, 0.01, 0.05, 1.0)
CANCELS_WITHIN_S = (0.005, 0.02, 0.2)
STEPS, LARGE_STEPS = (8, 40), (8, 24)
BUSIEST_S = 40.0
GRAY = (("get",), ("put", "finish"), ("info", "list"), ("publish", "delete"))


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
    plan = _on_platforms(_Drawing(seed).plan(), random.Random(f"platforms {seed}"))
    plan = _with_ignorance(plan, random.Random(f"conditions {seed}"))
    chance = random.Random(f"bounds {seed}")
    return attrs.evolve(plan, places=chance.choice(FEW), at_once=chance.choice(AT_ONCE))


def _on_platforms(plan: Plan, chance: random.Random) -> Plan:
    """Let two of three backends share a platform, and what goes wrong strike it as a whole."""
    if len(plan.backends) < len("abc") or chance.random() >= SHARED:
        return plan
    pair = {*chance.sample(plan.backends, 2)}
    numbers = {name: number for number, name in enumerate(sorted(pair), start=1)}
    domains = tuple(f"aws/{numbers[name]}" if name in pair else "gcp" for name in plan.backends)
    first = {*plan.backends} - {plan.added}  # they must do, before there is another
    is_possible = plan.min_copies > 1 and first != pair
    troubles = [
        attrs.evolve(one, backends=tuple(sorted(pair)))
        if len(one.backends) == 1 and pair.issuperset(one.backends) and chance.random() < TOGETHER
        else one
        for one in plan.troubles
    ]
    if plan.troubles:
        out = pair if chance.random() < HALF else {*plan.backends} - pair
        troubles.append(_outage(tuple(sorted(out)), chance))
    return attrs.evolve(
        plan,
        domains=domains,
        min_domains=2 if is_possible and chance.random() < APART else 1,
        troubles=tuple(troubles),
    )


def _with_ignorance(plan: Plan, chance: random.Random) -> Plan:
    """Let a backend, or a platform, that knows conditions keep to none, in some plans."""
    if not plan.conditions or chance.random() >= IGNORANT:
        return plan
    start_s = chance.choice([0.0, chance.uniform(0.0, BUSIEST_S)])
    end_s = start_s + chance.choice([30.0, BUSY_S])
    where = chance.choice([plan.backends, (chance.choice(plan.backends),)])
    more = Trouble(IGNORES, start_s, end_s, where)
    return attrs.evolve(plan, troubles=(*plan.troubles, more))


def _outage(platform: tuple[str, ...], chance: random.Random) -> Trouble:
    """Let all of a platform be out of reach at once."""
    start_s, lasts_s = chance.uniform(0.0, BUSIEST_S), chance.choice([5.0, 30.0, 120.0])
    return Trouble(chance.choice(AWAY), start_s, start_s + lasts_s, platform)
