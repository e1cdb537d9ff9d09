"""Reading: right bytes from whoever has them, or one of the errors that say why not."""

from __future__ import annotations

import os
import sqlite3
import time

import pytest

import resilient_store as rs
from resilient_store.io.catalogued import repair
from resilient_store.testing import Fault, Faults, FaultyFileSystem
from tests.catalogued.stage import (
    CAT,
    DOG,
    LATE_WINDOW_S,
    NAMES,
    ONE,
    THREE,
    TWO,
    converge,
    make_hung,
    places,
    record,
    serves,
    state_md5,
    states,
    told,
    took_s,
    well_again,
)
from tests.traps.faulty import ANSWERS, two

MIB = 1 << 20
HEDGE_S = 0.25
THUMB, PREVIEW = "thumbs/cat.jpg", "previews/cat.jpg"
RULES = {"originals/{name}": ["previews/{name}", "thumbs/{name}"]}


def damaged(shop, name, how):
    place = shop.disk(name) / CAT
    if how == "gone":
        place.unlink()
    elif how == "flipped":
        shop.flip(name, CAT)
    elif how == "truncated":
        place.write_bytes(place.read_bytes()[:-1])
    elif how == "longer":
        place.write_bytes(place.read_bytes() + b"x")
    else:
        place.write_bytes({"blank": b"", "other": TWO}[how])


HOW = ["gone", "flipped", "truncated", "longer", "blank", "other"]


# P4: never wrong bytes


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("staged", [False, True])
def test_p4_a_damaged_replica_is_skipped_recorded_and_repaired(fs, shop, how, staged):
    if staged:
        fs.write(CAT, THREE)
    fs.write(CAT, ONE)
    converge(fs)
    damaged(shop, "aws", how)
    result = fs.read(CAT)
    assert (result.data, result.backend != "aws", result.verified) == (ONE, True, True)
    expected = "missing" if how == "gone" else "corrupt"
    assert states(fs, CAT) == {"aws": expected, "gcp": "good", "azure": "good"}
    assert fs.info(CAT)["replicas"]["aws"] == expected
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)
    assert states(fs, CAT) == dict.fromkeys(NAMES, "good")
    kept = how not in ("gone", "flipped")  # nobody knows whose bytes the others were
    assert len(shop.quarantined("aws")) == kept


