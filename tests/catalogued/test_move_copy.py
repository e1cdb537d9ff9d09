"""Moving and copying: both paths at one moment, and never from or over a wrong copy."""

from __future__ import annotations

import os
import threading

import pytest

import resilient_store as rs
from tests.catalogued.stage import (
    CAT,
    DOG,
    FOREIGN,
    NAMES,
    ONE,
    THREE,
    TWO,
    converge,
    record,
    states,
)

PART = 8 << 20
HEADERS = {"content_type": "image/x-cat", "metadata": {"print": "A4"}}


def described(fs, path):
    info = fs.info(path)
    return info["content_type"], info["metadata"]


@pytest.mark.parametrize("size", [1, PART + 1, 2 * PART + 5])
@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_an_object_arrives_whole_with_its_headers(fs, shop, verb, size):
    data = os.urandom(size)
    fs.write(CAT, data, **HEADERS)
    getattr(fs, verb)(CAT, DOG)
    assert (fs.cat(DOG), described(fs, DOG)) == (data, ("image/x-cat", {"print": "A4"}))
    assert fs.exists(CAT) is (verb == "cp")
    assert shop.held(DOG) == dict.fromkeys(NAMES, data)
    assert shop.held(CAT) == dict.fromkeys(NAMES, data if verb == "cp" else None)


@pytest.mark.parametrize("away", NAMES)
@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_p2_p3_one_that_was_away_shows_neither_the_old_path_nor_the_old_bytes(fs, shop, verb, away):
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    shop.lose(away)
    getattr(fs, verb)(CAT, DOG)
    shop.bring_back(away)
    expected = [CAT, DOG] if verb == "cp" else [DOG]
    for store in (fs, shop.open()):
        assert store.find("") == expected
        assert store.cat(DOG) == ONE
    converge(fs)
    assert [shop.objects(name) for name in NAMES] == [expected] * 3
    assert shop.held(DOG) == dict.fromkeys(NAMES, ONE)


@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_p1_too_few_backends_leave_both_paths_as_they_were(fs, shop, verb):
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    shop.lose("gcp", "azure")
    with pytest.raises(rs.InsufficientCopiesError):
        getattr(fs, verb)(CAT, DOG)
    shop.bring_back()
    assert (fs.cat(CAT), fs.cat(DOG)) == (ONE, TWO)
    assert record(fs, CAT).intent is record(fs, DOG).intent is None
    converge(fs)
    assert shop.held(CAT) == dict.fromkeys(NAMES, ONE)
    assert shop.held(DOG) == dict.fromkeys(NAMES, TWO)


@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_p4_a_damaged_replica_is_not_what_is_copied(fs, shop, verb):
    data = os.urandom(5 << 20)
    fs.write(CAT, data)
    shop.flip("aws", CAT, at=(4 << 20) + 3)
    getattr(fs, verb)(CAT, DOG)
    assert shop.held(DOG) == dict.fromkeys(NAMES, data)


@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_p5_a_lost_original_is_neither_copied_nor_moved(fs, shop, verb):
    fs.write(CAT, ONE)
    for name in NAMES:
        (shop.disk(name) / CAT).unlink()
    with pytest.raises(rs.OriginalMissingError):
        getattr(fs, verb)(CAT, DOG)
    assert fs.find("") == [CAT]


@pytest.mark.parametrize("verb", ["cp", "mv"])
def test_what_is_absent_is_neither_copied_nor_moved(fs, verb):
    with pytest.raises(FileNotFoundError):
        getattr(fs, verb)(CAT, DOG)
    assert fs.find("") == []


def test_a_path_moved_to_itself_stays(fs):
    receipt = fs.write(CAT, ONE)
    fs.mv(CAT, CAT)
    assert (fs.cat(CAT), fs.info(CAT)["version"]) == (ONE, receipt.version)


