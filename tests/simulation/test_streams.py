"""A file being read, while its object changes or its backends fail."""

import asyncio

import pytest

import resilient_store as rs
from tests.simulation.stage import Stage

OLD = b"the old bytes"


def read_around(change, seed=1, **options):
    """Read some bytes, let something happen, and read the rest."""
    stage = Stage(seed=seed, **options)
    stage.run(stage.fs._write("x/y", OLD))

    async def main():
        async with await stage.fs.open_async("x/y", "rb") as file:
            first = await file.read(4)
            if (happens := change(stage)) is not None:
                await happens
            return first + await file.read()

    _, result = stage.run(stage.timed(main()))
    stage.run(asyncio.sleep(30))
    stage.close()
    return result


@pytest.mark.parametrize("count", [1, 3])
def test_an_object_that_is_deleted_while_it_is_read_counts_as_unreachable(count):
    result = read_around(lambda stage: stage.fs._rm_file("x/y"), count=count)
    assert isinstance(result, rs.ObjectChangedError)


@pytest.mark.parametrize("data", [b"the NEW bytes", b"longer than the old bytes", b"short"])
def test_an_object_that_is_replaced_while_it_is_read_is_mixed(data):
    async def again(stage):
        await stage.fs._rm_file("x/y")
        await stage.fs._write("x/y", data)

    for change in (again, lambda stage: stage.fs._write("x/y", data)):
        assert isinstance(read_around(change), rs.ObjectChangedError)


@pytest.mark.parametrize("kind", ["down", "hang", "denied", "cut", "blank", "slow", "no-root"])
def test_a_backend_that_dies_in_the_middle_ends_the_file(kind):
    assert read_around(lambda stage: stage.break_disk(0, kind)) == OLD


def test_a_copy_that_gets_lost_in_the_middle_ends_the_file():
    assert read_around(lambda stage: stage.disks[0].objects.clear()) == OLD
