"""A store whose catalog is a real PostgreSQL that is killed, hangs, and loses its connections.

Every call ends in time, in success or in `CatalogUnavailableError`; what was acknowledged is there
when the server is back, and what was not is there as a whole or not at all (P1, P2, P6).
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

import resilient_store as rs
from resilient_store import runtime
from resilient_store.io.catalogued.holder import ASKED_FOR_S, LOST_ANSWER
from resilient_store.model.step import Step
from tests.crashes.linear import Call, check
from tests.crashes.shop import (
    CATALOG_S,
    LONGEST_LEASE_S,
    SLOW_S,
    Shop,
    check_converged,
    read,
    within,
)
from tests.servers.postgres import Postgres
from tests.servers.tap import Tap

OLD, NEW, LATER = b"old bytes", b"new bytes", b"later bytes"
SOME_S = 0.5  # what a busy machine adds to what was waited for
IMPATIENT = True  # the catalog's deadline is what it is
# As docs/timeouts.md says: what was under way waits for a second answer, and a lost answer to the
# deciding commit is asked for again.
UNDER_WAY_S = 2 * CATALOG_S
ASKED_AGAIN_S = ASKED_FOR_S + CATALOG_S
CALLS: dict[str, Callable[[rs.ResilientFileSystem], Any]] = {
    "read": lambda fs: fs.read("p"),
    "range": lambda fs: fs.cat_file("p", 1, 3),
    "open": lambda fs: fs.open("p"),
    "info": lambda fs: fs.info("p"),
    "exists": lambda fs: fs.exists("p"),
    "ls": lambda fs: fs.ls(""),
    "find": lambda fs: fs.find(""),
    "write": lambda fs: fs.write("p", NEW),
    "create": lambda fs: fs.write("q", NEW),
    "delete": lambda fs: fs.rm_file("p"),
    "folder": lambda fs: fs.rm("p", recursive=True),
    "copy": lambda fs: fs.cp_file("p", "q"),
    "move": lambda fs: fs.mv("p", "q"),
    "freeze": lambda fs: rs.freeze(fs, "why"),
    "sweep": rs.sweep,
}


class PostgresShop(Shop):
    """Three directories, and a database of a server."""

    server: Postgres
    database: str

    def url(self, port: int | None = None) -> str:
        return self.server.url_of(self.database, port)

    def open(self, catalog: str = "", **options: Any) -> rs.ResilientFileSystem:
        return super().open(catalog or self.url(), **options)

    def rows(self, table: str, what: str = "*") -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.conninfo(self.database)) as connection:
            return connection.execute(f"SELECT {what} FROM resilient_{table}").fetchall()

    def check_intact(self) -> None:
        for table in ("entries", "replicas", "intents", "settings", "backends"):
            self.rows(table)


@pytest.fixture(scope="module")
def running() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


@pytest.fixture
def shop(tmp_path, running) -> Iterator[PostgresShop]:
    shop = PostgresShop(tmp_path)
    shop.server, shop.database = running, running.database()
    yield shop.build()
    runtime.at_each_step(None)
    running.heal()


CUT = {  # whether the write has decided by then
    Step.WRITE_BEGUN: False,
    Step.WRITE_ARRIVED: False,
    Step.WRITE_COMMITTED: True,
    Step.WRITE_PUBLISHED: True,
}
FAILED = [("not done", OLD), ("unknown", OLD), ("unknown", NEW)]
MATRIX = pytest.mark.matrix
AROUND_THE_COMMIT = (Step.WRITE_ARRIVED, Step.WRITE_COMMITTED)
STEPS = [
    pytest.param(step, id=step.name, marks=[] if step in AROUND_THE_COMMIT else MATRIX)
    for step in CUT
]


def at(step: Step, do: Callable[[], Any], nth: int = 1) -> None:
    """Do something once, when this process passes a step for the nth time."""
    count = itertools.count(1)

    def hook(reached: Step) -> None:
        if reached is step and next(count) == nth:
            do()

    runtime.at_each_step(hook)


def test_a_store_over_postgresql_does_all_that_a_store_does(shop):
    with shop.open() as fs:
        first = fs.write("d/a", OLD)
        assert fs.write("d/a", NEW).version > first.version
        fs.write("d/b", OLD)
        fs.mv("d/b", "e/c")
        fs.write("gone", OLD)
        fs.rm_file("gone")
        with fs.open("e/f", "wb") as file:
            file.write(LATER)
        with shop.open() as another:
            assert another.find("") == ["d/a", "e/c", "e/f"]
            assert read(another, "d/a") == NEW
            stands = {"d/a": NEW, "e/c": OLD, "e/f": LATER, "gone": None, "d/b": None}
            check_converged(shop, another, stands)


@pytest.mark.parametrize("step", STEPS)
def test_a_server_killed_in_the_middle_of_an_overwrite(shop, step):
    with shop.open() as fs:
        fs.write("p", OLD)
        at(step, shop.server.kill)
        with within(CATALOG_S):
            outcome = attempt(lambda: fs.write("p", NEW))
        assert outcome == ("ok" if CUT[step] else "not done")
        with within(CATALOG_S), pytest.raises(rs.CatalogUnavailableError):
            fs.read("p")
        shop.server.start()
        settled(shop, fs, NEW if CUT[step] else OLD)


@pytest.mark.parametrize("step", STEPS)
def test_a_server_that_hangs_in_the_middle_of_an_overwrite(shop, step):
    with contextlib.ExitStack() as hung, shop.open() as fs:
        fs.write("p", OLD)
        at(step, lambda: hung.enter_context(shop.server.hung()))
        with within(UNDER_WAY_S + SOME_S):
            outcome = attempt(lambda: fs.write("p", NEW))
        hung.close()
        found = read(fs, "p")
        assert (outcome, found) in ([("ok", NEW)] if CUT[step] else FAILED)
        settled(shop, fs, found)


def test_p6_a_move_that_loses_its_catalog_ends_as_soon_as_a_write_does(shop):
    """Of the two paths that it holds neither waits for the other's answer."""
    with contextlib.ExitStack() as hung, shop.open() as fs:
        fs.write("p", OLD)
        at(Step.MOVE_ARRIVED, lambda: hung.enter_context(shop.server.hung()))
        with within(UNDER_WAY_S):
            assert attempt(lambda: fs.mv("p", "q")) == "not done"
        hung.close()
        assert (read(fs, "p"), read(fs, "q")) == (OLD, None)


