"""Machines share the rounds of maintenance: none of it is done twice, and the dead cost little."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest
from fsspec.asyn import sync

import resilient_store as rs
from resilient_store import maintenance
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.model.round import Round
from tests.catalogued.postgresql import PostgresShop
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, Shop, store_state

COUNT, SIZE = 9, 3
IN_SQLITE = pytest.param(Shop, id=pytest.HIDDEN_PARAM)
IN_POSTGRESQL = pytest.param(PostgresShop, id="postgresql")
AND_IN_POSTGRESQL = pytest.param(PostgresShop, id="postgresql", marks=pytest.mark.matrix)

WORKER = """
import functools
import json
import sys
import resilient_store as rs
from resilient_store import maintenance, runtime

stops = [True]

def told(job, real):
    async def work(store, *args, part, **options):
        print(json.dumps([job, part.after, part.until]), flush=True)
        if stops:
            stops.clear()
            await runtime.in_executor(sys.stdin.readline)
        return await real(store, *args, part=part, **options)
    return work

settings = json.loads(sys.argv[1])
maintenance.repair_all = told("repair", maintenance.repair_all)
maintenance.scrub_all = told("scrub", maintenance.scrub_all)
fs = rs.ResilientFileSystem(
    [rs.Backend(target, name=name, domain=name) for name, target in settings["backends"].items()],
    catalog=settings["catalog"],
    write=rs.WriteToAll(min_copies=2, min_domains=2),
    late_window=0.05,
)
with fs:
    report = rs.maintain(fs, every=3600, lease=settings["lease"], objects=settings["objects"])
    checked = report.scrubbed.checked
    print(json.dumps([report.parts, report.repaired.copied, checked]), flush=True)
"""


class Machine:
    """A process that maintains the shop, and waits at its first part until it may go on."""

    def __init__(self, shop, *, lease=60.0):
        settings = {
            "backends": {name: str(shop.disk(name)) for name in NAMES},
            "catalog": shop.settings()["catalog"],
            "lease": lease,
            "objects": SIZE,
        }
        self.said = []
        self.process = subprocess.Popen(
            [sys.executable, "-c", WORKER, json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def hear(self):
        """Wait for what it says next."""
        line = self.process.stdout.readline()
        assert line, "it ended early"
        self.said.append(json.loads(line))
        return self.said[-1]

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def end(self):
        """Wait for its end; return the number of parts, of copies and of verified replicas."""
        out, _ = self.process.communicate(timeout=50)
        self.said += [json.loads(line) for line in out.splitlines()]
        assert self.process.returncode == 0
        return self.said.pop()

    def kill(self):
        self.process.kill()
        self.process.communicate()


@pytest.fixture
def machines(shop):
    started = []

    def start(**options):
        started.append(Machine(shop, **options))
        return started[-1]

    yield start
    for one in started:
        with contextlib.suppress(ValueError):
            one.kill()


@pytest.fixture
def paths(shop):
    """Write objects that one platform has missed."""
    fs = shop.open()
    fs.exists("anything")
    shop.lose("aws")
    paths = [f"p/{number:02}" for number in range(COUNT)]
    for path in paths:
        fs.write(path, ONE)
    shop.bring_back("aws")
    shop.leave(fs)
    return paths


def parts_of(job, *machines):
    return [tuple(rest) for one in machines for name, *rest in one.said if name == job]


def cut(paths):
    """Return the parts that these paths are cut into."""
    borders = ["", *paths[SIZE - 1 :: SIZE]]
    return {*itertools.pairwise(borders), (borders[-1], None)}


@pytest.mark.parametrize("shop", [IN_SQLITE, IN_POSTGRESQL], indirect=True)
def test_two_machines_share_a_round_and_do_nothing_twice(shop, paths, machines):
    one, two = machines(), machines()
    assert {one.hear()[0], two.hear()[0]} == {"repair"}  # each holds a part of it
    one.go_on()
    two.go_on()
    ended = [one.end(), two.end()]
    for job in ("repair", "scrub"):
        parts = parts_of(job, one, two)
        assert len(parts) == len(set(parts))
        assert set(parts) == cut(paths)
    assert all(parts["repair"] for parts, *_ in ended)
    assert sum(copied for _, copied, *_ in ended) >= COUNT
    for job in ("snapshot", "sweep"):
        assert sum(parts[job] for parts, *_ in ended) == 1
    state = store_state(shop.open())
    assert all(of.ended_s and not of.leases for of in state.rounds.values())
    assert state.scan.checked == sum(checked for _, _, checked in ended) >= 2 * COUNT
    assert state.scan.ended_s == state.rounds["scrub"].ended_s
    assert state.maintained_s == state.rounds["repair"].ended_s


@pytest.mark.parametrize("shop", [IN_SQLITE, AND_IN_POSTGRESQL], indirect=True)
def test_what_a_killed_machine_had_is_done_by_another_when_its_lease_ends(shop, paths, machines):
    victim, heir = machines(lease=1.0), machines(lease=1.0)
    lost = victim.hear()
    heir.hear()
    victim.kill()
    heir.go_on()
    parts, copied, checked = heir.end()
    assert lost in heir.said
    assert set(parts_of("repair", heir)) == cut(paths)
    assert parts["repair"] == len(cut(paths))
    assert (copied >= COUNT, checked >= 2 * COUNT) == (True, True)


def telling(fs, tell):
    """Let a function see each change of the store's state, and fail it."""
    real = fs.store.known.change_state

    async def change_state(change):
        tell()
        return await real(change)

    return change_state


