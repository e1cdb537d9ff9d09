"""Changes that wait for SQLite's one writer share a transaction, and nothing else."""

from __future__ import annotations

import asyncio
import threading
import traceback

import attrs
import pytest

from resilient_store.catalog import catalog as module
from resilient_store.catalog import group_commit
from resilient_store.catalog.catalog import Catalog
from resilient_store.catalog.contract import CatalogDownError, CommitUnknownError, single
from resilient_store.catalog.group_commit import Waiting, carry_out_all
from resilient_store.model.state import Entry, Record, StoreState
from resilient_store.protocol.moment import Moment

STATE = StoreState(identity="x", complete=True)


class Watched:
    """A database that notes of which paths each transaction is, and stalls in the first."""

    def __init__(self, database):
        self.database = database
        self.groups = []
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.error = None

    def __getattr__(self, name):
        return getattr(self.database, name)

    def change(self, paths, late_window_s, change):
        self.groups.append(list(paths))
        if len(self.groups) == 1:
            self.begun.set()
            assert self.go_on.wait(10)
        answer = self.database.change(paths, late_window_s, change)
        if self.error is not None and len(self.groups) > 1:
            raise self.error
        return answer


@pytest.fixture
def watched(opened, file_url):
    database = opened(file_url)
    database.prepare()
    database.change_state(lambda *_: STATE)
    return Watched(database)


def mark(name):
    """Make a change that gives a backend a row, and answers whose it found."""

    def change(record, _):
        return record.with_replicas(record.replica(name)), sorted(record.replicas)

    return single(change)


def refuse(record, _):
    raise KeyError(record.path)


async def behind_one_that_stalls(watched, catalog, changes):
    """Let changes queue up behind one that is being carried out; return what became of each."""
    first = asyncio.create_task(catalog.change(("first",), mark("aws")))
    await asyncio.to_thread(watched.begun.wait, 10)
    tasks = [asyncio.create_task(catalog.change((p,), change)) for p, change in changes]
    await asyncio.sleep(0)  # each has begun to wait
    watched.go_on.set()
    ended = await asyncio.gather(*tasks, return_exceptions=True)
    await first
    return ended


def played(watched, changes):
    catalog = Catalog(watched)
    ended = asyncio.run(behind_one_that_stalls(watched, catalog, changes))
    return ended, watched.groups[1:]


def rows(watched, path):
    return sorted(watched.find(path)[0].replicas)


def test_what_waits_is_carried_out_together(watched):
    paths = [f"path {number}" for number in range(5)]
    ended, groups = played(watched, [(path, mark("aws")) for path in paths])
    assert (ended, groups) == ([[]] * 5, [paths])
    assert all(rows(watched, path) == ["aws"] for path in paths)


def test_two_of_one_path_see_what_the_other_left(watched):
    ended, groups = played(watched, [("a", mark("aws")), ("b", mark("aws")), ("a", mark("gcp"))])
    assert (ended, groups) == ([[], [], ["aws"]], [["a", "b"], ["a"]])


def test_no_transaction_carries_out_more_than_so_many(watched, monkeypatch):
    monkeypatch.setattr(module, "GROUPED", 3)
    _, groups = played(watched, [(f"{number}", mark("aws")) for number in range(7)])
    assert [len(group) for group in groups] == [3, 3, 1]


def test_one_that_fails_fails_alone(watched):
    changes = [("a", mark("aws")), ("b", single(refuse)), ("c", mark("aws"))]
    ended, groups = played(watched, changes)
    assert (ended[0], repr(ended[1]), ended[2]) == ([], "KeyError('b')", [])
    assert groups == [["a", "b", "c"]]
    assert (rows(watched, "a"), rows(watched, "b"), rows(watched, "c")) == (["aws"], [], ["aws"])


