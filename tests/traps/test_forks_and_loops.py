"""Forks, threads, and event loops that come and go."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import pytest
from fsspec.asyn import sync

import resilient_store as rs
from resilient_store.backends.families import memory as memory_family
from resilient_store.catalog import catalog as catalog_module
from resilient_store.catalog.opening import database_at
from resilient_store.importing import import_in_turn
from resilient_store.threads import CLEARED_UP_AT, DaemonPool
from tests.traps.faulty import Faulty, directories, files_below, over, two

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")

# Python warns of forks in a process with threads; that such forks work is what is tested.
forks = pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
_used_by_children: list[rs.ResilientFileSystem] = []


@contextlib.contextmanager
def alarm(seconds: int = 20):
    """End this process if it hangs."""
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)


def in_child(work) -> None:
    """Fork, do the work there, and see that it succeeded."""
    child = os.fork()
    if child == 0:
        code = 1
        signal.alarm(20)
        try:
            work()
            code = 0
        except BaseException:  # noqa: BLE001 - whatever it was, the parent sees the exit code
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


def store_over(kind: str, folder: Path) -> rs.ResilientFileSystem:
    if kind == "directories":
        return rs.ResilientFileSystem(directories(folder))
    if kind == "memory":
        return rs.ResilientFileSystem([rs.Backend(f"memory://{folder.name}", name="memory")])
    return over(Faulty("one"), Faulty("other"))


@forks
@pytest.mark.parametrize("kind", ["directories", "memory", "any"])
def test_a_store_in_use_works_on_in_a_forked_child(kind, tmp_path):
    with store_over(kind, tmp_path) as fs, alarm():
        fs.write("before", b"1")

        def work() -> None:
            assert fs.cat("before") == b"1"
            fs.write("in child", b"2")
            assert sorted(fs.find("")) == ["before", "in child"]
            with ThreadPoolExecutor(16) as pool:
                assert list(pool.map(fs.cat, ["in child"] * 64)) == [b"2"] * 64
            fs.rm("in child")

        in_child(work)
        assert fs.cat("before") == b"1"
        fs.write("after", b"3")


@forks
def test_a_lock_that_a_thread_held_is_not_held_in_the_child(tmp_path):
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with memory_family._lock:
            held.set()
            let_go.wait(20)

    with store_over("memory", tmp_path) as fs, alarm():
        fs.write("a", b"1")
        thread = threading.Thread(target=hold)
        thread.start()
        held.wait()

        def work() -> None:
            for _ in range(16):  # they get what is left of the parent's threads, identity included
                threading.Thread(target=let_go.wait, args=(20,), daemon=True).start()
            fs.write("b", fs.cat("a"))

        try:
            in_child(work)
        finally:
            let_go.set()
            thread.join()


@forks
def test_a_catalog_that_a_thread_was_opening_is_opened_in_the_child(tmp_path, monkeypatch):
    begun, go_on = threading.Event(), threading.Event()

    def slowly(location):
        begun.set()
        assert go_on.wait(10)
        return database_at(location)

    monkeypatch.setattr(catalog_module, "database_at", slowly)
    monkeypatch.setattr(catalog_module, "OPEN_WITHIN_S", 5.0)
    catalog = catalog_module.Catalog(f"sqlite:///{tmp_path}/photos.db")

    def work() -> None:
        go_on.set()
        asyncio.run(catalog.prepare())

    with alarm(), ThreadPoolExecutor(1) as threads:
        opening = threads.submit(asyncio.run, catalog.prepare())
        assert begun.wait(10)
        in_child(work)
        go_on.set()
        opening.result(10)
    asyncio.run(catalog.close())


SLOW_MODULE = """
import its_events
its_events.begun.set()
assert its_events.go_on.wait(10)
"""


@forks
def test_modules_are_imported_one_at_a_time_and_a_child_waits_for_none(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    events = SimpleNamespace(begun=threading.Event(), go_on=threading.Event())
    monkeypatch.setitem(sys.modules, "its_events", events)
    names = [f"{tmp_path.name.replace('-', '_')}_{part}" for part in ("slow", "next", "child")]
    for name, text in zip(names, (SLOW_MODULE, "", ""), strict=True):
        (tmp_path / f"{name}.py").write_text(text)
    slow, after, in_the_child = names
    with alarm(), ThreadPoolExecutor(2) as threads:
        first = threads.submit(import_in_turn, slow)
        assert events.begun.wait(10)
        second = threads.submit(import_in_turn, after)
        in_child(lambda: import_in_turn(in_the_child))
        assert after not in sys.modules
        events.go_on.set()
        assert first.result(10) is sys.modules[slow]
        assert second.result(10) is sys.modules[after]


@forks
def test_children_may_be_forked_while_threads_read_and_write(tmp_path):
    stop = threading.Event()
    with (
        store_over("directories", tmp_path) as disks,
        store_over("memory", tmp_path) as memory,
        alarm(),
    ):
        for fs in (disks, memory):
            fs.write("before", b"1" * 100_000)

        def work(fs, number) -> None:
            while not stop.is_set():
                fs.write(f"from/{number}", b"2" * 1000)
                fs.cat("before")

        threads = [
            threading.Thread(target=work, args=(fs, n)) for n in range(2) for fs in (disks, memory)
        ]
        for thread in threads:
            thread.start()
        try:
            for number in range(12):
                fs = (disks, memory)[number % 2]
                in_child(lambda fs=fs: fs.cat("before") and fs.write("mine", b"4"))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert disks.cat("mine") == b"4"


@forks
def test_a_child_from_a_pool_of_forked_processes_works(tmp_path):
    with store_over("directories", tmp_path) as fs, alarm():
        fs.write("a", b"1")
        _used_by_children.append(fs)
        try:
            with multiprocessing.get_context("fork").Pool(3) as pool:
                assert pool.map(_read_and_write, range(12)) == [b"1"] * 12
        finally:
            _used_by_children.clear()
        assert len(fs.find("child")) == 12


def _read_and_write(number: int) -> bytes:
    fs = _used_by_children[0]
    fs.write(f"child/{number}", b"x")
    data: bytes = fs.cat("a")
    return data


@forks
def test_a_file_open_for_writing_is_its_parents_to_finish(tmp_path):
    with store_over("directories", tmp_path) as fs, alarm():
        file = fs.open("a", "wb")
        file.write(b"x" * (9 << 20))

        def work() -> None:
            nonlocal file
            del file  # as a child does that ends and drops what it inherited
            fs.write("b", b"1")

        in_child(work)
        file.close()
        assert fs.size("a") == 9 << 20


@forks
def test_a_file_open_for_reading_can_be_read_in_a_child(tmp_path):
    with store_over("directories", tmp_path) as fs, alarm():
        fs.write("a", bytes(range(256)) * 100)
        with fs.open("a", block_size=16) as file:
            head = file.read(10)

            def work() -> None:
                file.seek(100)
                assert file.read(10) == bytes(range(100, 110))

            in_child(work)
            assert head + file.read(10) == bytes(range(20))


@forks
def test_many_threads_of_a_child_assemble_one_store(tmp_path):
    with store_over("directories", tmp_path) as fs, alarm():
        fs.write("a", b"1")

        def work() -> None:
            start = threading.Barrier(16)

            def use(_: int) -> int:
                start.wait()
                fs.cat("a")
                return id(fs.store)

            with ThreadPoolExecutor(16) as pool:
                assert len(set(pool.map(use, range(16)))) == 1

        in_child(work)


def test_equal_arguments_make_two_stores_in_any_thread(tmp_path):
    backends = directories(tmp_path)
    start = threading.Barrier(32)

    def build(number: int) -> rs.ResilientFileSystem:
        start.wait()
        fs = rs.ResilientFileSystem(backends)
        fs.write(f"{number}", b"%d" % number)
        return fs

    with ThreadPoolExecutor(32) as pool:
        stores = list(pool.map(build, range(32)))
    assert len({id(fs) for fs in stores}) == len({id(fs.store) for fs in stores}) == 32
    assert len({id(c.health) for fs in stores for c in fs.store.clients.values()}) == 96
    assert sorted(stores[0].find(""), key=int) == [str(number) for number in range(32)]
    for fs in stores:
        fs.close()


def test_a_sick_backend_of_one_store_is_well_in_another():
    one = Faulty()
    with over(one) as sick, over(one) as well:
        one.behind("a", b"1")
        one.fail("unavailable")
        for _ in range(6):
            with pytest.raises(rs.BackendsUnavailableError):
                sick.cat("a")
        one.heal()
        assert not sick.store.clients["one"].health.is_closed("read")
        assert well.store.clients["one"].health.is_closed("read")
        assert well.cat("a") == b"1"


def test_a_write_given_up_says_that_it_may_happen_and_does_not_publish_later(tmp_path):
    """A time-out that stops waiting, not working: what lands later lands nowhere that counts."""
    hold, held = threading.Event(), threading.Event()
    one = Faulty()
    store = one.pipe_file

    def slow(path, value, **options):
        held.set()
        hold.wait(20)
        return store(path, value, **options)

    one.pipe_file = slow
    one.behind("a", b"old")
    backend = rs.Backend(one, root="/root", name="one", timeout=0.3)
    with rs.ResilientFileSystem([backend]) as fs:
        with pytest.raises(rs.InsufficientCopiesError, match="timed out"):
            fs.write("a", b"new")
        assert held.is_set()
        hold.set()
        for client in fs.store.clients.values():
            client.health.__init__("one", lambda _: None)
        one.pipe_file = store
        fs.write("a", b"newer")
        assert (fs.cat("a"), fs.find("")) == (b"newer", ["a"])


# Loops


def test_the_blocking_calls_work_inside_a_running_loop(tmp_path):
    """As in a notebook, or in an async web handler that forgot: it blocks, it never hangs."""

    async def handler() -> bytes:
        with rs.ResilientFileSystem(directories(tmp_path)) as fs:
            fs.write("a", b"1")
            with fs.open("a") as file:
                return file.read() + fs.cat("a")

    with alarm():
        assert asyncio.run(handler()) == b"11"


def test_a_blocking_call_on_the_stores_own_loop_is_refused_at_once(tmp_path):
    with rs.ResilientFileSystem(directories(tmp_path)) as fs, alarm():
        fs.write("a", b"1")

        async def inside() -> list[str]:
            said = []
            for call in (lambda: fs.cat("a"), lambda: fs.write("b", b""), lambda: fs.open("a")):
                try:
                    call()
                except NotImplementedError as error:
                    said.append(str(error))
            return [*said, (await fs._cat("a")).decode()]

        said = asyncio.run_coroutine_threadsafe(inside(), fs.loop).result(10)
        assert [len(said), said[-1]] == [4, "1"]
        assert all("running loop" in text for text in said[:3])


def test_a_callback_and_a_hook_may_not_hang_the_store():
    """They run on the store's loop: a blocking call there fails, and harms nothing."""
    one = Faulty()
    said = []

    def hook(result: rs.ReadResult) -> None:
        try:
            fs.exists("a")
        except NotImplementedError as error:
            said.append(error)

    with alarm(), over(one, degraded={"a": ["b"]}, on_degraded=hook) as fs:
        one.behind("b", b"2")
        assert fs.read("a").data == b"2"
    assert len(said) == 1


