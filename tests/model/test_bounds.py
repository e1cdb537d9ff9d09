"""What a process of a fleet has under way at once is counted, and what is too much is told."""

from __future__ import annotations

import asyncio
import logging

import pytest

from resilient_store.io.drive import all_of
from resilient_store.operations import repair
from tests.model.fleet.bounds import ADOPTED_AT_ONCE, Bounds, FleetLoop
from tests.model.fleet.drawing import drawn
from tests.model.fleet.plan import Plan, Step, Worker
from tests.model.fleet.play import played
from tests.model.world import PROCESS, Process

EVERYTHING_AT_ONCE = (16, 30)  # between these seeds a repair of several objects is to take one


@pytest.fixture
def said():
    return []


def bounds(said, **more):
    return Bounds(
        **{"backends": 2, "places": 2, "at_once": 1, "paths": ("p0", "p1"), **more},
        fail=said.append,
    )


def test_tasks_are_counted_for_as_long_as_they_last(said):
    loop = FleetLoop(1)
    loop.bounds = bounds(said)
    most = loop.bounds.tasks_of("read")

    async def many():
        PROCESS.set(Process("w0", doing="read"))
        for _ in range(3):  # those before have ended
            await asyncio.wait([loop.create_task(asyncio.sleep(1.0)) for _ in range(most)])
        assert said == []
        await asyncio.wait([loop.create_task(asyncio.sleep(1.0)) for _ in range(most + 1)])

    loop.run_until_complete(many())
    assert said == [f"P6: read has {most + 1} tasks, and {most} are enough"]


def test_operations_may_have_more_tasks_the_more_objects_they_work_on(said):
    one, eight = bounds(said), bounds(said, at_once=8)
    assert one.tasks_of("repair") == one.tasks_of("read") == eight.tasks_of("read")
    assert eight.tasks_of("repair") == 8 * one.tasks_of("repair")
    assert one.tasks_of("adopt") == ADOPTED_AT_ONCE * one.tasks_of("read")


def test_requests_to_one_backend_are_counted(said):
    counted = bounds(said)
    PROCESS.set(Process("w0", doing="read"))
    with counted.asked("a", "p0"), counted.asked("a", "p0"), counted.asked("b", "p0"):
        assert said == []
        with counted.asked("a", "p0"):
            assert said == ["P6: 3 requests at once to a, of 2 places"]
    with counted.asked("a", "p0"), counted.asked("a", "p0"):
        assert len(said) == 1
    PROCESS.set(None)


def test_objects_of_an_operation_are_counted(said):
    counted = bounds(said)
    PROCESS.set(Process("op", doing="repair"))
    with counted.asked("a", "p0"), counted.asked("b", ".resilient/staging/1-1/p0"):
        assert said == []
        with counted.asked("b", "p1"):
            assert said == ["P6: repair works on ['p0', 'p1'], and on 1 at once"]
    PROCESS.set(None)


def test_bytes_are_counted_for_as_long_as_they_are_held(said):
    counted = bounds(said)
    PROCESS.set(Process("w0", doing="open"))
    piece = bytes(counted.bytes_of("open") // 4)
    for _ in range(8):
        counted.handed_out(piece)
    held = [counted.handed_out(piece) for _ in range(4)]
    assert said == []
    held.append(counted.handed_out(piece))
    most = 4 * len(piece)
    assert said == [f"P6: open holds {most + len(piece)} bytes, and {most} are enough"]
    PROCESS.set(None)


def a_long_read():
    size = 72 << 20
    steps = (Step("write", "p0", text="<1>", size=size), Step("open", "p0", wait_s=5.0))
    return Plan(
        seed=1,
        workload="a long read",
        paths=("p0",),
        backends=("a", "b"),
        min_copies=2,
        conditions=True,
        workers=(Worker("w0", steps),),
        troubles=(),
    )


def test_a_long_read_holds_a_few_blocks():
    assert played(a_long_read()).model.broken == []


@pytest.mark.matrix
def test_a_long_read_that_keeps_all_is_found(monkeypatch):
    kept = []
    real = Bounds.handed_out

    def handed_out(self, data):
        kept.append(real(self, data))
        return kept[-1]

    monkeypatch.setattr(Bounds, "handed_out", handed_out)
    assert "P6: open holds" in played(a_long_read()).model.broken[0]


def test_an_operation_that_takes_all_at_once_is_found(monkeypatch, caplog):
    caplog.set_level(logging.CRITICAL, "resilient_store")

    async def everything(pieces, work, at_once):
        await all_of([work(piece) async for piece in pieces])

    monkeypatch.setattr(repair, "work_through", everything)
    plans = (plan for plan in map(drawn, range(*EVERYTHING_AT_ONCE)) if plan.at_once == 1)
    said = (" ".join(played(plan).model.broken) for plan in plans)
    assert any("P6: repair works on" in one for one in said)
