"""Disks that lose power, fill up, are not mounted, fold names, or have links."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import resilient_store as rs
from resilient_store.backends.families import disk
from tests.traps.faulty import Faulty as FaultyMemory
from tests.traps.faulty import directories, files_below, over

CALLS = ("open", "fsync", "link", "replace", "unlink", "mkdir")


@pytest.fixture
def fs(tmp_path):
    with rs.ResilientFileSystem(directories(tmp_path, ("one", "two"))) as fs:
        yield fs


@pytest.fixture
def one_disk(tmp_path):
    with rs.ResilientFileSystem(directories(tmp_path, ("one",))) as fs:
        yield fs


class Recorder:
    """Stands in for `os` in the family, and writes down what would survive a power cut."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.calls: list[tuple[str, str]] = []
        self.names: dict[int, str] = {}

    def __getattr__(self, name):
        return getattr(os, name)

    def note(self, call: str, path: str) -> None:
        shown = os.path.relpath(path, self.root)
        hidden = os.path.basename(shown).startswith(".resilient-")
        self.calls.append((call, os.path.join(os.path.dirname(shown), "TMP") if hidden else shown))

    def fsync(self, descriptor):
        self.note("fsync", os.readlink(f"/proc/self/fd/{descriptor}"))
        os.fsync(descriptor)

    def link(self, source, target):
        self.note("link", target)
        os.link(source, target)

    def replace(self, source, target):
        self.note("replace", target)
        os.replace(source, target)

    def mkdir(self, path):
        self.note("mkdir", path)
        os.mkdir(path)


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    recorder = Recorder(tmp_path / "one")
    monkeypatch.setattr(disk, "os", recorder)
    return recorder


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to name descriptors")
@pytest.mark.parametrize("size", [10, (8 << 20) + 1])
def test_p1_a_new_file_is_on_the_disk_before_it_has_its_name(one_disk, recorder, size):
    one_disk.write("d/a", b"x" * size)
    assert recorder.calls == [
        ("mkdir", "d"),
        ("fsync", "."),
        ("fsync", "d/TMP"),
        ("link", "d/a"),
        ("fsync", "d"),
    ]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc to name descriptors")
@pytest.mark.parametrize("size", [10, (8 << 20) + 1])
def test_p1_an_overwrite_is_on_the_disk_before_it_replaces(one_disk, recorder, size):
    one_disk.write("d/a", b"old")
    recorder.calls.clear()
    one_disk.write("d/a", b"x" * size)
    order = [call for call in recorder.calls if call[0] != "mkdir"]
    synced = [i for i, (call, path) in enumerate(order) if call == "fsync" and "TMP" in path]
    (named,) = [i for i, call in enumerate(order) if call == ("replace", "d/a")]
    assert len(synced) == 1
    assert synced[0] < named
    assert ("fsync", "d") in order[named:]


@pytest.mark.parametrize("call", ["fsync", "link", "replace"])
def test_p1_a_disk_that_cannot_make_it_durable_acknowledges_nothing(
    one_disk, tmp_path, monkeypatch, call
):
    one_disk.write("a", b"old")

    def fail(*_):
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as patch:
        patch.setattr(disk.os, call, fail)
        with pytest.raises(rs.InsufficientCopiesError):
            one_disk.write("a" if call == "replace" else "new", b"new")
    assert one_disk.cat("a") == b"old"
    assert not [name for name in files_below(tmp_path) if ".resilient" in name]


def test_a_temporary_file_lies_beside_its_target(fs, tmp_path, monkeypatch):
    """Never in the system's folder, which may be full, or another device."""
    monkeypatch.setenv("TMPDIR", "/nonexistent")
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    with fs.open("d/a", "wb") as file:
        file.write(b"x" * (9 << 20))
        begun = [name for name in files_below(tmp_path) if "one/" in name]
        assert [os.path.dirname(name) for name in begun] == ["one/d"]
        assert fs.find("") == []
    assert fs.size("d/a") == 9 << 20


def test_a_full_temporary_folder_is_said_and_leaves_no_object(monkeypatch):
    """Where a filesystem of which nothing is known needs one."""
    memory = FaultyMemory()
    monkeypatch.setattr("tempfile.tempdir", "/dev/full/nowhere")
    with over(memory) as fs:
        with pytest.raises(rs.ResilientStoreError):
            fs.write("a", b"x" * (9 << 20))
        assert memory.keys() == []
        fs.write("small", b"x")