def test_an_asynchronous_store_serves_one_loop_after_another(tmp_path):
    fs = rs.ResilientFileSystem(directories(tmp_path), asynchronous=True)

    async def use(number: int) -> bytes:
        await fs._write("a", b"%d" % number)
        async with await fs.open_async("b", "wb") as file:
            await file.write(b"!")
        async with await fs.open_async("b") as file:
            mark = await file.read()
        data: bytes = await fs._cat_file("a") + mark
        if number == 2:
            await fs._close()
        return data

    assert [asyncio.run(use(number)) for number in (1, 2)] == [b"1!", b"2!"]


def test_threads_share_a_store(tmp_path):
    with rs.ResilientFileSystem(directories(tmp_path)) as fs, ThreadPoolExecutor(16) as pool:

        def use(number: int) -> bytes:
            fs.write(f"{number}", b"%d" % number)
            with fs.open(f"{number}") as file:
                return file.read()

        assert list(pool.map(use, range(48))) == [b"%d" % number for number in range(48)]


def test_where_the_system_gives_no_thread_a_pool_asks_again_for_the_next_call(monkeypatch):
    start, scarce, go_on, made = threading.Thread.start, threading.Event(), threading.Event(), []

    def start_if_any(thread):
        if scarce.is_set() and thread.name.startswith("resilient-scarce"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_any)
    pool = DaemonPool("scarce", 2)

    async def use():
        scarce.set()
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await pool.run(lambda _: made.append("what was refused"))
        scarce.clear()
        busy = asyncio.create_task(pool.run(lambda _: go_on.wait(10)))
        await asyncio.sleep(0)
        scarce.set()
        queued = asyncio.create_task(pool.run(lambda _: "by the thread that was busy"))
        await asyncio.sleep(0)
        go_on.set()
        return await busy, await queued

    assert asyncio.run(use()) == (True, "by the thread that was busy")
    assert made == []


