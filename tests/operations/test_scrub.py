"""Scrub: what is bad is found before somebody needs it, and goes to the repair queue."""

from __future__ import annotations

import asyncio
import os
import threading
import time

import pytest
from fsspec.callbacks import Callback

import resilient_store as rs
from resilient_store.errors import ConfigurationError
from resilient_store.io import pages
from resilient_store.io.catalogued import own_key
from resilient_store.model import naming
from resilient_store.operations import scrub as module
from resilient_store.protocol import suspicion
from tests.catalogued.stage import (
    CAT,
    DOG,
    NAMES,
    ONE,
    PAUSE_S,
    TWO,
    converge,
    state_md5,
    states,
    store_state,
)

MIB = 1 << 20


@pytest.mark.parametrize("deep", [True, False])
def test_p4_what_is_bad_is_found_recorded_and_repaired(fs, shop, deep):
    large = os.urandom(9 * MIB)
    fs.write(CAT, ONE)
    fs.write(DOG, large)
    assert (rs.scrub(fs, deep=deep).clean, rs.scrub(fs).checked) == (True, 6)
    shop.flip("aws", CAT)
    (shop.disk("gcp") / CAT).unlink()
    shop.flip("azure", DOG, at=8 * MIB)
    report = rs.scrub(fs, deep=deep)
    assert (report.checked, report.clean, report.silent) == (6, False, {})
    assert report.corrupt == {CAT: ("aws",), DOG: ("azure",)}
    assert report.missing == {CAT: ("gcp",)}
    assert states(fs, CAT) == {"aws": "corrupt", "gcp": "missing", "azure": "good"}
    assert states(fs, DOG) == {"aws": "good", "gcp": "good", "azure": "corrupt"}
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)
    assert shop.held(DOG) == dict.fromkeys(NAMES, large)
    assert rs.scrub(fs).clean


def test_copies_that_are_bad_are_counted_each(fs, shop, monkeypatch):
    monkeypatch.setattr(naming, "NAMED", 1)
    fs.write(CAT, ONE)
    fs.write(DOG, ONE)
    for name in NAMES:
        shop.flip(name, CAT)
        shop.remove_behind(name, DOG)
    report = rs.scrub(fs)
    scan = store_state(fs).scan
    assert (report.bad, scan.bad, scan.checked) == (6, 6, 6)
    assert (set(report.corrupt[CAT]), set(report.missing[DOG])) == (set(NAMES), set(NAMES))
    rs.maintain(fs, max_age=1e-9)
    assert store_state(fs).scan.bad == 0, "what is known to be bad is verified no more"


def test_what_was_verified_of_late_is_not_due_again(fs, shop):
    fs.write(CAT, ONE)
    assert rs.scrub(fs, max_age=3600).checked == 3
    fs.write(DOG, ONE)
    assert rs.scrub(fs, max_age=3600).checked == 3
    assert rs.scrub(fs, max_age=3600).checked == 0
    assert rs.scrub(fs).checked == 6


def test_a_sample_is_drawn_by_chance(fs):
    for number in range(30):
        fs.write(f"p/{number}", ONE)
    checked = [rs.scrub(fs, sample=0.5).checked for _ in range(3)]
    assert all(15 < count < 75 for count in checked)


def test_only_some_backends_are_asked(fs, shop):
    fs.write(CAT, ONE)
    for name in NAMES:
        shop.flip(name, CAT)
    assert rs.scrub(fs, backends=["gcp"]).corrupt == {CAT: ("gcp",)}
    assert states(fs, CAT) == {"aws": "good", "gcp": "corrupt", "azure": "good"}


