"""Writing: acknowledged on enough platforms or not at all, whoever is away, slow or killed."""

from __future__ import annotations

import asyncio
import io
import os
import sqlite3
import threading
import time

import pytest

import resilient_store as rs
from resilient_store.model.step import Step
from resilient_store.runtime import at_each_step
from tests.catalogued.stage import (
    CAT,
    DOG,
    LATE_WINDOW_S,
    NAMES,
    ONE,
    THREE,
    TWO,
    converge,
    places,
    record,
    states,
    told,
    took_s,
    well_again,
)
from tests.simulation.stage import Stage

PART = 8 << 20  # what travels at once
SOME_S = 1.0  # for machines that do other things besides
PATIENT = {"lock_timeout": 10.0}


@pytest.fixture
def _short_margins(monkeypatch):
    """Let leases be as short as they were asked for."""
    monkeypatch.setattr("resilient_store.io.catalogued.holder.MARGIN_S", 0.05)


# P1: an acknowledgement is durable, and an error changes nothing


def test_p1_a_receipt_says_what_the_catalog_and_the_disks_say(fs, shop):
    receipt = fs.write(CAT, ONE)
    info = shop.open().info(CAT)
    assert (info["version"], info["checksum"], info["size"]) == (
        *(receipt.version, receipt.checksum),
        len(ONE),
    )
    assert info["replicas"] == dict.fromkeys(receipt.copies, "good")
    assert shop.held(CAT) == dict.fromkeys(receipt.copies, ONE)


@pytest.mark.parametrize("earlier", [None, ONE])
def test_p1_too_few_backends_is_an_error_that_names_each_and_changes_nothing(fs, shop, earlier):
    fs.exists(CAT)
    if earlier is not None:
        fs.write(CAT, earlier)
    shop.lose("aws", "azure")
    with pytest.raises(rs.InsufficientCopiesError) as caught:
        fs.write(CAT, TWO)
    outcomes = {reply.backend: reply.outcome.value for reply in caught.value.replies}
    assert outcomes.keys() == set(NAMES)
    assert (outcomes["aws"], outcomes["azure"]) == ("unavailable", "unavailable")
    assert all(name in str(caught.value) for name in ("aws", "azure"))
    shop.bring_back()
    for store in (fs, shop.open()):
        assert store.exists(CAT) is (earlier is not None)
        if earlier is not None:
            assert store.cat(CAT) == earlier
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, earlier)
    assert [shop.staged(name) for name in NAMES] == [[], [], []]


def test_p1_two_copies_on_one_platform_are_not_enough(shop):
    backends = [
        rs.Backend(str(shop.disk(name)), name=name, domain=domain)
        for name, domain in (("aws", "aws/east"), ("gcp", "aws/west"), ("azure", "azure"))
    ]
    with rs.ResilientFileSystem(
        backends,
        catalog=shop.settings()["catalog"],
        write=rs.WriteToAll(min_copies=2, min_domains=2),
    ) as fs:
        fs.exists(CAT)
        shop.lose("azure")
        with pytest.raises(rs.InsufficientCopiesError, match="azure"):
            fs.write(CAT, ONE)
        assert not fs.exists(CAT)
        shop.bring_back("azure")
        shop.lose("gcp")
        assert fs.write(CAT, ONE).domains == ("aws/east", "azure")


def test_p1_all_must_hold_it_where_no_minimum_was_given(shop):
    fs = shop.open(write=rs.WriteToAll())
    fs.write(CAT, ONE)
    shop.lose("gcp")
    with pytest.raises(rs.InsufficientCopiesError, match="min_copies may be lower"):
        fs.write(CAT, TWO)
    assert fs.cat(CAT) == ONE


def test_p1_a_block_that_raises_leaves_the_previous_version(fs, shop):
    fs.write(CAT, ONE)

    def write(path):
        with fs.open(path, "wb") as file:
            file.write(bytes(PART + 1))
            raise KeyError(path)

    for path in (CAT, DOG):
        with pytest.raises(KeyError):
            write(path)
    assert fs.find("") == [CAT]
    assert fs.cat(CAT) == ONE
    assert [shop.staged(name) for name in NAMES] == [[], [], []]
    assert record(fs, CAT).intent is record(fs, DOG).intent is None


