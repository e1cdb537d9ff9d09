"""Listings and looks: the catalog's own where it knows all paths, else united with the disks."""

from __future__ import annotations

import os
import time

import pytest
from fsspec.asyn import sync

import resilient_store as rs
from resilient_store.backends.families import disk
from resilient_store.catalog.contract import CatalogDownError
from resilient_store.io.catalogued import listing
from resilient_store.model.outcome import Outcome, Reply
from tests.catalogued.stage import (
    CAT,
    DOG,
    NAMES,
    ONE,
    PAUSE_S,
    THREE,
    TWO,
    converge,
    places,
    record,
    store_state,
    told,
    took_s,
    well_again,
)

PATHS = [CAT, "originals/2024/bird.jpg", DOG, "thumbs/cat.jpg"]
FOUND = sorted(PATHS)
BIRD = "originals/2024/bird.jpg"


@pytest.fixture
def old(shop):
    """Open a store over disks that held objects before: its catalog knows not all paths."""
    for name in NAMES:
        shop.put_behind(name, CAT, ONE)
    shop.put_behind("gcp", "originals/2024/bird.jpg", TWO)
    shop.put_behind("azure", "thumbs/cat.jpg", THREE)
    return shop.open()


# A complete catalog knows everything


LISTINGS = {
    "ls": lambda fs: fs.ls("originals", detail=False),
    "ls root": lambda fs: fs.ls("", detail=False),
    "ls of an object": lambda fs: fs.ls(CAT, detail=False),
    "find": lambda fs: fs.find(""),
    "find with folders": lambda fs: fs.find("", withdirs=True),
    "find below": lambda fs: fs.find("originals", maxdepth=1),
    "glob": lambda fs: fs.glob("originals/*"),
    "glob all": lambda fs: fs.glob("**/*.jpg"),
    "walk": lambda fs: [(top, sorted(d), sorted(f)) for top, d, f in fs.walk("")],
    "du": lambda fs: fs.du(""),
    "du of each": lambda fs: fs.du("originals", total=False),
    "exists": lambda fs: [fs.exists(path) for path in (CAT, "originals", "thumbs/dog.jpg")],
    "isfile": lambda fs: [fs.isfile(path) for path in (CAT, "originals", "nothing")],
    "isdir": lambda fs: [fs.isdir(path) for path in (CAT, "originals", "nothing")],
    "info": lambda fs: [fs.info(path)["size"] for path in PATHS],
    "info of a folder": lambda fs: fs.info("originals/2024")["type"],
    "sizes": lambda fs: fs.sizes(PATHS),
    "modified": lambda fs: fs.modified(CAT),
    "ukey": lambda fs: fs.ukey(CAT),
}

EXPECTED = {
    "ls": ["originals/2024", CAT, DOG],
    "ls root": ["originals", "thumbs"],
    "ls of an object": [CAT],
    "find": FOUND,
    "find below": [CAT, DOG],
    "glob": ["originals/2024", CAT, DOG],
    "glob all": FOUND,
    "du": len(ONE) + len(TWO) + len(THREE) + len(ONE),
    "exists": [True, True, False],
    "isfile": [True, False, False],
    "isdir": [False, True, False],
    "info": [len(ONE), len(TWO), len(THREE), len(ONE)],
    "info of a folder": "directory",
}


def test_p5_a_complete_catalog_answers_every_look_with_all_backends_gone(fs, shop):
    for path, data in zip(PATHS, (ONE, TWO, THREE, ONE), strict=True):
        fs.write(path, data)
    healthy = {name: look(fs) for name, look in LISTINGS.items()}
    shop.lose()
    asked = {name: client.health.asked for name, client in fs.store.clients.items()}
    began_s = time.monotonic()
    gone = {name: look(fs) for name, look in LISTINGS.items()}
    assert took_s(began_s) < 2.0
    assert gone == healthy
    assert {name: gone[name] for name in EXPECTED} == EXPECTED
    assert asked == {name: client.health.asked for name, client in fs.store.clients.items()}
    fresh = shop.open()  # and in a new process, which could never ask anybody
    assert {name: look(fresh) for name, look in LISTINGS.items()} == healthy


