"""A call that is cancelled at any of its steps leaves no task, no half state and no staging.

Each test cancels after the first step, the second, ... until a call ends before its turn comes.
"""

import asyncio
import itertools

import pytest

from resilient_store import WriteToAll
from tests.simulation.stage import Stage

OLD, NEW = b"the old bytes", b"the new bytes, and more"
MOST_STEPS = 2000


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch):
    monkeypatch.setattr("resilient_store.io.parts.PART_BYTES", 8)


def at_every_step(make_stage, call, check, first=1, stride=1):
    """Cancel a call after its n-th step, for every n, and check what it leaves."""
    ended = []
    for count in itertools.count(first, stride):
        stage = make_stage(count)
        outcome = stage.run(cancelled_after(stage, call, count))
        stage.close()
        check(stage, outcome)
        ended.append(outcome)
        if outcome != "cancelled":
            break
        assert count < MOST_STEPS
    assert len(ended) > 4, "it was hardly cancelled at all"
    return ended


async def cancelled_after(stage, call, count):
    """Return "cancelled", or what the call brought when it was quicker."""
    task = stage.loop.create_task(call(stage))
    stage.loop.after_steps(count, task.cancel)
    await asyncio.wait([task])
    await asyncio.sleep(1.0)  # whatever was still under way is over
    return "cancelled" if task.cancelled() else task.result()


def stages(seed, *, old=False, **options):
    def make(count):
        stage = Stage(seed=seed * 10_000 + count, **options)
        if old:
            stage.run(stage.fs._write("x/y", OLD))
        return stage

    return make


def everywhere_or_nowhere(stage, outcome):
    assert stage.staged() == []
    assert stage.held("x/y") in ([OLD] * 3, [NEW] * 3)
    if outcome != "cancelled":
        assert stage.held("x/y") == [NEW] * 3


def whole_or_nothing(stage, outcome):
    assert stage.staged() == []
    assert set(stage.held("x/y")) <= {None, NEW}
    if outcome != "cancelled":
        assert stage.held("x/y") == [NEW] * 3


def write(stage):
    return stage.fs._write("x/y", NEW)


async def stream(stage):
    async with await stage.fs.open_async("x/y", "wb") as file:
        for byte in NEW:
            await file.write(bytes([byte]))
    return file.receipt


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("call", [write, stream])
def test_a_cancelled_overwrite_leaves_two_versions(seed, call, monkeypatch):
    if call is write:
        monkeypatch.setattr("resilient_store.io.parts.PART_BYTES", 1000)
    at_every_step(stages(seed, old=True), call, everywhere_or_nowhere)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("call", [write, stream])
def test_a_cancelled_new_object_is_half_there(seed, call, monkeypatch):
    if call is write:
        monkeypatch.setattr("resilient_store.io.parts.PART_BYTES", 1000)
    at_every_step(stages(seed), call, whole_or_nothing)


@pytest.mark.parametrize("first", [1, 2, 3, 4], ids="every fourth step from the {}th".format)
@pytest.mark.parametrize("exclusive", [True, None])
@pytest.mark.parametrize("call", [write, stream])
def test_a_cancelled_write_that_nothing_undoes_cannot_be_completed(call, exclusive, first):
    def check(stage, outcome):
        whole_or_nothing(stage, outcome)
        assert stage.run(stage.fs._write("x/y", NEW)).pending == ()
        assert stage.held("x/y") == [NEW] * 3

    disk = {"exclusive": exclusive}
    policy = WriteToAll(min_copies=2)
    make = stages(5, disk=disk, write_once=True, write=policy)
    at_every_step(make, call, check, first=first, stride=4)


def test_a_cancelled_creation_takes_a_taken_path():
    def check(stage, outcome):
        assert stage.staged() == []
        assert stage.held("x/y") == [OLD] * 3

    async def create(stage):
        with pytest.raises(FileExistsError):
            await stage.fs._pipe_file("x/y", NEW, mode="create")
        return "refused"

    at_every_step(stages(1, old=True), create, check)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_cancelled_deletion_leaves_some_copies(seed):
    def check(stage, outcome):
        assert stage.held("x/y") in ([OLD] * 3, [None] * 3)
        if outcome != "cancelled":
            assert stage.held("x/y") == [None] * 3

    at_every_step(stages(seed, old=True), lambda stage: stage.fs._rm_file("x/y"), check)


@pytest.mark.parametrize("kind", ["hang", "down", "unknown", "slow", "throttled", "cut", "blank"])
def test_a_cancelled_read_leaves_its_other_requests_running(kind):
    def make(count):
        stage = stages(3, old=True)(count)
        stage.break_disk(0, kind)
        return stage

    def check(stage, outcome):
        assert all(r.ended_s is not None for r in stage.world.requests)
        assert outcome == "cancelled" or outcome.data == OLD

    at_every_step(make, lambda stage: stage.fs._read("x/y"), check)


def test_a_cancelled_degraded_read_leaves_its_other_requests_running():
    rules = {"originals/{name}": ["previews/{name}", "thumbs/{name}"]}

    def make(count):
        stage = Stage(seed=count, degraded=rules)
        stage.run(stage.fs._write("thumbs/cat", OLD))
        return stage

    def check(stage, outcome):
        assert all(r.ended_s is not None for r in stage.world.requests)
        assert outcome == "cancelled" or (outcome.data, outcome.reason) == (OLD, "lost")

    at_every_step(make, lambda stage: stage.fs._read("originals/cat"), check)


def test_a_cancelled_stream_leaves_its_other_requests_running():
    async def read(stage):
        async with await stage.fs.open_async("x/y", "rb") as file:
            return await file.read(5) + await file.read()

    def check(stage, outcome):
        assert all(r.ended_s is not None for r in stage.world.requests)
        assert outcome in ("cancelled", OLD)

    at_every_step(stages(4, old=True), read, check)


def test_a_cancelled_loser_keeps_its_place():
    stage = Stage(backend={"max_concurrency": 2})
    stage.run(stage.fs._write("x/y", OLD))
    stage.break_disk(0, "slow", delay_s=9.0)

    async def reads():
        return [(await stage.fs._read("x/y")).backend for _ in range(4)]

    assert stage.run(reads()) == ["b"] * 4
    stage.repair_disk(0)

    async def at_once():
        return await stage.together(stage.timed(stage.fs._read("x/y")) for _ in range(2))

    answers = stage.run(at_once())
    assert [(round(took_s, 3), result.backend) for took_s, result in answers] == [(0.01, "a")] * 2
    stage.close()


def test_a_second_cancellation_breaks_off_the_cleaning_up():
    for count in range(1, 60):
        stage = stages(6, old=True)(count)

        async def main(stage=stage, count=count):
            task = stage.loop.create_task(stream(stage))
            for steps in (count, count + 3, count + 6, count + 9):
                stage.loop.after_steps(steps, task.cancel)
            await asyncio.wait([task])
            await asyncio.sleep(1.0)
            return "cancelled" if task.cancelled() else "ended"

        outcome = stage.run(main())
        stage.close()
        everywhere_or_nowhere(stage, outcome)
