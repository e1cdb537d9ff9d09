"""While the catalog cannot be had: an error within two seconds, or stateless reads if asked."""

from __future__ import annotations

import sqlite3
import threading
import time

import pytest

import resilient_store as rs
from resilient_store.catalog.contract import CatalogDownError
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, TWO, took_s

WITHIN_S = 2.0
SOME_S = 1.0


@pytest.mark.parametrize("call", ["ls", "find"])
def test_p6_a_catalog_that_is_away_is_asked_once_for_names(fs, shop, monkeypatch, call):
    fs.write(CAT, ONE)
    asked = []

    async def away(*_):
        asked.append(call)
        raise CatalogDownError("it is away")

    reader = shop.open(catalog_down="read")
    reader.exists(CAT)
    for name in ("names", "page"):
        monkeypatch.setattr(reader.store.known, name, away)
    names = {"ls": lambda: reader.ls("originals", detail=False), "find": lambda: reader.find("")}
    assert names[call]() == [CAT]
    assert asked == [call]


READS = {
    "read": lambda fs: fs.read(CAT),
    "cat": lambda fs: fs.cat(CAT),
    "range": lambda fs: fs.cat_file(CAT, 1, 3),
    "open": lambda fs: fs.open(CAT),
    "info": lambda fs: fs.info(CAT),
    "exists": lambda fs: fs.exists(CAT),
    "ls": lambda fs: fs.ls("originals"),
    "find": lambda fs: fs.find(""),
}
CHANGES = {
    "write": lambda fs: fs.write(CAT, TWO),
    "new": lambda fs: fs.write(DOG, TWO),
    "rm": lambda fs: fs.rm(CAT),
    "cp": lambda fs: fs.cp(CAT, DOG),
    "mv": lambda fs: fs.mv(CAT, DOG),
    "repair": rs.repair,
    "adopt": rs.adopt,
    "freeze": lambda fs: rs.freeze(fs, "why"),
    "rejoin": lambda fs: rs.rejoin(fs, "aws"),
}


class Away:
    """Ways to take a catalog away."""

    @staticmethod
    def removed(shop):
        shop.lose_catalog()

    @staticmethod
    def replaced(shop):
        Away.removed(shop)
        shop.catalog.mkdir()

    @staticmethod
    def garbage(shop):
        Away.removed(shop)
        shop.catalog.write_bytes(b"no database at all" * 1000)


@pytest.fixture(params=["removed", "replaced", "garbage"])
def away(request, shop, fs):
    """Open a store whose catalog is away from now on."""
    fs.write(CAT, ONE)
    getattr(Away, request.param)(shop)
    return fs


@pytest.mark.parametrize("call", [*READS, *CHANGES])
def test_p6_every_call_says_within_two_seconds_that_the_catalog_is_away(away, shop, call):
    began_s = time.monotonic()
    with pytest.raises(rs.CatalogUnavailableError) as caught:
        {**READS, **CHANGES}[call](away)
    assert took_s(began_s) < WITHIN_S + SOME_S
    assert isinstance(caught.value, rs.BackendsUnavailableError)
    assert not isinstance(caught.value, FileNotFoundError)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)
    assert shop.held(DOG) == dict.fromkeys(NAMES)


@pytest.fixture
def locked(shop, fs):
    """Open a store whose catalog somebody else holds for ever."""
    fs.write(CAT, ONE)
    other = sqlite3.connect(shop.catalog, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    yield fs
    other.execute("ROLLBACK")
    other.close()


def test_p6_a_catalog_that_is_held_by_others_costs_a_change_two_seconds_and_a_read_nothing(
    locked, shop
):
    began_s = time.monotonic()
    with pytest.raises(rs.CatalogUnavailableError):
        locked.write(CAT, TWO)
    assert took_s(began_s) < WITHIN_S + SOME_S
    began_s = time.monotonic()
    assert (locked.cat(CAT), locked.find("")) == (ONE, [CAT])
    assert took_s(began_s) < SOME_S
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)