def test_p4_a_damaged_replica_is_recorded_after_the_caller_has_its_bytes(fs, shop):
    fs.write(CAT, ONE)
    shop.flip("aws", CAT)
    other = sqlite3.connect(shop.catalog, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")  # so that nobody else can record anything
    result = fs.read(CAT)
    assert (result.data, result.backend != "aws") == (ONE, True)
    assert fs.info(CAT)["replicas"] == dict.fromkeys(NAMES, "good")
    other.execute("ROLLBACK")
    other.close()
    assert states(fs, CAT) == {"aws": "corrupt", "gcp": "good", "azure": "good"}


@pytest.mark.parametrize("how", HOW)
def test_p4_every_way_of_reading_is_verified(fs, shop, tmp_path, how):
    fs.write(CAT, ONE)
    damaged(shop, "aws", how)
    reads = {
        "read": lambda: fs.read(CAT).data,
        "cat": lambda: fs.cat(CAT),
        "range": lambda: fs.cat_file(CAT, 0, len(ONE)),
        "part": lambda: ONE[:4] + fs.cat_file(CAT, 4),
        "open": lambda: fs.open(CAT).read(),
        "get": lambda: (fs.get(CAT, str(tmp_path / "cat")), (tmp_path / "cat").read_bytes())[1],
        "copy": lambda: (fs.cp(CAT, DOG), fs.cat(DOG))[1],
    }
    assert {name: read() for name, read in reads.items()} == dict.fromkeys(reads, ONE)


def test_p4_a_range_is_verified_without_the_rest_of_the_object(fs, shop):
    data = os.urandom(3 * MIB + 5)
    fs.write(CAT, data)
    shop.flip("aws", CAT, at=2 * MIB + 7)
    for start, end in ((0, 10), (5, MIB), (MIB - 1, 2 * MIB), (-5, None), (3 * MIB, 3 * MIB)):
        assert fs.cat_file(CAT, start, end) == data[start:end]
    assert states(fs, CAT)["aws"] == "good"  # these chunks are
    assert fs.cat_file(CAT, 2 * MIB, 2 * MIB + 1) == data[2 * MIB : 2 * MIB + 1]
    assert states(fs, CAT)["aws"] == "corrupt"


def test_p4_all_replicas_damaged_differently_still_give_every_range_that_is_whole(fs, shop):
    data = os.urandom(3 * MIB)
    fs.write(CAT, data)
    for number, name in enumerate(NAMES):
        shop.flip(name, CAT, at=number * MIB + 9)
    for start in (0, MIB, 2 * MIB):
        assert fs.cat_file(CAT, start, start + MIB) == data[start : start + MIB]
    with pytest.raises((rs.OriginalMissingError, rs.BackendsUnavailableError)):
        fs.cat(CAT)


def test_p4_a_stream_is_continued_by_another_backend_at_the_same_byte(fs, shop):
    data = os.urandom(9 * MIB)
    fs.write(CAT, data)
    with fs.open(CAT) as file:
        begun = file.read(MIB)
        shop.lose("aws")
        shop.flip("gcp", CAT, at=5 * MIB)
        assert begun + file.read() == data


# P5: one of five ends


@pytest.mark.parametrize("how", HOW)
def test_p5_every_replica_damaged_is_a_lost_original_and_no_absent_one(fs, shop, how):
    fs.write(CAT, ONE)
    for name in NAMES:
        damaged(shop, name, how)
    parts = (fs.open, fs.head, lambda path: fs.cat_file(path, 1, 2))
    for read in (fs.cat, fs.read, *(parts if how != "longer" else ())):  # these bytes are there
        with pytest.raises(rs.OriginalMissingError) as caught:
            read(CAT)
        assert not isinstance(caught.value, FileNotFoundError)
    told(fs)
    assert fs.exists(CAT)
    assert fs.isfile(CAT)
    info = fs.info(CAT)
    assert (info["size"], info["original_missing"]) == (None, True)
    assert fs.find("") == [CAT]


def test_p5_one_that_cannot_be_asked_makes_it_unreachable_and_not_lost(fs, shop):
    fs.write(CAT, ONE)
    for name in ("aws", "gcp"):
        damaged(shop, name, "gone")
    shop.lose("azure")
    with pytest.raises(rs.BackendsUnavailableError) as caught:
        fs.cat(CAT)
    outcomes = {reply.backend: reply.outcome.value for reply in caught.value.replies}
    assert outcomes == {"aws": "not found", "gcp": "not found", "azure": "unavailable"}
    shop.bring_back()
    assert fs.cat(CAT) == ONE


def test_p5_an_original_found_again_stops_being_missing(fs, shop):
    fs.write(CAT, ONE)
    kept = shop.disk("gcp") / "kept"
    for name in NAMES:
        os.rename(shop.disk(name) / CAT, shop.disk(name) / "kept")
    with pytest.raises(rs.OriginalMissingError):
        fs.cat(CAT)
    told(fs)
    os.rename(kept, shop.disk("gcp") / CAT)
    assert fs.cat(CAT) == ONE
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)
    assert not fs.info(CAT)["original_missing"]


@pytest.mark.parametrize("reason", ["lost", "unreachable"])
def test_p5_a_preview_stands_in_flagged_with_the_reason(shop, reason):
    seen = []
    fs = shop.open(degraded=RULES, on_degraded=seen.append)
    original = fs.write(CAT, ONE)
    fs.write(PREVIEW, TWO, derived_from=CAT)
    fs.write(THUMB, THREE)
    if reason == "unreachable":
        fs.store.clients["azure"].doubt()
    for name in NAMES:
        shop.remove_behind(name, CAT)
    if reason == "unreachable":
        shop.lose("azure")
    result = fs.read(CAT)
    assert (result.data, result.original_missing, result.reason) == (TWO, True, reason)
    assert (result.derivative, result.derivative_stale, result.verified) == (PREVIEW, False, True)
    assert result.path == CAT
    assert fs.info(PREVIEW)["derived_from"] == (CAT, original.version)
    with pytest.raises((rs.OriginalMissingError, rs.BackendsUnavailableError)):
        result.original()
    for plain in (fs.cat, fs.open, lambda path: fs.read(path, degraded=False)):
        with pytest.raises((rs.OriginalMissingError, rs.BackendsUnavailableError)):
            plain(CAT)
    with fs.open(CAT, degraded=True) as file:
        assert (file.read(), file.original_missing, file.reason) == (TWO, True, reason)
        assert file.derivative == PREVIEW
    assert {event.reason for event in seen} == {reason}


def test_p5_a_preview_of_another_version_says_so(shop):
    fs = shop.open(degraded=RULES)
    fs.write(CAT, ONE)
    fs.write(PREVIEW, TWO, derived_from=CAT)
    fs.write(CAT, THREE)
    converge(fs)
    for name in NAMES:
        shop.remove_behind(name, CAT)
    result = fs.read(CAT)
    assert (result.data, result.derivative_stale) == (TWO, True)
    fs.write(PREVIEW, b"made anew", derived_from=(CAT, fs.info(CAT)["version"]))
    assert not fs.read(CAT).derivative_stale