def test_one_that_cannot_be_stored_fails_alone(watched):
    def unstorable(record, moment):
        entry = Entry(path="b", version=1, content=None, created_s=0.0, modified_s=0.0)
        entry = attrs.evolve(entry, derived_from=("original", 1 << 63))
        return attrs.evolve(record, entry=entry), None

    changes = [("a", mark("aws")), ("b", single(unstorable)), ("c", mark("aws"))]
    ended, _ = played(watched, changes)
    assert (ended[0], type(ended[1]), ended[2]) == ([], OverflowError, [])
    assert (rows(watched, "a"), rows(watched, "b"), rows(watched, "c")) == (["aws"], [], ["aws"])


@pytest.mark.parametrize("error", [CatalogDownError("full"), CommitUnknownError("who knows")])
def test_each_hears_that_the_transaction_failed(watched, error):
    watched.error = error
    ended, _ = played(watched, [("a", mark("aws")), ("b", single(refuse)), ("c", mark("aws"))])
    assert [type(one) for one in ended] == [type(error)] * 3
    assert ended[0] is not ended[2], "each caller raises an error of its own"
    for one in (ended[0], ended[2]):
        frames = traceback.extract_tb(one.__traceback__)
        assert "raise self.error" in [frame.line for frame in frames], "it says where it was raised"


def test_where_no_number_can_be_drawn_the_whole_transaction_fails():
    class Broken:
        def change(self, paths, late_window_s, change):
            def new_id():
                raise CatalogDownError("the disk is full")

            records = tuple(Record(path=path) for path in paths)
            moment = Moment(now_s=1.0, late_window_s=1.0, store=STATE, new_id=new_id)
            return change(records, moment)

    def draw(record, moment):
        return record, moment.new_id()

    async def play():
        group = [Waiting(("a",), mark("aws")), Waiting(("b",), single(draw))]
        carry_out_all(group, Broken(), 1.0)
        return group

    group = asyncio.run(play())
    for one in group:
        with pytest.raises(CatalogDownError, match="the disk is full"):
            one.answer()


def test_who_gives_up_while_it_waits_changes_nothing_and_hinders_nobody(watched):
    async def play():
        catalog = Catalog(watched)
        first = asyncio.create_task(catalog.change(("first",), mark("aws")))
        await asyncio.to_thread(watched.begun.wait, 10)
        tasks = [asyncio.create_task(catalog.change((p,), mark("aws"))) for p in "abc"]
        await asyncio.sleep(0)
        tasks[1].cancel()
        await asyncio.wait([tasks[1]])
        assert len(catalog._group_commit._waiting) == 2, "it is kept by nobody"
        watched.go_on.set()
        return await asyncio.gather(first, *tasks, return_exceptions=True)

    ended = asyncio.run(play())
    assert [type(one) for one in ended] == [list, list, asyncio.CancelledError, list]
    assert (rows(watched, "a"), rows(watched, "b"), rows(watched, "c")) == (["aws"], [], ["aws"])


def test_what_a_parent_has_begun_is_left_to_it(watched):
    """In a forked child what waits is there, and neither the thread nor who waits."""

    async def play():
        catalog = Catalog(watched)
        theirs = asyncio.create_task(catalog.change(("theirs",), mark("aws")))
        await asyncio.to_thread(watched.begun.wait, 10)
        also_theirs = asyncio.create_task(catalog.change(("waits",), mark("aws")))
        await asyncio.sleep(0)
        catalog._writers._begin()  # as every pool does in a child
        catalog.after_fork()
        answer = await catalog.change(("mine",), mark("aws"))
        groups = list(watched.groups)
        watched.go_on.set()
        await asyncio.gather(theirs, also_theirs)
        return answer, groups

    assert asyncio.run(play()) == ([], [["theirs"], ["mine"]])


def test_what_waits_at_a_close_is_carried_out(watched):
    """Two of one path are two transactions, and the thread ends behind the first."""

    async def play():
        catalog = Catalog(watched)
        first = asyncio.create_task(catalog.change(("first",), mark("aws")))
        await asyncio.to_thread(watched.begun.wait, 10)
        closing = asyncio.create_task(catalog.close())
        tasks = [asyncio.create_task(catalog.change(("a",), mark(n))) for n in ("aws", "gcp")]
        await asyncio.sleep(0)
        catalog._group_commit.close()
        catalog._writers.close()
        watched.go_on.set()
        return await asyncio.gather(first, closing, *tasks)

    assert asyncio.run(play()) == [[], None, [], ["aws"]]


