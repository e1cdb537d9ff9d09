"""What other replication layers do wrong, row by row of the comparison, and what this one does."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time

import pytest

import resilient_store as rs
from tests.catalogued.stage import (
    CAT,
    DOG,
    NAMES,
    ONE,
    THREE,
    TWO,
    converge,
    make_hung,
    record,
    serves,
    states,
    took_s,
    well_again,
)

DATA = bytes(range(256)) * 400  # 100 KB
HEDGE_S = 0.25
SOME_S = 1.0  # for machines that do other things besides


def test_row_0_a_healthy_write_is_on_every_platform(fs, shop):
    receipt = fs.write(CAT, ONE)
    assert (receipt.copies, receipt.pending, receipt.domains) == (NAMES, (), NAMES)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)


def test_row_1_a_write_with_one_down_is_acknowledged_at_once_and_says_who_is_pending(fs, shop):
    fs.exists(CAT)
    shop.lose("gcp")
    began_s = time.monotonic()
    receipt = fs.write(CAT, ONE)
    assert took_s(began_s) < SOME_S
    assert (receipt.copies, receipt.pending) == (("aws", "azure"), ("gcp",))
    assert states(fs, CAT) == {"aws": "good", "gcp": "stale", "azure": "good"}


def test_row_1r_who_missed_a_write_holds_it_after_its_return(fs, shop):
    fs.exists(CAT)
    shop.lose("gcp")
    fs.write(CAT, ONE)
    fs.write(CAT, TWO)
    shop.bring_back("gcp")
    fs.write(CAT, THREE)
    fs.write(DOG, ONE)
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, THREE)
    assert shop.held(DOG) == dict.fromkeys(NAMES, ONE)


def test_row_2_a_write_does_not_need_the_first_backend(fs, shop):
    fs.exists(CAT)
    shop.lose("aws")
    receipt = fs.write(CAT, ONE)
    assert receipt.copies == ("gcp", "azure")
    assert fs.cat(CAT) == ONE
    assert shop.objects("gcp") == [CAT]


def test_row_3_a_read_goes_on_when_the_first_backend_refuses(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("aws")
    began_s = time.monotonic()
    result = fs.read(CAT)
    assert (result.data, result.backend != "aws", result.verified) == (ONE, True, True)
    assert took_s(began_s) < SOME_S


def test_row_3h_a_read_costs_the_hedge_delay_when_the_first_backend_hangs(shop):
    fs = shop.open(read=rs.ReadFromFirstHealthy(hedge_after=HEDGE_S))
    fs.write(CAT, DATA)
    make_hung(shop, "aws", CAT)
    began_s = time.monotonic()
    assert fs.cat(CAT) == DATA
    assert took_s(began_s) < HEDGE_S + SOME_S


def test_row_4_a_backend_that_missed_an_overwrite_never_serves_the_old_bytes(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("aws")
    fs.write(CAT, TWO)
    shop.bring_back("aws")
    assert shop.read_behind("aws", CAT) == ONE
    assert [store.cat(CAT) for store in (fs, shop.open())] == [TWO, TWO]
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)
    assert serves(fs, CAT, "aws")


def test_row_5_what_was_deleted_while_a_backend_was_away_does_not_come_back(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("aws")
    fs.rm(CAT)
    shop.bring_back("aws")
    for store in (fs, shop.open()):
        assert not store.exists(CAT)
        assert store.find("") == []
        with pytest.raises(FileNotFoundError):
            store.cat(CAT)
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES)


def test_row_6_a_flipped_bit_is_never_handed_out(fs, shop):
    fs.write(CAT, ONE)
    shop.flip("aws", CAT)
    result = fs.read(CAT)
    assert (result.data, result.backend != "aws") == (ONE, True)
    assert states(fs, CAT)["aws"] == "corrupt"
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)


def test_row_7_a_blank_is_never_handed_out_nor_copied_over_good_copies(fs, shop):
    fs.write(CAT, ONE)
    shop.put_behind("aws", CAT, b"")
    assert fs.cat(CAT) == ONE
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)


def test_row_8_an_outage_of_all_is_no_absence(fs, shop):
    fs.write(CAT, ONE)
    shop.lose()
    with pytest.raises(rs.BackendsUnavailableError) as caught:
        fs.cat(CAT)
    assert {reply.backend for reply in caught.value.replies} == set(NAMES)
    assert fs.exists(CAT)
    assert fs.find("") == [CAT]


def test_row_9_a_thumbnail_stands_in_for_its_original_with_a_flag(shop):
    fs = shop.open(degraded={"originals/{name}": ["thumbs/{name}"]})
    fs.write(CAT, ONE)
    fs.write("thumbs/cat.jpg", TWO)
    for name in NAMES:
        (shop.disk(name) / CAT).unlink()
    result = fs.read(CAT)
    assert (result.data, result.original_missing, result.reason) == (TWO, True, "lost")
    with pytest.raises(rs.OriginalMissingError):
        fs.cat(CAT)


def test_row_10_who_is_killed_in_the_middle_of_a_write_leaves_nothing_to_be_seen(fs, shop):
    fs.write(CAT, ONE)
    program = """
        import os, signal, sys
        import resilient_store as rs
        from resilient_store.io.catalogued import holder
        holder.MARGIN_S = 0.1  # else no lease is shorter than four seconds
        folder, catalog = sys.argv[1:]
        fs = rs.ResilientFileSystem(
            [rs.Backend(f"{folder}/platforms/{n}", name=n, domain=n)
             for n in ("aws", "gcp", "azure")],
            catalog=catalog, write=rs.WriteToAll(min_copies=2),
            lease=0.2, late_window=0.05,
        )
        for path in ("originals/cat.jpg", "originals/dog.jpg"):
            file = fs.open(path, "wb")
            file.write(bytes(9 << 20))
            sys.modules[path] = file
        os.kill(os.getpid(), signal.SIGKILL)
    """
    given = (str(shop.folder), shop.settings()["catalog"])
    arguments = [sys.executable, "-c", textwrap.dedent(program), *given]
    assert subprocess.run(arguments, check=False).returncode == -9
    assert fs.find("") == [CAT]
    assert fs.cat(CAT) == ONE
    assert not fs.exists(DOG)
    for name in NAMES:
        assert shop.read_behind(name, CAT) == ONE
        assert shop.read_behind(name, DOG) is None
    fs.write(DOG, TWO)  # the dead one's lease has ended, and nobody has to be called
    converge(fs)
    rs.sweep(fs, older_than=0.0)
    for name in NAMES:
        assert shop.objects(name) == [CAT, DOG]
        assert shop.staged(name) == []


def test_row_11_two_writers_never_leave_the_backends_different(fs, shop):
    other = shop.open(lock_timeout=10.0)
    fs.write(CAT, ONE)
    receipts = []

    def write(store, data):
        receipts.extend((store.write(CAT, data).version, data) for _ in range(5))

    pairs = ((shop.open(lock_timeout=10.0), TWO), (other, THREE))
    writers = [threading.Thread(target=write, args=pair) for pair in pairs]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    last = max(receipts)[1]
    assert len({version for version, _ in receipts}) == 10
    assert fs.cat(CAT) == last
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, last)


def test_row_12_a_write_does_not_wait_for_a_backend_that_hangs(shop):
    fs = shop.open()
    fs.write(CAT, ONE)
    with shop.hung("gcp", fs):
        began_s = time.monotonic()
        receipt = fs.write("originals/new.jpg", DATA)
        assert took_s(began_s) < 1.5 + SOME_S
        assert fs.store.clients["gcp"].health.is_closed("write"), "before its breaker opens"
    assert (receipt.copies, receipt.pending) == (("aws", "azure"), ("gcp",))
    assert states(fs, "originals/new.jpg")["gcp"] == "unknown"


def test_row_13_a_listing_with_one_down_is_whole(fs, shop):
    fs.exists(CAT)
    shop.lose("azure")
    fs.write(CAT, ONE)
    shop.bring_back("azure")
    well_again(fs)
    shop.lose("aws")
    fs.write(DOG, TWO)
    listing = fs.find("")
    assert (listing, listing.missing_backends) == ([CAT, DOG], ())


def test_row_14_it_is_known_which_objects_lack_copies(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("gcp")
    fs.write(DOG, TWO)
    held = {path: fs.info(path)["replicas"] for path in (CAT, DOG)}
    assert held[CAT] == dict.fromkeys(NAMES, "good")
    assert held[DOG] == {"aws": "good", "gcp": "stale", "azure": "good"}
    report = rs.repair(fs)
    assert list(report.failed) == [DOG]
    assert record(fs, DOG).owes(record(fs, DOG).replica("gcp"))
