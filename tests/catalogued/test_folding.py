"""A disk on which names that differ only in case are one, added where objects have such names."""

from __future__ import annotations

import pytest

import resilient_store as rs
from resilient_store.testing import virtual_time
from resilient_store.testing.simulation.world import World
from tests.catalogued.stage import ONE, TWO, record

LOWER, UPPER = "photos/cat.jpg", "photos/CAT.jpg"
LATE_WINDOW_S = 60.0


class Folding(dict):
    """What lies on such a disk: the first spelling stays."""

    def spelling(self, key):
        return next((there for there in self if there.lower() == key.lower()), key)

    def __contains__(self, key):
        return super().__contains__(self.spelling(key))

    def __setitem__(self, key, value):
        super().__setitem__(self.spelling(key), value)

    def get(self, key, default=None):
        return super().get(self.spelling(key), default)

    def pop(self, key, *default):
        return super().pop(self.spelling(key), *default)


class Attic:
    """A bucket, and a disk in the attic that folds names."""

    def __init__(self, folder, clock):
        self.folder, self.clock = folder, clock
        self.world = World(0)
        self.world.disk("bucket")
        self.disk = self.world.disk("disk", flat=False)
        self.disk.objects = Folding()

    def open(self, *names):
        fs = rs.ResilientFileSystem(
            [rs.Backend(self.world.disks[n].filesystem, name=n, domain=n) for n in names],
            catalog=f"sqlite:///{self.folder}/photos.db",
            write=rs.WriteToAll(min_copies=1),
            late_window=LATE_WINDOW_S,
        )
        if "disk" in names:
            fs.store.clients["disk"].folds = True
        return fs

    def repair_for_long(self, fs):
        failed = {}
        for _ in range(30):
            self.clock.advance(LATE_WINDOW_S / 8)
            failed |= rs.repair(fs).failed
        return failed

    def kept_aside(self):
        return [key for key in self.disk.objects if "quarantine" in key]


@pytest.fixture
def attic(tmp_path):
    with virtual_time() as clock:
        attic = Attic(tmp_path, clock)
        with attic.open("bucket") as fs:
            fs.write(LOWER, ONE)
            fs.write(UPPER, TWO)
        yield attic


def test_p1_repair_puts_no_object_in_the_place_of_another_whose_name_differs_in_case(attic):
    with attic.open("bucket", "disk") as fs:
        (said,) = attic.repair_for_long(fs).values()
        assert "differs only in case" in said
        assert attic.kept_aside() == []
        for path, data in ((LOWER, ONE), (UPPER, TWO)):
            row = record(fs, path).replicas["disk"]
            assert row.state.value == "good"
            key = path if row.place == "own" else f".resilient/staging/{row.place}/{path}"
            assert attic.disk.objects.get(key).data == data


def test_p1_a_deletion_takes_nothing_of_an_object_whose_name_differs_in_case(attic):
    with attic.open("bucket", "disk") as fs:
        attic.repair_for_long(fs)
        places = {path: record(fs, path).replicas["disk"].place for path in (LOWER, UPPER)}
        kept = next(path for path, place in places.items() if place == "own")
        fs.rm(UPPER if kept == LOWER else LOWER)
        attic.repair_for_long(fs)
        assert attic.kept_aside() == []
        assert attic.disk.objects.get(kept).data == {LOWER: ONE, UPPER: TWO}[kept]