def test_where_the_system_gives_no_thread_the_catalog_is_away(tmp_path, monkeypatch):
    start, scarce = threading.Thread.start, threading.Event()

    def start_if_any(thread):
        if scarce.is_set() and thread.name.startswith("resilient-catalog"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_if_any)
    catalog = f"sqlite:///{tmp_path}/photos.db"
    with rs.ResilientFileSystem(directories(tmp_path), catalog=catalog) as fs:
        scarce.set()
        with pytest.raises(rs.CatalogUnavailableError, match="could not be loaded at all: can't"):
            fs.exists("cat")
        scarce.clear()
        fs.write("cat", b"whole")
        sync(fs.loop, fs.store.known.close)  # its threads end
        scarce.set()
        with pytest.raises(rs.CatalogUnavailableError, match="could not be asked: can't"):
            fs.read("cat")
        with pytest.raises(rs.CatalogUnavailableError, match="could not be asked: can't"):
            fs.write("cat", b"other")
        scarce.clear()
        assert fs.read("cat").data == b"whole"


def test_calls_that_are_given_up_behind_one_that_hangs_are_let_go_of():
    pool, go_on = DaemonPool("hung", 1), threading.Event()

    async def gives_up():
        task = asyncio.create_task(pool.run(lambda _: pytest.fail("nobody waits for it")))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    async def use():
        first = asyncio.create_task(pool.run(lambda _: go_on.wait(20)))
        second = asyncio.create_task(pool.run(lambda _: "waited for all the time"))
        await asyncio.sleep(0)
        for _ in range(2 * CLEARED_UP_AT):
            await gives_up()
        assert pool._jobs.qsize() <= CLEARED_UP_AT
        go_on.set()
        return await first, await second

    assert asyncio.run(use()) == (True, "waited for all the time")


