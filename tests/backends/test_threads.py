"""A blocking call's answer reaches who waits for it, whenever he begins to wait."""

from __future__ import annotations

import asyncio
import threading

import pytest

from resilient_store.threads import DaemonPool, Job

MOMENTS = ("before it begins", "while it runs", "when it has ended")


class TheirError(Exception):
    """What a call raises."""


async def asked_at(moment, fails):
    begun, go_on = threading.Event(), threading.Event()

    def call(_):
        begun.set()
        assert go_on.wait(10)
        if fails:
            raise TheirError
        return "answer"

    job = Job(call)
    thread = threading.Thread(target=job.carry_out)
    answer = job.answer() if moment == MOMENTS[0] else None
    thread.start()
    assert begun.wait(10)
    if moment == MOMENTS[1]:
        answer = job.answer()
        assert not job.is_done_within(0.0)
    go_on.set()
    thread.join(10)
    assert job.is_done_within(0.0)
    return job, answer or job.answer()


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_call_returns_is_heard(moment):
    async def use():
        job, answer = await asked_at(moment, fails=False)
        return await answer, await job.wait(), job.result()

    assert asyncio.run(use()) == ("answer",) * 3


@pytest.mark.parametrize("moment", MOMENTS)
def test_what_a_call_raises_is_heard(moment):
    async def use():
        job, answer = await asked_at(moment, fails=True)
        with pytest.raises(TheirError):
            await answer
        with pytest.raises(TheirError):
            await job.wait()
        with pytest.raises(TheirError):
            job.result()

    asyncio.run(use())


def test_a_call_that_is_given_up_before_it_begins_is_not_made():
    async def use():
        job = Job(lambda _: pytest.fail("nobody waits for it"))
        waiting = asyncio.create_task(job.wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await asyncio.sleep(0)
        assert job.is_given_up
        job.carry_out()
        assert job.is_done_within(0.0)

    asyncio.run(use())


@pytest.mark.parametrize("waits", [False, True], ids=["not waited for", "waited for"])
def test_what_comes_after_its_caller_has_gone_is_disposed_of(waits):
    begun, go_on, disposed = threading.Event(), threading.Event(), []

    def call(abandonment):
        begun.set()
        assert go_on.wait(10)
        return abandonment.abandoned

    async def use():
        job = DaemonPool("given-up", 1).submit(call)
        assert begun.wait(10)
        if waits:
            waiting = asyncio.create_task(job.wait(disposed.append))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
        else:
            job.give_up(disposed.append)
        assert not job.is_given_up
        go_on.set()
        assert job.is_done_within(10)

    asyncio.run(use())
    assert disposed == [True]
