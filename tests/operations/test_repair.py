"""Repair: the most endangered first, no faster than platforms take it, within bounds."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import time

import pytest
from fsspec.callbacks import Callback

import resilient_store as rs
from resilient_store.errors import ConfigurationError
from resilient_store.io.paced import Paces
from resilient_store.model import naming
from resilient_store.model.state import State
from resilient_store.operations import repair as module
from resilient_store.testing import Fault, Faults, FaultyFileSystem
from tests.catalogued.stage import (
    CAT,
    LATE_WINDOW_S,
    ONE,
    TWO,
    Shop,
    converge,
    states,
    told,
    well_again,
)
from tests.operations.test_damage_report import set_row


@pytest.fixture
def order(monkeypatch):
    """Note in which order paths are repaired."""
    seen = []
    repair_path = module.repair_path

    async def noting(store, path):
        seen.append(path)
        return await repair_path(store, path)

    monkeypatch.setattr(module, "repair_path", noting)
    return seen


@contextlib.contextmanager
def only(shop: Shop, *names: str):
    """Let the other platforms be away."""
    away = [name for name in shop.names if name not in names]
    shop.lose(*away)
    yield
    shop.bring_back(*away)


def endangered(shop):
    """Write objects that lie on one, two and three platforms; return the store."""
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    fs.write("everywhere", ONE)
    with only(shop, "gcp", "azure"):
        fs.write("a/two", ONE)
    with only(shop, "azure"):
        fs.write("b/one, large", ONE * 100)
        fs.write("c/one, small", ONE)
    fs.write("d/deleted", ONE)
    with only(shop, "gcp", "azure"):
        fs.rm("d/deleted")
    shop.leave(fs)
    return shop.open(write=rs.WriteToAll(min_copies=1))


def test_what_is_left_on_the_fewest_platforms_comes_first(shop, order):
    rs.repair(endangered(shop), at_once=1)
    first = list(dict.fromkeys(order))
    assert first == ["c/one, small", "b/one, large", "d/deleted", "a/two"]


def test_among_equals_the_caller_decides(shop, order):
    rs.repair(endangered(shop), at_once=1, priority=lambda path: "large" not in path)
    first = list(dict.fromkeys(order))
    assert first == ["b/one, large", "c/one, small", "d/deleted", "a/two"]


def test_the_order_holds_though_only_few_are_ordered_at_once(shop, order, monkeypatch):
    monkeypatch.setattr(module, "CHOSEN", 1)
    monkeypatch.setattr(module, "PAGE", 2)
    rs.repair(endangered(shop), at_once=1)
    first = list(dict.fromkeys(order))
    assert first == ["c/one, small", "b/one, large", "d/deleted", "a/two"]


def test_progress_is_told(shop):
    fs, told = endangered(shop), []
    callback = Callback(hooks={"tell": lambda size, value: told.append((size, value))})
    rs.repair(fs, callback=callback)
    assert told[0] == (4, 0)
    assert max(value for size, value in told) >= 4


def test_a_report_names_so_many_and_counts_the_rest(shop, monkeypatch):
    monkeypatch.setattr(naming, "NAMED", 2)
    fs = endangered(shop)
    shop.lose("aws")
    report = rs.repair(fs)
    assert not report.done
    assert max(len(report.failed), len(report.waiting)) <= 2
    assert len(report.failed) + len(report.waiting) + report.unnamed == 4


@pytest.mark.parametrize("name", ["at_once", "requests_per_s", "bytes_per_s"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_under_which_nothing_could_be_done_is_refused(fs, name, value):
    with pytest.raises(ConfigurationError, match=name):
        rs.repair(fs, **{name: value})


def test_a_limit_in_bytes_is_kept(shop):
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    with only(shop, "aws", "gcp"):
        for number in range(4):
            fs.write(f"p/{number}", b"x" * 50_000)
    started_s = time.monotonic()
    rs.repair(fs, bytes_per_s=200_000)  # two in the first half second, and two more
    assert time.monotonic() - started_s >= 0.25


class Busy(Faults):
    """Says "not now" to a third of what it is asked, whatever is asked."""

    def __init__(self, seed):
        super().__init__()
        self.chance, self.refused, self.where = random.Random(seed), 0, None

    def fault_for(self, name, domain, verb, key):
        if name != self.where or self.chance.random() > 1 / 3:
            return super().fault_for(name, domain, verb, key)
        self.refused += 1
        return Fault("throttled", name)


SEEDS = [0, *(pytest.param(seed, marks=pytest.mark.matrix) for seed in range(1, 20))]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_platform_that_refuses_a_third_of_all_requests_is_still_caught_up(tmp_path, seed):
    busy = Busy(seed)
    disks = {name: FaultyFileSystem(name=name, faults=busy) for name in ("one", "two")}
    backends = [rs.Backend(d, root="b", name=name, domain=name) for name, d in disks.items()]
    write = rs.WriteToAll(min_copies=1)
    catalog = f"sqlite:///{tmp_path}/photos.db"
    with rs.ResilientFileSystem(
        backends, catalog=catalog, write=write, late_window=LATE_WINDOW_S
    ) as fs:
        fs.write("first", ONE)
        with busy.down("two"):
            for number in range(20):
                fs.write(f"p/{number}", ONE)
        busy.where = "two"
        well_again(fs)
        converge(fs)
        assert busy.refused > 5
        assert {fs.info(f"p/{n}")["replicas"]["two"] for n in range(20)} == {"good"}


def test_p5_what_is_lost_stays_lost_when_a_backend_is_added(shop):
    fs = shop.open(("aws", "gcp"))
    fs.write(CAT, ONE)
    shop.leave(fs)
    for name in ("aws", "gcp"):
        (shop.disk(name) / CAT).unlink()
    fs = shop.open()
    with pytest.raises(rs.OriginalMissingError):
        fs.read(CAT)
    told(fs)
    assert not rs.repair(fs).done
    with pytest.raises(rs.OriginalMissingError):
        fs.read(CAT)


def test_a_dry_run_names_each_object_once_and_says_which_is_lost(shop, monkeypatch):
    monkeypatch.setattr(naming, "NAMED", 2)
    fs = shop.open(("aws",), write=rs.WriteToAll(min_copies=1))
    for number in range(5):
        fs.write(f"p/{number}", ONE)
    shop.remove_behind("aws", "p/4")
    with pytest.raises(rs.OriginalMissingError):
        fs.read("p/4")
    assert states(fs, "p/4") == {"aws": "missing"}
    shop.leave(fs)
    two_more = shop.open(write=rs.WriteToAll(min_copies=1))
    report = rs.repair(two_more, dry_run=True)
    assert report.waiting == dict.fromkeys(["p/0", "p/1"], "to be brought to gcp, azure")
    assert [path for path, why in report.failed.items() if "only what a look" in why] == ["p/4"]
    assert len(report.waiting) + len(report.failed) + report.unnamed == 5
    assert rs.repair(two_more).copied == 8


def test_p6_a_priority_that_changes_for_ever_ends_all_the_same(shop, monkeypatch):
    monkeypatch.setattr(module, "CHOSEN", 2)
    fs = shop.open()
    fs.exists(CAT)
    shop.lose("aws")
    for number in range(6):
        fs.write(f"p/{number}", ONE)
    grows = itertools.count()
    assert rs.repair(fs, priority=lambda _: next(grows)).failed


@pytest.mark.parametrize("change", ["deleted", "overwritten"])
def test_p6_a_repair_ends_though_objects_change_all_the_time(fs, monkeypatch, change):
    """What changed since it began is another call's, or it would go on as long as the shop."""
    paths = [f"p/{number}" for number in range(20)]
    for path in paths:
        fs.write(path, ONE)
    time.sleep(2 * LATE_WINDOW_S)
    hear, passes = module.hear, itertools.count()

    async def meanwhile(store):
        path = paths[next(passes)]
        if change == "deleted":
            await fs._rm_file(path)
        else:
            await fs._write(path, TWO)
            await fs._write(path, ONE)  # on a busy key: this one waits in staging
        for _ in range(16):  # it answers all the time, or it might have hung
            await asyncio.sleep(LATE_WINDOW_S / 8)
            await hear(store)

    monkeypatch.setattr(module, "hear", meanwhile)
    report = rs.repair(fs)
    assert report.copied + report.purged > 0
    assert next(passes) <= 3


