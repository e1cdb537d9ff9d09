"""An object that no catalog knows yet, while somebody is at work on its path."""

from __future__ import annotations

import asyncio

import pytest

import resilient_store as rs
from resilient_store.model.step import Step
from tests.catalogued.told import Told, X, times_out
from tests.model.world import OTHER, PATH

THEIRS = b"theirs"


async def being_overwritten(told):
    """Begin a write that hangs until it gives up, and wait until it has its intent."""
    told.plan("put", "b", times_out)
    placed = asyncio.Event()
    told.at(Step.WRITE_PLACED, placed.set)
    writing = told.write(0, X)
    await placed.wait()
    assert told.model.record().intent is not None
    return writing


async def by_pieces(fs):
    async with await fs.open_async(PATH) as file:
        return await file.read(2) + await file.read()


async def result(fs):
    found = await fs._read(PATH)
    return found.data, found.version, found.verified, found.original_missing


async def described(fs):
    info = await fs._info(PATH)
    return info["size"], info["version"], info["verified"], info["original_missing"]


CALLS = {
    "cat": (lambda fs: fs._cat_file(PATH), THEIRS),
    "read": (result, (THEIRS, None, False, False)),
    "range": (lambda fs: fs._cat_file(PATH, start=2, end=4), THEIRS[2:4]),
    "open": (by_pieces, THEIRS),
    "info": (described, (len(THEIRS), None, False, False)),
    "exists": (lambda fs: fs._exists(PATH), True),
}


@pytest.mark.parametrize("name", CALLS)
def test_p5_it_is_served_as_it_was(name):
    call, expected = CALLS[name]

    async def story(told):
        writing = await being_overwritten(told)
        assert await told.start(1, call) == expected
        assert told.model.record().entry is None  # it was not recorded either
        with pytest.raises(rs.InsufficientCopiesError):
            await writing

    Told(complete=False, lying=(THEIRS, None)).play(story)


def test_p5_it_is_unreachable_and_not_changed_where_its_only_backend_goes_away():
    async def story(told):
        writing = await being_overwritten(told)

        async def call(fs):
            async with await fs.open_async(PATH) as file:
                told.is_down("a", 1.0)
                await file.read()

        with pytest.raises(rs.BackendsUnavailableError):
            await told.start(1, call)
        with pytest.raises(rs.InsufficientCopiesError):
            await writing

    Told(complete=False, lying=(THEIRS, None)).play(story)


def test_p3_a_deletion_waits_and_deletes_it():
    async def story(told):
        writing = await being_overwritten(told)
        await told.delete(1)
        assert told.model.record().entry.deleted
        with pytest.raises(rs.InsufficientCopiesError):
            await writing

    Told(complete=False, lying=(THEIRS, None)).play(story)


def test_a_move_of_it_is_refused_and_changes_nothing():
    async def story(told):
        writing = await being_overwritten(told)
        with pytest.raises(rs.ConcurrentWriteError):
            await told.start(1, lambda fs: fs._mv_file(PATH, OTHER))
        with pytest.raises(rs.InsufficientCopiesError):
            await writing
        assert await told.read(2) == THEIRS

    Told(complete=False, lying=(THEIRS, None)).play(story)
