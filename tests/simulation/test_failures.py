"""The n-th request fails, for every n: what was left where is said truly, and can be completed."""

import asyncio
import itertools

import pytest

import resilient_store as rs
from resilient_store.testing.simulation.world import STORING
from tests.simulation.stage import Stage

OLD, NEW = b"the old bytes", b"the new bytes, and more"
KINDS = ["down", "unknown", "hang", "late", "denied", "full", "throttled", "slow"]


def fail_every(kind, call, check, *, old=False, **options):
    """Let the n-th request of a call fail, for every n, until one has no n-th request."""
    for count in itertools.count(1):
        stage = Stage(seed=count, **options)
        if old:
            stage.run(stage.fs._write("x/y", OLD))
        before = len(stage.world.requests)
        stage.world.fail_request(before + count, kind)
        _, result = stage.run(stage.timed(call(stage)))
        met = not stage.world.at_request
        stage.world.at_request.clear()
        check(stage, result, stage.world.requests[before + count - 1] if met else None)
        stage.run(settle(stage))
        stage.close()
        if not met:
            assert not isinstance(result, Exception)
            return count
    raise AssertionError


async def settle(stage):
    await asyncio.sleep(60.0)


def names_of(error):
    """Return the backends that an error says hold the new bytes, surely or perhaps."""
    may = {r.backend for r in error.replies if r.outcome.value in ("ok", "timed out")}
    return may | {n for n in "abc" if f"{n} holds" in error.note or f"{n}, " in error.note}


def truthful(stage, result, _planted):
    if not isinstance(result, Exception):
        assert stage.held("x/y") == [NEW] * 3
        assert result.copies == ("a", "b", "c")
        return
    assert isinstance(result, rs.InsufficientCopiesError)
    held = stage.held("x/y")
    assert {name for name, data in zip("abc", held, strict=True) if data == NEW} <= names_of(result)
    if "The previous version still stands everywhere" in result.note:
        assert held == [OLD] * 3
    if "Nothing of it was left anywhere" in result.note:
        assert NEW not in held


def nothing_staged(stage, result, planted):
    truthful(stage, result, planted)
    if planted is not None:
        cleaning = planted.verb in ("delete", "abort")
        nameless = planted.verb == "upload" and planted.fault == "unknown"
        if cleaning or nameless or planted.fault == "late":
            return  # what nobody can know of, or reach, is for a sweep
    assert stage.staged() == []


def completed(stage, result, planted):
    nothing_staged(stage, result, planted)
    stage.run(settle(stage))
    again = stage.run(stage.fs._write("x/y", NEW))
    assert (stage.held("x/y"), again.copies) == ([NEW] * 3, ("a", "b", "c"))


async def stream(stage):
    async with await stage.fs.open_async("x/y", "wb") as file:
        await file.write(NEW)
    return file.receipt


async def put(stage):
    return await stage.fs._write("x/y", NEW)


@pytest.fixture
def _parts(call, monkeypatch):
    """Send a stream in several parts, and a put in one."""
    monkeypatch.setattr("resilient_store.io.parts.PART_BYTES", 8 if call is stream else 1000)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", [put, stream])
@pytest.mark.usefixtures("_parts")
def test_a_new_object_is_half_there_and_nobody_is_told(kind, call):
    assert fail_every(kind, call, completed) > 6


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", [put, stream])
@pytest.mark.usefixtures("_parts")
def test_an_overwrite_is_half_there_and_nobody_is_told(kind, call):
    assert fail_every(kind, call, completed, old=True) > 9


@pytest.mark.parametrize("kind", KINDS)
def test_a_write_that_two_may_hold_needs_all_three(kind):
    def check(stage, result, planted):
        assert not isinstance(result, Exception)
        held = stage.held("x/y")
        for name in result.copies:
            assert held["abc".index(name)] == NEW
        assert len(result.copies) >= 2
        stage.run(settle(stage))
        again = stage.run(stage.fs._write("x/y", NEW))
        assert (stage.held("x/y"), again.pending) == ([NEW] * 3, ())

    policy = rs.WriteToAll(min_copies=2)
    assert fail_every(kind, put, check, write_once=True, write=policy) > 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_deletion_is_half_done_and_nobody_is_told(kind):
    def check(stage, result, planted):
        held = stage.held("x/y")
        if not isinstance(result, Exception):
            assert held == [None] * 3
            return
        assert isinstance(result, rs.BackendsUnavailableError)
        if "Nothing was changed" in result.note:
            assert held == [OLD] * 3
        else:
            left = {name for name, data in zip("abc", held, strict=True) if data == OLD}
            assert left <= {name for name in "abc" if name in result.note.partition(" still")[0]}
        stage.run(settle(stage))
        _, again = stage.run(stage.timed(stage.fs._rm_file("x/y")))
        assert again is None or isinstance(again, FileNotFoundError)
        assert stage.held("x/y") == [None] * 3

    assert fail_every(kind, lambda s: s.fs._rm_file("x/y"), check, old=True) > 6


@pytest.mark.parametrize("kind", [*KINDS, "cut", "blank", "no-root"])
def test_one_failing_request_ends_a_read(kind):
    def check(stage, result, planted):
        assert result.data == OLD

    assert fail_every(kind, lambda s: s.fs._read("x/y"), check, old=True) >= 2


@pytest.mark.parametrize("kind", [*KINDS, "cut", "blank", "no-root"])
def test_one_failing_request_makes_an_outage_an_absence(kind):
    for count in (1, 2, 3):
        stage = Stage(seed=count)
        stage.run(stage.fs._write("x/y", OLD))
        for index in (0, 1):
            stage.disks[index].objects.pop("x/y")
        stage.break_disk(2, kind)
        result = stage.run(stage.timed(stage.fs._read("x/y")))[1]
        if isinstance(result, Exception):
            assert isinstance(result, rs.BackendsUnavailableError)
        elif kind == "blank":
            assert result.data == b""  # nobody says otherwise, and no rule makes it missing
        else:
            assert result.data == OLD
        stage.close()


def test_a_verb_that_stores_is_never_made_to_fail(monkeypatch):
    met = set()
    for call, old in itertools.product((put, stream), (False, True)):
        monkeypatch.setattr("resilient_store.io.parts.PART_BYTES", 8 if call is stream else 1000)
        fail_every("down", call, lambda s, r, planted: met.add(planted and planted.verb), old=old)
    assert set(STORING) <= met
