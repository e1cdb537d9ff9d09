"""Who is cancelled while the catalog answers leaves no path to others but by its lease."""

from __future__ import annotations

import asyncio

import pytest
from fsspec.asyn import sync

from resilient_store.backends.upload import UploadClient
from resilient_store.io.drive import end_all
from resilient_store.io.stream import BLOCK_BYTES
from resilient_store.io.verbs import open_reader
from resilient_store.operations.repair import repair_all
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, THREE, TWO, converge, record

AT_MOST = 20
SOME_S = 2.0

CALLS = {
    "overwrite": lambda fs: fs._write(CAT, TWO),
    "create": lambda fs: fs._write(DOG, TWO),
    "delete": lambda fs: fs._rm_file(CAT),
    "move": lambda fs: fs._mv_file(CAT, DOG),
    "repair": lambda fs: repair_all(fs.store),
}


async def cancelled_after(fs, monkeypatch, call, count):
    """Cancel a call when its catalog has carried out so many changes, before it hears of it."""
    real, changes = fs.store.known.change, 0

    async def change(*given):
        nonlocal changes
        answer = await real(*given)
        changes += 1
        if changes == count:
            task.cancel()
            await asyncio.sleep(0)
        return answer

    with monkeypatch.context() as patch:
        patch.setattr(fs.store.known, "change", change)
        task = asyncio.get_running_loop().create_task(call(fs))
        await asyncio.wait([task])
    return task.cancelled()


@pytest.mark.parametrize("call", CALLS)
def test_p8_a_call_that_is_cancelled_leaves_no_intent_to_others(shop, monkeypatch, call):
    fs = shop.open()
    for count in range(1, AT_MOST):
        fs.write(CAT, ONE)
        if fs.exists(DOG):
            fs.rm(DOG)
        if call == "repair":
            shop.lose("gcp")
            fs.write(CAT, THREE)
            shop.bring_back("gcp")
        cancelled = sync(fs.loop, cancelled_after, fs, monkeypatch, CALLS[call], count)
        assert [record(fs, path).intent for path in (CAT, DOG)] == [None, None], count
        assert [shop.temporary(name) for name in NAMES] == [[], [], []]
        if not cancelled:
            break
    assert 2 < count < AT_MOST - 1


def test_a_block_that_nobody_reads_ahead_any_more_is_read_all_the_same(shop):
    """A store that is closed ends its tails, also one that has not begun yet."""
    fs = shop.open()
    data = bytes(2 * BLOCK_BYTES)
    fs.write(CAT, data)

    async def read():
        reader = await open_reader(fs.store, CAT)
        first = await reader.read(0, BLOCK_BYTES)
        await end_all(fs.store.tails)
        return first + await asyncio.wait_for(reader.read(BLOCK_BYTES, len(data)), SOME_S)

    assert sync(fs.loop, read) == data


async def cut_off(fs, monkeypatch, verb):
    """Cancel a repair in the middle of an upload."""

    async def cut(*_):
        task.cancel()
        await asyncio.sleep(0)

    with monkeypatch.context() as patch:
        patch.setattr(UploadClient, verb, cut)
        task = asyncio.get_running_loop().create_task(repair_all(fs.store))
        await asyncio.wait([task])
    return task.cancelled()


@pytest.mark.parametrize("verb", ["write", "finish"])
def test_a_repair_that_is_cancelled_aborts_its_upload(shop, monkeypatch, verb):
    fs = shop.open()
    fs.write(CAT, ONE)
    shop.lose("gcp")
    fs.write(CAT, TWO)
    shop.bring_back("gcp")
    assert sync(fs.loop, cut_off, fs, monkeypatch, verb)
    assert (shop.temporary("gcp"), shop.staged("gcp")) == ([], [])
    assert record(fs, CAT).intent is None
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)
