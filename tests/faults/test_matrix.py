"""Each fault at each call of each platform: how it ends, in what time, and what is left of it."""

from __future__ import annotations

import asyncio
import threading

import attrs
import pytest

import resilient_store as rs
from tests.faults import faulty, table
from tests.faults.faulty import BEFORE, MAY_BE, TIMEOUT_S
from tests.servers.waiting import sockets_to, until

EVERY_RUN = table.in_every_run()
MET: set[str] = set()  # schemes whose SDKs are imported: seconds, beside other work
REST = [cell for cell in table.tested() if cell not in EVERY_RUN]


def test_every_cell_has_a_test_or_a_reason():
    untested = {(cell.fault, cell.call) for cell in table.cells() if cell.outcome == "."}
    assert untested == set(table.REASONS)
    assert len(table.TABLE) * len(table.CALLS) * len(table.FAMILIES) == 528
    assert len(table.tested()) == 528 - 3 * len(table.REASONS) + 2, "two of them Azure can do"
    assert len(table.REASONS) == 32


def test_every_fault_and_every_call_of_every_platform_is_in_every_run():
    for family in table.FAMILIES:
        mine = [cell for cell in EVERY_RUN if cell.family == family]
        assert {cell.fault for cell in mine} == set(table.TABLE)
        assert {cell.call for cell in mine} == set(table.CALLS)


@pytest.mark.parametrize("cell", EVERY_RUN, ids=str)
def test_a_fault_ends_as_it_must(request, cell):
    play(request.getfixturevalue(cell.family), cell)


@pytest.mark.matrix
@pytest.mark.parametrize("cell", REST, ids=str)
def test_a_fault_of_the_rest_ends_as_it_must(request, cell):
    play(request.getfixturevalue(cell.family), cell)


def play(platform, cell):
    bucket = platform.new_bucket()
    for key, data in BEFORE.items():
        platform.write(bucket, key, data)
    threads = threading.active_count()
    error, took_s, left = asyncio.run(calls(platform, bucket, cell))

    assert (error is None) == (cell.outcome == ""), error
    if error is not None:
        (reply,) = error.replies
        assert reply.outcome.value == cell.outcome, error
        assert cell.outcome not in str(error.path)
    assert took_s < faulty.longest_s(cell.call)
    assert left == []
    assert until(lambda: threading.active_count() <= threads), threading.enumerate()
    assert until(lambda: sockets_to(platform.proxy.port) == 0)
    assert until(lambda: platform.proxy.live == 0), platform.proxy.live
    if cell.fault not in ("no bucket", "killed"):  # what was in memory is gone with the server
        check_what_lies_there(platform, bucket, cell, error)


async def calls(platform, bucket, cell):
    """Make the call while the platform fails, and close the store while it is well again."""
    backend = rs.Backend(
        platform.url(bucket),
        name="one",
        storage_options=platform.storage_options(),
        timeout=TIMEOUT_S,
        stall_timeout=TIMEOUT_S,
    )
    await import_sdk(backend)
    fs = rs.ResilientFileSystem([backend], asynchronous=True)
    await fs._exists("warm")  # a client is made: not what is measured here
    with faulty.failing(platform, bucket, cell.fault, cell.call):
        error, took_s = await faulty.outcome_of(fs, cell.call)
    await fs._close()
    return error, took_s, faulty.tasks_left()


async def import_sdk(backend):
    """Meet a platform for the first time in this process, however long that takes."""
    family = backend.target.partition(":")[0]
    if family not in MET:
        fs = rs.ResilientFileSystem([attrs.evolve(backend, timeout=60.0)], asynchronous=True)
        await fs._exists("warm")
        await fs._close()
        MET.add(family)


def check_what_lies_there(platform, bucket, cell, error):
    """Nothing half, nothing strange; a change that may have happened did or did not."""
    allowed = [BEFORE]
    if error is not None and cell.outcome == "timed out":
        allowed += MAY_BE.get(cell.call, [])
    backend = rs.Backend(platform.url(bucket), storage_options=platform.storage_options())

    def lies_there():
        with rs.ResilientFileSystem([backend]) as fs:
            rs.sweep(fs, older_than=0)  # what could not be cleaned up while it hung
        return {key: platform.read(bucket, key) for key in platform.names(bucket)}

    found = lies_there()
    assert until(lambda: lies_there() in allowed), sorted(found)
