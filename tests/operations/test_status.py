"""Status: what is known without asking anybody, and said in a few lines."""

from __future__ import annotations

import json
import os
import sqlite3

import attrs
import pytest
from fsspec.asyn import sync
from fsspec.callbacks import Callback

import resilient_store as rs
from resilient_store.catalog.database import SqlDatabase
from resilient_store.model.state import Frozen, Intent, Replica, State
from resilient_store.model.status import scan_of
from resilient_store.operations import scrub as scrubbing
from resilient_store.testing.conformance.tables import held, tombstone
from tests.catalogued.stage import CAT, DOG, NAMES, ONE, TWO, converge, record, states, well_again

WELL = "no known data errors"


def backend(fs, name):
    (found,) = [one for one in rs.status(fs).backends if one.name == name]
    return found


def store(fs, *records):
    """Make these the catalog's records of their paths."""
    paths = [one.path for one in records]
    sync(fs.loop, fs.store.known.change, paths, lambda *_: (records, None))


def change(fs, **rows):
    def changed(state, _):
        after = {name: attrs.evolve(state.backend(name), **row) for name, row in rows.items()}
        return attrs.evolve(state, backends={**state.backends, **after})

    sync(fs.loop, fs.store.known.change_state, changed)


def test_a_store_that_is_well_says_so(fs):
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    converge(fs)
    found = rs.status(fs)
    assert (found.state, found.happened, found.errors, found.scan) == (
        "ONLINE",
        "All is well.",
        WELL,
        "never",
    )
    assert (found.objects, found.lost, found.counted) == (rs.Amount(2, len(ONE + TWO)), 0, True)
    newest = record(fs, DOG).entry.version
    assert found.newest == newest
    for one in found.backends:
        assert one.copies == {"good": found.objects}
        assert (one.state, one.complete_up_to, one.behind) == ("online", newest, 0)
    assert str(found).endswith(f"errors: {WELL}")


def test_a_backend_that_missed_something_is_complete_up_to_the_version_before(fs, shop):
    fs.write(CAT, ONE)
    fs.write("other", ONE)
    before = record(fs, "other").entry.version
    shop.lose("gcp")
    fs.write(DOG, TWO)
    missed = record(fs, DOG).entry.version
    fs.write("later", TWO)
    rs.repair(fs)
    found = rs.status(fs)
    assert found.state == "DEGRADED"
    assert "No answer from gcp" in found.happened
    gone = backend(fs, "gcp")
    assert (gone.state, gone.copies["stale"].count) == ("away", 2)
    assert before <= gone.complete_up_to == missed - 1
    assert gone.since is not None
    assert backend(fs, "aws").complete_up_to == record(fs, "later").entry.version
    assert found.errors == WELL
    shop.bring_back("gcp")
    well_again(fs)
    assert rs.status(shop.open()).state == "DEGRADED"
    converge(fs)
    assert rs.status(fs).state == "ONLINE"


def test_an_overwrite_that_was_missed_counts_from_its_new_version(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, ONE)
    shop.lose("azure")
    fs.write(CAT, TWO)
    found = backend(fs, "azure")
    assert found.complete_up_to == record(fs, CAT).entry.version - 1
    assert found.complete_up_to >= record(fs, DOG).entry.version


def test_the_last_scrub_of_the_whole_store_is_told(fs, shop, monkeypatch):
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    shop.flip("aws", CAT)
    seen = []
    monkeypatch.setattr(scrubbing, "PAGE", 1)
    monkeypatch.setattr(scrubbing, "NOTED_EVERY_S", 0.0)
    tell = Callback(hooks={"tell": lambda *_, **__: seen.append(fs.store.known.seen.scan)})
    rs.scrub(fs, sample=0.9, backends=["gcp"])
    assert rs.status(fs).scan == "never"
    rs.scrub(fs, callback=tell)
    under_way = scan_of(seen[0])
    assert under_way.startswith("under way since 20")
    assert f"at {CAT!r}" in under_way
    assert rs.status(fs).scan.startswith("ended 20")
    assert rs.status(fs).scan.endswith("6 copies verified, 1 bad")


