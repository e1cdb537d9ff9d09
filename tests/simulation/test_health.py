"""Breakers, probes and the budget for extra requests, as whole stores feel them."""

import asyncio
import itertools

import pytest

import resilient_store as rs
from tests.simulation.stage import Stage

DATA = b"bytes"
PROBE = (0, 65536)


def opened(kind="down", **options):
    """Return a stage whose first backend's read breaker has opened."""
    stage = Stage(backend={"max_concurrency": 1000}, **options)
    stage.run(stage.fs._write("x/y", DATA))
    stage.break_disk(0, kind)
    stage.run(read_often(stage, 5))
    assert stage.breaker(0) == "open"
    return stage


async def read_often(stage, count, path="x/y"):
    return [(await stage.timed(stage.fs._read(path)))[1] for _ in range(count)]


def probes(stage, index=0, since=0):
    return [r for r in stage.requests(index, since, verbs=("get",)) if r.range == PROBE]


@pytest.mark.parametrize("kind", ["hang", "down", "slow"])
def test_many_readers_send_many_probes(kind):
    stage = opened(kind)

    async def crowd():
        await asyncio.sleep(5.0)
        before = len(stage.world.requests)
        for _ in range(40):  # 500 readers in 12 s: longer than a probe may take
            await stage.together(stage.fs._read("x/y") for _ in range(500 // 40))
            await asyncio.sleep(0.3)
        return before

    since = stage.run(crowd())
    spans = [(r.started_s, r.ended_s or stage.loop.time()) for r in probes(stage, 0, since)]
    assert 1 <= len(spans) <= 2
    assert all(later[0] >= earlier[1] for earlier, later in itertools.pairwise(spans))
    stage.close()


def test_half_open_lets_500_readers_through_at_once():
    stage = opened("hang")

    async def crowd():
        await asyncio.sleep(5.0)
        await stage.together(stage.fs._read("x/y") for _ in range(500))

    since = len(stage.world.requests)
    stage.run(crowd())
    assert len(stage.requests(0, since)) == 1
    assert stage.breaker(0) == "half-open"
    assert len(stage.fs.store.tails) == 1
    stage.close()


def test_two_probes_of_one_backend_overlap():
    stage = opened("hang")

    async def always():
        for _ in range(2000):
            await stage.fs._read("x/y")
            await asyncio.sleep(0.02)

    stage.run(always())
    spans = [(r.started_s, r.ended_s) for r in probes(stage) if r.ended_s is not None]
    assert len(spans) >= 2
    assert all(later[0] >= earlier[1] for earlier, later in itertools.pairwise(spans))
    stage.close()


WAYS = ["down", "hang", "slow", "throttled", "denied", "blank", "cut", "unknown", "no-root", "well"]


@pytest.mark.parametrize("way", WAYS)
def test_a_probe_that_ends_like_this_keeps_its_breaker_half_open(way):
    stage = opened("down")
    stage.repair_disk(0)
    if way != "well":
        stage.break_disk(0, way)

    async def probe_and_wait():
        await asyncio.sleep(5.0)
        await stage.fs._read("x/y")
        await asyncio.sleep(12.0)

    stage.run(probe_and_wait())
    assert len(probes(stage)) == 1
    assert stage.breaker(0) in ("open", "closed")
    stage.repair_disk(0)

    async def come_back():
        for _ in range(65):
            await stage.fs._read("x/y")
            await asyncio.sleep(1.0)
        return await stage.fs._read("x/y")

    assert stage.run(come_back()).backend == "a"
    assert stage.breaker(0) == "closed"
    stage.close()


def test_a_probe_that_finds_nothing_keeps_its_breaker_half_open():
    stage = opened("down")
    stage.repair_disk(0)
    stage.disks[0].objects.clear()

    async def probe():
        await asyncio.sleep(5.0)
        await stage.fs._read("x/y")
        await asyncio.sleep(1.0)

    stage.run(probe())
    assert stage.breaker(0) == "closed"
    stage.close()


def test_a_cancelled_probe_keeps_its_breaker_half_open():
    stage = opened("hang")

    async def cancel_the_probe():
        await asyncio.sleep(5.0)
        await stage.fs._read("x/y")
        assert stage.breaker(0) == "half-open"
        (probe,) = list(stage.fs.store.tails)
        probe.cancel()
        await asyncio.sleep(0.1)
        assert stage.breaker(0) == "open"
        stage.repair_disk(0)
        await stage.fs._read("x/y")
        await asyncio.sleep(0.1)

    stage.run(cancel_the_probe())
    assert stage.breaker(0) == "closed"
    stage.close()


def test_a_reader_that_is_cancelled_takes_its_probe_along():
    stage = opened("down")
    stage.repair_disk(0)

    async def main():
        await asyncio.sleep(5.0)
        task = stage.loop.create_task(stage.fs._read("x/y"))
        await asyncio.sleep(0.001)
        assert probes(stage)
        task.cancel()
        await asyncio.sleep(1.0)

    stage.run(main())
    assert stage.breaker(0) == "closed"
    stage.close()


def test_not_found_between_failures_hides_them():
    stage = Stage(count=2)
    stage.run(stage.fs._write("x/y", DATA))

    async def alternate():
        for number in range(20):
            stage.repair_disk(0)
            if number % 2:
                stage.break_disk(0, "down")
            await stage.timed(stage.fs._exists(f"absent/{number}"))

    stage.run(alternate())
    assert {state.backend for _, state in stage.states if state.state == "open"} == {"a"}
    stage.close()


def test_many_absent_keys_open_a_breaker():
    stage = Stage(count=1, latency_s=0.001)
    client = stage.fs.store.clients["a"]

    async def look():
        return [(await client.info(f"no/{number}")).outcome.value for number in range(10_000)]

    assert stage.run(look()) == ["not found"] * 10_000
    assert stage.states == []
    stage.close()


def test_a_slow_answer_just_after_the_delay_doubles_the_load():
    stage = Stage(count=2, latency_s=0.3)
    stage.disks[1].latency_s = (3.0, 3.0)  # a second request never helps
    stage.run(stage.fs._write("x/y", DATA))
    since = len(stage.world.requests)
    results = stage.run(read_often(stage, 1000))
    assert {result.backend for result in results} == {"a"}
    hedges = len(stage.requests(1, since))
    assert 10 <= hedges <= 10 + 1000 // 10
    assert stage.breaker(0) == stage.breaker(1) == "closed"
    stage.close()


def test_a_backend_that_asks_for_less_gets_more():
    stage = Stage(count=2, latency_s=0.3)
    stage.disks[1].latency_s = (3.0, 3.0)
    stage.run(stage.fs._write("x/y", DATA))
    stage.break_disk(0, "throttled", key="other")
    stage.run(read_often(stage, 1, "other"))
    since = len(stage.world.requests)
    stage.run(read_often(stage, 8))
    assert stage.requests(1, since) == []
    stage.run(read_often(stage, 5))
    assert len(stage.requests(1, since)) == 1
    stage.close()


def test_a_write_is_sent_twice():
    stage = Stage(latency_s=2.0, read=rs.ReadFromFirstHealthy(hedge_after=0.01))
    stage.run(stage.fs._write("x/y", DATA))
    stage.run(stage.fs._write("x/y", DATA * 2))
    stage.run(stage.fs._rm_file("x/y"))
    seen = [(r.disk, r.verb, r.key) for r in stage.world.requests if r.verb != "info"]
    assert len(seen) == len(set(seen)) == 3 * 4  # put; put, publish; delete
    stage.close()


def test_backends_asked_a_moment_apart_count_as_slow():
    stage = Stage()
    stage.loop._tick_s = 1e-7  # as in the real world, no two requests leave at one instant
    stage.run(stage.fs._write("x/y", DATA))
    stage.disks[0].objects.clear()
    stage.disks[1].latency_s = (0.02, 0.02)
    stage.disks[2].latency_s = (0.01, 0.01)
    results = stage.run(read_often(stage, 30))
    assert {result.data for result in results} == {DATA}
    assert stage.states == []
    stage.close()


@pytest.mark.parametrize("apart_s", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("verb", ["write", "delete"])
def test_two_backends_whose_probes_fall_due_in_turn_keep_every_change_waiting(apart_s, verb):
    stage = Stage(count=2)
    stage.run(stage.fs._write("x/y", DATA))

    async def change(number):
        if verb == "write":
            return await stage.timed(stage.fs._write(f"new/{number}", DATA))
        return await stage.timed(stage.fs._rm_file("x/y"))

    async def main():
        stage.break_disk(0, "down")
        for number in range(5):
            await change(number)
        # the first is left alone, so that the second can be opened by readers of `write` only
        health = stage.health(1)
        from resilient_store.model.outcome import Outcome

        await asyncio.sleep(apart_s)
        for _ in range(5):
            health.record("write", Outcome.UNAVAILABLE, stage.loop.time())
        stage.repair_disk(0)
        for number in range(70):
            _, result = await change(f"later-{number}")
            if not isinstance(result, Exception) or isinstance(result, FileNotFoundError):
                return number
            await asyncio.sleep(1.0)
        return None

    tries = stage.run(main())
    assert tries is not None
    assert tries <= 10
    stage.close()


def test_a_store_that_needs_two_copies_never_leaves_a_dead_backend_alone():
    stage = Stage(write_once=True, write=rs.WriteToAll(min_copies=2))
    stage.run(stage.fs._write("first", DATA))
    stage.break_disk(0, "down")

    async def writes():
        for number in range(30):
            assert (await stage.fs._write(f"new/{number}", DATA)).copies == ("b", "c")

    stage.run(writes())
    assert stage.breaker(0, "write") == "open"
    assert len(stage.requests(0, verbs=("put",))) == 1 + 5
    stage.close()


def test_opening_a_backend_counts_as_its_answer():
    stage = Stage(count=1)
    stage.run(stage.fs._write("x/y", DATA))
    before = stage.health(0).statistics()["outcomes"]
    assert stage.run(stage.fs.store.clients["a"].open()).ok
    assert stage.health(0).statistics()["outcomes"] == before
    stage.close()


def test_a_short_body_is_handed_out():
    for seed in range(8):  # half of them say that they are short
        stage = Stage(seed=seed)
        stage.run(stage.fs._write("x/y", DATA))
        stage.break_disk(0, "cut")
        result = stage.run(stage.fs._read("x/y"))
        assert (result.data, result.backend) == (DATA, "b")
        stage.break_disk(1, "cut")
        stage.break_disk(2, "cut")
        for call in (stage.fs._read("x/y"), stage.fs._cat_file("x/y", 1, 4)):
            error = stage.run(stage.timed(call))[1]
            assert isinstance(error, rs.BackendsUnavailableError)
        stage.close()


def test_a_refused_overwrite_says_that_others_took_it():
    stage = Stage()
    stage.run(stage.fs._write("x/y", DATA))
    stage.break_disk(0, "full")
    error = stage.run(stage.timed(stage.fs._write("x/y", DATA * 2)))[1]
    assert isinstance(error, rs.InsufficientCopiesError)
    assert [reply.backend for reply in error.replies if reply.ok] == []
    assert stage.held("x/y") == [DATA] * 3
    stage.close()


def test_a_write_that_was_cancelled_as_a_probe_keeps_its_breaker_half_open():
    stage = Stage(count=1)
    stage.run(stage.fs._write("x/y", DATA))
    stage.break_disk(0, "down")

    async def main():
        for number in range(5):
            await stage.timed(stage.fs._write(f"new/{number}", DATA))
        assert stage.breaker(0, "write") == "open"
        stage.repair_disk(0)
        stage.break_disk(0, "hang", seconds=8.0)
        await asyncio.sleep(5.0)
        probe = stage.loop.create_task(stage.fs._write("x/y", DATA))
        await asyncio.sleep(1.0)
        assert stage.breaker(0, "write") == "half-open"
        probe.cancel()
        await asyncio.sleep(15.0)
        return await stage.fs._write("x/y", DATA * 2)

    assert stage.run(main()).copies == ("a",)
    stage.close()