def test_p5_the_next_derivative_stands_in_where_the_first_is_gone_or_blank(shop):
    fs = shop.open(degraded=RULES)
    for path, data in ((CAT, ONE), (PREVIEW, b""), (THUMB, THREE)):
        fs.write(path, data)
    for name in NAMES:
        (shop.disk(name) / CAT).unlink()
    assert fs.read(CAT).derivative == THUMB
    fs.rm(THUMB)
    with pytest.raises(rs.OriginalMissingError):
        fs.read(CAT)


def test_p5_a_deleted_original_is_absent_although_its_preview_is_there(shop):
    fs = shop.open(degraded=RULES)
    fs.write(CAT, ONE)
    fs.write(PREVIEW, TWO)
    fs.rm(CAT)
    with pytest.raises(FileNotFoundError):
        fs.read(CAT)
    assert not fs.exists(CAT)


# A complete catalog knows


def test_p5_an_absent_path_is_said_at_once_and_without_a_request(fs, shop):
    fs.write(CAT, ONE)
    asked = {name: client.health.asked for name, client in fs.store.clients.items()}
    shop.lose()
    began_s = time.monotonic()
    for read in (fs.cat, fs.read, fs.open, fs.info, fs.rm_file):
        with pytest.raises(FileNotFoundError):
            read(DOG)
    assert not fs.exists(DOG)
    assert took_s(began_s) < 1.0
    assert asked == {name: client.health.asked for name, client in fs.store.clients.items()}


def test_a_healthy_read_is_one_request_to_one_backend(fs):
    fs.write(CAT, ONE)
    fs.cat(CAT)
    asked = {name: client.health.asked for name, client in fs.store.clients.items()}
    fs.cat(CAT)
    told(fs)
    now = {name: client.health.asked - asked[name] for name, client in fs.store.clients.items()}
    assert now == {"aws": 1, "gcp": 0, "azure": 0}