def test_p2_two_moves_crosswise_end_in_one_order(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    stores = shop.open(lock_timeout=10.0), shop.open(lock_timeout=10.0)
    pairs, errors = ((CAT, DOG), (DOG, CAT)), []

    def move(store, pair):
        try:
            store.mv(*pair)
        except (FileNotFoundError, rs.ConcurrentWriteError) as error:
            errors.append(error)

    threads = [
        threading.Thread(target=move, args=(s, p)) for s, p in zip(stores, pairs, strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads)
    (left,) = fs.find("")
    assert fs.cat(left) in (ONE, TWO)
    converge(fs)
    assert [shop.objects(name) for name in NAMES] == [[left]] * 3


def test_p2_readers_see_the_old_path_or_the_new_one_and_never_both_or_none(fs, shop):
    fs.write(CAT, ONE)
    reader, stop, seen = shop.open(), threading.Event(), []

    def look():
        while not stop.is_set():
            seen.append(tuple(reader.find("")))

    looking = threading.Thread(target=look)
    looking.start()
    for _ in range(5):
        fs.mv(CAT, DOG)
        fs.mv(DOG, CAT)
    stop.set()
    looking.join()
    assert set(seen) <= {(CAT,), (DOG,)}


def test_somebody_elses_bytes_at_either_path_are_kept(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    shop.put_behind("gcp", CAT, FOREIGN)
    shop.put_behind("azure", DOG, FOREIGN)
    fs.mv(CAT, DOG)
    assert shop.quarantined("gcp") == shop.quarantined("azure") == [FOREIGN]
    assert shop.held(DOG) == dict.fromkeys(NAMES, ONE)


def test_a_copy_keeps_what_it_was_derived_from(fs):
    original = fs.write(CAT, ONE)
    fs.write("previews/cat.jpg", TWO, derived_from=CAT)
    fs.cp("previews/cat.jpg", "previews/copy.jpg")
    fs.mv("previews/cat.jpg", "previews/moved.jpg")
    for path in ("previews/copy.jpg", "previews/moved.jpg"):
        assert fs.info(path)["derived_from"] == (CAT, original.version)


def test_a_folder_is_moved_and_copied_with_all_that_is_below_it(fs, shop):
    for path in (CAT, "originals/2024/bird.jpg"):
        fs.write(path, path.encode())
    shop.lose("aws")
    fs.cp("originals", "copies", recursive=True)
    fs.mv("originals", "archive", recursive=True)
    shop.bring_back("aws")
    converge(fs)
    names = ["2024/bird.jpg", "cat.jpg"]
    expected = [f"{folder}/{name}" for folder in ("archive", "copies") for name in names]
    assert fs.find("") == expected
    assert [shop.objects(name) for name in NAMES] == [expected] * 3
    assert fs.cat("archive/2024/bird.jpg") == b"originals/2024/bird.jpg"


def test_a_target_that_was_deleted_takes_a_copy(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, THREE)
    shop.lose("gcp")
    fs.rm(DOG)
    fs.cp(CAT, DOG)
    shop.bring_back("gcp")
    assert fs.cat(DOG) == ONE
    assert states(fs, DOG)["gcp"] == "stale"
    converge(fs)
    assert shop.held(DOG) == dict.fromkeys(NAMES, ONE)


@pytest.mark.parametrize("verb", ["cp", "mv"])
@pytest.mark.parametrize("catalog", [True, False])
def test_nothing_of_the_headers_stays_of_what_lay_at_the_target(fs, shop, verb, catalog):
    if not catalog:
        fs = rs.ResilientFileSystem(shop.backends())
    fs.write(CAT, ONE)
    fs.write(
        DOG, TWO, content_encoding="gzip", cache_control="no-store", metadata={"owner": "alice"}
    )
    getattr(fs, verb)(CAT, DOG)
    info = fs.info(DOG)
    found = info["content_encoding"], info["cache_control"], info["metadata"]
    assert (fs.cat(DOG), found) == (ONE, (None, None, {}))
    if not catalog:
        fs.close()