def test_a_complete_catalog_lists_nothing_that_others_put_there(fs, shop):
    fs.write(CAT, ONE)
    shop.put_behind("aws", DOG, TWO)
    assert fs.find("") == [CAT]
    assert not fs.exists(DOG)


def test_p3_a_listing_shows_no_deleted_object_whoever_still_has_it(fs, shop):
    for path in PATHS:
        fs.write(path, ONE)
    shop.lose("aws")
    fs.rm("originals", recursive=True)
    shop.bring_back("aws")
    for store in (fs, shop.open()):
        assert store.find("") == ["thumbs/cat.jpg"]
        assert store.ls("", detail=False) == ["thumbs"]
        with pytest.raises(FileNotFoundError):
            store.ls("originals")


def test_nothing_of_the_stores_own_is_ever_listed(fs, shop):
    fs.write(CAT, ONE)
    fs.write(CAT, TWO)  # staged
    shop.put_behind("gcp", DOG, TWO)
    fs.write(DOG, ONE)  # quarantined
    for store in (fs, shop.open()):
        assert store.find("") == [CAT, DOG]
        assert store.ls("", detail=False) == ["originals"]
        for own in (".resilient", ".resilient/store.json"):
            with pytest.raises(rs.InvalidPathError, match="own area"):
                store.cat(own)


def test_a_thousand_objects_and_more_are_listed_page_by_page(shop):
    """The pages meet without a gap, and a folder costs one step however much is in it."""
    paths = [f"many/{number:05}" for number in range(1050)]
    for path in paths:
        shop.put_behind("aws", path, b"")
    fs = shop.open(("aws",), write=rs.WriteToAll())
    assert rs.adopt(fs).complete
    shop.lose()
    assert fs.find("") == paths
    assert fs.ls("many", detail=False) == paths
    assert fs.ls("", detail=False) == ["many"]


# An incomplete one discovers what it does not know


def test_a_store_over_old_objects_reads_and_records_them(old, shop):
    assert not old.exists("nothing")
    assert not store_state(old).complete
    assert record(old, CAT).is_empty
    result = old.read(CAT)
    assert (result.data, result.verified) == (ONE, False)
    assert record(old, CAT).present is not None
    told(old)
    assert old.read(CAT).verified, "it was read whole once"
    shop.lose("aws", "azure")
    assert old.info("originals/2024/bird.jpg")["size"] == len(TWO)
    assert old.cat("originals/2024/bird.jpg") == TWO


def test_what_was_discovered_is_known_with_all_backends_gone(old, shop):
    old.cat(CAT)
    shop.lose()
    assert old.exists(CAT)
    assert old.info(CAT)["size"] == len(ONE)
    with pytest.raises(rs.BackendsUnavailableError):
        old.exists("thumbs/cat.jpg")


def test_an_incomplete_catalog_lists_the_union_less_its_tombstones(old, shop):
    old.write(DOG, TWO)
    everything = ["originals/2024/bird.jpg", CAT, DOG, "thumbs/cat.jpg"]
    assert old.find("") == everything
    assert old.ls("originals", detail=False) == ["originals/2024", CAT, DOG]
    assert old.glob("*/cat.jpg") == [CAT, "thumbs/cat.jpg"]
    assert old.isdir("originals")
    assert old.info("originals/2024")["type"] == "directory"
    shop.lose("gcp")
    old.rm(CAT)
    shop.bring_back("gcp")
    assert shop.read_behind("gcp", CAT) == ONE
    assert old.find("") == [path for path in everything if path != CAT]
    old.rm("thumbs", recursive=True)
    assert old.ls("", detail=False) == ["originals"]


def test_an_incomplete_catalog_lists_an_object_by_its_own_path(old, shop):
    assert old.ls(BIRD, detail=False) == [BIRD]
    old.write(DOG, TWO)
    for name in NAMES:  # it stays known, though nobody shows it just now
        (shop.disk(name) / DOG).unlink()
    assert old.ls(DOG, detail=False) == [DOG]
    shop.lose("gcp")
    old.rm(CAT)
    shop.bring_back("gcp")
    assert shop.read_behind("gcp", CAT) == ONE
    with pytest.raises(FileNotFoundError):
        old.ls(CAT, detail=False)
    with pytest.raises(FileNotFoundError):
        old.ls("nothing", detail=False)


