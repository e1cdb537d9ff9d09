"""Writers that die, moves and removals that fail half-way."""

# ruff: noqa: PT012, PT017, SIM115, TRY301, PLW0108 - how blocks and files end is what is tested

from __future__ import annotations

import asyncio
import bz2
import gc
import gzip
import io
import itertools
import lzma
from pathlib import Path

import fsspec
import pytest

import resilient_store as rs
from tests.traps.faulty import Faulty, directories, files_below, over, two

PART = 8 << 20  # what travels at once
SIZES = [0, 1, 5000, PART, PART + 1, 2 * PART + 5]


class BoomError(Exception):
    pass


@pytest.fixture
def fs(tmp_path):
    with rs.ResilientFileSystem(directories(tmp_path, ("one", "two"))) as fs:
        yield fs


def settled(fs) -> None:
    """Wait until what was dropped has been given up."""

    async def ended() -> None:
        await asyncio.gather(*fs.store.tails)

    asyncio.run_coroutine_threadsafe(asyncio.sleep(0), fs.loop).result(5)
    asyncio.run_coroutine_threadsafe(ended(), fs.loop).result(5)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("earlier", [None, b"earlier"])
def test_p1_a_block_that_raises_publishes_nothing(fs, tmp_path, size, earlier):
    if earlier is not None:
        fs.write("a", earlier)
    before = files_below(tmp_path)
    with pytest.raises(BoomError), fs.open("a", "wb") as file:
        file.write(b"x" * size)
        raise BoomError
    assert files_below(tmp_path) == before
    assert fs.cat("a", on_error="return") == earlier if earlier else not fs.exists("a")


@pytest.mark.parametrize("size", [1, PART + 1])
@pytest.mark.parametrize("way", ["plain", "text", "compressed", "asynchronous"])
def test_p1_a_file_that_is_dropped_publishes_nothing(fs, tmp_path, size, way, caplog):
    caplog.set_level("WARNING", "resilient_store")
    fs.write("a", b"earlier")
    before = files_below(tmp_path)
    if way == "asynchronous":

        async def write_and_drop() -> None:
            file = await fs.open_async("a", "wb")
            await file.write(b"x" * size)

        asyncio.run_coroutine_threadsafe(write_and_drop(), fs.loop).result(10)
    else:
        options = {"compression": "gzip"} if way == "compressed" else {}
        file = fs.open("a", "w" if way == "text" else "wb", **options)
        file.write("x" * size if way == "text" else b"x" * size)
        del file
    gc.collect()
    settled(fs)
    assert (files_below(tmp_path), fs.cat("a")) == (before, b"earlier")
    assert "dropped without being closed" in caplog.text


WRAPPERS = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file, mode="wb"),
    "text": lambda file: io.TextIOWrapper(file, write_through=True),
    "text over gzip": lambda file: io.TextIOWrapper(gzip.GzipFile(fileobj=file, mode="wb")),
    "bz2": lambda file: bz2.open(file, "wb"),
    "lzma": lambda file: lzma.open(file, "wb"),
    "buffered": lambda file: io.BufferedWriter(file),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_p1_a_wrapper_whose_block_raises_publishes_nothing(fs, tmp_path, wrapper):
    fs.write("a", b"earlier")
    before = files_below(tmp_path)
    with pytest.raises(BoomError), fs.open("a", "wb") as file, WRAPPERS[wrapper](file) as wrapped:
        wrapped.write("x" if "text" in wrapper else b"x")
        raise BoomError
    file = fs.open("a", "wb")
    with pytest.raises(BoomError), WRAPPERS[wrapper](file) as wrapped:
        wrapped.write("x" if "text" in wrapper else b"x")
        raise BoomError
    del file, wrapped
    gc.collect()
    settled(fs)
    assert (files_below(tmp_path), fs.cat("a")) == (before, b"earlier")


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_p1_a_wrapper_that_is_dropped_publishes_nothing(fs, tmp_path, wrapper):
    """Python closes what is dropped, and with it what it wraps: that is no orderly end."""
    fs.write("a", b"earlier")
    before = files_below(tmp_path)
    wrapped = WRAPPERS[wrapper](fs.open("a", "wb"))
    wrapped.write("x" if "text" in wrapper else b"x")
    del wrapped
    gc.collect()
    settled(fs)
    assert (files_below(tmp_path), fs.cat("a")) == (before, b"earlier")