def test_p8_a_reader_sees_the_old_file_or_the_new_one(fs, tmp_path):
    sizes = (100_000, 300_000)
    fs.write("a", b"x" * sizes[0])
    stop, seen = threading.Event(), set()

    def poll():
        while not stop.is_set():
            seen.add((tmp_path / "one" / "a").stat().st_size)
            seen.add(len((tmp_path / "two" / "a").read_bytes()))

    thread = threading.Thread(target=poll)
    thread.start()
    for number in range(20):
        fs.write("a", b"x" * sizes[number % 2])
    stop.set()
    thread.join()
    assert seen <= set(sizes)


def test_writers_do_not_pull_directories_from_under_each_other(fs):
    failed = []

    def write(number):
        for count in range(30):
            try:
                fs.write(f"overwritten {number}", b"%d" % count)
            except rs.ResilientStoreError as error:
                failed.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_what_is_under_way_is_in_no_listing_and_is_no_object(fs, tmp_path):
    fs.write("d/old", b"1")
    with fs.open("d/new", "wb") as new, fs.open("d/old", "wb") as old:
        for file in (new, old):
            file.write(b"x" * (9 << 20))
        assert fs.find("") == ["d/old"]
        assert fs.ls("d", detail=False) == ["d/old"]
        assert fs.ls("", detail=False) == ["d"]
        assert fs.glob("**") == ["d", "d/old"]
        assert list(fs.walk("")) == [("", ["d"], []), ("d", [], ["old"])]
        assert fs.du("") == 1
        assert len(files_below(tmp_path)) > 2
        for hidden in (name.partition("/")[2] for name in files_below(tmp_path)):
            if ".resilient" in hidden:
                with pytest.raises(rs.InvalidPathError):
                    fs.cat(hidden)


KILLED = """
import os, sys
import resilient_store as rs
backends = [rs.Backend(path, name=os.path.basename(path)) for path in sys.argv[1:]]
fs = rs.ResilientFileSystem(backends)
files = [fs.open(path, "wb") for path in ("d/new", "d/old")]
for file in files:
    file.write(b"x" * (9 << 20))
print("begun", flush=True)
sys.stdin.read()
"""


def test_p8_what_a_killed_process_left_is_swept_when_it_is_old_and_not_before(fs, tmp_path):
    fs.write("d/old", b"1")
    folders = [str(tmp_path / name) for name in ("one", "two")]
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED, *folders],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with child:
        assert child.stdout.readline() == "begun\n"
        child.send_signal(signal.SIGKILL)
    left = [name for name in files_below(tmp_path) if ".resilient" in name]
    assert len(left) == 4
    assert (fs.find(""), fs.cat("d/old")) == (["d/old"], b"1")
    assert not any(rs.sweep(fs, older_than=3600).removed.values())
    assert [name for name in files_below(tmp_path) if ".resilient" in name] == left
    for name in left:
        os.utime(tmp_path / name, (time.time() - 7200,) * 2)
    report = rs.sweep(fs, older_than=3600)
    assert sum(map(len, report.removed.values())) == 4
    assert report.failed == ()
    assert files_below(tmp_path) == ["one/d/old", "two/d/old"]


@pytest.mark.parametrize("used", [False, True])
def test_p5_a_root_that_is_not_there_is_unavailable_and_never_empty(fs, tmp_path, used):
    if used:
        fs.write("d/a", b"1")
        fs.find("")
    os.rename(tmp_path / "two", tmp_path / "away")
    for look in (lambda: fs.exists("b"), lambda: fs.ls(""), lambda: fs.cat("b"), lambda: fs.du("")):
        with pytest.raises(rs.BackendsUnavailableError, match="two: unavailable"):
            look()
    for change in (lambda: fs.write("b", b"2"), lambda: fs.rm("d/a"), lambda: fs.mkdir("e")):
        with pytest.raises(rs.ResilientStoreError):
            change()
    assert not (tmp_path / "two").exists()
    os.rename(tmp_path / "away", tmp_path / "two")
    if used:
        assert fs.cat("d/a") == b"1"


