"""Adopting: what lies in the backends comes into the catalog as it lies there."""

from __future__ import annotations

import os
import threading

import pytest

import resilient_store as rs
from resilient_store.catalog.contract import CatalogDownError
from tests.catalogued.stage import (
    CAT,
    DOG,
    FOREIGN,
    NAMES,
    ONE,
    THREE,
    TWO,
    converge,
    record,
    states,
    store_state,
)


@pytest.fixture
def old(shop):
    """Open a store over objects that were there before: on all disks, and on one of them."""
    for name in NAMES:
        shop.put_behind(name, CAT, ONE)
    shop.put_behind("gcp", DOG, TWO)
    return shop.open()


def age(shop, name, key, seconds):
    os.utime(shop.disk(name) / key, (seconds, seconds))


def test_everything_is_adopted_and_the_catalog_is_complete(old, shop):
    report = rs.adopt(old)
    assert (report.adopted, report.known, report.complete) == ([CAT, DOG], 0, True)
    assert (report.conflicts, report.failed, report.refused) == ({}, {}, {})
    assert states(old, CAT) == dict.fromkeys(NAMES, "good")
    assert states(old, DOG) == {"aws": "missing", "gcp": "good", "azure": "missing"}
    shop.lose()
    assert old.find("") == [CAT, DOG]
    assert old.info(DOG)["size"] == len(TWO)
    with pytest.raises(FileNotFoundError):
        old.cat("nothing")


def test_adopting_moves_and_copies_nothing_and_repair_does(old, shop):
    before = {name: shop.objects(name) for name in NAMES}
    rs.adopt(old)
    assert {name: shop.objects(name) for name in NAMES} == before
    assert shop.held(DOG) == {"aws": None, "gcp": TWO, "azure": None}
    converge(old)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)
    assert shop.held(DOG) == dict.fromkeys(NAMES, TWO)


def test_p4_an_adopted_object_is_verified_from_its_first_whole_read_on(old, shop):
    """Nobody has read what lies on one backend only; what was compared, was read."""
    rs.adopt(old)
    assert not old.info(DOG)["verified"]
    assert not old.read(DOG).verified
    states(old, DOG)
    assert old.info(DOG)["verified"]
    assert old.info(CAT)["verified"]
    shop.flip("aws", CAT)
    result = old.read(CAT)
    assert (result.data, result.backend != "aws", result.verified) == (ONE, True, True)


def test_p4_a_range_of_an_adopted_object_is_pinned_to_what_was_adopted(old, shop):
    rs.adopt(old)
    shop.put_behind("aws", CAT, FOREIGN)
    assert old.cat_file(CAT, 0, 5) == ONE[:5]
    assert states(old, CAT)["aws"] == "corrupt"


def test_adopting_again_finds_nothing_new(old):
    rs.adopt(old)
    report = rs.adopt(old)
    assert (report.adopted, report.known, report.complete) == ([], 2, True)


def test_different_bytes_under_one_path_are_a_conflict_that_changes_nothing(old, shop):
    shop.put_behind("azure", CAT, THREE)
    report = rs.adopt(old)
    assert report.conflicts == {CAT: NAMES}
    assert (report.adopted, report.complete) == ([DOG], False)
    assert record(old, CAT).is_empty
    assert not store_state(old).complete
    assert shop.held(CAT) == {"aws": ONE, "gcp": ONE, "azure": THREE}


@pytest.mark.parametrize("newest", NAMES)
def test_the_newest_wins_only_where_that_was_said_and_the_others_are_kept(old, shop, newest):
    theirs = {"aws": b"1", "gcp": b"22", "azure": b"333"}
    for number, name in enumerate(NAMES):
        shop.put_behind(name, CAT, theirs[name])
        age(shop, name, CAT, 2_000_000_000 if name == newest else 1_000_000_000 + number)
    report = rs.adopt(old, on_conflict="newest")
    assert (report.adopted, report.conflicts, report.complete) == ([CAT, DOG], {}, True)
    assert old.cat(CAT) == theirs[newest]
    converge(old)
    assert shop.held(CAT) == dict.fromkeys(NAMES, theirs[newest])
    losers = [name for name in NAMES if name != newest]
    assert {name: shop.quarantined(name) for name in NAMES} == {
        newest: [],
        **{name: [theirs[name]] for name in losers},
    }


def test_somebody_elses_bytes_over_a_known_object_are_a_conflict(fs, shop):
    receipt = fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    shop.put_behind("gcp", CAT, FOREIGN)
    report = rs.adopt(fs, paths=[CAT, DOG])
    assert (report.conflicts, report.known) == ({CAT: ("gcp",)}, 1)
    assert fs.info(CAT)["version"] == receipt.version
    assert fs.cat(CAT) == ONE


def test_somebody_elses_bytes_become_the_next_version_where_that_was_said(fs, shop):
    receipt = fs.write(CAT, ONE)
    shop.put_behind("gcp", CAT, FOREIGN)
    assert fs.cat(CAT) == ONE
    report = rs.adopt(fs, paths=[CAT], on_conflict="newest")
    assert report.adopted == [CAT]
    assert fs.cat(CAT) == FOREIGN
    assert fs.info(CAT)["version"] > receipt.version
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, FOREIGN)