@pytest.mark.parametrize("opened", ["before", "meanwhile"])
def test_p6_every_call_that_begins_while_the_server_hangs_ends_within_two_seconds(shop, opened):
    with shop.open() as fs, shop.open() as fresh, ThreadPoolExecutor(len(CALLS)) as threads:
        fs.write("p", OLD)
        asked = fs if opened == "before" else fresh
        with shop.server.hung():
            begun = {name: threads.submit(timed, call, asked) for name, call in CALLS.items()}
            ended = {name: one.result() for name, one in begun.items()}
        assert {outcome for outcome, _ in ended.values()} == {"not done"}, ended
        assert max(took_s for _, took_s in ended.values()) < CATALOG_S + SOME_S, ended
        assert read(fs, "p") == OLD


def timed(call: Callable[[rs.ResilientFileSystem], Any], fs: Any) -> tuple[str, float]:
    began_s = time.monotonic()
    return attempt(lambda: call(fs)), time.monotonic() - began_s


def attempt(call: Callable[[], Any]) -> str:
    try:
        call()
    except rs.CatalogUnavailableError as error:
        return "unknown" if LOST_ANSWER in str(error) else "not done"
    return "ok"


def settled(shop: PostgresShop, fs: rs.ResilientFileSystem, stands: bytes | None) -> None:
    """See that all read the same, that the next writer needs no help, and that it converges."""
    runtime.at_each_step(None)
    with shop.open() as another:
        for _ in range(3):
            assert [read(store, "p") for store in (fs, another)] == [stands] * 2
        with within(LONGEST_LEASE_S + CATALOG_S + SLOW_S):
            another.write("p", LATER)
        assert read(fs, "p") == LATER
    check_converged(shop, fs, {"p": LATER})


# Answers that are lost


@pytest.fixture
def tap(shop) -> Iterator[Tap]:
    with Tap(shop.server.port) as tap:
        yield tap


DECIDING = {
    "write": (Step.WRITE_ARRIVED, lambda fs: fs.write("p", NEW), {"p": NEW, "q": None}),
    "delete": (Step.DELETE_BEGUN, lambda fs: fs.rm_file("p"), {"p": None, "q": None}),
    "move": (Step.MOVE_ARRIVED, lambda fs: fs.mv("p", "q"), {"p": None, "q": OLD}),
}


