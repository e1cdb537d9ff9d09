"""Repair: every backend is brought to what its placement asks, by nobody's choice (P7)."""

from __future__ import annotations

import asyncio
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import resilient_store as rs
from resilient_store.backends.client import BackendClient
from resilient_store.io.catalogued import read
from tests.catalogued.stage import (
    CAT,
    DOG,
    FOREIGN,
    NAMES,
    ONE,
    PAUSE_S,
    THREE,
    TWO,
    converge,
    places,
    record,
    states,
    well_again,
)

MIB = 1 << 20


def whole(fs, shop, expected):
    """Say that all three disks hold exactly this, and the catalog says so."""
    for name in NAMES:
        assert shop.objects(name) == sorted(expected)
        assert shop.staged(name) == []
    for path, data in expected.items():
        assert shop.held(path) == dict.fromkeys(NAMES, data)
        assert fs.info(path)["replicas"] == dict.fromkeys(NAMES, "good")
        assert places(fs, path) == dict.fromkeys(NAMES, "own")


def test_a_healthy_store_has_nothing_to_repair(fs):
    fs.write(CAT, ONE)
    report = rs.repair(fs)
    assert (report.done, report.copied, report.removed, report.purged) == (True, 0, 0, 0)


def test_what_was_just_read_is_repaired_although_it_is_recorded_a_moment_later(
    fs, shop, monkeypatch
):
    record_seen, let_finish, waits = read.record_seen, read.let_finish, asyncio.Event()

    async def later(*args):
        await waits.wait()
        return await record_seen(*args)

    async def wait(*args):
        waits.set()
        await let_finish(*args)

    fs.write(CAT, ONE)
    shop.put_behind("aws", CAT, b"")
    monkeypatch.setattr(read, "record_seen", later)
    monkeypatch.setattr(read, "let_finish", wait)
    assert fs.cat(CAT) == ONE
    assert rs.repair(fs).copied == 1
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)


@pytest.mark.parametrize("size", [1, 4 * MIB, 9 * MIB + 5])
def test_p7_who_was_away_is_caught_up(fs, shop, size):
    data = os.urandom(size)
    fs.exists(CAT)
    shop.lose("aws")
    fs.write(CAT, data)
    fs.write(DOG, ONE)
    fs.write(DOG, TWO)
    fs.write("bird", ONE)
    fs.rm("bird")
    assert set(rs.repair(fs).failed) >= {CAT, DOG}
    shop.bring_back("aws")
    well_again(fs)
    converge(fs)
    whole(fs, shop, {CAT: data, DOG: TWO})
    assert record(fs, "bird").is_empty


def test_p7_each_backend_missed_something_else(fs, shop):
    expected = {}
    fs.exists(CAT)
    for name in NAMES:
        shop.lose(name)
        expected[f"while/{name}"] = name.encode()
        fs.write(f"while/{name}", name.encode())
        shop.bring_back(name)
        well_again(fs)
    converge(fs)
    whole(fs, shop, expected)


def test_p7_any_history_of_outages_ends_whole(fs, shop):
    chance, expected = random.Random(7), {}
    fs.exists(CAT)
    for step in range(40):
        away = chance.choice((None, *NAMES))
        if away is not None:
            shop.lose(away)
        path = chance.choice((CAT, DOG, "thumbs/cat.jpg"))
        if path in expected and chance.random() < 0.3:
            fs.rm(path)
            del expected[path]
        else:
            expected[path] = b"%d" % step
            fs.write(path, expected[path])
        assert {p: fs.cat(p) for p in fs.find("")} == expected
        if away is not None:
            shop.bring_back(away)
            well_again(fs)
        if chance.random() < 0.1:
            rs.repair(fs)
    converge(fs)
    rs.sweep(fs, older_than=0.0)  # what was staged on one that missed the next write
    whole(fs, shop, expected)
    assert {p: shop.open().cat(p) for p in fs.find("")} == expected


