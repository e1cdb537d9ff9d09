"""The world of a fleet: three backends and a catalog, with the troubles of a plan."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import attrs

import resilient_store as rs
from resilient_store.catalog.contract import CatalogDownError, CommitUnknownError
from resilient_store.model.checksum import CHUNK_BYTES
from resilient_store.model.info import Body, Headers
from resilient_store.testing.simulation.family import _ERRORS
from resilient_store.testing.simulation.world import CHANGING, STORING
from tests.model.fleet.bounds import Bounds, FleetLoop
from tests.model.fleet.plan import ACTS, AWAY, CATALOG, DERIVED, IGNORES, Plan, Trouble
from tests.model.world import (
    OWN_KEY_VERBS,
    Model,
    ModelDisk,
    ModelFamily,
    by_the_disks_clock,
    with_its_source,
)

ROT, FOREIGN = b"#", b"F"
MANY = 10**6
HALF = 0.5
ANSWERS_WITHIN_S = 0.001
FLIPPED = (0, -1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1)  # which byte of a body
_ONLY = {
    "full": STORING,
    "cut": ("get",),
    "flip": ("get",),
    "stale": ("list",),
    "late": OWN_KEY_VERBS,
    "twice": ("put", "finish"),
    "unknown": CHANGING,
    IGNORES: (),  # whatever else is wrong with a request
}


class FleetModel(Model):
    """The world of one run.

    Attributes
    ----------
    met
        How many requests met a trouble of each kind.
    frozen_since_s
        When a freeze had returned; None: nothing is frozen, or it is being thawed.
    drained
        Backends that an operator has taken out, and from when to when.
    snapshot_s
        When the latest snapshot of the catalog began that has ended.
    away
        A backend that does not answer, whatever the plan says of troubles.
    unheard
        Key to what lay there on the backend that was away from a restore.
    unsure
        Objects that a restore has brought back although nobody was told that they exist.
    origins
        Derivatives to the originals that they were made from, and to which versions of them.
    """

    loop: FleetLoop
    loop_type = FleetLoop

    def __init__(self, plan: Plan) -> None:
        super().__init__(
            plan.seed,
            {"crash": MANY, "pause": MANY},
            backends=len(plan.backends),
            conditions=plan.conditions,
            paths=plan.paths,
        )
        self.plan, self.places = plan, plan.places
        self._catalogs_troubles = [one for one in plan.troubles if one.kind in CATALOG]
        self.bounds = Bounds(len(plan.backends), plan.places, plan.at_once, plan.paths, self.fail)
        self.loop.bounds = self.bounds
        self.min_copies, self.min_domains = plan.min_copies, plan.min_domains
        if plan.domains:
            self.domains = dict(zip(self.names, plan.domains, strict=True))
        self.met: Counter[str] = Counter()
        self.began_s = 0.0
        self.frozen_since_s: float | None = None
        self.drained: list[Trouble] = []
        self.snapshot_s = 0.0
        self.away = ""
        self.unsure: set[bytes] = set()
        self.unheard: dict[str, set[bytes]] = {}
        self.origins: dict[bytes, tuple[str, int | None]] = {}
        if plan.workload == DERIVED:
            self.degraded = rs.DegradedRead({"p{number}": ["d{number}"]})
        if plan.added:
            self.configured = tuple(name for name in self.names if name != plan.added)
        if plan.plain:
            plain = self.disks[plan.plain]
            plain.traits = attrs.evolve(plain.traits, keeps_headers=False)
        lying = {one.path: one.data for one in plan.lying}
        for path in plan.paths:
            self.truths[path].append((0.0, lying.get(path)))

    def disk(self, name: str, *, conditions: bool) -> FleetDisk:
        return FleetDisk(self, name, conditions=conditions)

    def put_behind(self) -> None:
        """Store what no catalog knows."""
        for one in self.plan.lying:
            self.remember(one.data)
            for name in one.backends:
                self.disks[name].set(one.path, one.data, Headers())
                self.foreign.append((name, one.data))

    def copies_of(self, data: bytes) -> int:
        """Return on how many backends bytes lay at least: others may have put them on one."""
        is_others = data in (b"?", FOREIGN) or any(data == one for one in self.unsure)
        is_others = is_others or any(data == one.data for one in self.plan.lying)
        return 1 if is_others else self.min_copies

    def now_s(self) -> float:
        """Return how long the run has gone on."""
        return self.loop.true_s() - self.began_s

    def spend(self, kind: str, likely: float) -> bool:
        """Let a process crash or stop where its plan says so; the rest are troubles."""
        if self.quiet_world or kind not in ("crash", "pause"):
            return False
        self.met[kind] += 1
        return True

    def trouble(self, backend: str, verb: str, key: str) -> Trouble | None:
        """Return what is wrong with a request now."""
        now_s = self.now_s()
        if backend == self.away:
            return Trouble("down", now_s, now_s, (backend,))
        if self.quiet_world:
            return None
        for one in self.plan.troubles:
            if not one.start_s <= now_s < one.end_s or backend not in one.backends:
                continue
            if one.key is not None and one.key != key.rpartition("/")[2]:
                continue
            if verb not in _ONLY.get(one.kind, (verb,)) or verb not in (one.verbs or (verb,)):
                continue
            if one.kind in AWAY or self.chance.random() < HALF:
                return one
        return None

    def ignores(self, backend: str, verb: str) -> bool:
        """Say whether a backend keeps to no condition now that a request may carry."""
        if self.quiet_world or verb not in OWN_KEY_VERBS:
            return False
        now_s = self.now_s()
        mine = (t for t in self.plan.troubles if t.kind == IGNORES and backend in t.backends)
        return any(one.start_s <= now_s < one.end_s for one in mine)

    def ill(self, start_s: float, end_s: float) -> dict[str, set[str]]:
        """Return what was wrong with which backends between two times of the run.

        Who ignores conditions answers at once, and truly.
        """
        found: dict[str, set[str]] = {}
        for one in (*self.plan.troubles, *self.drained):
            if one.kind not in (*ACTS, IGNORES) and one.start_s <= end_s and start_s < one.end_s:
                for name in one.backends:
                    found.setdefault(name, set()).add(one.kind)
        return found

    def drain(self, name: str) -> None:
        """Note that a backend is being taken out, or may have been."""
        self.drained.append(Trouble("drained", self.now_s(), math.inf, (name,)))
        self.doubted.add(name)

    def take_back(self, names: Sequence[str]) -> None:
        """Note that backends are in use again."""
        now_s = self.now_s()
        self.drained = [
            attrs.evolve(one, end_s=min(one.end_s, now_s)) if one.backends[0] in names else one
            for one in self.drained
        ]

    def catalog_was_well(self, start_s: float, end_s: float) -> bool:
        """Say whether nothing was wrong with the catalog between two times of the run."""
        return not any(
            one.kind.startswith("catalog") and one.start_s <= end_s and start_s < one.end_s
            for one in self.plan.troubles
        )

    async def _catalog_call(self, call: Callable[[], Any]) -> Any:
        kind = "" if self.quiet_world else self._catalogs_trouble()
        if kind == "catalog away":
            raise CatalogDownError("the catalog is away")
        if kind == "catalog slow":
            await asyncio.sleep(self.chance.uniform(0.1, 1.0))
        if kind == "catalog unknown":
            is_done = self.chance.random() < HALF
            self.say(f"catalog: {'done' if is_done else 'not done'}, and the answer lost")
            if is_done:
                call()
            self.look()
            raise CommitUnknownError("lost")
        answer = await super()._catalog_call(call)
        await asyncio.sleep(self.chance.uniform(0.0, ANSWERS_WITHIN_S))  # it travels back
        return answer

    def _catalogs_trouble(self) -> str:
        now_s = self.now_s()
        for one in self._catalogs_troubles:
            if one.start_s <= now_s < one.end_s:
                if one.kind == "catalog unknown" and self.chance.random() < HALF:
                    continue
                self.met[one.kind] += 1
                return one.kind
        return ""

    def lose_catalog(self) -> None:
        """Let there be another catalog, an empty one; nothing is judged until `look_again`."""
        self.is_restoring = True
        self.database = self._new_database()
        self._records.clear()

    def look_again(self) -> None:
        """Take for true what a restored catalog says."""
        self.is_restoring = False
        self.doubted.update(self.names)
        self._versions = dict.fromkeys(self.paths, -1)
        self.database.changed.update(self.paths)
        self.database.written.update(self.paths)
        self.look()

    def lying(self, path: str) -> dict[bytes, set[str]]:
        """Return what lies at a path's own keys or staged for it, and on which backends."""
        found: dict[bytes, set[str]] = {}
        for name, disk in self.disks.items():
            if name == self.away:
                continue
            for key, one in disk.objects.items():
                if key.rpartition("/")[2] == path:
                    found.setdefault(one.data, set()).add(name)
        return found

    def act(self, trouble: Trouble) -> None:
        """Do something to what a backend holds, or all of a platform."""
        for name in trouble.backends:
            self._act(trouble, name)
        self._forget_what_nobody_knew()

    def _act(self, trouble: Trouble, name: str) -> None:
        disk = self.disks[name]
        self.say(f"{trouble.kind} {trouble.key} @{name}")
        self.met[trouble.kind] += 1
        self.excused.add(name)
        if trouble.kind != "foreign":
            self.destroyed.add(name)
        key = trouble.key or ""
        if trouble.kind == "rot" and key in disk.objects and self.record(key).entry is not None:
            disk.set(key, ROT, Headers())
        elif trouble.kind == "lose":
            disk.remove(key)
        elif trouble.kind == "foreign" and self.plan.conditions:
            if self.record(key).entry is None and self.truths[key][-1][1] is not None:
                return  # others' bytes over others': nobody can say which are the object
            disk.set(key, self.remember(FOREIGN), Headers())
            self.foreign.append((name, FOREIGN))
        elif trouble.kind in ("wipe", "back"):
            disk.objects = {} if trouble.kind == "wipe" else dict(disk.earlier)
            if name not in self.gone_back:
                self.gone_back.append(name)

    def _forget_what_nobody_knew(self) -> None:
        """Let nobody expect what lay on one backend, and in no catalog, and is gone with it.

        Where it is back, it is an object again.
        """
        held = {one.data for disk in self.disks.values() for one in disk.objects.values()}
        for path, truth in self.truths.items():
            is_unknown = self.record(path).entry is None and truth[-1][1] is not None
            if is_unknown and truth[-1][1] not in held:
                truth.append((self.loop.true_s(), None))
        for one in self.plan.lying:
            is_unknown = (
                self.record(one.path).entry is None and self.truths[one.path][-1][1] is None
            )
            if is_unknown and any(self.held(name, one.path) == one.data for name in one.backends):
                self.truths[one.path].append((self.loop.true_s(), one.data))


