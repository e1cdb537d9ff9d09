"""Many processes, several paths, every fault: no promise is broken, and what breaks one is told."""

from __future__ import annotations

import gc
import logging

import pytest

from resilient_store.protocol import reconcile
from resilient_store.protocol.write import Demand
from tests.model.fleet.__main__ import story
from tests.model.fleet.drawing import drawn
from tests.model.fleet.once_failed import ONCE_FAILED
from tests.model.fleet.plan import (
    ACTS,
    AWAY,
    CATALOG,
    CHANGES,
    IGNORES,
    OPERATOR,
    SLY,
    WORKLOADS,
)
from tests.model.fleet.play import play, played, smallest
from tests.model.planted import without

SEEDS = 12
SEEDS_IN_MATRIX = 4000
OF_A_TEST = 200
KINDS = {*AWAY, *SLY, *ACTS, *CATALOG, IGNORES}
SHOWS_ACCOUNT = 757
IGNORED = 71
MISSED_FROM = 1_000_000  # soon after this seed writes are made while a whole platform is away


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.CRITICAL, "resilient_store")  # thousands of outages are told otherwise


def broken(seed: int) -> str:
    """Play a seed; tell it where a promise is broken."""
    one = play(seed)
    return story(one) if one.model.broken else ""


@pytest.mark.parametrize("seed", range(SEEDS))
def test_no_promise_is_broken(seed):
    assert broken(seed) == ""


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


def test_platforms_of_two_backends_are_drawn_and_struck_as_a_whole():
    plans = [plan for plan in map(drawn, range(300)) if plan.domains]
    assert {plan.min_domains for plan in plans} == {1, 2}
    for plan in plans:
        where = dict(zip(plan.backends, plan.domains, strict=True))
        pair = tuple(name for name in plan.backends if where[name].startswith("aws/"))
        assert len(pair) == 2
        first = {where[name].partition("/")[0] for name in plan.backends if name != plan.added}
        assert len(first) >= plan.min_domains <= plan.min_copies
        assert f"{pair[0]} in {where[pair[0]]}" in "\n".join(plan.lines())
    both = {one.kind for plan in plans for one in plan.troubles if len(one.backends) == 2}
    assert {"wipe", "back", "down", "hang"} <= both


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


def test_copies_that_are_not_platforms_are_noticed(monkeypatch):
    monkeypatch.setattr(Demand, "is_met", lambda self, names, _: len(names) >= self.copies)
    apart = (plan for plan in map(drawn, range(MISSED_FROM, MISSED_FROM + 40)))
    said = (" ".join(played(plan).model.broken) for plan in apart if plan.min_domains > 1)
    assert any("P1: good on ['aws']" in one for one in said)


def test_what_a_backend_ignores_loses_no_object():
    one = play(IGNORED)
    assert one.model.met["condition ignored that did not hold"]
    assert not one.model.broken, story(one)


# Runs that once failed


@pytest.mark.parametrize("what", ONCE_FAILED)
def test_a_run_that_once_failed(what):
    one = played(ONCE_FAILED[what])
    assert not one.model.broken, story(one)