def test_p5_a_directory_removed_during_a_listing_hides_nothing_else(fs, tmp_path, monkeypatch):
    for path in ("a/1", "b/2", "c/3"):
        fs.write(path, b"x")
    scan = os.scandir

    def scandir(path):
        if os.path.basename(path) == "b" and "one" in path:
            raise FileNotFoundError(errno.ENOENT, "gone")
        return scan(path)

    monkeypatch.setattr(disk.os, "scandir", scandir)
    assert fs.find("") == ["a/1", "b/2", "c/3"]


class Folding(FaultyMemory):
    """Takes names that differ only in case for one."""

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path).lower()


def test_two_names_that_fold_into_one_are_refused_or_kept_apart(tmp_path):
    folding = Folding("folding")
    backends = [rs.Backend(folding, root="/root", name="folding", domain="folding")]
    with rs.ResilientFileSystem([*directories(tmp_path, ("one",)), *backends]) as fs:
        fs.write("cat.jpg", b"small")
        with pytest.raises(rs.ResilientStoreError):
            fs.write("Cat.jpg", b"large")
        assert fs.cat("cat.jpg") == b"small"
        assert folding.holds("cat.jpg") == b"small"
        assert files_below(tmp_path) == ["one/cat.jpg"]


part = st.sampled_from(["a", "b", "ab", "é", "x y"])
below = st.lists(part, min_size=1, max_size=3)


@given(key=below, more=below)
@settings(max_examples=15, suppress_health_check=list(HealthCheck))
def test_a_key_and_one_below_it_are_refused_on_all_backends_or_on_none(fs, tmp_path, key, more):
    short, long = "/".join(key), "/".join([*key, *more])
    for first, second in ((short, long), (long, short)):
        fs.write(first, b"first")
        with pytest.raises(rs.InvalidPathError):
            fs.write(second, b"second")
        assert (fs.find(""), fs.cat(first)) == ([first], b"first")
        assert files_below(tmp_path) == [f"one/{first}", f"two/{first}"]
        fs.rm(first.split("/")[0], recursive=True)


# Links


@pytest.fixture
def linked(fs, tmp_path):
    """Make a tree with every kind of link, the same on both disks."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    fs.write("real/original", b"original")
    for root in (tmp_path / "one", tmp_path / "two"):
        (root / "out").symlink_to(outside)
        (root / "out file").symlink_to(outside / "secret")
        (root / "up").symlink_to(root)
        (root / "real" / "round").symlink_to("..")
        (root / "self").symlink_to("self")
        (root / "dangling").symlink_to("nothing")
        (root / "alias").symlink_to("real")
        (root / "file alias").symlink_to("real/original")
    return fs


def test_links_are_followed_neither_out_nor_round(linked):
    assert linked.find("") == ["file alias", "real/original"]
    assert linked.find("", withdirs=True) == ["file alias", "real", "real/original"]
    assert linked.cat("file alias") == b"original"
    astray = ("out", "out/secret", "out file", "up", "up/real/original", "real/round/alias")
    for path in (*astray, "self", "self/x", "dangling", "alias", "alias/original"):
        assert not linked.exists(path), path
        with pytest.raises(FileNotFoundError):
            linked.cat(path)


def test_nothing_is_written_or_removed_through_a_link(linked, tmp_path):
    before = files_below(tmp_path)
    for path in ("out/new", "out", "up/new", "alias/new", "self/new", "real/round/new", "alias"):
        with pytest.raises((rs.ResilientStoreError, FileExistsError)):
            linked.write(path, b"new")
    for path in ("out", "up", "alias", "real/round", "out/secret", "alias/original"):
        for recursive in (False, True):
            with pytest.raises((FileNotFoundError, rs.ResilientStoreError)):
                linked.rm(path, recursive=recursive)
    assert files_below(tmp_path) == before
    linked.rm("file alias")
    assert linked.find("") == ["real/original"]
    assert linked.cat("real/original") == b"original"


def test_a_recursive_removal_takes_the_links_place_and_nothing_behind_it(linked, tmp_path):
    with pytest.raises(rs.BackendsUnavailableError):  # links that are no objects are left
        linked.rm("real", recursive=True)
    assert (tmp_path / "outside" / "secret").read_bytes() == b"secret"
    assert linked.find("") == []


def test_a_root_that_is_a_link_is_a_root(tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to("disk")
    with rs.ResilientFileSystem([str(tmp_path / "link")]) as fs:
        fs.write("d/a", b"1")
        assert (fs.find(""), fs.cat("d/a")) == (["d/a"], b"1")
    assert (tmp_path / "disk" / "d" / "a").read_bytes() == b"1"