@pytest.mark.parametrize("compression", [None, "gzip", "bz2", "xz", "zip"])
@pytest.mark.parametrize("mode", ["wb", "w"])
def test_the_error_of_the_block_is_the_error_that_is_heard(fs, compression, mode):
    with pytest.raises(BoomError) as caught, fs.open("a", mode, compression=compression) as file:
        file.write("x" if mode == "w" else b"x")
        raise BoomError
    assert caught.value.__context__ is None
    assert not fs.exists("a")
    with pytest.raises(BoomError), fsspec_file(fs, mode, compression) as file:
        file.write("x" if mode == "w" else b"x")
        raise BoomError
    assert not fs.exists("a")


def fsspec_file(fs, mode, compression):
    return fsspec.core.OpenFile(fs, "a", mode=mode, compression=compression)


@pytest.mark.parametrize("compression", [None, "gzip", "zip"])
@pytest.mark.parametrize("mode", ["wb", "w"])
def test_a_file_written_while_an_error_is_handled_is_written(fs, compression, mode):
    try:
        raise BoomError
    except BoomError:
        with fs.open("a", mode, compression=compression) as file:
            file.write("x" if mode == "w" else b"x")
    with fs.open("a", mode.replace("w", "r"), compression=compression) as file:
        assert file.read() in ("x", b"x")


def test_p1_closing_while_an_error_is_handled_is_never_a_silent_loss(fs):
    file = fs.open("a", "wb")
    file.write(b"x")
    with pytest.raises(BoomError):
        try:
            raise BoomError
        except BoomError:
            file.close()
    assert (fs.exists("a"), file.closed, file.receipt) == (False, True, None)


def test_a_second_close_after_a_failure_sends_nothing():
    fs, one, other = two()
    with fs:
        file = fs.open("a", "wb")
        file.write(b"x")
        other.plan = lambda verb, path: ConnectionResetError("no") if verb == "pipe_file" else None
        with pytest.raises(rs.InsufficientCopiesError) as caught:
            file.close()
        assert "other" in str(caught.value)
        calls = len(one.calls), len(other.calls)
        for _ in range(3):
            file.close()
        assert file.closed
        del file
        gc.collect()
        settled(fs)
        assert (len(one.calls), len(other.calls)) == calls


def test_p1_an_unfinished_part_fails_the_write_and_the_close_after_it(tmp_path):
    fs, one, other = two()
    with fs:
        one.behind("a", b"earlier")
        other.behind("a", b"earlier")
        other.fail("full")
        with pytest.raises(rs.InsufficientCopiesError):
            fs.open("a", "wb")
        other.heal()
        with pytest.raises(rs.InsufficientCopiesError), fs.open("a", "wb") as file:
            file.write(b"x" * (PART + 1))
            other.plan = lambda verb, path: OSError(28, "full") if verb == "put_file" else None
            file.write(b"x")
        other.heal()
        assert fs.cat("a") == b"earlier"
        assert one.keys() == other.keys() == ["a"]


VERBS = ("info", "makedirs", "pipe_file", "cp_file", "rm_file")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("earlier", [None, b"earlier"])
def test_the_first_error_is_the_one_that_is_told_with_backend_and_path(verb, earlier):
    fs, one, other = two()
    with fs:
        if earlier:
            one.behind("d/a", earlier)
            other.behind("d/a", earlier)
        failed = itertools.count()

        def plan(called, path):
            if called == verb and (next(failed) or True):
                return PermissionError(13, "no")
            return None

        other.plan = plan
        try:
            fs.write("d/a", b"new")
        except rs.ObjectError as error:
            assert error.path == "d/a"
            replies = {reply.backend: reply for reply in error.replies}
            assert (replies["other"].outcome, replies["other"].detail) == (
                rs.Outcome.DENIED,
                "PermissionError EACCES",
            )
            assert next(failed)
        else:
            assert not next(failed), "an error was swallowed"
        other.heal()


def test_transactions_are_refused_before_anything_is_written(fs, tmp_path):
    """Several objects cannot appear at one instant, and a flag left behind loses later writes."""
    for begin in (lambda: fs.transaction, fs.start_transaction, fs.end_transaction):
        with pytest.raises(rs.UnsupportedOperationError, match="all or nothing"):
            begin()
    with pytest.raises(rs.UnsupportedOperationError), fs.transaction:
        fs.write("a", b"1")
    assert files_below(tmp_path) == []
    fs.write("a", b"1")
    assert fs.cat("a") == b"1"


# Moves and removals


