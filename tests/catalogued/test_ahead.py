"""A blocking read is looked up in the catalog while its loop wakes up, and not believed twice."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

import resilient_store as rs
from resilient_store.catalog import ahead
from resilient_store.catalog import catalog as module
from resilient_store.threads import Job
from tests.catalogued.stage import CAT, DOG, ONE, TWO, took_s

WAITS_S = 10


class Watched:
    """A database that says when it was asked for a path, and may stall there."""

    def __init__(self, database):
        self.database = database
        self.asked, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        self.finds = 0

    def __getattr__(self, name):
        return getattr(self.database, name)

    def find(self, path):
        self.finds += 1
        found = self.database.find(path)
        self.asked.set()
        assert self.go_on.wait(WAITS_S)
        return found


@pytest.fixture
def watched(fs):
    fs.write(CAT, ONE)
    catalog = fs.store.catalog
    catalog._database = Watched(catalog._database)
    return catalog._database


READS = {"cat_file": lambda fs: fs.cat_file(CAT), "read": lambda fs: fs.read(CAT).data}


@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_the_catalog_is_asked_before_the_loop_hears_of_the_call(fs, watched, read):
    go_on, answers = threading.Event(), []
    fs.loop.call_soon_threadsafe(go_on.wait, WAITS_S)
    reader = threading.Thread(target=lambda: answers.append(read(fs)))
    reader.start()
    assert watched.asked.wait(WAITS_S)
    assert not answers
    go_on.set()
    reader.join(WAITS_S)
    assert (answers, watched.finds) == ([ONE], 1)


async def write(shop, data):
    async with rs.ResilientFileSystem(shop.backends(), **shop.settings(asynchronous=True)) as other:
        await other._write(CAT, data)


def test_p3_what_another_process_wrote_meanwhile_is_read(fs, shop, watched):
    """Another version was found first, whose copies are nowhere any more: it looks again."""
    go_on, answers = threading.Event(), []
    fs.loop.call_soon_threadsafe(go_on.wait, WAITS_S)
    reader = threading.Thread(target=lambda: answers.append(fs.cat_file(CAT)))
    reader.start()
    assert watched.asked.wait(WAITS_S)
    asyncio.run(write(shop, TWO))  # in a loop that is not held up
    go_on.set()
    reader.join(WAITS_S)
    assert answers == [TWO]
    assert watched.finds > 1


def test_p6_a_catalog_that_hangs_ends_the_read_in_time(fs, watched, monkeypatch):
    monkeypatch.setattr(module, "WITHIN_S", 0.2)
    watched.go_on.clear()
    began_s = time.monotonic()
    with pytest.raises(rs.CatalogUnavailableError):
        fs.cat_file(CAT)
    assert took_s(began_s) < 2
    watched.go_on.set()
    monkeypatch.undo()
    assert fs.cat_file(CAT) == ONE


def test_p6_what_no_call_takes_is_not_done(fs, watched):
    """Here there is no thread free for it, and the loop is about to refuse the call."""
    watched.go_on.clear()
    catalog = fs.store.catalog
    held = [catalog._readers.submit(lambda _: watched.find(DOG)) for _ in range(3)]
    with catalog.finding(CAT):
        pass
    watched.go_on.set()
    assert all(job.is_done_within(WAITS_S) for job in held)
    assert fs.exists(CAT)
    assert watched.finds == 4


def test_it_is_taken_once_and_by_nobody_else():
    mine, theirs, job = object(), object(), Job(lambda _: None)
    with ahead.begun(mine, CAT, job):
        assert ahead.taken(mine, CAT) is job
        assert ahead.taken(mine, CAT) is None
    for catalog, path in ((theirs, CAT), (mine, DOG)):
        job = Job(lambda _: None)
        with ahead.begun(mine, CAT, job):
            assert ahead.taken(catalog, path) is None
            assert job.is_given_up
    assert ahead.taken(mine, CAT) is None
