"""Freezing: every change is refused in every process, until somebody thaws."""

from __future__ import annotations

import threading

import attrs
import pytest
from fsspec.asyn import sync

import resilient_store as rs
from resilient_store.catalog.contract import single
from resilient_store.model.state import Intent
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, TWO, converge, record, store_state

WHY = "moving house"

CHANGES = {
    "write": lambda fs: fs.write(DOG, TWO),
    "overwrite": lambda fs: fs.write(CAT, TWO),
    "create": lambda fs: fs.write(DOG, TWO, mode="create"),
    "pipe": lambda fs: fs.pipe(CAT, TWO),
    "open": lambda fs: fs.open(CAT, "wb").close(),
    "rm": lambda fs: fs.rm(CAT),
    "cp": lambda fs: fs.cp(CAT, DOG),
    "mv": lambda fs: fs.mv(CAT, DOG),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_frozen_store_refuses_every_change_also_of_another_process(fs, shop, change):
    fs.write(CAT, ONE)
    other = shop.open()
    assert other.cat(CAT) == ONE
    rs.freeze(fs, WHY)
    for store in (fs, other, shop.open()):
        with pytest.raises(rs.StoreFrozenError, match=f"since 20.*: {WHY}") as caught:
            CHANGES[change](store)
        assert fs.store.owner in str(caught.value)
        assert (store.cat(CAT), store.find("")) == (ONE, [CAT])
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)
    assert shop.held(DOG) == dict.fromkeys(NAMES)
    rs.thaw(other)
    CHANGES[change](fs)
    assert store_state(fs).frozen is None


def test_a_freeze_says_who_why_and_since_when(fs):
    fs.write(CAT, ONE)
    rs.freeze(fs, WHY)
    frozen = store_state(fs).frozen
    assert (frozen.why, frozen.who) == (WHY, fs.store.owner)
    assert frozen.since_s >= record(fs, CAT).entry.created_s


def test_what_was_begun_before_the_freeze_may_be_committed(fs, shop):
    fs.exists(CAT)
    with fs.open(CAT, "wb") as file:
        file.write(bytes(9 << 20))
        assert rs.freeze(shop.open(), WHY, wait=0) == [CAT]
    assert fs.info(CAT)["size"] == 9 << 20


def test_a_freeze_waits_for_what_was_begun_before(fs, shop):
    fs.exists(CAT)
    file = fs.open(CAT, "wb")
    file.write(bytes(9 << 20))
    answers = []
    other = shop.open()
    freezing = threading.Thread(target=lambda: answers.append(rs.freeze(other, WHY, wait=30)))
    freezing.start()
    while store_state(fs) is None or store_state(fs).frozen is None:
        pass
    assert freezing.is_alive()
    file.close()
    freezing.join(20)
    assert (answers, fs.info(CAT)["size"]) == ([[]], 9 << 20)


def test_a_freeze_does_not_wait_for_repair_nor_for_the_dead(fs, shop):
    fs.write(CAT, ONE)
    for kind, expires_s in (("repair", 1e12), ("write", 1.0)):
        intent = Intent(id=5, version=5, kind=kind, token="5-5", expires_s=expires_s)
        changed = attrs.evolve(record(fs, CAT), intent=intent)
        sync(fs.loop, fs.store.known.change, (CAT,), single(lambda *_, r=changed: (r, None)))
        assert rs.freeze(fs, WHY, wait=30) == []


def test_what_a_freeze_did_not_wait_for_changes_nothing_afterwards(fs, shop):
    fs.write(CAT, ONE)
    file = fs.open(CAT, "wb")
    file.write(bytes(9 << 20))
    paused = record(fs, CAT)  # its lease ends while its writer waits for more
    expired = attrs.evolve(paused, intent=attrs.evolve(paused.intent, expires_s=1.0))
    sync(fs.loop, fs.store.known.change, (CAT,), single(lambda *_: (expired, None)))
    assert rs.freeze(shop.open(), WHY) == []
    with pytest.raises(rs.ConcurrentWriteError):
        file.close()
    assert fs.cat(CAT) == ONE


def test_a_negative_wait_is_refused(fs):
    with pytest.raises(rs.ConfigurationError, match="wait"):
        rs.freeze(fs, WHY, wait=-1)


def test_what_was_opened_before_and_sent_nothing_is_refused_after(fs, shop):
    fs.exists(CAT)
    file = fs.open(CAT, "wb")
    file.write(ONE)
    rs.freeze(shop.open(), WHY)
    with pytest.raises(rs.StoreFrozenError):
        file.close()
    assert not fs.exists(CAT)


def test_p7_repair_goes_on_in_a_frozen_store(fs, shop):
    fs.exists(CAT)
    shop.lose("aws")
    fs.write(CAT, ONE)
    shop.bring_back("aws")
    rs.freeze(fs, WHY)
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)
    assert fs.info(CAT)["replicas"] == dict.fromkeys(NAMES, "good")


def test_freezing_twice_and_thawing_twice_do_no_harm(fs):
    for _ in range(2):
        rs.freeze(fs, WHY)
    for _ in range(2):
        rs.thaw(fs)
    fs.write(CAT, ONE)
    assert fs.cat(CAT) == ONE


def test_without_a_catalog_nothing_can_be_frozen(shop):
    with (
        rs.ResilientFileSystem(shop.backends()) as fs,
        pytest.raises(rs.ConfigurationError, match="catalog"),
    ):
        rs.freeze(fs, WHY)