@pytest.mark.parametrize(
    ("way", "size"),
    [
        *(("open", size) for size in (0, 1, PART, PART + 1, 2 * PART + 5)),
        *((way, size) for way in ("bytes", "file", "iterable") for size in (0, PART + 1)),
    ],
)
def test_every_size_arrives_whole_by_every_way(fs, shop, size, way):
    data = os.urandom(size)
    fs.write(CAT, ONE)
    for path in (CAT, DOG):  # staged, and at the own key
        if way == "open":
            with fs.open(path, "wb") as file:
                file.write(data)
        else:
            pieces = (data[at : at + 1_000_003] for at in range(0, size, 1_000_003))
            fs.write(path, {"bytes": data, "file": io.BytesIO(data), "iterable": pieces}[way])
        assert fs.cat(path) == data
        assert shop.held(path) == dict.fromkeys(NAMES, data)


def test_a_stream_goes_on_when_a_backend_dies_in_the_middle_of_it(fs, shop):
    fs.write(CAT, ONE)
    data = os.urandom(2 * PART + 5)
    with fs.open(CAT, "wb") as file:
        file.write(data[: PART + 1])
        shop.lose("aws", leave=False)
        file.write(data[PART + 1 :])
    assert file.receipt.copies == ("gcp", "azure")
    assert fs.cat(CAT) == data
    shop.bring_back("aws")
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, data)


def test_a_stream_that_too_few_take_is_given_up_and_the_previous_version_stands(fs, shop):
    fs.write(CAT, ONE)

    def write():
        with fs.open(CAT, "wb") as file:
            file.write(bytes(PART + 1))
            shop.lose("aws", "gcp", leave=False)
            file.write(bytes(PART + 1))

    with pytest.raises(rs.InsufficientCopiesError):
        write()
    shop.bring_back("aws", "gcp")
    assert fs.cat(CAT) == ONE
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)


# P2: never stale


@pytest.mark.parametrize("away", NAMES)
def test_p2_who_missed_an_overwrite_never_serves_what_it_had(fs, shop, away):
    fs.write(CAT, ONE)
    shop.lose(away)
    fs.write(CAT, TWO)
    shop.bring_back(away)
    shop.lose(*(name for name in NAMES if name != away))
    with pytest.raises(rs.BackendsUnavailableError):
        fs.cat(CAT)
    with pytest.raises(rs.BackendsUnavailableError):
        fs.open(CAT)
    shop.bring_back(*(name for name in NAMES if name != away))
    well_again(fs)
    assert fs.cat(CAT) == TWO
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)


def test_p2_another_process_sees_a_write_at_once(fs, shop):
    other = shop.open()
    for data in (ONE, TWO, THREE):
        fs.write(CAT, data)
        assert (other.cat(CAT), other.info(CAT)["size"]) == (data, len(data))


def test_p2_after_a_new_path_came_back_with_other_bytes_the_old_ones_are_never_read(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("aws")
    fs.rm(CAT)
    fs.write(CAT, TWO)
    shop.bring_back("aws")
    assert fs.cat(CAT) == TWO
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)


# One writer at a time


def test_a_second_writer_is_told_so_after_the_lock_timeout(fs, shop):
    fs.write(CAT, ONE)
    impatient = shop.open(lock_timeout=0.2)
    with fs.open(CAT, "wb") as file:
        file.write(bytes(PART + 1))
        began_s = time.monotonic()
        with pytest.raises(rs.ConcurrentWriteError, match=f"{fs.store.owner} is at work"):
            impatient.write(CAT, TWO)
        assert 0.2 <= took_s(began_s) < 0.2 + SOME_S
        with pytest.raises(rs.ConcurrentWriteError):
            impatient.rm(CAT)
        with pytest.raises(rs.ConcurrentWriteError):
            impatient.mv(CAT, DOG)
        impatient.write(DOG, THREE)  # no other path is held
        assert impatient.cat(CAT) == ONE
    assert impatient.cat(CAT) == bytes(PART + 1)


def test_a_second_writer_waits_for_the_first(fs, shop):
    fs.write(CAT, ONE)
    other, receipts = shop.open(**PATIENT), []
    with fs.open(CAT, "wb") as file:
        file.write(bytes(PART + 1))
        second = threading.Thread(target=lambda: receipts.append(other.write(CAT, TWO)))
        second.start()
    second.join()
    assert receipts[0].version > file.receipt.version
    assert fs.cat(CAT) == TWO


