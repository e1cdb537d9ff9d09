"""Repair that creates a copy at its own key: what it says where that does not go well."""

from __future__ import annotations

import math

import pytest
from fsspec.asyn import sync

import resilient_store as rs
from resilient_store.model.info import Headers
from resilient_store.model.state import State
from resilient_store.testing import virtual_time
from resilient_store.testing.simulation.world import Fault, World
from tests.catalogued.stage import CAT, FOREIGN, NAMES, ONE, TWO, record, states

ADOPTED = "adopted.jpg"
LATE_WINDOW_S = 60.0
FOR_EVER = (0.0, math.inf)


class Pair:
    """An object on the first of two platforms; the second is added, and knows no conditions."""

    def __init__(self, folder, clock):
        self.folder, self.clock = folder, clock
        self.world = World(0)
        self.first = self.world.disk("first")
        self.second = self.world.disk(
            "second", exclusive=False, conditions=False, unique_tags=False
        )
        with self.open("first") as fs:
            fs.write(CAT, ONE)

    def open(self, *names):
        return rs.ResilientFileSystem(
            [rs.Backend(self.world.disks[n].filesystem, name=n, domain=n) for n in names],
            catalog=f"sqlite:///{self.folder}/photos.db",
            write=rs.WriteToAll(min_copies=1),
            late_window=LATE_WINDOW_S,
        )


@pytest.fixture
def pair(tmp_path):
    with virtual_time() as clock:
        yield Pair(tmp_path, clock)


def test_a_copy_that_arrives_with_another_size_is_no_copy_and_is_said(pair):
    pair.second.faults.append(Fault(*FOR_EVER, "blank", key=CAT))
    with pair.open("first", "second") as fs:
        report = rs.repair(fs)
        assert "another size" in report.failed[CAT]
        assert record(fs, CAT).replicas["second"].state is State.UNKNOWN


def test_p1_a_copy_counts_in_staging_where_a_directory_has_its_name(shop):
    for name in NAMES:
        shop.put_behind(name, CAT, ONE)
    fs = shop.open()
    rs.adopt(fs)
    shop.remove_behind("azure", CAT)
    shop.put_behind("azure", f"{CAT}/another", FOREIGN)
    assert rs.scrub(fs).missing == {CAT: ("azure",)}
    assert rs.repair(fs).copied == 1
    assert states(fs, CAT)["azure"] == "good"
    assert shop.staged("azure")


def test_p1_a_copy_counts_in_staging_where_its_own_key_is_denied(pair):
    pair.second.faults.append(Fault(*FOR_EVER, "denied", key=CAT))
    with pair.open("first", "second") as fs:
        assert rs.repair(fs).copied == 1
        row = record(fs, CAT).replicas["second"]
        assert (row.state, row.place) == (State.GOOD, "2-2")


def test_p9_a_copy_of_an_adopted_object_is_recognised_though_its_answer_was_lost(pair):
    async def put_behind():
        pair.first.set(ADOPTED, TWO, Headers())

    with pair.open("first") as fs:
        sync(fs.loop, put_behind)
        rs.adopt(fs)
    pair.second.faults.append(Fault(*FOR_EVER, "unknown", key=ADOPTED))
    with pair.open("first", "second") as fs:
        rs.repair(fs)
        assert pair.second.objects[ADOPTED].data == TWO
        pair.second.faults.clear()
        for _ in range(30):
            pair.clock.advance(LATE_WINDOW_S / 8)
            report = rs.repair(fs)
        assert report.done
        assert record(fs, ADOPTED).replicas["second"].state is State.GOOD
        assert not [key for key in pair.second.objects if "quarantine" in key]


@pytest.mark.parametrize("look", ["info", "cat"])
def test_p9_copies_of_a_discovered_object_are_recognised_and_neither_sent_nor_put_aside(shop, look):
    for name in NAMES:
        shop.put_behind(name, CAT, ONE)
    fs = shop.open()
    getattr(fs, look)(CAT)
    assert sorted(states(fs, CAT).values()) == ["good", "unknown", "unknown"]
    report = rs.repair(fs)
    assert (report.done, report.copied) == (True, 0)
    assert set(states(fs, CAT).values()) == {"good"}
    assert [shop.quarantined(name) for name in NAMES] == [[], [], []]
