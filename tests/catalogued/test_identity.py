"""Which catalog belongs to which backends, and backends that are not what they were."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time

import pytest

import resilient_store as rs
from resilient_store.io import identity
from tests.catalogued.stage import (
    CAT,
    DOG,
    NAMES,
    ONE,
    PAUSE_S,
    THREE,
    TWO,
    Shop,
    converge,
    serves,
    states,
    store_state,
    well_again,
)

WAYS = ("share the catalog", "adopt the objects", "without a catalog")


IDENTITY = ".resilient/store.json"


def test_every_backend_carries_the_stores_identity(fs, shop):
    fs.write(CAT, ONE)
    said = [json.loads(shop.read_behind(name, IDENTITY)) for name in NAMES]
    mine = {"store": store_state(fs).identity, "epoch": 0}
    assert [one | mine for one in said] == said
    assert len({one["check"] for one in said}) == 1


def test_building_a_store_asks_nobody_and_makes_nothing(shop):
    shop.lose()
    shop.open()
    assert not shop.catalog.exists()


# Another store's backends


@pytest.mark.parametrize("call", ["read", "write", "ls", "rm", "exists", "adopt", "repair"])
def test_the_wrong_catalog_is_refused_with_the_three_ways_on(fs, shop, call):
    fs.write(CAT, ONE)
    other = shop.open(catalog=str(shop.folder / "wrong.db"))
    calls = {
        "read": lambda: other.cat(CAT),
        "write": lambda: other.write(CAT, TWO),
        "ls": lambda: other.ls(""),
        "rm": lambda: other.rm(CAT),
        "exists": lambda: other.exists(CAT),
        "adopt": lambda: rs.adopt(other),
        "repair": lambda: rs.repair(other),
    }
    with pytest.raises(rs.StoreIdentityError) as caught:
        calls[call]()
    assert all(way in str(caught.value) for way in WAYS)
    assert fs.cat(CAT) == ONE
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)


def test_a_backend_of_another_store_among_ours_is_refused(shop, tmp_path):
    theirs = Shop(tmp_path / "theirs")
    theirs.open().write(CAT, TWO)
    fs = shop.open(("aws", "gcp"))
    fs.write(CAT, ONE)
    shutil.rmtree(shop.disk("azure"))
    shutil.copytree(theirs.disk("azure"), shop.disk("azure"))
    larger = shop.open()
    with pytest.raises(rs.StoreIdentityError, match="azure"):
        larger.write(CAT, THREE)
    with pytest.raises(rs.StoreIdentityError, match="azure"):
        rs.rejoin(shop.open(), "azure")
    assert theirs.read_behind("azure", CAT) == shop.read_behind("azure", CAT) == TWO
    theirs.close()


def test_a_lost_catalog_is_never_silently_made_anew(fs, shop):
    fs.write(CAT, ONE)
    shop.leave(fs)
    assert shop.catalog.exists()
    shop.lose_catalog()
    again = shop.open()
    for call in (again.exists, again.cat, again.ls, lambda path: again.write(path, TWO)):
        with pytest.raises(rs.StoreIdentityError) as caught:
            call(CAT)
        assert all(way in str(caught.value) for way in WAYS)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)


def test_one_catalog_is_shared_by_many_processes(fs, shop):
    fs.write(CAT, ONE)
    others = [shop.open() for _ in range(3)]
    assert [other.cat(CAT) for other in others] == [ONE] * 3
    assert {store_state(other).identity for other in others} == {store_state(fs).identity}


def test_a_store_that_another_process_begins_just_then_is_no_other_store(shop, monkeypatch):
    mine, quicker, real = shop.open(), shop.open(), identity.read_identity
    meanwhile = [lambda: quicker.write(DOG, TWO)]

    async def read_identity(family):
        while meanwhile:  # the catalog said: there is no store yet
            await asyncio.to_thread(meanwhile.pop())
        return await real(family)

    monkeypatch.setattr(identity, "read_identity", read_identity)
    mine.write(CAT, ONE)
    assert (mine.cat(DOG), quicker.cat(CAT)) == (TWO, ONE)


@pytest.mark.parametrize("content", [b"", b"no json", b"{}", b"[1]", b'{"store": 5}'])
def test_an_identity_that_nobody_of_ours_wrote_is_another_stores(shop, content):
    shop.put_behind("gcp", IDENTITY, content)
    with pytest.raises(rs.StoreIdentityError, match="gcp"):
        shop.open().write(CAT, ONE)
    assert shop.read_behind("gcp", IDENTITY) == content


DAMAGES = {
    "a bit flips": lambda data: bytes([data[20] ^ 1]).join([data[:20], data[21:]]),
    "the epoch's digit flips": lambda data: data.replace(b'"epoch": 0', b'"epoch": 1'),
    "cut short": lambda data: data[:30],
    "emptied": lambda data: b"",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_p5_a_damaged_identity_is_one_backends_trouble(fs, shop, damage):
    fs.write(CAT, ONE)
    shop.leave(fs)
    behind = shop.read_behind("gcp", IDENTITY)
    shop.put_behind("gcp", IDENTITY, DAMAGES[damage](behind))
    again = shop.open(write=rs.WriteToAll(min_copies=2))
    assert again.cat(CAT) == ONE
    assert "gcp" in again.write(CAT, TWO).pending
    rs.rejoin(again, "gcp")
    converge(again)
    assert shop.held(CAT) == dict.fromkeys(NAMES, TWO)


def test_an_identity_of_the_first_release_is_taken(fs, shop):
    fs.write(CAT, ONE)
    shop.leave(fs)
    for name in NAMES:
        plain = json.loads(shop.read_behind(name, IDENTITY))
        del plain["check"]
        shop.put_behind(name, IDENTITY, json.dumps(plain).encode())
    assert not shop.open().write(CAT, TWO).pending


# A backend that has lost its identity


@pytest.fixture
def emptied(fs, shop):
    return after_emptying(fs, shop)


def after_emptying(fs, shop):
    """Open a store that knows objects, and one of whose buckets is empty now."""
    for path, data in ((CAT, ONE), (DOG, TWO)):
        fs.write(path, data)
    shop.empty("aws")
    return shop.open()


def test_an_emptied_bucket_is_unavailable_and_nothing_on_it_is_missing(emptied, shop):
    for path, data in ((CAT, ONE), (DOG, TWO)):
        result = emptied.read(path)
        assert (result.data, result.backend != "aws") == (data, True)
        assert states(emptied, path) == dict.fromkeys(NAMES, "good")
    assert emptied.find("") == [CAT, DOG]
    receipt = emptied.write("bird", THREE)
    assert receipt.pending == ("aws",)
    assert shop.objects("aws") == []
    left = rs.repair(emptied)
    assert (
        "its identity is not there: bring back what was there, or call rejoin"
        in left.failed["bird"]
    )
    assert shop.objects("aws") == []


def test_a_disk_that_is_not_mounted_is_unavailable_and_is_as_before_when_it_is(fs, shop):
    fs.write(CAT, ONE)
    os.rename(shop.disk("aws"), shop.folder / "unmounted")
    shop.disk("aws").mkdir()  # the mount point
    other = shop.open()
    assert other.read(CAT).backend != "aws"
    other.write(DOG, TWO)
    assert list(shop.disk("aws").iterdir()) == []
    shop.disk("aws").rmdir()
    os.rename(shop.folder / "unmounted", shop.disk("aws"))
    well_again(other)
    assert serves(other, CAT, "aws")
    converge(other)
    assert shop.held(DOG) == dict.fromkeys(NAMES, TWO)


def test_a_bucket_that_is_emptied_while_it_is_in_use_is_found_out_when_it_was_away(fs, shop):
    fs.write(CAT, ONE)
    shop.empty("aws")
    well_again(fs)
    assert fs.read(CAT).backend != "aws"
    assert states(fs, CAT) == dict.fromkeys(NAMES, "good")


def test_p7_rejoin_and_repair_bring_an_emptied_bucket_back(emptied, shop):
    emptied.write(CAT, THREE)
    emptied.rm(DOG)
    assert rs.rejoin(emptied, "aws") >= 1
    assert states(emptied, CAT)["aws"] == "unknown"
    assert emptied.read(CAT).backend != "aws"
    converge(emptied)
    assert shop.held(CAT) == dict.fromkeys(NAMES, THREE)
    assert shop.held(DOG) == dict.fromkeys(NAMES)
    assert serves(shop.open(), CAT, "aws")
    assert json.loads(shop.read_behind("aws", IDENTITY))["epoch"] > 0


def test_p2_p3_a_backend_that_went_back_in_time_serves_nothing_before_it_was_verified(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    fs.write("bird", THREE)
    go_back = shop.remember("aws")
    fs.write(CAT, b"a newer cat")
    fs.rm(DOG)
    converge(fs)  # forgets the dog, and so raises the epochs
    go_back()
    other = shop.open()
    assert other.read(CAT).backend != "aws"
    assert other.read("bird").backend != "aws"
    assert not other.exists(DOG)
    other.write("owl", ONE)
    assert "it went back in time" in rs.repair(other).failed["owl"]
    assert rs.rejoin(other, "aws") == 3
    assert other.read("bird").backend != "aws"
    assert not other.exists(DOG)
    converge(other)
    assert shop.held(CAT) == dict.fromkeys(NAMES, b"a newer cat")
    assert shop.held("bird") == dict.fromkeys(NAMES, THREE)
    assert not other.exists(DOG)
    assert states(other, CAT) == dict.fromkeys(NAMES, "good")


def test_what_a_rejoined_backend_holds_as_it_is_remembered_is_believed(fs, shop):
    fs.write(CAT, ONE)
    assert rs.rejoin(fs, "aws") == 0
    assert fs.read(CAT).backend == "aws"


def test_rejoin_believes_nothing_else_and_copies_nothing_that_is_there(fs, shop):
    fs.write(CAT, ONE)
    for _ in range(2):  # until no request to its key can be under way any more
        time.sleep(PAUSE_S)
        rs.repair(fs)
    os.utime(shop.disk("aws") / CAT)
    inode = (shop.disk("aws") / CAT).stat().st_ino
    assert rs.rejoin(fs, "aws") == 1
    assert fs.info(CAT)["replicas"]["aws"] == "unknown"
    converge(fs)
    assert (shop.disk("aws") / CAT).stat().st_ino == inode, "verified where it lay"
    assert states(fs, CAT) == dict.fromkeys(NAMES, "good")


def test_rejoin_says_what_it_cannot_do(fs, shop):
    fs.exists(CAT)
    with pytest.raises(rs.ConfigurationError, match="no backend 'mars'"):
        rs.rejoin(fs, "mars")
    shop.lose("aws")
    with pytest.raises(rs.BackendsUnavailableError, match="aws"):
        rs.rejoin(fs, "aws")
    with (
        rs.ResilientFileSystem(shop.backends()) as plain,
        pytest.raises(rs.ConfigurationError, match="catalog"),
    ):
        rs.rejoin(plain, "aws")


# New stores


def test_a_new_store_over_empty_backends_is_complete(fs):
    fs.exists(CAT)
    assert store_state(fs).complete


def test_a_new_store_is_complete_only_when_every_backend_was_seen_empty(shop):
    shop.lose("azure")
    fs = shop.open()
    fs.write(CAT, ONE)
    assert not store_state(fs).complete
    with pytest.raises(rs.BackendsUnavailableError):
        fs.cat("nothing")
    shop.bring_back("azure")
    well_again(fs)
    again = shop.open()
    again.write(DOG, ONE)
    assert store_state(again).complete
    assert not again.exists("nothing")


def test_a_new_catalog_with_no_backend_to_ask_knows_nothing(shop):
    shop.lose()
    fs = shop.open()
    with pytest.raises(rs.BackendsUnavailableError, match="whose"):
        fs.exists(CAT)
    shop.bring_back()
    well_again(fs)
    assert not fs.exists(CAT)


def test_a_backend_that_was_added_with_objects_on_it_makes_it_incomplete(fs, shop, tmp_path):
    fs.write(CAT, ONE)
    more = tmp_path / "more"
    more.mkdir()
    (more / "theirs").write_bytes(TWO)
    backends = [*shop.backends(), rs.Backend(str(more), name="more", domain="more")]
    with rs.ResilientFileSystem(
        backends, catalog=shop.settings()["catalog"], write=rs.WriteToAll(min_copies=2)
    ) as larger:
        assert larger.cat("theirs") == TWO
        assert not store_state(larger).complete


# A backend that was added, and hangs


@pytest.fixture
def new(s3):
    """Describe a backend that nobody has met, with something on it."""
    bucket = s3.new_bucket()
    s3.write(bucket, "elsewhere.jpg", THREE)
    return rs.Backend(
        s3.url(bucket), name="new", domain="new", storage_options=s3.storage_options(), timeout=3
    )


def test_p5_what_may_lie_on_a_backend_that_was_never_met_is_not_absent(fs, shop, s3, new):
    fs.write(CAT, ONE)
    assert store_state(fs).complete
    s3.proxy.set("refuse")
    with rs.ResilientFileSystem([*shop.backends(), new], **shop.settings()) as larger:
        for call in (larger.exists, larger.cat, larger.ls, larger.find):
            with pytest.raises(rs.BackendsUnavailableError, match="new"):
                call("elsewhere.jpg")
        s3.proxy.set("pass", drop=True)
        well_again(larger)
        assert larger.cat("elsewhere.jpg") == THREE


def test_p6_a_backend_that_was_never_met_and_hangs_costs_a_process_a_second(fs, shop, s3, new):
    fs.write(CAT, ONE)
    s3.proxy.set("blackhole")
    began_s = time.monotonic()
    with rs.ResilientFileSystem([*shop.backends(), new], **shop.settings()) as larger:
        assert larger.cat(CAT) == ONE
        assert time.monotonic() - began_s < 2.5
        s3.proxy.set("pass", drop=True)
        well_again(larger)
        assert larger.write(DOG, TWO).copies == (*NAMES, "new")


SPOILT = [identity.Identity("", damaged=data) for data in (b"one way", b"another way")]


@pytest.mark.parametrize(
    "said",
    [[None, SPOILT[0]], SPOILT[:1], SPOILT],
    ids=["where another process was quicker", "at the first look", "at two"],
)
def test_p5_an_identity_that_came_spoilt_is_no_other_stores(fs, shop, monkeypatch, said):
    """Two processes meet a backend at once: who is slower reads what the other has written."""
    fs.write(CAT, ONE)
    added = shop.folder / "platforms" / "late"
    added.mkdir()
    there = rs.Backend(str(added), name="late", domain="late")
    real, answers = identity.read_identity, iter(said)

    async def read(family):
        said = await real(family)
        return next(answers, said) if family._disk.root == str(added) else said

    (added / ".resilient").mkdir()
    shutil.copy2(shop.disk("aws") / IDENTITY, added / IDENTITY)
    monkeypatch.setattr(identity, "read_identity", read)
    again = rs.ResilientFileSystem([*shop.backends(), there], **shop.settings())
    assert again.cat(CAT) == ONE
    assert again.write(DOG, TWO).copies == (*NAMES, "late")
    assert list(answers) == []
    again.close()
