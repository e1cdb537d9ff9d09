"""A backend that is added to a store while it is slow to say what lies on it (P9)."""

from __future__ import annotations

import pytest
from fsspec.asyn import sync

import resilient_store as rs
from resilient_store.model.info import Headers
from resilient_store.testing import virtual_time
from resilient_store.testing.simulation.world import World
from tests.catalogued.stage import CAT, FOREIGN, ONE, TWO

SLOW_S = (1.5, 1.5)


@pytest.fixture
def world():
    with virtual_time():
        world = World(0)
        world.disk("old")
        world.disk("new", latency_s=SLOW_S, exclusive=False, conditions=False, unique_tags=False)
        yield world


def opened(world, folder, names):
    return rs.ResilientFileSystem(
        [rs.Backend(world.disks[name].filesystem, name=name, domain=name) for name in names],
        catalog=f"sqlite:///{folder}/photos.db",
        write=rs.WriteToAll(min_copies=len(names)),
    )


def test_p9_a_write_looks_first_where_the_store_has_not_met_a_backend_yet(world, tmp_path):
    with opened(world, tmp_path, ["old"]) as fs:
        fs.write("another", ONE)

    async def put_behind():
        world.disks["new"].set(CAT, FOREIGN, Headers())

    with opened(world, tmp_path, ["old", "new"]) as fs:
        sync(fs.loop, put_behind)
        assert fs.write(CAT, TWO).copies == ("old", "new")
        assert FOREIGN in [one.data for one in world.disks["new"].objects.values()]
