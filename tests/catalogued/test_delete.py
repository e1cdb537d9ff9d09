"""Deleting: gone for everyone from the tombstone on, and never back."""

from __future__ import annotations

import importlib
import os
import time

import attrs
import pytest
from fsspec.asyn import sync

import resilient_store as rs
from tests.catalogued.stage import (
    CAT,
    DOG,
    FOREIGN,
    LATE_WINDOW_S,
    NAMES,
    ONE,
    PAUSE_S,
    TWO,
    converge,
    record,
    store_state,
    took_s,
    well_again,
)
from tests.traps.faulty import ANSWERS, over, two

delete = importlib.import_module("resilient_store.io.catalogued.delete")


def absent(*stores):
    """Say that nobody finds it, in any way of looking."""
    for fs in stores:
        assert not fs.exists(CAT)
        assert not fs.isfile(CAT)
        assert fs.find("") == fs.glob("**/cat.jpg") == []
        for call in (fs.cat, fs.read, fs.open, fs.info, fs.rm_file, fs.ls):
            with pytest.raises(FileNotFoundError):
                call(CAT)


def test_p5_an_object_that_is_never_recorded_is_not_said_to_be_absent(fs, shop, monkeypatch):
    async def known(*_):
        """Find it each time, and let somebody keep it from being recorded."""

    monkeypatch.setattr(delete, "known", known)
    with pytest.raises(rs.BackendsUnavailableError, match="as often as it was looked at"):
        fs.rm_file(CAT)
    assert record(fs, CAT).intent is None


def test_p3_a_deleted_object_is_gone_for_every_process_and_on_every_disk(fs, shop):
    other = shop.open()
    fs.write(CAT, ONE)
    assert other.exists(CAT)
    fs.rm(CAT)
    absent(fs, other, shop.open())
    assert shop.held(CAT) == dict.fromkeys(NAMES)


@pytest.mark.parametrize("away", [("aws",), ("gcp",), ("aws", "azure"), NAMES])
def test_p3_whoever_was_away_brings_nothing_back(fs, shop, away):
    fs.write(CAT, ONE)
    shop.lose(*away)
    fs.rm(CAT)
    absent(fs)
    shop.bring_back(*away)
    well_again(fs)
    absent(fs, shop.open())
    for name in away:
        assert shop.read_behind(name, CAT) == ONE
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES)
    assert record(fs, CAT).is_empty
    absent(fs, shop.open())


def test_p3_a_tombstone_waits_for_the_last_backend_however_long_it_is_away(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("azure")
    fs.rm(CAT)
    until_s = time.monotonic() + 6 * PAUSE_S
    while time.monotonic() < until_s:
        report = rs.repair(fs)
        assert (report.purged, list(report.failed)) == (0, [CAT])
    assert record(fs, CAT).entry.deleted
    shop.bring_back("azure")
    well_again(fs)
    absent(fs)
    assert converge(fs).purged == 1
    assert shop.held(CAT) == dict.fromkeys(NAMES)


def test_p3_a_tombstone_waits_for_a_backend_that_was_taken_out_of_the_configuration(fs, shop):
    fs.write(CAT, ONE)
    smaller = shop.open(("aws", "gcp"))
    smaller.rm(CAT)
    time.sleep(PAUSE_S)
    rs.repair(smaller)
    time.sleep(PAUSE_S)
    report = rs.repair(smaller)
    assert (report.purged, "azure" in report.failed[CAT]) == (0, True)
    assert shop.read_behind("azure", CAT) == ONE
    absent(fs, smaller)  # with all three again
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES)


