"""What goes wrong without the rules, V1 to V20: each trace is told step by step, and does no harm.

They are the shortest that the executable model of the protocol found: a process that is late,
stopped or dead at one moment, and what others do meanwhile. With its rule left out of the code,
it does harm.
"""

from __future__ import annotations

import asyncio

import pytest

import resilient_store as rs
from resilient_store.model.info import Headers
from resilient_store.model.step import Step
from resilient_store.operations.adopt import adopt_all
from resilient_store.operations.sweep import sweep_all
from tests.catalogued.told import (
    ALL_IS_QUIET_S,
    LEASE_IS_OVER_S,
    OLD,
    Told,
    X,
    Y,
    after,
    dies_before,
    is_refused,
    is_sent_twice,
    sets,
    stops_its_process,
    times_out,
)
from tests.model.planted import without
from tests.model.scenarios import SCENARIOS
from tests.model.world import LATE_WINDOW_S, PATH
from tests.traps.test_table import exists

NEW = {}
OVER = {"init": OLD}
NOT_ALL_KNOWN = {"complete": False}


# Late requests


async def v1_a_late_put_of_a_creation_that_failed(told):
    told.plan("put", "ab", times_out)
    with pytest.raises(rs.InsufficientCopiesError):
        await told.write(0, X)
    assert (await told.write(1, Y)).copies == ("a", "b")
    told.land()
    assert await told.read(2) == Y


async def v2_a_late_deletion_of_what_was_there_before(told):
    told.plan("delete", "ab", times_out)
    await told.delete(0)
    assert (await told.write(1, X)).copies == ("a", "b")
    told.land()
    assert await told.read(2) == X


async def v3_a_late_publication_of_the_version_before(told):
    told.plan("publish", "ab", times_out)
    await told.write(0, X)
    await told.write(1, Y)
    told.land()
    assert await told.read(2) == Y


async def v4_a_put_that_was_answered_and_sent_twice(told):
    told.plan("put", "ab", is_sent_twice)
    await told.write(0, X)
    await told.write(1, Y)
    told.land()
    assert await told.read(2) == Y


async def settled_late(told, wait_s):
    """One dies with its bytes on one backend; who settles that, sends a deletion that is late."""
    landed = asyncio.Event()
    told.plan("put", "a", sets(landed))
    told.plan("put", "b", after(landed.wait, dies_before))
    dead = told.write(0, X)
    await asyncio.sleep(wait_s)
    assert (told.held(), dead.done()) == ([X, None], False)
    told.plan("delete", "a", times_out)
    assert (await told.write(1, X)).copies == ("a", "b")
    told.land()
    assert await told.read(2) == X


async def v5_the_same_bytes_where_a_writer_died(told):
    await settled_late(told, LEASE_IS_OVER_S)


async def v7_a_late_deletion_of_who_settles_on_quiet_keys(told):
    await settled_late(told, ALL_IS_QUIET_S)


# Processes that are stopped


async def v6_a_writer_that_is_stopped_while_another_takes_its_path_over(told):
    told.stops_when(lambda: told.model.record().intent is not None)
    stopped = told.write(0, X)
    await told.is_stopped(0)
    await asyncio.sleep(ALL_IS_QUIET_S)
    assert (await told.write(1, Y)).copies == ("a", "b")
    told.goes_on(0)
    with pytest.raises(rs.ConcurrentWriteError):
        await stopped
    assert await told.read(2) == Y
    assert told.held() == [Y, Y]


async def v8_a_repair_that_goes_on_with_what_it_saw_before(told):
    told.model.excused.add("a")
    told.model.disks["a"].remove(PATH)
    assert await told.read(1) == OLD
    told.plan("info", "a", stops_its_process)
    repair = told.repair(2)
    await told.is_stopped(2)
    await told.write(1, X)
    told.model.excused.clear()
    told.goes_on(2)
    await repair
    assert await told.read(0) == X
    assert told.held() == [X, X]


async def v8_a_sweep_that_lists_what_is_just_being_staged(told):
    writing = []

    async def staged():
        if not writing:
            told.at(Step.WRITE_ARRIVED, told.stop_soon)
            writing.append(told.write(0, X))
        await told.is_stopped(0)

    told.plan("list", "ab", after(staged), key="")
    report = await told.start(2, lambda fs: sweep_all(fs.store, -1000.0))
    assert report.removed == {"a": (), "b": ()}
    told.goes_on(0)
    assert (await writing[0]).copies == ("a", "b")
    assert await told.read(1) == X


# Answers that are lost


async def v9_a_commit_whose_answer_is_lost(told):
    told.at(Step.WRITE_ARRIVED, told.lose_an_answer)
    receipt = await told.write(0, X)
    assert told.model.record().entry.version == receipt.version
    assert told.held() == [X, X]