def test_a_lease_is_renewed_while_work_goes_on_though_the_catalog_fails_once(
    fs, monkeypatch, caplog
):
    fs.write(CAT, ONE)
    real = maintenance.sweep_all

    async def slow(store, older_than):
        enough, renewals = asyncio.Event(), []

        def tell():
            renewals.append(None)
            if len(renewals) == 2:
                raise CatalogDownError("away for a moment")
            if len(renewals) == 7:  # twice as long as a lease
                enough.set()

        with monkeypatch.context() as patched:
            patched.setattr(store.known, "change_state", telling(fs, tell))
            await enough.wait()
        (lease,) = (await store.known.state()).rounds["sweep"].leases
        assert lease.until_s > await store.known.now_s()
        return await real(store, older_than)

    monkeypatch.setattr(maintenance, "sweep_all", slow)
    assert rs.maintain(fs, lease=0.3).parts["sweep"] == 1
    assert "could not be renewed: away for a moment" in caplog.text


def test_a_round_is_due_when_the_last_one_began_long_enough_ago(fs):
    fs.write(CAT, ONE)
    first = rs.maintain(fs, every=3600)
    assert first.parts == dict.fromkeys(("repair", "scrub", "snapshot", "sweep"), 1)
    assert first.snapshot.objects == 1
    assert first.swept.failed == ()
    assert 3500 < first.next_in_s <= 3600
    again = rs.maintain(fs, every=3600)
    assert (set(again.parts.values()), again.snapshot, again.swept) == ({0}, None, None)
    assert rs.maintain(fs).parts == first.parts


def test_p7_repair_falls_due_again_while_a_scrub_takes_longer_than_that(fs, shop, monkeypatch):
    """Nothing would be repaired for all the days in which everything is read."""
    paths = [f"p/{number}" for number in range(6)]
    for path in paths:
        fs.write(path, ONE)
    real, scrubbed = maintenance.scrub_all, []

    async def long(store, *args, part, **options):
        scrubbed.append(part)
        if len(scrubbed) == 1:
            shop.remove_behind("aws", paths[0])
        await asyncio.sleep(0.2)
        found = await real(store, *args, part=part, **options)
        if len(scrubbed) == 3:
            assert shop.held(paths[0]) == dict.fromkeys(NAMES, ONE), "it was repaired by then"
        return found

    monkeypatch.setattr(maintenance, "scrub_all", long)
    report = rs.maintain(fs, every=0.1, objects=2)
    assert report.parts["scrub"] == len(scrubbed)
    assert report.parts["snapshot"] > 1
    assert report.scrubbed.missing == {paths[0]: ("aws",)}
    assert report.parts["repair"] > len(scrubbed)


def test_p4_what_takes_longer_than_a_round_may_last_leaves_time_to_scrub(fs, monkeypatch):
    """A snapshot of very many objects takes hours, and would be due again when it has ended."""
    for number in range(6):
        fs.write(f"p/{number}", ONE)
    real, taken = maintenance.snapshot_all, []

    async def long(store):
        taken.append(store)
        await asyncio.sleep(0.3 if len(taken) < 9 else 0.0)
        return await real(store)

    monkeypatch.setattr(maintenance, "snapshot_all", long)
    report = rs.maintain(fs, every=0.2, objects=2)
    assert report.parts["scrub"] >= 3
    assert len(taken) < 6


