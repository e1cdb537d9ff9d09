"""What nobody closed is given back when its owner is dropped, and nothing else is."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

import resilient_store as rs
from resilient_store.backends import closing


class Owner:
    """Holds a family as a client does."""


class Family:
    """Counts how it was given back."""

    def __init__(self):
        self.closed = self.dropped = 0

    async def close(self):
        self.closed += 1

    def drop(self):
        self.dropped += 1


def test_a_family_is_dropped_with_its_owner_where_its_loop_has_ended():
    family, owner, loop = Family(), Owner(), asyncio.new_event_loop()
    loop.close()
    closing.close_with(owner, family, loop)
    del owner
    gc.collect()
    assert (family.closed, family.dropped) == (0, 1)


def test_a_family_that_was_closed_takes_no_other_with_it():
    """Places in memory are used again: an earlier owner must not close what lies there now."""
    loop = asyncio.new_event_loop()
    loop.close()
    first, owner = Family(), Owner()
    place = id(first)
    closing.close_with(owner, first, loop)
    closing.was_closed(first)
    del first
    others = [Family() for _ in range(1000)]
    heirs = [other for other in others if id(other) == place] or others
    keeper = Owner()
    for heir in heirs:
        closing.close_with(keeper, heir, loop)
    del owner
    gc.collect()
    assert [heir for heir in heirs if heir.dropped] == []
    del keeper
    gc.collect()
    assert all(heir.dropped == 1 for heir in heirs)


def test_a_store_that_is_dropped_lets_its_threads_end(tmp_path):
    (tmp_path / "disk").mkdir()
    fs = rs.ResilientFileSystem([rs.Backend(str(tmp_path / "disk"), name="dropped")])
    fs.pipe("photo", b"bytes")
    threads = [thread for thread in threading.enumerate() if "dropped" in thread.name]
    assert threads
    del fs
    gc.collect()
    for thread in threads:
        thread.join(5)
    assert [thread for thread in threads if thread.is_alive()] == []


def test_a_family_that_cannot_be_closed_is_told_of(caplog):
    class Stuck(Family):
        async def close(self):
            raise OSError("no")

    async def drop_its_owner():
        owner = Owner()
        closing.close_with(owner, Stuck(), asyncio.get_running_loop())
        del owner
        gc.collect()
        for _ in range(5):  # what was left to the loop has its turn, and what comes of it
            await asyncio.sleep(0)

    asyncio.run(drop_its_owner())
    assert "a backend could not be closed: OSError" in caplog.text


def test_garbage_that_is_collected_meanwhile_does_not_disturb_a_closing(garbage_at_once):
    """Stores that were dropped in cycles go at any allocation, also at one of `was_closed`."""
    owner, mine, loop = Owner(), Family(), asyncio.new_event_loop()
    loop.close()
    for _ in range(300):
        for _ in range(20):
            dropped = Owner()
            dropped.itself = dropped
            closing.close_with(dropped, Family(), loop)
        closing.close_with(owner, mine, loop)
        closing.was_closed(mine)
    assert mine not in [family for family, _ in closing._open.values()]


@pytest.fixture
def garbage_at_once():
    before = gc.get_threshold()
    gc.set_threshold(20, 2, 2)
    yield
    gc.set_threshold(*before)
