"""Reading ahead: who reads in order waits for one block less, and who jumps gets what is there."""

from __future__ import annotations

import asyncio
import os

import pytest
from fsspec.asyn import sync

from resilient_store.io.catalogued import stream
from resilient_store.io.verbs import open_reader
from tests.catalogued.stage import CAT, _family

BLOCK = 1 << 20
DATA = os.urandom(4 * BLOCK + 100)
SOME_S = 5.0


class Backend:
    """The first backend, which tells what it is asked for, and may leave a block unanswered."""

    def __init__(self, family):
        self.asked = []
        self.held = asyncio.Event()
        self.released = asyncio.Event()
        self.hold = None  # where the block begins that it does not answer for now
        self._get, family.get = family.get, self.get

    async def get(self, key, start, end, *given, **options):
        self.asked.append((start, end))
        if start == self.hold:
            self.held.set()
            await self.released.wait()
        return await self._get(key, start, end, *given, **options)


def play(fs, story):
    """Play a story with a reader and the backend that it reads from."""

    async def told():
        reader = await open_reader(fs.store, CAT)
        backend = Backend(await _family(fs, "aws"))
        await asyncio.wait_for(story(reader, backend), SOME_S)
        await asyncio.gather(*fs.store.tails)

    sync(fs.loop, told)


@pytest.fixture
def stored(shop, monkeypatch):
    monkeypatch.setattr(stream, "BLOCK_BYTES", BLOCK)
    fs = shop.open()
    fs.write(CAT, DATA)
    return fs


def block(number):
    return number * BLOCK, min((number + 1) * BLOCK, len(DATA))


def test_the_next_block_is_asked_for_before_anybody_wants_it(stored):
    async def story(reader, backend):
        backend.hold = BLOCK
        assert await reader.read(*block(0)) == DATA[:BLOCK]
        await backend.held.wait()
        assert backend.asked == [block(0), block(1)]
        backend.released.set()
        for number in range(1, 5):
            start, end = block(number)
            assert await reader.read(start, end) == DATA[start:end]
        assert backend.asked == [block(number) for number in range(5)]  # none of them twice

    play(stored, story)


@pytest.mark.parametrize("at", [3 * BLOCK, 2 * BLOCK - 7, 5, len(DATA) - 3])
def test_p4_who_jumps_away_is_not_given_the_block_that_was_read_ahead(stored, at):
    async def story(reader, backend):
        await reader.read(*block(0))
        for start in (at, BLOCK + 9, at + 1):
            end = min(start + 50, len(DATA))
            assert await reader.read(start, end) == DATA[start:end]
        assert block(1) in backend.asked

    play(stored, story)


def test_p6_who_jumps_away_does_not_wait_for_the_block_that_was_read_ahead(stored):
    async def story(reader, backend):
        backend.hold = BLOCK
        await reader.read(*block(0))
        await backend.held.wait()
        assert await reader.read(3 * BLOCK, 3 * BLOCK + 9) == DATA[3 * BLOCK :][:9]
        assert not backend.released.is_set()
        backend.released.set()

    play(stored, story)


def test_p4_what_is_read_ahead_is_verified_too(stored, shop):
    async def story(reader, backend):
        await reader.read(*block(0))
        await asyncio.gather(*stored.store.tails)
        shop.flip("aws", CAT, at=2 * BLOCK + 5)
        assert await reader.read(BLOCK, 2 * BLOCK) == DATA[BLOCK : 2 * BLOCK]
        await asyncio.gather(*stored.store.tails)  # another backend had the block after it
        assert await reader.read(2 * BLOCK, len(DATA)) == DATA[2 * BLOCK :]

    play(stored, story)