def test_p4_repair_copies_from_nobody_who_does_not_verify(fs, shop):
    data = os.urandom(6 * MIB)
    fs.exists(CAT)
    shop.lose("aws")
    fs.write(CAT, data)
    shop.bring_back("aws")
    well_again(fs)
    shop.flip("gcp", CAT, at=5 * MIB)  # nobody has noticed yet
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, data)


def test_p4_repair_invents_nothing_where_no_copy_is_left(fs, shop):
    fs.write(CAT, ONE)
    (shop.disk("aws") / CAT).unlink()
    shop.flip("gcp", CAT)
    shop.put_behind("azure", CAT, b"")
    with pytest.raises(rs.OriginalMissingError):
        fs.cat(CAT)
    states(fs, CAT)
    time.sleep(PAUSE_S)
    report = rs.repair(fs)
    assert "no source" in report.failed[CAT]
    assert shop.read_behind("aws", CAT) is None
    assert shop.read_behind("azure", CAT) == b""
    with pytest.raises(rs.OriginalMissingError):
        fs.cat(CAT)


def test_an_original_whose_only_copy_returns_is_whole_again(fs, shop):
    fs.exists(CAT)
    shop.lose("azure")
    fs.write(CAT, ONE)
    shop.bring_back("azure")
    (shop.disk("aws") / CAT).unlink()
    shop.lose("gcp")
    with pytest.raises(rs.BackendsUnavailableError):
        fs.cat(CAT)
    states(fs, CAT)
    assert not rs.repair(fs).done
    shop.bring_back("gcp")
    well_again(fs)
    converge(fs)
    whole(fs, shop, {CAT: ONE})


@pytest.mark.parametrize("change", ["overwrite", "delete", "repair"])
def test_somebody_elses_bytes_are_kept_before_anything_goes_over_them(fs, shop, change):
    fs.write(CAT, ONE)
    shop.put_behind("gcp", CAT, FOREIGN)
    if change == "overwrite":
        fs.write(CAT, TWO)
    elif change == "delete":
        fs.rm(CAT)
    else:
        shop.lose("aws")
        assert fs.cat(CAT) == ONE
        shop.bring_back("aws")
    well_again(fs)
    states(fs, CAT)
    converge(fs)
    assert shop.quarantined("gcp") == [FOREIGN]
    assert [shop.quarantined(name) for name in ("aws", "azure")] == [[], []]
    expected = {"overwrite": TWO, "delete": None, "repair": ONE}[change]
    assert shop.held(CAT) == dict.fromkeys(NAMES, expected)


@pytest.mark.parametrize("size", [5 * MIB, 9 * MIB])
def test_somebody_elses_large_file_is_kept_whole(fs, shop, size):
    theirs = os.urandom(size)
    fs.write(CAT, ONE)
    shop.put_behind("gcp", CAT, theirs)
    fs.write(CAT, TWO)
    assert shop.quarantined("gcp") == [theirs]


def test_bytes_that_cannot_be_kept_stay_where_they_are(fs, shop):
    fs.write(CAT, ONE)
    shop.put_behind("gcp", CAT, FOREIGN)
    (shop.disk("gcp") / ".resilient" / "quarantine").write_bytes(b"a file is in the way")
    fs.write(CAT, TWO)
    assert shop.read_behind("gcp", CAT) == FOREIGN
    assert fs.cat(CAT) == TWO
    time.sleep(PAUSE_S)
    assert not rs.repair(fs).done
    assert shop.read_behind("gcp", CAT) == FOREIGN
    (shop.disk("gcp") / ".resilient" / "quarantine").unlink()
    converge(fs)
    assert (shop.read_behind("gcp", CAT), shop.quarantined("gcp")) == (TWO, [FOREIGN])


def test_p1_a_backend_that_was_added_is_filled(shop):
    smaller = shop.open(("aws", "gcp"))
    smaller.write(CAT, ONE)
    smaller.write(DOG, ONE)
    smaller.write(DOG, TWO)
    larger = shop.open()
    assert larger.cat(CAT) == ONE
    converge(larger)
    whole(larger, shop, {CAT: ONE, DOG: TWO})


