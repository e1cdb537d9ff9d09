"""P6 under load: when the fault is over, the trouble is over, though callers ask again."""

import asyncio

import pytest

import resilient_store as rs
from tests.simulation.stage import Stage

EVERY_S = 1 / 16  # of at most 20 that one backend with one place and 50 ms can answer
AWAY_S, BACK_S, WELL_S, END_S = 20.0, 80.0, 110.0, 140.0


@pytest.mark.parametrize("fault", ["hang", "down", "throttled"])
def test_load_that_does_not_stop_keeps_a_backend_down_that_is_well_again(fault):
    stage = Stage(seed=7, count=1, latency_s=0.05, backend={"max_concurrency": 1})
    stage.run(stage.fs._write("x/y", b"bytes"))
    ended = []

    async def ask():
        began_s = stage.loop.time()
        for _ in range(3):
            try:
                ended.append((began_s, await stage.fs._cat_file("x/y") == b"bytes"))
            except rs.BackendsUnavailableError:
                await asyncio.sleep(0.5)
            else:
                return
        ended.append((began_s, False))

    async def main():
        began_s, asked = stage.loop.time(), []
        stage.disks[0].faults.clear()
        stage.loop.call_later(AWAY_S, lambda: stage.break_disk(0, fault, BACK_S - AWAY_S))
        while stage.loop.time() < began_s + END_S:
            asked.append(stage.loop.create_task(ask()))
            await asyncio.sleep(EVERY_S)
        await asyncio.wait(asked)
        return began_s

    began_s = stage.run(main())
    before = [ok for at_s, ok in ended if at_s < began_s + AWAY_S - 5]
    during = [ok for at_s, ok in ended if began_s + AWAY_S + 5 < at_s < began_s + BACK_S - 35]
    after = [ok for at_s, ok in ended if at_s > began_s + WELL_S]
    assert len(after) > 400
    assert sum(before) / len(before) >= 0.95
    assert not any(during)
    assert sum(after) / len(after) >= 0.95
    stage.close()


def test_every_waiting_caller_sends_a_hedge_of_its_own():
    stage = Stage(seed=8, count=2, backend={"max_concurrency": 200})
    stage.run(stage.fs._write("x/y", b"bytes"))
    first, second = stage.disks
    first.latency_s, second.latency_s = (0.3, 0.3), (2.0, 2.0)  # the first is late, and wins
    asked = len(stage.world.requests)

    async def main():
        return await stage.together(stage.fs._cat_file("x/y") for _ in range(100))

    assert stage.run(main()) == [b"bytes"] * 100
    assert len(stage.requests(0, since=asked)) == 100
    assert len(stage.requests(1, since=asked)) == 10  # what can be needed to open a breaker
    for client in stage.fs.store.clients.values():  # each cancelled loser gave its place back
        (session,) = client._sessions.values()
        assert session.bulkhead._value == 200
    stage.close()
