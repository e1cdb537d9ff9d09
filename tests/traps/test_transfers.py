"""What travels, and what is left when it stops on the way."""

from __future__ import annotations

import asyncio
import errno
import io
import itertools
import os
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest

import resilient_store as rs
from resilient_store import objects
from resilient_store.io import get
from tests.servers.waiting import until
from tests.traps.faulty import Faulty, directories, files_below, over

PART = 8 << 20
BLOCK = 4 << 20


@pytest.fixture
def fs(tmp_path):
    with rs.ResilientFileSystem(directories(tmp_path / "platforms")) as fs:
        yield fs


# Getting


def test_a_download_that_fails_leaves_the_earlier_file_alone(tmp_path):
    one = Faulty()
    one.behind("a", b"x" * (BLOCK * 2 + 1))
    target = tmp_path / "target"
    target.write_bytes(b"earlier")
    with over(one) as fs:
        reads = itertools.count()
        one.plan = lambda verb, path: (
            ConnectionResetError(errno.ECONNRESET, "no")
            if verb == "cat_file" and next(reads)
            else None
        )
        for to in (str(target), str(tmp_path / "new")):
            with pytest.raises(rs.BackendsUnavailableError):
                fs.get("a", to)
        assert [path.name for path in tmp_path.iterdir()] == ["target"]
        assert target.read_bytes() == b"earlier"
        one.heal()
        for client in fs.store.clients.values():
            client.health.__init__("one", lambda _: None)
        fs.get("a", str(target))
        assert target.stat().st_size == BLOCK * 2 + 1


def test_a_download_to_a_full_disk_leaves_the_earlier_file_alone(fs, tmp_path, monkeypatch):
    fs.write("a", b"x" * 1000)
    target = tmp_path / "target"
    target.write_bytes(b"earlier")

    class Full(io.FileIO):
        def write(self, data):
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("resilient_store.io.get.open", Full, raising=False)
    with pytest.raises(OSError, match="full"):
        fs.get("a", str(target))
    assert target.read_bytes() == b"earlier"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["platforms", "target"]


# Callbacks


class Watching(fsspec.Callback):
    def __init__(self, fail_at=None):
        super().__init__()
        self.seen = []
        self.fail_at = fail_at

    def call(self, hook_name=None, **kwargs):
        self.seen.append(self.value)
        if self.fail_at is not None and len(self.seen) > self.fail_at:
            raise ZeroDivisionError

    def branched(self, *_, **__):
        return self


@pytest.mark.parametrize("size", [0, 1, BLOCK, BLOCK + 1, 2 * PART + 3])
def test_progress_grows_and_ends_at_the_size(fs, tmp_path, size):
    local = tmp_path / "local"
    local.write_bytes(b"x" * size)
    for move in (
        lambda watching: fs.put_file(str(local), "a", callback=watching),
        lambda watching: fs.get_file("a", str(tmp_path / "back"), callback=watching),
    ):
        watching = Watching()
        move(watching)
        assert watching.seen == sorted(watching.seen)
        assert (watching.value, watching.size) == (size, size)


@pytest.mark.parametrize("fail_at", [0, 1, 2, 3])
def test_a_callback_that_raises_leaves_nothing_visible(fs, tmp_path, fail_at):
    local = tmp_path / "local"
    local.write_bytes(b"x" * (2 * PART))
    with pytest.raises(ZeroDivisionError):
        fs.put_file(str(local), "a", callback=Watching(fail_at))
    assert files_below(tmp_path / "platforms") == []
    fs.put_file(str(local), "a")
    target = tmp_path / "target"
    target.write_bytes(b"earlier")
    with pytest.raises(ZeroDivisionError):
        fs.get_file("a", str(target), callback=Watching(fail_at))
    assert target.read_bytes() == b"earlier"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["local", "platforms", "target"]


def test_progress_counts_no_byte_twice_when_a_backend_is_replaced(tmp_path):
    one, other = Faulty("one"), Faulty("other")
    for held in (one, other):
        held.behind("a", b"x" * (3 * BLOCK))
    reads = itertools.count()
    one.plan = lambda verb, path: (
        ConnectionResetError("no") if verb == "cat_file" and next(reads) >= 1 else None
    )
    watching = Watching()
    with over(one, other) as fs:
        fs.get_file("a", str(tmp_path / "a"), callback=watching)
    assert watching.seen == sorted(watching.seen)
    assert watching.value == watching.size == 3 * BLOCK


