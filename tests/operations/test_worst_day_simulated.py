"""The worst day of a shop, thousands of times: in virtual time, each decided by a seed."""

from __future__ import annotations

import contextlib
import logging
import random

import pytest

import resilient_store as rs
from resilient_store.testing import Fault, Faults, FaultyFileSystem, rehearse, virtual_time

SEEDS = 6
SEEDS_IN_MATRIX = 2000
OF_A_TEST = 100
PHOTOGRAPHS = 20
RULES = {"originals/{customer}/{name}": ["previews/{customer}/{name}", "thumbs/{customer}/{name}"]}
LATE_WINDOW_S = 900.0
TURNS = 40


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.CRITICAL, "resilient_store")  # every day is full of outages


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """Return the shop's store, as its application builds it."""
    folder = tmp_path_factory.mktemp("shop")
    fs = rs.ResilientFileSystem(
        [
            rs.Backend(f"memory://{name}", name=name, domain=name)
            for name in ("aws", "gcp", "azure")
        ],
        catalog=f"sqlite:///{folder}/photos.db",
        write=rs.WriteToAll(min_copies=1),
        degraded=rs.DegradedRead(RULES),
        placements=[rs.Placement("originals/{path...}", backends=["aws", "gcp"])],
        late_window=LATE_WINDOW_S,
    )
    yield fs
    fs.close()


class Overload(Faults):
    """Platforms that say "not now" to a share of what they are asked."""

    def __init__(self, chance):
        super().__init__()
        self.chance, self.refuses = chance, {}

    def fault_for(self, name, domain, verb, key):
        if self.chance.random() < self.refuses.get(name, 0.0):
            return Fault("throttled", name)
        return super().fault_for(name, domain, verb, key)


class Day:
    """One day, of which a seed decides everything."""

    def __init__(self, template, seed, clock):
        self.chance, self.clock = random.Random(seed), clock
        self.faults = Overload(self.chance)
        self.shop = rehearse(template, faults=self.faults)
        self.fs = self.shop.fs
        self.data = {}
        self.previews = {}

    def take(self, count):
        """Take photographs; some have a preview, all have a thumbnail."""
        for _ in range(count):
            number = len(self.data)
            path = f"{self.chance.choice('abc')}/{number:02}.jpg"
            self.data[path] = self.chance.randbytes(self.chance.choice([1, 1000, 70_000]))
            self.write(f"originals/{path}", self.data[path])
            folder = self.chance.choice(["previews", "thumbs"])
            self.previews[path] = f"{folder}/{path}"
            self.write(self.previews[path], b"small")

    def write(self, path, data):
        for _ in range(TURNS):
            try:
                self.fs.write(path, data)
            except rs.InsufficientCopiesError:
                self.clock.advance(self.chance.uniform(1, 60))
            else:
                return
        raise AssertionError(f"{path} was never taken")

    def repair(self):
        """Repair until only what nobody holds is left."""
        for _ in range(TURNS):
            report = rs.repair(self.fs)
            if not report.waiting and not any("throttled" in why for why in report.failed.values()):
                return
            self.clock.advance(LATE_WINDOW_S)
        raise AssertionError(report)

    def remember(self, name):
        """Return a copy of a platform as it is now."""
        old = FaultyFileSystem(faults=self.faults, name=f"{name}, last night")
        for path in self.shop.backends[name].inner.find("/store"):
            old.inner.pipe_file(path, self.shop.backends[name].inner.cat_file(path))
        return old

    def holders(self, path):
        """Return which of the others hold an original, whatever the catalog says."""
        return {n for n in ("gcp", "azure") if self.shop.held(n, f"originals/{path}") is not None}


class EnoughError(Exception):
    """Stops an evacuation."""


def day(template, seed):
    """Live through it; at the end the report must name exactly what is gone."""
    with virtual_time(seed) as clock:
        one = Day(template, seed, clock)
        old = before(one)
        kept = {path for path in one.data if old.inner.exists(f"/store/originals/{path}")}
        meanwhile(one)
        rs.rejoin(one.fs, "aws", target=rs.Backend(old, root="store"))
        clock.advance(2 * LATE_WINDOW_S)
        one.repair()
        rs.scrub(one.fs, unknown=False)
        one.repair()
        gone = {path for path in one.data if path not in kept and not one.holders(path)}
        judge(one, gone)
        one.fs.close()
        return len(gone)


def before(one):
    """Take photographs while all is well; return a copy of the first platform."""
    one.take(one.chance.randint(2, PHOTOGRAPHS - 2))
    if one.chance.random() < 0.5:
        one.repair()
    one.clock.advance(one.chance.uniform(0, 2 * LATE_WINDOW_S))
    return one.remember("aws")


def meanwhile(one):
    """Lose the first, save from the second until that is too much, and lose a third of it."""
    chance = one.chance
    one.faults.down("aws")
    one.faults.refuses["gcp"] = chance.choice([0.0, 0.1, 0.3])
    one.take(PHOTOGRAPHS - len(one.data))
    enough = chance.randint(0, PHOTOGRAPHS)

    def tell(progress):
        if progress.copied >= enough:
            raise EnoughError

    with contextlib.suppress(EnoughError):
        rs.evacuate(one.fs, from_=["aws", "gcp"], at_once=chance.randint(1, 4), on_progress=tell)
    rs.freeze(one.fs, "we count what is left", wait=5)
    for path in chance.sample(sorted(one.data), PHOTOGRAPHS // 3):
        if one.shop.held("gcp", f"originals/{path}") is not None:
            one.faults.lose("gcp", f"originals/{path}")
    one.faults.refuses.clear()
    one.clock.advance(chance.uniform(60, 600))
    rs.scrub(one.fs, unknown=False)
    assert list(rs.damage_report(one.fs).lost) == []  # the first may hold them
    rs.thaw(one.fs)


def judge(one, gone):
    """Hold the report, and what reads say, against what is gone."""
    with rs.damage_report(one.fs, group_by="originals/{customer}/...") as report:
        lost = {item.path: item for item in report.lost}
        assert set(lost) == {f"originals/{path}" for path in gone}
        for path in gone:
            item = lost[f"originals/{path}"]
            assert (item.group, item.derivative) == (path[0], one.previews[path])
        others = (report.unreachable, report.foreign, report.conflicts)
        assert [list(some) for some in others] == [[], [], []]
    for path, data in one.data.items():
        result = one.fs.read(f"originals/{path}")
        assert result.original_missing == (path in gone)
        assert result.data == (b"small" if path in gone else data)


def test_at_the_end_of_the_day_it_is_known_what_is_gone(template):
    assert sum(day(template, seed) for seed in range(SEEDS)) > 0


@pytest.mark.matrix
@pytest.mark.parametrize("first", range(SEEDS, SEEDS_IN_MATRIX, OF_A_TEST))
def test_at_the_end_of_thousands_of_days_it_is_known_what_is_gone(template, first):
    assert sum(day(template, seed) for seed in range(first, first + OF_A_TEST)) > 0
