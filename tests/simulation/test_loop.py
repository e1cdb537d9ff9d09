"""What the simulated loop itself promises: one seed, one run; and it says who waits for what."""

import asyncio
import gc
import itertools
import os
import subprocess
import sys

import pytest

from resilient_store import runtime
from resilient_store.testing.simulation.loop import DeadlockError, EndlessError, SimulatedLoop


def trace_in_a_process(seed, hash_seed):
    program = [sys.executable, "-m", "resilient_store.testing.simulation"]
    done = subprocess.run(
        [*program, "--seed", str(seed), "--trace"],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.mark.parametrize("seed", [3, 29])
def test_one_seed_runs_differently_in_two_processes(seed):
    first = trace_in_a_process(seed, "1")
    assert len(first.strip()) == 32
    assert first == trace_in_a_process(seed, "4242")


def test_two_seeds_take_the_same_order():
    def order(seed):
        loop, seen = SimulatedLoop(seed), []

        async def one(number):
            await asyncio.sleep(0)
            seen.append(number)

        async def main():
            await asyncio.wait([loop.create_task(one(number)) for number in range(8)])

        loop.run_until_complete(main())
        return seen, loop.trace

    assert order(1) == order(1)
    assert len({tuple(order(seed)[0]) for seed in range(20)}) > 10
    assert len({order(seed)[1] for seed in range(20)}) == 20


def test_a_deadlock_hangs_or_hides_who_waits():
    loop = SimulatedLoop(1)

    async def waits_for_nobody():
        await loop.create_future()

    with pytest.raises(DeadlockError, match=r"main: .*waits_for_nobody"):
        loop.run_until_complete(waits_for_nobody())


def test_an_endless_run_never_ends():
    async def spins():
        for _ in itertools.count():
            await asyncio.sleep(0)

    async def sleeps():
        for _ in itertools.count():
            await asyncio.sleep(1)

    with pytest.raises(EndlessError, match="more than 500 steps"):
        SimulatedLoop(1, max_steps=500).run_until_complete(spins())
    with pytest.raises(EndlessError, match="not done at 61"):
        SimulatedLoop(1).run_until_complete(sleeps(), until_s=60)


def test_time_passes_only_when_everybody_waits():
    loop = SimulatedLoop(1)

    async def main():
        async with asyncio.timeout(5):
            for _ in range(100):
                await asyncio.sleep(0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await loop.create_future()
        return loop.time()

    assert loop.run_until_complete(main()) == 5.0


def test_locks_and_places_are_lost_in_another_order():
    for seed in range(30):
        loop = SimulatedLoop(seed)
        places, lock, inside, most = asyncio.Semaphore(3), asyncio.Lock(), [], []

        async def work(number, places=places, lock=lock, inside=inside, most=most):
            async with places:
                inside.append(number)
                most.append(len(inside))
                await asyncio.sleep(0.1)
                async with lock:
                    inside.remove(number)

        async def main(loop=loop, work=work):
            await asyncio.wait([loop.create_task(work(number)) for number in range(10)])

        loop.run_until_complete(main())
        assert (inside, max(most)) == ([], 3)


def test_a_blocking_call_is_no_event_of_its_own():
    loop = SimulatedLoop(4)

    def fails():
        raise KeyError("no")

    async def main():
        with pytest.raises(KeyError):
            await loop.run_in_executor(None, fails)
        return await loop.run_in_executor(None, loop.time)

    assert loop.run_until_complete(main()) > 0


def test_an_error_that_nobody_takes_is_not_complained_of():
    loop = SimulatedLoop(1)

    async def fails():
        raise KeyError("no")

    async def main():
        loop.create_task(fails())
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    gc.collect()
    assert [str(c["exception"]) for c in loop.complaints] == ["'no'"]


def test_time_chance_and_ids_come_from_elsewhere():
    def drawn(seed):
        loop = SimulatedLoop(seed)

        async def main():
            await asyncio.sleep(90)
            rare = [runtime.rarely("x") for _ in range(400)]
            return runtime.wall(), runtime.new_id(), runtime.uniform(0, 1), sum(rare), len(rare)

        return loop.run_until_complete(main())

    assert drawn(1) == drawn(1) != drawn(2)
    wall, _, _, rare, tries = drawn(1)
    assert wall.minute * 60 + wall.second == 90
    assert 0 < rare < tries / 4