def test_p6_only_callers_reads_say_that_callers_wait(shop):
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    with only(shop, "aws"):
        fs.write(CAT, ONE)
    well_again(fs)
    before = fs.store.clients["aws"].health.reads.count
    assert converge(fs).copied
    rs.scrub(fs)
    assert fs.store.clients["aws"].health.reads.count == before
    fs.read(CAT)
    assert fs.store.clients["aws"].health.reads.count == before + 1
    heard = Paces(fs.store)._heard("gcp")  # a process that is busy makes all reads wait
    assert heard.reads["aws"].count == before + 1


def test_p7_what_may_lie_in_staging_where_a_path_is_not_placed_any_more_is_found_out(fs, shop):
    fs.write(CAT, ONE)
    converge(fs)
    doubted = {"state": State.UNKNOWN, "place": "9-9"}  # its arrival there was never confirmed
    set_row(fs, CAT, "azure", **doubted)
    shop.leave(fs)
    elsewhere = [rs.Placement("{path...}", backends=["aws", "gcp"])]
    again = shop.open(placements=elsewhere)
    converge(again)
    assert states(again, CAT)["azure"] == "good"
    set_row(again, CAT, "azure", **doubted)
    shop.remove_behind("azure", CAT)
    converge(again)
    assert states(again, CAT)["azure"] == "gone"