# What was deleted, or never was


async def forgotten(told):
    """Repair until the path is forgotten."""
    for _ in range(4):
        await asyncio.sleep(LATE_WINDOW_S + 1)
        await told.repair(2)
    assert told.model.record().is_empty


async def v10_a_deletion_that_was_confirmed_before_a_late_put(told):
    told.plan("put", "b", times_out)
    assert (await told.write(0, X)).copies == ("a",)
    await told.delete(1)
    assert told.held() == [None, None]
    told.land()
    assert told.held() == [None, X]
    await forgotten(told)
    report = await told.start(1, lambda fs: adopt_all(fs.store))
    assert PATH not in report.adopted
    with pytest.raises(FileNotFoundError):
        await told.read(0)


async def v11_a_creation_that_raised_and_lands(told):
    told.plan("put", "a", times_out)
    told.plan("put", "b", is_refused)
    with pytest.raises(rs.InsufficientCopiesError):
        await told.write(0, X)
    told.land()
    assert told.held() == [X, None]
    with pytest.raises(FileNotFoundError):
        await told.read(1)
    assert told.model.record().entry is None


async def v12_a_discovery_of_what_is_not_committed(told):
    landed = asyncio.Event()

    async def read_by_another():
        await landed.wait()
        assert told.held() == [X, None]
        with pytest.raises(FileNotFoundError):
            await told.read(1)

    told.plan("put", "a", sets(landed))
    told.plan("put", "b", after(read_by_another, is_refused))
    with pytest.raises(rs.InsufficientCopiesError):
        await told.write(0, X)
    assert told.model.record().entry is None


async def v13_a_slow_discovery_of_what_is_deleted_and_forgotten_meanwhile(told):
    told.plan("info", "a", stops_its_process)
    slow = told.read(0)
    await told.is_stopped(0)
    await told.delete(1)
    await forgotten(told)
    told.goes_on(0)
    with pytest.raises(FileNotFoundError):
        await slow
    assert told.model.record().is_empty


async def v20_a_look_that_ended_before_a_late_put(told):
    told.plan("put", "a", is_refused)
    told.plan("put", "b", times_out)
    with pytest.raises(rs.InsufficientCopiesError):
        await told.write(0, X)
    told.plan("info", "b", stops_its_process)
    repair = told.repair(2)
    await told.is_stopped(2)
    told.land()
    await asyncio.sleep(LATE_WINDOW_S + 1)
    told.goes_on(2)
    await repair
    with pytest.raises(FileNotFoundError):
        await told.read(1)
    assert told.model.record().entry is None


# Somebody else's bytes


async def v14_a_backend_that_could_not_be_looked_at(told):
    told.is_down("b")
    told.at(Step.WRITE_PLACED, lambda: told.is_down("b", seconds=0.0))
    await told.write(0, X)
    assert told.held() == [X, X]
    assert told.keeps("b", b"F1")


def overwritten_by_another_tool(told):
    told.model.excused.add("a")
    told.model.foreign.append(("a", b"F0"))
    told.model.disks["a"].set(PATH, b"F0", Headers())


async def v15_an_overwrite_of_somebody_elses_bytes(told):
    overwritten_by_another_tool(told)
    await told.write(0, X)
    assert told.held() == [X, X]
    assert told.keeps("a", b"F0")


async def v15_a_deletion_of_somebody_elses_bytes(told):
    overwritten_by_another_tool(told)
    await told.delete(0)
    assert told.held() == [None, None]
    assert told.keeps("a", b"F0")


# Readers that are slow


async def overtaken(told):
    """Look a version up, and ask for its bytes when another has taken its place."""
    told.stops_when(lambda: True)
    reading = told.read(0)
    await told.is_stopped(0)
    receipt = await told.write(1, X)
    told.goes_on(0)
    assert await reading == X
    return receipt


async def v16_a_version_that_is_replaced_under_its_reader_is_not_lost(told):
    await overtaken(told)


async def v17_a_late_report_of_a_reader(told):
    receipt = await overtaken(told)
    assert told.states() == ["good", "good"]
    assert {row.version for row in told.model.record().holders()} == {receipt.version}


# --- all of them --------------------------------------------------------------------------

