"""A backend that nobody may write to: it is asked before a change, and holds nothing up."""

from __future__ import annotations

import threading
import time

import pytest

import resilient_store as rs
from resilient_store.backends.bodies import small_read
from resilient_store.tree import AT_ONCE
from tests.traps.faulty import Faulty


def with_an_archive(*more: Faulty) -> tuple[rs.ResilientFileSystem, Faulty]:
    """Make a store whose last backend is read-only."""
    archive = Faulty("archive")
    backends = [rs.Backend(fs, root="/root", name=fs.label, domain=fs.label) for fs in more]
    last = rs.Backend(
        archive, root="/root", name="archive", domain="archive", read_only=True, timeout=0.3
    )
    return rs.ResilientFileSystem([*backends, last]), archive


CHANGES = {
    "rm": lambda fs: fs.rm("d/x"),
    "mv": lambda fs: fs.mv("d/x", "d/y"),
    "mv recursively": lambda fs: fs.mv("d", "e", recursive=True),
}


@pytest.mark.parametrize("how", CHANGES)
def test_p1_what_a_read_only_backend_holds_is_deleted_nowhere(how):
    one, other = Faulty("one"), Faulty("other")
    fs, archive = with_an_archive(one, other)
    for each in (one, other, archive):
        each.behind("d/x", b"held by all")
    with fs, pytest.raises(rs.BackendsUnavailableError, match="read-only and holds the path"):
        CHANGES[how](fs)
    assert [each.keys() for each in (one, other, archive)] == [["d/x"]] * 3


WRITES = {
    "write": lambda fs: fs.write("x", b"1"),
    "create": lambda fs: fs.write("x", b"1", mode="create"),
    "pipe": lambda fs: fs.pipe({"x": b"1", "y": b"2"}),
    "open": lambda fs: fs.open("x", "wb").close(),
    "cp": lambda fs: fs.cp("d/x", "x"),
    "touch": lambda fs: fs.touch("x"),
}


@pytest.mark.parametrize("how", WRITES)
def test_p1_where_nobody_may_write_no_write_is_acknowledged(how):
    archive = Faulty("archive")
    archive.behind("d/x", b"held")
    backend = rs.Backend(archive, root="/root", name="archive", domain="archive", read_only=True)
    with rs.ResilientFileSystem([backend]) as fs:
        with pytest.raises(rs.InsufficientCopiesError, match="it is read-only"):
            WRITES[how](fs)
        assert archive.keys() == ["d/x"]


def test_a_directory_that_it_has_is_said_to_be_one():
    one = Faulty("one")
    fs, archive = with_an_archive(one)
    archive.behind("d/x", b"held")
    with fs, pytest.raises(IsADirectoryError):
        fs.rm_file("d")


def test_what_it_does_not_hold_is_written_moved_and_deleted():
    one = Faulty("one")
    fs, _ = with_an_archive(one)
    with fs:
        fs.write("x", b"1")
        fs.mv("x", "y")
        assert one.keys() == ["y"]
        fs.rm("y")
        assert one.keys() == []


@pytest.mark.parametrize("change", ["write", "delete"])
def test_p6_one_that_hangs_costs_no_change_its_time_out_for_ever(change):
    one = Faulty("one")
    fs, archive = with_an_archive(one)
    go_on = threading.Event()

    def hang(*_):
        go_on.wait(30)

    def took() -> float:
        began_s = time.monotonic()
        with pytest.raises((rs.BackendsUnavailableError, rs.InsufficientCopiesError)):
            fs.write("x", b"1") if change == "write" else fs.rm("x")
        return time.monotonic() - began_s

    with fs:
        one.behind("x", b"1")
        archive.plan = hang
        took_s = [took() for _ in range(8)]
        go_on.set()
    assert took_s[0] >= 0.3
    assert max(took_s[-2:]) < 0.25


def test_a_probe_of_the_root_is_no_read_of_an_object_without_a_name():
    asked = []

    class Family:
        async def info(self, key):
            asked.append(("info", key))

        async def get(self, key, *_):
            asked.append(("get", key))

    for key in ("", "a"):
        with pytest.raises(StopIteration):
            small_read(Family(), key, lambda _: None).send(None)
    assert asked == [("info", ""), ("get", "a")]


def test_p6_calls_over_many_paths_are_bounded_unless_somebody_says_otherwise():
    for given, expected in ((None, AT_ONCE), (7, 7)):
        with rs.ResilientFileSystem([rs.Backend("memory://bulk")], batch_size=given) as fs:
            assert fs.batch_size == expected
