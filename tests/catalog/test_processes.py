"""Many processes on one catalog: forked, hammering, killed."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import threading
import time

import pytest

from resilient_store.catalog.contract import CatalogDownError
from resilient_store.catalog.location import locate
from resilient_store.catalog.opening import database_at
from resilient_store.testing.conformance.tables import at_once, draw
from tests.catalog.steps import put, version_of

ENDS_WITHIN_S = 20.0
HAMMER_S = 1.5


@pytest.fixture
def database(opened, url):
    database = opened(url)
    database.prepare()
    put(database, "a")
    return database


def in_a_child(work) -> int:
    """Fork, do something there, and return the child's id; its code says whether it went well."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        work()
        code = 0
    finally:
        os._exit(code)


def codes_of(pids: list[int]) -> list[int]:
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def open_files(name: str) -> list[str]:
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            found.append(os.readlink(f"/proc/self/fd/{number}"))
    return [file for file in found if name in file]


def check_intact(url: str) -> None:
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        connection.close()


def test_forked_children_write_with_connections_of_their_own(database, url):
    """While threads of the parent go on; no handle of theirs is there to be used or closed."""
    stop = threading.Event()
    errors = []

    def go_on(name):
        number = 0
        while not stop.is_set():
            number += 1
            try:
                put(database, name, version=number)
            except Exception as error:  # noqa: BLE001 - the test looks at it
                errors.append(error)

    threads = [threading.Thread(target=go_on, args=(f"thread{n}",)) for n in range(2)]
    for thread in threads:
        thread.start()

    def child(number):
        assert open_files("catalog.db") == []
        for count in range(5):
            put(database, f"child{number}/{count}")
        assert version_of(database, "a") == 1

    pids = [in_a_child(lambda n=n: child(n)) for n in range(8)]
    codes = codes_of(pids[::2] + pids[1::2])
    stop.set()
    for thread in threads:
        thread.join()
    assert (codes, errors) == ([0] * 8, [])
    wanted = [f"child{n}/{count}" for n in range(8) for count in range(5)]
    assert database.present(wanted) == wanted
    check_intact(url)


def test_threads_may_fork_at_once(database, url):
    def fork():
        return codes_of([in_a_child(lambda: put(database, "child")) for _ in range(3)])

    assert at_once([fork] * 4) == [[0] * 3] * 4
    put(database, "a", version=2)
    assert database.present(["child", "a"]) == ["child", "a"]
    check_intact(url)


def test_a_childs_end_does_not_disturb_its_parent(database, url):
    """Nor a grandchild's; numbers are drawn once by all of them."""
    first = draw(database)

    def child():
        assert draw(database) > first
        assert codes_of([in_a_child(lambda: put(database, "grandchild"))]) == [0]
        database.close()

    assert codes_of([in_a_child(child)]) == [0]
    assert version_of(database, "grandchild") == 1
    assert draw(database) > first + 1


def test_a_catalog_in_memory_is_refused_in_a_child(opened):
    database = opened("sqlite://")
    database.prepare()

    def child():
        with pytest.raises(CatalogDownError, match="belongs to the process"):
            put(database, "a")

    assert codes_of([in_a_child(child)]) == [0]


def test_a_connection_that_could_not_be_closed_before_a_fork_is_not_used_after(
    opened, file_url, monkeypatch
):
    """The parent's call takes longer than a fork waits: its child says so, and touches nothing."""
    monkeypatch.setattr("resilient_store.catalog.pool.FORK_WITHIN_S", 0.05)
    database = opened(file_url)
    database.prepare()
    begun, forked = threading.Event(), threading.Event()

    def wait(records, moment):
        begun.set()
        forked.wait(5)
        return records, None

    thread = threading.Thread(target=lambda: database.change(["a"], 1.0, wait))
    thread.start()
    begun.wait(5)

    def child():
        with pytest.raises(CatalogDownError, match="was in use when this process was forked"):
            put(database, "a")

    pid = in_a_child(child)
    forked.set()
    thread.join()
    assert codes_of([pid]) == [0]
    put(database, "a")
    check_intact(file_url)


class Writer:
    """A process that stores one object after the other, and says so once it was acknowledged."""

    def __init__(self, url: str, name: str, seconds: float) -> None:
        said, say = os.pipe()
        self.pid = in_a_child(lambda: write(url, name, seconds, say))
        os.close(say)
        self.said = os.fdopen(said)

    def end(self) -> tuple[int, list[str]]:
        """Wait for its end; return its code and what it has stored."""
        stored = self.said.read().split("\n")[:-1]
        self.said.close()
        return codes_of([self.pid])[0], stored


def write(url: str, name: str, seconds: float, say: int) -> None:
    database = database_at(locate(url))
    database.prepare()
    ends_s = time.monotonic() + seconds
    number = 0
    while time.monotonic() < ends_s:
        put(database, f"{name}/{number}")
        os.write(say, f"{name}/{number}\n".encode())
        number += 1


@pytest.mark.parametrize(
    ("count", "seconds"), [(8, HAMMER_S), pytest.param(16, 60.0, marks=pytest.mark.matrix)]
)
def test_nobody_hears_that_the_database_is_locked(database, url, count, seconds):
    writers = [Writer(url, f"w{number}", seconds) for number in range(count)]
    ended = [writer.end() for writer in writers]
    assert [code for code, _ in ended] == [0] * count
    for _, stored in ended:
        assert stored  # nobody starves
        assert database.present(stored) == stored
    check_intact(url)


def test_a_writer_that_is_killed_loses_nothing_that_was_acknowledged(database, url):
    for number in range(4):
        writers = [Writer(url, f"w{number}{name}", ENDS_WITHIN_S) for name in "ab"]
        first = [writer.said.readline().strip() for writer in writers]
        time.sleep(0.05 * number)
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
        for (code, more), path in zip([w.end() for w in writers], first, strict=True):
            assert code == -signal.SIGKILL
            assert database.present([path, *more]) == [path, *more] != [""]
        put(database, "a", version=2)
    check_intact(url)