@pytest.mark.parametrize(
    ("call", "way"),
    [
        pytest.param(
            call, way, marks=[] if way == "after" or (call, way) == ("write", "before") else MATRIX
        )
        for call in DECIDING
        for way in ("before", "after", "silent")
    ],
)
def test_a_commit_whose_answer_is_lost_is_asked_again(shop, tap, call, way):
    """It is made once, and acknowledged: R6."""
    step, act, stands = DECIDING[call]
    with shop.open(shop.url(tap.port)) as fs, shop.open() as another:
        first = fs.write("p", OLD)
        at(step, lambda: tap.cut(b"COMMIT\0", way))
        with within(2 * CATALOG_S + SLOW_S):
            act(fs)
        assert tap._times == 0  # it was cut
        assert {path: read(another, path) for path in stands} == dict(stands)
        if call == "write":
            assert another.info("p")["version"] > first.version
            assert len(shop.rows("entries")) == 1
        check_converged(shop, another, stands)


def test_where_every_answer_is_lost_nothing_is_acknowledged_and_nothing_lost(shop, tap):
    with shop.open(shop.url(tap.port)) as fs, shop.open() as another:
        receipt = fs.write("p", OLD)
        tap.cut(b"COMMIT\0", "after", times=1000)
        for data in (NEW, LATER):
            with within(ASKED_AGAIN_S), pytest.raises(rs.CatalogUnavailableError):
                fs.write(f"{len(data)}", data)
        with within(ASKED_AGAIN_S), pytest.raises(rs.CatalogUnavailableError):
            fs.write("p", NEW)
        assert read(another, "p") == OLD
        tap.cut(b"COMMIT\0", "after", times=0)
        assert fs.write("p", NEW).version > receipt.version
        check_converged(shop, another, {"p": NEW})


# All at once


def test_acknowledged_writes_outlive_a_server_that_is_killed_and_hangs(shop):
    """Threads write and read on; what they are told fits one order of their calls."""
    history: list[Call] = []
    stop = threading.Event()

    def work(name: str, fs: rs.ResilientFileSystem) -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            history.append(called(fs, f"p{number % 2}", f"{name}-{number}"))
            history.append(called(fs, f"p{number % 2}"))
            if history[-1].outcome != "ok":
                stop.wait(0.1)

    with shop.open() as fs, shop.open() as another:
        for path in ("p0", "p1"):
            fs.write(path, b"first")
        threads = [
            threading.Thread(target=work, args=(f"t{n}", store))
            for n, store in enumerate((fs, fs, another))
        ]
        for thread in threads:
            thread.start()
        acknowledge(history, 6)
        shop.server.kill()
        shop.server.start()
        acknowledge(history, 6)
        with shop.server.hung():
            acknowledge(history, 1, outcome="refused")
        acknowledge(history, 6)
        stop.set()
        for thread in threads:
            thread.join(30)
        last = [called(fs, path) for path in ("p0", "p1")]
        check(history + last, {"p0": "first", "p1": "first"})
        check_converged(shop, fs, {c.path: c.value.encode() for c in last})


def acknowledge(history: list[Call], count: int, outcome: str = "ok") -> None:
    """Wait until so many more calls have ended so."""
    begun, until_s = len(history), time.monotonic() + 20.0
    while sum(c.outcome == outcome for c in history[begun:]) < count:
        assert time.monotonic() < until_s, "the calls do not go on"
        time.sleep(0.01)


def called(fs: rs.ResilientFileSystem, path: str, value: str | None = None) -> Call:
    """Write a value, or read; the error of a write says whether its outcome is known."""
    made = functools.partial(
        Call, kind="write" if value else "read", path=path, begin_s=time.monotonic()
    )
    try:
        found = fs.write(path, value.encode()) if value else fs.read(path)
    except rs.CatalogUnavailableError as error:
        if value and LOST_ANSWER in str(error):
            return made(value=value, outcome="unknown")
        return made(value=value, end_s=time.monotonic(), outcome="refused")
    except rs.ConcurrentWriteError:
        return made(value=value, end_s=time.monotonic(), outcome="refused")
    text = value or found.data.decode()
    return made(value=text, end_s=time.monotonic(), version=found.version)
