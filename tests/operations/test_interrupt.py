"""Ctrl-C before an operation has begun in the loop: it is not begun at all."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading

import pytest
from fsspec.callbacks import Callback

import resilient_store as rs
from resilient_store.io import drive
from tests.catalogued.stage import CAT, ONE


def test_p8_what_was_interrupted_before_it_began_is_never_begun(fs, monkeypatch):
    goes_on, begun = threading.Event(), []

    async def operation():
        begun.append(True)

    def interrupted(loop, run):
        loop.call_soon_threadsafe(goes_on.wait)
        asyncio.run_coroutine_threadsafe(run(), loop)
        raise KeyboardInterrupt

    monkeypatch.setattr(drive, "sync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        drive.to_end(fs.loop, operation)
    goes_on.set()
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), fs.loop).result(5)
    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), fs.loop).result(5)
    assert begun == []


@pytest.mark.parametrize("ends", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize(
    "operation",
    [
        rs.adopt,
        rs.damage_report,
        functools.partial(rs.evacuate, from_="aws"),
        rs.repair,
        functools.partial(rs.rejoin, name="azure"),
        rs.scrub,
        rs.snapshot,
        rs.sweep,
    ],
    ids=lambda one: getattr(one, "func", one).__name__,
)
def test_p6_a_callback_that_ends_the_program_ends_the_operation_and_no_loop(shop, operation, ends):
    """Within the loop it would end every call of every filesystem, for good."""
    fs = shop.open(write=rs.WriteToAll(min_copies=2))
    fs.write(CAT, ONE)
    shop.lose("azure")
    fs.write("p/dog.jpg", ONE)
    shop.bring_back("azure")

    def end(size, value):
        if value or size:
            raise ends("enough")

    with pytest.raises(ends, match="enough"):
        operation(fs, callback=Callback(hooks={"end": end}))
    assert fs.cat_file(CAT) == ONE


def test_p6_so_does_a_priority(shop):
    fs = shop.open(write=rs.WriteToAll(min_copies=2))
    shop.lose("azure")
    fs.write(CAT, ONE)
    with pytest.raises(SystemExit, match="enough"):
        rs.repair(fs, priority=lambda _: sys.exit("enough"))
    assert fs.cat_file(CAT) == ONE