def test_p5_an_incomplete_listing_says_who_could_not_be_asked(old, shop):
    old.write(DOG, TWO)
    shop.lose("azure")
    with pytest.raises(rs.BackendsUnavailableError):
        old.find("")
    listing = old.find("", partial=True)
    assert (listing, listing.missing_backends) == (
        [*FOUND[:1], CAT, DOG],
        ("azure",),
    )
    with pytest.raises(rs.BackendsUnavailableError):
        old.exists("thumbs/cat.jpg")
    with pytest.raises(rs.BackendsUnavailableError):
        old.cat("nothing")


def test_writes_to_an_incomplete_catalog_go_on_while_one_is_down(old, shop):
    old.cat(CAT)
    shop.lose("gcp")
    old.write(CAT, TWO)
    old.write("new", THREE)
    old.rm(CAT)
    old.write("originals/2024/bird.jpg", ONE)  # who has it is away, and nobody knew of it
    assert places(old, "originals/2024/bird.jpg")["gcp"] is None
    shop.bring_back("gcp")
    well_again(old)
    assert not old.exists(CAT)
    assert old.cat("originals/2024/bird.jpg") == ONE
    converge(old)
    assert shop.held("originals/2024/bird.jpg") == dict.fromkeys(NAMES, ONE)
    assert shop.quarantined("gcp") == [TWO], "nobody knew those bytes"
    assert shop.held("new") == dict.fromkeys(NAMES, THREE)


def test_overwriting_what_nobody_looked_at_destroys_nothing(old, shop):
    old.write("thumbs/cat.jpg", ONE)
    assert old.cat("thumbs/cat.jpg") == ONE
    assert shop.quarantined("azure") == [THREE]
    assert shop.held("thumbs/cat.jpg") == dict.fromkeys(NAMES, ONE)


def test_creating_what_only_a_disk_knows_is_refused(old):
    with pytest.raises(FileExistsError):
        old.write(CAT, TWO, mode="create")
    assert old.cat(CAT) == ONE


def test_what_a_deletion_left_is_no_object_that_a_creation_meets(old, shop):
    old.write(DOG, ONE, content_encoding="gzip", metadata={"owner": "alice"})
    shop.lose("gcp")
    old.rm(DOG)
    shop.bring_back("gcp")
    well_again(old)
    assert shop.read_behind("gcp", DOG) == ONE
    old.write(DOG, TWO, mode="create")
    info = old.info(DOG)
    assert (old.cat(DOG), info["content_encoding"], info["metadata"]) == (TWO, None, {})


def test_creating_what_lies_where_it_is_not_placed_is_refused(shop):
    shop.put_behind("azure", CAT, ONE)
    placements = [rs.Placement("originals/{name}", backends=["aws", "gcp"])]
    fs = shop.open(placements=placements)
    with pytest.raises(FileExistsError):
        fs.write(CAT, TWO, mode="create")
    shop.lose("azure")
    fs.write(DOG, TWO, mode="create")
    assert fs.cat(DOG) == TWO, "who is away keeps nobody from writing"


def test_an_original_that_is_lost_may_be_created_again_beside_its_thumbnail(shop):
    shop.put_behind("aws", "thumbs/cat.jpg", ONE)
    fs = shop.open(degraded={"originals/{name}": ["thumbs/{name}"]})
    with pytest.raises(rs.OriginalMissingError):
        fs.info("originals/cat.jpg") and fs.cat("originals/cat.jpg")
    fs.write("originals/cat.jpg", TWO, mode="create")
    assert fs.cat("originals/cat.jpg") == TWO


def test_p1_no_label_of_another_object_is_written_to_a_new_one(shop):
    """Of a large object the checksum is known at its end only, and so is in no label."""
    large = os.urandom((8 << 20) + 1)
    with rs.ResilientFileSystem(shop.backends(), catalog=f"sqlite:///{shop.folder}/first.db") as fs:
        fs.write(CAT, ONE)
        converge(fs)
    for name in NAMES:
        (shop.disk(name) / ".resilient/store.json").unlink()
    second = shop.open()  # a store of its own, over an object with another's labels
    second.write(CAT, large)
    second.write(DOG, large, metadata={"resilient-checksum": "another's", "print": "A4"})
    assert (second.info(CAT)["metadata"], second.info(DOG)["metadata"]) == ({}, {"print": "A4"})
    said = [
        os.getxattr(shop.disk(name) / key, disk._ATTRIBUTE)
        for name in NAMES
        for key in (CAT, DOG, *shop.staged(name))
        if shop.read_behind(name, key) == large
    ]
    assert said
    assert not [one for one in said if b"resilient-checksum" in one]