@pytest.mark.parametrize("failing", range(1, 40))
def test_p5_a_move_that_fails_leaves_the_object_under_one_name_at_least(failing):
    fs, one, other = two()
    with fs:
        one.behind("a", b"1")
        other.behind("a", b"1")
        count = itertools.count(1)

        def plan(verb, path):
            return ConnectionRefusedError("no") if next(count) == failing else None

        one.plan = other.plan = plan
        moved = True
        try:
            fs.mv("a", "b")
        except rs.ObjectError:
            moved = False
        one.heal()
        other.heal()
        paths = [path for path in "ab" if fs.exists(path)]
        assert paths == ["b"] if moved else paths
        assert all(fs.cat(path) == b"1" for path in paths)
        if not moved:
            with_source = "a" in paths
            if with_source:
                fs.mv("a", "b")
            assert (fs.find(""), fs.cat("b")) == (["b"], b"1")


@pytest.mark.parametrize(
    ("source", "target", "recursive"),
    [
        ("d", "d/e", True),
        ("d", "d/e/f", True),
        ("d/a", "d/", False),
        ("d/a", "d", False),
        ("d/*", "d", False),
        ("d/*", "d/", True),
        ("d/", "d/e/", True),
        (["d/a", "d/b"], ["d/b", "d/a"], False),
    ],
)
def test_a_move_onto_or_into_itself_loses_nothing(fs, source, target, recursive):
    fs.write("d/a", b"1")
    fs.write("d/b", b"2")
    with pytest.raises(rs.InvalidPathError, match="itself"):
        fs.mv(source, target, recursive=recursive)
    assert fs.cat("d", recursive=True) == {"d/a": b"1", "d/b": b"2"}


def test_a_move_of_a_directory_without_recursive_is_refused(fs):
    fs.write("d/a", b"1")
    for source in ("d", "d*", "d/"):
        with pytest.raises(IsADirectoryError, match="recursive=True"):
            fs.mv(source, "e")
    assert fs.cat("d", recursive=True) == {"d/a": b"1"}
    assert not fs.exists("e")


def test_a_move_takes_away_what_it_copied_and_nothing_else(fs):
    for path in ("d/a", "d/e/b", "f/x"):
        fs.write(path, path.encode())
    fs.mv("d", "g", recursive=True)
    assert fs.find("") == ["f/x", "g/a", "g/e/b"]
    fs.mv("g/*", "h/")
    assert fs.find("") == ["f/x", "g/e/b", "h/a"]
    fs.mv(["h/a", "f/x"], ["i/a", "i/x"])
    assert fs.find("") == ["g/e/b", "i/a", "i/x"]
    fs.mv("i/a", "i/a")
    assert fs.cat("i/a") == b"d/a"


def test_a_removal_of_many_names_those_that_failed_and_finishes_the_others():
    one = Faulty()
    with over(one) as fs:
        for number in range(300):
            one.behind(f"d/{number:03}", b"x")
        sick = {f"d/{number:03}" for number in (7, 150, 299)}
        one.plan = lambda verb, path: (
            PermissionError(13, "no") if verb == "rm_file" and path in sick else None
        )
        with pytest.raises(rs.BackendsUnavailableError) as caught:
            fs.rm("d", recursive=True)
        assert set(caught.value.failed) == sick == set(one.keys())
        one.heal()
        fs.rm("d", recursive=True)
        assert (one.keys(), fs.isdir("d")) == ([], False)


def test_a_removal_that_cannot_ask_everybody_removes_nothing():
    fs, one, other = two()
    with fs:
        for held in (one, other):
            held.behind("a", b"1")
        other.fail("unavailable")
        with pytest.raises(rs.BackendsUnavailableError, match="Nothing was changed"):
            fs.rm("a")
        assert one.keys() == other.keys() == ["a"]


def test_put_and_get_do_not_touch_a_previous_good_file_on_failure(fs, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"new")
    fs.write("a", b"earlier")
    Path(tmp_path / "two").rename(tmp_path / "away")
    with pytest.raises(rs.InsufficientCopiesError):
        fs.put(str(source), "a")
    Path(tmp_path / "away").rename(tmp_path / "two")
    assert fs.cat("a") == b"earlier"


def test_writing_again_completes_what_a_backend_missed():
    one, other = Faulty("one"), Faulty("other")
    policy = rs.WriteToAll(min_copies=1)
    with over(one, other, write_once="unique-names", write=policy) as fs:
        other.fail("unavailable")
        receipt = fs.write("a", b"1")
        assert (receipt.copies, receipt.pending) == (("one",), ("other",))
        other.heal()
        receipt = fs.write("a", b"1")
        assert (receipt.copies, receipt.pending) == (("one", "other"), ())
        assert one.holds("a") == other.holds("a") == b"1"