TRACES = (
    # what is told, where, and without which rules it does harm
    (v1_a_late_put_of_a_creation_that_failed, NEW, ("quiet",)),
    (v2_a_late_deletion_of_what_was_there_before, OVER, ("quiet",)),
    (v3_a_late_publication_of_the_version_before, OVER, ("quiet",)),
    (v4_a_put_that_was_answered_and_sent_twice, NEW, ("quiet",)),
    (v5_the_same_bytes_where_a_writer_died, NEW, ("quiet",)),
    (v6_a_writer_that_is_stopped_while_another_takes_its_path_over, NEW, ("leasecheck",)),
    (v7_a_late_deletion_of_who_settles_on_quiet_keys, NEW, ("takeover",)),
    # What it sends is kept from harm by its mark and by the version in its notes as well.
    (v8_a_repair_that_goes_on_with_what_it_saw_before, OVER | {"min_copies": 1}, ()),
    (v8_a_sweep_that_lists_what_is_just_being_staged, OVER, ("sweep",)),
    (v9_a_commit_whose_answer_is_lost, NEW, ("commitcheck",)),
    (
        v10_a_deletion_that_was_confirmed_before_a_late_put,
        NOT_ALL_KNOWN | {"min_copies": 1},
        ("relook",),
    ),
    (v11_a_creation_that_raised_and_lands, NOT_ALL_KNOWN, ("void",)),
    (v12_a_discovery_of_what_is_not_committed, NOT_ALL_KNOWN, ("discover",)),
    (
        v13_a_slow_discovery_of_what_is_deleted_and_forgotten_meanwhile,
        NOT_ALL_KNOWN | {"lying": (b"F0", None)},
        ("discover",),
    ),
    (
        v14_a_backend_that_could_not_be_looked_at,
        NOT_ALL_KNOWN | {"lying": (None, b"F1"), "min_copies": 1},
        ("account",),
    ),
    (v15_an_overwrite_of_somebody_elses_bytes, OVER, ("account",)),
    (v15_a_deletion_of_somebody_elses_bytes, OVER, ("account",)),
    (v16_a_version_that_is_replaced_under_its_reader_is_not_lost, OVER, ("reread",)),
    (v17_a_late_report_of_a_reader, OVER, ("cas",)),
    (v20_a_look_that_ended_before_a_late_put, NOT_ALL_KNOWN, ("lookorder",)),
)


@pytest.mark.parametrize(
    ("trace", "world"), [row[:2] for row in TRACES], ids=[row[0].__name__ for row in TRACES]
)
def test_a_trace_does_no_harm(trace, world):
    Told(**world).play(trace)


@pytest.mark.parametrize(
    ("trace", "world", "rule"),
    [
        pytest.param(trace, world, rule, id=f"{trace.__name__}-{rule}")
        for trace, world, rules in TRACES
        for rule in rules
    ],
)
def test_without_its_rule_a_trace_does_harm(trace, world, rule):
    harm = (AssertionError, pytest.fail.Exception, rs.ObjectError, FileNotFoundError)
    with without(rule), pytest.raises(harm):
        Told(**world).play(trace)


# --- where the others are -----------------------------------------------------------------

WRITE, MOVE = "catalogued/test_write.py::", "catalogued/test_move_copy.py::"
ELSEWHERE = {
    18: WRITE + "test_version_numbers_grow_over_all_paths_and_are_never_used_again",
    19: "catalogued/test_identity.py::"
    "test_p2_p3_a_backend_that_went_back_in_time_serves_nothing_before_it_was_verified",
    22: "laws/test_account.py::test_r11_a_streams_bytes_are_known_by_the_version_that_they_carry",
    24: "backends/test_s3.py::test_a_portals_page_is_no_answer",
    25: MOVE + "test_p2_two_moves_crosswise_end_in_one_order",
}
MODELLED = {
    1: ("loss-create", "quiet"),
    2: ("loss-delete", "quiet"),
    3: ("loss-overwrite", "quiet"),
    4: ("create-dup", "quiet"),
    5: ("create-crash-same", "quiet"),
    6: ("overwrite-crash", "fence"),
    7: ("create-crash-same", "takeover"),
    8: ("replay-create", "lock"),
    9: ("commit-unknown", "commitcheck"),
    10: ("purge-adopt", "relook"),
    11: ("failed-create", "void"),
    12: ("dirty-read", "discover"),
    13: ("purge-read", "discover"),
    14: ("undiscovered", "lookup"),
    15: ("foreign", "account"),
    16: ("read-window", "reread"),
    17: ("read-window", "cas"),
    18: ("version-reuse", "counter"),
    19: ("back-in-time", "epoch"),
    20: ("purge-slow", "lookorder"),
}


def test_each_trace_is_told_here_or_elsewhere():
    here = {int(trace.__name__[1:].partition("_")[0]) for trace, _, _ in TRACES}
    assert here | set(ELSEWHERE) >= set(range(1, 21))
    assert here.isdisjoint(ELSEWHERE)
    assert [test for test in ELSEWHERE.values() if not exists(test)] == []


def test_each_trace_has_a_scenario_that_misses_its_rule():
    assert list(MODELLED) == list(range(1, 21))
    assert [name for name, rule in MODELLED.values() if rule not in SCENARIOS[name].shows] == []