@pytest.mark.usefixtures("_short_margins")
@pytest.mark.parametrize("earlier", [None, ONE])
def test_p2_a_writer_that_was_paused_beyond_its_lease_loses_and_is_not_seen(shop, earlier):
    paused = shop.open(lease=0.1)
    paused.exists(CAT)
    if earlier is not None:
        paused.write(CAT, earlier)
    file = paused.open(CAT, "wb")
    file.write(bytes(PART + 1))
    successor = shop.open(**PATIENT)
    receipt = successor.write(CAT, TWO)  # as soon as the lease has ended
    with pytest.raises(rs.ConcurrentWriteError):
        file.close()
    assert [store.cat(CAT) for store in (paused, successor)] == [TWO, TWO]
    assert successor.info(CAT)["version"] == receipt.version
    converge(successor)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)


@pytest.mark.usefixtures("_short_margins")
@pytest.mark.parametrize("under_way", [False, True])
def test_p2_a_writer_that_was_paused_just_before_its_commit_loses(shop, under_way):
    """By its own clock the lease may last; the commit itself finds the intent gone."""
    paused = shop.open(lease=0.1, timeout=0.2)
    paused.write(CAT, ONE)
    data = TWO + bytes(PART)
    overtaking = shop.settings(lock_timeout=10.0, asynchronous=True)
    overtaken, go_on = threading.Event(), threading.Event()

    async def overtake():
        async with rs.ResilientFileSystem(shop.backends(), **overtaking) as other:
            file = await other.open_async(CAT, "wb")
            await file.write(data)
            if under_way:
                overtaken.set()
                go_on.wait()
            await file.close()
            overtaken.set()

    thread = threading.Thread(target=lambda: asyncio.run(overtake()))

    def pause(step):
        if step is Step.WRITE_ARRIVED:
            at_each_step(None)
            thread.start()
            overtaken.wait()  # the paused one's loop stands still meanwhile

    at_each_step(pause)
    try:
        with pytest.raises(rs.ConcurrentWriteError):
            paused.write(CAT, THREE)
        assert not under_way or paused.cat(CAT) == ONE
    finally:
        at_each_step(None)
        go_on.set()
        thread.join()
    assert [store.cat(CAT) for store in (paused, shop.open())] == [data, data]
    converge(paused)
    assert shop.held(CAT) == dict.fromkeys(NAMES, data)


@pytest.mark.usefixtures("_short_margins")
def test_p8_the_intent_of_a_writer_that_never_returns_needs_no_person(shop):
    dead = shop.open(lease=0.1)
    file = dead.open(DOG, "wb")
    file.write(bytes(PART + 1))
    other = shop.open(**PATIENT)
    assert not other.exists(DOG)
    assert other.find("") == []
    assert record(other, DOG).intent.owner == dead.store.owner
    converge(other)  # as soon as its lease has ended
    assert record(other, DOG).is_empty
    assert [shop.objects(name) for name in NAMES] == [[], [], []]
    with pytest.raises(rs.ConcurrentWriteError):
        file.close()