SHORT_SCRIPT = """
import asyncio, gc, sys, threading, warnings
import resilient_store as rs
folder = sys.argv[1]

def build(**options):
    return rs.ResilientFileSystem(
        [rs.Backend(f"{folder}/{name}", name=name) for name in ("one", "two")], **options
    )

for number in range(100):
    fs = build()
    if number % 10 == 0:
        fs.write(f"{number}", b"x")
        with fs.open(f"{number}") as file:
            file.read()
    if number % 3 == 0:
        fs.close()
del fs
gc.collect()

async def once():
    fs = build(asynchronous=True)
    await fs._write("a", b"1")
    assert await fs._cat("a") == b"1"

async def and_close():
    async with build(asynchronous=True) as fs:
        assert await fs._cat("a") == b"1"

asyncio.run(once())
asyncio.run(and_close())
threads = [threading.Thread(target=lambda: build().cat("a")) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
left = build()
file = left.open("never closed", "rb" if left.exists("never closed") else "wb")
file.write(b"x")
gc.collect()
print("done")
"""


def test_a_script_that_makes_many_stores_ends_cleanly(tmp_path):
    directories(tmp_path, ("one", "two"))
    command = [sys.executable, "-W", "error", "-X", "dev", "-c", SHORT_SCRIPT, str(tmp_path)]
    started_s = time.monotonic()
    ended = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (ended.returncode, ended.stdout) == (0, "done\n"), ended.stderr
    expected = ("was dropped", "Executing <")  # asyncio's debug mode tells of slow callbacks
    assert [x for x in ended.stderr.splitlines() if not any(e in x for e in expected)] == []
    assert time.monotonic() - started_s < 20
    assert not [name for name in files_below(tmp_path) if name.endswith("never closed")]


def test_a_hung_backend_does_not_keep_a_process_from_ending(tmp_path):
    script = """
import sys, threading
import resilient_store as rs
from resilient_store.threads import CLEARED_UP_AT, DaemonPool
from tests.traps.faulty import Faulty
one = Faulty()
one.info = one.cat_file = lambda *_, **__: threading.Event().wait()
fs = rs.ResilientFileSystem([rs.Backend(one, root="/root", timeout=0.2)])
try:
    fs.cat("a")
except rs.BackendsUnavailableError:
    print("done")
"""
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "done\n", "")


def test_two_stores_do_not_stop_one_another():
    fs, one, _ = two()
    with fs:
        one.behind("a", b"1")
        assert fs.cat("a") == b"1"
        with over(Faulty("third")) as third:
            third.write("a", b"3")
        assert fs.cat("a") == b"1"