# Names that are free


def create(fs, way, path, data):
    if way == "pipe":
        fs.pipe_file(path, data, mode="create")
    elif way == "write":
        fs.write(path, iter([data]), mode="create")
    else:
        with fs.open(path, "xb") as file:
            file.write(data)


@pytest.mark.parametrize("way", ["pipe", "write", "open"])
@pytest.mark.parametrize("kind", ["directories", "memory", "mixed", "write_once", "one down"])
def test_of_many_creators_exactly_one_gets_the_name(tmp_path, way, kind):
    once = kind in ("write_once", "one down")
    backends = directories(tmp_path)
    if kind == "memory":
        backends = [rs.Backend(f"memory://{tmp_path.name}/{n}", name=f"m{n}") for n in range(2)]
    if kind == "mixed":
        backends = [backends[0], rs.Backend(f"memory://{tmp_path.name}/mixed", name="memory")]
    options = {"write_once": True, "write": rs.WriteToAll(min_copies=2)} if once else {}
    with rs.ResilientFileSystem(backends, **options) as fs:
        if kind == "one down":
            os.rmdir(tmp_path / "first")
        start = threading.Barrier(16)

        def compete(number):
            start.wait()
            try:
                create(fs, way, "a", b"%d" % number)
            except FileExistsError:
                return None
            return number

        with ThreadPoolExecutor(16) as pool:
            won = [n for n in pool.map(compete, range(16)) if n is not None]
        assert len(won) == 1
        assert fs.cat("a") == b"%d" % won[0]
        with pytest.raises(FileExistsError):
            create(fs, way, "a", b"later")
        copies = {path.read_bytes() for path in tmp_path.glob("*/a")}
        assert copies <= {b"%d" % won[0]}


def test_of_many_processes_exactly_one_gets_the_name(tmp_path):
    """Each with a store of its own, so that nothing but the disk is shared."""
    backends = directories(tmp_path)
    ready, go = os.pipe(), os.pipe()
    children = []
    for number in range(24):
        child = os.fork()
        if child == 0:
            code = 2
            try:
                fs = rs.ResilientFileSystem(backends)
                os.write(ready[1], b"!")
                os.read(go[0], 1)
                try:
                    fs.pipe_file("a", b"%d" % number, mode="create")
                    code = 0
                except FileExistsError:
                    code = 1
            finally:
                os._exit(code)
        children.append(child)
    for _ in children:
        os.read(ready[0], 1)
    os.write(go[1], b"!" * len(children))
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    assert sorted(codes) == [0, *[1] * 23]
    winner = b"%d" % codes.index(0)
    assert [(tmp_path / name / "a").read_bytes() for name in ("first", "second", "third")] == [
        winner
    ] * 3


test_of_many_processes_exactly_one_gets_the_name = pytest.mark.filterwarnings(
    "ignore:.*multi-threaded, use of fork:DeprecationWarning"
)(test_of_many_processes_exactly_one_gets_the_name)


# Sources that are read once


@pytest.mark.parametrize("size", [0, 1, BLOCK, PART, PART + 1])
def test_the_callers_file_is_left_open_at_its_end(fs, size):
    file = io.BytesIO(b"#" + b"x" * size)
    file.seek(1)
    assert fs.write("a", file).size == size
    assert (file.closed, file.tell()) == (False, size + 1)
    fs.put_file(file, "empty")
    assert (file.closed, fs.size("a"), fs.size("empty")) == (False, size, 0)


def test_what_can_be_read_only_once_reaches_every_backend(fs, tmp_path):
    class Pipe(io.RawIOBase):
        def __init__(self, data):
            self.data = io.BytesIO(data)

        def readable(self):
            return True

        def readinto(self, buffer):
            return self.data.readinto(memoryview(buffer)[:1000])

    data = os.urandom(100_000)
    fs.write("pipe", Pipe(data))
    fs.write("generator", (data[n : n + 999] for n in range(0, len(data), 999)))
    fs.write("list", [data, b"", bytearray(data), memoryview(data)])
    for platform in ("first", "second", "third"):
        folder = tmp_path / "platforms" / platform
        assert (folder / "pipe").read_bytes() == (folder / "generator").read_bytes() == data
        assert (folder / "list").read_bytes() == data * 3