def test_repair_leaves_alone_who_is_at_work(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("aws")
    fs.write(CAT, TWO)
    shop.bring_back("aws")
    with fs.open(CAT, "wb") as file:
        file.write(bytes(9 * MIB))
        report = rs.repair(shop.open())
        assert "at work" in report.waiting[CAT]
    assert fs.info(CAT)["size"] == 9 * MIB
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, bytes(9 * MIB))


def test_many_repairs_at_once_do_not_disturb_each_other_nor_writers(fs, shop):
    fs.exists(CAT)
    shop.lose("aws")
    expected = {f"many/{number}": b"%d" % number for number in range(20)}
    for path, data in expected.items():
        fs.write(path, data)
    shop.bring_back("aws")
    patient = shop.open(lock_timeout=10.0)
    with ThreadPoolExecutor() as threads:
        repairs = [threads.submit(rs.repair, shop.open()) for _ in range(3)]
        for number in range(0, 20, 5):
            expected[f"many/{number}"] = b"again"
            patient.write(f"many/{number}", b"again")
    assert [repair.exception() for repair in repairs] == [None] * 3
    converge(fs)
    whole(fs, shop, expected)


def test_p8_a_repair_that_was_killed_is_gone_on_with(fs, shop, monkeypatch):
    monkeypatch.setattr("resilient_store.io.catalogued.holder.MARGIN_S", 0.05)
    data = os.urandom(9 * MIB)
    fs.exists(CAT)
    shop.lose("aws")
    fs.write(CAT, data)
    shop.bring_back("aws")

    class KilledError(Exception):
        pass

    def kill(step):
        raise KilledError(step)

    dying = shop.open(lease=0.2)
    monkeypatch.setattr("resilient_store.io.catalogued.repair.reach", kill)
    with pytest.raises(KilledError):
        rs.repair(dying)
    monkeypatch.undo()
    assert record(fs, CAT).intent.kind == "repair"
    assert fs.cat(CAT) == data
    converge(fs)
    whole(fs, shop, {CAT: data})


# All of it


def test_a_whole_life_leaves_plain_files_and_nothing_else(fs, shop):
    """Written, read, damaged, missed, repaired, moved, deleted, swept: and any tool reads it."""
    fs.write(CAT, ONE, metadata={"print": "A4"})
    fs.write(DOG, ONE)
    shop.flip("aws", CAT)
    assert fs.cat(CAT) == ONE
    shop.lose("gcp")
    fs.write(DOG, TWO)
    fs.mv(CAT, "originals/tom.jpg")
    shop.bring_back("gcp")
    well_again(fs)
    fs.write("bird", THREE)
    fs.rm("bird")
    converge(fs)
    rs.sweep(fs, older_than=0.0)
    whole(fs, shop, {DOG: TWO, "originals/tom.jpg": ONE})
    for name in NAMES:
        own = sorted(p.name for p in (shop.disk(name) / ".resilient").rglob("*") if p.is_file())
        assert own == ["store.json"]
        assert shop.temporary(name) == []
    fresh = shop.open()
    assert (fresh.cat(DOG), fresh.info("originals/tom.jpg")["metadata"]) == (TWO, {"print": "A4"})
    assert rs.repair(fresh).done


def test_p7_a_staged_copy_that_is_gone_is_made_again(fs, shop):
    fs.write(CAT, ONE)
    fs.write(CAT, TWO)
    assert set(places(fs, CAT).values()) != {"own"}, "on a busy key the copy counts in staging"
    (staged,) = shop.staged("gcp")
    (shop.disk("gcp") / staged).unlink()
    converge(fs)
    whole(fs, shop, {CAT: TWO})


# A copy that is missing at a quiet key is created there at once (R17)


def lost_at_gcp(fs, shop):
    fs.write(CAT, ONE)
    for _ in range(2):  # so many answers show that no request is late any more
        time.sleep(PAUSE_S)
        rs.repair(fs)
    (shop.disk("gcp") / CAT).unlink()
    assert rs.scrub(fs).missing == {CAT: ("gcp",)}


