"""Ctrl-C before an operation has begun in the loop: it is not begun at all."""

from __future__ import annotations

import asyncio
import threading

import pytest

from resilient_store.io import drive


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
