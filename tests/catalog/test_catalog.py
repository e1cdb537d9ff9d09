"""The catalog as coroutines: in time, in threads of its own, and on a simulated loop."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from resilient_store.catalog import catalog as module
from resilient_store.catalog.catalog import Catalog
from resilient_store.catalog.contract import CatalogDownError, CommitUnknownError, single
from resilient_store.catalog.location import locate
from resilient_store.catalog.opening import database_at
from resilient_store.errors import ConfigurationError, MissingExtraError
from resilient_store.model.amount import Amount
from resilient_store.model.state import StoreState
from resilient_store.protocol import transactions as rules
from resilient_store.testing.conformance.tables import WISH, held, load, store, tombstone
from resilient_store.testing.simulation.loop import SimulatedLoop
from tests.catalog.steps import put

STATE = StoreState(identity="x", complete=True)


class Stalling:
    """A database that stalls before or after a change commits, until it is let go."""

    def __init__(self, database, where):
        self.database = database
        self.where = where
        self.begun = threading.Event()
        self.go_on = threading.Event()

    def __getattr__(self, name):
        return getattr(self.database, name)

    def find(self, path):
        self.go_on.wait(10)
        return self.database.find(path)

    def change(self, paths, late_window_s, change):
        self.begun.set()
        if self.where == "before":
            self.go_on.wait(10)
        answer = self.database.change(paths, late_window_s, change)
        if self.where == "after":
            self.go_on.wait(10)
        return answer


@pytest.fixture
def database(opened, file_url):
    database = opened(file_url)
    database.prepare()
    return database


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(module, "WITHIN_S", 0.2)


def mark(record, moment):
    return record.with_replicas(record.replica("aws")), moment.now_s


async def tour(catalog):
    """Make every call once; return what they said."""
    await catalog.prepare()
    assert (await catalog.state(), catalog.seen) == (None, None)
    await catalog.change_state(lambda *_: STATE)
    begun = await catalog.change(["a"], single(lambda r, m: rules.begin(r, m, WISH)))
    assert catalog.seen == STATE

    def store_both(records, _):
        return (held("d/b", "aws"), tombstone("d/c")), len(records)

    assert await catalog.change(["d/b", "d/c"], store_both) == 2
    await catalog.raise_counter(100)
    said = [
        await catalog.state(),
        (await catalog.find("none"))[1],
        (await catalog.find("d/b"))[1],
        [line.path for line in await catalog.page("d/", "", 5)],
        await catalog.has_below("d"),
        await catalog.present(["d/b", "d/c"]),
        await catalog.folded("D/B"),
        await catalog.owed("", 9),
        [line.path for line in await catalog.queue("", 9)],
        await catalog.hidden(""),
        await catalog.hidden("d/"),
        await catalog.working(9),
        await catalog.without("gcp", "", 9),
        await catalog.held_by("aws", "", 9),
        await catalog.holdings("d/", "", 9),
        (await catalog.stretch("d/")).objects,
        [record.path for record in await catalog.records(["d/b", "x"])],
        await catalog.tokens([begun.intent.token, "0-0"]),
        await catalog.change(["n"], single(lambda r, m: (r, m.new_id() >= 100))),
        begun.intent.started_s <= await catalog.now_s(),
    ]
    await catalog.close()
    return said


SAID = [
    STATE,
    STATE,
    None,
    ["d/b"],
    True,
    ["d/b"],
    ["d/b"],
    ["a", "d/c"],
    ["a", "d/c"],
    {"a", "d/c"},
    {"d/c"},
    ["a"],
    ["d/b"],
    ["a", "d/b"],
    [("d/b", 3, ("aws",))],
    Amount(1, 3),
    ["d/b", "x"],
    {"1-1"},
    True,
    True,
]


def test_every_call_reaches_the_database(file_url):
    assert asyncio.run(tour(Catalog(file_url, 60.0))) == SAID


def test_every_call_reaches_postgresql(postgres_url):
    assert asyncio.run(tour(Catalog(postgres_url))) == SAID


def test_a_database_will_do(opened):
    assert asyncio.run(tour(Catalog(opened("sqlite://")))) == SAID


def test_on_a_simulated_loop_no_thread_is_used(opened):
    before = threading.active_count()
    for seed in range(3):
        loop = SimulatedLoop(seed)
        catalog = Catalog(opened("sqlite://", clock=lambda loop=loop: 1000.0 + loop._now_s))
        assert loop.run_until_complete(tour(catalog)) == SAID
        assert not loop.complaints
    assert threading.active_count() <= before


def test_a_simulated_runtime_may_run_calls_itself(opened):
    loop = SimulatedLoop(1)
    calls = []

    class Runtime:
        def __init__(self, simulated):
            self.simulated = simulated

        def __getattr__(self, name):
            return getattr(self.simulated, name)

        async def run_blocking(self, call):
            calls.append(call)
            return call()

    loop.resilient_runtime = Runtime(loop.resilient_runtime)
    assert loop.run_until_complete(tour(Catalog(opened("sqlite://")))) == SAID
    assert len(calls) > len(SAID)


def test_the_url_is_looked_at_when_a_catalog_is_made():
    with pytest.raises(ConfigurationError):
        Catalog("sqlite://catalog.db")


def test_where_psycopg_is_missing_its_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "resilient_store.catalog.postgres", None)
    with pytest.raises(MissingExtraError, match=r"resilient_store\[postgres\]"):
        database_at(locate("postgresql+psycopg://host/database"))


def test_a_call_that_stalls_ends_in_time(database, impatient):
    stalling = Stalling(database, "before")

    async def ask():
        catalog = Catalog(stalling)
        for call in (catalog.find("a"), catalog.change(["a"], single(mark))):
            with pytest.raises(CatalogDownError) as said:
                await call
            assert not isinstance(said.value, CommitUnknownError)
        stalling.go_on.set()
        assert await catalog.change(["b"], single(mark))  # after it: there is one writer
        await catalog.close()

    asyncio.run(ask())
    assert load(database, "a").replicas == {}  # nobody waited for it any more


def test_a_catalog_that_cannot_be_loaded_in_time_is_down(file_url, monkeypatch):
    go_on = threading.Event()

    def load(location):
        go_on.wait(10)
        return database_at(location)

    monkeypatch.setattr(module, "OPEN_WITHIN_S", 0.1)
    monkeypatch.setattr(module, "database_at", load)

    async def ask():
        catalog = Catalog(file_url)
        with pytest.raises(CatalogDownError, match="could not be loaded"):
            await catalog.state()
        monkeypatch.undo()
        go_on.set()
        await catalog.prepare()
        await catalog.close()

    asyncio.run(ask())


def test_closing_does_not_wait_for_a_call_that_stalls(database, impatient, caplog):
    stalling = Stalling(database, "before")

    async def ask():
        catalog = Catalog(stalling)
        with pytest.raises(CatalogDownError):
            await catalog.change(["a"], single(mark))
        await catalog.close()
        assert "could not be closed" in caplog.text
        stalling.go_on.set()
        await catalog.change(["b"], single(mark))
        await catalog.close()

    asyncio.run(ask())


def test_a_change_that_may_be_stored_is_said_to_be_unknown(database, impatient):
    stalling = Stalling(database, "after")

    async def ask():
        catalog = Catalog(stalling)
        with pytest.raises(CommitUnknownError):
            await catalog.change(["a"], single(mark))
        stalling.go_on.set()
        await catalog.close()

    asyncio.run(ask())
    assert "aws" in load(database, "a").replicas


def test_a_change_that_is_cancelled_in_time_is_not_stored(database):
    stalling = Stalling(database, "before")

    async def ask():
        catalog = Catalog(stalling)
        task = asyncio.create_task(catalog.change(["a"], single(mark)))
        assert await asyncio.to_thread(stalling.begun.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        stalling.go_on.set()
        await catalog.change(["b"], single(mark))  # after it: there is one writer
        await catalog.close()

    asyncio.run(ask())
    assert load(database, "a").replicas == {}


def test_errors_come_as_they_are(database):
    async def ask():
        catalog = Catalog(database)
        with pytest.raises(ZeroDivisionError):
            await catalog.change(["a"], lambda records, moment: 1 / 0)
        await catalog.close()

    asyncio.run(ask())


def test_who_has_no_row_is_found_in_bounded_steps(database):
    database.window = 3
    for number in range(20):
        backends = ["aws"] if number in (2, 11, 12, 19) else ["aws", "gcp"]
        store(database, held(f"p{number:02d}", *backends))

    async def ask():
        catalog = Catalog(database)
        found = [await catalog.without("gcp", "", limit) for limit in (1, 2, 9)]
        found.append(await catalog.without("gcp", "p11", 9))
        await catalog.close()
        return found

    missing = ["p02", "p11", "p12", "p19"]
    assert asyncio.run(ask()) == [missing[:1], missing[:2], missing, missing[2:]]


def test_what_all_objects_add_up_to_is_asked_in_bounded_steps(database):
    database.window = 3
    for number in range(7):
        store(database, held(f"p{number}", "aws", version=number + 1))
    after, seen = "", []
    while not seen or after:
        stretch = database.stretch(after)
        after = stretch.after
        seen.append((stretch.objects.count, stretch.newest, after))
    assert seen == [(3, 3, "p2"), (3, 6, "p5"), (1, 7, "")]


def test_many_coroutines_share_few_threads(database):
    async def ask():
        catalog, others = Catalog(database), set(threading.enumerate())
        await asyncio.gather(
            *(catalog.change([f"p{n}"], single(mark)) for n in range(40)),
            *(catalog.find(f"p{n}") for n in range(40)),
        )
        mine = [t.name for t in threading.enumerate() if t not in others]
        running = [name for name in mine if name.startswith("resilient-catalog")]
        await catalog.close()
        return running

    assert len(asyncio.run(ask())) <= 4
    assert database.owed("", 99)
    put(database, "a")