def test_p4_two_jobs_that_each_take_longer_than_a_round_leave_time_to_scrub(fs, monkeypatch):
    """Each has rested when the other has ended, so that the two would go on for ever."""
    for number in range(6):
        fs.write(f"p/{number}", ONE)
    done = []

    def slowly(real, job):
        async def call(*args, **options):
            done.append(job)
            await asyncio.sleep(0.15 if len(done) < 20 else 0.0)
            return await real(*args, **options)

        return call

    for job in ("sweep", "snapshot"):
        monkeypatch.setattr(
            maintenance, f"{job}_all", slowly(getattr(maintenance, f"{job}_all"), job)
        )
    report = rs.maintain(fs, every=0.1, objects=2)
    assert report.parts["scrub"] >= 3
    assert len(done) <= 2 + 2 * report.parts["scrub"]


def test_p7_a_job_that_failed_once_is_done_again_while_the_scrub_goes_on(fs, shop, monkeypatch):
    """Nothing would be repaired until all was read, because the catalog was slow for a moment."""
    for number in range(6):
        fs.write(f"p/{number}", ONE)
    repair, scrub, repaired = maintenance.repair_all, maintenance.scrub_all, []

    async def once_failing(*args, **options):
        repaired.append(args)
        if len(repaired) == 1:
            raise rs.CatalogUnavailableError("", note="did not answer within 2 s")
        return await repair(*args, **options)

    async def long(*args, **options):
        await asyncio.sleep(0.2)
        return await scrub(*args, **options)

    monkeypatch.setattr(maintenance, "repair_all", once_failing)
    monkeypatch.setattr(maintenance, "scrub_all", long)
    shop.remove_behind("aws", "p/5")
    fs.cat("p/5")
    assert rs.maintain(fs, every=0.1, objects=2).parts["repair"] >= 3, "and no error of then"
    assert shop.held("p/5") == dict.fromkeys(NAMES, ONE)


def test_what_a_later_round_has_repaired_is_not_said_to_be_left(fs, monkeypatch):
    fs.write(CAT, ONE)
    repair, scrub, repaired = maintenance.repair_all, maintenance.scrub_all, []

    async def left_at_first(*args, **options):
        report = await repair(*args, **options)
        if not repaired:
            report.waiting[CAT] = "aws: a late request may still land at its own key"
        repaired.append(report)
        return report

    async def long(*args, **options):
        await asyncio.sleep(0.2)
        return await scrub(*args, **options)

    monkeypatch.setattr(maintenance, "repair_all", left_at_first)
    monkeypatch.setattr(maintenance, "scrub_all", long)
    fs.write(DOG, ONE)
    report = rs.maintain(fs, every=0.1, objects=1)
    assert len(repaired) > 2
    assert (report.repaired.waiting, report.done) == ({}, True)


def test_p7_who_waits_for_another_machines_scrub_repairs_when_that_is_due(fs, shop, monkeypatch):
    fs.write(CAT, ONE)
    real, begun, go_on = maintenance.scrub_all, threading.Event(), threading.Event()

    async def long(store, *args, **options):
        begun.set()
        assert await asyncio.to_thread(go_on.wait, 20)
        return await real(store, *args, **options)

    monkeypatch.setattr(maintenance, "scrub_all", long)
    with ThreadPoolExecutor(2) as threads:
        first = threads.submit(rs.maintain, fs, every=0.1)
        assert begun.wait(20)
        second = threads.submit(rs.maintain, shop.open(), every=0.1)
        until_s = time.monotonic() + 20
        began_s = store_state(fs).rounds["repair"].began_s
        while store_state(fs).rounds["repair"].began_s < began_s + 0.3:
            assert time.monotonic() < until_s, "nobody repairs"
            time.sleep(0.02)
        go_on.set()
        assert first.result(20).parts["scrub"] == 1
        assert second.result(20).parts["repair"] > 0


