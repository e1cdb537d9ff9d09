"""Many processes, several paths, every fault: no promise is broken, and what breaks one is told."""

from __future__ import annotations

import gc
import logging

import pytest

from resilient_store.protocol import reconcile
from tests.model.fleet.__main__ import story
from tests.model.fleet.once_failed import ONCE_FAILED
from tests.model.fleet.plan import (
    ACTS,
    AWAY,
    CATALOG,
    CHANGES,
    OPERATOR,
    SLY,
    WORKLOADS,
    drawn,
)
from tests.model.fleet.play import play, played, smallest
from tests.model.planted import without

SEEDS = 12
SEEDS_IN_MATRIX = 4000
OF_A_TEST = 200
KINDS = {*AWAY, *SLY, *ACTS, *CATALOG}
SHOWS_ACCOUNT = 227


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.CRITICAL, "resilient_store")  # thousands of outages are told otherwise


def broken(seed: int) -> str:
    """Play a seed; tell it where a promise is broken."""
    one = play(seed)
    return story(one) if one.model.broken else ""


def test_no_promise_is_broken():
    assert [broken(seed) for seed in range(SEEDS)] == [""] * SEEDS


@pytest.mark.matrix
@pytest.mark.parametrize("first", range(SEEDS, SEEDS_IN_MATRIX, OF_A_TEST))
def test_no_promise_is_broken_by_many_seeds(first):
    for seed in range(first, first + OF_A_TEST):
        assert broken(seed) == ""
    gc.collect()


def test_a_seed_replays_a_run():
    one, two = play(3), play(3)
    assert one.model.trace == two.model.trace
    assert one.model.loop.trace == two.model.loop.trace


def test_every_workload_and_every_fault_is_drawn():
    plans = [drawn(seed) for seed in range(300)]
    assert {trouble.kind for plan in plans for trouble in plan.troubles} == KINDS
    assert {plan.workload for plan in plans} == {*WORKLOADS}
    workers = [worker for plan in plans for worker in plan.workers]
    steps = [step for worker in workers for step in worker.steps]
    calls = {verb for _, odds in WORKLOADS.values() for verb in odds}
    assert {step.verb for step in steps} == {*calls, *OPERATOR}
    assert {*CHANGES} < calls
    assert any(worker.crashes_at for worker in workers)
    assert any(worker.pauses_at for worker in workers)
    assert any(step.cancel_s is not None for step in steps)
    assert any(plan.added for plan in plans)
    assert any(plan.restored for plan in plans)
    assert any(plan.away for plan in plans)


def test_a_run_that_breaks_a_promise_is_made_small_and_told():
    plan = drawn(SHOWS_ACCOUNT)
    with without("account"):  # what somebody else has put there is overwritten
        first = played(plan)
        least = smallest(plan, first.model.broken[0], most=60)
        told = story(least)
    assert least.plan.calls < plan.calls / 3
    assert told.splitlines()[-1] in least.model.broken
    assert "VIOLATION" in told
    assert not played(plan).model.broken


def test_a_restore_that_forgets_what_is_newer_is_noticed(monkeypatch):
    monkeypatch.setattr(reconcile, "newest", lambda *_: 0)
    restored = (plan for plan in map(drawn, range(300)) if plan.restored)
    assert any(played(plan).model.broken for plan in restored)


# Runs that once failed


@pytest.mark.parametrize("what", ONCE_FAILED)
def test_a_run_that_once_failed(what):
    one = played(ONCE_FAILED[what])
    assert not one.model.broken, story(one)