class OddError(Exception):
    """One that cannot be copied."""

    def __init__(self, one, other):
        super().__init__(f"{one} {other}")


@pytest.mark.parametrize("error", [OddError("no", "copy"), MemoryError()])
def test_no_change_is_called_made_that_was_not_and_later_ones_are(watched, error):
    """Whatever is raised, in the transaction itself and also where each by itself is tried."""
    watched.error = error

    async def play():
        catalog = Catalog(watched)
        ended = await behind_one_that_stalls(watched, catalog, [(p, mark("aws")) for p in "abc"])
        watched.error = None
        return ended, await catalog.change(("later",), mark("aws"))

    ended, later = asyncio.run(play())
    assert [type(one) for one in ended] == [type(error)] * 3
    assert later == []


def test_what_breaks_between_transactions_leaves_the_outcome_unknown(watched, monkeypatch):
    def broken(*_):
        monkeypatch.undo()
        raise MemoryError

    async def play():
        catalog = Catalog(watched)
        watched.go_on.set()
        monkeypatch.setattr(group_commit, "carry_out_all", broken)
        first = asyncio.create_task(catalog.change(("a",), mark("aws")))
        with pytest.raises(CommitUnknownError):
            await first
        return await catalog.change(("b",), mark("aws"))

    assert asyncio.run(play()) == []


def test_a_coroutine_that_is_cleared_up_waits_for_no_lock(watched):
    """The garbage collector ends it in whichever thread, perhaps in the one that has the lock."""
    ended, catalog = threading.Event(), Catalog(watched)

    def clear_up():
        loop = asyncio.new_event_loop()
        task = loop.create_task(catalog.change(("a",), mark("aws")))
        loop.run_until_complete(asyncio.to_thread(watched.begun.wait, 10))
        with catalog._group_commit._lock:
            task.get_coro().close()
        loop.close()
        ended.set()

    threading.Thread(target=clear_up, daemon=True).start()
    assert ended.wait(5)
    watched.go_on.set()
    later = asyncio.run(catalog.change(("later",), mark("aws")))
    assert later == [], "a loop that was closed meanwhile keeps nobody else from an answer"


class Stall:
    """A change that goes no further until it may."""

    def __init__(self):
        self.begun, self.go_on = threading.Event(), threading.Event()

    def __call__(self, value, _):
        self.begun.set()
        assert self.go_on.wait(10)
        return value

    async def has_begun(self):
        assert await asyncio.to_thread(self.begun.wait, 10)


class Lockless:
    """A database in which two threads write at once."""

    def close(self):
        pass

    def change_state(self, change):
        return change(STATE, 1.0)

    def change(self, paths, late_window_s, change):
        records = tuple(Record(path=path) for path in paths)
        moment = Moment(now_s=1.0, late_window_s=late_window_s, store=STATE, new_id=int)
        return change(records, moment)[1]


def test_who_begins_after_a_close_is_carried_out_by_no_thread_from_before():
    """Else it would hear that it is done, while it is not, and have no answer."""
    first, last, beside = Stall(), Stall(), Stall()

    async def play():
        catalog = Catalog(Lockless())
        closing = asyncio.create_task(catalog.close())
        others = [
            asyncio.create_task(catalog.change_state(first)),
            asyncio.create_task(catalog.change(("old",), single(lambda r, m: (last(r, m), None)))),
        ]
        await first.has_begun()
        await closing
        others.append(asyncio.create_task(catalog.change_state(beside)))
        await beside.has_begun()
        new = asyncio.create_task(catalog.change(("new",), mark("aws")))
        await asyncio.sleep(0)
        first.go_on.set()
        await last.has_begun()
        beside.go_on.set()
        try:
            return await new
        finally:
            last.go_on.set()
            await asyncio.gather(*others)
            await catalog.close()

    assert asyncio.run(play()) == []