def test_a_part_that_failed_is_given_back_at_once(fs, monkeypatch):
    fs.write(CAT, ONE)

    async def fail(*_, **__):
        raise rs.BackendsUnavailableError("", (), "No backend took the snapshot")

    with monkeypatch.context() as patched:
        patched.setattr(maintenance, "snapshot_all", fail)
        with pytest.raises(rs.BackendsUnavailableError, match="took the snapshot"):
            rs.maintain(fs, every=3600, lease=86_400)
    assert store_state(fs).rounds["scrub"].ended_s, "it stops nothing else"
    assert not store_state(fs).rounds["snapshot"].ended_s
    report = rs.maintain(fs, every=3600, lease=86_400)
    assert report.parts == {"repair": 0, "scrub": 0, "sweep": 0, "snapshot": 1}


def test_of_several_jobs_that_failed_none_goes_unsaid(fs, monkeypatch, caplog):
    def failing(job):
        async def fail(*_, **__):
            raise rs.BackendsUnavailableError("", (), f"{job} did not work")

        return fail

    fs.write(CAT, ONE)
    for job in ("sweep", "snapshot"):
        monkeypatch.setattr(maintenance, f"{job}_all", failing(job))
    with pytest.raises(rs.BackendsUnavailableError, match="sweep did not work"):
        rs.maintain(fs)
    for job in ("sweep", "snapshot"):
        assert f"maintain: {job} failed" in caplog.text


def test_who_was_stopped_for_longer_than_its_lease_leaves_the_part_to_its_heir(fs, monkeypatch):
    fs.write(CAT, ONE)
    real, begun = maintenance.sweep_all, []

    def inherit(state, now_s):
        of = state.rounds["sweep"]
        (lease,) = of.leases
        heirs = attrs.evolve(lease, owner="an heir", until_s=now_s + 0.2)
        return attrs.evolve(
            state, rounds={**state.rounds, "sweep": attrs.evolve(of, leases=(heirs,))}
        )

    async def stopped(store, older_than):
        begun.append(older_than)
        if len(begun) == 1:
            await store.known.change_state(inherit)
            await asyncio.get_running_loop().create_future()
        return await real(store, older_than)

    monkeypatch.setattr(maintenance, "sweep_all", stopped)
    report = rs.maintain(fs, lease=0.1)
    assert (len(begun), report.parts["sweep"]) == (2, 1)  # the heir had died, too


def test_it_needs_a_catalog_and_sensible_limits(fs, tmp_path):
    bare = rs.ResilientFileSystem([rs.Backend(str(tmp_path / "a"))], write=rs.WriteToAll())
    with pytest.raises(rs.ConfigurationError, match="needs a catalog"):
        rs.maintain(bare)
    for wrong in (
        {"lease": 0},
        {"lease": float("inf")},
        {"objects": 0},
        {"every": -1},
        {"older_than": -1},
        {"max_age": 0},
    ):
        with pytest.raises(rs.ConfigurationError, match=next(iter(wrong))):
            rs.maintain(fs, **wrong)


def test_a_catalog_that_is_away_is_said_so(fs, monkeypatch, caplog):
    fs.write(CAT, ONE)

    def away():
        raise CatalogDownError("away")

    async def fail(store, _):
        monkeypatch.setattr(store.known, "change_state", telling(fs, away))
        raise rs.CatalogUnavailableError(CAT)

    with monkeypatch.context() as patched:
        patched.setattr(maintenance, "sweep_all", fail)
        with pytest.raises(rs.CatalogUnavailableError):
            rs.maintain(fs, every=3600)
    assert "could not be given back: away" in caplog.text
    with pytest.raises(rs.CatalogUnavailableError, match="away"):
        rs.maintain(fs)


def test_a_restored_catalog_begins_a_round_of_its_own(fs, shop):
    fs.write(CAT, ONE)
    rs.maintain(fs, every=3600)  # the snapshot knows that one was being taken
    shop.leave(fs)
    for file in shop.folder.glob("photos.db*"):
        file.unlink()
    fs = shop.open()
    rs.restore(fs)
    assert set(rs.maintain(fs, every=3600).parts.values()) == {1}


def test_who_has_joined_a_round_begins_no_other(fs):
    fs.write(CAT, ONE)

    def begin(state, now_s):
        return attrs.evolve(state, rounds={"sweep": Round(began_s=now_s - 10.0)})

    sync(fs.loop, fs.store.known.change_state, begin)
    assert set(rs.maintain(fs).parts.values()) == {1}