def test_a_lost_object_is_a_data_error_and_an_unverified_one_is_not(fs, shop):
    fs.write(CAT, ONE)
    fs.write(DOG, TWO)
    converge(fs)
    for name in NAMES:
        shop.flip(name, CAT)
    with pytest.raises(rs.OriginalMissingError):
        fs.cat_file(CAT)
    states(fs, CAT)
    found = rs.status(fs)
    assert (found.state, found.lost) == ("DEGRADED", 1)
    assert found.errors.startswith("1 object lost")
    assert {one.copies["corrupt"].count for one in found.backends} == {1}
    rs.rejoin(fs, "aws")
    found = rs.status(fs)
    assert (found.lost, found.errors) == (0, WELL)
    assert "Missing or not to be believed: 3 copies" in found.happened


def test_an_object_that_somebody_is_writing_is_not_called_lost(fs):
    fs.exists(CAT)
    stale = {"aws": Replica(backend="aws", version=1, state=State.STALE)}
    nobody = attrs.evolve(held("a", version=2), replicas=stale)
    intent = Intent(id=7, version=3, kind="write", token="7-7")
    store(fs, nobody, attrs.evolve(nobody, path="b", entry=held("b").entry, intent=intent))
    assert rs.status(fs).lost == 1
    store(fs, tombstone("a"))
    assert rs.status(fs).lost == 0


def test_a_backend_that_is_new_is_complete_up_to_nothing(shop):
    two = shop.open(("aws", "gcp"))
    two.write(CAT, ONE)
    two.write(DOG, TWO)
    three = shop.open()
    found = backend(three, "azure")
    assert found.copies == {"not copied": rs.Amount(2, len(ONE + TWO))}
    assert found.complete_up_to == record(two, CAT).entry.version - 1
    converge(three)
    assert backend(three, "azure").complete_up_to == record(two, DOG).entry.version


def test_what_was_taken_away_and_is_placed_there_again_is_missed(shop):
    one = [rs.Placement("originals/{name}", backends=["aws", "gcp"])]
    other = [rs.Placement("originals/{name}", backends=["aws", "azure"])]
    fs = shop.open(placements=one)
    fs.write(CAT, ONE)
    fs.write("previews/cat.jpg", ONE)
    moved = shop.open(placements=other)
    moved.write(CAT, TWO)
    converge(moved)
    assert states(moved, CAT)["gcp"] == "gone"
    assert backend(moved, "gcp").complete_up_to == rs.status(moved).newest
    found = rs.status(fs)
    assert (found.state, backend(fs, "gcp").copies["not copied"].count) == ("DEGRADED", 1)


def test_what_is_placed_elsewhere_is_missed_by_nobody(shop):
    rules = [rs.Placement("thumbs/{name}", backends=["aws", "gcp"])]
    fs = shop.open(placements=rules)
    for path in ("thumbs/a", "thumbs/b", CAT):
        fs.write(path, ONE)
    converge(fs)
    found = backend(fs, "azure")
    assert found.copies == {"good": rs.Amount(1, len(ONE))}
    assert found.complete_up_to == rs.status(fs).newest
    assert rs.status(fs).state == "ONLINE"


def test_windows_add_up(fs, monkeypatch):
    fs.exists(CAT)
    rows = [held(f"p{n}", "aws", *["gcp"] * (n % 2), version=n + 1) for n in range(7)]
    store(fs, *rows)
    whole = rs.status(fs)
    monkeypatch.setattr(fs.store.known._database, "window", 2)
    assert rs.status(fs) == whole
    assert [one.complete_up_to for one in whole.backends] == [7, 0, 0]
    assert whole.backends[1].copies["not copied"].count == 4


def test_what_was_not_counted_in_time_is_not_claimed(fs, monkeypatch):
    fs.write(CAT, ONE)
    converge(fs)
    found = rs.status(fs, within=0)
    assert (found.objects, found.lost, found.counted) == (None, None, False)
    assert found.errors == "not known: nothing was counted"
    assert "not all objects were counted" in found.happened
    assert {(one.copies, one.complete_up_to) for one in found.backends} == {(None, None)}
    store(fs, *(held(f"p{n}", *NAMES, version=n + 50) for n in range(3)))
    monkeypatch.setattr(fs.store.known._database, "window", 2)
    real = SqlDatabase.stretch

    def slow(database, after):
        monkeypatch.setattr("resilient_store.operations.status.runtime.now_s", lambda: 1e12)
        return real(database, after)

    monkeypatch.setattr(SqlDatabase, "stretch", slow)
    found = rs.status(fs)
    assert (found.objects.count, found.counted, found.newest) == (2, False, None)
    assert {one.complete_up_to for one in found.backends} == {None}
    assert all(one.copies for one in found.backends)
    assert found.errors.startswith("no known data errors among the first 2 counted")