def test_p1_a_catalog_that_goes_in_the_middle_of_a_write_leaves_the_previous_version(fs, shop):
    fs.write(CAT, ONE)
    file = fs.open(CAT, "wb")
    file.write(bytes(9 << 20))
    shop.lose_catalog()
    with pytest.raises(rs.CatalogUnavailableError):
        file.close()
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)
    shop.bring_catalog_back()
    assert fs.cat(CAT) == ONE


@pytest.mark.parametrize("call", ["read", "open"])
def test_p6_a_degraded_read_asks_a_catalog_that_is_away_once(shop, monkeypatch, call):
    derivatives = [f"{size}/{{name}}" for size in ("previews", "thumbs", "tiny")]
    fs = shop.open(degraded={"originals/{name}": derivatives})
    fs.exists(CAT)
    asked = []

    async def away(path):
        asked.append(path)
        raise CatalogDownError("the catalog did not answer within 2 s")

    monkeypatch.setattr(fs.store.known, "find", away)
    with pytest.raises(rs.CatalogUnavailableError):
        fs.read(CAT) if call == "read" else fs.open(CAT, degraded=True)
    assert asked == [CAT]


def test_a_catalog_that_comes_back_is_used_again(fs, shop):
    fs.write(CAT, ONE)
    shop.lose_catalog()
    with pytest.raises(rs.CatalogUnavailableError):
        fs.cat(CAT)
    shop.bring_catalog_back()
    assert fs.cat(CAT) == ONE
    fs.write(CAT, TWO)
    assert fs.read(CAT).verified


# Reading without it


@pytest.fixture(params=["removed", "replaced", "garbage"])
def blind(request, shop):
    return blinded(shop, request.param)


def blinded(shop, how):
    """Open a store that reads without its catalog, which is away from now on."""
    fs = shop.open(catalog_down="read", degraded={"originals/{name}": ["thumbs/{name}"]})
    fs.write(CAT, ONE)
    getattr(Away, how)(shop)
    return fs


def test_reads_go_on_unverified_where_that_was_asked_for(blind, shop):
    result = blind.read(CAT)
    assert (result.data, result.verified, result.version) == (ONE, False, None)
    assert blind.cat_file(CAT, 1, 3) == ONE[1:3]
    with blind.open(CAT) as file:
        assert file.read() == ONE
    assert blind.info(CAT)["size"] == len(ONE)
    assert blind.exists(CAT)
    assert not blind.exists("nothing")
    assert blind.find("") == [CAT]
    shop.lose("aws")
    assert blind.cat(CAT) == ONE
    with pytest.raises(rs.BackendsUnavailableError):
        blind.find("")


@pytest.mark.parametrize("call", CHANGES)
def test_changes_are_refused_all_the_same(blind, shop, call):
    with pytest.raises(rs.CatalogUnavailableError):
        CHANGES[call](blind)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)
    assert shop.held(DOG) == dict.fromkeys(NAMES)


def test_a_process_that_never_had_the_catalog_reads_too(shop):
    fs = shop.open()
    fs.write(CAT, ONE)
    shop.leave(fs)
    Away.replaced(shop)
    fresh = shop.open(catalog_down="read")
    result = fresh.read(CAT)
    assert (result.data, result.verified) == (ONE, False)
    with pytest.raises(rs.CatalogUnavailableError):
        fresh.write(CAT, TWO)


def test_the_catalog_is_asked_again_as_soon_as_it_is_back(shop):
    fs = shop.open(catalog_down="read")
    fs.write(CAT, ONE)
    shop.lose_catalog()
    assert not fs.read(CAT).verified
    shop.bring_catalog_back()
    assert fs.read(CAT).verified


def test_p6_many_calls_at_once_are_all_told_in_time(fs, shop):
    fs.write(CAT, ONE)
    Away.removed(shop)
    times_s, errors = [], []

    def call():
        began_s = time.monotonic()
        try:
            fs.cat(CAT)
        except rs.CatalogUnavailableError as error:
            errors.append(error)
        times_s.append(took_s(began_s))

    threads = [threading.Thread(target=call) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 50
    assert max(times_s) < WITHIN_S + SOME_S