def test_a_platform_that_is_away_is_neither_good_nor_bad(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("gcp")
    report = rs.scrub(fs)
    assert (report.clean, list(report.silent), report.checked) == (False, [CAT], 2)
    assert "gcp" in report.silent[CAT]
    assert [reply.backend for reply in report.unlisted] == ["gcp"]
    assert states(fs, CAT) == dict.fromkeys(NAMES, "good")


def test_a_drained_platform_is_read_only_where_it_is_named(fs, shop):
    fs.write(CAT, ONE)
    rs.drain(fs, "gcp")
    shop.flip("gcp", CAT)
    report = rs.scrub(shop.open())
    assert (report.clean, report.checked) == (True, 2)
    assert rs.scrub(fs, backends=["gcp"]).corrupt == {CAT: ("gcp",)}


def test_what_the_catalog_does_not_know_is_told(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, ONE)
    fs.rm(DOG)
    shop.put_behind("aws", "left/here", TWO)
    shop.put_behind("gcp", "left/here", TWO)
    shop.put_behind("aws", DOG, TWO)  # a deleted path: repair looks there
    report = rs.scrub(fs)
    assert report.unknown == {"left/here": ("aws", "gcp")}
    assert report.clean
    assert rs.scrub(fs, unknown=False).unknown == {}


@pytest.mark.parametrize("name", [b"not text \xff.jpg", b"two\nlines", b"back\\slash"])
def test_a_name_that_no_object_may_have_is_told_and_stops_nothing(fs, shop, name):
    fs.write(CAT, ONE)
    key = os.fsdecode(name)
    (shop.disk("aws") / key).write_bytes(TWO)
    shop.put_behind("gcp", "theirs", TWO)
    report = rs.scrub(fs)
    assert (report.checked, report.unknown) == (3, {key: ("aws",), "theirs": ("gcp",)})
    assert list(rs.adopt(fs).refused) == [key]


def test_an_adopted_object_gets_checksums_of_its_own(shop):
    shop.put_behind("aws", CAT, ONE)
    fs = shop.open()
    rs.adopt(fs)
    assert fs.info(CAT)["verified"] is False
    assert rs.scrub(fs).clean
    assert fs.info(CAT)["verified"] is True
    shop.flip("aws", CAT)
    assert rs.scrub(fs).corrupt == {CAT: ("aws",)}


def test_an_adopted_copy_that_rots_without_a_trace_is_found(shop):
    for name in NAMES:
        shop.put_behind(name, CAT, ONE)
    fs = shop.open()
    rs.adopt(fs)
    place = shop.disk("gcp") / CAT
    stat = place.stat()
    place.write_bytes(ONE[::-1])
    os.utime(place, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # nothing but its bytes tells
    assert rs.scrub(fs).corrupt == {CAT: ("gcp",)}


def adopted_with_its_md5(shop, data, *names):
    """Adopt what lies on these as a platform would state it, which a disk does not."""
    for name in names:
        shop.put_behind(name, CAT, data)
    fs = shop.open()
    rs.adopt(fs)
    state_md5(fs, CAT, data)
    return fs


def rot(shop, name):
    """Change a byte in the middle, by which nothing else tells."""
    place = shop.disk(name) / CAT
    stat = place.stat()
    shop.flip(name, CAT, at=stat.st_size // 2)
    os.utime(place, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_p4_what_a_platform_states_of_an_adopted_object_is_held_against_its_first_copy(shop):
    fs = adopted_with_its_md5(shop, ONE, *NAMES)
    rot(shop, "aws")
    assert rs.scrub(fs).corrupt == {CAT: ("aws",)}
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)


def test_what_was_spoilt_on_its_way_is_read_once_more_before_it_is_called_bad(shop, monkeypatch):
    fs = adopted_with_its_md5(shop, ONE, "aws", "gcp")
    real, read = own_key.content_of, []

    async def once_spoilt(client, key, info, native=None):
        read.append(client.name)
        if len(read) == 1:
            native.update(b"spoilt")
        return await real(client, key, info, native)

    monkeypatch.setattr(own_key, "content_of", once_spoilt)
    assert (rs.scrub(fs).clean, read) == (True, ["aws", "aws"])


def test_p4_a_large_copy_that_is_not_what_its_platform_stated_is_not_copied(shop):
    fs = adopted_with_its_md5(shop, os.urandom(9 * MIB), "aws")
    rot(shop, "aws")
    assert "platform stated" in rs.repair(fs).failed[CAT]
    assert (shop.read_behind("gcp", CAT), shop.staged("gcp")) == (None, [])


def test_a_staged_copy_is_verified_where_it_lies(fs, shop):
    fs.write(CAT, ONE)
    fs.write(CAT, TWO)  # at a busy key: it counts in staging
    assert rs.scrub(fs).clean
    (staged,) = (shop.disk("aws") / ".resilient/staging").rglob("cat.jpg")
    staged.write_bytes(ONE)
    assert rs.scrub(fs).corrupt == {CAT: ("aws",)}


@pytest.mark.parametrize("change", ["overwritten", "deleted"])
def test_what_is_changed_while_it_is_scrubbed_is_neither_bad_nor_makes_a_backend_suspect(
    fs, monkeypatch, change
):
    monkeypatch.setattr(suspicion, "LOSSES", 3)
    monkeypatch.setattr(suspicion, "LOSSES_SHARE", 0.0)
    paths = [f"p/{number}" for number in range(5)]
    for path in paths:
        fs.write(path, ONE)
    time.sleep(PAUSE_S)
    other, real = threading.Event(), module.scrub_path

    async def after_a_change(store, record, names, *, deep):
        if not other.is_set():
            other.set()
            for path in paths:
                if change == "deleted":
                    await fs._rm_file(path)
                else:
                    await fs._write(path, TWO)
        return await real(store, record, names, deep=deep)

    monkeypatch.setattr(module, "scrub_path", after_a_change)
    report = rs.scrub(fs, at_once=1)
    assert (report.missing, report.corrupt, report.checked) == ({}, {}, 0)
    assert not any(row.suspect for row in store_state(fs).backends.values())


def test_p4_what_a_reader_finds_bad_after_a_scrub_has_seen_it_good_stays_bad(fs, shop, monkeypatch):
    """What a scrub saw is recorded for many objects at once, and much may happen before."""
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    real = module.scrub_path

    async def while_it_goes_on(store, record, names, *, deep):
        if record.path == DOG:  # the cat was verified
            shop.flip("aws", CAT)
            assert (await fs._read(CAT)).backend == "gcp"
            await asyncio.gather(*store.tails)
        return await real(store, record, names, deep=deep)

    monkeypatch.setattr(module, "scrub_path", while_it_goes_on)
    assert rs.scrub(fs, at_once=1).clean
    assert states(fs, CAT) == {"aws": "corrupt", "gcp": "good", "azure": "good"}


def test_pages_and_progress(fs, monkeypatch):
    monkeypatch.setattr(module, "PAGE", 2)
    for number in range(5):
        fs.write(f"p/{number}", ONE)
    told = []
    report = rs.scrub(fs, callback=Callback(hooks={"tell": lambda size, value: told.append(value)}))
    assert (report.checked, report.unknown, told[-1]) == (15, {}, 5)


def test_a_report_names_so_many_and_counts_the_rest(fs, shop, monkeypatch):
    monkeypatch.setattr(naming, "NAMED", 2)
    for number in range(5):
        fs.write(f"p/{number}", ONE)
        shop.flip("aws", f"p/{number}")
    report = rs.scrub(fs)
    assert (len(report.corrupt), report.unnamed, report.clean) == (2, 3, False)


@pytest.mark.parametrize(
    "wrong",
    [{"sample": 0}, {"sample": 1.5}, {"max_age": -1}, {"at_once": 0}, {"backends": ["ibm"]}],
)
def test_wrong_arguments_are_refused(fs, wrong):
    with pytest.raises(ConfigurationError, match=f"{next(iter(wrong))}|backend"):
        rs.scrub(fs, **wrong)


def test_unknown_keys_are_looked_for_page_by_page(fs, shop, monkeypatch):
    monkeypatch.setattr(pages, "PAGE", 2)
    for number in range(5):
        fs.write(f"p/{number}", ONE)
        shop.put_behind("aws", f"p/{number}-theirs", TWO)
    shop.put_behind("gcp", "p/3-theirs", TWO)
    expected = {f"p/{number}-theirs": ("aws",) for number in range(5)}
    assert rs.scrub(fs).unknown == expected | {"p/3-theirs": ("aws", "gcp")}
    monkeypatch.setattr(naming, "NAMED", 2)
    report = rs.scrub(fs)
    assert (len(report.unknown), report.unnamed) == (2, 3)