@pytest.mark.parametrize("within", [-1, float("nan"), float("inf")])
def test_a_time_that_is_none_is_refused(fs, within):
    with pytest.raises(rs.ConfigurationError, match="within="):
        rs.status(fs, within=within)


def test_no_backend_is_asked(fs, shop):
    fs.write(CAT, ONE)
    for client in fs.store.clients.values():
        client.health.record = None  # whoever calls a backend counts it
    with shop.hung("aws", fs):
        assert rs.status(fs).state == "ONLINE"


def test_breakers_of_this_process_are_shown(fs, shop):
    fs.write(CAT, ONE)
    shop.lose("aws")
    for _ in range(20):
        fs.cat_file(CAT)
    found = backend(fs, "aws")
    assert found.reading.startswith(("open (", "half-open ("))
    assert found.state == "away"
    assert backend(shop.open(), "aws").reading == "closed"


def test_without_a_catalog_it_says_what_is_not_known(shop):
    with rs.ResilientFileSystem(shop.backends()) as fs:
        fs.write(CAT, ONE)
        found = rs.status(fs)
        assert (found.state, found.objects, found.lost) == ("ONLINE", None, None)
        assert "without a catalog" in found.happened
        assert "without a catalog" in found.errors
        shop.lose()
        for _ in range(20):
            with pytest.raises(rs.BackendsUnavailableError):
                fs.cat_file(CAT)
        assert rs.status(fs).state == "UNAVAILABLE"


def test_a_catalog_that_is_away_is_said_to_be(fs, shop):
    fs.write(CAT, ONE)
    os.rename(shop.catalog, shop.folder / "away.db")
    found = rs.status(fs)
    assert (found.state, found.lost) == ("UNAVAILABLE", None)
    assert "catalog" in found.to_do
    assert [one.name for one in found.backends] == list(NAMES)
    os.rename(shop.folder / "away.db", shop.catalog)
    assert rs.status(fs).state == "ONLINE"


def test_a_new_store_is_made_by_nobody_who_looks(shop):
    assert rs.status(shop.open()).state == "UNAVAILABLE"
    assert not shop.catalog.exists()
    fs = shop.open()
    sync(fs.loop, fs.store.known.prepare)
    assert "new" in rs.status(fs).happened


def test_a_frozen_store_says_who_and_why(fs):
    fs.exists(CAT)
    rs.freeze(fs, "moving house")
    found = rs.status(fs)
    assert found.state == "FROZEN"
    assert "moving house" in found.happened
    assert fs.store.owner in found.happened


@pytest.mark.parametrize(
    ("row", "state", "said"),
    [
        ({"suspect": True}, "DEGRADED", "rejoin"),
        ({"came_back": True}, "DEGRADED", "adopt"),
        ({"drained": True}, "ONLINE", "rejoin"),
        ({"met": False}, "DEGRADED", "identity"),
    ],
)
def test_what_the_catalog_says_of_a_backend(fs, row, state, said):
    fs.exists(CAT)
    change(fs, azure=row)
    found = rs.status(fs)
    assert found.state == state
    assert said in found.to_do
    assert "azure" in found.happened


def test_what_a_drained_backend_lacks_is_not_promised_by_repair(fs, shop):
    fs.write(CAT, ONE)
    converge(fs)
    shop.lose("azure")
    fs.write(CAT, TWO)
    shop.bring_back("azure")
    rs.drain(fs, "azure")
    found = rs.status(fs)
    assert (found.state, "Drained: azure" in found.happened) == ("DEGRADED", True)
    assert found.to_do.startswith("Call rejoin")


