"""A catalog that is gone, and comes back from the backends."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import time
import tracemalloc

import attrs
import pytest
from fsspec.asyn import sync
from hypothesis import given, settings
from hypothesis import strategies as st

import resilient_store as rs
from resilient_store.backends.families import disk
from resilient_store.io import pages
from resilient_store.io.catalogued import reconcile, survey
from resilient_store.io.catalogued.numbers import MARGIN
from resilient_store.io.catalogued.suspects import Suspects
from resilient_store.io.catalogued.write import CataloguedWrite
from resilient_store.model.info import Headers
from resilient_store.model.outcome import Outcome, Reply
from resilient_store.operations.restore import restore_all
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
    record,
    states,
    store_state,
    told,
    well_again,
)


class KilledError(Exception):
    """The process has ended here, as far as its restore is concerned."""


OWL = "originals/owl.jpg"


def lose_catalog(shop, *opened):
    """Lose the catalog, and everybody who knew it."""
    for fs in opened:
        shop.leave(fs)
    for suffix in ("", "-wal", "-shm"):
        (shop.folder / f"photos.db{suffix}").unlink(missing_ok=True)


def brought_back(shop, *opened, **options):
    """Lose the catalog, open the store with a new one, and restore it."""
    lose_catalog(shop, *opened)
    again = shop.open(**options)
    return again, rs.restore(again)


def test_what_the_snapshot_knew_is_known_again(fs, shop):
    fs.write(CAT, ONE, content_type="image/x-cat", metadata={"who": "the cat"})
    fs.write(DOG, TWO)
    fs.rm(DOG)
    version = fs.info(CAT)["version"]
    rs.snapshot(fs)
    again, report = brought_back(shop, fs)
    assert (report.objects, report.newer, report.complete) == (1, 0, True)
    assert (report.vanished, report.partly, report.unclear, report.failed) == ([], {}, {}, {})
    assert again.cat(CAT) == ONE
    info = again.info(CAT)
    assert (info["version"], info["content_type"]) == (version, "image/x-cat")
    assert info["metadata"] == {"who": "the cat"}
    assert info["replicas"] == dict.fromkeys(NAMES, "good")
    assert not again.exists(DOG)
    shop.lose()
    assert again.find("") == [CAT]


def test_what_was_written_since_is_taken_from_the_backends(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    fs.write(CAT, TWO)
    fs.write(DOG, THREE, content_type="image/x-dog")
    versions = fs.info(CAT)["version"], fs.info(DOG)["version"]
    again, report = brought_back(shop, fs)
    assert (report.newer, report.complete, report.doubtful) == (2, True, [])
    assert (again.cat(CAT), again.cat(DOG)) == (TWO, THREE)
    assert (again.info(CAT)["version"], again.info(DOG)["version"]) == versions
    assert again.info(DOG)["content_type"] == "image/x-dog"
    converge(again)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)


def test_a_long_stream_written_since_is_known_chunk_by_chunk(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    pieces = [bytes([number]) * 3_000_000 for number in range(4)]
    fs.write(DOG, iter(pieces))
    again, _ = brought_back(shop, fs)
    assert again.cat(DOG) == b"".join(pieces)
    assert again.cat_file(DOG, 5_999_999, 6_000_001) == b"\1\2"
    assert again.info(DOG)["verified"]


def test_p2_what_only_one_platform_missed_is_never_read_from_it(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    shop.lose("azure")
    fs.write(CAT, TWO)
    shop.bring_back("azure")
    again, report = brought_back(shop, fs)
    assert (report.newer, report.doubtful) == (1, [])
    assert [again.cat(CAT) for _ in range(5)] == [TWO] * 5
    assert states(again, CAT)["azure"] == "stale"
    converge(again)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)


def test_p1_a_staged_version_that_was_acknowledged_is_found_there(fs, shop):
    fs.write(CAT, ONE)
    fs.write(CAT, TWO)
    rs.snapshot(fs)
    fs.write(CAT, THREE)  # its own keys are busy, so that what counts is staged
    assert shop.staged("aws")
    for name in NAMES:  # and a late request of before lands there
        (shop.disk(name) / CAT).unlink()
        shop.put_behind(name, CAT, TWO)
    again, report = brought_back(shop, fs)
    assert report.newer == 1
    assert again.cat(CAT) == THREE
    converge(again)
    assert shop.held(CAT) == dict.fromkeys(NAMES, THREE)


def test_p1_a_staged_version_that_could_not_be_read_just_then_is_found_later(fs, shop, monkeypatch):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    fs.write(CAT, TWO)  # its own keys are busy, so that what counts is staged
    for name in NAMES:
        (shop.disk(name) / CAT).unlink()

    async def unread(*_):
        return None

    with monkeypatch.context() as then:
        then.setattr(reconcile, "_content", unread)
        again, report = brought_back(shop, fs)
    assert "not whole" in report.failed[CAT]
    assert again.cat(CAT) == TWO


def test_an_overwrite_that_was_never_acknowledged_does_not_hide_what_was(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    shop.put_behind("gcp", f".resilient/staging/9999999-9999999/{CAT}", TWO)
    again, report = brought_back(shop, fs)
    assert report.newer == 0
    assert again.cat(CAT) == ONE


def test_a_newer_version_on_fewer_backends_than_were_acknowledged_is_doubtful(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    fs.write(CAT, TWO)
    shop.lose("azure")
    fs.rm(CAT)
    shop.bring_back("azure")
    again, report = brought_back(shop, fs)
    assert (report.newer, report.doubtful) == (1, [CAT])
    assert again.cat(CAT) == TWO


def test_a_staged_overwrite_on_too_few_backends_does_not_hide_what_was_acknowledged(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    for name in NAMES:
        shutil.copy2(shop.disk(name) / CAT, shop.folder / name)
    fs.write(CAT, TWO)
    for name in NAMES:  # as it was before that was committed: one backend has taken it so far
        (shop.folder / name).rename(shop.disk(name) / CAT)
        for key in shop.staged(name) if name != "gcp" else ():
            (shop.disk(name) / key).unlink()
    again, report = brought_back(shop, fs)
    assert report.newer == 0
    assert again.cat(CAT) == ONE
    converge(again)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)


def test_what_too_few_backends_hold_counts_where_nothing_else_is_left(fs, shop):
    rs.snapshot(fs)
    fs.write(CAT, ONE)
    for name in ("aws", "gcp"):
        (shop.disk(name) / CAT).unlink()
    again, report = brought_back(shop, fs)
    assert (report.newer, report.doubtful) == (1, [CAT])
    assert again.cat(CAT) == ONE


def test_bytes_that_say_nothing_of_themselves_are_named_and_not_believed(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    (shop.disk("gcp") / CAT).unlink()
    shop.put_behind("gcp", CAT, FOREIGN)
    again, report = brought_back(shop, fs)
    assert (report.unclear, report.complete) == ({CAT: ("gcp",)}, False)
    assert [again.cat(CAT) for _ in range(4)] == [ONE] * 4
    assert rs.adopt(again, paths=[CAT], on_conflict="newest").adopted == [CAT]
    assert again.cat(CAT) == FOREIGN


def test_p4_a_newer_version_that_cannot_be_read_is_never_replaced_by_an_older_one(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    shop.lose("azure")
    fs.write(CAT, TWO)
    shop.bring_back("azure")
    for name in ("aws", "gcp"):
        for key in (CAT, *shop.staged(name)):
            (shop.disk(name) / key).write_bytes(b"rotten")
    again, report = brought_back(shop, fs)
    assert CAT in report.failed
    with pytest.raises(rs.BackendsUnavailableError):
        again.cat(CAT)


def test_p4_a_stream_of_which_one_copy_is_rotten_is_what_the_others_say(fs, shop):
    rs.snapshot(fs)
    data = bytes(9_000_000)
    fs.write(CAT, iter([data]))
    shop.flip("aws", CAT, 5_000_000)
    again, report = brought_back(shop, fs)
    assert "its copies differ" in report.failed[CAT]
    assert again.cat(CAT) == data
    converge(again)
    assert shop.held(CAT) == dict.fromkeys(NAMES, data)


def test_p2_of_two_newer_versions_the_older_never_stands_in_for_the_newest(fs, shop):
    rs.snapshot(fs)
    fs.write(CAT, ONE)
    for name in NAMES:
        shutil.copy2(shop.disk(name) / CAT, shop.folder / name)
    fs.write(CAT, TWO)
    for name in NAMES:
        for key in shop.staged(name):
            (shop.disk(name) / key).write_bytes(b"rotten")
        (shop.folder / name).rename(shop.disk(name) / CAT)
    again, report = brought_back(shop, fs)
    assert "not whole" in report.failed[CAT]
    with pytest.raises(rs.BackendsUnavailableError):
        again.cat(CAT)


def open_intent(fs, path):
    """Begin a write, and leave it there before its commit."""

    async def begin():
        session = CataloguedWrite(fs.store, path, Headers())
        await session.begin()
        await session.send(TWO)
        await session._start(session._checksum.text)
        return session

    return sync(fs.loop, begin)


def finish(fs, session):
    return sync(fs.loop, session.commit)


def test_p1_a_write_that_was_open_in_the_snapshot_and_acknowledged_after_it_counts(fs, shop):
    fs.write(CAT, ONE)
    for path in (CAT, DOG):
        session = open_intent(fs, path)
        rs.snapshot(fs)
        finish(fs, session)
    again, report = brought_back(shop, fs)
    assert report.newer == 1  # the other one was in the last snapshot
    assert (again.cat(CAT), again.cat(DOG)) == (TWO, TWO)


def test_a_write_that_was_open_in_the_snapshot_and_failed_is_no_object(fs, shop):
    fs.write(CAT, ONE)
    sessions = [open_intent(fs, path) for path in (CAT, DOG)]
    rs.snapshot(fs)
    for session in sessions:
        sync(fs.loop, session.abort)
    again, report = brought_back(shop, fs)
    assert report.newer == 0
    assert again.cat(CAT) == ONE
    assert not again.exists(DOG)
    assert record(again, DOG).intent is record(again, CAT).intent is None
    assert [void.backends for void in record(again, DOG).voids] == [NAMES]
    again.write(DOG, THREE)
    assert again.cat(DOG) == THREE


# What was deleted


def test_p3_what_was_deleted_before_the_snapshot_stays_deleted(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("azure")
    fs.rm(CAT)
    rs.snapshot(fs)
    shop.bring_back("azure")
    assert shop.read_behind("azure", CAT) == ONE
    again, _ = brought_back(shop, fs)
    with pytest.raises(FileNotFoundError):
        again.cat(CAT)
    converge(again)
    assert shop.held(CAT) == dict.fromkeys(NAMES)


def test_p3_what_was_forgotten_before_the_snapshot_is_no_new_object(fs, shop):
    fs.write(CAT, ONE)
    place = shop.disk("azure") / CAT
    moved = shop.folder / "kept"
    place.rename(moved)
    fs.rm(CAT)
    converge(fs)
    assert record(fs, CAT).is_empty
    rs.snapshot(fs)
    moved.rename(place)  # it brings back what was deleted, and nobody remembers
    again, report = brought_back(shop, fs)
    assert (report.newer, report.failed) == (0, {})
    assert not again.exists(CAT)


def test_p5_what_was_deleted_after_the_snapshot_is_unknown_until_a_person_says_so(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    rs.snapshot(fs)
    fs.rm(CAT)
    again, report = brought_back(shop, fs)
    assert (report.vanished, report.partly, report.complete) == ([CAT], {}, True)
    with pytest.raises(rs.BackendsUnavailableError):
        again.cat(CAT)
    assert again.find("") == [CAT, DOG]
    again.rm(CAT)
    with pytest.raises(FileNotFoundError):
        again.cat(CAT)


def test_what_was_deleted_while_a_backend_was_away_may_be_back_and_is_named(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    shop.lose("azure")
    fs.rm(CAT)
    shop.bring_back("azure")
    again, report = brought_back(shop, fs)
    assert report.partly == {CAT: ("aws", "gcp")}
    assert again.cat(CAT) == ONE


# Numbers


def test_r7_no_number_is_ever_used_again(fs, shop):
    seen = [fs.write(CAT, ONE).version]
    rs.snapshot(fs)
    seen.append(fs.write(DOG, TWO).version)
    shop.lose("azure")
    unseen = [fs.write(OWL, data).version for data in (ONE, TWO, THREE)]
    for name in ("aws", "gcp"):  # nothing is left of the last of them
        (shop.disk(name) / OWL).unlink()
    again, _ = brought_back(shop, fs, write=rs.WriteToAll(min_copies=2))
    first = again.write(OWL, ONE).version
    assert first > max(seen + unseen) + MARGIN // 2
    rs.snapshot(again)
    once_more, _ = brought_back(shop, again, write=rs.WriteToAll(min_copies=2))
    assert once_more.write(OWL, TWO).version > first


def test_r7_nor_where_the_restored_catalog_is_lost_before_anything_is_written(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    again, _ = brought_back(shop, fs)
    session = open_intent(again, DOG)  # its number is in no label and in no snapshot
    drawn = session._holder.intent.version
    sync(again.loop, session.abort)
    once_more, _ = brought_back(shop, again)
    assert once_more.write(DOG, TWO).version > drawn


def test_p8_what_another_version_lies_on_where_it_was_is_named_as_lacking(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    (shop.disk("aws") / CAT).unlink()
    key = f".resilient/staging/9999999-9999999/{CAT}"
    shop.put_behind("aws", key, TWO)  # of a write that was never acknowledged
    says = json.dumps({"metadata": {"resilient-version": "9999999"}}).encode()
    os.setxattr(shop.disk("aws") / key, disk._ATTRIBUTE, says)
    again, report = brought_back(shop, fs)
    assert report.partly == {CAT: ("aws",)}
    assert again.cat(CAT) == ONE


def test_r18_every_own_key_is_busy_for_one_late_window(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    again, _ = brought_back(shop, fs, late_window=0.6)
    receipt = again.write(DOG, TWO)
    assert receipt.copies == NAMES
    assert all(shop.staged(name) for name in NAMES)
    assert set(rs.repair(again).waiting) == {DOG}
    converge(again)
    assert shop.held(DOG) == dict.fromkeys(NAMES, TWO)
    assert not any(shop.staged(name) for name in NAMES)


def test_r18_for_one_late_window_nothing_staged_is_swept(shop):
    fs = shop.open(late_window=30.0)
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    lose_catalog(shop, fs)
    again = shop.open(late_window=30.0)
    rs.restore(again)
    shop.put_behind("aws", ".resilient/staging/9-9/cat", ONE)
    assert rs.sweep(again, older_than=0.0).removed["aws"] == ()
    assert shop.read_behind("aws", ".resilient/staging/9-9/cat") == ONE
    now = shop.open(late_window=0.001)
    assert rs.sweep(now, older_than=0.0).removed["aws"] == (".resilient/staging/9-9/cat",)


def test_what_a_killed_process_had_half_staged_is_no_object_and_no_failure(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    shop.put_behind("aws", f".resilient/staging/9-9/{DOG}", ONE)
    again, report = brought_back(shop, fs)
    assert (report.failed, report.complete) == ({}, True)
    assert not again.exists(DOG)


def test_r19_a_backend_that_went_back_before_the_snapshot_is_not_believed(fs, shop):
    fs.write(CAT, ONE)
    time.sleep(PAUSE_S)
    kept = shop.folder / "kept"
    shutil.copytree(shop.disk("azure"), kept)
    rs.snapshot(fs)
    assert store_state(fs).backend("azure").epoch == 1
    shutil.rmtree(shop.disk("azure"))
    kept.rename(shop.disk("azure"))
    again, report = brought_back(shop, fs)
    assert (report.away, report.complete) == (("azure",), False)
    assert states(again, CAT) == {"aws": "good", "gcp": "good", "azure": "unknown"}
    assert rs.rejoin(again, "azure") == 1
    converge(again)
    assert states(again, CAT) == dict.fromkeys(NAMES, "good")


def test_r19_epochs_are_raised_by_the_first_repair(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    before = store_state(fs).backend("aws").epoch
    again, _ = brought_back(shop, fs)
    time.sleep(PAUSE_S)
    rs.repair(again)
    assert store_state(again).backend("aws").epoch > before


# Which snapshot, and which catalog


def snapshots_of(shop, name):
    return sorted((shop.disk(name) / ".resilient" / "snapshots").rglob("0*"))


def damaged(data, how):
    if how == "emptied":
        return b""
    if how == "cut short":
        return data[: len(data) // 2]
    if how == "its end is gone":
        return data[:-40]
    at = int(how * (len(data) - 1))
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


@pytest.mark.parametrize(
    "how", ["emptied", "cut short", "its end is gone", 0.0, 0.03, 0.1, 0.3, 0.6, 0.9, 1.0]
)
def test_p4_a_damaged_snapshot_is_passed_over_for_the_next(fs, shop, how):
    fs.write(CAT, ONE)
    older = rs.snapshot(fs).key
    fs.write(DOG, TWO)
    newest = rs.snapshot(fs).key
    for name in NAMES:
        shop.put_behind(name, newest, damaged(shop.read_behind(name, newest), how))
    again, report = brought_back(shop, fs)
    assert report.key == older
    assert set(report.skipped) == {f"{name}: {newest}" for name in NAMES}
    assert (again.cat(CAT), again.cat(DOG)) == (ONE, TWO)


def test_a_whole_copy_on_another_backend_is_taken_first(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    newest = rs.snapshot(fs).key
    shop.flip("aws", newest, 200)
    _, report = brought_back(shop, fs)
    assert (report.key, report.backend) == (newest, "gcp")


def test_where_no_snapshot_is_whole_the_error_says_what_is_left(fs, shop):
    fs.write(CAT, ONE)
    key = rs.snapshot(fs).key
    for name in NAMES:
        shop.flip(name, key, 200)
    lose_catalog(shop, fs)
    with pytest.raises(rs.IntegrityError, match=r"rs\.adopt") as caught:
        rs.restore(shop.open())
    assert all(f"{name}: {key}" in str(caught.value) for name in NAMES)


def test_without_any_snapshot_the_error_says_what_is_left(fs, shop):
    fs.write(CAT, ONE)
    lose_catalog(shop, fs)
    with pytest.raises(rs.ConfigurationError, match=r"no snapshot.*rs\.adopt"):
        rs.restore(shop.open())


def test_a_catalog_in_use_is_never_overwritten(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    fs.write(CAT, TWO)
    with pytest.raises(rs.ConfigurationError, match="in use"):
        rs.restore(fs)
    assert fs.cat(CAT) == TWO


def test_restore_needs_a_catalog(shop):
    stateless = rs.ResilientFileSystem(shop.backends())
    for call in (rs.restore, rs.snapshot):
        with pytest.raises(rs.ConfigurationError, match="catalog"):
            call(stateless)
    stateless.close()


def test_the_error_for_a_lost_catalog_names_restore(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    lose_catalog(shop, fs)
    again = shop.open()
    with pytest.raises(rs.StoreIdentityError, match=r"rs\.restore"):
        again.cat(CAT)
    rs.restore(again)
    assert again.cat(CAT) == ONE


def test_backends_of_different_stores_are_refused(fs, shop, tmp_path):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    theirs = shop.disk("azure") / ".resilient" / "store.json"
    theirs.write_text('{"store": "another", "epoch": 0}')
    lose_catalog(shop, fs)
    with pytest.raises(rs.StoreIdentityError, match="different stores"):
        rs.restore(shop.open())


def test_a_dry_run_says_what_it_would_take_and_makes_nothing(fs, shop):
    fs.write(CAT, ONE)
    key = rs.snapshot(fs).key
    lose_catalog(shop, fs)
    again = shop.open()
    report = rs.restore(again, dry_run=True)
    assert (report.key, report.objects) == (key, 1)
    assert report.replaces.startswith("nothing that could be read")
    assert not shop.catalog.exists()
    with pytest.raises(rs.StoreIdentityError):
        again.cat(CAT)


def test_a_dry_run_on_a_store_in_use_verifies_its_snapshot_and_says_so(fs, shop):
    fs.write(CAT, ONE)
    key = rs.snapshot(fs).key
    assert "in use" in rs.restore(fs, dry_run=True).replaces
    sync(fs.loop, fs.store.known.change_state, lambda s, _: attrs.evolve(s, restoring="one"))
    assert "has not ended" in rs.restore(fs, dry_run=True).replaces
    for name in NAMES:
        shop.flip(name, key)
    with pytest.raises(rs.IntegrityError):
        rs.restore(fs, dry_run=True)


def test_a_dry_run_says_nothing_of_an_empty_catalog(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    lose_catalog(shop, fs)
    again = shop.open()
    sync(again.loop, again.store.known.prepare)
    assert rs.restore(again, dry_run=True).replaces == ""


# Backends that are away


def test_one_backend_that_is_away_is_doubted_and_the_others_serve(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    fs.write(CAT, TWO)
    shop.lose("azure")
    again, report = brought_back(shop, fs)
    assert (report.away, report.newer, report.complete) == (("azure",), 1, False)
    assert again.cat(CAT) == TWO
    with pytest.raises(rs.BackendsUnavailableError):
        again.cat(OWL)
    shop.bring_back("azure")
    well_again(again)
    converge(again)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)


def test_what_is_seen_on_too_few_counts_while_one_is_away_and_is_doubtful(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    shop.lose("gcp")
    fs.write(CAT, TWO)  # acknowledged, for azure has it, too
    shop.lose("azure")
    shop.bring_back("gcp")
    again, report = brought_back(shop, fs)
    assert (report.away, report.doubtful) == (("azure",), [CAT])
    assert again.cat(CAT) == TWO


def test_p1_what_was_listed_and_could_not_be_looked_at_is_named_and_never_called_gone(
    fs, shop, monkeypatch
):
    fs.write(DOG, ONE)
    time.sleep(PAUSE_S)
    rs.snapshot(fs)
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)

    async def unheard(store, names, call):
        return {name: Reply(name, Outcome.TIMED_OUT) for name in names}

    with monkeypatch.context() as then:
        then.setattr(reconcile, "fan_out", unheard)
        then.setattr(reconcile, "AGAIN_S", (0.0,))
        again, report = brought_back(shop, fs)
    assert (set(report.failed), report.vanished, report.complete) == ({CAT, DOG}, [], False)
    assert again.cat(CAT) == ONE
    with pytest.raises(rs.BackendsUnavailableError):
        again.cat(DOG)
    rs.adopt(again, paths=[DOG], on_conflict="newest")
    assert again.cat(DOG) == TWO


def test_who_is_silent_for_a_moment_is_asked_again(fs, shop, monkeypatch):
    rs.snapshot(fs)
    fs.write(CAT, ONE)
    real, asked = reconcile.fan_out, []

    async def once_unheard(store, names, call):
        asked.append(names)
        if len(asked) == 1:
            return {name: Reply(name, Outcome.THROTTLED) for name in names}
        return await real(store, names, call)

    monkeypatch.setattr(reconcile, "fan_out", once_unheard)
    again, report = brought_back(shop, fs)
    assert (report.newer, report.failed, report.complete) == (1, {}, True)
    assert again.cat(CAT) == ONE


def test_p1_where_those_that_are_away_may_hold_it_alone_nothing_is_restored(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    shop.lose("aws")
    fs.write(CAT, TWO)
    shop.bring_back("aws")
    shop.lose("gcp", "azure")
    lose_catalog(shop, fs)
    again = shop.open()
    with pytest.raises(rs.BackendsUnavailableError, match="alone"):
        rs.restore(again)
    shop.bring_back()
    well_again(again)
    rs.restore(again)
    assert again.cat(CAT) == TWO


def test_a_platform_that_is_gone_for_good_is_left_out(fs, shop):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    shop.lose("gcp", "azure")
    lose_catalog(shop, fs)
    alone = shop.open(("aws",), write=rs.WriteToAll(min_copies=1))
    rs.restore(alone)
    assert alone.cat(CAT) == ONE


# A restore that is cut short


def test_p8_a_restore_that_is_killed_anywhere_can_be_called_again(fs, shop):
    for number in range(4):
        fs.write(f"a/{number}.jpg", ONE)
    fs.rm("a/0.jpg")
    rs.snapshot(fs)
    fs.write("a/1.jpg", TWO)
    fs.write("b.jpg", THREE)
    lose_catalog(shop, fs)
    again = shop.open()
    calls = 0
    done = False
    while not done:
        calls += 1
        with pytest.MonkeyPatch.context() as patch:
            left = [calls]

            def counted(real, left=left):
                async def call(*args, **options):
                    left[0] -= 1
                    if not left[0]:
                        raise KilledError
                    return await real(*args, **options)

                return call

            known = again.store.known
            for name in ("wipe", "load", "raise_counter", "change_state", "change", "records"):
                patch.setattr(known, name, counted(getattr(known, name)))
            try:
                report = rs.restore(again)
                done = True
            except KilledError:
                pass
        if not done and shop.catalog.exists() and (sync(again.loop, known.state)):
            with pytest.raises(rs.CatalogUnavailableError, match=r"rs\.restore again"):
                shop.open().cat("a/1.jpg")
    assert calls > 12
    assert report.newer == 2
    assert again.find("") == ["a/1.jpg", "a/2.jpg", "a/3.jpg", "b.jpg"]
    assert again.cat("a/1.jpg") == TWO


def test_of_two_restores_at_once_the_later_one_counts(fs, shop, monkeypatch):
    fs.write(CAT, ONE)
    rs.snapshot(fs)
    lose_catalog(shop, fs)
    one, other = shop.open(), shop.open()
    real, begun = one.store.known.load, []

    async def load(table, rows):
        if not begun:
            begun.append(await restore_all(other.store))
        await real(table, rows)

    monkeypatch.setattr(one.store.known, "load", load)
    with pytest.raises(rs.ConfigurationError, match="another restore"):
        rs.restore(one)
    assert other.cat(CAT) == ONE


# Without any snapshot


def test_p9_without_any_snapshot_adopt_makes_the_catalog_anew(fs, shop):
    fs.write(CAT, ONE, content_type="image/x-cat")
    fs.write(CAT, TWO)
    fs.write(DOG, THREE)
    highest = fs.info(DOG)["version"]
    converge(fs)
    lose_catalog(shop, fs)
    for name in NAMES:
        (shop.disk(name) / ".resilient" / "store.json").unlink()
    again = shop.open()
    report = rs.adopt(again)
    assert (report.adopted, report.complete) == ([CAT, DOG], True)
    assert (again.cat(CAT), again.cat(DOG)) == (TWO, THREE)
    assert again.info(CAT)["content_type"] == "image/x-cat"
    assert again.write(OWL, ONE).version > highest


# Anything, at any time


class Story:
    """A shop at work, whose catalog is destroyed now and then; knows what it acknowledged."""

    def __init__(self, shop, seed):
        self.shop = shop
        self.chance = random.Random(seed)
        self.fs = shop.open(write=rs.WriteToAll(min_copies=2))
        self.paths = [f"p/{number}" for number in range(5)]
        self.holds: dict[str, bytes | None] = dict.fromkeys(self.paths)
        self.known = dict(self.holds)  # to the last snapshot
        self.since: dict[str, set[bytes]] = {}
        self.unseen: dict[str, set[bytes]] = {}  # what one may hold that was away at a restore
        self.away = ""
        self.writes = 0

    def write(self, path):
        self.writes += 1
        data = b"%d " % self.writes * self.chance.choice([1, 50])
        self.fs.write(path, data)
        self.now(path, data)

    def now(self, path, data):
        self.holds[path] = data
        if data is not None:
            self.since.setdefault(path, set()).add(data)

    def remove(self, path):
        if self.holds[path] is not None:
            self.fs.rm(path)
            self.now(path, None)

    def move(self, path):
        to = self.chance.choice(self.paths)
        if self.holds[path] is not None and to != path and not self.away:
            self.fs.mv(path, to)
            data = self.holds[path]
            self.now(path, None)
            self.now(to, data)

    def turn(self, _):
        if self.away:
            self.shop.bring_back(self.away)
            well_again(self.fs)
            self.away = ""
        else:
            self.away = self.chance.choice(NAMES)
            self.shop.lose(self.away)

    def repair(self, _):
        rs.repair(self.fs)

    def rest(self, _):
        time.sleep(PAUSE_S)

    def snapshot(self, _):
        rs.snapshot(self.fs)
        self.known = dict(self.holds)
        self.since = {path: {data} for path, data in self.holds.items() if data is not None}

    def destroy(self):
        lose_catalog(self.shop, self.fs)
        self.fs = self.shop.open(write=rs.WriteToAll(min_copies=2))
        report = rs.restore(self.fs)
        for path, some in self.since.items() if report.away else ():
            self.unseen.setdefault(path, set()).update(some)
        for path in self.paths:
            self.check(path, report)
        return report

    def check(self, path, report):
        told(self.fs)
        try:
            found = self.fs.cat(path)
        except FileNotFoundError:
            assert self.holds[path] is None, (path, report)
            return
        except rs.BackendsUnavailableError:
            assert self.holds[path] is None, (path, report)
            assert path in report.vanished or self.away
            return
        if self.holds[path] is not None:
            assert found == self.holds[path], (path, report)
            return
        # Deleted since, and back: a backend was away then. Never what was overwritten before.
        deleted = self.since.get(path, set()) | self.unseen.get(path, set())
        assert found in deleted, (path, report)
        self.now(path, found)

    def go_on(self, steps):
        doings = [self.write] * 6 + [self.remove, self.move] * 2
        doings += [self.turn, self.repair, self.rest, self.snapshot]
        for _ in range(steps):
            self.chance.choice(doings)(self.chance.choice(self.paths))


def in_pages_of(monkeypatch, count):
    monkeypatch.setattr(pages, "ASKED_AGAIN", 0)
    for module in (pages, survey, reconcile):
        monkeypatch.setattr(module, "PAGE", count)


@pytest.mark.parametrize("count", [1, 3, 1000])
def test_listings_and_catalog_are_gone_through_together_page_by_page(fs, shop, monkeypatch, count):
    """What only one of them knows comes before, between and after what both know."""
    paths = [f"{folder}/{number}" for folder in ("+", "a", "é") for number in range(8)] + ["🎈"]
    for path in paths[::2]:
        fs.write(path, ONE)
    converge(fs)
    rs.snapshot(fs)
    for path in paths[1::2]:
        fs.write(path, TWO)
    for path in paths[::8]:
        fs.rm(path)
    fs.write(paths[2], THREE)
    (shop.disk("aws") / paths[4]).unlink()  # and its label
    shop.put_behind("aws", paths[4], FOREIGN)
    shop.put_behind("aws", "b/theirs", FOREIGN)
    (shop.disk("gcp") / paths[6]).unlink()
    (shop.disk("aws") / os.fsdecode(b"no text \xff")).write_bytes(ONE)
    lose_catalog(shop, fs)
    in_pages_of(monkeypatch, count)
    again = shop.open()
    report = rs.restore(again)
    assert report.vanished == sorted(paths[::8])
    assert report.newer == len(paths[1::2]) + 2  # and the overwritten one, and theirs
    assert (report.unclear, report.partly) == ({paths[4]: ("aws",)}, {paths[6]: ("gcp",)})
    assert (report.doubtful, report.failed) == ([], {})
    for path in paths[1::2]:
        assert again.cat(path) == TWO
    assert (again.cat(paths[2]), again.cat("b/theirs")) == (THREE, FOREIGN)


def test_what_a_listing_said_before_it_broke_off_makes_nothing_suspect(fs, shop, monkeypatch):
    """The backend is away, as one is that says nothing at all."""
    for number in range(8):
        fs.write(f"p/{number}", ONE)
    converge(fs)
    rs.snapshot(fs)
    shop.put_behind("azure", "a/theirs", FOREIGN)
    lose_catalog(shop, fs)
    in_pages_of(monkeypatch, 2)
    again, looked = shop.open(), []
    client = again.store.clients["azure"]
    page, look = client.page, reconcile.reconcile_path

    async def breaks_off(after, cursor, limit):
        if after >= "p/3":
            return Reply("azure", Outcome.TIMED_OUT)
        return await page(after, cursor, limit)

    async def watched(store, path, *arguments):
        looked.append(path)
        return await look(store, path, *arguments)

    monkeypatch.setattr(client, "page", breaks_off)
    monkeypatch.setattr(reconcile, "reconcile_path", watched)
    report = rs.restore(again)
    assert (report.away, report.complete, looked) == (("azure",), False, [])
    assert again.cat("p/7") == ONE


PATHS = st.text(st.sampled_from("a/é🎈\ue000"), min_size=1, max_size=4)


@given(st.lists(st.tuples(PATHS, st.none() | st.sampled_from(NAMES), st.booleans())), PATHS)
@settings(deadline=None)
def test_suspects_come_once_in_order_and_with_what_is_staged(said, after):
    with Suspects() as suspects:
        expected = {}
        for number, (path, name, kept) in enumerate(said):
            staged = [] if name is None else [(path, name, f"{number}")]
            suspects.add([path] if name is None else [], staged)
            (suspects.keep if kept else suspects.forget)()
            if kept:
                expected.setdefault(path, set()).update((one[1], one[2]) for one in staged)
        assert suspects.count() == len(expected)
        found = suspects.page("", 1000)
        assert list(found) == sorted(expected)
        assert {path: set(one) for path, one in found.items()} == expected
        assert list(suspects.page(after, 2)) == [p for p in sorted(expected) if p > after][:2]


def test_p6_suspects_lie_on_the_disk():
    with Suspects() as suspects:
        tracemalloc.start()
        try:
            for first in range(0, 50_000, 1000):
                suspects.add([f"originals/{number:09}" for number in range(first, first + 1000)])
            _, most = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert suspects.count() == 50_000
    assert most < 1_000_000


SEEDS = [0, 4, *(pytest.param(seed, marks=pytest.mark.matrix) for seed in range(100, 140))]


@pytest.mark.parametrize("seed", SEEDS)
def test_whatever_was_acknowledged_outlives_the_catalog(shop, seed):
    story = Story(shop, seed)
    story.go_on(6)
    story.snapshot("")
    for _ in range(3):
        story.go_on(story.chance.randrange(14))
        report = story.destroy()
        for path in report.vanished:
            assert story.holds[path] is None
            story.fs.rm(path)
        story.snapshot("")
    shop.bring_back()
    well_again(story.fs)
    for name in report.away:
        with contextlib.suppress(rs.BackendsUnavailableError):
            rs.rejoin(story.fs, name)
    if report.away:  # what it holds alone is known to nobody until then
        converge(story.fs)
        story.away = ""
        assert rs.adopt(story.fs).complete
        for path in story.paths:
            story.check(path, report)
    converge(story.fs)
    for path, data in story.holds.items():
        assert shop.held(path) == dict.fromkeys(NAMES, data)


# On platforms


@pytest.mark.parametrize("kind", ["s3", "gcs", "azure"])
def test_a_platform_alone_brings_the_catalog_back(shop, request, kind):
    platform = request.getfixturevalue(kind)
    bucket = platform.new_bucket()
    alone = rs.Backend(
        platform.url(bucket), name=kind, domain=kind, storage_options=platform.storage_options()
    )
    options = shop.settings(write=rs.WriteToAll(min_copies=1))
    with rs.ResilientFileSystem([alone], **options) as fs:
        fs.write(CAT, ONE)
        fs.write(DOG, ONE, metadata={"who": "the dog"})
        fs.rm(CAT)
        rs.snapshot(fs)
        fs.write(DOG, TWO)
        fs.write(OWL, THREE)
    lose_catalog(shop)
    with rs.ResilientFileSystem([alone], **options) as again:
        report = rs.restore(again)
        assert (report.objects, report.newer, report.complete) == (1, 2, True)
        assert (report.failed, report.unclear, report.partly) == ({}, {}, {})
        assert [again.cat(path) for path in (DOG, OWL)] == [TWO, THREE]
        assert again.info(DOG)["metadata"] == {"who": "the dog"}
        assert not again.exists(CAT)
