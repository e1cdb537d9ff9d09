"""A walk through a filesystem that lists one directory at a time: every object once, in order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools

from hypothesis import given
from hypothesis import strategies as st

from resilient_store.backends.families.levels import OrderedLevels
from resilient_store.model.info import ObjectInfo

names = st.text("a-./0é\U0001f600", min_size=1, max_size=3).filter(lambda name: "/" not in name)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)


def tree(keys):
    """Return what a filesystem would list: of what is below a name the name alone."""
    levels = {"": {}}
    for key in keys:
        parts = key.split("/")
        for depth in range(1, len(parts) + 1):
            above, one = "/".join(parts[: depth - 1]), "/".join(parts[:depth])
            is_directory = depth < len(parts)
            levels.setdefault(above, {})[one, is_directory] = ObjectInfo(
                key=one, directory=is_directory
            )
    return {above: list(below.values()) for above, below in levels.items()}


def walked(levels, after, limit):
    asked, found = [], []

    async def list_one(key):
        asked.append(key)
        return levels[key]

    async def main():
        walk = OrderedLevels(after)
        while not walk.ended:
            page = await walk.next(limit, list_one)
            assert len(page) == limit or walk.ended
            found.extend(info.key for info in page)

    asyncio.run(main())
    return found, asked


@given(st.sets(paths, max_size=12), st.just("") | paths, st.integers(1, 5))
def test_every_object_after_a_key_comes_once_and_in_order(keys, after, limit):
    found, asked = walked(tree(keys), after, limit)
    assert found == sorted(key for key in keys if key > after)
    assert len(asked) == len(set(asked))


def test_no_directory_is_listed_of_which_nothing_is_wanted():
    keys = [f"{folder}/{number}" for folder in "abc" for number in range(3)]
    assert walked(tree(keys), "b/1", 10) == (["b/2", "c/0", "c/1", "c/2"], ["", "b", "c"])


@given(st.sets(paths, max_size=12), st.integers(1, 5), st.sets(st.integers(0, 20)))
def test_what_cannot_be_listed_for_once_is_not_left_out(keys, limit, failing):
    levels, calls, found = tree(keys), itertools.count(), []

    async def list_one(key):
        if next(calls) in failing:
            raise TimeoutError
        return levels[key]

    async def main():
        walk = OrderedLevels("")
        while not walk.ended:
            with contextlib.suppress(TimeoutError):
                found.extend(info.key for info in await walk.next(limit, list_one))

    asyncio.run(main())
    assert found == sorted(keys)
