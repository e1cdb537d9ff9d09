"""Limits of repair, scrub and evacuate are kept; and a scrub that was stopped is gone on with."""

from __future__ import annotations

import asyncio
import types

import pytest

import resilient_store as rs
from resilient_store.io import paced
from resilient_store.operations import evacuate, repair, scrub
from resilient_store.protocol.pace import BURST_S
from tests.catalogued.stage import ONE

COUNT, SIZE = 12, 1000
OPERATIONS = {
    "repair": (repair, "repair_path", rs.repair),
    "scrub": (scrub, "scrub_path", rs.scrub),
    "evacuate": (evacuate, "repair_path", lambda fs, **how: rs.evacuate(fs, from_="aws", **how)),
}


@pytest.fixture
def behind(shop):
    """Return a store with objects that one of three platforms has missed."""
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    fs.exists("anything")
    shop.lose("azure")
    for number in range(COUNT):
        fs.write(f"p/{number:02}", b"x" * SIZE)
    shop.bring_back("azure")
    shop.leave(fs)
    return shop.open(write=rs.WriteToAll(min_copies=1))


@pytest.fixture
def waited(monkeypatch):
    """Let what is waited for take no time; return a list of its seconds."""
    seconds = []

    async def pause(so_long):
        seconds.append(so_long)

    clock = types.SimpleNamespace(now_s=lambda: sum(seconds), pause=pause)
    monkeypatch.setattr(paced, "runtime", clock)
    return seconds


@pytest.mark.parametrize("what", OPERATIONS)
def test_no_platform_is_asked_more_than_was_said(behind, waited, what):
    OPERATIONS[what][2](behind, at_once=1, requests_per_s=4.0)
    assert sum(waited) >= (COUNT - 1) / 4.0 - BURST_S, "each object is a request, at the least"


@pytest.mark.parametrize("what", OPERATIONS)
def test_no_platform_moves_more_bytes_than_was_said(behind, waited, what):
    OPERATIONS[what][2](behind, at_once=1, bytes_per_s=SIZE / 2)
    assert sum(waited) >= (COUNT - 1) * 2 - BURST_S


@pytest.mark.parametrize("what", OPERATIONS)
def test_where_nothing_was_said_nothing_is_waited_for(behind, waited, what):
    OPERATIONS[what][2](behind, at_once=1)
    assert sum(waited) < 1.0


@pytest.mark.parametrize("what", OPERATIONS)
def test_so_many_objects_are_worked_on_at_one_time_and_no_more(behind, monkeypatch, what):
    module, name, call = OPERATIONS[what]
    real, enough = getattr(module, name), asyncio.Event()
    active, most = [], []

    async def beside_others(*given, **more):
        active.append(None)
        most.append(len(active))
        if len(active) == 3:
            enough.set()
        await enough.wait()
        answer = await real(*given, **more)
        active.pop()
        return answer

    monkeypatch.setattr(module, name, beside_others)
    call(behind, at_once=3)
    assert max(most) == 3


class StoppedError(Exception):
    """Somebody has stopped the scrub."""


def test_a_scrub_that_was_stopped_is_gone_on_with_where_it_was(fs, monkeypatch):
    paths = [f"p/{number}" for number in range(8)]
    for path in paths:
        fs.write(path, ONE)
    monkeypatch.setattr(scrub, "RECORDED_AT_ONCE", 2)
    real, verified = scrub.scrub_path, []

    async def until_the_sixth(store, record, names, *, deep):
        verified.append(record.path)
        if len(verified) == 6:
            raise StoppedError
        return await real(store, record, names, deep=deep)

    monkeypatch.setattr(scrub, "scrub_path", until_the_sixth)
    with pytest.raises(StoppedError):
        rs.scrub(fs, at_once=1, max_age=3600)
    first, verified[:] = verified[:4], []
    report = rs.scrub(fs, at_once=1, max_age=3600)
    assert (first + verified, report.checked) == (paths, 4 * 3)
    assert rs.scrub(fs, max_age=3600).checked == 0
