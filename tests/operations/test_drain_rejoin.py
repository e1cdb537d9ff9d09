"""A backend is taken out, and comes back: as it was, half empty, old, or at another place."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
import tracemalloc

import pytest

import resilient_store as rs
from resilient_store.backends.contract import Listed
from resilient_store.io import pages
from resilient_store.io.catalogued.write import CataloguedWrite
from resilient_store.model.info import ObjectInfo
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.operations import rejoin as module
from tests.catalogued.stage import (
    CAT,
    DOG,
    NAMES,
    ONE,
    PAUSE_S,
    THREE,
    TWO,
    converge,
    state_md5,
    states,
    store_state,
)

LEFT = ("gcp", "azure")


def settled(fs):
    """Repair until no request to an own key can be under way any more."""
    converge(fs)
    time.sleep(PAUSE_S)
    converge(fs)


# Drain


def test_a_drained_backend_is_neither_read_nor_written(fs, shop):
    fs.write(CAT, ONE)
    assert fs.read(CAT).backend == "aws"
    rs.drain(fs, "aws")
    assert fs.read(CAT).backend == "gcp"
    receipt = fs.write(CAT, TWO)
    assert (receipt.copies, receipt.pending) == (LEFT, ())
    assert fs.write(DOG, TWO).copies == LEFT
    fs.rm(CAT)
    assert shop.held(CAT) == {"aws": ONE, "gcp": None, "azure": None}
    assert shop.held(DOG) == {"aws": None, "gcp": TWO, "azure": TWO}
    assert not fs.exists(CAT)


def test_every_process_hears_of_it_with_what_it_asks_of_the_store(fs, shop):
    fs.write(CAT, ONE)
    other = shop.open()
    rs.drain(other, "aws")
    fs.exists("anything unknown")
    assert fs.read(CAT).backend == "gcp"
    assert fs.write(DOG, ONE).copies == LEFT


def test_p5_what_only_a_drained_backend_holds_is_unreachable_and_not_lost(shop):
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    shop.lose(*LEFT)
    fs.write(CAT, ONE)
    shop.bring_back()
    shop.leave(fs)
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    reader = shop.open(write=rs.WriteToAll(min_copies=1))
    rs.drain(fs, "aws")
    reader.exists("anything unknown")
    for one in (fs, reader):
        with pytest.raises(rs.BackendsUnavailableError):
            one.read(CAT)
    rs.rejoin(fs, "aws")
    assert (fs.read(CAT).data, reader.read(CAT).data) == (ONE, ONE)


def test_repair_leaves_a_drained_backend_alone(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, ONE)
    rs.drain(fs, "aws")
    fs.write(CAT, TWO)
    fs.rm(DOG)
    time.sleep(PAUSE_S)
    report = rs.repair(fs)
    assert shop.held(CAT) == {"aws": ONE, "gcp": TWO, "azure": TWO}
    assert (shop.held(DOG)["aws"], report.failed) == (ONE, {})
    assert "drained" in report.waiting[DOG]


@pytest.mark.parametrize("placed", [False, True])
def test_a_drain_that_would_stop_all_writes_is_refused_unless_it_is_forced(shop, placed):
    write = rs.WriteToAll(min_copies=None if placed else 3, min_domains=1)
    placements = [rs.Placement("originals/{name}", backends=["aws"])] if placed else ()
    fs = shop.open(write=write, placements=placements)
    for dry_run in (True, False):
        with pytest.raises(rs.ConfigurationError, match="force=True"):
            rs.drain(fs, "aws", dry_run=dry_run)
    rs.drain(fs, "aws", force=True)
    with pytest.raises(rs.InsufficientCopiesError):
        fs.write(CAT, ONE)


def test_drain_says_what_it_cannot_do(fs, shop):
    with pytest.raises(rs.ConfigurationError, match="no backend 'mars'"):
        rs.drain(fs, "mars")
    with (
        rs.ResilientFileSystem(shop.backends()) as plain,
        pytest.raises(rs.ConfigurationError, match="catalog"),
    ):
        rs.drain(plain, "aws")


# Rejoin


def test_what_a_drained_backend_missed_is_never_read_from_it_and_the_rest_at_once(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, ONE)
    fs.write("bird", ONE)
    rs.drain(fs, "aws")
    fs.write(CAT, TWO)
    fs.rm(DOG)
    fs.write("new", THREE)
    assert rs.rejoin(fs, "aws") == 0
    assert (fs.read("bird").backend, fs.read(CAT).backend) == ("aws", "gcp")
    assert (fs.read(CAT).data, fs.exists(DOG)) == (TWO, False)
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)
    assert shop.held(DOG) == dict.fromkeys(NAMES)
    assert shop.held("new") == dict.fromkeys(NAMES, THREE)


def test_one_that_comes_back_half_empty_is_believed_where_it_is_whole(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, ONE)
    settled(fs)
    rs.drain(fs, "aws")
    (shop.disk("aws") / DOG).unlink()
    assert rs.rejoin(fs, "aws") == 1
    assert states(fs, CAT)["aws"] == "good"
    assert states(fs, DOG)["aws"] == "unknown"
    converge(fs)
    assert shop.held(DOG) == dict.fromkeys(NAMES, ONE)


def test_originals_that_lie_there_again_are_lost_no_longer(shop):
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    fs.exists(CAT)
    shop.lose(*LEFT)
    fs.write(CAT, ONE)
    shop.bring_back()
    (shop.disk("aws") / CAT).rename(shop.folder / "kept")
    shop.leave(fs)
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    with pytest.raises(rs.OriginalMissingError):
        fs.read(CAT)
    (shop.folder / "kept").rename(shop.disk("aws") / CAT)
    assert rs.rejoin(fs, "aws") == 1
    assert fs.read(CAT).data == ONE
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)


def test_a_recovered_drive_at_another_place_brings_originals_back(shop):
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    fs.exists(CAT)
    shop.lose(*LEFT)
    fs.write(CAT, ONE)
    shop.bring_back()
    recovered = shop.folder / "recovered"
    shutil.copytree(shop.disk("aws"), recovered)
    shop.empty("aws")
    shop.leave(fs)
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    with pytest.raises(rs.BackendsUnavailableError):
        fs.read(CAT)
    rs.rejoin(fs, "aws", target=str(recovered))
    time.sleep(PAUSE_S)
    converge(fs)
    assert fs.read(CAT).data == ONE
    assert states(fs, CAT) == dict.fromkeys(NAMES, "good")
    assert (recovered / CAT).read_bytes() == ONE
    assert shop.held(CAT) == {"aws": None, "gcp": ONE, "azure": ONE}
    # Who still looks at the old place takes nothing there for the truth.
    other = shop.open(write=rs.WriteToAll(min_copies=1))
    assert other.read(CAT).backend == "gcp"


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_deletion_that_it_missed_is_no_replica_that_is_unknown(fs, dry_run):
    fs.write(CAT, ONE)
    rs.drain(fs, "azure")
    fs.rm(CAT)
    assert rs.rejoin(fs, "azure", dry_run=dry_run) == 0
    assert states(fs, CAT)["azure"] == "stale"


def recovered_elsewhere(shop, fs, name):
    """Bring a drive back as a copy at another place, by which all its tags have changed."""
    shutil.copytree(shop.disk(name), shop.folder / "recovered")
    shop.empty(name)
    for place, _, files in os.walk(shop.folder / "recovered"):
        for file in files:
            os.utime(os.path.join(place, file), ns=(1, 1))
    rs.rejoin(fs, name, target=str(shop.folder / "recovered"))


@pytest.mark.parametrize("stated", [True, False])
def test_p7_an_adopted_original_that_was_never_read_comes_back_with_its_drive(shop, stated):
    shop.put_behind("aws", CAT, ONE)
    fs = shop.open()
    rs.adopt(fs)
    if stated:
        state_md5(fs, CAT, ONE)
    recovered_elsewhere(shop, fs, "aws")
    converge(fs)
    assert fs.cat(CAT) == ONE
    assert states(fs, CAT) == dict.fromkeys(NAMES, "good")


def test_p4_of_two_that_came_back_with_other_bytes_neither_is_believed(shop):
    shop.put_behind("aws", CAT, ONE)
    fs = shop.open(placements=[rs.Placement("originals/{name}", backends=["aws", "gcp"])])
    rs.adopt(fs)
    converge(fs)
    rs.drain(fs, "gcp", force=True)
    shop.put_behind("gcp", CAT, ONE[::-1])
    rs.rejoin(fs, "gcp")
    recovered_elsewhere(shop, fs, "aws")
    assert CAT in rs.repair(fs).failed
    with pytest.raises(rs.BackendsUnavailableError):
        fs.cat(CAT)


def test_p1_the_only_copy_which_lies_in_staging_outlives_a_rejoin_and_a_sweep(shop, monkeypatch):
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    fs.write(CAT, ONE)
    shop.lose(*LEFT)

    async def leave_it_to_repair(_self, holder):
        await holder.finish()

    monkeypatch.setattr(CataloguedWrite, "_show", leave_it_to_repair)
    fs.write(CAT, TWO)
    assert shop.held(CAT)["aws"] == ONE
    shop.bring_back()
    shop.leave(fs)
    fs = shop.open(write=rs.WriteToAll(min_copies=1))
    for _ in range(2):
        assert rs.rejoin(fs, "aws") == 1
    assert rs.sweep(fs, older_than=0.0).removed["aws"] == ()
    assert fs.read(CAT).data == TWO
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)


def test_an_old_copy_at_another_place_serves_nothing_that_is_stale(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, ONE)
    converge(fs)
    old = shop.folder / "old copy"
    shutil.copytree(shop.disk("aws"), old)
    fs.write(CAT, TWO)
    fs.rm(DOG)
    converge(fs)
    shop.lose("aws")
    rs.rejoin(fs, "aws", target=str(old))
    assert (fs.read(CAT).data, fs.exists(DOG)) == (TWO, False)
    converge(fs)
    assert ((old / CAT).read_bytes(), fs.exists(DOG)) == (TWO, False)
    assert rs.scrub(fs).unknown == {DOG: ("aws",)}  # the catalog has forgotten it: a person decides


def test_another_stores_drive_is_refused_and_changes_nothing(fs, shop, tmp_path):
    fs.write(CAT, ONE)
    names = dict.fromkeys(["x", "y"])
    backends = [rs.Backend(str(tmp_path / n), name=n, domain=n) for n in names]
    for name in names:
        (tmp_path / name).mkdir()
    with rs.ResilientFileSystem(backends, catalog=f"sqlite:///{tmp_path}/other.db") as other:
        other.write(CAT, TWO)
    with pytest.raises(rs.StoreIdentityError):
        rs.rejoin(fs, "aws", target=str(tmp_path / "x"))
    assert (fs.read(CAT).data, fs.read(CAT).backend) == (ONE, "aws")


def test_p1_who_has_the_old_place_open_acknowledges_nothing_there_any_more(fs, shop):
    fs.write(CAT, ONE)
    other = shop.open()
    assert other.read(CAT).backend == "aws"
    recovered = shop.folder / "recovered"
    shutil.copytree(shop.disk("aws"), recovered)
    rs.rejoin(fs, "aws", target=str(recovered))
    assert other.write(DOG, TWO).copies == LEFT
    assert other.read(CAT).data == ONE
    converge(fs)
    assert (recovered / DOG).read_bytes() == TWO


@pytest.mark.parametrize("identity", ["kept", "none"])
def test_a_backend_that_nobody_may_write_to_comes_back_too(fs, shop, identity):
    fs.write(CAT, ONE)
    backends = [*shop.backends(("aws", "gcp")), *shop.backends(("azure",), read_only=True)]
    with rs.ResilientFileSystem(backends, **shop.settings()) as archive:
        rs.drain(archive, "azure")
        if identity == "none":
            (shop.disk("azure") / ".resilient/store.json").unlink()
        assert rs.rejoin(archive, "azure") == 0
        os.utime(shop.disk("azure") / CAT, ns=(1, 1))
        assert rs.rejoin(archive, "azure") == 1
        converge(archive)
        assert states(archive, CAT) == dict.fromkeys(NAMES, "good")
        shop.lose("aws", "gcp")
        assert archive.read(CAT).data == ONE


@pytest.mark.parametrize("where", ["aws", "aws/inside", "."])
def test_p1_a_target_at_another_backends_place_is_refused_for_its_copies_would_count_twice(
    fs, shop, where
):
    fs.write(CAT, ONE)
    with pytest.raises(rs.ConfigurationError, match="'aws' lies"):
        rs.rejoin(fs, "gcp", target=str(shop.disk(where)))
    assert states(fs, CAT) == dict.fromkeys(NAMES, "good")


@pytest.mark.parametrize("lies_there", ["the object", "nothing", "other bytes"])
def test_p7_a_doubted_copy_where_the_path_is_not_placed_any_more_is_found_out(shop, lies_there):
    fs = shop.open()
    fs.write(CAT, ONE)
    converge(fs)
    shop.leave(fs)
    fs = shop.open(placements=[rs.Placement("originals/{name}", backends=LEFT)])
    kept = {"the object": ONE, "nothing": None, "other bytes": ONE[::-1]}[lies_there]
    (shop.disk("aws") / CAT).unlink()
    if kept is not None:
        shop.put_behind("aws", CAT, kept)
    assert rs.rejoin(fs, "aws") == 1
    for _ in range(9):
        if not (report := rs.repair(fs)).waiting:
            break
        time.sleep(PAUSE_S)
    assert report.waiting == {}
    assert (list(report.failed), shop.held(CAT)["aws"]) == (
        [CAT] if lies_there == "other bytes" else [],
        kept,
    )
    expected = {"the object": "good", "nothing": "gone", "other bytes": "unknown"}
    assert states(fs, CAT)["aws"] == expected[lies_there]


# Page by page


@pytest.fixture
def short_pages(monkeypatch):
    monkeypatch.setattr(module, "PAGE", 2)
    monkeypatch.setattr(pages, "PAGE", 3)


def test_a_large_backend_is_compared_in_pieces(fs, shop, short_pages):
    paths = [f"p/{number:02}" for number in range(20)]
    for path in paths:
        fs.write(path, ONE)
    for number in range(5):
        shop.put_behind("aws", f"p/0{number}-others", TWO)
    settled(fs)
    (shop.disk("aws") / paths[5]).unlink()
    shop.put_behind("aws", paths[11], b"theirs")
    assert rs.rejoin(fs, "aws", dry_run=True) == 2
    assert rs.rejoin(fs, "aws") == 2
    assert states(fs, paths[5])["aws"] == states(fs, paths[11])["aws"] == "unknown"
    assert states(fs, paths[10])["aws"] == states(fs, paths[12])["aws"] == "good"


@pytest.mark.parametrize("target", [None, "elsewhere"])
def test_a_dry_run_says_what_would_be_doubted_and_the_backend_stays_out(fs, shop, target):
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    settled(fs)
    rs.drain(fs, "aws")
    if target is not None:
        shop.disk("aws").rename(shop.folder / target)
        target = str(shop.folder / target)
    place = shop.disk("aws") if target is None else shop.folder / "elsewhere"
    (place / CAT).unlink()
    identity = (place / ".resilient/store.json").read_bytes()
    before = store_state(fs)
    assert rs.rejoin(fs, "aws", target, dry_run=True) == 1
    assert store_state(fs) == before
    assert (place / ".resilient/store.json").read_bytes() == identity
    assert states(fs, CAT)["aws"] == "good"
    assert fs.read(DOG).backend == "gcp"
    assert rs.rejoin(fs, "aws", target) == 1
    assert fs.read(DOG).backend == "aws"


def test_p4_what_a_listing_did_not_come_to_is_not_believed(fs, shop, short_pages, monkeypatch):
    monkeypatch.setattr(pages, "ASKED_AGAIN", 0)
    paths = [f"p/{number:02}" for number in range(12)]
    for path in paths:
        fs.write(path, ONE)
    settled(fs)
    for path in (paths[0], paths[-1]):
        (shop.disk("aws") / path).unlink()
    assert len(rs.scrub(fs).missing) == 2
    assert rs.rejoin(fs, "aws", dry_run=True) == 0
    client = fs.store.clients["aws"]
    page = client.page

    async def breaks_off(after, cursor, limit):
        if after >= "p/05":
            return Reply("aws", Outcome.TIMED_OUT)
        return await page(after, cursor, limit)

    monkeypatch.setattr(client, "page", breaks_off)
    unknown = rs.rejoin(fs, "aws")
    assert 0 < unknown < 12
    assert (states(fs, paths[0])["aws"], states(fs, paths[1])["aws"]) == ("missing", "good")
    assert states(fs, paths[-2])["aws"] == states(fs, paths[-1])["aws"] == "unknown"


class Full:
    """A client of a backend where very many keys lie, none of which any catalog knows."""

    name = "aws"

    async def page(self, after, cursor, limit):
        first = cursor or 0
        infos = [ObjectInfo(key=f"theirs/{n:06}", size=1) for n in range(first, first + limit)]
        following = first + limit if first < 30_000 else None
        return Reply("aws", Outcome.OK, Listed(infos, following))


def test_p6_what_others_put_there_is_not_held_while_it_is_compared():
    async def compare():
        listing = module._Listing(Full())
        tracemalloc.start()
        try:
            assert await listing.of(["a", "z"]) is not None
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            await listing.aclose()

    assert asyncio.run(compare()) < 5_000_000
