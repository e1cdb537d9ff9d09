"""Every single fault, at every request and every statement, of all workloads of up to two calls."""

from __future__ import annotations

import gc
import itertools
import logging

import pytest

from tests.model.__main__ import drawn, play
from tests.model.singles import (
    BEGINNINGS,
    CALLS,
    WITH_CONDITIONS,
    WORKLOADS,
    Workload,
    broken,
    faults,
    places,
)

FAULT_OF = 257  # in plain runs one fault of so many
RARE = 4  # and of the workloads over backends that know conditions, one of so many


@pytest.fixture(autouse=True)
def _quiet(caplog):
    caplog.set_level(logging.ERROR, "resilient_store")  # thousands of outages are told otherwise


def test_the_workloads_are_all_of_up_to_two_calls():
    assert len({str(workload) for workload in WORKLOADS}) == len(WORKLOADS)
    for beginning in BEGINNINGS:
        mine = [workload for workload in WORKLOADS if workload.beginning == beginning]
        assert [w.calls for w in mine if len(w.calls) == 1] == [(call,) for call in CALLS]
        after = {w.calls for w in mine if len(w.calls) == 2 and not w.together}
        assert after == set(itertools.product(CALLS, repeat=2))
        together = {frozenset(w.calls) for w in mine if w.together}
        assert together == {frozenset(pair) for pair in itertools.product(CALLS, repeat=2)}


@pytest.mark.parametrize("conditions", [False, True])
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_every_kind_of_place_is_found(beginning, conditions):
    workload = Workload(beginning, ("write", "delete"), conditions=conditions)
    found = [place.what.split()[0] for place in places(workload)]
    assert {"info", "put", "delete", "catalog", "BEGIN", "SELECT", "INSERT", "COMMIT"} <= {*found}


# What was wrong once: an object that was discovered after its backends had been cleared of a write
# that failed was never copied again; what a write that failed had left kept its path from being
# adopted, though the catalog said that it knew all; a file of an adopted object went on with
# another backend's bytes; bytes spoilt on their way made the only replica one that is lost.
ONCE_BROKEN = [
    (Workload("found", ("write",)), "put o @b", "late, at the last moment"),
    (Workload("found", ("write", "adopt")), "put o @b", "hangs"),
    (Workload("found", ("open", "stream")), "get o @a", "stops for 25 s"),
    (Workload("behind", ("read", "adopt")), "get .resilient/staging/2-2/o @a", "a bit flips"),
]


@pytest.mark.parametrize(("workload", "what", "kind"), ONCE_BROKEN)
def test_what_was_broken_once_is_whole(workload, what, kind):
    there = [place for place in places(workload) if place.what == what]
    assert there
    assert [broken(workload, place, kind) for place in there] == [""] * len(there)


def test_a_seed_of_the_search_replays_three_calls_and_one_fault(capsys):
    assert drawn(3) == drawn(3)
    assert len(drawn(3)[0].calls) == 3
    assert not play(3)
    assert capsys.readouterr().out == ""
    assert not play(3, whole=True)
    assert capsys.readouterr().out.startswith("seed 3: ")


FIRST = list(itertools.product(BEGINNINGS, CALLS))


@pytest.mark.parametrize(("beginning", "call"), FIRST, ids=[f"{b}: {c}" for b, c in FIRST])
def test_no_single_fault_breaks_a_promise(beginning, call):
    turn = FIRST.index((beginning, call))
    mine = [w for w in WORKLOADS if (w.beginning, w.calls[0]) == (beginning, call)]
    every = (one for workload in mine[turn % 3 :: 3] for one in all_of(workload))
    for workload, place, kind in itertools.islice(every, turn, None, FAULT_OF):
        assert broken(workload, place, kind) == ""


SOME = 4  # of those with conditions, each fault of which takes as long again
IN_MATRIX = ("behind", "found")  # the slowest; there all are played
CONDITIONAL = [
    pytest.param(one, marks=pytest.mark.matrix) if one in IN_MATRIX else one for one in BEGINNINGS
]


@pytest.mark.parametrize("beginning", CONDITIONAL)
def test_no_single_fault_breaks_a_promise_where_backends_know_conditions(beginning):
    turn = list(BEGINNINGS).index(beginning)
    mine = [w for w in WITH_CONDITIONS if w.beginning == beginning]
    every = (one for workload in mine[turn::RARE] for one in all_of(workload))
    for workload, place, kind in itertools.islice(every, turn, None, FAULT_OF):
        assert broken(workload, place, kind) == ""


@pytest.mark.matrix
@pytest.mark.parametrize("workload", [*WORKLOADS, *WITH_CONDITIONS[::SOME]], ids=str)
def test_no_single_fault_of_all_breaks_a_promise(workload):
    for _, place, kind in all_of(workload):
        assert broken(workload, place, kind) == ""
    gc.collect()


def all_of(workload):
    return ((workload, place, kind) for place, kind in faults(workload))