@pytest.mark.parametrize("on_conflict", ["report", "newest"])
def test_p2_a_stale_copy_is_nobody_elses_and_never_adopted(fs, shop, on_conflict):
    fs.write(CAT, ONE)
    shop.lose("gcp")
    fs.write(CAT, TWO)
    shop.bring_back("gcp")
    age(shop, "gcp", CAT, 2_000_000_000)
    report = rs.adopt(fs, on_conflict=on_conflict)
    assert (report.adopted, report.conflicts, report.known) == ([], {}, 1)
    assert fs.cat(CAT) == TWO


def test_a_backend_that_is_down_stops_it_and_nothing_is_complete(old, shop):
    old.exists("nothing")
    shop.lose("azure")
    with pytest.raises(rs.BackendsUnavailableError, match="azure"):
        rs.adopt(old)
    assert not store_state(old).complete
    shop.bring_back("azure")
    assert rs.adopt(old).complete


def test_chosen_paths_and_chosen_backends_make_nothing_complete(old):
    assert rs.adopt(old, paths=[CAT]).adopted == [CAT]
    report = rs.adopt(old, backends=["aws"])
    assert (report.adopted, report.known, report.complete) == ([], 1, False)
    assert not store_state(old).complete
    assert not rs.adopt(old, complete=False).complete
    assert rs.adopt(old).complete
    with pytest.raises(rs.ConfigurationError, match="no backend 'mars'"):
        rs.adopt(old, backends=["mars"])
    with pytest.raises(rs.ConfigurationError, match="on_conflict"):
        rs.adopt(old, on_conflict="oldest")


def test_a_key_that_no_object_may_have_is_named(old, shop):
    shop.put_behind("aws", "a\\b", ONE)
    report = rs.adopt(old)
    assert list(report.refused) == ["a\\b"]
    assert old.find("") == [CAT, DOG]


def test_two_adoptions_at_once_make_one_entry_of_each_path(old, shop):
    for number in range(20):
        shop.put_behind("aws", f"many/{number}", b"%d" % number)
    reports = []
    workers = [
        threading.Thread(target=lambda store: reports.append(rs.adopt(store)), args=(shop.open(),))
        for _ in range(2)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    adopted = [path for report in reports for path in report.adopted]
    assert len(adopted) == len(set(adopted)) == 22
    assert [old.cat(f"many/{number}") for number in range(20)] == [b"%d" % n for n in range(20)]


def test_what_is_written_after_the_adoption_is_a_store_as_any_other(old, shop):
    rs.adopt(old)
    shop.lose("aws")
    old.write(CAT, THREE)
    old.rm(DOG)
    shop.bring_back("aws")
    assert old.cat(CAT) == THREE
    assert old.find("") == [CAT]
    converge(old)
    assert shop.held(CAT) == dict.fromkeys(NAMES, THREE)
    assert shop.held(DOG) == dict.fromkeys(NAMES)
    assert [shop.quarantined(name) for name in NAMES] == [[], [], []]


def test_p3_a_path_that_was_deleted_is_not_adopted_again(old, shop):
    rs.adopt(old)
    shop.lose("gcp")
    old.rm(CAT)
    shop.bring_back("gcp")
    assert rs.adopt(old).adopted == []
    assert not old.exists(CAT)
    converge(old)
    assert shop.held(CAT) == dict.fromkeys(NAMES)


def test_p9_a_catalog_that_was_lost_is_made_again_from_the_disks(fs, shop):
    fs.write(CAT, ONE, metadata={"print": "A4"})
    fs.write(DOG, TWO)
    converge(fs)
    shop.leave(fs)
    for name in NAMES:  # a person says so, by taking the old identity away
        (shop.disk(name) / ".resilient" / "store.json").unlink()
    again = shop.open(catalog=str(shop.folder / "again.db"))
    assert rs.adopt(again).adopted == [CAT, DOG]
    assert (again.cat(CAT), again.info(CAT)["metadata"]) == (ONE, {"print": "A4"})


def test_adopting_needs_a_catalog(shop):
    with (
        rs.ResilientFileSystem(shop.backends()) as fs,
        pytest.raises(rs.ConfigurationError, match="catalog"),
    ):
        rs.adopt(fs)


def test_p4_bytes_that_change_while_they_are_adopted_are_no_version(fs, shop, monkeypatch):
    """What was compared, and what is copied, is one object: never half of two."""
    fs.write(CAT, ONE)
    half = 4 << 20
    shop.put_behind("gcp", CAT, b"1" * half + b"1")
    client, begun = fs.store.clients["gcp"], []
    get = client.get

    async def replaced_behind_its_first_block(key, start=None, end=None):
        reply = await get(key, start, end)
        if start == 0:
            begun.append(key)
            if len(begun) == 2:  # the first time it is compared, the second time copied
                shop.put_behind("gcp", CAT, b"2" * half + b"2")
                age(shop, "gcp", CAT, 2_000_000_000)
        return reply

    monkeypatch.setattr(client, "get", replaced_behind_its_first_block)
    report = rs.adopt(fs, paths=[CAT], on_conflict="newest")
    assert len(begun) == 2
    assert (report.adopted, list(report.failed)) == ([], [CAT])
    assert fs.cat(CAT) == ONE
    assert record(fs, CAT).intent is None


def test_a_catalog_that_goes_before_the_end_is_said_so(old, monkeypatch):
    async def away(*_):
        raise CatalogDownError("away")

    rs.adopt(old, paths=[CAT])
    monkeypatch.setattr(old.store.known, "change_state", away)
    with pytest.raises(rs.CatalogUnavailableError, match="away"):
        rs.adopt(old)