class FleetDisk(ModelDisk):
    """A backend; `earlier` is what it held some time ago."""

    model: FleetModel

    def __init__(self, model: FleetModel, name: str, *, conditions: bool) -> None:
        super().__init__(model, name, conditions=conditions)
        self.earlier: dict[str, Any] = {}

    def overruled(self) -> None:
        self.model.met["condition ignored that did not hold"] += 1
        self.model.destroyed.add(self.name)  # of others, whom no catalog keeps away

    def family(self) -> FleetFamily:
        return FleetFamily(self)


class FleetFamily(ModelFamily):
    """A backend, asked while its troubles last."""

    _disk: FleetDisk

    async def request(self, verb: str, key: str, work: Callable[[], Any], **options: Any) -> Any:
        model = self._disk.model
        if model.ignores(self._disk.name, verb):
            model.met[IGNORES] += 1
            work = self.heedless(work)
        trouble = model.trouble(self._disk.name, verb, key)
        with model.bounds.asked(self._disk.name, key):
            if trouble is None:
                answer = await super().request(verb, key, work, **options)
            else:
                answer = await self._in(trouble, verb, key, work, **options)
        if isinstance(answer, Body):
            return attrs.evolve(answer, data=model.bounds.handed_out(answer.data))
        return answer

    async def _in(
        self, trouble: Trouble, verb: str, key: str, work: Callable[[], Any], **options: Any
    ) -> Any:
        model = self._disk.model
        model.met[trouble.kind] += 1
        model.say(f"{verb} {key} @{self._disk.name}: {trouble.kind}")
        if trouble.kind in _ERRORS:
            await asyncio.sleep(self._disk.latency_s[0])
            error = _ERRORS[trouble.kind]()
            raise error
        if trouble.kind == "late":
            self._keep_late(verb, key, work)
        if trouble.kind in ("hang", "late"):
            await model.loop.create_future()
        if trouble.kind == "slow":
            await asyncio.sleep(model.chance.uniform(0.1, 3.0))
        if trouble.kind == "stale":
            work = self._earlier(work)
        answer = await super().request(verb, key, work, **options)
        if trouble.kind == "twice":
            self._keep_late(verb, key, work)
        if trouble.kind == "unknown":
            raise ConnectionResetError("the connection broke")
        if trouble.kind in ("cut", "flip"):
            model.spoilt.add(self._disk.name)
        return _spoilt(trouble.kind, answer, model.chance)

    def _keep_late(self, verb: str, key: str, work: Callable[[], Any]) -> None:
        lands = by_the_disks_clock(with_its_source(self._disk, work))
        self._disk.model.keep_late(self._disk.name, verb, key, lands)

    def _earlier(self, work: Callable[[], Any]) -> Callable[[], Any]:
        disk = self._disk

        def stale() -> Any:
            now, disk.objects = disk.objects, dict(disk.earlier)
            try:
                return work()
            finally:
                disk.objects = now

        return stale


def _spoilt(kind: str, answer: Any, chance: random.Random) -> Any:
    if not isinstance(answer, Body) or not answer.data:
        return answer
    if kind == "cut":
        return attrs.evolve(answer, data=answer.data[:-1])
    if kind == "flip":
        spoilt = bytearray(answer.data)
        spoilt[chance.choice([at for at in FLIPPED if at < len(spoilt)])] ^= 1
        return attrs.evolve(answer, data=bytes(spoilt))
    return answer
