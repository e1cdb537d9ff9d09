"""Copies on several platforms: written together, ordered by number, and never given up at once."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from pathlib import Path

import pytest

import resilient_store as rs
from resilient_store.model.path import RESERVED
from tests.catalogued.stage import CAT, NAMES, ONE, THREE, TWO
from tests.simulation.stage import Stage

HOUR_S = 3600.0


@pytest.mark.parametrize("call", ["write", "pipe_file", "put in parts", "delete"])
def test_a_change_of_five_backends_takes_little_longer_than_of_one(call):
    def took_s(count):
        stage = Stage(seed=count, count=count, latency_s=0.05)
        stage.run(stage.fs._write("d/old", ONE))

        async def main():
            began_s = stage.loop.time()
            if call == "write":
                await stage.fs._write("d/new", ONE)
            elif call == "pipe_file":
                await stage.fs._pipe_file("d/new", ONE)
            elif call == "delete":
                await stage.fs._rm_file("d/old")
            else:
                file = await stage.fs.open_async("d/new", "wb")
                for _ in range(3):
                    await file.write(bytes(8 * 2**20))
                await file.close()
            return stage.loop.time() - began_s

        spent_s = stage.run(main())
        stage.close()
        return spent_s

    assert took_s(1) > 0.05
    assert took_s(5) < 1.3 * took_s(1)


@pytest.fixture
def host(monkeypatch):
    """Return a host clock that can be put forward and back: `host.ahead_s`."""

    class Host:
        ahead_s = 0.0

    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + Host.ahead_s)
    return Host


@pytest.mark.parametrize("steps", [(5, -5, 0), (-5, 5, -24), (0, -1, -2), (700, 0, -700)])
def test_writes_are_in_the_order_in_which_they_were_whatever_the_clocks_say(shop, host, steps):
    versions = []
    for hours, data in zip(steps, (ONE, TWO, THREE), strict=True):
        host.ahead_s = hours * HOUR_S
        one = shop.open()  # another machine, whose clock is wrong
        versions.append(one.write(CAT, data).version)
        assert one.cat(CAT) == data
        shop.leave(one)
    assert versions == sorted(set(versions))
    host.ahead_s = 0.0
    assert shop.open().cat(CAT) == THREE
    rs.repair(shop.open())
    assert shop.held(CAT) == dict.fromkeys(NAMES, THREE)


@pytest.mark.parametrize("hours", [-5, 5])
def test_a_clock_that_is_put_elsewhere_in_the_middle_of_a_write_mixes_nothing(
    fs, shop, host, hours
):
    fs.write(CAT, ONE)
    with fs.open(CAT, "wb") as file:
        file.write(TWO)
        host.ahead_s = hours * HOUR_S
    assert fs.cat(CAT) == TWO
    fs.write(CAT, THREE)
    host.ahead_s = 0.0
    assert fs.cat(CAT) == shop.open().cat(CAT) == THREE


def holds(shop, name, data):
    """Say whether a backend has these bytes; what is published moves from the one to the other."""
    found = []
    for top, _, names in os.walk(shop.disk(name) / RESERVED):
        for one in names:
            with contextlib.suppress(FileNotFoundError):
                found.append((Path(top) / one).read_bytes())
    with contextlib.suppress(FileNotFoundError):
        found.append((shop.disk(name) / CAT).read_bytes())
    return data in found


def test_two_machines_that_each_count_on_the_other_ones_copy_do_not_remove_both(shop):
    """One is configured to keep objects on two backends, the other on two others."""
    pairs = (["aws", "gcp"], ["gcp", "azure"])
    stores = [
        shop.open(
            placements=[rs.Placement("originals/{name}", backends=pair)],
            write=rs.WriteToAll(min_copies=2, min_domains=2),
        )
        for pair in pairs
    ]
    ended, removed = threading.Event(), []

    def work(store):
        while not ended.is_set():
            removed.append(rs.repair(store).removed)

    threads = [threading.Thread(target=work, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    try:
        for number in range(20):
            data = b"%d" % number
            stores[number % 2].write(CAT, data)
            for _ in range(20):
                assert sum(holds(shop, name, data) for name in NAMES) >= 2
    finally:
        ended.set()
        for thread in threads:
            thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert sum(removed) > 0
    assert [store.cat(CAT) for store in stores] == [data] * 2
