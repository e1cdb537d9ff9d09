"""Who is cancelled while the catalog answers leaves no path to others but by its lease."""

from __future__ import annotations

import asyncio

import pytest
from fsspec.asyn import sync

from resilient_store.operations.repair import repair_all
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, THREE, TWO, record

AT_MOST = 20

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
