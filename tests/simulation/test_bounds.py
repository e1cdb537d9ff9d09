"""P6 in exact virtual time: what one backend that hangs costs everybody else."""

import asyncio
import contextlib
import itertools

import pytest

from resilient_store import BackendsUnavailableError, WriteToAll
from tests.simulation.stage import FOR_EVER, Fault, Stage

HEDGE_S, LATENCY_S = 0.25, 0.01
WELL_S = pytest.approx(LATENCY_S)
AFTER_HEDGE_S = pytest.approx(HEDGE_S + LATENCY_S)


def hung_first(**options):
    stage = Stage(backend={"max_concurrency": 1000}, **options)
    stage.run(stage.fs._write("x/y", b"bytes"))
    stage.break_disk(0, "hang")
    return stage


def test_a_backend_that_hangs_costs_more_than_the_hedge_delay():
    stage = hung_first()

    async def main():
        return [await stage.timed(stage.fs._read("x/y")) for _ in range(1000)]

    took = [took_s for took_s, result in stage.run(main()) if result.data == b"bytes"]
    assert len(took) == 1000
    assert took[:5] == [AFTER_HEDGE_S] * 5
    assert took[5:] == [WELL_S] * 995
    stage.close()


def test_many_readers_at_once_wait_for_a_backend_that_hangs():
    stage = hung_first()

    async def main():
        return await stage.together(stage.timed(stage.fs._read("x/y")) for _ in range(200))

    answers = stage.run(main())
    assert all(result.data == b"bytes" for _, result in answers)
    # Ten have a token for a hedge; the first five of these open the breaker for all others.
    took = sorted(took_s for took_s, _ in answers)
    assert took[:10] == [AFTER_HEDGE_S] * 10
    assert max(took) <= HEDGE_S + 2 * LATENCY_S + 1e-9
    later = stage.run(stage.timed(stage.fs._read("x/y")))
    assert later[0] == WELL_S
    stage.close()


def test_a_backend_that_is_well_again_is_not_read_from():
    stage = hung_first()

    async def read_for(seconds):
        end_s, answers = stage.loop.time() + seconds, []
        while stage.loop.time() < end_s:
            answers.append(await stage.timed(stage.fs._read("x/y")))
            await_s = 1.0 - answers[-1][0]
            await asyncio.sleep(await_s)
        return answers

    during = stage.run(read_for(300))
    assert [took_s for took_s, _ in during[5:]] == [WELL_S] * (len(during) - 5)
    assert stage.breaker(0) != "closed"
    stage.repair_disk(0)
    well_at_s = stage.loop.time()
    after = stage.run(read_for(65))
    assert stage.breaker(0) == "closed"
    closed_at_s = [at_s for at_s, state in stage.states if state.state == "closed"][-1]
    assert closed_at_s - well_at_s <= 60.0 + 1.0 + LATENCY_S
    assert all(took_s == WELL_S for took_s, _ in after)
    assert after[-1][1].backend == "a"
    stage.close()


def test_a_backend_that_is_left_alone_is_asked_all_the_same():
    stage = hung_first()

    async def reads():
        for _ in range(400):
            await stage.fs._read("x/y")
            await asyncio.sleep(1.0)

    stage.run(reads())
    probes = [r for r in stage.requests(0, verbs=("get",)) if r.range == (0, 65536)]
    others = [r for r in stage.requests(0, verbs=("get",)) if r.range != (0, 65536)]
    assert len(others) == 5
    # 5 s after it opened, then ever later, with a probe's own 10 s between: 10, 20, 40, 60, 60
    gaps_s = [b.started_s - a.ended_s for a, b in itertools.pairwise(probes)]
    assert 5 <= len(probes) <= 8
    assert [round(gap_s) for gap_s in gaps_s[:4]] == pytest.approx([10, 20, 40, 60], abs=2)
    stage.close()


def test_two_backends_that_hang_cost_more_than_two_delays():
    stage = hung_first()
    stage.break_disk(1, "hang")

    async def main():
        return [await stage.timed(stage.fs._read("x/y")) for _ in range(50)]

    took = [took_s for took_s, result in stage.run(main()) if result.data == b"bytes"]
    assert took[:5] == [pytest.approx(2 * HEDGE_S + LATENCY_S)] * 5
    assert took[5:] == [WELL_S] * 45
    stage.close()


