"""Parts of a store are worked on by Dask workers, some of which die."""

from __future__ import annotations

import os
import signal
import threading

import distributed
import pytest

import resilient_store as rs
from resilient_store.io import sharded
from resilient_store.model.damage import KINDS
from tests.catalogued.stage import NAMES, ONE, states


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        yield client


def behind(shop, count):
    """Write objects that one platform has missed; return their paths."""
    fs = shop.open(write=rs.WriteToAll(min_copies=2))
    fs.exists("anything")
    shop.lose("aws")
    paths = [f"p/{number:04}" for number in range(count)]
    for path in paths:
        fs.write(path, ONE)
    shop.bring_back("aws")
    shop.leave(fs)
    return paths


@pytest.fixture
def small_parts(monkeypatch):
    monkeypatch.setattr(sharded, "PAGE", 5)


def test_repair_and_scrub_are_shared_by_workers(shop, client, small_parts):
    paths = behind(shop, 60)
    fs = shop.open()
    report = rs.repair(fs, client=client)
    assert (report.failed, report.copied >= 60) == ({}, True)
    assert all(states(fs, path)["aws"] == "good" for path in paths)
    shop.flip("gcp", paths[7])
    (shop.disk("azure") / paths[50]).unlink()
    shop.put_behind("aws", "left/here", ONE)
    found = rs.scrub(fs, client=client)
    assert found.checked == 60 * len(NAMES)
    assert (found.corrupt, found.missing) == ({paths[7]: ("gcp",)}, {paths[50]: ("azure",)})
    assert found.unknown == {"left/here": ("aws",)}


def test_a_damage_report_of_many_workers_says_what_one_process_says(shop, client, small_parts):
    paths = behind(shop, 40)
    fs = shop.open()
    gone = [paths[3], paths[30]]
    for path in gone:
        for name in ("gcp", "azure"):
            (shop.disk(name) / path).unlink()
        with pytest.raises(rs.OriginalMissingError):
            fs.cat(path)
    alone = rs.damage_report(fs, group_by="p/{name}")
    shared = rs.damage_report(fs, group_by="p/{name}", client=client)
    assert [one.path for one in shared.lost] == gone
    assert [list(shared.found[kind]) for kind in KINDS] == [
        list(alone.found[kind]) for kind in KINDS
    ]
    assert len(shared.at_risk) == len(alone.at_risk)
    with pytest.raises(rs.ConfigurationError, match="group_by"):
        rs.damage_report(fs, group_by="{", client=client)


def test_a_worker_that_is_killed_costs_only_its_part(shop, client, small_parts):
    paths = behind(shop, 80)
    fs = shop.open()
    victim = next(iter(client.run(os.getpid).values()))
    reports = []
    work = threading.Thread(target=lambda: reports.append(rs.repair(fs, client=client)))
    work.start()
    while not (shop.disk("aws") / ".resilient/staging").exists() and work.is_alive():
        pass
    os.kill(victim, signal.SIGKILL)
    work.join(50)
    assert reports
    left = rs.repair(fs).waiting  # what the dead worker held waits for its lease
    held = {path for path in paths if states(fs, path)["aws"] != "good"}
    assert len(held) <= 8
    assert held <= set(left)


def test_the_listings_are_shared_where_the_catalog_knows_nothing_yet(shop, client):
    paths = [f"p/{number:03}" for number in range(60)]
    for path in paths:
        for name in NAMES:
            shop.put_behind(name, path, path.encode())
    shop.put_behind("azure", "q", b"elsewhere")
    shop.put_behind("gcp", paths[7], b"theirs")
    fs = shop.open()
    report = rs.adopt(fs, client=client)
    assert (report.new, report.conflicts) == (60, {paths[7]: NAMES})
    assert sorted(report.adopted) == sorted([*paths, "q"])[:7] + sorted([*paths, "q"])[8:]
    assert not report.complete
    again = rs.adopt(fs, client=client, on_conflict="newest")
    assert (again.new, again.known, again.complete) == (1, 60, True)
    with pytest.raises(rs.ConfigurationError, match="no paths"):
        rs.adopt(fs, client=client, paths=["a"])