def test_two_processes_that_see_one_backend_each_write_one_after_the_other(fs, shop):
    """There is nothing to outvote: the catalog they share has put them in order."""
    fs.exists(CAT)
    one_each = {"write": rs.WriteToAll(min_copies=1), "lock_timeout": 10.0}
    stores = shop.open(("aws",), **one_each), shop.open(("gcp",), **one_each)
    receipts = []

    def write(store, data):
        receipts.extend((store.write(CAT, data).version, data) for _ in range(5))

    threads = [threading.Thread(target=write, args=p) for p in zip(stores, (ONE, TWO), strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    last = max(receipts)[1]
    assert len({version for version, _ in receipts}) == 10
    assert fs.cat(CAT) == last
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, last)


def test_no_transaction_is_open_while_bytes_travel(fs, shop):
    fs.write(CAT, ONE)
    with fs.open(CAT, "wb") as file:
        file.write(bytes(PART + 1))
        other = sqlite3.connect(shop.catalog, timeout=0, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute("ROLLBACK")
        other.close()
        assert record(fs, CAT).intent.kind == "write"
    assert fs.cat(CAT) == bytes(PART + 1)


def test_exclusive_creation_has_one_winner(fs, shop):
    stores = [shop.open(**PATIENT) for _ in range(4)]
    won, lost = [], []

    def create(store, number):
        try:
            won.append(store.write(CAT, b"%d" % number, mode="create"))
        except FileExistsError:
            lost.append(number)

    threads = [threading.Thread(target=create, args=(s, n)) for n, s in enumerate(stores)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(won), len(lost)) == (1, 3)
    (number,) = set(range(4)) - set(lost)
    assert fs.cat(CAT) == b"%d" % number
    with pytest.raises(FileExistsError):
        fs.open(CAT, "xb")


# Where the bytes lie meanwhile


def test_a_new_path_is_written_at_its_own_key_and_an_overwrite_in_staging(fs, shop):
    fs.write(CAT, ONE)
    assert places(fs, CAT) == dict.fromkeys(NAMES, "own")
    receipt = fs.write(CAT, TWO)
    assert set(places(fs, CAT).values()) == {f"{receipt.version}-{receipt.version}"}
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)  # and other tools see it already
    converge(fs)
    assert places(fs, CAT) == dict.fromkeys(NAMES, "own")
    assert [shop.staged(name) for name in NAMES] == [[], [], []]


def test_overwrites_in_quick_succession_keep_no_more_than_the_last_in_staging(fs, shop):
    for data in (ONE, TWO, THREE, ONE):
        fs.write(CAT, data)
    last = f".resilient/staging/{places(fs, CAT)['aws']}/{CAT}"
    assert [shop.staged(name) for name in NAMES] == [[last]] * 3


def test_p1_what_lands_late_at_the_own_key_harms_no_counted_copy(fs, shop):
    fs.write(CAT, ONE)
    fs.write(CAT, TWO)
    for name in NAMES:  # the first write's bytes, carried out a second time
        (shop.disk(name) / CAT).unlink()
        shop.put_behind(name, CAT, ONE)
    assert fs.cat(CAT) == TWO
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)
    assert [shop.quarantined(name) for name in NAMES] == [[], [], []]


def test_what_is_staged_by_a_live_writer_is_not_swept(fs, shop):
    fs.write(CAT, ONE)
    with fs.open(CAT, "wb") as file:
        file.write(bytes(PART + 1))
        rs.sweep(shop.open(), older_than=0.0)
    assert fs.cat(CAT) == bytes(PART + 1)
    fs.write(CAT, TWO)
    rs.sweep(fs, older_than=0.0)  # the counted copies lie in staging now
    assert fs.cat(CAT) == TWO
    assert states(fs, CAT) == dict.fromkeys(NAMES, "good")


def test_what_nobody_knows_any_more_is_swept_and_nothing_else(fs, shop):
    fs.write(CAT, ONE)
    fs.write(CAT, TWO)  # the counted copies lie in staging now
    alive, dead = shop.staged("gcp"), f".resilient/staging/9999-9999/{CAT}"
    shop.put_behind("gcp", dead, THREE)
    assert rs.sweep(fs, older_than=0.0).removed == {"aws": (), "gcp": (dead,), "azure": ()}
    assert (shop.staged("gcp"), fs.cat(CAT)) == (alive, TWO)
    assert states(fs, CAT) == dict.fromkeys(NAMES, "good")


def test_version_numbers_grow_over_all_paths_and_are_never_used_again(fs):
    versions = [fs.write(path, ONE).version for path in (CAT, DOG, CAT)]
    fs.rm(CAT)
    fs.rm(DOG)
    converge(fs)
    assert record(fs, CAT).is_empty
    versions += [fs.write(path, ONE).version for path in (CAT, DOG)]
    assert versions == sorted(set(versions))


# What the bytes carry


def test_headers_are_kept_by_overwrites_and_by_repair(fs, shop):
    fs.exists(CAT)
    shop.lose("aws")
    fs.write(CAT, ONE, content_type="image/x-cat", metadata={"print": "A4"})
    fs.write(CAT, TWO)
    shop.bring_back("aws")
    converge(fs)
    info = fs.info(CAT)
    assert (info["content_type"], info["metadata"]) == ("image/x-cat", {"print": "A4"})
    shop.lose("gcp", "azure")
    assert (fs.read(CAT).data, fs.read(CAT).content_type) == (TWO, "image/x-cat")