def test_what_cannot_be_had_now_leaves_a_replicas_state_alone(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("aws")
    assert fs.read(CAT).backend != "aws"
    assert states(fs, CAT) == dict.fromkeys(NAMES, "good")
    shop.bring_back("aws")
    assert serves(fs, CAT, "aws")


@pytest.mark.parametrize("answer", [name for name in ANSWERS if name != "corrupt"])
def test_an_answer_that_says_nothing_of_the_bytes_condemns_no_replica(tmp_path, answer):
    catalog = {"catalog": f"sqlite:///{tmp_path}/photos.db", "write": rs.WriteToAll(min_copies=1)}
    fs, one, other = two(**catalog)
    with fs:
        fs.write(CAT, ONE)
        one.fail(answer)
        assert fs.read(CAT).backend == "other"
        assert states(fs, CAT) == {"one": "good", "other": "good"}
        other.fail(answer)
        with pytest.raises(rs.BackendsUnavailableError):
            fs.cat(CAT)
        assert states(fs, CAT) == {"one": "good", "other": "good"}
        one.heal()
        well_again(fs)
        assert fs.cat(CAT) == ONE


def test_a_good_replica_is_not_blamed_for_what_another_backend_does(fs, shop):
    fs.write(CAT, ONE)
    for how in HOW:
        damaged(shop, "aws", "other" if how == "gone" else how)
        assert fs.cat(CAT) == ONE
    told(fs)
    found = states(fs, CAT)
    assert (found["gcp"], found["azure"]) == ("good", "good")
    report = rs.repair(fs)
    assert not any("gcp" in why or "azure" in why for why in report.failed.values())


# Open for reading


def go_on(file, begun, whole):
    """Read to the end: never a mix of two versions."""
    while piece := file.read(MIB):
        begun += piece
        assert whole.startswith(begun)


def test_p4_a_file_open_for_reading_is_pinned_to_its_version(fs, shop):
    old, new = os.urandom(9 * MIB), os.urandom(9 * MIB)
    fs.write(CAT, old)
    with fs.open(CAT) as file:
        begun = file.read(MIB)
        fs.write(CAT, new)
        with pytest.raises(rs.ObjectChangedError):
            go_on(file, begun, old)
    assert fs.open(CAT).read() == new


def test_p4_a_file_open_for_reading_ends_where_its_object_is_deleted(fs):
    data = os.urandom(9 * MIB)
    fs.write(CAT, data)
    with fs.open(CAT) as file:
        begun = file.read(MIB)
        fs.rm(CAT)
        with pytest.raises(rs.ObjectChangedError):
            go_on(file, begun, data)


def test_p2_who_missed_the_overwrite_may_end_a_file_that_was_opened_before(fs, shop):
    old = os.urandom(9 * MIB)
    fs.write(CAT, old)
    with fs.open(CAT) as file:
        begun = file.read(MIB)
        shop.lose("azure")
        fs.write(CAT, TWO)
        shop.bring_back("azure")
        well_again(fs)
        assert begun + file.read() == old  # of one version, each byte
    assert fs.cat(CAT) == TWO


# What a hung backend costs


def test_p6_a_hung_backend_costs_a_few_reads_the_hedge_delay_and_later_reads_nothing(shop):
    fs = shop.open(read=rs.ReadFromFirstHealthy(hedge_after=HEDGE_S))
    fs.write(CAT, ONE)
    make_hung(shop, "aws", CAT)
    times_s = []
    for _ in range(15):
        began_s = time.monotonic()
        assert fs.cat(CAT) == ONE
        times_s.append(took_s(began_s))
    assert max(times_s) < HEDGE_S + 1.0
    assert sorted(times_s[-7:])[3] < HEDGE_S / 2
    assert states(fs, CAT)["aws"] == "good"
    release(shop, "aws", CAT)


def release(shop, name, key):
    """Let the threads that hang in a FIFO go on."""
    descriptor = os.open(shop.disk(name) / key, os.O_RDWR | os.O_NONBLOCK)
    time.sleep(LATE_WINDOW_S)
    os.close(descriptor)


def test_p3_what_others_leave_at_the_key_of_a_deleted_object_is_not_read(fs, shop):
    fs.write(CAT, ONE)
    fs.rm(CAT)
    shop.put_behind("aws", CAT, TWO)
    assert not fs.exists(CAT)
    with pytest.raises(FileNotFoundError):
        fs.cat(CAT)
    assert record(fs, CAT).entry.deleted


def test_p5_what_came_cut_short_and_has_no_checksum_yet_is_not_lost(tmp_path):
    faults = Faults()
    disks = {name: FaultyFileSystem(name=name, faults=faults) for name in ("one", "two")}
    for disk in disks.values():
        disk.pipe_file("/b/cat", ONE)  # before there was a catalog
    backends = [rs.Backend(d, root="b", name=name, domain=name) for name, d in disks.items()]
    with rs.ResilientFileSystem(backends, catalog=f"sqlite:///{tmp_path}/photos.db") as fs:
        assert fs.cat_file("cat", start=0, end=3) == ONE[:3]
        faults.begin(Fault("cut", "one"))
        faults.begin(Fault("cut", "two"))
        with pytest.raises(rs.BackendsUnavailableError):
            fs.cat_file("cat", start=0, end=3)
        faults.heal()
        told(fs)
        assert fs.cat_file("cat", start=0, end=3) == ONE[:3]
        assert fs.cat("cat") == ONE


def test_p5_what_every_platform_cuts_short_twice_is_not_lost(tmp_path):
    faults = Faults()
    disks = {name: FaultyFileSystem(name=name, faults=faults) for name in ("one", "two")}
    backends = [rs.Backend(d, root="b", name=name, domain=name) for name, d in disks.items()]
    with rs.ResilientFileSystem(backends, catalog=f"sqlite:///{tmp_path}/photos.db") as fs:
        fs.write("cat", ONE)
        faults.begin(Fault("cut", "one"))
        faults.begin(Fault("cut", "two"))
        with pytest.raises(rs.BackendsUnavailableError, match="ended before"):
            fs.read("cat")
        told(fs)
        assert states(fs, "cat") == dict.fromkeys(disks, "good")
        faults.heal()
        assert fs.read("cat").data == ONE


@pytest.mark.parametrize("stated", [True, False])
def test_p4_a_staged_copy_of_an_adopted_object_is_not_held_against_its_own_keys_tag(
    shop, stated, monkeypatch
):
    shop.put_behind("gcp", CAT, ONE)
    fs = shop.open(("aws", "gcp"))
    rs.adopt(fs)
    if stated:
        state_md5(fs, CAT, ONE)
    converge(fs)
    shop.put_behind("aws", CAT, ONE[::-1])  # somebody's edit
    rs.scrub(fs) if stated else fs.cat_file(CAT, 0, 5)
    told(fs)

    async def never_published(*_):
        """End as a process that dies when it has noted what it has staged."""

    monkeypatch.setattr(repair, "_publish", never_published)
    rs.repair(fs)
    assert (states(fs, CAT)["aws"], places(fs, CAT)["aws"] != "own") == ("good", True)
    (shop.disk("gcp") / CAT).unlink()
    assert fs.cat_file(CAT, 0, 5) == ONE[:5]
    told(fs)
    assert fs.cat(CAT) == ONE
    assert states(fs, CAT)["aws"] == "good"
