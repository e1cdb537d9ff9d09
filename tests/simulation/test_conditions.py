"""A disk that states that it knows conditions, and keeps to none for a while."""

import pytest

from resilient_store.backends.contract import ChangedError
from resilient_store.model.info import Headers
from tests.simulation.stage import Stage

OLD, NEW = b"the old bytes", b"the new bytes"


@pytest.fixture
def stage():
    stage = Stage(count=1)
    for key in ("create", "publish", "delete", "staged"):
        stage.disks[0].objects.update(stage.run(held(stage, key, OLD)))
    return stage


async def held(stage, key, data):
    disk = stage.disks[0]
    disk.set(key, data, Headers())
    return {key: disk.objects[key]}


CHANGES = {
    "create": lambda family: family.put("create", NEW, exclusive=True, headers=Headers()),
    "publish": lambda family: family.publish("staged", "publish", expected="another-tag"),
    "delete": lambda family: family.delete("delete", expected="another-tag"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_condition_is_kept_to_although_it_is_to_be_ignored(stage, change):
    disk = stage.disks[0]
    before = disk.objects[change]
    stage.break_disk(0, "ignores", seconds=10.0)
    stage.run(CHANGES[change](disk.family()))
    assert disk.objects.get(change) != before
    assert stage.world.injected == {"ignores": 1}


@pytest.mark.parametrize("change", CHANGES)
def test_a_condition_is_ignored_where_it_is_to_be_kept_to(stage, change):
    disk = stage.disks[0]
    before = disk.objects[change]
    with pytest.raises((ChangedError, FileExistsError)):
        stage.run(CHANGES[change](disk.family()))
    assert disk.objects[change] == before


def test_a_disk_that_ignores_conditions_does_not_count_as_well(stage):
    stage.break_disk(0, "ignores", seconds=10.0)
    assert stage.disks[0].is_well(0.0, 100.0)
    assert stage.run(stage.fs._cat_file("create")) == OLD
    assert stage.world.injected == {}


def test_a_probe_does_not_notice_it():
    stage = Stage(count=1, disk={"exclusive": None}, write_once=True)
    stage.break_disk(0, "ignores")
    _, error = stage.run(stage.timed(stage.fs._pipe_file("x", NEW)))
    assert "lets a second creation of one key overwrite" in str(error)