@pytest.fixture
def staged_at(monkeypatch):
    """Note on whom something was staged."""
    names = []
    upload = BackendClient.upload

    async def noted(self, key, **options):
        names.append(self.name)
        return await upload(self, key, **options)

    monkeypatch.setattr(BackendClient, "upload", noted)
    return names


def test_a_copy_that_is_missing_is_created_at_its_key_and_nowhere_else(fs, shop, staged_at):
    lost_at_gcp(fs, shop)
    report = rs.repair(fs)
    assert (report.done, report.copied, staged_at) == (True, 1, [])
    whole(fs, shop, {CAT: ONE})


def test_a_backend_that_was_added_is_filled_without_staging(shop, staged_at):
    shop.open(("aws", "gcp")).write(CAT, ONE)
    larger = shop.open()
    assert rs.repair(larger).copied == 1
    assert (staged_at, shop.read_behind("azure", CAT)) == ([], ONE)


@pytest.mark.parametrize("refuses", [True, False], ids=["it refuses", "it overwrites"])
def test_what_has_come_to_lie_at_the_key_meanwhile_is_not_written_over(fs, shop, refuses):
    """Whether or not the platform keeps two creations of one key apart."""
    lost_at_gcp(fs, shop)
    shop.put_behind("gcp", CAT, FOREIGN)
    fs.store.clients["gcp"].creates_exclusively = refuses
    rs.repair(fs)
    assert FOREIGN in (shop.read_behind("gcp", CAT), *shop.quarantined("gcp"))
    converge(fs)
    assert (shop.read_behind("gcp", CAT), shop.quarantined("gcp")) == (ONE, [FOREIGN])


def test_a_creation_whose_outcome_is_unknown_is_found_out_and_not_sent_again(
    fs, shop, staged_at, monkeypatch
):
    lost_at_gcp(fs, shop)
    put = BackendClient.put

    async def unheard(self, key, data, **options):
        await put(self, key, data, **options)
        return rs.Reply(self.name, rs.Outcome.TIMED_OUT, detail="no answer")

    monkeypatch.setattr(BackendClient, "put", unheard)
    assert "gcp" in rs.repair(fs).failed[CAT]
    assert states(fs, CAT)["gcp"] == "unknown"
    monkeypatch.setattr(BackendClient, "put", put)
    staged_at.clear()
    time.sleep(2 * PAUSE_S)
    converge(fs)
    whole(fs, shop, {CAT: ONE})


def test_a_key_to_which_nothing_was_sent_stays_quiet(fs, shop):
    """Else a source that is away for an hour would keep the copies in staging ever after."""
    lost_at_gcp(fs, shop)
    quiet_until_s = record(fs, CAT).replica("gcp").busy_until_s
    shop.lose("aws", "azure")
    assert CAT in rs.repair(fs).failed
    assert record(fs, CAT).replica("gcp").busy_until_s == quiet_until_s
    shop.bring_back("aws", "azure")
    well_again(fs)
    assert rs.repair(fs).done


def test_a_backend_that_was_never_sent_anything_has_no_row(fs, shop):
    shop.open(("aws", "gcp")).write(CAT, ONE)
    shop.lose("aws", "gcp")
    larger = shop.open()
    assert CAT in rs.repair(larger).failed
    assert set(record(larger, CAT).replicas) == {"aws", "gcp"}


def test_an_outage_during_which_repair_goes_on_leaves_keys_quiet(shop, staged_at):
    """Else all that a platform has missed would have to be staged when it is back."""
    fs = shop.open()
    fs.exists(CAT)
    shop.lose("gcp")
    paths = [f"missed/{number}" for number in range(20)]
    for path in paths:
        fs.write(path, ONE)
    for _ in range(3):
        time.sleep(PAUSE_S)
        assert not rs.repair(fs).done
    shop.bring_back("gcp")
    well_again(fs)
    staged_at.clear()
    converge(fs)
    whole(fs, shop, dict.fromkeys(paths, ONE))
    assert len(staged_at) < 10, "but for those with which the outage was found out"
