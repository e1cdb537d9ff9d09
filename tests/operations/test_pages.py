"""Listings of several backends as one, and divided so that many machines can share them."""

from __future__ import annotations

import asyncio
from itertools import pairwise

import pytest
from fsspec.asyn import sync
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem
from hypothesis import given, settings
from hypothesis import strategies as st

import resilient_store as rs
from resilient_store.backends.contract import Listed, Traits
from resilient_store.io.pages import MOST_LOOKS, divided, merged
from resilient_store.model.info import ObjectInfo
from resilient_store.model.key_range import EVERYTHING
from resilient_store.model.outcome import Outcome, Reply

# A name on a disk that is no text has surrogates.
LETTERS = st.sampled_from(["a", "b", "\ud7ff", "\udc80", "\udcff", "\ue000", "\U0010ffff", "/"])
KEYS = st.text(LETTERS, min_size=1, max_size=5).filter(lambda key: "" not in key.split("/"))


@pytest.fixture
def letters(shop):
    """Open a store over a thousand objects, whose names begin alike."""
    fs = shop.open()
    fs.exists("anything")
    for number in range(1000):
        shop.put_behind("aws", f"originals/2024/{number:04}.jpg", b"x")
    return fs


def parts_of(fs, count):
    return sync(fs.loop, divided, fs.store.clients, count)


async def keys_in(fs, part):
    failed = {}
    found = [key async for page in merged(fs.store.clients, failed, part) for key, _ in page]
    assert failed == {}
    return found


def test_a_listing_is_divided_where_its_keys_differ(letters):
    parts = parts_of(letters, 8)
    assert 8 <= len(parts) <= 20
    sizes = [len(sync(letters.loop, keys_in, letters, part)) for part in parts]
    assert max(sizes) <= 150
    everything = sync(letters.loop, keys_in, letters, EVERYTHING)
    assert sum(sizes) == len(everything) > 1000
    together = [key for part in parts for key in sync(letters.loop, keys_in, letters, part)]
    assert together == everything


@pytest.mark.parametrize("count", [1, 10_000])
def test_it_is_divided_no_further_than_its_keys(letters, count):
    parts = parts_of(letters, count)
    assert len(parts) <= min(count, 1000 + 1)
    assert (parts[0].after, parts[-1].until) == ("", None)


def test_what_lists_only_from_its_start_is_not_divided(tmp_path):
    filesystem = DirFileSystem(str(tmp_path), LocalFileSystem())
    backend = rs.Backend(filesystem, name="one", domain="one")
    with rs.ResilientFileSystem([backend], catalog=f"sqlite:///{tmp_path}/../c.db") as fs:
        assert parts_of(fs, 8) == [EVERYTHING]


class OneByOne:
    """A client of a backend that holds some keys, and counts how often it is asked."""

    traits = Traits(exclusive_create=True, conditional_delete=True, directories=False)

    def __init__(self, keys):
        self.keys, self.asked = sorted(keys), 0

    async def open(self):
        pass

    async def page(self, after, cursor, limit):
        self.asked += 1
        infos = [ObjectInfo(key=key) for key in self.keys if key > after][:limit]
        return Reply("x", Outcome.OK, Listed(infos))


@given(st.sets(KEYS), st.integers(1, 20))
@settings(deadline=None)
def test_whatever_the_keys_are_the_parts_are_all_of_them_and_few_looks_are_taken(keys, count):
    client = OneByOne([*keys, ".resilient/store.json", ".resilient/staging/1-1/x"])
    parts = asyncio.run(divided({"x": client}, count))
    assert [(one.until, other.after) for one, other in pairwise(parts)] == [
        (one.until, one.until) for one in parts[:-1]
    ]
    assert (parts[0].after, parts[-1].until) == ("", None)
    assert client.asked <= MOST_LOOKS
    assert not any(part.after.startswith(".resilient") for part in parts)
    assert all(part.after.encode() or part is parts[0] for part in parts)  # others are asked too