def test_a_source_that_is_no_bytes_leaves_nothing(fs, tmp_path):
    class NotYet(io.RawIOBase):
        def read(self, size=-1):
            return None

    def fails():
        yield b"x" * PART
        yield b"x" * PART
        raise ZeroDivisionError

    sources = {
        TypeError: ["text", ["text"], [b"x", None, b"y"], io.StringIO("text"), 7, [7]],
        BlockingIOError: [NotYet()],
        ZeroDivisionError: [fails()],
    }
    for expected, given in sources.items():
        for source in given:
            with pytest.raises(expected):
                fs.write("a", source)
    assert files_below(tmp_path / "platforms") == []


def test_a_pipe_feeds_a_slow_and_a_failing_backend_within_bounded_memory(tmp_path):
    size = 24 * PART
    backends = directories(tmp_path, ("one", "slow", "failing"))
    options = {"write_once": "unique-names", "write": rs.WriteToAll(min_copies=2)}
    with rs.ResilientFileSystem(backends, **options) as fs:
        reading, writing = os.pipe()

        def feed():
            with os.fdopen(writing, "wb") as sink:
                for _ in range(size // PART):
                    sink.write(b"x" * PART)

        _delay_and_fail(fs)
        thread = threading.Thread(target=feed)
        tracemalloc.start()
        thread.start()
        with os.fdopen(reading, "rb") as source:
            receipt = fs.write("a", source)
        thread.join()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert (receipt.copies, receipt.pending) == (("one", "slow"), ("failing",))
        assert peak < 12 * PART
        assert (tmp_path / "one" / "a").stat().st_size == size
        assert (tmp_path / "slow" / "a").stat().st_size == size
    assert files_below(tmp_path) == ["one/a", "slow/a"]


def _delay_and_fail(fs):
    """Make one backend's parts slow and another's fail at 60 %."""
    for name in ("slow", "failing"):
        client = fs.store.clients[name]
        begin = client.upload
        parts = itertools.count()

        async def upload(key, *, begin=begin, name=name, parts=parts, **options):
            import asyncio

            reply = await begin(key, **options)
            inner = reply.value._upload
            send = inner.write

            async def write(part):
                if name == "slow":
                    await asyncio.sleep(0.02)
                elif next(parts) > 14:
                    raise ConnectionResetError(errno.ECONNRESET, "no")
                await send(part)

            inner.write = write
            return reply

        client.upload = upload


@pytest.mark.parametrize("verb", ["put_file", "get_file"])
def test_p6_a_transfer_that_is_cancelled_while_a_slow_disk_opens_its_file_leaves_nothing(
    fs, tmp_path, monkeypatch, verb
):
    """What is opened in the end is closed, and what it made is removed."""
    fs.write("a", b"bytes")
    (tmp_path / "folder").mkdir()
    local = tmp_path / "folder" / "local"
    if verb == "put_file":
        local.write_bytes(b"bytes")
    begins, goes_on, opened = threading.Event(), threading.Event(), []

    def slowly(*arguments):
        begins.set()
        assert goes_on.wait(30)
        opened.append(open(*arguments))  # noqa: SIM115
        return opened[0]

    monkeypatch.setattr(objects if verb == "put_file" else get, "open", slowly, raising=False)
    ends = {"put_file": (str(local), "b"), "get_file": ("a", str(local))}

    async def main():
        call = asyncio.ensure_future(getattr(fs, f"_{verb}")(*ends[verb]))
        assert await asyncio.to_thread(begins.wait, 30)
        call.cancel()
        await asyncio.wait([call])
        assert call.cancelled()

    asyncio.run_coroutine_threadsafe(main(), fs.loop).result(60)
    goes_on.set()
    assert until(lambda: opened and opened[0].closed)
    left = ["local"] if verb == "put_file" else []
    assert until(lambda: [path.name for path in (tmp_path / "folder").iterdir()] == left)