def test_the_last_backend_is_not_asked_because_its_breaker_is_open():
    stage = Stage(count=1)
    stage.run(stage.fs._write("x", b"bytes"))
    stage.break_disk(0, "down")

    async def fail():
        for _ in range(10):
            await stage.timed(stage.fs._read("x"))

    stage.run(fail())
    assert stage.breaker(0) == "open"
    stage.repair_disk(0)
    assert stage.run(stage.fs._read("x")).data == b"bytes"
    stage.close()


def test_a_write_waits_longer_than_the_timeout_of_a_backend_that_hangs():
    stage = hung_first()

    async def main():
        return [await stage.timed(stage.fs._write(f"new/{n}", b"bytes")) for n in range(8)]

    answers = stage.run(main())
    took = [took_s for took_s, _ in answers]
    assert took[:5] == [pytest.approx(10.0)] * 5
    assert max(took[5:]) <= 10.1
    assert 0.0 in took[5:]
    assert all(isinstance(error, OSError) for _, error in answers)
    stage.close()


@pytest.mark.parametrize("once", [True, "unique-names"])
def test_a_backend_that_hangs_holds_up_every_write_of_a_store_that_needs_two_copies(once):
    stage = Stage(write_once=once, write=WriteToAll(min_copies=2))
    stage.run(stage.fs._write("first", b"bytes"))
    stage.break_disk(0, "hang")

    async def main():
        return [await stage.timed(stage.fs._write(f"new/{n}", b"bytes")) for n in range(30)]

    answers = stage.run(main())
    assert all(receipt.copies == ("b", "c") for _, receipt in answers)
    took = [took_s for took_s, _ in answers]
    assert took[:5] == [pytest.approx(1.0 + LATENCY_S)] * 5
    waited = [took_s for took_s in took[5:] if took_s > 2 * LATENCY_S]
    assert len(waited) <= 1  # a probe
    stage.close()


def test_a_write_that_was_given_up_leaves_a_task_when_the_store_is_closed():
    stage = hung_first()

    async def main():
        tasks = [stage.loop.create_task(stage.fs._read("x/y")) for _ in range(20)]
        await asyncio.sleep(0.1)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        return [task.cancelled() for task in tasks]

    assert stage.run(main()) == [True] * 20
    assert [r.outcome for r in stage.requests(0, verbs=("get",))] == ["cancelled"] * 20
    stage.close()


class Stubborn:
    """A call that goes on whatever is done to it, as clean-ups in client libraries do."""

    def __init__(self, ends_s):
        self.ends_s = ends_s

    async def __call__(self, *arguments):
        loop = asyncio.get_running_loop()
        while loop.time() < self.ends_s:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(self.ends_s - loop.time())
        raise ConnectionResetError


@pytest.mark.parametrize("count", [1, 3])
def test_a_backend_that_ignores_being_cancelled_holds_a_read_for_ever(count):
    stage = Stage(seed=3, count=count)
    stage.run(stage.fs._write("x/y", b"bytes"))
    first = next(iter(stage.fs.store.clients.values()))
    session = next(iter(first._sessions.values()))
    session.family.get = Stubborn(stage.loop.time() + 300)
    took_s, value = stage.run(stage.timed(stage.fs._cat_file("x/y")))
    if count == 1:
        assert isinstance(value, BackendsUnavailableError)
        assert took_s <= 10.0 + 1.0
    else:
        assert value == b"bytes"
        assert took_s <= 0.25 + 0.2
    stage.run(asyncio.sleep(400))
    stage.close()


def test_an_absent_path_costs_the_whole_time_of_a_backend_that_is_left_alone():
    stage = Stage(seed=4)
    stage.disks[0].faults.append(Fault(0.0, FOR_EVER, "hang"))
    for number in range(6):
        stage.run(stage.timed(stage.fs._exists(f"absent/{number}")))
    client = next(iter(stage.fs.store.clients.values()))
    assert not client.health.is_closed("read")
    took_s, value = stage.run(stage.timed(stage.fs._exists("absent/more")))
    assert isinstance(value, BackendsUnavailableError)
    assert took_s <= 1.0 + 0.5
    stage.run(stage.fs._close())