def test_p5_an_empty_original_is_refused_where_it_would_count_as_missing(shop):
    fs = shop.open(degraded={"originals/{name}": ["thumbs/{name}"]})
    fs.write(CAT, ONE)
    with pytest.raises(rs.BlankObjectError):
        fs.write(CAT, b"")
    with pytest.raises(rs.BlankObjectError), fs.open(CAT, "wb"):
        pass
    assert fs.cat(CAT) == ONE


@pytest.mark.parametrize("path", [f"{CAT}/small", "originals"])
def test_a_path_that_a_disk_cannot_hold_is_refused_before_anything_is_sent(fs, shop, path):
    fs.write(CAT, ONE)
    with pytest.raises(rs.InvalidPathError):
        fs.write(path, TWO)
    assert [shop.objects(name) for name in NAMES] == [[CAT]] * 3
    assert record(fs, path).is_empty


def fold(shop, name):
    """Let a disk look like one on which case makes no difference."""
    (shop.disk(name) / ".RESILIENT").mkdir()


@pytest.mark.parametrize("other", ["originals/CAT.jpg", "ORIGINALS/cat.jpg"])
@pytest.mark.parametrize("how", ["write", "cp_file", "mv"])
def test_a_spelling_that_a_folding_disk_takes_for_another_is_refused_beforehand(shop, how, other):
    fold(shop, "gcp")
    fs = shop.open()
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    calls = {"write": lambda: fs.write(other, TWO), "cp_file": lambda: fs.cp_file(DOG, other)}
    with pytest.raises(rs.InvalidPathError, match=f"{CAT}.* case .*gcp"):
        calls.get(how, lambda: fs.mv(DOG, other))()
    assert [shop.objects(name) for name in NAMES] == [[CAT, DOG]] * 3
    fs.rm(CAT)
    fs.write(other, THREE)
    assert fs.cat(other) == THREE


def test_a_disk_that_tells_them_apart_holds_both_spellings(fs):
    fs.write(CAT, ONE)
    fs.write(CAT.upper(), TWO)
    assert (fs.cat(CAT), fs.cat(CAT.upper())) == (ONE, TWO)


# What a hung backend costs


def test_p6_a_hung_backend_costs_a_write_a_second_and_later_nothing(shop):
    fs = shop.open(timeout=1.0)
    fs.exists(CAT)
    data = bytes(100_000)
    with shop.hung("gcp", fs):
        times_s = []
        for number in range(6):
            began_s = time.monotonic()
            receipt = fs.write(f"new/{number}", data)
            times_s.append(took_s(began_s))
            assert receipt.pending == ("gcp",)
        assert sorted(times_s)[3] < 1.5
        assert max(times_s) < 1.5 + SOME_S
        assert times_s[-1] < SOME_S
        assert not fs.store.clients["gcp"].health.is_closed("write")
    told(fs)
    well_again(fs)
    time.sleep(LATE_WINDOW_S)
    converge(fs)
    assert all(shop.read_behind("gcp", f"new/{number}") == data for number in range(6))


def test_p6_a_hung_backend_costs_a_write_less_than_1_5_s_before_its_breaker_opens():
    """By a clock that no busy machine slows down."""
    stage = Stage(catalog="sqlite://", write=rs.WriteToAll(min_copies=2))
    stage.run(stage.fs._exists(CAT))
    stage.break_disk(2, "hang")
    took_s, receipt = stage.run(stage.timed(stage.fs._write(CAT, bytes(100_000))))
    assert (receipt.copies, receipt.pending) == (("a", "b"), ("c",))
    assert took_s < 1.5
    assert stage.health(2).is_closed("write")
    stage.close()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"derived_from": ("originals/cat.jpg", 1 << 63)}, ValueError),
        ({"derived_from": ("originals/cat.jpg", "7")}, ValueError),
        ({"derived_from": "originals/\udcff.jpg"}, rs.InvalidPathError),
        ({"derived_from": ("../cat.jpg", 1)}, rs.InvalidPathError),
        ({"metadata": {"k": b"v"}}, TypeError),
        ({"content_type": b"image/jpeg"}, TypeError),
    ],
)
def test_what_no_catalog_can_keep_is_refused_before_anything_is_begun(fs, shop, options, error):
    fs.write(DOG, ONE)
    with pytest.raises(error):
        fs.write(CAT, ONE, **options)
    assert record(fs, CAT).is_empty
    assert shop.held(CAT) == dict.fromkeys(NAMES)
