"""Parts of a store are worked on by Dask workers, some of which die."""

from __future__ import annotations

import contextlib
import importlib
import itertools
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import distributed
import pytest

import resilient_store as rs
from resilient_store.io import sharded
from resilient_store.model.damage import KINDS
from tests.catalogued.stage import NAMES, ONE, converge, states


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, dashboard_address=None, memory_limit=0
    ) as cluster:
        yield cluster


@pytest.fixture
def client(cluster):
    with distributed.Client(cluster) as client:
        client.wait_for_workers(2)  # one that died is begun anew
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


# --- workers that die, and workers that do the same ---------------------------------------


def patch_here(module, name, make, *given):
    """Let a function of this process be another one until `unpatch_here`."""
    module = importlib.import_module(f"resilient_store.operations.{module}")
    real = getattr(module, name)
    patched = make(real, *given)
    patched.__wrapped__ = real
    setattr(module, name, patched)


def unpatch_here(module, name):
    module = importlib.import_module(f"resilient_store.operations.{module}")
    patched = getattr(module, name)
    setattr(module, name, getattr(patched, "__wrapped__", patched))


def dying(real, calls, death):
    """Let the first process that has made so many calls die there, before it tells of any."""
    left = itertools.count(calls, -1)

    def die_first():
        with contextlib.suppress(FileExistsError), open(death, "x"):
            os.kill(os.getpid(), signal.SIGKILL)

    async def dies_after(*given, **more):
        answer = await real(*given, **more)
        if answer != [] and next(left) <= 1:  # something was done
            die_first()
        return answer

    return dies_after


@pytest.fixture
def one_dies(shop, client):
    """Let one worker die when it has called a function so often; see to it that it did."""
    death, places = shop.folder / "somebody died", []

    def arm(module, name, calls):
        places.append((module, name))
        client.run(patch_here, module, name, dying, calls, str(death))

    yield arm
    assert death.exists(), "the operation was under way"
    for place in places:
        client.run(unpatch_here, *place)


def test_a_worker_that_dies_while_it_repairs_costs_only_its_part(
    shop, client, small_parts, one_dies
):
    paths = behind(shop, 80)
    fs = shop.open()
    one_dies("repair", "repair_path", 3)
    report = rs.repair(fs, client=client)
    held = {path for path in paths if states(fs, path)["aws"] != "good"}
    assert (len(held) <= 8, report.failed) == (True, {})
    assert held <= set(rs.repair(fs).waiting), "what the dead worker held waits for its lease"


@pytest.mark.matrix
def test_a_worker_that_dies_while_it_adopts_costs_nothing(shop, client, one_dies):
    paths = [f"p/{number:03}" for number in range(450)]
    for path in paths:
        shop.put_behind("aws", path, path.encode())
    fs = shop.open()
    one_dies("adopt", "adopt_some", 1)
    report = rs.adopt(fs, client=client)
    assert (report.new + report.known, report.failed) == (450, {})
    assert (report.known > 0, report.complete) == (True, True), "what was adopted stays adopted"
    assert fs.find("p") == paths


@pytest.mark.matrix
def test_a_worker_that_dies_while_it_scrubs_costs_nothing(shop, client, small_parts, one_dies):
    paths = behind(shop, 80)
    fs = shop.open()
    converge(fs)
    shop.flip("gcp", paths[7])
    shop.remove_behind("azure", paths[50])
    one_dies("scrub", "scrub_path", 3)
    found = rs.scrub(fs, client=client, at_once=1)  # the dead one has not come to these two
    assert (found.checked, found.bad, found.silent) == (80 * len(NAMES), 2, {})
    assert (found.corrupt, found.missing) == ({paths[7]: ("gcp",)}, {paths[50]: ("azure",)})
    assert (states(fs, paths[7])["gcp"], states(fs, paths[50])["azure"]) == ("corrupt", "missing")


@pytest.mark.matrix
def test_a_worker_that_dies_while_damage_is_looked_for_costs_nothing(
    shop, client, small_parts, one_dies
):
    paths = behind(shop, 80)
    fs = shop.open()
    gone = paths[::4]
    for path in gone:
        for name in ("gcp", "azure"):
            shop.remove_behind(name, path)
    rs.scrub(fs)
    alone = rs.damage_report(fs)
    one_dies("damage.collect", "_look_at", 1)
    shared = rs.damage_report(fs, client=client)
    assert [one.path for one in shared.lost] == gone
    assert {kind: list(shared.found[kind]) for kind in KINDS} == {
        kind: list(alone.found[kind]) for kind in KINDS
    }


class On:
    """A client whose work is done by one worker, in the order in which it is given."""

    def __init__(self, client, worker):
        self.client, self.worker = client, worker
        self.priorities = itertools.count(0, -1)

    def nthreads(self):
        return {self.worker: 1}

    def submit(self, *given, **more):
        how = {"workers": [self.worker], "priority": next(self.priorities)}
        return self.client.submit(*given, **more, **how)

    def cancel(self, futures):
        self.client.cancel(futures)


def meeting(real, folder, mode):
    """Let two processes begin with each path at the same moment, when both mean to repair it."""
    met = set()

    def meet(path):
        if path not in met:
            met.add(path)
            with open(f"{folder}/{path.replace('/', ' ')}", mode):  # a FIFO needs two
                pass

    async def meets(store, path):
        meet(path)
        return await real(store, path)

    return meets


@pytest.mark.matrix
def test_two_repairs_at_once_do_no_harm_where_both_are_at_one_path(shop, client, small_parts):
    paths = behind(shop, 12)
    (shop.folder / "meetings").mkdir()
    for path in paths:
        os.mkfifo(shop.folder / "meetings" / path.replace("/", " "))
    both = [(shop.open(), On(client, worker)) for worker in client.nthreads()]
    for (_, on), mode in zip(both, "rw", strict=True):
        given = ("repair", "repair_path", meeting, str(shop.folder / "meetings"), mode)
        client.run(patch_here, *given, workers=[on.worker])
    with ThreadPoolExecutor() as pool:
        repairs = [pool.submit(rs.repair, fs, client=on, at_once=1) for fs, on in both]
        reports = [one.result(60) for one in repairs]
    client.run(unpatch_here, "repair", "repair_path")
    assert [report.failed for report in reports] == [{}, {}]
    assert sum(report.copied for report in reports) >= 12
    fs = shop.open()
    converge(fs)
    for path in paths:
        assert (states(fs, path), shop.held(path)) == (
            dict.fromkeys(NAMES, "good"),
            dict.fromkeys(NAMES, ONE),
        )
    assert [shop.staged(name) for name in NAMES] == [[], [], []]


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