def test_p5_an_absent_path_is_certain_only_when_everybody_was_asked(old, shop):
    with pytest.raises(FileNotFoundError):
        old.cat("nothing")
    assert not old.exists("nothing")
    shop.lose("azure")
    with pytest.raises(rs.BackendsUnavailableError):
        old.cat("nothing")
    with pytest.raises(rs.BackendsUnavailableError):
        old.exists("nothing")
    with pytest.raises(rs.BackendsUnavailableError):
        old.rm_file("nothing")


def test_p3_a_creation_that_failed_is_not_discovered(old, shop):
    """What of it lands after all, in spite of the error, is no object."""
    shop.lose("aws", "gcp")
    with pytest.raises(rs.InsufficientCopiesError):
        old.write("new", ONE)
    shop.bring_back()
    well_again(old)
    (void,) = record(old, "new").voids
    assert void.backends == ("azure",)
    assert not old.exists("new")
    shop.put_behind("azure", "new", ONE)
    assert not old.exists("new")
    assert "new" not in old.find("")
    time.sleep(PAUSE_S)
    converge(old)
    assert [shop.read_behind(name, "new") for name in NAMES] == [None] * 3


@pytest.fixture
def busy(old, monkeypatch):
    """Let a change be under way at a path that only one disk knows, and at one where nothing is."""

    async def hidden(_):
        return {BIRD, "nothing"}

    old.exists("nothing")
    monkeypatch.setattr(old.store.known, "hidden", hidden)
    return old


def test_p5_an_object_that_no_catalog_knows_is_listed_while_somebody_changes_it(busy, shop):
    assert BIRD in busy.find("")
    assert "nothing" not in busy.find("")
    assert busy.ls("originals/2024", detail=False) == [BIRD]


def test_p5_what_a_change_left_or_not_is_told_by_everybody_or_not_at_all(busy, shop):
    shop.lose("azure")
    with pytest.raises(rs.BackendsUnavailableError):
        busy.find("")
    assert BIRD in busy.find("", partial=True)
    assert "azure" in busy.ls("originals/2024", partial=True, detail=False).missing_backends


def test_p5_what_cannot_be_looked_up_is_not_left_out_in_silence(busy, monkeypatch):
    async def known(_, path):
        raise rs.BackendsUnavailableError(path, [Reply("gcp", Outcome.TIMED_OUT)])

    monkeypatch.setattr(listing, "known", known)
    with pytest.raises(rs.BackendsUnavailableError, match="gcp"):
        busy.find("")
    partial = busy.find("", partial=True)
    assert BIRD not in partial
    assert partial.missing_backends == ("gcp",)


@pytest.mark.parametrize("call", ["page", "state", "hidden"])
def test_a_catalog_that_goes_in_the_middle_of_a_listing_is_said_so(shop, monkeypatch, call):
    if call == "hidden":
        shop.put_behind("aws", CAT, ONE)
    fs = shop.open()
    fs.exists("nothing")

    async def away(*_):
        raise CatalogDownError("away")

    monkeypatch.setattr(fs.store.known, call, away)
    with pytest.raises(rs.CatalogUnavailableError, match="away"):
        fs.ls("originals")


def test_a_folder_of_more_than_a_page_of_the_last_names_there_are_comes_to_an_end(
    shop, monkeypatch
):
    monkeypatch.setattr(listing, "PAGE", 1)
    fs = shop.open()
    last = "\U0010ffff"
    for name in (f"d/{last}{last}", f"d/{last}{last}{last}", "e"):
        fs.write(name, ONE)
    asked = []

    async def ask(after, limit):
        asked.append(after)
        assert len(asked) < 9, "it goes on for ever"
        return await fs.store.known.names("", after, limit)

    found, _ = sync(fs.loop, listing._one_level, ask, "", str)
    assert sorted(found) == ["d", "e"]