def test_a_store_that_refuses_writes_says_so_and_to_which_paths(shop):
    write = rs.WriteToAll(min_copies=2)
    placements = [rs.Placement("previews/{name}", backends=["aws", "azure"])]
    fs = shop.open(write=write, placements=placements)
    fs.write(CAT, ONE)
    rs.drain(fs, "azure", force=True)
    found = rs.status(fs)
    assert (found.state, "previews/{name}" in found.happened) == ("DEGRADED", True)
    assert "{path...}" not in found.happened
    rs.drain(fs, "gcp", force=True)
    assert "previews/{name}, {path...} are refused" in rs.status(fs).happened
    rs.rejoin(fs, "azure")
    assert "are refused" not in rs.status(fs).happened


def test_what_is_written_to_all_is_written_to_all_that_are_left(shop):
    fs = shop.open(write=rs.WriteToAll())
    fs.write(CAT, ONE)
    rs.drain(fs, "azure")
    assert fs.write(DOG, ONE).copies == ("aws", "gcp")
    assert "are refused" not in rs.status(fs).happened
    assert rs.what_if(fs, lose=[]).writable == {"{path...}": True}


def test_a_store_that_is_there_to_be_read_refuses_nothing(shop):
    with rs.ResilientFileSystem(shop.backends(read_only=True)) as fs:
        found = rs.status(fs)
        assert (found.state, "refused" in found.happened) == ("ONLINE", False)


def test_a_store_whose_backends_are_all_drained_is_not_well(fs):
    fs.write(CAT, ONE)
    for name in NAMES:
        rs.drain(fs, name, force=True)
    found = rs.status(fs)
    assert (found.state, "rejoin" in found.to_do) == ("UNAVAILABLE", True)


def test_a_restore_that_has_not_ended_is_not_called_well_or_thawed(fs):
    fs.write(CAT, ONE)

    def begun(state, now_s):
        frozen = Frozen(why="its catalog is being restored", who="vm:1", since_s=now_s)
        return attrs.evolve(state, restoring="mine", frozen=frozen)

    sync(fs.loop, fs.store.known.change_state, begun)
    found = rs.status(fs)
    assert (found.state, "restore" in found.to_do, "thaw" in found.to_do) == (
        "UNAVAILABLE",
        True,
        False,
    )
    assert found.errors != WELL


def test_repair_is_remembered_by_all_and_its_absence_is_warned_of(fs, shop):
    fs.write(CAT, ONE)
    assert any("repair" in text for text in rs.status(fs).warnings)
    rs.repair(fs)
    found = rs.status(shop.open())
    assert found.warnings == ()
    assert found.maintained is not None

    def long_ago(state, now_s):
        return attrs.evolve(state, maintained_s=now_s - 100_000.0)

    sync(fs.loop, fs.store.known.change_state, long_ago)
    assert "1 d 3 h ago" in rs.status(fs).warnings[0]


def test_a_setting_that_is_not_known_is_left_alone(fs, shop):
    """As an older release leaves alone what this one writes."""
    fs.exists(CAT)
    with sqlite3.connect(shop.catalog) as raw:
        raw.execute("INSERT INTO resilient_settings VALUES ('of tomorrow', '1')")
    raw.close()
    rs.repair(fs)
    rs.freeze(fs, "why")
    rs.thaw(fs)
    with sqlite3.connect(shop.catalog) as raw:
        found = dict(raw.execute("SELECT name, value FROM resilient_settings").fetchall())
    raw.close()
    assert found["of tomorrow"] == "1"
    assert float(found["maintained"]) > 0


def test_no_secret_is_shown(shop):
    backends = [
        rs.Backend(
            "s3://user:sesame@bucket/p?token=sesame",
            name="s3",
            domain="aws",
            storage_options={"secret": "sesame"},
        ),
        *shop.backends(("aws",)),
    ]
    with rs.ResilientFileSystem(
        backends, catalog="postgresql+psycopg://me:sesame@127.0.0.1:1/db?password=sesame"
    ) as fs:
        found = rs.status(fs)
        assert found.state == "UNAVAILABLE"
        assert "sesame" not in f"{found}{found!r}{found.to_json()}"
        assert json.loads(found.to_json())["backends"][0]["name"] == "s3"