def test_p3_after_the_purge_adopting_brings_nothing_back(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("gcp")
    fs.rm(CAT)
    shop.bring_back("gcp")
    assert rs.adopt(fs).adopted == []  # with the tombstone
    absent(fs)
    converge(fs)
    assert record(fs, CAT).is_empty
    assert rs.adopt(fs).adopted == []  # without it
    absent(fs, shop.open())


def test_p3_a_tombstone_whose_bytes_went_some_other_way_is_purged_all_the_same(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("aws", "gcp")
    fs.rm(CAT)
    shop.bring_back("aws", "gcp")
    (shop.disk("aws") / CAT).unlink()
    shop.flip("gcp", CAT)
    absent(fs)
    converge(fs)
    absent(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES)


def test_a_path_that_is_created_again_begins_a_new_life(fs, shop):
    first = fs.write(CAT, ONE, metadata={"of": "the first"})
    shop.lose("aws")
    fs.rm(CAT)
    second = fs.write(CAT, TWO)
    shop.bring_back("aws")
    assert second.version > first.version
    assert (fs.cat(CAT), fs.info(CAT).get("metadata") or {}) == (TWO, {})
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)


def test_deleting_needs_no_backend_and_no_time(fs, shop):
    fs.write(CAT, ONE)
    shop.lose()
    began_s = time.monotonic()
    fs.rm(CAT)
    assert took_s(began_s) < 1.0
    absent(fs)


def test_deleting_what_is_not_there_says_so(fs):
    with pytest.raises(FileNotFoundError):
        fs.rm_file(CAT)
    fs.write(CAT, ONE)
    fs.rm(CAT)
    with pytest.raises(FileNotFoundError):
        fs.rm_file(CAT)
    assert record(fs, CAT).intent is None


def test_a_folder_is_deleted_with_all_that_is_below_it(fs, shop):
    for path in (CAT, DOG, "originals/2024/bird.jpg", "thumbs/cat.jpg"):
        fs.write(path, ONE)
    shop.lose("gcp")
    fs.rm("originals", recursive=True)
    assert fs.find("") == ["thumbs/cat.jpg"]
    assert not fs.isdir("originals")
    shop.bring_back("gcp")
    converge(fs)
    assert [shop.objects(name) for name in NAMES] == [["thumbs/cat.jpg"]] * 3


def test_a_lost_original_can_be_deleted(fs, shop):
    fs.write(CAT, ONE)
    for name in NAMES:
        (shop.disk(name) / CAT).unlink()
    with pytest.raises(rs.OriginalMissingError):
        fs.cat(CAT)
    fs.rm(CAT)
    absent(fs)
    converge(fs)
    assert record(fs, CAT).is_empty


def test_a_deletion_that_one_backend_refuses_is_a_deletion_and_is_carried_out_later(fs, shop):
    """The tombstone decides; a directory that lies there can be neither kept nor removed."""
    fs.write(CAT, ONE)
    place = shop.disk("gcp") / CAT
    place.unlink()
    (place / "inside").mkdir(parents=True)
    fs.rm(CAT)
    absent(fs, shop.open())
    report = rs.repair(fs)
    assert CAT in {**report.waiting, **report.failed}
    os.rmdir(place / "inside")
    os.rmdir(place)
    converge(fs)
    assert record(fs, CAT).is_empty
    absent(fs)


@pytest.mark.parametrize("answer", [name for name in ANSWERS if name != "corrupt"])
def test_p3_a_deletion_is_one_whatever_a_backend_answers_to_it(tmp_path, answer):
    options = {
        "catalog": f"sqlite:///{tmp_path}/photos.db",
        "write": rs.WriteToAll(min_copies=1),
        "late_window": LATE_WINDOW_S,
    }
    fs, one, other = two(**options)
    with fs:
        fs.write(CAT, ONE)
        one.plan = lambda verb, path: ANSWERS[answer]() if verb == "rm_file" else None
        fs.rm(CAT)
        assert (one.holds(CAT), other.holds(CAT)) == (ONE, None)
        with over(one, other, **options) as another:
            absent(fs, another)
            report = rs.repair(another)
            assert CAT in {**report.waiting, **report.failed}
        one.heal()
        well_again(fs)
        absent(fs)
        converge(fs)
        assert (one.holds(CAT), record(fs, CAT).is_empty) == (None, True)
        assert rs.adopt(fs).adopted == []


def test_somebody_elses_bytes_are_kept_when_their_path_is_deleted(fs, shop):
    fs.write(CAT, ONE)
    shop.put_behind("gcp", CAT, FOREIGN)
    fs.rm(CAT)
    assert shop.quarantined("gcp") == [FOREIGN]
    assert shop.held(CAT) == dict.fromkeys(NAMES)


def test_somebody_elses_bytes_under_a_tombstone_are_kept_and_not_resurrected(fs, shop):
    fs.write(CAT, ONE)
    fs.rm(CAT)
    shop.put_behind("aws", CAT, FOREIGN)
    absent(fs)
    converge(fs)
    absent(fs)
    assert shop.quarantined("aws") == [FOREIGN]
    assert shop.held(CAT) == dict.fromkeys(NAMES)


def test_a_purge_is_remembered_on_the_backends_so_that_none_goes_back_in_time(fs, shop):
    fs.write(CAT, ONE)
    fs.rm(CAT)
    before = {name: row.epoch for name, row in store_state(fs).backends.items()}
    converge(fs)
    after = {name: row.epoch for name, row in store_state(fs).backends.items()}
    assert all(after[name] > before[name] for name in NAMES)


def test_r19_nor_where_the_clock_was_put_back_since_the_last_epoch(fs):
    """It was a month ahead, and nobody would be told of a purge until that time comes again."""
    fs.write(CAT, ONE)
    fs.rm(CAT)

    def of_then(state, now_s):
        rows = {n: attrs.evolve(b, raised_s=now_s + 2.6e6) for n, b in state.backends.items()}
        return attrs.evolve(state, backends=rows)

    before = sync(fs.loop, fs.store.known.change_state, of_then)
    converge(fs)
    after = store_state(fs)
    assert all(after.backend(name).epoch > before.backend(name).epoch for name in NAMES)


def test_nothing_of_a_deleted_object_stays_on_a_disk(fs, shop):
    fs.write(CAT, ONE)
    fs.write(CAT, TWO)
    converge(fs)
    fs.rm(CAT)
    converge(fs)
    for name in NAMES:
        assert (shop.objects(name), shop.staged(name), shop.temporary(name)) == ([], [], [])
